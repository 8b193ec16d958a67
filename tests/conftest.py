"""
What the tests share: a private Airflow, a real REES46 sandbox over HTTP, and a shop with a real warehouse and ledger.

The environment is set before anything imports Airflow, and contains nothing of the caller's own Airflow.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, settings
from time_machine import TimeMachineFixture

PROJECT = Path(__file__).resolve().parents[1]
HOME = Path(tempfile.mkdtemp(prefix="rees46-tests-"))

# How long an example takes depends on the machine, not on the code.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")

if "airflow" in sys.modules:
    raise RuntimeError("Airflow was imported before conftest.py: the processes of the tests would share its home.")

# pytest-xdist sets COLUMNS, by which the account is as wide as a terminal.
for _name in [name for name in os.environ if name.startswith(("AIRFLOW", "REES46")) or name == "COLUMNS"]:
    del os.environ[_name]
os.environ.update(
    AIRFLOW_HOME=str(HOME),
    AIRFLOW__CORE__DAGS_FOLDER=str(PROJECT / "dags"),
    AIRFLOW__CORE__PLUGINS_FOLDER=str(PROJECT / "plugins"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=str(HOME / "logs"),
    REES46_SHOPS_DIR=str(HOME / "shops"),
    NO_PROXY="127.0.0.1,localhost",
)

import pandas as pd  # noqa: E402 - after the environment is set
import sqlalchemy as sa  # noqa: E402

from rees46_sync.ledger.database import Ledger  # noqa: E402
from rees46_sync.ledger.extractions import Extractions  # noqa: E402
from rees46_sync.ledger.requests import InFlightRequest, RequestResult, Requests, request_orders  # noqa: E402
from rees46_sync.ledger.runs import RunRef  # noqa: E402
from rees46_sync.sandbox import server as sandbox_module  # noqa: E402
from rees46_sync.shop.shop import Shop  # noqa: E402
from rees46_sync.shop.shop_file import load_shop  # noqa: E402
from tests import mariadb as mariadb_module  # noqa: E402
from tests.e2e.airflow_stack import embedded_postgres, postgres_connection, postgres_uri  # noqa: E402
from tests.s3 import bucket, object_store  # noqa: E402, F401 - fixtures

SECRET = "the-secret-9f3b7c"
QUERY = """
SELECT order_id, status, updated_at FROM orders
WHERE (updated_at >= :window_start AND updated_at < :window_end) OR updated_at IS NULL
"""


FAR_FUTURE = datetime(2100, 1, 1, tzinfo=UTC)
"""When the extractions of these tests started: they are never too old."""


@sa.event.listens_for(sa.Engine, "connect")
def _leave_the_disk_alone(connection: object, _record: object) -> None:
    """Let no commit of a SQLite file wait for the disk, half of the tests' time: only a power cut could tell."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA synchronous = OFF")


def open_request(ledger: Ledger, run: RunRef, orders: pd.DataFrame) -> InFlightRequest:
    """Record a request that is about to be sent, and return it."""
    requests = Requests(ledger)
    lease = requests.state(run)[1] or requests.take_lease(run.shop)
    [request] = requests.record_requests(run, lease, request_orders(orders))
    return request


def accept(ledger: Ledger, run: RunRef, partition: int, orders: pd.DataFrame, requests: int = 1) -> None:
    """Record a batch that REES46 accepted."""
    result = RequestResult(open_request(ledger, run, orders), requests, datetime.now(UTC))
    Requests(ledger).record_result(run, partition, result)


def start_extraction(ledger: Ledger, run: RunRef, start: datetime, end: datetime, *, has_read: bool = True) -> None:
    """Record that an extraction over a window has started, and unless told otherwise that it has read everything."""
    Extractions(ledger).start(run, FAR_FUTURE, (start, end))
    if has_read:
        Extractions(ledger).finish_reading(run)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", type=Path, metavar="DIR", help="where the browser tests store pictures")
    parser.addoption("--backfill-orders", type=int, metavar="N", help="how many orders the backfill of three years has")


def pytest_sessionfinish() -> None:
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture
def frozen_now(time_machine: TimeMachineFixture) -> datetime:
    """The moment at which the clock stands in this test, however long the test takes."""
    moment = datetime.now(UTC)
    time_machine.move_to(moment, tick=False)
    return moment


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[sandbox_module.Sandbox]:
    with sandbox_module.running("shop-key", SECRET) as running:
        yield running


@pytest.fixture
def sandbox(_sandbox: sandbox_module.Sandbox) -> sandbox_module.Sandbox:
    """A REES46 without orders and without faults."""
    _sandbox.reset()
    return _sandbox


def rees46_connection(sandbox: sandbox_module.Sandbox, **extra: object) -> str:
    """Return the sandbox as an Airflow connection, as JSON; its requests need not wait for each other."""
    return json.dumps(
        {
            "conn_type": "http",
            "host": sandbox.host,
            "port": sandbox.port,
            "schema": "http",
            "login": sandbox.shop_id,
            "password": sandbox.shop_secret,
            "extra": {"min_interval_s": 0} | extra,
        }
    )


