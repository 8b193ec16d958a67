"""What the page asks of the ledger, on SQLite, PostgreSQL and MariaDB: filled through the ledger's own methods."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from rees46_sync.exceptions import ConnectionFieldsError, LedgerError
from rees46_sync.ledger import tables as ledger_tables
from rees46_sync.ledger.database import Answer, Ledger, RejectedRow, RunRef
from rees46_sync.monitoring.page import queries as reports_module
from rees46_sync.monitoring.page.queries import Reports, open_reports
from tests.conftest import accept, open_request

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
RUN = RunRef(shop="test", dag_id="order_status_sync_test", run_id="run-1", extraction_id="reading-1")
OTHER = RunRef(shop="other", dag_id="order_status_sync_other", run_id="run-1", extraction_id="reading-2")
HOSTILE = "'; DROP TABLE rees46_sync_runs; --<script>alert(1)</script>%_"


@pytest.fixture
def connection_id(empty_database: str) -> str:
    reports_module._counts.clear()
    return empty_database


@pytest.fixture
def reports(connection_id: str) -> Iterator[Reports]:
    """The reports of the shop "test" over a ledger whose tables are there."""
    with open_reports(connection_id, "test") as reports:
        reports.ledger.create()
        yield reports


def orders_of(*orders: tuple[str, int], at: datetime = NOON) -> pd.DataFrame:
    frame = pd.DataFrame(orders, columns=["order_id", "code"])
    return frame.assign(updated_at=pd.Series([at] * len(orders), dtype="datetime64[us, UTC]"))


def save_run(ledger: Ledger, run_id: str, **columns: Any) -> None:
    counts = dict.fromkeys(("read", *reports_module.ACCOUNT, "requests"), 0)
    record = {
        "shop": "test",
        "dag_id": "order_status_sync_test",
        "run_id": run_id,
        "window_start": NOON - DAY,
        "window_end": NOON,
        "window_widened": True,
        "outcome": "success",
        "started_at": NOON,
        "finished_at": NOON,
    }
    ledger.save_run(**(counts | record | columns))


def counted(reports: Reports) -> reports_module.StatusCounts:
    counts = reports.orders_by_status()
    assert counts is not None
    return counts


def set_times(reports: Reports, table: sa.Table, column: str, value: datetime) -> None:
    """Date the rows of a table, whose times are those of the test's moment."""
    with reports.ledger.engine.begin() as connection:
        connection.execute(sa.update(table).values({column: value}))


# Before the first run


def test_a_ledger_without_tables_says_so_and_gets_none(connection_id: str) -> None:
    with open_reports(connection_id, "test") as reports:
        assert not reports.has_tables()
        assert not sa.inspect(reports.ledger.engine).get_table_names()


def test_an_empty_ledger_has_an_empty_answer_to_everything(reports: Reports) -> None:
    assert reports.has_tables()
    freshness = reports.freshness(DAY)
    assert (freshness.last_success, freshness.covered_until, freshness.failed_since) == (None, None, 0)
    assert reports.firing_alerts() == []
    assert counted(reports).orders == {}
    assert [count for _, count in reports.sent_per("hour", 3, NOON)] == [0, 0, 0]
    assert (reports.runs(), reports.rejected(), list(reports.all_rejected()), reports.unmapped([])) == ([], [], [], [])
    history = reports.order("1")
    assert (history.accepted, history.uncertain, history.under_way, history.rejected) == ([], False, False, [])


def test_a_ledger_that_does_not_answer_is_an_error_of_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", "sqlite:////nowhere/at/all/ledger.db")
    with open_reports("ledger", "test") as reports, pytest.raises(LedgerError, match="unable to open"):
        reports.has_tables()


def test_a_connection_that_is_not_there_is_an_error_that_names_it() -> None:
    with pytest.raises(ConnectionFieldsError, match="no_such_ledger"), open_reports("no_such_ledger", "test"):
        pass


# How far the sync got


def test_the_last_success_is_that_of_the_hourly_sync(reports: Reports) -> None:
    save_run(reports.ledger, "hourly", finished_at=NOON)
    save_run(reports.ledger, "own-window", finished_at=NOON + HOUR, window_widened=False)
    save_run(reports.ledger, "of-another-shop", finished_at=NOON + 2 * HOUR, shop="other")
    save_run(reports.ledger, "failed-before", finished_at=NOON - HOUR, outcome="failed")
    save_run(reports.ledger, "failed-1", finished_at=NOON + HOUR, outcome="failed")
    save_run(reports.ledger, "failed-2", finished_at=NOON + 2 * HOUR, outcome="failed")

    freshness = reports.freshness(DAY)

    assert freshness.last_success == NOON
    assert freshness.failed_since == 2


