"""The doctor: what it finds of a shop, and that it changes nothing."""

from __future__ import annotations

import json
import os
import pty
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from local import demo
from rees46_sync.doctor import checks, report
from rees46_sync.doctor import connections as databases
from rees46_sync.doctor import query_plans as plans
from rees46_sync.doctor.__main__ import main
from rees46_sync.doctor.findings import Finding, Level, Report, within
from rees46_sync.ledger.database import Ledger, RejectedRow
from rees46_sync.ledger.tables import metadata
from rees46_sync.shop.shop import Shop, load_shop
from tests.clock import is_moved
from tests.conftest import PROJECT, SECRET, ShopUnderTest
from tests.e2e.airflow_stack import postgres_connection, postgres_uri
from tests.mariadb import MariaDB
from tests.whole_run import make_metadata_database

NOW = datetime.now(UTC).replace(microsecond=0, tzinfo=None)
"""When these tests are collected; the doctor looks a day back, and finds what is dated by this for 22 hours."""

AN_HOUR_AGO = NOW - timedelta(hours=1)
PASSWORD = "p4ss-of-the-warehouse"
ROWS = [
    ("1", "new", AN_HOUR_AGO - timedelta(hours=1)),
    ("1", "paid", AN_HOUR_AGO),
    ("2", "delivered", AN_HOUR_AGO),
    ("3", "cancelled", AN_HOUR_AGO),
    ("4", "fraud", AN_HOUR_AGO),
]

Break = Callable[[ShopUnderTest, pytest.MonkeyPatch], object]


