"""
Where the databases of a ledger differ: JSON, truncated times, connections, timeouts and error codes.

A task waits :data:`LOCK_TIMEOUT_S` for a lock, and :data:`STATEMENT_TIMEOUT_S` for a statement: far more than a healthy
ledger needs (a second or two to look up thousands of orders), and short enough to retry within the hour. What takes
longer becomes a ``LedgerError``, after which Airflow retries the task.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from rees46_sync.ledger.tables import UtcDateTime

CONNECT_TIMEOUT_S = 20
LOCK_TIMEOUT_S = 60
STATEMENT_TIMEOUT_S = 120

PREPARE_AFTER = 5
"""How often PostgreSQL gets a statement before it is prepared there: psycopg's own default."""

PING_AFTER_S = 1
"""How long a connection may be idle and still be used without a test."""

POOL: Mapping[str, Any] = MappingProxyType(
    {
        "poolclass": sa.QueuePool,
        "pool_size": 15,
        "max_overflow": 0,
        "pool_timeout": LOCK_TIMEOUT_S,
        "pool_use_lifo": True,
        "pool_recycle": 240,
    }
)
"""
The connections of a task, as arguments of an engine. They are opened as they are needed.

A load has up to 34 threads, but each holds a connection for milliseconds and never while it waits for REES46: 15
connections are enough for hundreds of requests in a second, and a server with 100 has room for several loads. The one
that was returned last is used first, so that the others stay idle and are replaced: load balancers drop idle ones,
the strictest after four minutes, without a word.
"""

Unit = Literal["hour", "day"]

_DEADLOCKS = ("40P01", "40001", 1213)
_PERMISSION_DENIED = ("42501", 1044, 1142, 1143)
_NO_TABLE = ("42P01", 1146)
_SHUTTING_DOWN = ("57P01", "57P02", "57P03", 1053)
_READ_ONLY = ("25006", 1290, 1792, 1836)


@dataclass(frozen=True)
class LedgerDialect:
    """
    The SQL of one kind of database. Thousands of orders are one JSON parameter.

    :param one_of_ids: the condition that order_id is in the array ``:ids``.
    :param each_order: the orders of the array ``:orders``, as rows.
    :param values: order_id, status and source_updated_at of such a row.
    :param array: aggregates a column to one JSON array, as text.
    :param utc: a time in UTC, without a zone.
    :param begins: a column of times, truncated to the hour or the day: text, UTC.
    :param limits: keeps the statements of a transaction within ``:seconds``, and its waits for a lock within
        ``:lock_seconds``; None if the connection's settings do that.
    """

    one_of_ids: str
    each_order: str
    values: str
    array: str
    utc: str
    begins: Mapping[Unit, str]
    limits: str | None = None

    @cached_property
    def insert_accepted(self) -> sa.TextClause:
        """The statement that records a batch; the database parses its JSON, which costs the task nothing."""
        return self._insert("rees46_accepted_statuses", "dag_id", "run_id", "accepted_at", "sent_at")

    @cached_property
    def insert_uncertain(self) -> sa.TextClause:
        """The statement that records the orders of a request without a clear answer."""
        return self._insert("rees46_uncertain_orders", "sent_at")

    def _insert(self, table: str, *columns: str) -> sa.TextClause:
        names = ("shop", "extraction_id", *columns)
        times = [sa.bindparam(name, type_=UtcDateTime()) for name in names if name.endswith("_at")]
        return sa.text(
            f"INSERT INTO {table} ({', '.join(names)}, order_id, status, source_updated_at) "
            f"SELECT {', '.join(f':{name}' for name in names)}, {self.values} FROM {self.each_order}"
        ).bindparams(*times)

    @cached_property
    def lookup_accepted(self) -> sa.TextClause:
        """
        The query for the accepted rows of the orders ``:ids``, as one row of JSON arrays (NULL if there are none).

        They are order_id, id, status, source_updated_at, sent_at, accepted_at, the extraction (2 if it is
        ``:extraction_id``, 1 if it is one of ``:not_earlier``, else 0), and its id if it is one of ``:later``.
        """
        extraction = (
            "CASE WHEN extraction_id = :extraction_id THEN 2 WHEN extraction_id IN :not_earlier THEN 1 ELSE 0 END"
        )
        times = ("source_updated_at", "COALESCE(sent_at, accepted_at)", "accepted_at")
        later = "CASE WHEN extraction_id IN :later THEN extraction_id END"
        columns = ("order_id", "id", "status", *map(self.utc.format, times), extraction, later)
        arrays = ", ".join(f"{self.array.format(column)} AS array_{n}" for n, column in enumerate(columns))
        return sa.text(
            f"SELECT {arrays} FROM rees46_accepted_statuses WHERE shop = :shop AND {self.one_of_ids}"
        ).bindparams(*(sa.bindparam(name, type_=sa.String, expanding=True) for name in ("not_earlier", "later")))

    @cached_property
    def limit(self) -> sa.TextClause | None:
        """The statement of ``limits``."""
        return sa.text(self.limits) if self.limits else None


