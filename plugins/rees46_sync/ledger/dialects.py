"""
Where the databases of a ledger differ: how they read JSON, cut times, and are kept from making somebody wait for ever.

A task waits :data:`LOCK_TIMEOUT_S` for a lock, and :data:`STATEMENT_TIMEOUT_S` for the answer to a statement: far more
than a healthy ledger takes (a second or two to look up thousands of orders), and little enough to try again within the
hour. What takes longer is a ``LedgerError``, after which Airflow does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from rees46_sync.ledger.tables import UtcDateTime

CONNECT_TIMEOUT_S = 20
LOCK_TIMEOUT_S = 60
STATEMENT_TIMEOUT_S = 120

Unit = Literal["hour", "day"]

_DEADLOCKS = ("40P01", "40001", 1213)
_DENIED = ("42501", 1044, 1142, 1143)
_NO_TABLE = ("42P01", 1146)


@dataclass(frozen=True)
class LedgerDialect:
    """
    What is said to one kind of database. Thousands of orders are one parameter, JSON, not thousands of them.

    :param one_of_ids: whether order_id is in the array ``:ids``.
    :param each_order: the orders of the array ``:orders``, a row each.
    :param values: order_id, status and source_updated_at of such a row.
    :param array: what makes one JSON array, as text, of a column.
    :param utc: source_updated_at in UTC, without a zone.
    :param begins: when the hour, or the day, of the column answered_at began: text, UTC, cut to the unit.
    :param limits: keeps the statements of a transaction within ``:seconds``, and its waits for a lock within
        ``:lock_seconds``; None where the connection sees to it.
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
        """The statement that records a batch; the database takes it apart, which costs us nothing."""
        return sa.text(
            "INSERT INTO rees46_accepted_statuses (shop, dag_id, run_id, extraction_id, accepted_at, order_id, status, "
            "source_updated_at) SELECT :shop, :dag_id, :run_id, :extraction_id, :accepted_at, "
            f"{self.values} FROM {self.each_order}"
        ).bindparams(sa.bindparam("accepted_at", type_=UtcDateTime()))

    @cached_property
    def lookup_accepted(self) -> sa.TextClause:
        """
        The question for the accepted rows of orders of ``:ids``, as one row of JSON arrays (NULL may stand for none).

        They are order_id, id, status, source_updated_at, and 1 where the row is from ``:extraction_id``, else 0.
        """
        from_here = "CASE extraction_id WHEN :extraction_id THEN 1 ELSE 0 END"
        columns = ("order_id", "id", "status", self.utc, from_here)
        arrays = ", ".join(f"{self.array.format(column)} AS array_{n}" for n, column in enumerate(columns))
        return sa.text(f"SELECT {arrays} FROM rees46_accepted_statuses WHERE shop = :shop AND {self.one_of_ids}")

    @cached_property
    def limit(self) -> sa.TextClause | None:
        """The statement of ``limits``."""
        return sa.text(self.limits) if self.limits else None


