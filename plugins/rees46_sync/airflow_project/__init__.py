"""
What an Airflow project takes from this package: its DAGs, by two lines in a DAG file, and the plugin.

    from rees46_sync.airflow_project import create_dags
    create_dags(__file__)

Airflow parses only files that contain the words "airflow" and "dag": these two lines do.
"""

from __future__ import annotations

from pathlib import Path

from rees46_sync.airflow_project import freshness, reconcile, sync
from rees46_sync.shop.shop_file import load_shops, shops_dir


def create_dags(dag_file: str | Path) -> None:
    """
    Create the DAGs of every shop file, and the two that watch all shops.

    :param dag_file: the file that calls this; the shop files are in ``include/shops`` beside its folder, or in
        ``$REES46_SHOPS_DIR``. Those that cannot be used are left out: see :func:`raise_broken_shop_files`.
    """
    create_sync_dags(dag_file)
    create_freshness_dag(dag_file)
    create_reconcile_dag(dag_file)


def create_sync_dags(dag_file: str | Path) -> None:
    """Create the DAGs of every shop file, as :func:`create_dags`."""
    for shop in load_shops(_shops_of(dag_file))[0]:
        for history in (False, True):
            sync.build_dag(shop, history=history)


def create_freshness_dag(dag_file: str | Path) -> None:
    """Create the DAG that checks the freshness of all shops, as :func:`create_dags`."""
    freshness.build_dag(_shops_of(dag_file))


def create_reconcile_dag(dag_file: str | Path) -> None:
    """Create the DAG that compares the warehouses of all shops with REES46, as :func:`create_dags`."""
    reconcile.build_dag(_shops_of(dag_file))


def raise_broken_shop_files(dag_file: str | Path) -> None:
    """
    Let Airflow show the shop files that cannot be used, as an import error of the file that calls this.

    Airflow schedules no DAG of a file with an import error, so that file must create none.

    :raises ShopFileError: one shop file cannot be used.
    :raises ExceptionGroup: several cannot.
    """
    errors = load_shops(_shops_of(dag_file))[1]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ExceptionGroup(f"{len(errors)} shop files cannot be used", errors)


def _shops_of(dag_file: str | Path) -> Path:
    return shops_dir(Path(dag_file).resolve().parents[1])