def test_changes_are_covered_no_further_than_the_window_that_was_really_read(reports: Reports) -> None:
    save_run(reports.ledger, "1", window_end=NOON - HOUR, started_at=NOON, finished_at=NOON + HOUR)
    assert reports.freshness(DAY).covered_until == NOON - HOUR


def test_before_the_first_success_nothing_is_said_to_be_covered(reports: Reports) -> None:
    save_run(reports.ledger, "1", outcome="failed")
    freshness = reports.freshness(DAY)
    assert (freshness.last_success, freshness.covered_until, freshness.failed_since) == (None, None, 1)


# Orders by status


def test_each_order_counts_once_in_its_latest_status(reports: Reports) -> None:
    accept(reports.ledger, RUN, 0, orders_of(("1", 0), ("2", 0), ("3", 0)))
    accept(reports.ledger, RUN, 0, orders_of(("2", 1), ("3", 1)))
    accept(reports.ledger, RUN, 0, orders_of(("3", 2)))
    accept(reports.ledger, OTHER, 0, orders_of(("1", 2), ("9", 2)))

    assert counted(reports).orders == {0: 1, 1: 1, 2: 1}


@pytest.mark.clock
def test_a_count_is_kept_for_a_while_and_says_when_it_was_made(reports: Reports) -> None:
    before = datetime.now(UTC)
    first = counted(reports)
    accept(reports.ledger, RUN, 0, orders_of(("1", 0)))
    assert counted(reports) is first
    assert before <= first.counted_at <= datetime.now(UTC)


def test_nobody_waits_for_a_count_of_somebody_else(reports: Reports) -> None:
    with reports_module._counting:
        assert reports.orders_by_status() is None
    assert counted(reports).orders == {}


# Changes over time


@pytest.mark.parametrize(
    ("unit", "at", "expected"),
    [
        pytest.param("hour", NOON, [(NOON - HOUR, 0), (NOON, 2)], id="this-hour"),
        pytest.param("hour", NOON - timedelta(minutes=1), [(NOON - HOUR, 2), (NOON, 0)], id="the-hour-before"),
        pytest.param("hour", NOON - DAY, [(NOON - HOUR, 0), (NOON, 0)], id="long-ago"),
        pytest.param("day", NOON, [(NOON - 36 * HOUR, 0), (NOON - 12 * HOUR, 2)], id="today"),
        pytest.param("day", NOON - DAY, [(NOON - 36 * HOUR, 2), (NOON - 12 * HOUR, 0)], id="yesterday"),
    ],
)
def test_changes_count_in_the_utc_period_in_which_they_were_accepted(
    reports: Reports, unit: reports_module.Unit, at: datetime, expected: list[tuple[datetime, int]]
) -> None:
    accept(reports.ledger, RUN, 0, orders_of(("1", 0), ("2", 0)))
    accept(reports.ledger, OTHER, 0, orders_of(("1", 0)))
    refused = open_request(reports.ledger, RUN, orders_of(("3", 0)))
    reports.ledger.record_answer(RUN, 0, Answer(refused, 1, "rejected"))
    set_times(reports, ledger_tables.deliveries, "answered_at", at)

    assert reports.sent_per(unit, 2, NOON + timedelta(minutes=30)) == expected


# Runs


def test_runs_come_newest_first_a_page_at_a_time(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports_module, "PAGE_ROWS", 2)
    for number in range(5):
        save_run(reports.ledger, f"run-{number}")
    save_run(reports.ledger, "of-another-shop", shop="other")

    pages, before = [], None
    while page := reports.runs(before):
        pages.append([run.run_id for run in page])
        before = page[-1].id

    assert pages == [["run-4", "run-3"], ["run-2", "run-1"], ["run-0"]]


# The quarantine


def fill_quarantine(ledger: Ledger) -> None:
    ledger.quarantine(
        "test",
        "run-1",
        [
            RejectedRow("A-1", "lost", "2026-03-01", "status_unmapped"),
            RejectedRow("A-2", "lost", None, "status_unmapped, updated_at_missing"),
            RejectedRow("B-1", "Потерян", "2026-03-01", "status_unmapped"),
            RejectedRow(None, "new", "2026-03-01", "order_id_missing"),
            RejectedRow(HOSTILE, HOSTILE, HOSTILE, "status_unmapped"),
        ],
    )
    ledger.quarantine("other", "run-1", [RejectedRow("A-1", "lost", None, "status_unmapped")])


