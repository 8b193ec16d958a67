"""
No DAGs: the import error of this file lists the shop files that cannot be used, and why.

Airflow schedules no DAG of a file with an import error, so the error must not be raised in ``order_status_sync.py``,
which has the DAGs of all shops.
"""

from rees46_sync.airflow_project import raise_broken_shop_files

raise_broken_shop_files(__file__)  # Airflow looks only into files that contain the words "airflow" and "dag".
