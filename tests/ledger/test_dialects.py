"""Nobody waits for ever for a ledger's database, and what two tasks do at once ends well, on each kind of database."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from rees46_sync.exceptions import LedgerError, MendFirstError
from rees46_sync.ledger import dialects as ledger_dialects
from rees46_sync.ledger.database import Answer, Ledger, again_after_a_race
from rees46_sync.ledger.tables import deliveries, open_requests, schema_versions
from rees46_sync.monitoring.page import queries as reports
from rees46_sync.monitoring.page.queries import open_reports
from tests.conftest import accept, open_request
from tests.ledger.test_ledger import LATER_RUN, RUN, orders_of, rows_of

HOLD = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE",
    "mysql": "LOCK TABLES {table} WRITE",
}
RELEASE = {"sqlite": "ROLLBACK", "postgresql": "ROLLBACK", "mysql": "UNLOCK TABLES"}
LOCKED = {"sqlite": "database is locked", "postgresql": "due to lock timeout", "mysql": "Lock wait timeout exceeded"}
RUNAWAY = {
    # No more than some minutes, should nobody stop it.
    "postgresql": "SELECT pg_sleep(200)",
    "mysql": "SELECT sleep(200)",
}
TOO_LONG = {"postgresql": "due to statement timeout", "mysql": "max_statement_time exceeded"}


@pytest.fixture
def ledger(empty_database: str) -> Iterator[Ledger]:
    ledger = Ledger.of_connection(empty_database)
    ledger.create()
    yield ledger
    ledger.engine.dispose()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_dialects, "LOCK_TIMEOUT_S", 1)


@contextmanager
def locked(ledger: Ledger, table: sa.Table) -> Iterator[None]:
    """Hold a lock, as somebody does who repairs something by hand, or a backup."""
    with ledger.engine.connect() as connection:
        connection.exec_driver_sql(HOLD[ledger.engine.dialect.name].format(table=table.name))
        try:
            yield
        finally:
            connection.exec_driver_sql(RELEASE[ledger.engine.dialect.name])


def test_a_lock_that_somebody_holds_ends_in_an_error_that_is_retried_not_in_waiting(
    impatient: None, ledger: Ledger, empty_database: str
) -> None:
    request = open_request(ledger, RUN, orders_of(("1", 1)))
    task = Ledger.of_connection(empty_database)

    with locked(ledger, open_requests):
        began = time.monotonic()
        with pytest.raises(LedgerError, match=f"{LOCKED[ledger.engine.dialect.name]}.*can be retried") as caught:
            task.record_answer(RUN, 0, Answer(request, 1))
        assert time.monotonic() - began < 20

    assert not isinstance(caught.value, MendFirstError)
    assert rows_of(task, deliveries) == []
    task.record_answer(RUN, 0, Answer(request, 1))
    assert task.delivered(RUN.extraction_id) == {0: 1}
    task.engine.dispose()


@pytest.mark.parametrize("empty_database", ["postgresql", "mariadb"], indirect=True)
def test_a_statement_without_an_end_is_given_up(ledger: Ledger) -> None:
    kind = ledger.engine.dialect.name
    began = time.monotonic()

    with pytest.raises(LedgerError, match=TOO_LONG[kind]), ledger.transaction(timeout_s=1) as connection:
        connection.execute(sa.text(RUNAWAY[kind])).all()

    assert time.monotonic() - began < 20
    assert ledger.mark() == 0  # the connection is of use again


@pytest.mark.parametrize("empty_database", ["postgresql", "mariadb"], indirect=True)
def test_a_ledger_whose_version_does_not_come_is_asked_for_it_once(
    impatient: None, ledger: Ledger, empty_database: str
) -> None:
    task = Ledger.of_connection(empty_database)
    asked: list[str] = []
    sa.event.listen(task.engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))

    with locked(ledger, schema_versions), pytest.raises(LedgerError, match=LOCKED[ledger.engine.dialect.name]):
        task.mark()

    assert [schema_versions.name in statement for statement in asked].count(True) == 1
    task.engine.dispose()


@pytest.mark.parametrize("empty_database", ["postgresql", "mariadb"], indirect=True)
def test_a_page_waits_less_than_a_task(ledger: Ledger, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "STATEMENT_TIMEOUT_S", 1)
    with open_reports(empty_database, "test") as shown, locked(ledger, deliveries):
        began = time.monotonic()
        with pytest.raises(LedgerError, match=r"timeout|max_statement_time"):
            shown.ledger.delivered("reading-1")
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("scheme", ["postgres", "mysql"])
def test_a_server_that_takes_the_call_and_says_nothing_is_not_waited_for(
    scheme: str, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_dialects, "STATEMENT_TIMEOUT_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AIRFLOW_CONN_LEDGER", f"{scheme}://me:secret@127.0.0.1:{silent.getsockname()[1]}/ledger")
        ledger = Ledger.of_connection("ledger", connect_timeout_s=2, statement_timeout_s=1)
        began = time.monotonic()
        with pytest.raises(LedgerError):
            ledger.mark()
        assert time.monotonic() - began < 20


def test_what_is_asked_of_the_server_lasts_for_its_transaction_or_is_said_anew(ledger: Ledger) -> None:
    with ledger.transaction(timeout_s=1):
        pass
    with ledger.transaction() as connection:
        if connection.dialect.name == "postgresql":
            assert connection.scalar(sa.text("SHOW statement_timeout")) == "2min"
            assert connection.scalar(sa.text("SHOW lock_timeout")) == "1min"
        elif connection.dialect.name == "mysql":
            found = connection.execute(sa.text("SELECT @@max_statement_time, @@innodb_lock_wait_timeout")).one()
            assert tuple(found) == (120, 60)


@pytest.mark.parametrize("empty_database", ["mariadb"], indirect=True)
def test_mysql_cuts_nothing_off_and_sees_what_others_have_committed(ledger: Ledger, empty_database: str) -> None:
    with ledger.transaction() as connection:
        found = connection.execute(sa.text("SELECT @@tx_isolation, @@sql_mode")).one()
        assert found[0] == "READ-COMMITTED"
        assert "STRICT_ALL_TABLES" in found[1].split(",")
        before = connection.scalar(sa.select(sa.func.count()).select_from(deliveries))
        accept(ledger, RUN, 0, orders_of(("1", 1)))
        assert connection.scalar(sa.select(sa.func.count()).select_from(deliveries)) == (before or 0) + 1


@pytest.mark.parametrize("empty_database", ["postgresql", "mariadb"], indirect=True)
def test_two_that_wait_for_each_other_both_get_what_they_want(ledger: Ledger) -> None:
    one, other = (open_request(ledger, run, orders_of(("1", 1))).number for run in (RUN, LATER_RUN))
    tries: list[int] = []
    both_began = threading.Barrier(2, timeout=20)

    @again_after_a_race
    def change(first: int, second: int) -> None:
        tries.append(first)
        with ledger.transaction() as connection:
            for number in (first, second):
                update = sa.update(open_requests).where(open_requests.c.id == number)
                connection.execute(update.values(shop=f"changed-{first}"))
                if number == first and tries.count(first) == 1:
                    both_began.wait()

    threads = [threading.Thread(target=change, args=pair) for pair in ((one, other), (other, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(tries) == 3  # one of them was ended, and did it again
    assert len({row["shop"] for row in rows_of(ledger, open_requests)}) == 1
