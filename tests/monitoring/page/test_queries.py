"""The page's queries on SQLite, PostgreSQL and MariaDB; the ledger's own methods fill the tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from rees46_sync.exceptions import ConnectionFieldsError, LedgerError
from rees46_sync.ledger import tables as ledger_tables
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.dialects import Unit
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from rees46_sync.ledger.requests import RequestResult, Requests
from rees46_sync.ledger.runs import RunRef
from rees46_sync.monitoring.alerts import Alerts
from rees46_sync.monitoring.page import charts
from rees46_sync.monitoring.page import queries as queries_module
from rees46_sync.monitoring.page.queries import ShopQueries, open_queries
from rees46_sync.shop.shop import Shop
from tests.conftest import ShopUnderTest, accept, open_request
from tests.monitoring.builders import DAY, HOUR, MINUTE, NOON, orders_of, save_run

RUN = RunRef(shop="test", dag_id="order_status_sync_test", run_id="run-1", extraction_id="extraction-1")
OTHER = RunRef(shop="other", dag_id="order_status_sync_other", run_id="run-1", extraction_id="extraction-2")
HOSTILE = "'; DROP TABLE rees46_sync_runs; --<script>alert(1)</script>%_"


@pytest.fixture
def configured(shop: ShopUnderTest, empty_database: str) -> Shop:
    """The shop "test", whose ledger has no tables yet."""
    charts._reports.clear()
    return shop.configure(ledger_conn_id=empty_database)


@pytest.fixture
def queries(configured: Shop) -> Iterator[ShopQueries]:
    """Queries about the shop "test", whose ledger has its tables."""
    with open_queries(configured) as queries:
        queries.ledger.migrate()
        yield queries


def counted(queries: ShopQueries, now: datetime | None = None) -> charts.StatusReport:
    report = charts.status_report(queries, now or datetime.now(UTC))
    assert report is not None
    return report


def set_times(queries: ShopQueries, table: sa.Table, column: str, value: datetime) -> None:
    """Set the times of all rows of a table, which are those of the test run."""
    with queries.ledger.engine.begin() as connection:
        connection.execute(sa.update(table).values({column: value}))


# Before the first run


def test_queries_create_no_tables_in_a_ledger_without_them(configured: Shop) -> None:
    with open_queries(configured) as queries:
        assert not queries.ledger.has_tables()
        names = sa.inspect(queries.ledger.engine).get_table_names()
        assert [name for name in names if name.startswith("rees46_")] == []


@pytest.mark.clock
def test_each_query_of_an_empty_ledger_has_an_empty_result(queries: ShopQueries) -> None:
    assert queries.ledger.has_tables()
    assert Alerts(queries.ledger, "test").firing() == []
    assert counted(queries).orders == {}
    assert [count for _, count in queries.sent_per("hour", 3, NOON)] == [0, 0, 0]
    assert (queries.runs(), queries.rejected(), list(queries.all_rejected()), queries.unmapped([])) == ([], [], [], [])
    history = queries.order("1")
    assert (history.accepted, history.uncertain, history.in_flight, history.rejected) == ([], False, False, [])


def test_a_ledger_that_does_not_answer_raises_a_ledger_error(shop: ShopUnderTest) -> None:
    shop.connect("shop_ledger", "sqlite:////nowhere/at/all/ledger.db")
    with open_queries(shop.configure()) as queries, pytest.raises(LedgerError, match="unable to open"):
        queries.runs()


def test_a_connection_that_does_not_exist_raises_an_error_that_names_it(shop: ShopUnderTest) -> None:
    configured = shop.configure(ledger_conn_id="no_such_ledger")
    with pytest.raises(ConnectionFieldsError, match="no_such_ledger"), open_queries(configured):
        pass


# Orders by status


@pytest.mark.clock
def test_each_order_counts_once_in_its_latest_status(queries: ShopQueries) -> None:
    accept(queries.ledger, RUN, 0, orders_of(("1", 0), ("2", 0), ("3", 0)))
    accept(queries.ledger, RUN, 0, orders_of(("2", 1), ("3", 1)))
    accept(queries.ledger, RUN, 0, orders_of(("3", 2)))
    accept(queries.ledger, OTHER, 0, orders_of(("1", 2), ("9", 2)))

    assert counted(queries).orders == {0: 1, 1: 1, 2: 1}


@pytest.mark.clock
def test_a_count_is_cached_for_a_while_and_has_the_time_when_it_was_made(queries: ShopQueries) -> None:
    before = datetime.now(UTC)
    first = counted(queries)
    accept(queries.ledger, RUN, 0, orders_of(("1", 0)))
    assert counted(queries) is first
    assert before <= first.counted_at <= datetime.now(UTC)


@pytest.mark.clock
def test_a_request_does_not_wait_for_the_count_of_another_request(queries: ShopQueries) -> None:
    with charts._counting:
        assert charts.status_report(queries, NOON) is None
    assert counted(queries).orders == {}


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
def test_changes_are_counted_in_the_utc_period_in_which_they_were_accepted(
    queries: ShopQueries, unit: Unit, at: datetime, expected: list[tuple[datetime, int]]
) -> None:
    accept(queries.ledger, RUN, 0, orders_of(("1", 0), ("2", 0)))
    accept(queries.ledger, OTHER, 0, orders_of(("1", 0)))
    refused = open_request(queries.ledger, RUN, orders_of(("3", 0)))
    Requests(queries.ledger).record_result(RUN, 0, RequestResult(refused, 1, NOON, "rejected"))
    set_times(queries, ledger_tables.deliveries, "answered_at", at)

    assert queries.sent_per(unit, 2, NOON + timedelta(minutes=30)) == expected


# Runs


def test_runs_come_newest_first_a_page_at_a_time(queries: ShopQueries, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries_module, "PAGE_ROWS", 2)
    for number in range(5):
        save_run(queries.ledger, f"run-{number}")
    save_run(queries.ledger, "of-another-shop", shop="other")

    pages, before = [], None
    while page := queries.runs(before):
        pages.append([run.run_id for run in page])
        before = page[-1].id

    assert pages == [["run-4", "run-3"], ["run-2", "run-1"], ["run-0"]]


# The quarantine


def fill_quarantine(ledger: Ledger) -> None:
    Quarantine(ledger).store(
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
    Quarantine(ledger).store("other", "run-1", [RejectedRow("A-1", "lost", None, "status_unmapped")])


def test_each_reason_of_a_rejected_row_counts(queries: ShopQueries) -> None:
    fill_quarantine(queries.ledger)
    counts = Quarantine(queries.ledger).count("test")
    assert counts.rows == 5
    assert counts.by_reason == {"status_unmapped": 4, "updated_at_missing": 1, "order_id_missing": 1}


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
    queries: ShopQueries, reason: str, text: str, expected: list[str | None]
) -> None:
    fill_quarantine(queries.ledger)
    assert [row.order_id for row in queries.rejected(reason, text)] == expected


def test_all_rejected_rows_are_returned_a_few_at_a_time_in_memory(
    queries: ShopQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries_module, "CSV_ROWS", 2)
    fill_quarantine(queries.ledger)
    assert [row.order_id for row in queries.all_rejected()] == [HOSTILE, None, "B-1", "A-2", "A-1"]


def test_unmapped_statuses_have_a_count_and_an_example_until_the_shop_file_maps_them(queries: ShopQueries) -> None:
    fill_quarantine(queries.ledger)
    assert queries.unmapped(["new", "Потерян"]) == [("lost", 2, "A-1"), (HOSTILE, 1, HOSTILE)]


# One order


def test_an_orders_history_has_each_status_that_was_sent_and_its_run(queries: ShopQueries) -> None:
    accept(queries.ledger, RUN, 0, orders_of(("1", 0), ("2", 0)))
    accept(queries.ledger, RunRef("test", "order_status_history_test", "run-2", "extraction-3"), 0, orders_of(("1", 1)))
    accept(queries.ledger, OTHER, 0, orders_of(("1", 2)))

    history = queries.order("1")

    assert [(row.status, row.dag_id, row.run_id, row.source_updated_at) for row in history.accepted] == [
        (1, "order_status_history_test", "run-2", NOON),
        (0, "order_status_sync_test", "run-1", NOON),
    ]
    assert history.uncertain  # sent in two statuses just now
    assert not history.in_flight


def test_an_order_is_in_flight_until_its_request_is_answered_and_uncertain_if_it_never_is(
    queries: ShopQueries,
) -> None:
    accept(queries.ledger, RUN, 0, orders_of(("1", 0)))
    open_request(queries.ledger, RUN, orders_of(("1", 1), ("10", 1)))
    assert (queries.order("1").in_flight, queries.order("1").uncertain) == (True, False)
    assert not queries.order("0").in_flight

    Requests(queries.ledger).take_lease("test")
    assert (queries.order("1").in_flight, queries.order("1").uncertain) == (False, True)
    assert queries.order("10").uncertain
    assert not queries.order("0").uncertain


@pytest.mark.parametrize(
    ("former", "after", "uncertain"),
    [
        pytest.param("accepted in another status", 59 * MINUTE, True, id="another-status-just-now"),
        pytest.param("accepted in another status", HOUR, False, id="another-status-an-hour-ago"),
        pytest.param("accepted in the same status", 0 * MINUTE, False, id="the-same-status"),
        pytest.param("uncertain", 59 * MINUTE, True, id="uncertain-just-now"),
        pytest.param("uncertain", HOUR, False, id="uncertain-an-hour-ago"),
    ],
)
def test_an_order_is_uncertain_until_it_is_sent_once_more_after_the_time_that_rees46_may_take(
    queries: ShopQueries, former: str, after: timedelta, uncertain: bool
) -> None:
    status = 1 if former == "accepted in the same status" else 0
    request = open_request(queries.ledger, RUN, orders_of(("1", status)))
    if former == "uncertain":
        Requests(queries.ledger).take_lease("test")
        set_times(queries, ledger_tables.uncertain_orders, "sent_at", NOON)
    else:
        Requests(queries.ledger).record_result(RUN, 0, RequestResult(request, 1, NOON))
        set_times(queries, ledger_tables.accepted_statuses, "accepted_at", NOON)
    request = open_request(queries.ledger, RUN, orders_of(("1", 1)))
    Requests(queries.ledger).record_result(RUN, 0, RequestResult(request, 1, NOON + after))

    assert queries.order("1").uncertain == uncertain


@pytest.mark.parametrize("order_id", [HOSTILE, "\0", "a\u00a0b", "x" * 1000], ids=["sql", "nul", "no-break", "long"])
def test_an_order_id_is_only_text(queries: ShopQueries, order_id: str) -> None:
    Quarantine(queries.ledger).store("test", "run-1", [RejectedRow(order_id, "lost", None, "status_unmapped")])
    if "\0" not in order_id and len(order_id) < 256:
        accept(queries.ledger, RUN, 0, orders_of((order_id, 0)))

    history = queries.order(order_id)

    assert len(history.rejected) == 1
    assert all(row.order_id == order_id for row in history.accepted)
    assert bool(history.accepted) == ("\0" not in order_id and len(order_id) < 256)
    assert queries.ledger.has_tables()
