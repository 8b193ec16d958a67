"""
No DAGs: the import error of this file lists the shop files that cannot be used, and why.

Airflow schedules no DAG of a file with an import error, so the error must not be raised in ``order_status_sync.py``,
which has the DAGs of all shops.
"""

from __future__ import annotations

from pathlib import Path

from rees46_sync.shop.shop_file import load_shops, shops_dir

# Airflow looks only into files that contain the words "airflow" and "dag".
_errors = load_shops(shops_dir(Path(__file__).resolve().parents[1]))[1]
if len(_errors) == 1:
    raise _errors[0]
if _errors:
    raise ExceptionGroup(f"{len(_errors)} shop files cannot be used", _errors)
