"""The pool that keeps two runs of a shop from loading at once."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.models.pool import Pool
from airflow.utils.session import create_session

from rees46_sync.airflow_adapters import pools
from tests.whole_run import make_metadata_database


@pytest.fixture(autouse=True)
def _database() -> None:
    make_metadata_database()


def pool_slots(name: str) -> int | None:
    with create_session() as session:
        pool = Pool.get_pool(name, session=session)
        return pool.slots if pool else None


@pytest.mark.parametrize("dag_id", ["order_status_sync_a_shop", "order_status_history_a_shop"])
def test_a_run_of_a_shop_creates_its_pool_of_one_slot(dag_id: str) -> None:
    pools.on_dag_run_running(SimpleNamespace(dag_id=dag_id))
    assert pool_slots("rees46_a_shop") == 1


def test_an_existing_pool_is_not_changed() -> None:
    with create_session() as session:
        Pool.create_or_update_pool("rees46_big", slots=3, description="", include_deferred=False, session=session)
    pools.on_dag_run_running(SimpleNamespace(dag_id="order_status_sync_big"))
    assert pool_slots("rees46_big") == 3


def test_other_dags_get_no_pool() -> None:
    pools.on_dag_run_running(SimpleNamespace(dag_id="another_dag"))
    assert pool_slots("rees46_another_dag") is None