@pytest.fixture(autouse=True)
def _metadata_database() -> None:
    make_metadata_database()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what the command line sets for its process taken back after each test."""
    for name in ("_AIRFLOW_PROCESS_CONTEXT", "AIRFLOW__LOGGING__LOGGING_LEVEL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def healthy(shop: ShopUnderTest) -> ShopUnderTest:
    """A shop whose SQLite warehouse has an index and some good rows of the last hours."""
    with closing(sqlite3.connect(shop.warehouse)) as db, db:
        db.execute("CREATE INDEX orders_updated_at ON orders (updated_at)")
    shop.add_rows(ROWS)
    return shop


def examined(shop: Shop, days: float = 1) -> list[Finding]:
    return checks.examine(shop, days).findings


def about(findings: list[Finding], check: str) -> list[Finding]:
    return [finding for finding in findings if finding.check == check]


def in_words(findings: list[Finding]) -> list[str]:
    return [f"{finding.level} {finding.check}: {finding.value}" for finding in findings]


def arguments(shop: ShopUnderTest, *more: str) -> list[str]:
    return ["--env-file", str(shop.folder / "none.env"), *more]


# A healthy shop


@pytest.fixture(params=["sqlite", "duckdb", "postgres", "mysql"])
def healthy_anywhere(request: pytest.FixtureRequest, healthy: ShopUnderTest) -> ShopUnderTest:
    """The same in each database; the ledger is in SQLite, and in PostgreSQL where the warehouse is there."""
    if is_moved() and request.param in ("postgres", "mysql"):
        pytest.skip("the clock of a server is not moved, and the doctor compares it with ours")
    if request.param == "duckdb":
        file = healthy.folder / "warehouse.duckdb"
        with closing(duckdb.connect(file)) as db:
            db.execute("CREATE TABLE orders (order_id VARCHAR, status VARCHAR, updated_at TIMESTAMP)")
            db.executemany("INSERT INTO orders VALUES (?, ?, ?)", ROWS)
        healthy.connect("shop_warehouse", json.dumps({"conn_type": "duckdb", "host": str(file)}))
    elif request.param == "postgres":
        home: Path = request.getfixturevalue("postgres_home")
        fill_postgres(home, ROWS)
        healthy.connect("shop_warehouse", postgres_connection(home, "postgres"))
        healthy.connect("shop_ledger", postgres_connection(home, "postgres"))
    elif request.param == "mysql":
        server: MariaDB = request.getfixturevalue("mariadb")
        database = server.create_database()
        server.execute(
            "CREATE TABLE orders (order_id TEXT, status TEXT, updated_at DATETIME(6))",
            f"INSERT INTO orders VALUES {', '.join(str((row[0], row[1], str(row[2]))) for row in ROWS)}",
            database=database,
        )
        healthy.connect("shop_warehouse", server.connection(database))
    return healthy


def fill_postgres(home: Path, rows: list[tuple[str, str, datetime]]) -> sa.Engine:
    engine = sa.create_engine(postgres_uri(home, "postgres"), isolation_level="AUTOCOMMIT")
    metadata.drop_all(engine)
    with engine.connect() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS orders"))
        connection.execute(sa.text("CREATE TABLE orders (order_id text, status text, updated_at timestamp)"))
        for order_id, status, updated_at in rows:
            values = {"id": order_id, "status": status, "updated_at": updated_at}
            connection.execute(sa.text("INSERT INTO orders VALUES (:id, :status, :updated_at)"), values)
    return engine


@pytest.mark.clock
def test_a_healthy_shop_has_neither_errors_nor_warnings(healthy_anywhere: ShopUnderTest) -> None:
    findings = examined(healthy_anywhere.configure())
    assert [line for line in in_words(findings) if not line.startswith("ok")] == []
    [rows] = about(findings, "query.rows")
    assert rows.data["rows"] == 5
    assert about(findings, "query.duplicate_ids")[0].data == {"rows": 1}
    assert about(findings, "query.columns")[0].data == {"columns": ["order_id", "status", "updated_at"]}
    statuses = {
        (one.data["status"], one.data["orders"], one.data["meaning"]) for one in about(findings, "status.mapped")
    }
    assert statuses == {
        ("paid", 1, "created"),
        ("delivered", 1, "completed"),
        ("cancelled", 1, "cancelled"),
        ("fraud", 1, "cancelled"),
    }
    assert about(findings, "status.absent")[0].data == {"statuses": ["new"]}
    assert about(findings, "ledger.tables")[0].value == "not there yet"
    assert abs(about(findings, "warehouse.clock")[0].data["difference_s"]) < 5


def test_the_fields_of_the_rees46_connection_are_shown(healthy: ShopUnderTest) -> None:
    [connection] = about(examined(healthy.configure()), "rees46.connection")
    assert connection.data == {
        "url": f"{healthy.sandbox.url}/import/sync_orders",
        "dialect": "import_sync_orders",
        "concurrency": 8,
        "timeout_s": 30,
        "min_interval_s": 0,
    }


@pytest.mark.clock
def test_a_run_is_seen_in_the_ledger(healthy: ShopUnderTest) -> None:
    store = Ledger.of_connection("shop_ledger")
    store.create()
    save_run(store, "hourly", datetime.now(UTC) - timedelta(hours=1))
    store.quarantine("test", "hourly", [RejectedRow("9", "odd", "now", "status_unmapped")])
    findings = examined(healthy.configure())
    [last] = about(findings, "ledger.last_success")
    assert (last.level, last.data["failed_since"]) == (Level.OK, 0)
    assert about(findings, "ledger.covered_until")[0].data["covered_until"]
    assert about(findings, "ledger.quarantine")[0].data == {"rows": 1, "reasons": {"status_unmapped": 1}}


def save_run(store: Ledger, run_id: str, finished_at: datetime, outcome: str = "success") -> None:
    names = ("read", "sent", "unchanged", "superseded", "stale", "reopened", "rejected", "failed", "requests")
    store.save_run(
        shop="test",
        dag_id="order_status_sync_test",
        run_id=run_id,
        window_start=finished_at - timedelta(days=1),
        window_end=finished_at,
        window_widened=True,
        outcome=outcome,
        started_at=finished_at,
        finished_at=finished_at,
        **dict.fromkeys(names, 0),
    )


# One broken thing each


@dataclass(frozen=True)
class Broken:
    """
    One thing that is broken, and what the doctor has to say.

    :param how: breaks it in a healthy shop; returns keys for the shop file, or nothing.
    """

    how: Break
    check: str
    level: Level
    value: str
    remedy: str


def without(conn_id: str) -> Break:
    return lambda _, monkeypatch: monkeypatch.delenv(f"AIRFLOW_CONN_{conn_id.upper()}")


def connected(conn_id: str, connection: str) -> Break:
    return lambda shop, _: shop.connect(conn_id, connection.format(folder=shop.folder, port=shop.sandbox.port))


def rees46(**fields: object) -> Break:
    def change(shop: ShopUnderTest, _: object) -> None:
        whole = {"conn_type": "http", "host": "127.0.0.1", "port": shop.sandbox.port, "schema": "http"}
        shop.connect("shop_rees46", json.dumps(whole | {"login": "key", "password": SECRET} | fields))

    return change


def rows(*more: tuple[object, object, object]) -> Break:
    return lambda shop, _: shop.add_rows(more)


def key(name: str, value: object) -> Break:
    return lambda _shop, _monkeypatch: {name: value}


def query(text: str) -> Break:
    return lambda shop, _: (shop.shops / "orders.sql").write_text(text) and None


def without_index(shop: ShopUnderTest, _: object) -> None:
    with closing(sqlite3.connect(shop.warehouse)) as db, db:
        db.execute("DROP INDEX orders_updated_at")


def pool_of(slots: int) -> Break:
    def change(_shop: object, _monkeypatch: object) -> dict[str, Any]:
        from airflow.models.pool import Pool
        from airflow.utils.session import create_session

        with create_session() as session:
            name = f"rees46_slots{abs(slots)}"
            Pool.create_or_update_pool(name, slots=slots, description="", include_deferred=False, session=session)
        return {"shop": f"slots{abs(slots)}"}

    return change


def runs(*outcomes_and_ages: tuple[str, int]) -> Break:
    def change(_shop: object, _monkeypatch: object) -> None:
        store = Ledger.of_connection("shop_ledger")
        store.create()
        for outcome, hours in outcomes_and_ages:
            save_run(store, f"{outcome}-{hours}", datetime.now(UTC) - timedelta(hours=hours), outcome)
        store.engine.dispose()

    return change


def half_a_ledger(shop: ShopUnderTest, _: object) -> None:
    with closing(sqlite3.connect(shop.ledger_file)) as db, db:
        db.execute("CREATE TABLE rees46_sync_runs (id)")


def no_metadata_database(shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{shop.folder}/nowhere.db")


OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR
BROKEN = {
    "no-warehouse": Broken(
        without("shop_warehouse"),
        "warehouse.connection",
        ERROR,
        "Connection shop_warehouse: does not exist",
        "create it",
    ),
    "unreadable-connection": Broken(
        connected("shop_warehouse", f"postgres://reader:{PASSWORD}/x@127.0.0.1:1/db"),
        "warehouse.connection",
        ERROR,
        "AIRFLOW_CONN_SHOP_WAREHOUSE cannot be read",
        "percent-encode",
    ),
    "no-warehouse-file": Broken(
        connected("shop_warehouse", "sqlite:///{folder}/none.db"),
        "warehouse.connection",
        ERROR,
        "there is no file /",
        "correct the connection",
    ),
    "no-duckdb-file": Broken(
        connected("shop_warehouse", '{{"conn_type": "duckdb", "host": "{folder}/none.duckdb"}}'),
        "warehouse.connection",
        ERROR,
        "there is no file /",
        "correct the connection",
    ),
    "warehouse-is-down": Broken(
        connected("shop_warehouse", f"postgres://reader:{PASSWORD}@127.0.0.1:1/db"),
        "warehouse.connection",
        ERROR,
        "shop_warehouse (postgres, host 127.0.0.1, port 1, schema db) does not answer: connection failed",
        "look whether the database is up",
    ),
    "warehouse-is-none": Broken(
        connected("shop_warehouse", "http://127.0.0.1"),
        "warehouse.connection",
        ERROR,
        "type http is not a database",
        "use a SQL connection",
    ),
    "warehouse-without-a-provider": Broken(
        connected("shop_warehouse", "oracle://127.0.0.1/orders"),
        "warehouse.connection",
        ERROR,
        "type oracle has no hook here",
        "provider",
    ),
    "no-table": Broken(
        query("SELECT * FROM nowhere WHERE updated_at >= :window_start AND updated_at < :window_end"),
        "query.rows",
        ERROR,
        "no such table: nowhere",
        "Check that the database answers",
    ),
    "no-plan": Broken(
        query("SELECT * FROM nowhere WHERE updated_at >= :window_start AND updated_at < :window_end"),
        "query.plan",
        WARNING,
        "does not explain the query: no such table: nowhere",
        "see query.rows",
    ),
    "wrong-columns": Broken(
        query("SELECT order_id AS id, status FROM orders WHERE :window_start < :window_end"),
        "query.columns",
        ERROR,
        "returns the column order_id not at all (its columns: id, status)",
        "name the columns order_id, status and updated_at",
    ),
    "no-index": Broken(without_index, "query.plan", WARNING, "reads the whole of orders", "index on updated_at"),
    "no-rows": Broken(lambda shop, _: shop.clear_rows(), "query.rows", WARNING, "no rows in [", "--days"),
    "unmapped": Broken(
        rows(("5", "on hold", AN_HOUR_AGO), ("6", "on hold", AN_HOUR_AGO)),
        "status.unmapped",
        ERROR,
        "'on hold', 2 orders, for example '5': UNMAPPED",
        "into test.yaml:\ncreated: [new, paid, on hold]\ncompleted: [delivered, on hold]\ncancelled: ",
    ),
    "no-time": Broken(
        rows(("5", "new", None)), "rows.updated_at_missing", WARNING, "1 row: the row has no updated_at", "mend"
    ),
    "no-id": Broken(
        rows((None, "new", AN_HOUR_AGO), (None, "new", AN_HOUR_AGO)), "rows.order_id_missing", WARNING, "2 rows", "mend"
    ),
    "blank-id": Broken(rows((" ", "new", AN_HOUR_AGO)), "rows.order_id_blank", WARNING, "1 row", "mend these rows"),
    "older-versions": Broken(
        rows(("2", "new", AN_HOUR_AGO), ("2", "paid", AN_HOUR_AGO)), "query.duplicate_ids", OK, "3 rows are older", ""
    ),
    "much-is-rejected": Broken(
        lambda shop, _: shop.add_rows([("5", "new", None)]) or {"limits": {"rejected_share": 0.1}},
        "limits.rejected_share",
        ERROR,
        "1 of 6 rows would be rejected, 0.1667 (limit 0.1)",
        "raise limits.rejected_share in test.yaml",
    ),
    "much-would-change": Broken(
        key("limits", {"changed_orders": 3}),
        "limits.changed_orders",
        WARNING,
        "at most 4 orders would change (limit 3)",
        "ignore_limits",
    ),
    "no-rees46": Broken(without("shop_rees46"), "rees46.connection", ERROR, "does not exist", "create it in Airflow"),
    "no-secret": Broken(rees46(password=""), "rees46.connection", ERROR, "password is empty", "secret key"),
    "unencrypted": Broken(rees46(host="0.0.0.0"), "rees46.connection", WARNING, "url http://0.0.0.0", "schema http"),
    "rees46-is-down": Broken(rees46(port=1), "rees46.reached", ERROR, "127.0.0.1:1 cannot be reached", "correct host"),
    "no-ledger": Broken(without("shop_ledger"), "ledger.connection", ERROR, "does not exist", "create it in Airflow"),
    "no-ledger-folder": Broken(
        connected("shop_ledger", "sqlite:///{folder}/none/ledger.db"),
        "ledger.connection",
        ERROR,
        "there is no file yet",
        "make the folder /",
    ),
    "no-ledger-file": Broken(
        connected("shop_ledger", "sqlite:///{folder}/none.db"),
        "ledger.connection",
        OK,
        "no file yet",
        "first run makes",
    ),
    "ledger-is-down": Broken(
        connected("shop_ledger", f"postgres://writer:{PASSWORD}@127.0.0.1:1/db"),
        "ledger.connection",
        ERROR,
        "does not answer",
        "look whether the database is up",
    ),
    "ledger-is-none": Broken(
        connected("shop_ledger", '{{"conn_type": "duckdb"}}'),
        "ledger.tables",
        ERROR,
        "Connection shop_ledger: its type has no SQLAlchemy dialect",
        "use SQLite, PostgreSQL, MySQL or MariaDB",
    ),
    "half-a-ledger": Broken(
        half_a_ledger, "ledger.tables", OK, "rees46_unanswered_orders: not there yet", "the next run makes them"
    ),
    "failed-runs": Broken(
        runs(("success", 3), ("failed", 2), ("failed", 1)),
        "ledger.last_success",
        WARNING,
        "2 failed since",
        "account_for_rows of the latest run of order_status_sync_test",
    ),
    "only-failed-runs": Broken(
        runs(("failed", 1)), "ledger.last_success", WARNING, "no regular run has succeeded yet, and 1 failed", "see"
    ),
    "long-ago": Broken(
        runs(("success", 30)),
        "ledger.last_success",
        WARNING,
        "more than 24 hours ago",
        "order_status_sync_test is unpaused",
    ),
    "staging": Broken(
        key("staging", "file:///proc/nobody"),
        "staging.write",
        ERROR,
        "cannot be written",
        "correct staging in the shop",
    ),
    "staging-of-no-kind": Broken(
        key("staging", "nothing://bucket/folder"), "staging.write", ERROR, "'nothing'", "correct staging in test.yaml"
    ),
    "three-slots": Broken(pool_of(3), "pool", WARNING, "has 3 slots: an older status", "pools set rees46_slots3 1"),
    "no-slots": Broken(pool_of(0), "pool", ERROR, "has 0 slots: no load will ever start", "pools set rees46_slots0 1"),
    "endless-slots": Broken(pool_of(-1), "pool", WARNING, "has endless slots", "pools set"),
    "one-slot": Broken(pool_of(1), "pool", OK, "rees46_slots1 has one slot", ""),
    "no-airflow": Broken(no_metadata_database, "pool", WARNING, "cannot be asked for pool rees46_test", "AIRFLOW_HOME"),
}


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(broken, id=name, marks=[pytest.mark.clock] if broken.check == "ledger.last_success" else [])
        for name, broken in BROKEN.items()
    ],
)
def test_one_broken_thing_is_found_and_hides_no_other(
    healthy: ShopUnderTest, monkeypatch: pytest.MonkeyPatch, broken: Broken
) -> None:
    keys = {"shop": "test"} | (broken.how(healthy, monkeypatch) or {})  # type: ignore[operator]
    findings = examined(healthy.configure(**keys))

    [finding] = about(findings, broken.check)
    assert (finding.level, finding.check) == (broken.level, broken.check)
    assert broken.value in finding.value
    assert broken.remedy in finding.remedy
    assert bool(finding.remedy) == bool(broken.remedy)
    assert "Also" not in finding.value
    # Every other part was examined all the same.
    parts = {"warehouse.connection", "rees46.connection", "ledger.connection", "staging.write", "pool"}
    assert parts <= {one.check for one in findings} | {broken.check}
    text = report.as_text([Report("test", "", findings)])
    assert PASSWORD not in text
    assert SECRET not in text


def test_a_missing_file_is_not_made(healthy: ShopUnderTest) -> None:
    healthy.connect("shop_warehouse", f"sqlite:///{healthy.folder}/none.db")
    healthy.connect("shop_ledger", f"sqlite:///{healthy.folder}/none-either.db")
    examined(healthy.configure())
    assert list(healthy.folder.glob("none*")) == []


def test_a_database_that_never_answers_is_given_up(healthy: ShopUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = f"postgres://reader:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/db"
        healthy.connect("shop_warehouse", connection)
        findings = examined(healthy.configure())
    [finding] = about(findings, "warehouse.connection")
    assert (finding.level, finding.value[-34:]) == (Level.ERROR, "not answer: no answer within 0.5 s")


def test_what_is_raised_in_time_is_raised_and_what_is_returned_is_returned() -> None:
    assert within(5, lambda: 46) == 46
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)


def test_many_unmapped_statuses_do_not_flood_the_report(healthy: ShopUnderTest) -> None:
    healthy.add_rows([(str(n), f"odd-{n}", AN_HOUR_AGO) for n in range(100, 150)])
    found = about(examined(healthy.configure()), "status.unmapped")
    assert len(found) == 21
    assert found[-1].value == "30 more statuses: UNMAPPED"


@pytest.mark.clock
def test_a_longer_time_reads_more(healthy: ShopUnderTest) -> None:
    healthy.add_rows([("old", "new", NOW - timedelta(days=5))])
    shop = healthy.configure()
    assert about(examined(shop), "query.rows")[0].data["rows"] == 5
    assert about(examined(shop, days=7), "query.rows")[0].data["rows"] == 6


def test_partitions_are_added_up(healthy: ShopUnderTest) -> None:
    healthy.add_rows([("5", "odd", AN_HOUR_AGO), ("6", "odd", AN_HOUR_AGO), (None, "new", None)])
    findings = examined(healthy.configure(partition_rows=1))
    assert about(findings, "status.unmapped")[0].data["orders"] == 2
    assert about(findings, "limits.rejected_share")[0].value.startswith("3 of 8 rows")
    assert sum(one.data["orders"] for one in about(findings, "status.mapped")) == 5


# PostgreSQL and the plans


def test_a_large_table_without_an_index_is_a_full_scan_and_with_one_it_is_not(
    postgres_home: Path, healthy: ShopUnderTest
) -> None:
    engine = fill_postgres(postgres_home, [])
    healthy.connect("shop_warehouse", postgres_connection(postgres_home, "postgres"))
    with engine.connect() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO orders SELECT n, 'paid', timestamp '2026-01-01' + n * interval '1 second' "
                "FROM generate_series(1, 200000) AS n"
            )
        )
        connection.execute(sa.text("ANALYZE orders"))
        [before] = about(examined(healthy.configure()), "query.plan")
        connection.execute(sa.text("CREATE INDEX orders_updated_at ON orders (updated_at)"))
        [after] = about(examined(healthy.configure()), "query.plan")
    engine.dispose()
    assert (before.level, before.data) == (Level.WARNING, {"whole_tables": ["orders"]})
    assert (after.level, after.data) == (Level.OK, {"whole_tables": []})


def test_a_large_table_of_mysql_without_an_index_is_a_full_scan_and_with_one_it_is_not(
    mariadb: MariaDB, healthy: ShopUnderTest
) -> None:
    database = mariadb.create_database()
    mariadb.execute(
        "CREATE TABLE orders AS SELECT seq AS order_id, 'paid' AS status, "
        "TIMESTAMP '2026-01-01 00:00:00' + INTERVAL seq SECOND AS updated_at FROM seq_1_to_100000",
        "ANALYZE TABLE orders",
        database=database,
    )
    healthy.connect("shop_warehouse", mariadb.connection(database))

    [before] = about(examined(healthy.configure()), "query.plan")
    mariadb.execute("CREATE INDEX orders_updated_at ON orders (updated_at)", database=database)
    [after] = about(examined(healthy.configure()), "query.plan")

    assert (before.level, before.data) == (Level.WARNING, {"whole_tables": ["orders"]})
    assert (after.level, after.data) == (Level.OK, {"whole_tables": []})


@pytest.mark.parametrize(("hours", "level"), [(-2, Level.WARNING), (2, Level.WARNING), (0, Level.OK)])
def test_a_wrong_clock_of_mysql_is_a_warning(
    mariadb: MariaDB, healthy: ShopUnderTest, hours: int, level: Level
) -> None:
    database = mariadb.create_database()
    reader = mariadb.create_user("secret", f"SELECT ON {database}.*")
    healthy.connect("shop_warehouse", mariadb.connection(database, reader, "secret"))
    # Whoever is no administrator gets this clock.
    mariadb.execute(f"SET GLOBAL init_connect = 'SET timestamp = UNIX_TIMESTAMP() + {hours} * 3600'")
    try:
        [clock] = about(examined(healthy.configure()), "warehouse.clock")
    finally:
        mariadb.execute("SET GLOBAL init_connect = ''")

    assert clock.level == level
    assert clock.data["difference_s"] == pytest.approx(hours * 3600, abs=10)


@pytest.mark.parametrize(("hours", "level"), [(-2, Level.WARNING), (2, Level.WARNING), (0, Level.OK)])
def test_a_wrong_clock_is_a_warning_that_says_why(
    postgres_home: Path, healthy: ShopUnderTest, hours: int, level: Level
) -> None:
    engine = sa.create_engine(postgres_uri(postgres_home, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("DROP DATABASE IF EXISTS wrong_clock"))
        connection.execute(sa.text("CREATE DATABASE wrong_clock"))
        # The function of this name that is found first is the one that counts.
        connection.execute(sa.text("ALTER DATABASE wrong_clock SET search_path TO public, pg_catalog"))
    inside = sa.create_engine(postgres_uri(postgres_home, "wrong_clock"), isolation_level="AUTOCOMMIT")
    with inside.connect() as connection:
        connection.execute(
            sa.text(
                "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
                f"$$ SELECT pg_catalog.clock_timestamp() + interval '{hours} hours' $$"
            )
        )
    inside.dispose()
    engine.dispose()
    healthy.connect("shop_warehouse", postgres_connection(postgres_home, "wrong_clock"))
    [clock] = about(examined(healthy.configure()), "warehouse.clock")
    assert clock.level == level
    assert clock.data["difference_s"] == pytest.approx(hours * 3600, abs=10)
    assert ("window" in clock.remedy) == (level is Level.WARNING)


@pytest.mark.parametrize(
    ("condition", "level"),
    [
        ("updated_at >= :window_start AND updated_at < :window_end", Level.OK),
        (
            "date_trunc('day', updated_at) + INTERVAL 1 HOUR >= :window_start AND :window_end > '2000-01-01'",
            Level.WARNING,
        ),
    ],
)
def test_duckdb_needs_no_index_but_a_column_that_is_compared_as_it_is(
    healthy: ShopUnderTest, condition: str, level: Level
) -> None:
    file = healthy.folder / "large.duckdb"
    with closing(duckdb.connect(file)) as db:
        db.execute(
            "CREATE TABLE orders AS SELECT n::VARCHAR AS order_id, 'new' AS status, "
            "TIMESTAMP '2026-01-01' + n * INTERVAL 1 SECOND AS updated_at FROM range(200000) t(n)"
        )
    healthy.connect("shop_warehouse", json.dumps({"conn_type": "duckdb", "host": str(file)}))
    (healthy.shops / "orders.sql").write_text(f"SELECT order_id, status, updated_at FROM orders WHERE {condition}")
    [plan] = about(examined(healthy.configure()), "query.plan")
    assert plan.level == level
    assert ("sorted" in plan.remedy) == (level is Level.WARNING)


@pytest.mark.parametrize(
    ("details", "tables"),
    [
        (["SCAN orders"], ["orders"]),
        (["SCAN orders USING COVERING INDEX i"], ["orders"]),
        (["SEARCH orders USING INDEX i (updated_at>?)"], []),
        (["CO-ROUTINE recent", "SEARCH orders USING INDEX i (updated_at>?)", "SCAN recent"], []),
        (["SCAN CONSTANT ROW", "SCAN (subquery-1)"], []),
    ],
)
def test_sqlite_plans_are_read(details: list[str], tables: list[str]) -> None:
    assert plans.sqlite_scans([(0, 0, 0, detail) for detail in details]) == tables


@pytest.mark.parametrize(
    ("row", "tables"),
    [
        ((1, "SIMPLE", "orders", None, "ALL", None, None, None, None, 90_000, 11.1, "Using where"), ["orders"]),
        ((1, "SIMPLE", "orders", None, "index", None, "i", "5", None, 90_000, 11.1, "Using where"), ["orders"]),
        ((1, "SIMPLE", "orders", None, "ALL", None, None, None, None, 9, 11.1, "Using where"), []),
        ((1, "SIMPLE", "orders", None, "range", "i", "i", "5", None, 90_000, 100.0, "Using index condition"), []),
        ((1, "SIMPLE", "orders", "ALL", None, None, None, None, "90000", "Using where"), ["orders"]),
        ((1, "SIMPLE", "orders", "ALL", None, None, None, None, "90000 (3%)", "Using where"), ["orders"]),
        ((1, "SIMPLE", "orders", "ALL", None, None, None, None, "9", "Using where"), []),
        ((1, "SIMPLE", None, None, None, None, None, None, None, "No tables used"), []),
        ((1, "PRIMARY", "<derived2>", None, "ALL", None, None, None, None, 90_000, 100.0, None), []),
    ],
    ids=[
        "mysql",
        "mysql-index-as-a-whole",
        "mysql-small",
        "mysql-index",
        "mariadb",
        "mariadb-filtered",
        "mariadb-small",
        "mariadb-no-table",
        "made-by-the-query",
    ],
)
def test_the_plans_of_mysql_and_mariadb_are_read(row: tuple[object, ...], tables: list[str]) -> None:
    assert plans.mysql_scans([row]) == tables


# It changes nothing, and tells no secret


def test_nothing_is_posted_and_nothing_is_written(healthy_anywhere: ShopUnderTest, tmp_path: Path) -> None:
    shop = healthy_anywhere
    engine = Ledger.of_connection("shop_ledger").engine

    def tables() -> list[str]:
        with closing(engine.connect()) as connection:
            found = sorted(sa.inspect(connection).get_table_names())
        engine.dispose()
        return found

    staging = tmp_path / "staged" / "here"
    before = tables()
    files = {file: file.read_bytes() for file in shop.folder.rglob("*") if file.is_file()}

    findings = examined(shop.configure(staging=f"file://{staging}"))

    assert about(findings, "staging.write")[0].level == Level.OK
    assert not (tmp_path / "staged").exists()
    assert shop.sandbox.stats()["requests"] == 0
    assert shop.sandbox.state() == {}
    assert tables() == before
    shop_file = shop.shops / "test.yaml"
    after = {file: file.read_bytes() for file in shop.folder.rglob("*") if file.is_file()}
    assert {**after, shop_file: b""} == {**files, shop_file: b""}


@pytest.mark.clock
def test_a_ledger_with_runs_stays_as_it_is_to_the_byte(healthy: ShopUnderTest) -> None:
    runs(("success", 2))(healthy, pytest.MonkeyPatch())
    with closing(sqlite3.connect(healthy.ledger_file)) as db:
        before = list(db.iterdump())
    content = healthy.ledger_file.read_bytes()
    examined(healthy.configure())
    assert healthy.ledger_file.read_bytes() == content
    with closing(sqlite3.connect(healthy.ledger_file)) as db:
        assert list(db.iterdump()) == before


def test_a_sqlite_file_that_is_no_ledger_yet_is_not_made_ready_for_one(healthy: ShopUnderTest) -> None:
    with closing(sqlite3.connect(healthy.ledger_file)) as db, db:
        db.execute("CREATE TABLE somebody_elses (id)")
    content = healthy.ledger_file.read_bytes()
    assert about(examined(healthy.configure()), "ledger.tables")[0].value == "not there yet"
    assert healthy.ledger_file.read_bytes() == content


def test_what_a_run_staged_meanwhile_stays(healthy: ShopUnderTest, tmp_path: Path) -> None:
    staged = tmp_path / "staged" / "test" / "reading"
    staged.mkdir(parents=True)
    (staged / "partition.parquet").write_text("rows")
    examined(healthy.configure(staging=f"file://{tmp_path}/staged"))
    assert [path.name for path in (tmp_path / "staged").rglob("*")] == ["test", "reading", "partition.parquet"]


def test_a_password_that_somebody_quotes_is_covered(healthy: ShopUnderTest) -> None:
    examined(healthy.configure())  # Airflow learns of the passwords as it reads the connections
    told = Finding("x", Level.OK, f"it is {SECRET}", f"use {SECRET}", {"words": [f"yes {SECRET}"]})
    covered = report.without_secrets(Report("test", "", [told]))
    assert SECRET not in report.as_text([covered]) + report.as_json([covered])
    assert "it is ***" in report.as_text([covered])


def test_a_token_in_the_place_of_a_host_is_not_shown(shop: ShopUnderTest) -> None:
    from rees46_sync.airflow_adapters.connections import get_database_hook

    shop.connect("a", json.dumps({"conn_type": "duckdb", "host": f"md:orders?motherduck_token={PASSWORD}"}))
    shop.connect("b", json.dumps({"conn_type": "postgres", "host": f"me:{PASSWORD}@db?key={PASSWORD}"}))
    assert databases.place_of(get_database_hook("a")) == "a (duckdb without a file)"
    assert databases.place_of(get_database_hook("b")) == "b (postgres, host db)"


# The command line


@pytest.mark.clock
@pytest.mark.parametrize(
    ("broken", "more", "code"),
    [
        pytest.param(None, [], 0, id="healthy"),
        pytest.param(None, ["--strict"], 0, id="healthy-strict"),
        pytest.param("no-index", [], 0, id="warning"),
        pytest.param("no-index", ["--strict"], 1, id="warning-strict"),
        pytest.param("unmapped", [], 1, id="error"),
    ],
)
def test_the_exit_code_is_for_ci(
    healthy: ShopUnderTest, monkeypatch: pytest.MonkeyPatch, broken: str | None, more: list[str], code: int
) -> None:
    if broken:
        BROKEN[broken].how(healthy, monkeypatch)
    assert main(arguments(healthy, "test", *more)) == code


@pytest.mark.parametrize("wrong", [["--days", "0"], ["--days", "many"], ["--nonsense"], ["one", "two"]])
def test_a_wrong_command_line_ends_with_2(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments(shop, *wrong))
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


def test_a_shop_that_is_not_there_ends_with_2_and_names_those_that_are(
    shop: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(shop, "nobody")) == 2
    shown = capfd.readouterr()
    assert shown.out == ""
    assert f"There is no shop 'nobody' in {shop.shops}; its shops: test." in shown.err


@pytest.mark.parametrize("name", ["worse", "by_its_key"])
def test_every_mistake_of_a_shop_file_is_a_finding(
    shop: ShopUnderTest, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    (shop.shops / "worse.yaml").write_text("shop: by_its_key # a comment\nquery: nowhere.sql\nlookback: soon\n")
    assert main(arguments(shop, name, "--json")) == 1
    [found] = json.loads(capfd.readouterr().out)["shops"]
    faults = [(finding["check"], finding["level"]) for finding in found["findings"]]
    assert faults == [("shop.file", "error")] * len(faults)
    assert len(faults) > 4
    lookback = next(finding for finding in found["findings"] if finding["value"].startswith("lookback"))
    assert "24h" in lookback["remedy"]


def test_without_a_name_every_shop_is_examined_also_beside_a_broken_file(
    healthy: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    (healthy.shops / "worse.yaml").write_text("{")
    assert main(arguments(healthy, "--json")) == 1
    document = json.loads(capfd.readouterr().out)
    assert [(found["shop"], found["level"]) for found in document["shops"]] == [("worse", "error"), ("test", "ok")]


def test_plain_text_has_no_escape_codes_no_boxes_and_cuts_no_line(
    healthy: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    long = "z" * 200
    healthy.add_rows([("5", "\x1b[31mred\x1b[0m", AN_HOUR_AGO), ("6", long, AN_HOUR_AGO)])
    main(arguments(healthy, "test"))
    shown = capfd.readouterr().out
    assert "\x1b" not in shown
    assert not any("\u2500" <= character <= "\u259f" for character in shown)
    assert long in shown
    assert "1 shop: 2 errors, 0 warnings." in shown
    assert SECRET not in shown


def test_an_env_file_gives_connections_and_the_environment_comes_first(
    healthy: ShopUnderTest, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    env_file = healthy.folder / ".env"
    env_file.write_text(
        f"AIRFLOW_CONN_SHOP_WAREHOUSE='sqlite:///{healthy.warehouse}'\n"
        f"AIRFLOW_CONN_SHOP_LEDGER='sqlite:///{healthy.folder}/other.db'\n"
    )
    monkeypatch.delenv("AIRFLOW_CONN_SHOP_WAREHOUSE")
    assert main(["test", "--env-file", str(env_file)]) == 0
    shown = capfd.readouterr().out
    assert f"shop_warehouse (sqlite {healthy.warehouse})" in shown
    assert f"shop_ledger (sqlite {healthy.ledger_file})" in shown
    monkeypatch.delenv("AIRFLOW_CONN_SHOP_WAREHOUSE")


def test_connections_that_are_stored_in_airflow_are_found(
    healthy: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.models import Connection
    from airflow.utils.session import create_session

    monkeypatch.delenv("AIRFLOW_CONN_SHOP_WAREHOUSE")
    with create_session() as session:
        session.add(Connection(conn_id="shop_warehouse", conn_type="sqlite", host=str(healthy.warehouse)))
    try:
        assert main(arguments(healthy, "test")) == 0
    finally:
        with create_session() as session:
            session.query(Connection).filter_by(conn_id="shop_warehouse").delete()


@pytest.fixture
def demo_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The demo shop as `make run` leaves it."""
    monkeypatch.setattr(demo, "FOLDER", tmp_path)
    shop = load_shop(PROJECT / "include" / "shops" / "demo.yaml")
    demo.write_warehouse(demo.make_orders(shop, datetime.now(UTC)), tmp_path / "warehouse.db")
    yield shop
    assert not [name for name in os.environ if name.startswith("AIRFLOW_CONN_DEMO")]


