"""
The version of a ledger's schema: how its tables are created, and how an older ledger is migrated.

``rees46_schema_versions`` has a row for each version that a ledger has had; a ledger from before that table is version
1. Migrating runs the steps that a ledger lacks, each of them small, and then creates the tables that are missing. That
is one transaction if the database supports it. MySQL and MariaDB commit each statement by itself, so a step checks what
is there and can be repeated.

A newer schema is refused wherever a ledger is opened: a column may mean something that this version does not know.

Alembic's revisions are not used: a ledger is opened by many tasks at once, on three databases, and by no administrator.
It needs a number that says "newer than this version", one migration at a time, and steps that can be repeated;
revisions have hashes, an environment and scripts instead. Alembic's operations, which rebuild SQLite tables, are used
in the steps.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.schema import CreateIndex

from rees46_sync.exceptions import LedgerError, LedgerSchemaError
from rees46_sync.ledger.dialects import LOCK_TIMEOUT_S, is_missing_table, is_permission_denied, limit
from rees46_sync.ledger.tables import (
    BIG_ID,
    MYSQL,
    Exact,
    UtcDateTime,
    accepted_statuses,
    metadata,
    schema_versions,
)
from rees46_sync.ledger.views import create_views, drop_views

if TYPE_CHECKING:
    from alembic.operations import Operations

VERSION = 6
"""Of the tables in ``tables.py``; a change of an existing table needs a step as well."""

STEP_TIMEOUT_S = 3600
"""For a statement of a step: rebuilding a table of a hundred million rows takes its time."""

NO_TABLES = 0
UNVERSIONED = 1

_ACQUIRE_LOCK = {
    "postgresql": "SELECT pg_advisory_xact_lock(4613742836)",
    "sqlite": "BEGIN IMMEDIATE",
    "mysql": f"SELECT get_lock(sha1(concat('rees46 ', database())), {LOCK_TIMEOUT_S})",
}
"""Lets one task at a time change the schema of a database."""

_RELEASE_LOCK = {"mysql": "SELECT release_lock(sha1(concat('rees46 ', database())))"}
"""For databases in which the end of the transaction does not release the lock."""


def _never_reuse_ids(connection: sa.Connection, tables: Collection[str]) -> None:
    """
    Make SQLite never assign the id of a removed row again, as the other databases do by themselves.

    A task that remembers a request, a message or a batch by its id would take the new row for it.
    """
    if connection.dialect.name != "sqlite":
        return
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    operations = Operations(MigrationContext.configure(connection))
    for name in set(sa.inspect(connection).get_table_names()).intersection(tables):
        with operations.batch_alter_table(name, recreate="always", table_kwargs={"sqlite_autoincrement": True}):
            pass  # rebuilding the table is the change


def _never_reuse_ids_of_version_2(connection: sa.Connection) -> None:
    _never_reuse_ids(connection, {"rees46_deliveries", "rees46_open_requests", "rees46_alert_messages"})


_NEW_TABLE_NAMES = {
    "rees46_open_requests": "rees46_in_flight_requests",
    "rees46_unanswered_orders": "rees46_uncertain_orders",
    "rees46_open_readings": "rees46_open_extractions",
    "rees46_overtaken_orders": "rees46_confirmations",
}
_NEW_COLUMN_NAMES = {
    "rees46_uncertain_orders": {"after_id": "high_water_mark"},
    "rees46_open_extractions": {"after_id": "latest_confirmation_id", "began_at": "started_at"},
    "rees46_approvals": {"question": "exceeded_text"},
    "rees46_alerts": {"about": "as_of"},
    "rees46_alert_messages": {"told_at": "sent_at"},
    "rees46_retention": {"looked_at_id": "checked_up_to_id"},
}


def _rename(connection: sa.Connection) -> None:
    """
    Give tables, columns and indexes the field's own terms; the rows stay as they are.

    Sequences, unique constraints and comments keep their names and texts: nothing refers to them.
    """
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    operations = Operations(MigrationContext.configure(connection))
    for old, new in _NEW_TABLE_NAMES.items():
        if sa.inspect(connection).has_table(old):
            operations.rename_table(old, new)
        inspector = sa.inspect(connection)
        for index in inspector.get_indexes(new) if inspector.has_table(new) else ():
            # The index of a unique constraint is the constraint's, and keeps its name.
            if str(index["name"]).startswith(old) and "duplicates_constraint" not in index:
                operations.drop_index(str(index["name"]), new)  # it is created again under its new name
    for table, names in _NEW_COLUMN_NAMES.items():
        inspector = sa.inspect(connection)
        columns = {column["name"] for column in inspector.get_columns(table)} if inspector.has_table(table) else set()
        for old, new in names.items():
            if old in columns:
                connection.exec_driver_sql(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")


def _to_version_4(connection: sa.Connection) -> None:
    """
    Prepare for leases, the settle time, the order of extractions, and runs that hold orders back or send them again.

    What is in flight becomes uncertain, because the load that sent it has no lease. When an uncertain request went out
    was not recorded, so it counts as sent just now.
    """
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    operations = Operations(MigrationContext.configure(connection))
    now = datetime.now(UTC)

    def add(table: str, name: str, kind: Any, default: Any = None) -> None:
        if name not in _columns(connection, table):
            is_required = default is not None
            column = sa.Column(name, kind, nullable=not is_required, server_default=default)
            operations.add_column(table, column)

    add("rees46_accepted_statuses", "sent_at", UtcDateTime())
    if _columns(connection, "rees46_sync_runs"):
        add("rees46_sync_runs", "held", sa.BigInteger(), "0")
        add("rees46_sync_runs", "resent", sa.BigInteger())
        add("rees46_sync_runs", "cause", sa.Text())
    uncertain, in_flight = "rees46_uncertain_orders", "rees46_in_flight_requests"
    if _columns(connection, uncertain):
        add(uncertain, "status", sa.SmallInteger())
        add(uncertain, "extraction_id", Exact(40), "")
        # With a zone only in PostgreSQL, which reads it in that of the session otherwise; MySQL turns it into that one.
        zone = "+00:00" if connection.dialect.name == "postgresql" else ""
        add(uncertain, "sent_at", UtcDateTime(), f"{now:%Y-%m-%d %H:%M:%S.%f}{zone}")
    if _columns(connection, in_flight) and "lease" not in _columns(connection, in_flight):
        if _columns(connection, uncertain):
            _mark_uncertain(connection, now)
        add(in_flight, "extraction_id", Exact(40), "")
        add(in_flight, "lease", BIG_ID, "0")  # the last of them: it says that they are marked
    if "high_water_mark" in _columns(connection, uncertain):
        connection.exec_driver_sql(
            f"DELETE FROM {uncertain} WHERE EXISTS (SELECT 1 FROM rees46_accepted_statuses AS accepted WHERE "
            f"accepted.shop = {uncertain}.shop AND accepted.order_id = {uncertain}.order_id AND "
            f"accepted.id > {uncertain}.high_water_mark)"
        )
        _drop_index(connection, operations, uncertain, "rees46_uncertain_orders_order")
        operations.drop_column(uncertain, "high_water_mark")
    _drop_index(connection, operations, "rees46_confirmations", "rees46_confirmations_shop")
    _drop_index(connection, operations, "rees46_open_extractions", "rees46_open_extractions_shop")
    if _columns(connection, "rees46_open_extractions"):
        operations.rename_table("rees46_open_extractions", "rees46_extractions")
    if _columns(connection, "rees46_extractions"):
        add("rees46_extractions", "window_end", UtcDateTime())
        add("rees46_extractions", "read_mark", BIG_ID)
        if "is_open" not in _columns(connection, "rees46_extractions"):
            connection.exec_driver_sql("UPDATE rees46_extractions SET read_mark = id, latest_confirmation_id = 0")
            add("rees46_extractions", "is_open", sa.Boolean(), sa.true())  # the last of them: it says that they are set
        _never_reuse_ids(connection, {"rees46_extractions"})


def _to_version_5(connection: sa.Connection) -> None:
    """Prepare for what a run records of the data that it read, and of the mapping that it used."""
    _add_columns(
        connection,
        "rees46_sync_runs",
        newest_updated_at=UtcDateTime(),
        data_until=UtcDateTime(),
        data_late=sa.Boolean(),
        whole_days=sa.Boolean(),
        mapping_hash=Exact(64),
        mapping=sa.Text(),
    )


def _to_version_6(connection: sa.Connection) -> None:
    """Prepare for the cause of a failure, for examples of each part of the sum, and for a request's response."""
    _add_columns(connection, "rees46_sync_runs", remedy=sa.Text(), examples=sa.Text())
    _add_columns(connection, "rees46_alerts", remedy=sa.Text(), cause=Exact(64))
    _add_columns(connection, "rees46_deliveries", http_status=sa.SmallInteger(), milliseconds=sa.Integer())


