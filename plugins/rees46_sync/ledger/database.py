"""
The ledger: what REES46 has accepted and the record of every run, in the database of an Airflow connection.

This module opens it and makes transactions. What is stored, and how it is read, is in a module for each subject.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from tenacity import RetryCallState, retry, retry_if_exception

from rees46_sync.exceptions import ConnectionFieldsError, LedgerError, LedgerSchemaError
from rees46_sync.ledger.dialects import (
    CONNECT_TIMEOUT_S,
    DIALECTS,
    POOL,
    STATEMENT_TIMEOUT_S,
    is_deadlock,
    is_lost,
    is_read_only,
    limit,
    prepare,
)
from rees46_sync.ledger.migrations import VERSION, check_version, display_url, migrate
from rees46_sync.ledger.tables import (
    accepted_statuses,
    deliveries,
    extractions,
    in_flight_requests,
    leases,
    rejected_orders,
    sync_runs,
    uncertain_orders,
)

SUPPORTED = "SQLite, PostgreSQL, MySQL or MariaDB"

INTERACTIVE_CONNECT_TIMEOUT_S = 5
INTERACTIVE_TIMEOUT_S = 20
"""The longest time that a query of a page or a monitor may take: a person waits for it."""

RECONNECT_S = 120
"""How long a task repeats its transactions while the server restarts or fails over; a managed one takes a minute or
two. After that the task fails, and Airflow retries it."""

CONFLICTS = 8
"""How often a transaction that met another one is made, at most."""

_REQUIRED_TABLES = {
    table.name
    for table in (
        accepted_statuses,
        deliveries,
        extractions,
        in_flight_requests,
        leases,
        rejected_orders,
        sync_runs,
        uncertain_orders,
    )
}

_COLUMNS_SINCE = {
    5: {
        "rees46_sync_runs": {
            "newest_updated_at",
            "data_until",
            "data_late",
            "whole_days",
            "mapping_hash",
            "mapping",
        },
    },
    6: {
        "rees46_alerts": {"remedy", "cause"},
        "rees46_deliveries": {"http_status", "milliseconds"},
        "rees46_sync_runs": {"remedy", "examples"},
    },
}
"""
The columns that a ledger lacks until a run has migrated it to these versions.