class ShopUnderTest:
    """A shop: a shop file, a SQLite warehouse, a SQLite ledger and the sandbox, joined by Airflow connections."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, sandbox: sandbox_module.Sandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.warehouse = folder / "warehouse.db"
        self.ledger_file = folder / "ledger.db"
        self.shops = folder / "shops"
        self.shops.mkdir()
        self._monkeypatch = monkeypatch
        monkeypatch.setenv("REES46_SHOPS_DIR", str(self.shops))
        self.connect("shop_warehouse", f"sqlite:///{self.warehouse}")
        self.connect("shop_ledger", f"sqlite:///{self.ledger_file}")
        self.connect("shop_rees46", rees46_connection(sandbox))
        (self.shops / "orders.sql").write_text(QUERY)
        self.configure()
        with closing(sqlite3.connect(self.warehouse)) as db, db:
            # Columns without a type keep values of any kind as they are.
            db.execute("CREATE TABLE orders (order_id, status, updated_at)")

    def connect(self, conn_id: str, connection: str) -> None:
        """Set an Airflow connection, as a URI or JSON."""
        self._monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection)

    def configure(self, **keys: Any) -> Shop:
        """Write the shop file; ``keys`` change or add to it."""
        content = {
            "shop": "test",
            "warehouse_conn_id": "shop_warehouse",
            "rees46_conn_id": "shop_rees46",
            "ledger_conn_id": "shop_ledger",
            "query": "orders.sql",
            "statuses": {"created": ["new", "paid"], "completed": ["delivered"], "cancelled": ["cancelled", "fraud"]},
            "limits": {"rejected_share": 1},
        }
        file = self.shops / "test.yaml"
        file.write_text(yaml.safe_dump(content | keys))
        return load_shop(file)

    def add_rows(self, rows: Sequence[tuple[object, object, object]]) -> None:
        """Insert rows of order_id, status, updated_at; a datetime is stored as SQLite stores it, as text."""
        texts = [tuple(str(value) if isinstance(value, datetime) else value for value in row) for row in rows]
        with closing(sqlite3.connect(self.warehouse)) as db, db:
            db.executemany("INSERT INTO orders VALUES (?, ?, ?)", texts)

    def clear_rows(self) -> None:
        """Empty the warehouse."""
        with closing(sqlite3.connect(self.warehouse)) as db, db:
            db.execute("DELETE FROM orders")

    def ledger_rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the result of a query to the ledger's database."""
        with closing(sqlite3.connect(self.ledger_file)) as db:
            return db.execute(query).fetchall()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sandbox: sandbox_module.Sandbox) -> ShopUnderTest:
    """A shop with an empty warehouse."""
    return ShopUnderTest(tmp_path, monkeypatch, sandbox)


@contextmanager
def postgres_folder() -> Iterator[Path]:
    """
    A folder that PostgreSQL's user can enter, also when root runs these tests.

    It lies beside pytest's own folders, because a pytest that root starts closes those for all other users.
    """
    with tempfile.TemporaryDirectory(prefix="rees46-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres_home() -> Iterator[Path]:
    """The folder of a running PostgreSQL, whose own time zone is not UTC."""
    with postgres_folder() as home, _postgres(home):
        yield home


@pytest.fixture(scope="session")
def mariadb() -> Iterator[mariadb_module.MariaDB]:
    """A running MariaDB, whose own time zone is not UTC."""
    if mariadb_module.missing:
        pytest.skip(mariadb_module.missing)
    with mariadb_module.running_mariadb() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql", pytest.param("mariadb", marks=pytest.mark.databases)])
def empty_database(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the id of an Airflow connection to a database without tables, for a ledger."""
    if request.param == "sqlite":
        connection = f"sqlite:///{tmp_path}/ledger.db"
    elif request.param == "postgresql":
        connection = postgres_connection(request.getfixturevalue("postgres_home"), "postgres")
    else:
        server = request.getfixturevalue("mariadb")
        # Of another charset and collation than the ledger's: its tables must name their own.
        connection = server.connection(server.create_database("latin1"))
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", connection)
    if request.param == "postgresql":
        _drop_tables(request.getfixturevalue("postgres_home"))
    return "ledger"


def _drop_tables(home: Path) -> None:
    """Remove the ledger's tables, whichever version of the project created them."""
    engine = sa.create_engine(postgres_uri(home, "postgres"))
    with engine.begin() as connection:
        for table in sa.inspect(connection).get_table_names():
            if table.startswith("rees46_"):
                connection.execute(sa.text(f"DROP TABLE {table} CASCADE"))  # and the views that read it
    engine.dispose()


@contextmanager
def _postgres(home: Path) -> Iterator[None]:
    with embedded_postgres(home):
        engine = sa.create_engine(postgres_uri(home, "postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text("ALTER ROLE postgres SET timezone TO 'Asia/Tokyo'"))
        engine.dispose()
        yield
