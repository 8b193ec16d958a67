"""The quarantine stores each rejected row once, in a printable form."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from time_machine import TimeMachineFixture

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.quarantine import QUARANTINE_CHUNK, Quarantine, RejectedRow
from rees46_sync.ledger.runs import Runs
from rees46_sync.ledger.tables import rejected_orders
from tests.ledger.builders import hour, run_record, select_rows

REJECTED = [
    RejectedRow("1", "sent back", "2026-03-01 12:00:00", "status_unmapped"),
    RejectedRow(None, "new", "2026-03-01 12:00:00", "order_id_missing"),
    RejectedRow("", None, None, "order_id_blank, status_missing, updated_at_missing"),
    RejectedRow("заказ-🎁 '\"", "new", "yesterday", "updated_at_unreadable"),
]


def test_a_rejected_row_is_stored_once_as_the_warehouse_returned_it(ledger: Ledger) -> None:
    assert Quarantine(ledger).store("test", "run-1", REJECTED) == len(REJECTED)
    assert Quarantine(ledger).store("test", "run-1", REJECTED) == 0
    assert Quarantine(ledger).store("test", "run-2", REJECTED) == 0

    stored = select_rows(ledger, rejected_orders)
    assert [(row["order_id"], row["status"], row["updated_at"], row["reason"]) for row in stored] == [
        (row.order_id, row.status, row.updated_at, row.reason) for row in REJECTED
    ]
    assert {row["run_id"] for row in stored} == {"run-1"}


@pytest.mark.parametrize(
    ("order_id", "stored"),
    [
        pytest.param("1\x00", r"1\x00", id="nul"),
        pytest.param("1\n2\t3", r"1\n2\t3", id="line-break-and-tab"),
        pytest.param("1\x85\u200b", r"1\x85\u200b", id="invisible-characters"),
        pytest.param("1\ud800", r"1\ud800", id="half-a-character"),
        pytest.param("x" * 1000, "x" * 1000, id="1000-characters"),
        pytest.param("x" * 5000, "x" * 1000 + "…", id="5000-characters"),
    ],
)
def test_any_value_is_stored_in_a_printable_form(ledger: Ledger, order_id: str, stored: str) -> None:
    row = RejectedRow(order_id, order_id, order_id, "order_id_control_character")

    assert Quarantine(ledger).store("test", "run-1", [row]) == 1
    assert Quarantine(ledger).store("test", "run-2", [row]) == 0

    found = select_rows(ledger, rejected_orders)[0]
    assert (found["order_id"], found["status"], found["updated_at"]) == (stored, stored, stored)


def test_different_rows_that_are_printed_alike_are_all_stored(ledger: Ledger) -> None:
    alike = [RejectedRow(order_id, "new", "", "reason") for order_id in ("1\x00", r"1\x00", "x" * 1001, "x" * 1002)]

    assert Quarantine(ledger).store("test", "run-1", alike) == 4
    assert Quarantine(ledger).store("test", "run-2", alike) == 0


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(RejectedRow("2", "new", "2026-03-01", "status_unmapped"), id="id"),
        pytest.param(RejectedRow("1", "NEW", "2026-03-01", "status_unmapped"), id="status"),
        pytest.param(RejectedRow("1", "new", "2026-03-02", "status_unmapped"), id="updated-at"),
        pytest.param(RejectedRow("1", "new", "2026-03-01", "status_missing"), id="reason"),
        pytest.param(RejectedRow(None, "new", "2026-03-01", "status_unmapped"), id="no-id"),
        pytest.param(RejectedRow("1", "new", "2026-03-01", "status_unmapped", copy=2), id="copy"),
    ],
)
def test_a_row_that_is_rejected_for_another_reason_or_value_is_another_row(
    ledger: Ledger, changed: RejectedRow
) -> None:
    row = RejectedRow("1", "new", "2026-03-01", "status_unmapped")

    assert Quarantine(ledger).store("test", "run-1", [row]) == 1
    assert Quarantine(ledger).store("test", "run-2", [row, changed]) == 1


def test_each_of_several_equal_rows_of_a_run_is_stored_once(ledger: Ledger) -> None:
    copies = [RejectedRow(None, "new", "2026-03-01", "order_id_missing", copy) for copy in (1, 2, 3)]

    assert Quarantine(ledger).store("test", "run-1", copies[:2]) == 2
    assert Quarantine(ledger).store("test", "run-2", copies) == 1
    assert len(select_rows(ledger, rejected_orders)) == 3


def test_the_same_rejected_row_of_two_shops_is_stored_for_both(ledger: Ledger) -> None:
    assert Quarantine(ledger).store("test", "run-1", REJECTED[:1]) == 1
    assert Quarantine(ledger).store("other", "run-1", REJECTED[:1]) == 1


def test_storing_no_rows_is_no_error(ledger: Ledger) -> None:
    assert Quarantine(ledger).store("test", "run-1", []) == 0


def run(run_id: str, start: float, end: float, *, read_at: float, **columns: Any) -> dict[str, Any]:
    """Return the record of a run over these hours that ended half an hour after it began to read."""
    window = {"window_start": hour(start), "window_end": hour(end)}
    times = {"started_at": hour(read_at), "finished_at": hour(read_at + 0.5)}
    return run_record(run_id, **window, **times, **columns)


FAILED: dict[str, Any] = {"outcome": "failed"}


@pytest.mark.parametrize(
    ("runs", "new"),
    [
        pytest.param([], 1, id="its-run-has-not-ended"),
        pytest.param([run("first", 0, 1, read_at=1)], 0, id="its-run-delivered"),
        pytest.param([run("first", 0, 1, read_at=1, **FAILED)], 1, id="its-run-failed-or-was-stopped-by-a-limit"),
        pytest.param([run("first", 0, 1, read_at=1, held=3)], 1, id="its-run-held-orders-back"),
        pytest.param([run("first", 0, 1, read_at=1, shop="other")], 1, id="a-run-of-another-shop"),
        pytest.param(
            [run("first", 0, 1, read_at=1, **FAILED), run("later", 0, 2, read_at=2)], 0, id="a-later-run-delivered-it"
        ),
        pytest.param(
            [run("first", 0, 1, read_at=1, **FAILED), run("later", 0, 2, read_at=2, **FAILED)],
            1,
            id="the-later-run-was-stopped-as-well",
        ),
        pytest.param(
            [run("first", 0, 1, read_at=1, **FAILED), run("later", 0.5, 2, read_at=2)],
            1,
            id="a-later-run-delivered-a-part-of-its-window",
        ),
        pytest.param(
            [run("first", 0, 1, read_at=1, **FAILED), run("later", 0, 2, read_at=0.9)],
            1,
            id="a-run-that-read-before-delivered-it",
        ),
        pytest.param([run("first", 0, 1, read_at=0.5)], 1, id="its-run-delivered-and-was-cleared"),
        pytest.param(
            [run("first", 0, 1, read_at=1), run("first", 0, 1, read_at=1, dag_id="other", **FAILED)],
            1,
            id="of-two-runs-of-this-id-one-failed",
        ),
    ],
)
def test_a_rejected_row_is_new_until_a_run_that_read_it_has_delivered_its_window(
    ledger: Ledger, time_machine: TimeMachineFixture, runs: list[dict[str, Any]], new: int
) -> None:
    stored, unseen = REJECTED[:2]
    time_machine.move_to(hour(1.25), tick=False)
    Quarantine(ledger).store("test", "first", [stored])
    for record in runs:
        Runs(ledger).save(**record)

    assert Quarantine(ledger).count_new("test", [stored]) == new
    assert Quarantine(ledger).count_new("test", [stored, unseen, stored]) == 1 + 2 * new
    assert Quarantine(ledger).count_new("other", [stored]) == 1


def test_counting_new_rows_stores_none(ledger: Ledger) -> None:
    assert Quarantine(ledger).count_new("test", REJECTED) == len(REJECTED)

    assert select_rows(ledger, rejected_orders) == []


@pytest.mark.clock
def test_of_more_rows_than_a_statement_takes_each_is_counted(ledger: Ledger) -> None:
    rows = many_rejected(2 * QUARANTINE_CHUNK + 50)
    Quarantine(ledger).store("test", "first", rows[:-7])
    Runs(ledger).save(**run_record("first", finished_at=datetime.now(UTC) + timedelta(hours=1)))

    assert Quarantine(ledger).count_new("test", rows) == 7


def many_rejected(count: int) -> list[RejectedRow]:
    return [RejectedRow(f"{number}", "sent back", "2026-03-01", "status_unmapped") for number in range(count)]


def test_several_threads_store_the_same_rejected_rows_once(ledger: Ledger, open_ledger: Callable[[], Ledger]) -> None:
    rows = many_rejected(2 * QUARANTINE_CHUNK + 50)
    ledgers = [open_ledger() for _ in range(4)]

    with ThreadPoolExecutor(len(ledgers)) as threads:
        new = list(threads.map(lambda one: Quarantine(one).store("test", "run-1", rows), ledgers))

    assert sum(new) == len(rows) == len(select_rows(ledger, rejected_orders))


QUARANTINE_IN_A_PROCESS = """
import sys
import sqlalchemy as sa
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
ledger = Ledger(sa.create_engine(sys.argv[1], connect_args={"timeout": 60}))
rows = [RejectedRow(str(number), "sent back", "2026-03-01", "status_unmapped") for number in range(1500)]
print("ready", flush=True)
sys.stdin.readline()
print(Quarantine(ledger).store("test", "run-1", rows))
"""


@pytest.mark.parametrize("empty_database", ["sqlite"], indirect=True)  # its locks differ between threads and processes
def test_two_processes_store_the_same_rejected_rows_once(ledger: Ledger) -> None:
    command = [sys.executable, "-c", QUARANTINE_IN_A_PROCESS, str(ledger.engine.url)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as one, subprocess.Popen(command, **pipes) as other:
        assert [one.stdout.readline(), other.stdout.readline()] == ["ready\n", "ready\n"]  # type: ignore[union-attr]
        for process in (one, other):
            process.stdin.write("go\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        new = [int(process.communicate(timeout=60)[0]) for process in (one, other)]

    assert sum(new) == 1500 == len(select_rows(ledger, rejected_orders))
