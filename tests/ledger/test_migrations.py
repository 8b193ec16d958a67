"""The versions of the ledger's schema: made, brought up to date without a loss, and refused where they are newer."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from rees46_sync.exceptions import LedgerSchemaError
from rees46_sync.ledger import migrations as ledger_schema
from rees46_sync.ledger import tables as ledger_tables
from rees46_sync.ledger.database import Answer, Ledger, RejectedRow
from rees46_sync.ledger.tables import alert_messages, deliveries, metadata, open_requests, schema_versions
from rees46_sync.monitoring.alerts import Alerts
from rees46_sync.monitoring.page.queries import open_reports
from tests.conftest import PROJECT, accept, open_request
from tests.ledger.test_ledger import LATER_RUN, NOON, RUN, orders_of, rows_of, run_record

FORMER = PROJECT / "tests" / "ledgers"
"""What the first version left, with rows: one file a database."""


@pytest.fixture
def open_ledger(empty_database: str) -> Iterator[Callable[[], Ledger]]:
    opened: list[Ledger] = []

    def open_one() -> Ledger:
        opened.append(Ledger.of_connection(empty_database))
        return opened[-1]

    yield open_one
    for ledger in opened:
        ledger.engine.dispose()


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    return open_ledger()


@pytest.fixture
def former(ledger: Ledger) -> Ledger:
    """A ledger that the first version made and filled."""
    dump = (FORMER / f"version-1.{ledger.engine.dialect.name}.sql").read_text("utf-8")
    raw: Any = ledger.engine.raw_connection()
    if isinstance(raw.driver_connection, sqlite3.Connection):
        raw.driver_connection.executescript(dump)
    else:
        raw.driver_connection.execute(dump.encode())
    raw.commit()
    raw.close()
    return ledger


WITH_A_FORMER_LEDGER = pytest.mark.parametrize("empty_database", ["sqlite", "postgresql"], indirect=True)


def all_rows(ledger: Ledger) -> dict[str, list[dict[str, Any]]]:
    """What a ledger holds, whichever of the tables it has."""
    there = sa.inspect(ledger.engine).get_table_names()
    return {
        name: rows_of(ledger, table)
        for name, table in metadata.tables.items()
        if name in there and table is not schema_versions
    }


def versions_of(ledger: Ledger) -> list[int]:
    with ledger.engine.connect() as connection:
        return list(connection.scalars(sa.select(schema_versions.c.version).order_by(schema_versions.c.version)))


def shape_of(ledger: Ledger) -> list[Any]:
    """What differs between the tables that are there and those of ``ledger_tables.py``."""
    with ledger.engine.connect() as connection:
        ours = {"include_name": lambda name, kind, _parents: kind != "table" or name in metadata.tables}
        context = MigrationContext.configure(connection, opts={"compare_type": True, **ours})
        differences = compare_metadata(context, metadata)
    # Former versions gave PostgreSQL no comments.
    return [one for one in differences if not (isinstance(one, list) and one[0][0] == "modify_comment")]


def statements_of(ledger: Ledger, call: Callable[[], object]) -> list[str]:
    seen: list[str] = []

    def see(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    sa.event.listen(ledger.engine, "before_cursor_execute", see)
    call()
    sa.event.remove(ledger.engine, "before_cursor_execute", see)
    return seen


def test_a_new_ledger_has_the_latest_version_and_its_tables(ledger: Ledger) -> None:
    ledger.create()

    assert versions_of(ledger) == [ledger_schema.VERSION]
    assert shape_of(ledger) == []


@pytest.mark.parametrize("empty_database", ["postgresql"], indirect=True)
def test_postgresql_does_not_compress_requests_that_it_removes_within_a_second(ledger: Ledger) -> None:
    ledger.create()
    open_request(ledger, RUN, orders_of(*((str(number), 1) for number in range(1000))))

    with ledger.engine.connect() as connection:
        stored, written = connection.execute(
            sa.select(sa.func.pg_column_size(open_requests.c.orders), sa.func.octet_length(open_requests.c.orders))
        ).one()
    assert stored == written > 2000


def test_a_current_ledger_is_only_asked_for_its_version(open_ledger: Callable[[], Ledger]) -> None:
    open_ledger().create()
    ledger = open_ledger()

    statements = statements_of(ledger, ledger.create)
    later = statements_of(ledger, lambda: ledger.mark())

    assert [one for one in statements if "set_config" not in one and "SET " not in one] == [
        "SELECT max(rees46_schema_versions.version) AS max_1 \nFROM rees46_schema_versions"
    ]
    assert not any("rees46_schema_versions" in one for one in later)


@WITH_A_FORMER_LEDGER
def test_a_ledger_of_the_first_version_loses_nothing_when_it_is_brought_up_to_date(former: Ledger) -> None:
    before = all_rows(former)
    assert all(before[name] for name in ("rees46_accepted_statuses", "rees46_open_requests", "rees46_sync_runs"))

    former.create()
    former.create()

    assert {name: rows for name, rows in all_rows(former).items() if name in before} == before
    assert versions_of(former) == [ledger_schema.VERSION]


@WITH_A_FORMER_LEDGER
def test_a_ledger_that_was_brought_up_to_date_is_as_a_new_one(
    former: Ledger, empty_database: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    former.create()

    assert shape_of(former) == []
    if former.engine.dialect.name == "sqlite":  # that comparison knows nothing of AUTOINCREMENT
        monkeypatch.setenv("AIRFLOW_CONN_NEW", f"sqlite:///{tmp_path}/new.db")
        new = Ledger.of_connection("new")
        new.create()
        counting = {"deliveries", "open_requests", "overtaken_orders", "alert_messages"}
        assert counting_tables(former) == counting_tables(new) == counting
        new.engine.dispose()


def counting_tables(ledger: Ledger) -> set[str]:
    query = sa.text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")
    with ledger.engine.connect() as connection:
        return {name.removeprefix("rees46_") for name in connection.scalars(query)}


@WITH_A_FORMER_LEDGER
def test_a_former_ledger_goes_on_where_it_was(former: Ledger) -> None:
    former.create()

    known = former.lookup("test", ["1", "2", "3", "4", "заказ-🎁 '\"\\"]).set_index("order_id")
    assert known["known_status"].to_dict() == {"1": 1, "2": 1, "3": -1, "заказ-🎁 '\"\\": 2}
    assert known["uncertain"].to_dict() == {"1": False, "2": True, "3": True, "заказ-🎁 '\"\\": False}
    broken = RejectedRow("1", "sent back", "2026-03-01 12:00:00", "status_unmapped")
    assert former.quarantine("test", "run-9", [broken]) == 0
    former.note_unanswered("test")
    assert former.lookup("test", ["4"])["uncertain"].tolist() == [True]
    accept(former, LATER_RUN, 0, orders_of(("2", 2)))
    former.save_run(**run_record("run-2", sent=2))
    assert [row["run_id"] for row in rows_of(former, ledger_tables.sync_runs)] == ["run-1", "run-2"]
    assert Alerts(former, "test").first_seen("run_failed", NOON) == NOON


@WITH_A_FORMER_LEDGER
def test_tasks_that_start_at_once_on_an_old_ledger_upgrade_it_once(
    former: Ledger, open_ledger: Callable[[], Ledger]
) -> None:
    before = all_rows(former)
    ledgers = [open_ledger() for _ in range(6)]

    with ThreadPoolExecutor(len(ledgers)) as threads:
        for done in [threads.submit(ledger.create) for ledger in ledgers]:
            done.result()

    assert versions_of(former) == [ledger_schema.VERSION]
    assert {name: rows for name, rows in all_rows(former).items() if name in before} == before


def test_tasks_that_start_at_once_make_a_new_ledger_once(open_ledger: Callable[[], Ledger]) -> None:
    ledgers = [open_ledger() for _ in range(6)]

    with ThreadPoolExecutor(len(ledgers)) as threads:
        for done in [threads.submit(ledger.create) for ledger in ledgers]:
            done.result()

    assert versions_of(ledgers[0]) == [ledger_schema.VERSION]
    assert shape_of(ledgers[0]) == []


def test_a_table_that_another_task_makes_between_two_looks_is_no_error(open_ledger: Callable[[], Ledger]) -> None:
    ledger, faster = open_ledger(), open_ledger()

    sa.event.listen(ledger.engine, "handle_error", lambda _: faster.create())
    ledger.create()

    assert versions_of(ledger) == [ledger_schema.VERSION]


def break_down(connection: sa.Connection) -> None:
    connection.execute(sa.text("DROP TABLE rees46_approvals"))
    raise RuntimeError("the step breaks down")


@WITH_A_FORMER_LEDGER
def test_an_upgrade_that_breaks_down_leaves_the_ledger_as_it_was(
    former: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_rows(former)
    monkeypatch.setitem(ledger_schema.STEPS, 2, break_down)

    with pytest.raises(RuntimeError, match="the step breaks down"):
        former.create()

    assert all_rows(former) == before
    assert not sa.inspect(former.engine).has_table(schema_versions.name)


def test_what_a_broken_off_creation_left_is_completed(ledger: Ledger) -> None:
    """MySQL and MariaDB commit each statement, so a killed task leaves what it had."""
    with ledger.engine.begin() as connection:
        ledger_tables.accepted_statuses.create(connection)
        for index in ledger_tables.accepted_statuses.indexes:
            index.drop(connection)
        schema_versions.create(connection)
        deliveries.create(connection)
        open_requests.create(connection)
        alert_messages.create(connection)

    ledger.create()

    assert shape_of(ledger) == []
    assert versions_of(ledger) == [ledger_schema.VERSION]


OPENERS: list[Callable[[Ledger], object]] = [
    lambda ledger: ledger.create(),
    lambda ledger: ledger.mark(),
    lambda ledger: ledger.lookup("test", ["1"]),
    lambda ledger: open_request(ledger, RUN, orders_of(("1", 1))),
    lambda ledger: ledger.note_unanswered("test"),
    lambda ledger: ledger.quarantine("test", "run-1", [RejectedRow("1", "", "", "")]),
    lambda ledger: ledger.save_run(**run_record("run-1")),
    lambda ledger: Alerts(ledger, "test").first_seen("volume", NOON),
]


def test_a_newer_ledger_is_refused_by_whatever_opens_it_and_nothing_is_written(
    empty_database: str, open_ledger: Callable[[], Ledger]
) -> None:
    first = open_ledger()
    first.create()
    newer = ledger_schema.VERSION + 1
    with first.engine.begin() as connection:
        connection.execute(sa.insert(schema_versions).values(version=newer, since=NOON))
    before = all_rows(first)

    fault = (
        rf"Ledger .*: its schema is version {newer}, .* versions up to {newer - 1}; .*install.* Nothing was written\."
    )
    for call in OPENERS:
        with pytest.raises(LedgerSchemaError, match=fault):
            call(open_ledger())
    with open_reports(empty_database, "test") as reports, pytest.raises(LedgerSchemaError, match=fault):
        reports.has_tables()

    assert all_rows(first) == before


def test_the_number_of_a_removed_row_is_never_given_to_another_one(ledger: Ledger) -> None:
    """Or the answer to an earlier request would close a later one, of which nobody has heard yet."""
    ledger.create()
    earlier = open_request(ledger, RUN, orders_of(("1", 1)))
    ledger.note_unanswered("test")
    later = open_request(ledger, LATER_RUN, orders_of(("2", 1)))

    ledger.record_answer(RUN, 0, Answer(earlier, 1))

    assert later.number > earlier.number
    assert [row["id"] for row in rows_of(ledger, open_requests)] == [later.number]
