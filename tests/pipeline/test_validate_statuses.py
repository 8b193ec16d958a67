"""The task that validates a partition."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rees46_sync.exceptions import RestartRunError
from rees46_sync.pipeline.validate_statuses import validate_statuses
from rees46_sync.warehouse.values import READ_SCHEMA
from tests.conftest import ShopUnderTest
from tests.pipeline.steps import OLD_PARTITION, WRITTEN_BY_AN_EARLIER_VERSION, task_context
from tests.whole_run import IN_WINDOW, accounted, run_dag


def test_an_unmapped_status_is_rejected_and_never_guessed(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    shop.add_rows([("1", "on_hold", IN_WINDOW), ("2", "new", IN_WINDOW)])
    with caplog.at_level(logging.INFO):
        run = run_dag()
    assert run.state == "success"
    assert run.account["rejected"] == 1
    assert shop.sandbox.state() == {"2": 0}
    # Airflow decides at its first run in a process which of the two its tasks write to.
    assert "  - on_hold" in capsys.readouterr().out + caplog.text


def test_a_row_that_stays_broken_is_counted_again_and_stored_once(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "on_hold", IN_WINDOW), (None, "new", IN_WINDOW), (None, "new", IN_WINDOW)])
    assert [run_dag().account["rejected"] for _ in range(2)] == [3, 3]
    stored = shop.ledger_rows("SELECT order_id, status, reason FROM rees46_rejected_orders ORDER BY id")
    assert sorted(stored, key=str) == [
        ("1", "on_hold", "status_unmapped"),
        (None, "new", "order_id_missing"),
        (None, "new", "order_id_missing"),
    ]


def test_a_row_with_characters_that_no_database_takes_is_rejected_like_any_other(shop: ShopUnderTest) -> None:
    shop.add_rows([("nul\x00", "st\x00", IN_WINDOW), ("x" * 100_000, "new", IN_WINDOW), ("1", "new", IN_WINDOW)])
    run = run_dag()
    assert (run.state, run.account["rejected"], run.account["sent"]) == ("success", 2, 1)
    stored = dict(shop.ledger_rows("SELECT order_id, status FROM rees46_rejected_orders"))
    assert stored["nul\\x00"] == "st\\x00"
    assert max(map(len, stored)) == 1001


@pytest.mark.parametrize("statuses", [["delivered", "new"], ["new", "delivered"], ["new", "on_hold"], ["new", None]])
def test_an_order_with_two_statuses_of_one_time_is_rejected_until_they_differ_in_time(
    shop: ShopUnderTest, statuses: list[str | None]
) -> None:
    shop.configure(partition_rows=1)
    shop.add_rows([("1", status, IN_WINDOW) for status in statuses])
    shop.add_rows([("1", "paid", IN_WINDOW - timedelta(minutes=1)), ("2", "new", IN_WINDOW)])

    runs = [run_dag() for _ in range(2)]

    for run in runs:
        assert (run.state, accounted(run.account)) == ("success", run.account["read"])
        assert (run.account["read"], run.account["rejected"], run.account["superseded"]) == (4, 2, 1)
    assert shop.sandbox.state() == {"2": 0}
    stored = shop.ledger_rows("SELECT order_id, status, reason FROM rees46_rejected_orders")
    assert {(order_id, status) for order_id, status, _ in stored} == {("1", status) for status in statuses}
    assert all("order_ambiguous" in reason and "duplicated" not in reason for _, _, reason in stored)
    assert len(stored) == 2

    shop.add_rows([("1", "cancelled", IN_WINDOW + timedelta(microseconds=1))])
    account = run_dag().account
    assert (account["rejected"], account["superseded"], account["sent"]) == (0, 3, 1)
    assert shop.sandbox.state() == {"1": 2, "2": 0}


def test_two_statuses_of_one_time_that_mean_the_same_are_one_version(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "fraud", IN_WINDOW), ("1", "cancelled", IN_WINDOW), ("1", "fraud", IN_WINDOW)])

    account = run_dag().account

    assert (account["rejected"], account["superseded"], account["sent"]) == (0, 2, 1)
    assert shop.sandbox.state() == {"1": 2}


def test_a_staged_file_of_an_earlier_version_is_not_validated_but_says_to_clear_the_run(shop: ShopUnderTest) -> None:
    file = shop.folder / "rows.parquet"
    pq.write_table(READ_SCHEMA.append(pa.field("copy", pa.int64())).empty_table(), file)
    partition: Any = {"index": 0, "extraction": {}, "path": f"file://{file}"}

    with pytest.raises(RestartRunError, match=r"has no column order_unambiguous .*clear this run from extract_orders"):
        validate_statuses(str(shop.shops / "test.yaml"), partition, **task_context())


def test_a_partition_of_an_earlier_version_is_not_validated_but_says_to_clear_the_run(shop: ShopUnderTest) -> None:
    with pytest.raises(RestartRunError, match=f"partition 0 {WRITTEN_BY_AN_EARLIER_VERSION}"):
        validate_statuses(str(shop.shops / "test.yaml"), OLD_PARTITION, **task_context())
