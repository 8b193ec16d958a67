"""The tasks of the DAG order_status_freshness, run by Airflow with a real ledger and a real webhook."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rees46_sync.exceptions import ShopFileError
from rees46_sync.ledger.database import Ledger
from rees46_sync.monitoring.check_freshness import check_freshness, list_shops
from tests.conftest import ShopUnderTest
from tests.monitoring.builders import save_success
from tests.whole_run import run_dag


@pytest.mark.clock
def test_the_freshness_dag_checks_each_shop_and_is_not_stopped_by_one(shop: ShopUnderTest) -> None:
    ledger = Ledger.open("shop_ledger")
    save_success(ledger, "1", datetime.now(UTC) - timedelta(hours=30))
    ledger.engine.dispose()
    shop.configure(notify=[{"webhook": "/alerts"}])
    (shop.shops / "other.yaml").write_text((shop.shops / "test.yaml").read_text().replace("shop: test", "shop: other"))

    run = run_dag("order_status_freshness")

    assert run.state == "failed"
    assert run.task_states == {"list_shops": {"success"}, "check_freshness": {"failed", "success"}}
    assert sorted(map(str, run.task_names["check_freshness"])) == ["other", "test"]


@pytest.mark.clock
def test_an_unusable_shop_file_fails_its_task_and_does_not_stop_the_others(shop: ShopUnderTest) -> None:
    (shop.shops / "broken.yaml").write_text("shop: broken\n")
    run = run_dag("order_status_freshness")
    assert run.state == "failed"
    assert sorted(map(str, run.task_names["check_freshness"])) == ["broken.yaml", "test"]
    assert run.task_states["check_freshness"] == {"failed", "success"}
    with pytest.raises(ShopFileError, match="warehouse_conn_id is missing"):
        check_freshness(list_shops(str(shop.shops))[-1], str(shop.shops))


def test_the_freshness_dag_fails_if_there_is_no_shop(shop: ShopUnderTest) -> None:
    Path(shop.shops / "test.yaml").unlink()
    run = run_dag("order_status_freshness")
    assert (run.state, run.task_states["list_shops"]) == ("failed", {"failed"})


def test_the_list_of_shops_holds_only_names_files_and_problems(shop: ShopUnderTest) -> None:
    assert list_shops(str(shop.shops)) == [{"name": "test", "file": "test.yaml", "problems": []}]
