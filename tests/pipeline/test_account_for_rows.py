"""The task that accounts for every row of a run."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from typing import Any

import pytest

from rees46_sync.exceptions import RunFailedError
from rees46_sync.ledger.database import Ledger
from rees46_sync.pipeline.account_for_rows import account_for_rows
from tests.conftest import ShopUnderTest
from tests.pipeline.results import built, extraction, partition, validated
from tests.pipeline.steps import OLD_PARTITION, task_context
from tests.whole_run import EIGHT, IN_WINDOW, accounted, run_dag


def test_the_ledger_records_the_run_as_the_account_says(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "on_hold", IN_WINDOW), ("1", "paid", IN_WINDOW)])
    run = run_dag()
    columns = ", ".join(run.account)
    assert shop.ledger_rows(f"SELECT outcome, {columns} FROM rees46_sync_runs") == [("success", *run.account.values())]
    assert list(run.account) == [
        "read", "sent", "unchanged", "superseded", "stale", "reopened", "rejected", "held", "failed", "requests"
    ]  # fmt: skip


@pytest.mark.parametrize("fault", ["error_in_200@x1", "403@x1"])
def test_rejected_orders_fail_the_run_and_a_later_run_sends_them(shop: ShopUnderTest, fault: str) -> None:
    shop.configure(lookback="0h")
    run_dag(logical_date=EIGHT - timedelta(hours=1))
    shop.add_rows([(f"{number:04}", "new", IN_WINDOW) for number in range(1500)])
    shop.sandbox.reset(fault=fault)
    rejected = run_dag()
    assert rejected.state == "failed"
    assert rejected.task_states["load_batches"] == {"failed"}
    assert accounted(rejected.account) == rejected.account["read"] == 1500
    assert rejected.account["failed"] in (500, 1000)
    assert rejected.account["sent"] == 1500 - rejected.account["failed"]
    later = run_dag(logical_date=EIGHT + timedelta(hours=1))
    assert later.state == "success"
    assert later.account["sent"] == rejected.account["failed"]
    assert len(shop.sandbox.state()) == 1500


def test_staged_files_go_with_success_and_stay_with_failure(shop: ShopUnderTest) -> None:
    staging = shop.folder / "staging"
    shop.configure(staging=f"file://{staging}")
    shop.add_rows([("1", "new", IN_WINDOW)])
    shop.sandbox.reset(fault="error_in_200@x1")
    run_dag()
    assert len(list((staging / "test").iterdir())) == 1
    shop.sandbox.reset()
    run_dag()
    assert len(list((staging / "test").iterdir())) == 1


def test_an_extraction_is_open_until_its_run_succeeds_and_known_until_its_staged_files_expire(
    shop: ShopUnderTest,
) -> None:
    def open_extractions() -> list[Any]:
        return [bool(row[0]) for row in shop.ledger_rows("SELECT is_open FROM rees46_extractions ORDER BY id")]

    shop.add_rows([("1", "new", IN_WINDOW)])
    run_dag()
    shop.add_rows([("2", "new", IN_WINDOW)])
    shop.sandbox.reset(fault="403@x1", keep_state=True)
    assert run_dag().state == "failed"
    run_dag()
    assert open_extractions() == [False, True, False]
    with closing(sqlite3.connect(shop.ledger_file)) as db, db:
        db.execute("UPDATE rees46_extractions SET started_at = '2026-01-01 00:00:00.000000'")
    run_dag()
    assert open_extractions() == [False]


@pytest.mark.parametrize(
    ("partitions", "pushed"),
    [
        pytest.param([OLD_PARTITION], {}, id="with-rows"),
        pytest.param([], {}, id="without-rows"),
        pytest.param([], {("extract_orders", "extraction"): {"extraction_id": "1", "read": 1}}, id="of-version-3"),
    ],
)
def test_a_run_that_an_earlier_version_began_is_recorded_as_failed_and_says_to_clear_it(
    shop: ShopUnderTest, partitions: list[Any], pushed: dict[tuple[str, str], Any]
) -> None:
    Ledger.open("shop_ledger")
    context = task_context({"extract_orders": partitions}, pushed)

    with pytest.raises(RunFailedError, match=r"earlier version of this project, .* cleared from extract_orders"):
        account_for_rows(str(shop.shops / "test.yaml"), partitions, [], [], history=False, **context)

    assert shop.ledger_rows("SELECT outcome, read FROM rees46_sync_runs") == [("failed", 0)]
    assert shop.ledger_rows("SELECT alert FROM rees46_alerts WHERE firing") == [("run_failed",)]


@pytest.mark.parametrize(
    ("stopped_extraction", "alert"),
    [
        pytest.param("extraction-1", "limit_reached", id="this-extraction"),
        pytest.param("extraction-0", "run_failed", id="the-one-before-the-run-was-cleared"),
    ],
)
def test_only_a_limit_that_this_extraction_exceeded_is_the_cause_of_the_alert(
    shop: ShopUnderTest, stopped_extraction: str, alert: str
) -> None:
    this = extraction(read=10, superseded=0) | {"started_at": "2026-03-01T08:00:05+00:00"}
    limit = {"extraction_id": stopped_extraction, "exceeded_text": "10 orders would change (limit changed_orders: 5)"}
    context = task_context(
        {"extract_orders": [partition(0, 10)]},
        {("extract_orders", "extraction"): this, ("approve_changes", "limit"): limit},
    )
    with pytest.raises(RunFailedError, match="approve_changes stopped the run"):
        account_for_rows(
            str(shop.shops / "test.yaml"),
            [validated(0, 10, 0)],
            [built(0, 10)],
            [],
            history=False,
            **context,  # type: ignore[list-item]
        )
    assert shop.ledger_rows("SELECT alert FROM rees46_alerts WHERE firing") == [(alert,)]