_POSTGRESQL = LedgerDialect(
    one_of_ids="order_id = ANY (ARRAY(SELECT jsonb_array_elements_text(CAST(:ids AS jsonb))))",
    each_order="jsonb_array_elements(CAST(:orders AS jsonb)) AS one",
    values="one ->> 0, CAST(one ->> 1 AS smallint), CAST(one ->> 2 AS timestamp) AT TIME ZONE 'UTC'",
    array="CAST(json_agg({}) AS text)",
    utc="{} AT TIME ZONE 'UTC'",
    begins={
        "hour": "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:00')",
        "day": "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    },
    # For the transaction alone: a pooler may reuse the connection for another client afterwards.
    limits="SELECT set_config('statement_timeout', CAST(1000 * :seconds AS text), true), "
    "set_config('lock_timeout', CAST(1000 * :lock_seconds AS text), true)",
)
_SQLITE = LedgerDialect(
    one_of_ids="order_id IN (SELECT value FROM json_each(:ids))",
    each_order="json_each(:orders) AS one",
    values="json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')",
    array="json_group_array({})",
    utc="{}",
    begins={"hour": "strftime('%Y-%m-%d %H:00', {})", "day": "strftime('%Y-%m-%d', {})"},
)
_MARIADB = LedgerDialect(
    one_of_ids="order_id IN (SELECT one.id COLLATE utf8mb4_nopad_bin FROM "
    "JSON_TABLE(:ids, '$[*]' COLUMNS (id varchar(255) CHARACTER SET utf8mb4 PATH '$')) AS one)",
    each_order="JSON_TABLE(:orders, '$[*]' COLUMNS (id varchar(255) CHARACTER SET utf8mb4 PATH '$[0]', "
    "code smallint PATH '$[1]', updated_at datetime(6) PATH '$[2]')) AS one",
    values="one.id, one.code, one.updated_at",
    array="JSON_ARRAYAGG({})",
    utc="{}",
    begins={"hour": "date_format({}, '%Y-%m-%d %H:00')", "day": "date_format({}, '%Y-%m-%d')"},
    limits="SET SESSION max_statement_time = :seconds, innodb_lock_wait_timeout = :lock_seconds, "
    "lock_wait_timeout = :lock_seconds",
)
_MYSQL = replace(
    _MARIADB,
    one_of_ids=_MARIADB.one_of_ids.replace("utf8mb4_nopad_bin", "utf8mb4_0900_bin"),
    # In milliseconds, and for SELECT alone.
    limits="SET SESSION max_execution_time = 1000 * :seconds, innodb_lock_wait_timeout = :lock_seconds, "
    "lock_wait_timeout = :lock_seconds",
)
DIALECTS = {"postgresql": _POSTGRESQL, "sqlite": _SQLITE, "mysql": _MYSQL, "mariadb": _MARIADB}
"""By SQLAlchemy's names; it may call a MariaDB ``mysql``, see :func:`get_dialect`."""


def get_dialect(connection: sa.Connection) -> LedgerDialect:
    """Return the dialect of a database. It has to be connected: only then is a MariaDB known to be one."""
    dialect = connection.dialect
    return DIALECTS["mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name]


def as_json(values: Sequence[Any]) -> str:
    """Return the parameter of a statement, without escapes, which would make it up to four times as long."""
    return msgspec.json.encode(values).decode()


def limit(connection: sa.Connection, timeout_s: int) -> None:
    """
    Limit the time of the rest of a transaction.

    :param timeout_s: for each statement; for a lock at most :data:`LOCK_TIMEOUT_S`.
    """
    statement = get_dialect(connection).limit
    if statement is not None and connection.info.get("statement_timeout_s") != timeout_s:
        connection.execute(statement, {"seconds": timeout_s, "lock_seconds": min(timeout_s, LOCK_TIMEOUT_S)})


def prepare(engine: sa.Engine, connect_timeout_s: int, statement_timeout_s: int) -> None:
    """
    Have each new connection of a ledger's engine configured for its kind of database.

    :param statement_timeout_s: the longest timeout that a statement will have.
    """
    match engine.dialect.name:
        case "postgresql":
            # Without these, the kernel notices only after two hours that the server's machine is gone.
            patience = {
                "keepalives_idle": 30,
                "keepalives_interval": 10,
                "keepalives_count": 3,
                "tcp_user_timeout": LOCK_TIMEOUT_S * 1000,
            }
            # The role's own encoding may have no letters for an order id.
            defaults: dict[str, Any] = {"connect_timeout": connect_timeout_s, "client_encoding": "UTF8", **patience}
            if engine.dialect.driver == "psycopg":
                # Until it is known that there is no pooler, see below.
                defaults["prepare_threshold"] = None
            _connect_with(engine, defaults)
            sa.event.listen(engine, "connect", partial(_configure_postgresql, statement_timeout_s))
        case "sqlite":
            _connect_with(engine, {"timeout": LOCK_TIMEOUT_S})
            sa.event.listen(engine, "connect", _configure_sqlite)
        case _:
            read_timeout_s = max(statement_timeout_s, STATEMENT_TIMEOUT_S) + LOCK_TIMEOUT_S
            _connect_with(engine, {"connect_timeout": connect_timeout_s, "read_timeout": read_timeout_s})
            sa.event.listen(engine, "connect", _configure_mysql)
    if engine.dialect.name != "sqlite":
        _test_idle_connections(engine)


def is_deadlock(error: BaseException | None) -> bool:
    """Return whether a database ended a transaction in favour of another one, so that it can be repeated at once."""
    return _error_code(error) in _DEADLOCKS


def is_lost(error: sa.exc.DBAPIError) -> bool:
    """
    Return whether the server is gone, shuts down or only reads: a new connection may reach one that works.

    Of a commit that ends so it is not known whether it happened.
    """
    # Without a statement it failed as it connected, or as it began or ended a transaction.
    at_the_edge = error.statement is None and not isinstance(error, sa.exc.IntegrityError)
    return error.connection_invalidated or at_the_edge or _error_code(error) in _SHUTTING_DOWN or is_read_only(error)


def is_read_only(error: sa.exc.DBAPIError) -> bool:
    """Return whether a server only reads, as one does that a failover has turned into a replica."""
    return _error_code(error) in _READ_ONLY


def is_permission_denied(error: BaseException | None) -> bool:
    """Return whether a database says that the role lacks a permission."""
    return _error_code(error) in _PERMISSION_DENIED


def is_missing_table(error: BaseException | None) -> bool:
    """Return whether a database says that a table does not exist."""
    code = _error_code(error)
    return code in _NO_TABLE or str(code).startswith("no such table")  # SQLite has no number for it


def _error_code(error: BaseException | None) -> object:
    """Return the SQLSTATE of an error of PostgreSQL, the error number of MySQL, or the message of SQLite."""
    original: Any = getattr(error, "orig", None)
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    return state or next(iter(getattr(original, "args", ())), None)


def _connect_with(engine: sa.Engine, defaults: Mapping[str, Any]) -> None:
    """Add options for a database's driver; those of the connection's own extra have precedence."""

    def add(_dialect: object, record: Any, _arguments: object, options: dict[str, Any]) -> None:
        record.info["defaults"] = defaults.keys() - options.keys()
        options |= {**defaults, **options}

    sa.event.listen(engine, "do_connect", add)


def _test_idle_connections(engine: sa.Engine) -> None:
    """
    Have a connection that was idle tested before it is used, and all be replaced if the server has closed it.

    SQLAlchemy's ``pool_pre_ping`` would cost each transaction a query, also between two requests of a load.
    """

    def returned(_connection: object, record: Any) -> None:
        record.info["idle_since"] = time.monotonic()

    def taken(connection: Any, record: Any, _proxy: object) -> None:
        if time.monotonic() - record.info.get("idle_since", time.monotonic()) < PING_AFTER_S:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise sa.exc.InvalidatePoolError("the server has closed an idle connection") from error

    sa.event.listen(engine, "checkin", returned)
    sa.event.listen(engine, "checkout", taken)


# SQLite does not wait for a lock while another connection turns on the write-ahead log: it fails at once.
@retry(
    retry=retry_if_exception(lambda e: "database is locked" in str(e)),
    stop=stop_after_delay(LOCK_TIMEOUT_S),
    wait=wait_random(0, 0.1),
    reraise=True,
)
def _configure_sqlite(connection: Any, _record: object) -> None:
    """Let several processes write to one SQLite ledger: write-ahead log."""
    connection.execute("PRAGMA journal_mode = WAL")


def _configure_postgresql(statement_timeout_s: int, connection: Any, record: Any) -> None:
    """
    Prepare statements on the server, and set the time limits for the session, unless a pooler is in between.

    A pooler may give the server's process to another client after each transaction, with what this one has left there.
    It shows by the number of the process: a pooler makes one up for each of its clients.
    """
    if "prepare_threshold" not in record.info["defaults"]:
        return  # the connection's own extra decides
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        if cursor.fetchone()[0] == connection.info.backend_pid:
            cursor.execute(f"SET statement_timeout = '{statement_timeout_s}s'")
            cursor.execute(f"SET lock_timeout = '{min(statement_timeout_s, LOCK_TIMEOUT_S)}s'")
            record.info["statement_timeout_s"] = statement_timeout_s
            connection.prepare_threshold = PREPARE_AFTER
    connection.commit()


def _configure_mysql(connection: Any, _record: object) -> None:
    """
    Have MySQL refuse values that do not fit instead of truncating them, and see in each statement what is committed.

    Its default, REPEATABLE READ, answers every query of a transaction as of its first one, and locks the gaps between
    rows, so that tasks that record different orders would wait for each other.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        # Added to what is set, because SQLAlchemy and the driver have read the other modes already.
        cursor.execute("SET SESSION sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_ALL_TABLES')")
        # MariaDB truncates a JSON array at 1 MB; the longest one here is below 16.
        cursor.execute("SET SESSION group_concat_max_len = 16777216")