@pytest.mark.clock
def test_the_demo_needs_no_connections_and_is_well_but_for_its_broken_rows(demo_shop: Shop) -> None:
    findings = examined(demo_shop)
    assert "on purpose" in about(findings, "shop.demo")[0].value
    unwell = {finding.check for finding in findings if finding.level is not Level.OK}
    assert {check.partition(".")[0] for check in unwell} == {"rows", "status"}
    errors = [finding.data["status"] for finding in findings if finding.level is Level.ERROR]
    assert errors == ["on_hold", "Pre-Order"]


@pytest.mark.clock
def test_the_demo_with_a_connection_of_its_own_gets_no_others(
    demo_shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DEMO_WAREHOUSE", f"sqlite:///{tmp_path}/warehouse.db")
    findings = examined(demo_shop)
    assert about(findings, "shop.demo") == []
    assert about(findings, "ledger.connection")[0].level == Level.ERROR
    monkeypatch.delenv("AIRFLOW_CONN_DEMO_WAREHOUSE")


def command(shop: ShopUnderTest, *more: str) -> list[str]:
    return [sys.executable, "-m", "rees46_sync.doctor", "test", *arguments(shop, *more)]


@pytest.mark.e2e
def test_stdout_is_one_json_document_and_nothing_else(healthy: ShopUnderTest) -> None:
    done = subprocess.run(command(healthy, "--json"), capture_output=True, text=True, check=False, cwd=healthy.folder)
    document = json.loads(done.stdout)
    assert (done.returncode, document["level"]) == (0, "ok")
    [found] = document["shops"]
    assert list(found) == ["shop", "file", "level", "findings"]
    assert all(list(one) == ["check", "level", "value", "remedy", "data"] for one in found["findings"])
    assert SECRET not in done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.e2e
def test_a_terminal_gets_coloured_tables(healthy: ShopUnderTest) -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100"}
    done = subprocess.run(command(healthy), stdout=theirs, stderr=subprocess.PIPE, check=False, env=environment)
    os.close(theirs)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    os.close(ours)
    assert done.returncode == 0
    assert b"\x1b[32mok" in shown
    assert "─" in shown.decode()
    assert SECRET.encode() not in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the other end is closed
        return b""
