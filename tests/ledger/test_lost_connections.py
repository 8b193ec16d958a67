"""A ledger's connections that end: idle ones are replaced, and a repeated transaction comes to the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from rees46_sync.exceptions import LedgerError
from rees46_sync.ledger import dialects
from rees46_sync.ledger.database import Ledger, interactive_ledger
from rees46_sync.ledger.extractions import Extractions
from rees46_sync.ledger.requests import ACCEPTED, UNKNOWN, RequestResult, Requests, request_orders
from rees46_sync.ledger.runs import Runs
from rees46_sync.ledger.tables import accepted_statuses, deliveries, extractions, in_flight_requests, uncertain_orders
from tests.conftest import open_request
from tests.ledger.builders import LATER_RUN, NO_LOOKBACK, NOON, RUN, build_orders, select_rows

pytestmark = pytest.mark.parametrize(
    "empty_database", ["postgresql", pytest.param("mariadb", marks=pytest.mark.databases)], indirect=True
)
END_ALL = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
    "AND datname = current_database()",
    "mysql": "SELECT CONCAT('KILL ', id) FROM information_schema.processlist WHERE id <> connection_id() "
    "AND db = database()",
}


def end_connections(task: Ledger, other: Ledger) -> None:
    """End the connections of a task at the server, as an idle limit does."""
    kind = task.engine.dialect.name
    with other.engine.connect() as connection:
        for [found] in connection.execute(sa.text(END_ALL[kind])).all():
            if kind == "mysql":
                connection.exec_driver_sql(found)


@contextmanager
def dying_at_the_commit(monkeypatch: pytest.MonkeyPatch, *, has_happened: bool) -> Iterator[None]:
    """The connection dies as the next transaction is committed."""
    commit = DefaultDialect.do_commit
    died: list[bool] = []

    def commit_and_die(dialect: Any, connection: Any) -> None:
        if not died:
            died.append(True)
            if has_happened:
                commit(dialect, connection)
            driver = connection.driver_connection
            driver.close() if dialect.name == "postgresql" else driver._force_close()
        commit(dialect, connection)

    with monkeypatch.context() as patch:
        patch.setattr(DefaultDialect, "do_commit", commit_and_die)
        yield
    assert died


EITHER_WAY = pytest.mark.parametrize("has_happened", [True, False], ids=["committed", "rolled-back"])


@EITHER_WAY
def test_a_result_is_recorded_once_if_the_connection_dies_at_its_commit(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, has_happened: bool
) -> None:
    request = open_request(ledger, RUN, build_orders(("1", 1), ("2", 2)))

    with dying_at_the_commit(monkeypatch, has_happened=has_happened):
        outcome = Requests(ledger).record_result(RUN, 0, RequestResult(request, 1, NOON))

    assert outcome == ACCEPTED
    assert [row["order_id"] for row in select_rows(ledger, accepted_statuses)] == ["1", "2"]
    assert [(row["outcome"], row["orders"]) for row in select_rows(ledger, deliveries)] == [(ACCEPTED, 2)]
    assert select_rows(ledger, uncertain_orders) == select_rows(ledger, in_flight_requests) == []


@EITHER_WAY
def test_a_result_stays_unknown_if_another_load_took_over_before_the_connection_died(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, has_happened: bool
) -> None:
    request = open_request(ledger, RUN, build_orders(("1", 1)))
    Requests(ledger).take_lease("test")

    with dying_at_the_commit(monkeypatch, has_happened=has_happened):
        outcome = Requests(ledger).record_result(RUN, 0, RequestResult(request, 1, NOON))

    assert outcome == UNKNOWN
    assert select_rows(ledger, accepted_statuses) == []
    assert [row["outcome"] for row in select_rows(ledger, deliveries)] == [UNKNOWN]


@EITHER_WAY
def test_requests_are_in_flight_once_if_the_connection_dies_at_their_commit(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, has_happened: bool
) -> None:
    requests = Requests(ledger)
    lease = requests.take_lease("test")
    [earlier] = requests.record_requests(RUN, lease, request_orders(build_orders(("0", 0))))
    batches = request_orders(build_orders(("1", 1), ("2", 2)), 1)

    with dying_at_the_commit(monkeypatch, has_happened=has_happened):
        recorded = requests.record_requests(RUN, lease, batches)

    known = [(row["id"], row["orders"]) for row in select_rows(ledger, in_flight_requests)]
    assert known == [(one.number, one.orders) for one in (earlier, *recorded)]
    assert len(recorded) == 2


@EITHER_WAY
def test_a_load_takes_over_and_an_extraction_starts_though_the_connection_dies_at_the_commit(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, has_happened: bool
) -> None:
    open_request(ledger, LATER_RUN, build_orders(("1", 1)))

    with dying_at_the_commit(monkeypatch, has_happened=has_happened):
        lease = Requests(ledger).take_lease("test")
    with dying_at_the_commit(monkeypatch, has_happened=has_happened):
        Extractions(ledger).start(RUN, NOON, (NOON, NOON))

    assert Requests(ledger).state(RUN)[1] == lease
    assert [row["order_id"] for row in select_rows(ledger, uncertain_orders)] == ["1"]
    assert len(select_rows(ledger, extractions)) == 1


def test_an_idle_connection_that_the_server_has_closed_is_replaced_before_a_query(
    ledger: Ledger, open_ledger: Callable[[], Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dialects, "PING_AFTER_S", 0)
    ledger.reconnect_s = 0

    end_connections(ledger, open_ledger())

    assert Runs(ledger).watermark("test", NO_LOOKBACK) is None


def test_connections_in_steady_use_are_not_tested(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialects, "PING_AFTER_S", 60)
    tested: list[object] = []
    monkeypatch.setattr(type(ledger.engine.dialect), "do_ping", lambda *given: tested.append(given))

    for _ in range(3):
        Requests(ledger).state(RUN)

    assert tested == []


def test_a_page_does_not_wait_for_a_server_that_is_lost(
    ledger: Ledger, open_ledger: Callable[[], Ledger], empty_database: str
) -> None:
    with interactive_ledger(empty_database) as shown:
        Requests(shown).state(RUN)
        end_connections(shown, open_ledger())

        with pytest.raises(LedgerError) as caught:
            Requests(shown).state(RUN)

        assert not caught.value.transient
        assert Requests(shown).state(RUN)[1] == 0  # by a new connection


def test_a_task_stops_repeating_after_its_time(
    ledger: Ledger, open_ledger: Callable[[], Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.reconnect_s = 0.5
    monkeypatch.setattr(dialects, "PING_AFTER_S", 60)
    other, attempts = open_ledger(), []

    def end_it(connection: sa.Connection, *_: object) -> None:
        attempts.append(connection)
        end_connections(ledger, other)

    sa.event.listen(ledger.engine, "begin", end_it)
    with pytest.raises(LedgerError, match="can be retried"):
        Requests(ledger).state(RUN)

    assert len(attempts) > 1
