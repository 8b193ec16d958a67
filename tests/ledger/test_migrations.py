"""The versions of the ledger's schema: created, migrated without a loss, and refused if they are newer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from rees46_sync.exceptions import LedgerSchemaError
from rees46_sync.ledger import migrations
from rees46_sync.ledger.approvals import Approvals
from rees46_sync.ledger.confirmations import Confirmations
from rees46_sync.ledger.coverage import coverage
from rees46_sync.ledger.database import Ledger, interactive_ledger
from rees46_sync.ledger.extractions import Extractions
from rees46_sync.ledger.lookup import look_up
from rees46_sync.ledger.migrations import VERSION
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from rees46_sync.ledger.requests import RequestResult, Requests
from rees46_sync.ledger.runs import RunRef, Runs
from rees46_sync.ledger.tables import (
    accepted_statuses,
    alert_messages,
    alerts,
    confirmations,
    deliveries,
    extractions,
    in_flight_requests,
    metadata,
    schema_versions,
    sync_runs,
    uncertain_orders,
)
from rees46_sync.monitoring.alerts import AlertName, Alerts
from rees46_sync.monitoring.freshness import sync_progress
from tests.conftest import PROJECT, accept, open_request, start_extraction
from tests.ledger.builders import LATER_RUN, NOON, OPS, RUN, build_orders, hour, run_record, select_rows

FORMER = PROJECT / "tests" / "ledgers"
"""What former versions of the project left, with rows: one file for each schema version and database."""

NEW_TABLE_NAMES = {
    "rees46_open_requests": "rees46_in_flight_requests",
    "rees46_unanswered_orders": "rees46_uncertain_orders",
    "rees46_open_readings": "rees46_extractions",
    "rees46_open_extractions": "rees46_extractions",
    "rees46_overtaken_orders": "rees46_confirmations",
}
NEW_COLUMN_NAMES = {
    "rees46_uncertain_orders": {"after_id": "high_water_mark"},
    "rees46_extractions": {"after_id": "latest_confirmation_id", "began_at": "started_at"},
    "rees46_approvals": {"question": "exceeded_text"},
    "rees46_alerts": {"about": "as_of"},
    "rees46_alert_messages": {"told_at": "sent_at"},
    "rees46_retention": {"looked_at_id": "checked_up_to_id"},
}
NEW_COLUMNS: dict[int, dict[str, dict[str, Any]]] = {
    4: {
        "rees46_accepted_statuses": {"sent_at": None},
        "rees46_uncertain_orders": {"status": None, "extraction_id": "", "sent_at": "the migration"},
        "rees46_sync_runs": {"held": 0, "resent": None, "cause": None},
    },
    5: {
        "rees46_sync_runs": dict.fromkeys(
            ("newest_updated_at", "data_until", "data_late", "whole_days", "mapping_hash", "mapping")
        )
    },
    6: {
        "rees46_sync_runs": {"remedy": None, "examples": None},
        "rees46_alerts": {"remedy": None, "cause": None},
        "rees46_deliveries": {"http_status": None, "milliseconds": None},
    },
}
"""The columns that the step to a version adds to the tables that there were, with what the migrated rows have there."""

OLDER_EXTRACTION = RunRef("test", "dag", "run-1", "reading-1")
NEWER_EXTRACTION = RunRef("test", "dag", "run-2", "reading-2")
ODD_ID = "заказ-🎁 '\"\\"

Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    """A ledger without tables."""
    return open_ledger()


@pytest.fixture
def version() -> int:
    """The schema version of the former ledger."""
    return 2


@pytest.fixture
def former(ledger: Ledger, version: int) -> Ledger:
    """A ledger that a former version of the project created and filled."""
    load(ledger, version)
    return ledger


def load(ledger: Ledger, version: int) -> None:
    with ledger.engine.connect() as connection:
        kind = "mariadb" if getattr(connection.dialect, "is_mariadb", False) else connection.dialect.name
    dump = (FORMER / f"version-{version}.{kind}.sql").read_text("utf-8")
    raw: Any = ledger.engine.raw_connection()
    if isinstance(raw.driver_connection, sqlite3.Connection):
        raw.driver_connection.executescript(dump)
    elif kind == "postgresql":
        raw.driver_connection.execute(dump.encode())
    else:
        with raw.driver_connection.cursor() as cursor:
            for statement in dump.removesuffix(";\n").split(";\n"):
                cursor.execute(statement)
    raw.commit()
    raw.close()


MARIADB = pytest.param("mariadb", marks=pytest.mark.databases)
FORMER_LEDGERS = [
    pytest.param(version, kind, marks=[pytest.mark.databases] if kind == "mariadb" else [])
    for version in range(1, VERSION)
    for kind in ("sqlite", "postgresql", "mariadb")
    if kind != "mariadb" or version > 1
]
"""MariaDB was supported from version 2 on."""
EVERY_FORMER_LEDGER = pytest.mark.parametrize(
    ("version", "empty_database"), FORMER_LEDGERS, indirect=["empty_database"]
)
WITHOUT_LEASES = pytest.mark.parametrize(
    ("version", "empty_database"),
    [ledger for ledger in FORMER_LEDGERS if ledger.values[0] < 4],
    indirect=["empty_database"],
)
"""Ledgers from before version 4."""
EVERY_DATABASE = pytest.mark.parametrize("empty_database", ["sqlite", "postgresql", MARIADB], indirect=True)


def stored_rows(ledger: Ledger) -> Rows:
    """Return the rows of all tables but ``rees46_schema_versions``, under the names that they have in the database."""
    inspector = sa.inspect(ledger.engine)
    rows: Rows = {}
    with ledger.engine.connect() as connection:
        for name in sorted(inspector.get_table_names()):
            if name.startswith("rees46_") and name != schema_versions.name:
                table = sa.Table(name, sa.MetaData(), autoload_with=connection)
                found = connection.execute(sa.select(table).order_by(*table.primary_key))
                rows[name] = [dict(row) for row in found.mappings()]
    return rows


def as_migrated(before: Rows, version: int) -> Rows:
    """Return what a migration makes of the rows of a version."""
    rows: Rows = {}
    for name, table in before.items():
        new_name = NEW_TABLE_NAMES.get(name, name)
        names = NEW_COLUMN_NAMES.get(new_name, {})
        added: dict[str, Any] = {}
        for step in range(max(version, 3) + 1, VERSION + 1):
            added |= NEW_COLUMNS[step].get(new_name, {})
        rows[new_name] = [{names.get(column, column): value for column, value in row.items()} | added for row in table]
    if version < 4:
        _make_uncertain(rows)
        for row in rows.get("rees46_extractions", []):
            row |= {"window_end": None, "read_mark": row["id"], "is_open": True, "latest_confirmation_id": 0}
    return rows


def _make_uncertain(rows: Rows) -> None:
    """Replace the in-flight requests, whose loads have no lease, by uncertain orders."""
    uncertain = rows["rees46_uncertain_orders"]
    for request in rows["rees46_in_flight_requests"]:
        [(order_id, status, at)] = json.loads(request["orders"])
        source = {"source_updated_at": same_kind(uncertain[0]["source_updated_at"], datetime.fromisoformat(at))}
        columns = {"id": "new", "shop": request["shop"], "order_id": order_id, "status": status} | source
        uncertain.append(uncertain[0] | columns)
    for row in uncertain:
        del row["high_water_mark"]
    rows["rees46_in_flight_requests"] = []


def same_kind(like: datetime, moment: datetime) -> datetime:
    """Return a time in UTC as a database returns it."""
    return moment.replace(tzinfo=UTC).astimezone(like.tzinfo) if like.tzinfo else moment


def assert_migrated(migrated: Ledger, before: Rows, version: int) -> None:
    expected, after = as_migrated(before, version), stored_rows(migrated)
    if version < 4:
        former_ids = {row["id"] for row in expected["rees46_uncertain_orders"]}
        for row in after["rees46_uncertain_orders"]:
            row |= {"sent_at": "the migration", "id": row["id"] if row["id"] in former_ids else "new"}
    assert {name: after[name] for name in expected} == expected
    assert not any(after[name] for name in after.keys() - expected.keys())


def recorded_versions(version: int) -> list[int]:
    """Return the versions that a migrated ledger says it has had: those up to 3 were made by migrating version 2."""
    return [*(range(2, version + 1) if version < 4 else [version]), VERSION]


def versions(ledger: Ledger) -> list[int]:
    with ledger.engine.connect() as connection:
        return list(connection.scalars(sa.select(schema_versions.c.version).order_by(schema_versions.c.version)))


def differences(ledger: Ledger) -> list[Any]:
    """Return what differs between the tables of a database and those of ``tables.py``."""
    with ledger.engine.connect() as connection:
        ours = {"include_name": lambda name, kind, _parents: kind != "table" or str(name).startswith("rees46_")}
        context = MigrationContext.configure(connection, opts={"compare_type": True, **ours})
        found = compare_metadata(context, metadata)
    # A migration leaves the comments of columns as they were.
    return [one for one in found if not (isinstance(one, list) and one[0][0] == "modify_comment")]


def executed_statements(ledger: Ledger, call: Callable[[], object]) -> list[str]:
    statements: list[str] = []

    def record(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    sa.event.listen(ledger.engine, "before_cursor_execute", record)
    call()
    sa.event.remove(ledger.engine, "before_cursor_execute", record)
    return statements


def migrate_at_once(ledgers: list[Ledger]) -> None:
    with ThreadPoolExecutor(len(ledgers)) as threads:
        for done in [threads.submit(ledger.migrate) for ledger in ledgers]:
            done.result()


# A new ledger


def test_a_new_ledger_has_the_latest_version_and_its_tables(ledger: Ledger) -> None:
    ledger.migrate()

    assert versions(ledger) == [VERSION]
    assert differences(ledger) == []


@pytest.mark.parametrize("empty_database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("is_new", [True, False])
def test_postgresql_does_not_compress_requests_that_are_removed_within_a_second(ledger: Ledger, is_new: bool) -> None:
    if not is_new:
        load(ledger, 2)
    ledger.migrate()
    number = open_request(ledger, RUN, build_orders(*((str(number), 1) for number in range(1000)))).number

    requests = in_flight_requests.c
    with ledger.engine.connect() as connection:
        stored, written = connection.execute(
            sa.select(sa.func.pg_column_size(requests.orders), sa.func.octet_length(requests.orders)).where(
                requests.id == number
            )
        ).one()
    assert stored == written > 2000


def test_the_version_of_a_current_ledger_is_one_query(open_ledger: Callable[[], Ledger]) -> None:
    open_ledger().migrate()
    ledger = open_ledger()

    statements = executed_statements(ledger, ledger.migrate)
    later = executed_statements(ledger, lambda: Requests(ledger).change_token(RUN))

    assert [one for one in statements if "set_config" not in one and "SET " not in one] == [
        "SELECT max(rees46_schema_versions.version) AS max_1 \nFROM rees46_schema_versions"
    ]
    assert not any("rees46_schema_versions" in one for one in later)


def test_tasks_that_start_at_once_create_a_new_ledger_once(open_ledger: Callable[[], Ledger]) -> None:
    ledgers = [open_ledger() for _ in range(6)]

    migrate_at_once(ledgers)

    assert versions(ledgers[0]) == [VERSION]
    assert differences(ledgers[0]) == []


def test_a_table_that_another_task_creates_meanwhile_is_no_error(open_ledger: Callable[[], Ledger]) -> None:
    ledger, faster = open_ledger(), open_ledger()

    sa.event.listen(ledger.engine, "handle_error", lambda _: faster.migrate())
    ledger.migrate()

    assert versions(ledger) == [VERSION]


def test_a_creation_that_broke_off_is_completed(ledger: Ledger) -> None:
    """MySQL and MariaDB commit each statement, so a killed task leaves some of the tables."""
    with ledger.engine.begin() as connection:
        accepted_statuses.create(connection)
        for index in accepted_statuses.indexes:
            index.drop(connection)
        for table in (schema_versions, deliveries, in_flight_requests, alert_messages):
            table.create(connection)

    ledger.migrate()

    assert differences(ledger) == []
    assert versions(ledger) == [VERSION]


# A former one


@EVERY_FORMER_LEDGER
def test_a_former_ledger_keeps_all_its_rows_and_their_ids(former: Ledger, version: int) -> None:
    before = stored_rows(former)
    assert all(before.values())
    assert len(before) == {1: 9, 2: 12, 3: 12, 4: 14, 5: 15}[version]

    former.migrate()
    former.migrate()

    assert_migrated(former, before, version)
    assert versions(former) == recorded_versions(version)


@EVERY_FORMER_LEDGER
def test_a_migrated_ledger_has_the_tables_of_a_new_one(
    former: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    former.migrate()

    assert differences(former) == []
    if former.engine.dialect.name == "sqlite":  # that comparison knows nothing of AUTOINCREMENT
        monkeypatch.setenv("AIRFLOW_CONN_NEW", f"sqlite:///{tmp_path}/new.db")
        new = Ledger.from_conn_id("new")
        new.migrate()
        expected = {"deliveries", "in_flight_requests", "extractions", "confirmations", "alert_messages"}
        assert autoincrement_tables(former) == autoincrement_tables(new) == expected
        new.engine.dispose()


def autoincrement_tables(ledger: Ledger) -> set[str]:
    query = sa.text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'")
    with ledger.engine.connect() as connection:
        return {name.removeprefix("rees46_") for name in connection.scalars(query)}


@EVERY_FORMER_LEDGER
def test_renamed_tables_keep_their_constraints_and_have_indexes_of_their_names(former: Ledger) -> None:
    former.migrate()

    inspector = sa.inspect(former.engine)
    for table in (in_flight_requests, uncertain_orders, extractions, confirmations):
        names = {
            index["name"]
            for index in inspector.get_indexes(table.name)
            if not index["unique"]  # the index of a unique constraint keeps its name
        }
        assert names == {index.name for index in table.indexes}
    unique = inspector.get_unique_constraints(extractions.name)
    assert [one["column_names"] for one in unique] == [["extraction_id"]]


@EVERY_FORMER_LEDGER
def test_a_former_ledger_that_no_run_has_migrated_shows_its_progress(former: Ledger, version: int) -> None:
    assert former.has_runs()
    before = sync_progress(former, "test", timedelta(0))
    if version < 4:
        older = rf"older than version {VERSION} .*; wait for the next run, which migrates it"
        with pytest.raises(LedgerSchemaError, match=older):
            former.has_tables()
    else:
        assert former.has_tables()
        with former.transaction() as connection:
            for table in (sync_runs, deliveries, alerts):
                assert connection.execute(sa.select(*former.columns(table))).all()

    former.migrate()

    assert former.has_tables()
    assert before.last_success is not None
    assert sync_progress(former, "test", timedelta(0)) == before


@EVERY_FORMER_LEDGER
def test_a_former_ledger_is_used_like_a_new_one(former: Ledger) -> None:
    before = stored_rows(former)
    former.migrate()

    known = look_up(former, "test", ["1", "2", "3", "4", ODD_ID]).set_index("order_id")
    assert known["known_status"].to_dict() == {"1": 1, "2": 1, "3": -1, "4": -1, ODD_ID: 2}
    assert known["uncertain"].to_dict() == {"1": False, "2": True, "3": True, "4": True, ODD_ID: False}
    rejected = RejectedRow("1", "sent back", "2026-03-01 12:00:00", "status_unmapped")
    assert Quarantine(former).store("test", "run-9", [rejected]) == 0
    accept(former, LATER_RUN, 0, build_orders(("2", 2)))
    assert look_up(former, "test", ["2"])[["known_status", "uncertain"]].values.tolist() == [[2, False]]
    Runs(former).save(**run_record("run-2", sent=2))
    runs = [row["run_id"] for row in select_rows(former, sync_runs) if row["shop"] == "test"]
    assert runs == ["run-1", "run-2"]
    approval = Approvals(former).latest("dag", "run-1")
    assert approval is not None
    assert (approval.outcome, approval.exceeded_text, approval.decided_by) == (
        "approved",
        "2 orders would change",
        "jane",
    )
    assert Alerts(former, "test").first_seen(AlertName.RUN_FAILED, NOON) == NOON
    requests = before.get("rees46_open_requests") or before["rees46_in_flight_requests"]
    newest = max(row["id"] for row in requests)
    assert open_request(former, LATER_RUN, build_orders(("7", 1))).number > newest


@pytest.mark.clock
@WITHOUT_LEASES
def test_what_a_former_version_left_uncertain_or_in_flight_counts_as_sent_at_the_migration(former: Ledger) -> None:
    start = datetime.now(UTC)
    former.migrate()
    end = datetime.now(UTC)

    rows = select_rows(former, uncertain_orders)
    assert [(row["order_id"], row["status"], row["source_updated_at"]) for row in rows] == [
        ("2", None, NOON),
        ("3", None, NOON),
        ("4", 1, NOON),
    ]
    assert all(start <= row["sent_at"] <= end for row in rows)
    # The times of a new row are its own.
    open_request(former, LATER_RUN, build_orders(("5", 1)))
    Requests(former).take_lease("test")
    assert select_rows(former, uncertain_orders)[-1]["sent_at"] > end


@pytest.mark.clock
@WITHOUT_LEASES
def test_an_order_that_a_former_version_left_uncertain_is_certain_once_it_is_sent_again_after_a_while(
    former: Ledger,
) -> None:
    former.migrate()

    found = {}
    for after in (timedelta(minutes=50), timedelta(minutes=70)):
        request = open_request(former, LATER_RUN, build_orders(("2", 2), ("3", 2), ("4", 2)))
        Requests(former).record_result(LATER_RUN, 0, RequestResult(request, 1, datetime.now(UTC) + after))
        found[after] = look_up(former, "test", ["2", "3", "4"], settle=timedelta(hours=1))["uncertain"].tolist()
    assert list(found.values()) == [[True] * 3, [False] * 3]


IN_FLIGHT = [
    pytest.param('[["a", 2, "2026-03-01 12:00:00.000000"], ["b", 0, "2026-03-01 12:00:00"]]', (2, 0), id="list"),
    pytest.param('{"a": "2026-03-01 12:00:00.000000", "b": "2026-03-01 12:00:00"}', (None, None), id="object"),
    pytest.param("[]", (), id="no-orders"),
]


@EVERY_DATABASE
@pytest.mark.parametrize("version", [3])
@pytest.mark.parametrize(("orders", "statuses"), IN_FLIGHT)
def test_each_order_of_an_in_flight_request_becomes_uncertain(
    former: Ledger, orders: str, statuses: tuple[int | None, ...]
) -> None:
    insert(former, "rees46_in_flight_requests", {"shop": "other", "orders": orders})
    insert(former, "rees46_in_flight_requests", {"shop": "third", "orders": f'[["a", 1, "{NOON:%F %T}"]]'})

    former.migrate()

    assert select_rows(former, in_flight_requests) == []
    found = [
        (row["shop"], row["order_id"], row["status"], row["source_updated_at"])
        for row in select_rows(former, uncertain_orders)
        if row["shop"] != "test"
    ]
    of_request = [("other", order_id, status, NOON) for order_id, status in zip("ab", statuses, strict=False)]
    assert found == [*of_request, ("third", "a", 1, NOON)]


@EVERY_DATABASE
@pytest.mark.parametrize("version", [3])
@pytest.mark.parametrize(
    ("shop", "order_id", "high_water_mark", "stays"),
    [
        pytest.param("test", "1", 6, True, id="accepted-before"),
        pytest.param("test", "1", 5, False, id="accepted-after"),
        pytest.param("test", "1", 0, False, id="accepted-twice-after"),
        pytest.param("test", "never", 0, True, id="never-accepted"),
        pytest.param("third", "1", 0, True, id="another-shops-order"),
        pytest.param("test", "1 ", 0, True, id="another-id"),
    ],
)
def test_an_order_that_was_accepted_after_it_became_uncertain_is_uncertain_no_more(
    former: Ledger, shop: str, order_id: str, high_water_mark: int, stays: bool
) -> None:
    columns = {"source_updated_at": NOON, "high_water_mark": high_water_mark}
    insert(former, "rees46_uncertain_orders", {"shop": shop, "order_id": order_id, **columns})

    former.migrate()

    left = {(row["shop"], row["order_id"]) for row in select_rows(former, uncertain_orders)}
    assert ((shop, order_id) in left) == stays


def insert(ledger: Ledger, name: str, row: dict[str, Any]) -> None:
    with ledger.engine.begin() as connection:
        table = sa.Table(name, sa.MetaData(), autoload_with=connection)
        if connection.dialect.name != "postgresql":
            row = {
                column: value.replace(tzinfo=None) if column.endswith("_at") else value for column, value in row.items()
            }
        connection.execute(sa.insert(table).values(row))


@EVERY_DATABASE
@pytest.mark.parametrize("version", [3])
@pytest.mark.parametrize("missing", ["uncertain_orders", "in_flight_requests", "open_extractions", "confirmations"])
def test_a_former_ledger_whose_creation_broke_off_is_completed(former: Ledger, missing: str) -> None:
    with former.engine.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE rees46_{missing}"))

    former.migrate()

    assert differences(former) == []
    # What is in flight is not lost, whichever table is missing.
    Requests(former).take_lease("test")
    assert look_up(former, "test", ["4"]).empty == (missing == "in_flight_requests")


@EVERY_DATABASE
@pytest.mark.parametrize("version", [2, 3])
def test_an_extraction_of_a_former_version_has_read_before_each_later_one_and_may_still_send(former: Ledger) -> None:
    former.migrate()

    start_extraction(former, RUN, hour(-24), hour(0))

    of_new = Extractions(former).others(RUN)
    assert (of_new.not_earlier, of_new.later) == (frozenset(), {})
    assert {mark for mark, _ in of_new.open_earlier} == {1, 2}
    of_older = Extractions(former).others(OLDER_EXTRACTION)
    assert of_older.not_earlier == {NEWER_EXTRACTION.extraction_id, RUN.extraction_id}
    assert of_older.later == {RUN.extraction_id: (hour(-24), hour(0))}


@EVERY_DATABASE
@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_an_open_extraction_of_a_former_version_still_sees_its_confirmations(former: Ledger) -> None:
    former.migrate()
    start_extraction(former, RUN, hour(-24), hour(0))

    def since() -> dict[str, datetime]:
        others = Extractions(former).others(OLDER_EXTRACTION)
        known = look_up(former, "test", ["1", ODD_ID], OLDER_EXTRACTION.extraction_id, others)
        return dict(zip(known["order_id"], known[["sent_since", "confirmed_since"]].max(axis=1), strict=True))

    before = Requests(former).change_token(OLDER_EXTRACTION)
    assert since() == {"1": hour(1), ODD_ID: hour(2)}
    found = build_orders(("1", 1), (ODD_ID, 2), at=hour(3)).assign(is_newer=True)
    assert Confirmations(former).confirm(RUN, found, Extractions(former).others(RUN)) == 2
    assert since() == {"1": hour(3), ODD_ID: hour(3)}
    assert Requests(former).change_token(OLDER_EXTRACTION) != before


@EVERY_DATABASE
@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_a_pending_message_of_a_former_version_is_still_sent_and_a_sent_one_is_not(former: Ledger) -> None:
    former.migrate()

    assert [message["subject"] for _, message in Alerts(former, "test").pending(OPS)] == ["recovered 13:00"]


@EVERY_FORMER_LEDGER
def test_tasks_that_start_at_once_on_a_former_ledger_migrate_it_once(
    former: Ledger, open_ledger: Callable[[], Ledger], version: int
) -> None:
    before = stored_rows(former)

    migrate_at_once([open_ledger() for _ in range(6)])

    assert versions(former) == recorded_versions(version)
    assert differences(former) == []
    assert_migrated(former, before, version)


def drop_a_table_and_fail(connection: sa.Connection) -> None:
    connection.execute(sa.text("DROP TABLE rees46_approvals"))
    raise RuntimeError("the step breaks off")


@pytest.mark.parametrize("empty_database", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize(("version", "step"), [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4), (4, 5), (5, 6)])
def test_a_migration_that_breaks_off_leaves_the_ledger_as_it_was(
    former: Ledger, version: int, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stored_rows(former)
    monkeypatch.setitem(migrations.STEPS, step, drop_a_table_and_fail)

    with pytest.raises(RuntimeError, match="the step breaks off"):
        former.migrate()

    assert stored_rows(former) == before
    assert sa.inspect(former.engine).has_table(schema_versions.name) == (version > 1)


@pytest.mark.databases
@pytest.mark.parametrize(("version", "statements"), [(2, 30), (3, 15), (4, 8), (5, 5)])
def test_a_migration_that_broke_off_after_any_of_its_statements_is_completed(
    mariadb: Any, monkeypatch: pytest.MonkeyPatch, version: int, statements: int
) -> None:
    """MySQL and MariaDB commit each statement; whichever was the last, the next task goes on from there."""

    def former_ledger() -> Ledger:
        monkeypatch.setenv("AIRFLOW_CONN_LEDGER", mariadb.connection(mariadb.create_database()))
        ledger = Ledger.from_conn_id("ledger")
        load(ledger, version)
        return ledger

    whole = former_ledger()
    before = stored_rows(whole)
    changing = [one for one in executed_statements(whole, whole.migrate) if is_a_change(one)]
    assert len(changing) >= statements
    for last in range(len(changing)):
        ledger = former_ledger()
        fail_after(ledger, last)
        with pytest.raises(KilledError):
            ledger.migrate()
        ledger.engine.dispose()
        assert max(versions(ledger)) == version

        again = Ledger.from_conn_id("ledger")
        again.migrate()

        assert differences(again) == []
        assert_migrated(again, before, version)
        assert max(versions(again)) == VERSION
        again.engine.dispose()
    whole.engine.dispose()


class KilledError(Exception):
    """In place of a task that is killed."""


def is_a_change(statement: str) -> bool:
    return statement.lstrip().upper().startswith(("ALTER", "CREATE", "DROP", "RENAME", "INSERT", "UPDATE", "DELETE"))


def fail_after(ledger: Ledger, count: int) -> None:
    """Let a ledger's engine make so many changes, and fail at the next one."""
    changes: list[str] = []

    def check(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if is_a_change(statement):
            if len(changes) == count:
                raise KilledError
            changes.append(statement)

    sa.event.listen(ledger.engine, "before_cursor_execute", check)


@EVERY_DATABASE
@pytest.mark.parametrize("version", [4, 5])
def test_a_request_that_a_version_with_leases_left_in_flight_stays_so_until_the_next_load(former: Ledger) -> None:
    former.migrate()

    before = select_rows(former, uncertain_orders)
    [request] = select_rows(former, in_flight_requests)
    assert [(row["order_id"], row["status"]) for row in before] == [("2", 2), ("3", 1)]
    assert (request["extraction_id"], request["lease"]) == (NEWER_EXTRACTION.extraction_id, 1)

    assert Requests(former).take_lease("test") == 2

    assert select_rows(former, in_flight_requests) == []
    assert [row["order_id"] for row in select_rows(former, uncertain_orders)] == ["2", "3", "4"]


@EVERY_DATABASE
@pytest.mark.parametrize("version", [4, 5])
def test_runs_of_a_former_version_keep_their_watermark_and_what_they_covered(former: Ledger, version: int) -> None:
    former.migrate()

    assert Runs(former).watermark("test", timedelta(0)) == NOON
    covered = coverage(former, "other")
    start = datetime(2024, 10, 17, 13, tzinfo=UTC) - timedelta(hours=version - 4)
    assert (covered.start, covered.gaps) == (start, ())


# A newer one


OPENERS: list[Callable[[Ledger], object]] = [
    lambda ledger: ledger.migrate(),
    lambda ledger: Requests(ledger).change_token(RUN),
    lambda ledger: start_extraction(ledger, RUN, NOON, NOON),
    lambda ledger: look_up(ledger, "test", ["1"]),
    lambda ledger: open_request(ledger, RUN, build_orders(("1", 1))),
    lambda ledger: Requests(ledger).take_lease("test"),
    lambda ledger: Quarantine(ledger).store("test", "run-1", [RejectedRow("1", "", "", "")]),
    lambda ledger: Runs(ledger).save(**run_record("run-1")),
    lambda ledger: Alerts(ledger, "test").first_seen(AlertName.VOLUME, NOON),
]


def test_a_newer_ledger_is_refused_however_it_is_opened_and_nothing_is_written(
    empty_database: str, open_ledger: Callable[[], Ledger]
) -> None:
    first = open_ledger()
    first.migrate()
    newer = VERSION + 1
    with first.engine.begin() as connection:
        connection.execute(sa.insert(schema_versions).values(version=newer, since=NOON))
    before = stored_rows(first)

    problem = (
        rf"Ledger .*: its schema is version {newer}, .* versions up to {VERSION}: .* nothing was written; install .*\."
    )
    for call in OPENERS:
        with pytest.raises(LedgerSchemaError, match=problem):
            call(open_ledger())
    with interactive_ledger(empty_database) as shown, pytest.raises(LedgerSchemaError, match=problem):
        shown.has_tables()

    assert stored_rows(first) == before


# Ids


def test_the_id_of_a_removed_row_is_never_assigned_again(ledger: Ledger) -> None:
    """Otherwise the result of an earlier request would close a later one that has no result yet."""
    ledger.migrate()
    earlier = open_request(ledger, RUN, build_orders(("1", 1)))
    Requests(ledger).take_lease("test")
    later = open_request(ledger, LATER_RUN, build_orders(("2", 1)))

    Requests(ledger).record_result(RUN, 0, RequestResult(earlier, 1, NOON))

    assert later.number > earlier.number
    assert [row["id"] for row in select_rows(ledger, in_flight_requests)] == [later.number]
