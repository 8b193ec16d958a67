"""The asset of a shop: other DAGs follow a run that has delivered, and no other one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ShopUnderTest
from tests.whole_run import IN_WINDOW, Run, make_metadata_database, run_dag

FOLLOWER = """
from airflow.sdk import DAG, Asset

with DAG("follower", schedule=[Asset("rees46://test")], is_paused_upon_creation=False):
    pass
"""


@pytest.fixture
def shop_with_two_orders(shop: ShopUnderTest) -> ShopUnderTest:
    shop.configure()
    shop.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])
    return shop


def events_of(run: Run) -> list[dict[str, Any]]:
    """Return URI and extra of the asset events that a run made."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session

    with create_session() as session:
        found = session.query(AssetEvent).filter_by(source_run_id=run.run_id)
        return [{"name": event.asset.name, "extra": event.extra} for event in found]


def test_a_run_that_has_delivered_tells_its_account(shop_with_two_orders: ShopUnderTest) -> None:
    run = run_dag()

    assert run.account["sent"] == 2
    assert events_of(run) == [{"name": "rees46://test", "extra": run.account}]


def test_history_has_an_asset_of_its_own(shop_with_two_orders: ShopUnderTest) -> None:
    """Two first runs that end at the same moment would store the same asset, and one would fail."""
    run = run_dag("order_status_history_test", logical_date=datetime(2026, 4, 1, tzinfo=UTC))

    assert run.account["sent"] == 2
    assert events_of(run) == [{"name": "rees46://test/history", "extra": run.account}]


@pytest.mark.parametrize(
    ("params", "limits", "state"),
    [
        pytest.param({"dry_run": True}, {}, "success", id="dry-run"),
        pytest.param({"first_orders": 1}, {}, "success", id="held-orders-back"),
        pytest.param({}, {"changed_orders": 1}, "failed", id="failed"),
    ],
)
def test_a_run_that_has_not_delivered_makes_no_event(
    shop_with_two_orders: ShopUnderTest, params: dict[str, Any], limits: dict[str, int], state: str
) -> None:
    shop_with_two_orders.configure(limits={"rejected_share": 1, **limits})

    run = run_dag(**params)

    assert run.state == state
    assert events_of(run) == []


def test_a_dag_that_is_scheduled_by_the_asset_is_due_after_a_run_that_has_delivered(
    shop_with_two_orders: ShopUnderTest, tmp_path: Path
) -> None:
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.session import create_session

    def is_due() -> bool:
        with create_session() as session:
            return "follower" in DagModel.dags_needing_dagruns(session)[1]

    make_metadata_database()
    (tmp_path / "follower.py").write_text(FOLLOWER)
    with create_session() as session:
        session.merge(DagBundleModel(name="followers"))
    sync_bag_to_db(DagBag(tmp_path), "followers", None)

    run_dag(dry_run=True)
    assert not is_due()
    run_dag()
    assert is_due()
