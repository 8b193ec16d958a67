"""
The version of a ledger's schema: how a database gets its tables, and how an older ledger is brought up to date.

``rees46_schema_versions`` has a row for each version that the ledger has had; a ledger of before that table is version
1. An older one is brought up to date by the steps that it lacks, each of them small, which change the tables that are
there; then the tables that are not are made in their latest shape. That is one transaction where the database can do
it; MySQL and MariaDB commit each statement by itself, so a step looks what is there already and can be repeated.

A newer schema is refused by everything that opens a ledger: it may mean by a column what this version does not know.

Not Alembic's revisions: a ledger is opened by many tasks at once, on three databases, and by no administrator. What we
need is a number that says "newer than I know", one starter at a time, and steps that can be repeated; revisions have
hashes, an environment and scripts instead. Its operations, which move a SQLite table to a new shape, do the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex

from rees46_sync.exceptions import LedgerError, LedgerSchemaError
from rees46_sync.ledger.dialects import LOCK_TIMEOUT_S, is_denied, is_missing_table, limit
from rees46_sync.ledger.tables import MYSQL, accepted_statuses, metadata, schema_versions

VERSION = 2
"""Of the tables in ``ledger_tables.py``; a change of a table that exists needs a step as well."""

STEP_TIMEOUT_S = 3600
"""For a statement of a step: to move a table of a hundred million rows takes its time."""

NO_TABLES = 0
WITHOUT_A_VERSION = 1

_TURN = {
    "postgresql": "SELECT pg_advisory_xact_lock(4613742836)",
    "sqlite": "BEGIN IMMEDIATE",
    "mysql": f"SELECT get_lock(sha1(concat('rees46 ', database())), {LOCK_TIMEOUT_S})",
}
"""What lets one at a time change the schema of a database."""

_TURN_IS_OVER = {"mysql": "SELECT release_lock(sha1(concat('rees46 ', database())))"}
"""Where the end of the transaction does not say so."""


def _number_rows_only_once(connection: sa.Connection) -> None:
    """
    Have SQLite never give the number of a removed row to another one.

    Whoever remembers a request, a message or a batch by its number would take the new one for it.
    """
    if connection.dialect.name != "sqlite":
        return  # the others never do
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    change = Operations(MigrationContext.configure(connection))
    for name in ("rees46_deliveries", "rees46_open_requests", "rees46_alert_messages"):
        with change.batch_alter_table(name, recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass  # the new table is the change


STEPS: dict[int, Callable[[sa.Connection], None]] = {2: _number_rows_only_once}
"""What brings a ledger to a version from the one before. A step speaks of the tables as they were then."""


def version_of(engine: sa.Engine, timeout_s: int) -> int:
    """
    Return the version of a ledger: one statement where it has one.

    :param timeout_s: for the answer.
    :raises sqlalchemy.exc.DBAPIError: the database does not answer, or refuses.
    """
    try:
        with engine.begin() as connection:
            limit(connection, timeout_s)
            return _newest_row(connection) or _without_a_row(connection)
    except (sa.exc.ProgrammingError, sa.exc.OperationalError) as error:
        if not is_missing_table(error):
            raise
        # Another task may be making it just now.
        with engine.begin() as connection:
            limit(connection, timeout_s)
            return _version_in(connection)


def _version_in(connection: sa.Connection) -> int:
    has_versions = sa.inspect(connection).has_table(schema_versions.name)
    return (_newest_row(connection) if has_versions else None) or _without_a_row(connection)


def _newest_row(connection: sa.Connection) -> int | None:
    version: int | None = connection.scalar(sa.select(sa.func.max(schema_versions.c.version)))
    return version


def _without_a_row(connection: sa.Connection) -> int:
    return WITHOUT_A_VERSION if sa.inspect(connection).has_table(accepted_statuses.name) else NO_TABLES


def refuse_newer(engine: sa.Engine, timeout_s: int) -> int:
    """
    Return the version of a ledger that this version of the project understands.

    :param timeout_s: for the answer.
    :raises LedgerSchemaError: it is newer.
    """
    version = version_of(engine, timeout_s)
    if version > VERSION:
        raise LedgerSchemaError(
            place_of(engine),
            f"its schema is version {version}, and this installation of the project knows versions up to {VERSION}; a "
            "newer one has upgraded the ledger: install that version here (on every worker, the scheduler and the "
            "api-server) as well",
        )
    return version


def bring_up_to_date(engine: sa.Engine, timeout_s: int) -> None:
    """
    Make the tables of a new ledger, or change those of an older one; a current one is only asked for its version.

    :param timeout_s: for the answer to that question.
    :raises LedgerSchemaError: it is newer than this project knows, or the role may not change it.
    """
    version = refuse_newer(engine, timeout_s)
    if version == VERSION:
        return
    try:
        _change(engine)
    except sa.exc.DBAPIError as error:
        if not is_denied(error):
            raise
        found = "it has no tables yet" if version == NO_TABLES else f"its schema is version {version}"
        raise LedgerSchemaError(
            place_of(engine),
            f"{found}, this installation of the project needs version {VERSION}, and the role of this connection may "
            "not change that; run python -m rees46_sync.ledger with a connection whose role may, see "
            "docs/ledger.md",
        ) from error


def _change(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        limit(connection, STEP_TIMEOUT_S)
        with _alone(connection):
            version = _version_in(connection)
            if version >= VERSION:  # somebody else was faster
                return
            if version != NO_TABLES:
                for step in range(version + 1, VERSION + 1):
                    STEPS[step](connection)
            _make_what_is_missing(connection)
            connection.execute(sa.insert(schema_versions).values(version=VERSION, since=datetime.now(UTC)))


@contextmanager
def _alone(connection: sa.Connection) -> Iterator[None]:
    kind = "mysql" if connection.dialect.name in MYSQL else connection.dialect.name
    answer = connection.exec_driver_sql(_TURN[kind])
    if kind == "mysql" and answer.scalar() != 1:
        raise LedgerError(
            f"Ledger {place_of(connection.engine)}: another task has been changing its schema for {LOCK_TIMEOUT_S} s. "
            "The run can be retried."
        )
    try:
        yield
    finally:
        if kind in _TURN_IS_OVER:
            connection.exec_driver_sql(_TURN_IS_OVER[kind])


def _make_what_is_missing(connection: sa.Connection) -> None:
    inspector = sa.inspect(connection)
    for table in metadata.sorted_tables:
        if not inspector.has_table(table.name):
            table.create(connection)
            continue
        there = {index["name"] for index in inspector.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in there:
                connection.execute(CreateIndex(index))


def place_of(engine: sa.Engine) -> str:
    """Return where a ledger is, without its password."""
    return engine.url.render_as_string(hide_password=True)