_POSTGRESQL = LedgerDialect(
    one_of_ids="order_id = ANY (ARRAY(SELECT jsonb_array_elements_text(CAST(:ids AS jsonb))))",
    each_order="jsonb_array_elements(CAST(:orders AS jsonb)) AS one",
    values="one ->> 0, CAST(one ->> 1 AS smallint), CAST(one ->> 2 AS timestamp) AT TIME ZONE 'UTC'",
    array="CAST(json_agg({}) AS text)",
    utc="source_updated_at AT TIME ZONE 'UTC'",
    begins={
        "hour": "to_char(answered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:00')",
        "day": "to_char(answered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    },
    # For the transaction alone: a pooler may give the connection to somebody else afterwards.
    limits="SELECT set_config('statement_timeout', CAST(1000 * :seconds AS text), true), "
    "set_config('lock_timeout', CAST(1000 * :lock_seconds AS text), true)",
)
_SQLITE = LedgerDialect(
    one_of_ids="order_id IN (SELECT value FROM json_each(:ids))",
    each_order="json_each(:orders) AS one",
    values="json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')",
    array="json_group_array({})",
    utc="source_updated_at",
    begins={"hour": "strftime('%Y-%m-%d %H:00', answered_at)", "day": "strftime('%Y-%m-%d', answered_at)"},
)
_MARIADB = LedgerDialect(
    one_of_ids="order_id IN (SELECT one.id COLLATE utf8mb4_nopad_bin FROM "
    "JSON_TABLE(:ids, '$[*]' COLUMNS (id varchar(255) CHARACTER SET utf8mb4 PATH '$')) AS one)",
    each_order="JSON_TABLE(:orders, '$[*]' COLUMNS (id varchar(255) CHARACTER SET utf8mb4 PATH '$[0]', "
    "code smallint PATH '$[1]', updated_at datetime(6) PATH '$[2]')) AS one",
    values="one.id, one.code, one.updated_at",
    array="JSON_ARRAYAGG({})",
    utc="source_updated_at",
    begins={"hour": "date_format(answered_at, '%Y-%m-%d %H:00')", "day": "date_format(answered_at, '%Y-%m-%d')"},
    limits="SET SESSION max_statement_time = :seconds, innodb_lock_wait_timeout = :lock_seconds, "
    "lock_wait_timeout = :lock_seconds",
)
_MYSQL = replace(
    _MARIADB,
    one_of_ids=_MARIADB.one_of_ids.replace("utf8mb4_nopad_bin", "utf8mb4_0900_bin"),
    # It counts in milliseconds, and only what a SELECT takes.
    limits="SET SESSION max_execution_time = 1000 * :seconds, innodb_lock_wait_timeout = :lock_seconds, "
    "lock_wait_timeout = :lock_seconds",
)
DIALECTS = {"postgresql": _POSTGRESQL, "sqlite": _SQLITE, "mysql": _MYSQL, "mariadb": _MARIADB}
"""By the name that SQLAlchemy gives them; it may call a MariaDB ``mysql``, see :func:`dialect_of`."""


def dialect_of(connection: sa.Connection) -> LedgerDialect:
    """Return what is said to a database. It has to be connected: a MariaDB says only then that it is one."""
    dialect = connection.dialect
    return DIALECTS["mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name]


def as_json(values: Sequence[Any]) -> str:
    """Return the parameter of a statement, its characters as they are: escaped, they would take four times as much."""
    return msgspec.json.encode(values).decode()


def limit(connection: sa.Connection, timeout_s: int) -> None:
    """
    Keep the rest of a transaction from making somebody wait for ever.

    :param timeout_s: for each statement; for a lock :data:`LOCK_TIMEOUT_S` at most.
    """
    statement = dialect_of(connection).limit
    if statement is not None:
        connection.execute(statement, {"seconds": timeout_s, "lock_seconds": min(timeout_s, LOCK_TIMEOUT_S)})


def prepare(engine: sa.Engine, connect_timeout_s: int, statement_timeout_s: int) -> None:
    """
    Have each new connection of a ledger's engine set up for its kind of database.

    :param statement_timeout_s: the longest that is asked for.
    """
    match engine.dialect.name:
        case "postgresql":
            # A machine that is gone says nothing: without these the kernel asks after two hours whether it is there.
            patience = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
            _connect_with(engine, {"connect_timeout": connect_timeout_s, **patience})
        case "sqlite":
            sa.event.listen(engine, "connect", _share_sqlite)
        case _:
            read_timeout_s = max(statement_timeout_s, STATEMENT_TIMEOUT_S) + LOCK_TIMEOUT_S
            _connect_with(engine, {"connect_timeout": connect_timeout_s, "read_timeout": read_timeout_s})
            sa.event.listen(engine, "connect", _be_strict_in_mysql)


def is_deadlock(error: BaseException | None) -> bool:
    """Return whether a database ended a transaction in favour of another one: it may be done again at once."""
    return _code_of(error) in _DEADLOCKS


def is_denied(error: BaseException | None) -> bool:
    """Return whether a database says that the role has not the right to do something."""
    return _code_of(error) in _DENIED


def is_missing_table(error: BaseException | None) -> bool:
    """Return whether a database says that it has not the table."""
    code = _code_of(error)
    return code in _NO_TABLE or str(code).startswith("no such table")  # SQLite has no number for it


def _code_of(error: BaseException | None) -> object:
    """Return the SQLSTATE of what PostgreSQL's drivers raise, the error number of MySQL's, or what SQLite says."""
    fault: Any = getattr(error, "orig", None)
    state = getattr(fault, "sqlstate", None) or getattr(fault, "pgcode", None)
    return state or next(iter(getattr(fault, "args", ())), None)


def _connect_with(engine: sa.Engine, defaults: Mapping[str, Any]) -> None:
    """Give a database's driver options."""

    def add(_dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> None:
        options |= defaults

    sa.event.listen(engine, "do_connect", add)


# SQLite does not wait for a lock while another connection turns on the write-ahead log: it refuses at once.
@retry(
    retry=retry_if_exception(lambda e: "database is locked" in str(e)),
    stop=stop_after_delay(LOCK_TIMEOUT_S),
    wait=wait_random(0, 0.1),
    reraise=True,
)
def _share_sqlite(connection: Any, _record: object) -> None:
    """Let several processes write one SQLite ledger: write-ahead log, and a wait for the lock."""
    connection.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT_S * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")


def _be_strict_in_mysql(connection: Any, _record: object) -> None:
    """
    Have MySQL refuse what does not fit instead of cutting it, and see at each statement what others have committed.

    Its own default, REPEATABLE READ, answers every question of a transaction as of its first one, and locks the gaps
    between rows, at which tasks that record different orders would wait for each other.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        # Added, because SQLAlchemy and the driver have looked already at what else is set.
        cursor.execute("SET SESSION sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_ALL_TABLES')")
        # MariaDB cuts a JSON array at 1 MB; the longest that is asked for is below 16.
        cursor.execute("SET SESSION group_concat_max_len = 16777216")