def test_each_reason_of_a_row_counts(reports: Reports) -> None:
    fill_quarantine(reports.ledger)
    found = reports.rejections()
    assert found.rows == 5
    assert found.by_reason == {"status_unmapped": 4, "updated_at_missing": 1, "order_id_missing": 1}


@pytest.mark.parametrize(
    ("reason", "text", "expected"),
    [
        pytest.param("", "", [HOSTILE, None, "B-1", "A-2", "A-1"], id="all"),
        pytest.param("updated_at_missing", "", ["A-2"], id="by-reason"),
        pytest.param("", "a-", ["A-2", "A-1"], id="by-order-id-in-any-case"),
        pytest.param("", "lost", ["A-2", "A-1"], id="by-status"),
        pytest.param("order_id_missing", "lost", [], id="by-both"),
        pytest.param("", "%", [HOSTILE], id="percent-is-a-percent"),
        pytest.param("", HOSTILE, [HOSTILE], id="sql-is-text"),
        pytest.param("' OR 1=1 --", "", [], id="sql-in-the-reason-is-text"),
        pytest.param("", "\0", [], id="nul"),
    ],
)
def test_rejected_rows_are_found_by_reason_and_text(
    reports: Reports, reason: str, text: str, expected: list[str | None]
) -> None:
    fill_quarantine(reports.ledger)
    assert [row.order_id for row in reports.rejected(reason, text)] == expected


def test_all_rejected_rows_come_whatever_fits_into_memory(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports_module, "CSV_ROWS", 2)
    fill_quarantine(reports.ledger)
    assert [row.order_id for row in reports.all_rejected()] == [HOSTILE, None, "B-1", "A-2", "A-1"]


def test_unmapped_statuses_come_with_a_count_and_an_example_until_the_shop_file_maps_them(reports: Reports) -> None:
    fill_quarantine(reports.ledger)
    assert reports.unmapped(["new", "Потерян"]) == [("lost", 2, "A-1"), (HOSTILE, 1, HOSTILE)]


# One order


def test_an_orders_history_holds_every_status_sent_and_by_which_run(reports: Reports) -> None:
    accept(reports.ledger, RUN, 0, orders_of(("1", 0), ("2", 0)))
    accept(reports.ledger, RunRef("test", "order_status_history_test", "run-2", "reading-3"), 0, orders_of(("1", 1)))
    accept(reports.ledger, OTHER, 0, orders_of(("1", 2)))

    history = reports.order("1")

    assert [(row.status, row.dag_id, row.run_id, row.source_updated_at) for row in history.accepted] == [
        (1, "order_status_history_test", "run-2", NOON),
        (0, "order_status_sync_test", "run-1", NOON),
    ]
    assert not history.uncertain
    assert not history.under_way


def test_an_order_is_under_way_until_its_request_is_answered_and_uncertain_where_it_never_is(reports: Reports) -> None:
    accept(reports.ledger, RUN, 0, orders_of(("1", 0)))
    open_request(reports.ledger, RUN, orders_of(("1", 1), ("10", 1)))
    assert (reports.order("1").under_way, reports.order("1").uncertain) == (True, False)
    assert not reports.order("0").under_way

    reports.ledger.note_unanswered("test")
    assert (reports.order("1").under_way, reports.order("1").uncertain) == (False, True)
    assert reports.order("10").uncertain

    accept(reports.ledger, RUN, 0, orders_of(("1", 1)))
    assert not reports.order("1").uncertain


@pytest.mark.parametrize("order_id", [HOSTILE, "\0", "a\u00a0b", "x" * 1000], ids=["sql", "nul", "no-break", "long"])
def test_an_order_id_is_text_and_nothing_else(reports: Reports, order_id: str) -> None:
    reports.ledger.quarantine("test", "run-1", [RejectedRow(order_id, "lost", None, "status_unmapped")])
    if "\0" not in order_id and len(order_id) < 256:
        accept(reports.ledger, RUN, 0, orders_of((order_id, 0)))

    history = reports.order(order_id)

    assert len(history.rejected) == 1
    assert all(row.order_id == order_id for row in history.accepted)
    assert bool(history.accepted) == ("\0" not in order_id and len(order_id) < 256)
    assert reports.has_tables()