One from before version 4 lacks tables as well, and is not read until it is migrated.
"""


def _is_transient(error: BaseException | None) -> bool:
    return isinstance(error, LedgerError) and error.transient


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


# If two tasks insert the same row at once, the slower one fails and repeats its transaction; if they wait for each
# other, the database ends one of them. Its transaction is rolled back, so it can be repeated. If the connection is
# lost, it may have been committed all the same: what is decorated must come to the same if it is made twice.
retry_transaction = retry(
    retry=retry_if_exception(
        lambda error: isinstance(error, sa.exc.IntegrityError) or is_deadlock(error.__cause__) or _is_transient(error)
    ),
    stop=lambda state: state.attempt_number >= CONFLICTS and not _is_transient(_error(state)),
    wait=lambda state: random.uniform(0.3, 1) if _is_transient(_error(state)) else random.uniform(0, 0.3),  # noqa: S311
    reraise=True,
)


class Ledger:
    """
    The ledger of all shops that share one database.

    :param statement_timeout_s: the longest time that a statement may take.
    :param reconnect_s: how long transactions are repeated if the server, once it has answered, is lost.
    """

    def __init__(
        self, engine: sa.Engine, statement_timeout_s: int = STATEMENT_TIMEOUT_S, reconnect_s: float = RECONNECT_S
    ) -> None:
        self.engine = engine
        self.statement_timeout_s = statement_timeout_s
        self.reconnect_s = reconnect_s
        self._version: int | None = None
        self._lost_since: float | None = None

    @classmethod
    def from_conn_id(
        cls,
        conn_id: str,
        connect_timeout_s: int = CONNECT_TIMEOUT_S,
        statement_timeout_s: int = STATEMENT_TIMEOUT_S,
        reconnect_s: float = RECONNECT_S,
    ) -> Ledger:
        """
        Return the ledger in the database of an Airflow connection; this does not connect yet.

        :raises ConnectionFieldsError: there is no such connection, or its database is not supported.
        """
        from rees46_sync.airflow_adapters.connections import create_engine, get_database_hook

        hook = get_database_hook(conn_id)
        try:
            engine = create_engine(hook, **POOL)
        except sa.exc.NoSuchModuleError as error:
            raise ConnectionFieldsError(
                conn_id, f"its type has no SQLAlchemy dialect ({error})", f"use {SUPPORTED}"
            ) from error
        if engine.dialect.name not in DIALECTS:
            raise ConnectionFieldsError(
                conn_id, f"a ledger in {engine.dialect.name} is not supported", f"use {SUPPORTED}"
            )
        prepare(engine, connect_timeout_s, statement_timeout_s)
        return cls(engine, statement_timeout_s, reconnect_s)

    @classmethod
    def open(cls, conn_id: str) -> Ledger:
        """
        Return the ledger of an Airflow connection for a task, with current tables.

        :raises ConnectionFieldsError: there is no such connection, or its database is not supported.
        :raises LedgerSchemaError: the tables are newer than this version of the project, or may not be changed.
        """
        ledger = cls.from_conn_id(conn_id)
        ledger.migrate()
        return ledger

    @retry_transaction
    def migrate(self) -> None:
        """
        Create or migrate the tables. If they are current, this costs one query.

        :raises LedgerSchemaError: they are newer than this version of the project, or may not be changed.
        """
        with self._ledger_errors():
            migrate(self.engine, self.statement_timeout_s)
        self._version = VERSION

    @property
    def version(self) -> int:
        """
        The version of its tables when it was used first.

        :raises LedgerSchemaError: they are newer than this version of the project.
        """
        if self._version is None:
            with self._ledger_errors():
                self._version = check_version(self.engine, self.statement_timeout_s)
        return self._version

    def columns(self, table: sa.Table) -> list[sa.ColumnElement[Any]]:
        """
        Return the columns of a table, for readers that do not migrate: null in place of what an earlier version lacks.

        :raises LedgerSchemaError: as ``version``.
        """
        later = [tables.get(table.name, set()) for version, tables in _COLUMNS_SINCE.items() if version > self.version]
        lacking = set().union(*later)
        return [sa.null().label(column.name) if column.name in lacking else column for column in table.c]

    def has_runs(self) -> bool:
        """Return whether there is a record of runs; an older ledger that no run has migrated yet has one, too."""
        with self.transaction() as connection:
            return sa.inspect(connection).has_table(sync_runs.name)

    def has_tables(self) -> bool:
        """
        Return whether the first run has created the tables.

        :raises LedgerSchemaError: an earlier version of the project created them, and no run has migrated them yet.
        """
        with self.transaction() as connection:
            existing = set(sa.inspect(connection).get_table_names())
        if accepted_statuses.name in existing and not existing >= _REQUIRED_TABLES:
            raise LedgerSchemaError(
                display_url(self.engine),
                f"its schema is older than version {VERSION} of this installation",
                "wait for the next run, which migrates it, or run python -m rees46_sync.ledger",
            )
        return existing >= _REQUIRED_TABLES

    @contextmanager
    def transaction(self, timeout_s: int | None = None) -> Iterator[sa.Connection]:
        """
        Open a transaction, which is committed at the end.

        :param timeout_s: for each of its statements; by default the ledger's own.
        :raises LedgerError: the database does not answer, or refuses; with its own message, without rows. If it is
            transient, :func:`retry_transaction` repeats the transaction.
        :raises LedgerSchemaError: the ledger is newer than this version of the project.
        """
        with self._ledger_errors():
            _ = self.version  # a newer ledger is refused
            with self.engine.begin() as connection:
                limit(connection, timeout_s or self.statement_timeout_s)
                yield connection
        self._lost_since = None

    @contextmanager
    def _ledger_errors(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except sa.exc.TimeoutError as error:
            raise LedgerError(
                f"Ledger {display_url(self.engine)}: all {POOL['pool_size']} connections of this task are busy",
                "see what keeps its database from answering; the run can be retried",
            ) from error
        except sa.exc.DBAPIError as error:
            transient = is_lost(error) and self._may_come_back()
            remedy = "check the database of ledger_conn_id; the run can be retried"
            if is_read_only(error):
                # The other connections lead to the same server. New ones may lead to the one that took over.
                self.engine.dispose()
                remedy = "let ledger_conn_id name the server that may be written to; the run can be retried"
            cause = str(error.orig).splitlines()[0] if str(error.orig) else type(error.orig).__name__
            problem = f"Ledger {display_url(self.engine)}: {cause}"
            raise LedgerError(problem, remedy, transient=transient) from error

    def _may_come_back(self) -> bool:
        """Return whether a server that is lost has answered before, and has not been lost for too long."""
        if self._version is None or self.engine.dialect.name == "sqlite":
            return False
        self._lost_since = self._lost_since or time.monotonic()
        return time.monotonic() - self._lost_since < self.reconnect_s


@contextmanager
def interactive_ledger(conn_id: str) -> Iterator[Ledger]:
    """
    Open the ledger of an Airflow connection with short timeouts, for a page, a monitor or the doctor.

    :raises ConnectionFieldsError: there is no such connection, or its database is not supported.
    """
    ledger = Ledger.from_conn_id(conn_id, INTERACTIVE_CONNECT_TIMEOUT_S, INTERACTIVE_TIMEOUT_S, reconnect_s=0)
    try:
        yield ledger
    finally:
        ledger.engine.dispose()