def _add_columns(connection: sa.Connection, table: str, **columns: sa.types.TypeEngine[Any]) -> None:
    """Add the columns that a table lacks; do nothing if there is no such table."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    operations = Operations(MigrationContext.configure(connection))
    existing = _columns(connection, table)
    for name, kind in columns.items() if existing else ():
        if name not in existing:
            operations.add_column(table, sa.Column(name, kind))


def _mark_uncertain(connection: sa.Connection, now: datetime) -> None:
    """Move the orders of former in-flight requests to the uncertain ones."""
    requests = connection.exec_driver_sql("SELECT id, shop, orders FROM rees46_in_flight_requests").all()
    columns = ("shop", "order_id", "status", "source_updated_at", "sent_at")
    uncertain = sa.table("rees46_uncertain_orders", *map(sa.column, columns), sa.column("high_water_mark"))
    for _, shop, orders in requests:
        listed = json.loads(orders)
        # The first versions stored an object of ids and times, without the status.
        rows = [(one, None, at) for one, at in listed.items()] if isinstance(listed, dict) else listed
        for order_id, status, at in rows:
            latest = sa.select(sa.func.coalesce(sa.func.max(accepted_statuses.c.id), 0)).scalar_subquery()
            values = {
                "shop": shop,
                "order_id": order_id,
                "status": status,
                "source_updated_at": sa.bindparam(None, datetime.fromisoformat(at).replace(tzinfo=UTC), UtcDateTime()),
                "sent_at": sa.bindparam(None, now, UtcDateTime()),
                "high_water_mark": latest,
            }
            connection.execute(sa.insert(uncertain).values(values))
    connection.exec_driver_sql("DELETE FROM rees46_in_flight_requests")


def _columns(connection: sa.Connection, table: str) -> set[str]:
    """Return the names of a table's columns; none if there is no such table."""
    inspector = sa.inspect(connection)
    return {column["name"] for column in inspector.get_columns(table)} if inspector.has_table(table) else set()


