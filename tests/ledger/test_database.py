"""Opening a ledger: tables are created once, writers do not disturb each other, errors name the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Timer

import pytest
import sqlalchemy as sa

from rees46_sync.exceptions import ConnectionFieldsError, LedgerError
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.lookup import look_up
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from rees46_sync.ledger.requests import InFlightRequest, RequestResult, Requests
from rees46_sync.ledger.runs import RunRef, Runs
from rees46_sync.ledger.tables import accepted_statuses, metadata, sync_runs
from tests.conftest import accept, open_request
from tests.ledger.builders import NO_LOOKBACK, NOON, RUN, build_orders, known_statuses, run_record, select_rows


def error_chain(error: BaseException | None) -> list[BaseException]:
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def test_migrating_again_keeps_the_rows(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 1)), 1)

    ledger.migrate()

    assert known_statuses(look_up(ledger, "test", ["1"])) == {"1": 1}


def test_several_tasks_can_create_the_tables_at_once(open_ledger: Callable[[], Ledger]) -> None:
    ledgers = [open_ledger() for _ in range(4)]

    with ThreadPoolExecutor(len(ledgers)) as threads:
        for done in [threads.submit(ledger.migrate) for ledger in ledgers]:
            done.result()

    assert set(sa.inspect(ledgers[0].engine).get_table_names()) >= metadata.tables.keys()


def test_opening_a_new_sqlite_ledger_waits_for_a_task_that_writes_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "ledger.db"
    monkeypatch.setenv("AIRFLOW_CONN_NEW_LEDGER", f"sqlite:///{database}")
    ledger = Ledger.from_conn_id("new_ledger")
    other_task = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    other_task.execute("CREATE TABLE another_project (id INTEGER)")
    other_task.execute("BEGIN IMMEDIATE")
    Timer(0.5, other_task.rollback).start()

    ledger.migrate()

    assert Requests(ledger).change_token(RUN).latest_batch == 0
    ledger.engine.dispose()
    other_task.close()


def test_concurrent_writers_lose_nothing(ledger: Ledger, open_ledger: Callable[[], Ledger]) -> None:
    ledgers = [open_ledger() for _ in range(4)]
    Requests(ledger).take_lease("test")

    def write(writer: int) -> None:
        run = RunRef("test", "dag", f"run-{writer}", f"extraction-{writer}")
        for batch in range(15):
            frame = build_orders(*((f"{writer}-{batch}-{number}", number % 3) for number in range(20)))
            accept(ledgers[writer], run, batch, frame, requests=1)
            look_up(ledgers[writer], "test", frame["order_id"].tolist(), run.extraction_id)
        Runs(ledgers[writer]).save(**run_record(run.run_id))

    with ThreadPoolExecutor(len(ledgers)) as threads:
        for done in [threads.submit(write, number) for number in range(len(ledgers))]:
            done.result()

    for writer in range(len(ledgers)):
        assert Requests(ledger).accepted_by_partition(f"extraction-{writer}") == dict.fromkeys(range(15), 20)
        assert Requests(ledger).count(f"extraction-{writer}") == 15
    rows = select_rows(ledger, accepted_statuses)
    assert len(rows) == 4 * 15 * 20
    assert len(select_rows(ledger, sync_runs)) == 4


REQUEST_4711 = InFlightRequest(1, 1, '[["order-4711", 1, "2026-03-01 12:00:00"]]')
UNREACHABLE = [
    pytest.param("sqlite:////no/such/folder/ledger.db", "unable to open database file", id="sqlite"),
    pytest.param("postgres://writer:top-secret@127.0.0.1:9/ledger", "Connection refused", id="postgresql"),
    pytest.param("mysql://writer:top-secret@127.0.0.1:9/ledger", "Connection refused", id="mysql"),
]


@pytest.mark.parametrize(("connection", "cause"), UNREACHABLE)
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda ledger: look_up(ledger, "test", ["order-4711"]), id="lookup"),
        pytest.param(lambda ledger: open_request(ledger, RUN, build_orders(("order-4711", 1))), id="open"),
        pytest.param(
            lambda ledger: Requests(ledger).record_result(RUN, 0, RequestResult(REQUEST_4711, 1, NOON)), id="record"
        ),
        pytest.param(
            lambda ledger: Quarantine(ledger).store("test", "run-1", [RejectedRow("order-4711", "", "", "")]), id="q"
        ),
        pytest.param(lambda ledger: Runs(ledger).watermark("test", NO_LOOKBACK), id="watermark"),
    ],
)
def test_an_unreachable_database_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, connection: str, cause: str, call: Callable[[Ledger], object]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", connection)

    with pytest.raises(LedgerError, match=f"Ledger .*{cause}.*check the database of ledger_conn_id") as caught:
        call(Ledger.from_conn_id("ledger"))

    texts = " ".join(f"{error} {error!r}" for error in error_chain(caught.value))
    assert "top-secret" not in texts
    assert "4711" not in texts


def test_a_database_error_quotes_no_rows(open_ledger: Callable[[], Ledger]) -> None:
    ledger = open_ledger()  # without tables

    with pytest.raises(LedgerError, match="rees46_in_flight_requests") as caught:
        Requests(ledger).record_result(RUN, 0, RequestResult(REQUEST_4711, 1, NOON))

    assert "4711" not in " ".join(f"{error} {error!r}" for error in error_chain(caught.value))


@pytest.mark.parametrize(
    ("connection", "problem"),
    [
        pytest.param(None, "does not exist; create it in Airflow, or set AIRFLOW_CONN_LEDGER", id="missing"),
        pytest.param("http://127.0.0.1:9", "type http.*(is not a database|has no hook here)", id="no-database"),
        pytest.param("oracle://user@127.0.0.1/x", "type oracle has no hook here.*install its", id="no-provider"),
        pytest.param("duckdb:///:memory:", "use SQLite, PostgreSQL, MySQL or MariaDB", id="no-dialect"),
    ],
)
def test_a_connection_that_cannot_be_a_ledger_says_why(
    monkeypatch: pytest.MonkeyPatch, connection: str | None, problem: str
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_LEDGER", raising=False)
    if connection:
        monkeypatch.setenv("AIRFLOW_CONN_LEDGER", connection)

    with pytest.raises(ConnectionFieldsError, match=f"Connection ledger: .*{problem}"):
        Ledger.from_conn_id("ledger")
