"""The task that reads the window of a run into staged partitions."""

from __future__ import annotations

from typing import Any

import pytest

from rees46_sync.exceptions import LedgerError
from rees46_sync.pipeline.extract_orders import extract_orders
from tests.conftest import ShopUnderTest
from tests.pipeline.steps import task_context
from tests.whole_run import IN_WINDOW, run_dag


def test_a_run_by_hand_reads_the_window_that_it_names(shop: ShopUnderTest) -> None:
    shop.add_rows([("old", "new", "2025-05-05 05:05:05"), ("new", "new", IN_WINDOW)])
    run = run_dag(window_start="2025-05-05T05:05:05Z", window_end="2025-05-05T05:05:06Z")
    assert run.account["read"] == 1
    assert shop.sandbox.state() == {"old": 0}


def test_a_window_that_ends_before_it_starts_is_refused_with_both_ends(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_dag(window_start="2026-03-02T00:00:00Z", window_end="2026-03-01T00:00:00Z")
    assert run.state == "failed"
    assert "window_start 2026-03-02T00:00:00+00:00 is not before window_end 2026-03-01" in capsys.readouterr().out


def test_more_partitions_than_airflow_maps_is_an_error_that_says_what_to_set(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.configure(partition_rows=1)
    shop.add_rows([(str(number), "new", IN_WINDOW) for number in range(1025)])
    assert run_dag().state == "failed"
    assert "set it to 2 or more" in capsys.readouterr().out


def test_while_the_ledger_does_not_answer_no_staged_file_is_removed(shop: ShopUnderTest) -> None:
    old = shop.folder / "staging" / "test" / "20260101T000000-0a1b2c3d"
    old.mkdir(parents=True)
    shop.configure(staging=f"file://{shop.folder}/staging")
    shop.connect("shop_ledger", f"sqlite:///{shop.folder}/no/such/folder/ledger.db")

    with pytest.raises(LedgerError):
        extract_orders(str(shop.shops / "test.yaml"), history=False, **task_context())

    assert old.exists()


@pytest.mark.parametrize(
    ("conf", "found", "remedy"),
    [
        pytest.param({"dryrun": True}, "'dryrun'", "write dry_run instead of 'dryrun'", id="without-the-underscore"),
        pytest.param({"Dry-Run": True}, "'Dry-Run'", "write dry_run instead of 'Dry-Run'", id="another-spelling"),
        pytest.param(
            {"dry_run": True, "order_id": ["1"]}, "'order_id'", "write order_ids instead", id="beside-a-right-one"
        ),
        pytest.param(
            {"limit_changed_orders": 5}, "'limit_changed_orders'", "write changed_orders instead", id="a-limit"
        ),
        pytest.param({"qqq": 1}, "'qqq'", "remove it; the params are changed_orders, dry_run", id="like-no-param"),
        pytest.param(
            {"start": 1, "limit": 1},
            "'start', 'limit'",
            "write window_start instead of 'start'; write ignore_limits instead of 'limit'",
            id="two",
        ),
    ],
)
def test_a_conf_with_a_key_that_is_no_param_is_refused_with_the_nearest_one(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str], conf: dict[str, Any], found: str, remedy: str
) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])

    run = run_dag(**conf)

    assert (run.state, run.task_states["extract_orders"]) == ("failed", {"failed"})
    assert shop.sandbox.requests() == []
    log = capsys.readouterr().out
    assert f"The conf of this run has {found}, and the DAG has no such param; nothing was read; " in log
    assert remedy in log
    assert shop.ledger_rows("SELECT * FROM rees46_extractions") == []