def _drop_index(connection: sa.Connection, operations: Operations, table: str, name: str) -> None:
    if _columns(connection, table) and name in {one["name"] for one in sa.inspect(connection).get_indexes(table)}:
        operations.drop_index(name, table)


STEPS: dict[int, Callable[[sa.Connection], None]] = {
    2: _never_reuse_ids_of_version_2,
    3: _rename,
    4: _to_version_4,
    5: _to_version_5,
    6: _to_version_6,
}
"""What migrates a ledger to a version from the one before. A step uses the names that tables had then."""


def schema_version(engine: sa.Engine, timeout_s: int) -> int:
    """
    Return the version of a ledger; one query if it has one.

    :param timeout_s: for each statement.
    :raises sqlalchemy.exc.DBAPIError: the database does not answer, or refuses.
    """
    try:
        with engine.begin() as connection:
            limit(connection, timeout_s)
            return _newest_row(connection) or _unversioned(connection)
    except (sa.exc.ProgrammingError, sa.exc.OperationalError) as error:
        if not is_missing_table(error):
            raise
        # Another task may be creating it just now.
        with engine.begin() as connection:
            limit(connection, timeout_s)
            return _version_in(connection)


def _version_in(connection: sa.Connection) -> int:
    has_versions = sa.inspect(connection).has_table(schema_versions.name)
    return (_newest_row(connection) if has_versions else None) or _unversioned(connection)


