"""The databases that make the same promises as a warehouse: how a test fills each one, and how each one differs."""

from __future__ import annotations

import json
import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg2.extras import execute_values
from upath import UPath

from rees46_sync.airflow_adapters import staging
from rees46_sync.shop.shop import Shop
from rees46_sync.warehouse.reader import ExtractedRows, extract
from rees46_sync.warehouse.values import SCHEMA
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest
from tests.e2e.airflow_stack import postgres_connection
from tests.mariadb import MariaDB

Row = tuple[Any, Any, Any]

WINDOW = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
EVERY_ROW = "SELECT order_id, status, updated_at FROM orders WHERE :window_start < :window_end ORDER BY n"
CALLS_TOUCHED = "SELECT order_id, touched(order_id) AS status, updated_at FROM orders WHERE :window_start < :window_end"
IN_WINDOW = "WHERE updated_at >= :window_start AND updated_at < :window_end"


@dataclass(frozen=True)
class Staged:
    """The result of an extraction, and the rows of each partition file."""

    extraction: ExtractedRows
    partitions: list[list[dict[str, Any]]]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for partition in self.partitions for row in partition]

    @property
    def statuses(self) -> list[tuple[str | None, str | None]]:
        return [(row["order_id"], row["status"]) for row in self.rows]


class WarehouseUnderTest(ABC):
    """A database behind an Airflow connection, with one table ``orders``; ``n`` is the order of its rows.

    :param types: the database's names for the types "text", "integer", "decimal" (38 digits), "double", "naive"
        (timestamp without a zone) and "zoned"; types that it lacks are absent.
    :param holds_nul: whether a text may hold the character NUL.
    :param overflow: an expression that fails for a row, and the database's message.
    :param from_moscow, to_moscow: expressions that convert a naive time of Moscow to UTC, and back.
    :param shows_status: an expression whose error quotes the row's status.
    :param odd_times: times that it holds and Python does not, or not with their value.
    :param not_shown: tests, or one case of a test, that this engine cannot show, and why.
    """

    kind: ClassVar[str]
    types: ClassVar[dict[str, str]]
    holds_nul: ClassVar[bool] = True
    overflow: ClassVar[tuple[str, str]]
    from_moscow: ClassVar[str]
    to_moscow: ClassVar[str]
    shows_status: ClassVar[str]
    odd_times: ClassVar[tuple[str, ...]] = ()
    not_shown: ClassVar[dict[str, str]] = {}

    def __init__(self, shop: ShopUnderTest) -> None:
        self.shop = shop

    @abstractmethod
    def connection(self) -> str:
        """Return this database as an Airflow connection."""

    @abstractmethod
    def unreachable(self) -> dict[str, str]:
        """Return connections that cannot be opened, by what is wrong; their password, if any, is "hidden"."""

    @abstractmethod
    def execute(self, *statements: str) -> Sequence[Sequence[Any]]:
        """Run statements in a session whose time zone is UTC; return the rows of the last one."""

    @abstractmethod
    def insert(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Fill the table with rows of n, order_id, status, updated_at."""

    @abstractmethod
    def generate(self, rows: int, width: int, early: int = 0) -> None:
        """Create the table again from rows with ids of this width; ``early`` of them are a day early."""

    def query_that_writes(self) -> str:
        """Return a query that looks like a SELECT to a shop file, but inserts an order."""
        return (
            "WITH late AS (SELECT order_id FROM orders WHERE :window_start < :window_end) "
            "INSERT INTO orders (order_id) SELECT order_id FROM late"
        )

    def fill(self, rows: Sequence[Row], time_type: str = "text", id_type: str = "text") -> None:
        """Create the table again, with these rows."""
        columns = {"n": "integer", "order_id": id_type, "status": "text", "updated_at": time_type}
        self.execute(
            "DROP TABLE IF EXISTS orders",
            f"CREATE TABLE orders ({', '.join(f'{name} {self.types[kind]}' for name, kind in columns.items())})",
        )
        self.insert((n, *row) for n, row in enumerate(rows))

    def configured(self, sql: str = EVERY_ROW, **keys: Any) -> Shop:
        (self.shop.shops / "orders.sql").write_text(sql)
        return self.shop.configure(**keys)

    def staged(self, sql: str = EVERY_ROW, *, window: Window = WINDOW, **keys: Any) -> Staged:
        folder = self.shop.folder / "staged"
        if folder.exists():
            staging.remove(UPath(folder))
        extraction = extract(self.configured(sql, **keys), window, UPath(folder))
        files = [Path(partition.path) for partition in extraction.partitions]
        assert sorted(folder.glob("*") if folder.exists() else []) == files
        return Staged(extraction, [pq.read_table(file).cast(SCHEMA).to_pylist() for file in files])

    def error(self, kind: type[Exception], sql: str = EVERY_ROW, **keys: Any) -> str:
        """The message of the error that an extraction raises; it must not leave any files."""
        folder = self.shop.folder / "staged"
        with pytest.raises(kind) as caught:
            extract(self.configured(sql, **keys), WINDOW, UPath(folder))
        assert not folder.exists()
        return str(caught.value)


class _File(WarehouseUnderTest):
    """A database in a file, read by a library in this process."""

    @property
    def file(self) -> Path:
        return self.shop.folder / f"{self.kind}.db"

    def connection(self) -> str:
        return self.connection_of(self.file)

    @abstractmethod
    def connection_of(self, file: Path) -> str:
        """Return a file as an Airflow connection."""

    def unreachable(self) -> dict[str, str]:
        folder = self.shop.folder / "a-folder"
        folder.mkdir()
        other = self.shop.folder / "no-database"
        other.write_text("not a database, but long enough to be taken for the header of one: " * 20)
        missing = self.shop.folder / "no-such-folder" / "file.db"
        return {file.name: self.connection_of(file) for file in (folder, other, missing)}


class SQLite(_File):
    """Read by SQLAlchemy; a column without a type keeps values of any kind."""

    kind = "sqlite"
    types: ClassVar = {"text": "", "integer": "INTEGER", "double": "REAL", "naive": "TEXT"}
    overflow = ("abs(-9223372036854775807 - 1)", "integer overflow")
    shows_status = "CAST(status || x'ff' AS TEXT)"
    odd_times = ("infinity", "200000-01-01 00:00:00", "-4713-01-01 00:00:00", "0000-00-00 00:00:00")
    from_moscow = "datetime({}, '-3 hours')"
    to_moscow = "datetime({}, '+3 hours')"

    def connection_of(self, file: Path) -> str:
        return f"sqlite:///{file}"

    def execute(self, *statements: str) -> Sequence[Sequence[Any]]:
        with closing(sqlite3.connect(self.file)) as db, db:
            return [db.execute(statement) for statement in statements][-1].fetchall()

    def insert(self, rows: Iterable[tuple[Any, ...]]) -> None:
        with closing(sqlite3.connect(self.file)) as db, db:
            db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)

    def generate(self, rows: int, width: int, early: int = 0) -> None:
        self.execute(
            "DROP TABLE IF EXISTS orders",
            "CREATE TABLE orders (order_id, status, updated_at)",
            f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT {rows}) INSERT INTO "
            f"orders SELECT printf('%0*d', {width}, n * 7919 % 10000019), 'new', "
            f"datetime('2026-03-01 12:00:00', iif(n <= {early}, '-1 day', '+0 day')) FROM numbers",
        )


class DuckDB(_File):
    """Read by its driver, without SQLAlchemy."""

    kind = "duckdb"
    types: ClassVar = {
        "text": "VARCHAR",
        "integer": "BIGINT",
        "decimal": "DECIMAL(38, 0)",
        "double": "DOUBLE",
        "naive": "TIMESTAMP",
        "zoned": "TIMESTAMP WITH TIME ZONE",
    }
    overflow = ("error('integer overflow')", "integer overflow")
    shows_status = "status::INTEGER"
    odd_times = ("infinity", "-infinity", "200000-01-01 00:00:00", "0044-03-15 (BC) 00:00:00")
    from_moscow = "{} AT TIME ZONE 'Europe/Moscow'"
    to_moscow = "{} AT TIME ZONE 'UTC' AT TIME ZONE 'Europe/Moscow'"

    def connection_of(self, file: Path) -> str:
        return json.dumps({"conn_type": "duckdb", "host": str(file)})

    def execute(self, *statements: str) -> Sequence[Sequence[Any]]:
        with closing(duckdb.connect(self.file)) as db:
            db.execute("SET TimeZone = 'UTC'")
            return [db.execute(statement) for statement in statements][-1].fetchall()

    def insert(self, rows: Iterable[tuple[Any, ...]]) -> None:
        columns = list(zip(*rows, strict=True)) or [()] * 4
        texts = [[None if value is None else str(value) for value in column] for column in columns]
        given = pa.table({f"c{at}": pa.array(column, pa.string()) for at, column in enumerate(texts)})
        with closing(duckdb.connect(self.file)) as db:
            db.execute("SET TimeZone = 'UTC'")
            db.register("given", given)
            db.execute("INSERT INTO orders SELECT * FROM given")

    def generate(self, rows: int, width: int, early: int = 0) -> None:
        self.execute(
            f"CREATE OR REPLACE TABLE orders AS SELECT lpad((n * 7919 % 10000019)::VARCHAR, {width}, '0') AS order_id, "
            f"'new' AS status, TIMESTAMP '2026-03-01 12:00:00' - (n <= {early})::INTEGER * INTERVAL 1 DAY "
            f"AS updated_at FROM range(1, {rows + 1}) AS numbers (n)"
        )


class ServerUnderTest(WarehouseUnderTest):
    """A database in processes of its own, which can end the session that reads."""

    @abstractmethod
    def end_the_reading_session(self) -> None:
        """End the session that reads, as a restart of the server or a firewall does."""


class PostgreSQL(ServerUnderTest):
    """Read by ADBC if possible, otherwise by SQLAlchemy and psycopg; the role's own time zone is not UTC."""

    kind = "postgresql"
    types: ClassVar = {
        "text": "text",
        "integer": "bigint",
        "decimal": "numeric(38)",
        "double": "double precision",
        "naive": "timestamp",
        "zoned": "timestamptz",
    }
    holds_nul = False
    overflow = ("9223372036854775807 + n", "bigint out of range")
    shows_status = "status::integer"
    odd_times = ("infinity", "-infinity", "200000-01-01 00:00:00", "0044-03-15 00:00:00 BC")
    from_moscow = "{} AT TIME ZONE 'Europe/Moscow'"
    to_moscow = "{}::timestamptz AT TIME ZONE 'Europe/Moscow'"

    def __init__(self, shop: ShopUnderTest, home: Path) -> None:
        super().__init__(shop)
        self.home = home

    def connection(self) -> str:
        return postgres_connection(self.home, "postgres")

    def unreachable(self) -> dict[str, str]:
        right = {"conn_type": "postgres", "host": str(self.home / "postgres"), "login": "nobody", "password": "hidden"}
        return {
            "role": json.dumps(right | {"schema": "postgres"}),
            "schema": json.dumps(right | {"login": "postgres", "schema": "no_such_database"}),
            "host": json.dumps(right | {"host": "127.0.0.1", "port": 1, "schema": "postgres"}),
        }

    @contextmanager
    def _cursor(self) -> Any:
        with closing(
            psycopg2.connect(host=str(self.home / "postgres"), user="postgres", options="-c TimeZone=UTC")
        ) as db:
            db.autocommit = True
            with db.cursor() as cursor:
                yield cursor

    def execute(self, *statements: str) -> Sequence[Sequence[Any]]:
        with self._cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def insert(self, rows: Iterable[tuple[Any, ...]]) -> None:
        with self._cursor() as cursor:
            execute_values(cursor, "INSERT INTO orders VALUES %s", rows, page_size=5_000)

    def generate(self, rows: int, width: int, early: int = 0) -> None:
        self.execute(
            "DROP TABLE IF EXISTS orders",
            f"CREATE TABLE orders AS SELECT lpad((n * 7919 % 10000019)::text, {width}, '0') AS order_id, 'new' AS "
            f"status, timestamp '2026-03-01 12:00:00' - (n <= {early})::integer * interval '1 day' AS updated_at "
            f"FROM generate_series(1, {rows}::bigint) AS numbers (n)",
        )

    def query_that_writes(self) -> str:
        self.execute(
            "CREATE OR REPLACE FUNCTION touched(given text) RETURNS text LANGUAGE plpgsql AS "
            "$$ BEGIN INSERT INTO orders (order_id) VALUES (given); RETURN 'new'; END $$"
        )
        return CALLS_TOUCHED

    def end_the_reading_session(self) -> None:
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY (%'")


class MySQL(ServerUnderTest):
    """A MariaDB, read by SQLAlchemy and PyMySQL; the server's own time zone is not UTC, and its user may only read."""

    kind = "mariadb"
    types: ClassVar = {
        "text": "TEXT",
        "integer": "BIGINT",
        "decimal": "DECIMAL(38, 0)",
        "double": "DOUBLE",
        "naive": "DATETIME(6)",
        "zoned": "TIMESTAMP(6) NULL",
    }
    overflow = ("9223372036854775807 + n", "BIGINT value is out of range")
    shows_status = "ExtractValue('<a/>', CONCAT('~', status))"
    odd_times = ("0000-00-00 00:00:00", "0000-01-01 00:00:00")
    from_moscow = "CONVERT_TZ({}, '+03:00', '+00:00')"
    to_moscow = "CONVERT_TZ({}, '+00:00', '+03:00')"

    def __init__(self, shop: ShopUnderTest, server: MariaDB) -> None:
        super().__init__(shop)
        self.server = server
        self.database = server.create_database()
        self.login = server.create_user("hidden", f"SELECT, EXECUTE ON {self.database}.*")

    def connection(self) -> str:
        return self.server.connection(self.database, self.login, "hidden")

    def unreachable(self) -> dict[str, str]:
        self.server.execute(f"ALTER USER {self.login} IDENTIFIED BY 'another'")
        right = json.loads(self.connection())
        return {
            "password": json.dumps(right),
            "schema": json.dumps(right | {"login": "root", "password": "", "schema": "no_such_database"}),
            "host": json.dumps(right | {"port": 1}),
            "name": json.dumps(right | {"host": "no-such-host.invalid"}),
        }

    def execute(self, *statements: str) -> Sequence[Sequence[Any]]:
        return self.server.execute(*statements, database=self.database)

    def query_that_writes(self) -> str:
        self.execute(
            "CREATE FUNCTION touched(given TEXT) RETURNS TEXT MODIFIES SQL DATA BEGIN "
            "INSERT INTO orders (order_id) VALUES (given); RETURN 'new'; END"
        )
        return CALLS_TOUCHED

    def insert(self, rows: Iterable[tuple[Any, ...]]) -> None:
        engine = self.server.engine(self.database)
        try:
            with closing(engine.raw_connection()) as db, db.cursor() as cursor:
                cursor.execute("SET time_zone = '+00:00'")
                cursor.executemany("INSERT INTO orders VALUES (%s, %s, %s, %s)", list(rows))
                db.commit()
        finally:
            engine.dispose()

    def generate(self, rows: int, width: int, early: int = 0) -> None:
        self.execute(
            "DROP TABLE IF EXISTS orders",
            f"CREATE TABLE orders AS SELECT LPAD(seq * 7919 % 10000019, {width}, '0') AS order_id, 'new' AS status, "
            f"TIMESTAMP '2026-03-01 12:00:00' - INTERVAL (seq <= {early}) DAY AS updated_at FROM seq_1_to_{rows}",
        )

    def end_the_reading_session(self) -> None:
        self.execute(f"KILL USER {self.login}")


ENGINE = os.environ.get("WAREHOUSE")
"""The one kind that is tested in an environment of its own, which `make test-warehouses` makes."""

SERVERS = [ENGINE] if ENGINE else ["postgresql", "mariadb"]
KINDS = [ENGINE] if ENGINE else ["sqlite", "duckdb", *SERVERS]


def warehouse_of(kind: str, shop: ShopUnderTest, request: pytest.FixtureRequest) -> WarehouseUnderTest:
    """Connect the shop to a warehouse of a kind and return it; skip the test if this machine cannot run that kind."""
    made: WarehouseUnderTest
    match kind:
        case "sqlite":
            made = SQLite(shop)
        case "duckdb":
            made = DuckDB(shop)
        case "postgresql":
            made = PostgreSQL(shop, request.getfixturevalue("postgres_home"))
        case "mariadb":
            made = MySQL(shop, request.getfixturevalue("mariadb"))
        case _:
            made = import_module(f"tests.warehouse.engines.{kind}.warehouse").warehouse(
                shop, request.getfixturevalue("engine")
            )
    for name in (request.function.__name__, request.node.name.replace(f"{kind}-", "")):
        if name in made.not_shown:
            pytest.skip(made.not_shown[name])
    shop.connect("shop_warehouse", made.connection())
    return made
