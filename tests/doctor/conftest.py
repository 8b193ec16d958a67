"""What the tests of the doctor share: healthy shops, and ways to examine them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa

from rees46_sync.doctor import checks
from rees46_sync.doctor.findings import Finding
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import Runs
from rees46_sync.ledger.tables import metadata
from rees46_sync.ledger.views import VIEWS
from rees46_sync.shop.shop import Shop
from tests.clock import is_moved
from tests.conftest import ShopUnderTest
from tests.e2e.airflow_stack import postgres_connection, postgres_uri
from tests.mariadb import MariaDB
from tests.whole_run import make_metadata_database

NOW = datetime.now(UTC).replace(microsecond=0, tzinfo=None)


AN_HOUR_AGO = NOW - timedelta(hours=1)
TWO_HOURS_AGO = NOW - timedelta(hours=2)


READER = "orders_reader"
"""The role of PostgreSQL that may read the orders, and add to them for the tests."""


PASSWORD = "p4ss-of-the-warehouse"


ROWS = [
    ("1", "new", AN_HOUR_AGO - timedelta(hours=1)),
    ("1", "paid", AN_HOUR_AGO),
    ("2", "delivered", AN_HOUR_AGO),
    ("3", "cancelled", AN_HOUR_AGO),
    ("4", "fraud", AN_HOUR_AGO),
]


@pytest.fixture
def metadata_database() -> None:
    make_metadata_database()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove what the command line sets for its process after the test."""
    for name in ("_AIRFLOW_PROCESS_CONTEXT", "AIRFLOW__LOGGING__LOGGING_LEVEL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def healthy(shop: ShopUnderTest, metadata_database: None) -> ShopUnderTest:
    """A shop whose SQLite warehouse has an index and some valid rows of the last hours."""
    with closing(sqlite3.connect(shop.warehouse)) as db, db:
        db.execute("CREATE INDEX orders_updated_at ON orders (updated_at)")
    shop.add_rows(ROWS)
    return shop


@pytest.fixture(params=["sqlite", "duckdb", "postgres", "mysql"])
def healthy_anywhere(request: pytest.FixtureRequest, healthy: ShopUnderTest) -> ShopUnderTest:
    """The same with each kind of warehouse; the ledger is in SQLite, or in PostgreSQL if the warehouse is."""
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
        warehouse = postgres_connection(home, "postgres").replace("postgres@", f"{READER}@", 1)
        healthy.connect("shop_warehouse", warehouse)
        healthy.connect("shop_ledger", postgres_connection(home, "postgres"))
    elif request.param == "mysql":
        server: MariaDB = request.getfixturevalue("mariadb")
        database = server.create_database()
        server.execute(
            "CREATE TABLE orders (order_id TEXT, status TEXT, updated_at DATETIME(6))",
            f"INSERT INTO orders VALUES {', '.join(str((row[0], row[1], str(row[2]))) for row in ROWS)}",
            database=database,
        )
        reader = server.create_user("secret", f"SELECT, INSERT ON {database}.*")
        healthy.connect("shop_warehouse", server.connection(database, reader, "secret"))
    return healthy


def fill_postgres(home: Path, rows: list[tuple[str, str, datetime]]) -> sa.Engine:
    engine = sa.create_engine(postgres_uri(home, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for view in VIEWS:
            connection.execute(sa.text(f"DROP VIEW IF EXISTS {view}"))
        metadata.drop_all(connection)
        connection.execute(sa.text("DROP TABLE IF EXISTS orders"))
        connection.execute(sa.text("CREATE TABLE orders (order_id text, status text, updated_at timestamp)"))
        for order_id, status, updated_at in rows:
            values = {"id": order_id, "status": status, "updated_at": updated_at}
            connection.execute(sa.text("INSERT INTO orders VALUES (:id, :status, :updated_at)"), values)
        if not connection.scalar(sa.text("SELECT count(*) FROM pg_roles WHERE rolname = :role"), {"role": READER}):
            connection.execute(sa.text(f"CREATE ROLE {READER} LOGIN"))
        connection.execute(sa.text(f"GRANT SELECT, INSERT ON orders TO {READER}"))
    return engine


def command_line(shop: ShopUnderTest, *more: str) -> list[str]:
    """Return arguments of the doctor that keep it from reading the project's .env."""
    return ["--env-file", str(shop.folder / "none.env"), *more]


def examine_shop(shop: Shop, days: float = 1) -> list[Finding]:
    return checks.examine(shop, days).findings


def about(findings: list[Finding], check: str) -> list[Finding]:
    return [finding for finding in findings if finding.check == check]


def save_run(store: Ledger, run_id: str, finished_at: datetime, outcome: str = "success", **more: Any) -> None:
    names = ("read", "sent", "unchanged", "superseded", "stale", "reopened", "rejected", "held", "failed", "requests")
    record = {
        "shop": "test",
        "dag_id": "order_status_sync_test",
        "run_id": run_id,
        "window_start": finished_at - timedelta(days=1),
        "window_end": finished_at,
        "window_widened": True,
        "outcome": outcome,
        "started_at": finished_at,
        "finished_at": finished_at,
    }
    Runs(store).save(**dict.fromkeys(names, 0), **(record | more))


def without_index(shop: ShopUnderTest, _: object) -> None:
    with closing(sqlite3.connect(shop.warehouse)) as db, db:
        db.execute("DROP INDEX orders_updated_at")