def _newest_row(connection: sa.Connection) -> int | None:
    version: int | None = connection.scalar(sa.select(sa.func.max(schema_versions.c.version)))
    return version


def _unversioned(connection: sa.Connection) -> int:
    return UNVERSIONED if sa.inspect(connection).has_table(accepted_statuses.name) else NO_TABLES


def check_version(engine: sa.Engine, timeout_s: int) -> int:
    """
    Return the version of a ledger that this version of the project can use.

    :param timeout_s: for each statement.
    :raises LedgerSchemaError: it is newer.
    """
    version = schema_version(engine, timeout_s)
    if version > VERSION:
        raise LedgerSchemaError(
            display_url(engine),
            f"its schema is version {version}, and this installation of the project knows versions up to {VERSION}: a "
            "newer installation has migrated it",
            "install that version here (on every worker, the scheduler and the api-server) as well",
        )
    return version


def migrate(engine: sa.Engine, timeout_s: int) -> None:
    """
    Create the tables of a new ledger, or migrate those of an older one. If they are current, this costs one query.

    :param timeout_s: for that query.
    :raises LedgerSchemaError: it is newer than this version of the project, or the role may not change it.
    """
    version = check_version(engine, timeout_s)
    if version == VERSION:
        return
    try:
        _change(engine)
    except sa.exc.DBAPIError as error:
        if not is_permission_denied(error):
            raise
        found = "it has no tables yet" if version == NO_TABLES else f"its schema is version {version}"
        raise LedgerSchemaError(
            display_url(engine),
            f"{found}, this installation of the project needs version {VERSION}, and the role of this connection may "
            "not change that",
            "run python -m rees46_sync.ledger with a connection whose role may, see docs/ledger.md",
        ) from error


def _change(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        limit(connection, STEP_TIMEOUT_S)
        with _exclusive(connection):
            version = _version_in(connection)
            if version >= VERSION:  # another task was faster
                return
            if version != NO_TABLES:
                drop_views(connection)
                for step in range(version + 1, VERSION + 1):
                    STEPS[step](connection)
            _create_missing(connection)
            create_views(connection)
            connection.execute(sa.insert(schema_versions).values(version=VERSION, since=datetime.now(UTC)))


@contextmanager
def _exclusive(connection: sa.Connection) -> Iterator[None]:
    kind = "mysql" if connection.dialect.name in MYSQL else connection.dialect.name
    lock = connection.exec_driver_sql(_ACQUIRE_LOCK[kind])
    if kind == "mysql" and lock.scalar() != 1:
        raise LedgerError(
            f"Ledger {display_url(connection.engine)}: another task has been changing its schema for "
            f"{LOCK_TIMEOUT_S} s",
            "retry the run",
        )
    try:
        yield
    finally:
        if kind in _RELEASE_LOCK:
            connection.exec_driver_sql(_RELEASE_LOCK[kind])


def _create_missing(connection: sa.Connection) -> None:
    inspector = sa.inspect(connection)
    for table in metadata.sorted_tables:
        if not inspector.has_table(table.name):
            table.create(connection)
            continue
        existing = {index["name"] for index in inspector.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in existing:
                connection.execute(CreateIndex(index))


def display_url(engine: sa.Engine) -> str:
    """Return the address of a ledger, without its password."""
    return engine.url.render_as_string(hide_password=True)
