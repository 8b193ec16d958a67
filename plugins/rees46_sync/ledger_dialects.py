"""
Where the databases of a ledger differ: how they read JSON, cut times, and are kept from making somebody wait for ever.

A task waits :data:`LOCK_TIMEOUT_S` for a lock, and :data:`STATEMENT_TIMEOUT_S` for the answer to a statement. Both are
far beyond what a healthy ledger takes for its largest one (a second or two for :data:`LOOKUP_CHUNK` orders), and well
below what a task may lose without the hour being lost. What takes longer is a ``LedgerError``: Airflow tries again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import sqlalchemy as sa
from tenacity import retry, retry_if_exception, stop_after_delay, wait_random

from rees46_sync.ledger_tables import UtcDateTime

CONNECT_TIMEOUT_S = 20
LOCK_TIMEOUT_S = 60
STATEMENT_TIMEOUT_S = 120

Unit = Literal["hour", "day"]


@dataclass(frozen=True)
class LedgerDialect:
    """
    What is said to one kind of database. Thousands of orders are one parameter, JSON, not thousands of them.

    :param one_of_ids: whether order_id is in the array ``:ids``.
    :param each_order: the orders of the array ``:orders``, a row each.
    :param values: order_id, status and source_updated_at of such a row.
    :param begins: when the hour, or the day, of the column answered_at began: text, UTC, cut to the unit.
    :param limit: keeps the statements of a transaction within ``:seconds``, and its waits for a lock within
        ``:lock_seconds``; None where the connection sees to it.
    """

    one_of_ids: str
    each_order: str
    values: str
    begins: Mapping[Unit, str]
    limit: str | None = None

    @cached_property
    def insert_accepted(self) -> sa.TextClause:
        """The statement that records a batch; the database takes it apart, which costs us nothing."""
        return sa.text(
            "INSERT INTO rees46_accepted_statuses (shop, dag_id, run_id, extraction_id, accepted_at, order_id, status, "
            "source_updated_at) SELECT :shop, :dag_id, :run_id, :extraction_id, :accepted_at, "
            f"{self.values} FROM {self.each_order}"
        ).bindparams(sa.bindparam("accepted_at", type_=UtcDateTime()))


DIALECTS = {
    "postgresql": LedgerDialect(
        one_of_ids="order_id = ANY (ARRAY(SELECT jsonb_array_elements_text(CAST(:ids AS jsonb))))",
        each_order="jsonb_array_elements(CAST(:orders AS jsonb)) AS one",
        values="one ->> 0, CAST(one ->> 1 AS smallint), CAST(one ->> 2 AS timestamp) AT TIME ZONE 'UTC'",
        begins={
            "hour": "to_char(answered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:00')",
            "day": "to_char(answered_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
        },
        # For the transaction alone: a pooler may give the connection to somebody else afterwards.
        limit="SELECT set_config('statement_timeout', :seconds || 's', true), "
        "set_config('lock_timeout', :lock_seconds || 's', true)",
    ),
    "sqlite": LedgerDialect(
        one_of_ids="order_id IN (SELECT value FROM json_each(:ids))",
        each_order="json_each(:orders) AS one",
        values="json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]')",
        begins={"hour": "strftime('%Y-%m-%d %H:00', answered_at)", "day": "strftime('%Y-%m-%d', answered_at)"},
    ),
}


def dialect_of(bind: sa.Engine | sa.Connection) -> LedgerDialect:
    """Return what is said to a database."""
    return DIALECTS[bind.dialect.name]


def limit(connection: sa.Connection, timeout_s: int, lock_timeout_s: int | None = None) -> None:
    """
    Keep the rest of a transaction from making somebody wait for ever.

    :param timeout_s: for each statement.
    :param lock_timeout_s: for each wait for a lock; :data:`LOCK_TIMEOUT_S` at most, and by default.
    """
    statement = dialect_of(connection).limit
    if statement:
        lock_seconds = min(timeout_s, LOCK_TIMEOUT_S if lock_timeout_s is None else lock_timeout_s)
        connection.execute(sa.text(statement), {"seconds": str(timeout_s), "lock_seconds": str(lock_seconds)})


def prepare(engine: sa.Engine, connect_timeout_s: int) -> None:
    """Have each new connection of a ledger's engine set up for its kind of database."""
    match engine.dialect.name:
        case "postgresql":
            # A machine that is gone says nothing: without these the kernel asks after two hours whether it is there.
            patience = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
            _connect_with(engine, {"connect_timeout": connect_timeout_s, **patience})
        case "sqlite":
            sa.event.listen(engine, "connect", _share_sqlite)


def _connect_with(engine: sa.Engine, defaults: Mapping[str, Any]) -> None:
    """Give a database's driver options that the user's connection does not name."""

    def add(_dialect: object, _record: object, _arguments: object, options: dict[str, Any]) -> None:
        for name, value in defaults.items():
            options.setdefault(name, value)

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
