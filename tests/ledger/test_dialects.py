"""Timeouts, deadlocks and session settings on each kind of database."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
import sqlalchemy as sa

from rees46_sync.exceptions import LedgerError, NonRetryableError
from rees46_sync.ledger import database
from rees46_sync.ledger import dialects as ledger_dialects
from rees46_sync.ledger.database import Ledger, interactive_ledger, retry_transaction
from rees46_sync.ledger.requests import RequestResult, Requests
from rees46_sync.ledger.tables import accepted_statuses, deliveries, in_flight_requests, schema_versions
from tests.conftest import accept, open_request
from tests.ledger.builders import LATER_RUN, NOON, RUN, build_orders, select_rows

HOLD = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    "mysql": "LOCK TABLES {table} WRITE",
}
RELEASE = {"sqlite": "ROLLBACK", "postgresql": "ROLLBACK", "mysql": "UNLOCK TABLES"}
LOCKED = {"sqlite": "database is locked", "postgresql": "due to lock timeout", "mysql": "Lock wait timeout exceeded"}
RUNAWAY = {
    # A few minutes, should no timeout stop it.
    "postgresql": "SELECT pg_sleep(200)",
    "mysql": "SELECT sleep(200)",
}
TOO_LONG = {"postgresql": "due to statement timeout", "mysql": "max_statement_time exceeded"}


@pytest.fixture
def short_lock_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_dialects, "LOCK_TIMEOUT_S", 1)


@contextmanager
def locked(ledger: Ledger, table: sa.Table) -> Iterator[None]:
    """Hold a lock, as a backup does, or a person who repairs something by hand."""
    with ledger.engine.connect() as connection:
        connection.exec_driver_sql(HOLD[ledger.engine.dialect.name].format(table=table.name))
        try:
            yield
        finally:
            connection.exec_driver_sql(RELEASE[ledger.engine.dialect.name])


def test_a_lock_that_is_held_too_long_becomes_an_error_that_is_retried(
    short_lock_timeout: None, ledger: Ledger, empty_database: str
) -> None:
    request = open_request(ledger, RUN, build_orders(("1", 1)))
    task = Ledger.from_conn_id(empty_database)

    with locked(ledger, in_flight_requests):
        began = time.monotonic()
        with pytest.raises(LedgerError, match=f"{LOCKED[ledger.engine.dialect.name]}.*can be retried") as caught:
            Requests(task).record_result(RUN, 0, RequestResult(request, 1, NOON))
        assert time.monotonic() - began < 20

    assert not isinstance(caught.value, NonRetryableError)
    assert select_rows(task, deliveries) == []
    Requests(task).record_result(RUN, 0, RequestResult(request, 1, NOON))
    assert Requests(task).accepted_by_partition(RUN.extraction_id) == {0: 1}
    task.engine.dispose()


@pytest.mark.parametrize("empty_database", ["postgresql", "mariadb"], indirect=True)
def test_a_statement_that_does_not_end_is_cancelled(ledger: Ledger) -> None:
    kind = ledger.engine.dialect.name
    began = time.monotonic()

    with pytest.raises(LedgerError, match=TOO_LONG[kind]), ledger.transaction(timeout_s=1) as connection:
        connection.execute(sa.text(RUNAWAY[kind])).all()

    assert time.monotonic() - began < 20
    assert Requests(ledger).count("extraction-1") == 0  # the connection can be used again


@pytest.mark.parametrize("empty_database", ["postgresql", "mariadb"], indirect=True)
def test_the_version_is_queried_once_if_the_database_does_not_answer(
    short_lock_timeout: None, ledger: Ledger, empty_database: str
) -> None:
    task = Ledger.from_conn_id(empty_database)
    statements: list[str] = []
    sa.event.listen(task.engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))

    with locked(ledger, schema_versions), pytest.raises(LedgerError, match=LOCKED[ledger.engine.dialect.name]):
        Requests(task).change_token(RUN)

    assert [schema_versions.name in statement for statement in statements].count(True) == 1
    task.engine.dispose()


@pytest.mark.parametrize("empty_database", ["postgresql", "mariadb"], indirect=True)
def test_a_page_waits_less_than_a_task(ledger: Ledger, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "INTERACTIVE_TIMEOUT_S", 1)
    with interactive_ledger(empty_database) as shown, locked(ledger, deliveries):
        began = time.monotonic()
        with pytest.raises(LedgerError, match=r"timeout|max_statement_time"):
            Requests(shown).accepted_by_partition("extraction-1")
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("scheme", ["postgres", "mysql"])
def test_a_server_that_accepts_a_connection_and_never_answers_is_given_up(
    scheme: str, short_lock_timeout: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_dialects, "STATEMENT_TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AIRFLOW_CONN_LEDGER", f"{scheme}://me:secret@127.0.0.1:{silent.getsockname()[1]}/ledger")
        ledger = Ledger.from_conn_id("ledger", connect_timeout_s=2, statement_timeout_s=1)
        began = time.monotonic()
        with pytest.raises(LedgerError):
            Requests(ledger).change_token(RUN)
        assert time.monotonic() - began < 20


def test_the_timeouts_of_one_transaction_do_not_last_into_the_next(ledger: Ledger) -> None:
    with ledger.transaction(timeout_s=1):
        pass
    with ledger.transaction() as connection:
        if connection.dialect.name == "postgresql":
            assert connection.scalar(sa.text("SHOW statement_timeout")) == "2min"
            assert connection.scalar(sa.text("SHOW lock_timeout")) == "1min"
        elif connection.dialect.name == "mysql":
            found = connection.execute(sa.text("SELECT @@max_statement_time, @@innodb_lock_wait_timeout")).one()
            assert tuple(found) == (120, 60)


@pytest.mark.parametrize("empty_database", ["postgresql"], indirect=True)
def test_postgresql_itself_keeps_statements_and_time_limits_for_the_session(ledger: Ledger) -> None:
    ledger.engine.dispose()  # the fixture's connection has prepared some
    statements = _statements(ledger.engine)
    for _ in range(8):
        Requests(ledger).change_token(RUN)

    assert len(statements) == 8
    with ledger.transaction() as connection:
        prepared = connection.scalars(sa.text("SELECT statement FROM pg_prepared_statements")).all()
        assert [deliveries.name in statement for statement in prepared] == [True]
        assert connection.scalar(sa.text("SHOW statement_timeout")) == "2min"


@pytest.mark.parametrize("empty_database", ["postgresql"], indirect=True)
def test_a_connection_that_says_never_to_prepare_is_obeyed(
    ledger: Ledger, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"AIRFLOW_CONN_{empty_database.upper()}"
    monkeypatch.setenv(name, f"{os.environ[name]}?prepare_threshold=none")

    with interactive_ledger(empty_database) as other:
        for _ in range(8):
            Requests(other).change_token(RUN)
        with other.transaction() as session:
            assert session.scalar(sa.text("SELECT count(*) FROM pg_prepared_statements")) == 0


@pytest.mark.parametrize("empty_database", ["postgresql"], indirect=True)
def test_an_order_id_is_recorded_whatever_encoding_the_roles_sessions_have(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        connection.execute(sa.text("ALTER ROLE postgres SET client_encoding = 'LATIN1'"))
    ledger.engine.dispose()
    try:
        accept(ledger, RUN, 0, build_orders(("заказ", 1)))
    finally:
        with ledger.transaction() as connection:
            connection.execute(sa.text("ALTER ROLE postgres RESET client_encoding"))

    assert [row["order_id"] for row in select_rows(ledger, accepted_statuses)] == ["заказ"]


@pytest.mark.parametrize("empty_database", ["postgresql"], indirect=True)
def test_a_pooler_that_finds_no_server_is_an_error_of_the_ledger(empty_database: str) -> None:
    class Waiting(psycopg.Cursor[tuple[object, ...]]):
        def execute(self, *_arguments: object, **_options: object) -> Waiting:  # type: ignore[override]
            raise psycopg.OperationalError("query_wait_timeout")

    with interactive_ledger(empty_database) as ledger:
        wait = lambda connection, _record: setattr(connection, "cursor_factory", Waiting)  # noqa: E731
        sa.event.listen(ledger.engine, "connect", wait, insert=True)
        with pytest.raises(LedgerError, match="query_wait_timeout; check the database of ledger_conn_id"):
            ledger.migrate()


def _statements(engine: sa.Engine) -> list[str]:
    """Return the list of statements that the engine executes from now on."""
    statements: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    return statements


@pytest.mark.parametrize("empty_database", ["mariadb"], indirect=True)
def test_mysql_truncates_nothing_and_sees_what_others_have_committed(ledger: Ledger, empty_database: str) -> None:
    with ledger.transaction() as connection:
        found = connection.execute(sa.text("SELECT @@tx_isolation, @@sql_mode")).one()
        assert found[0] == "READ-COMMITTED"
        assert "STRICT_ALL_TABLES" in found[1].split(",")
        before = connection.scalar(sa.select(sa.func.count()).select_from(deliveries))
        accept(ledger, RUN, 0, build_orders(("1", 1)))
        assert connection.scalar(sa.select(sa.func.count()).select_from(deliveries)) == (before or 0) + 1


@pytest.mark.parametrize("empty_database", ["postgresql", "mariadb"], indirect=True)
def test_two_transactions_in_a_deadlock_both_succeed(ledger: Ledger) -> None:
    one, other = (open_request(ledger, run, build_orders(("1", 1))).number for run in (RUN, LATER_RUN))
    attempts: list[int] = []
    both_began = threading.Barrier(2, timeout=20)

    @retry_transaction
    def change(first: int, second: int) -> None:
        attempts.append(first)
        with ledger.transaction() as connection:
            for number in (first, second):
                update = sa.update(in_flight_requests).where(in_flight_requests.c.id == number)
                connection.execute(update.values(shop=f"changed-{first}"))
                if number == first and attempts.count(first) == 1:
                    both_began.wait()

    threads = [threading.Thread(target=change, args=pair) for pair in ((one, other), (other, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(attempts) == 3  # one of them was rolled back and repeated
    assert len({row["shop"] for row in select_rows(ledger, in_flight_requests)}) == 1
