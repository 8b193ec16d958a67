"""Whether a database can be reached, and whether its clock is right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rees46_sync.airflow_adapters.encryption import PlainText, plain_text
from rees46_sync.doctor.findings import TIMEOUT_S, Finding, error, first_line, ok, warning, within
from rees46_sync.shop.query import Query
from rees46_sync.warehouse.databases import find_by_conn_type

if TYPE_CHECKING:
    import sqlalchemy as sa
    from airflow.providers.common.sql.hooks.sql import DbApiHook

CLOCK_LIMIT_S = 60
"""A window ends at this machine's time and is compared with the database's; an hourly run tolerates a minute."""


MAX_ROWS = 1_000
"""Rows that are read at once; the doctor asks for few."""


@contextmanager
def _connected(hook: DbApiHook) -> Iterator[sa.Connection | None]:
    """Connect with SQLAlchemy, as a run does; None if it has no dialect for this database."""
    import sqlalchemy as sa

    from rees46_sync.airflow_adapters.connections import create_engine

    try:
        engine = create_engine(hook)
    except sa.exc.NoSuchModuleError:
        yield None
        return
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def ask(hook: DbApiHook, statement: str, parameters: Any = ()) -> Sequence[Sequence[Any]]:
    """
    Run a statement and return all rows.

    :param parameters: in the paramstyle of the database's driver.
    :raises TimeoutError: there was no answer in time.
    """
    from rees46_sync.warehouse.values import python_values

    def rows() -> Sequence[Sequence[Any]]:
        if reader := find_by_conn_type(hook.conn_type).reader:  # as a run does
            with reader(hook, Query((statement,)), {}, MAX_ROWS, TIMEOUT_S) as (_, chunks):
                return [row for chunk in chunks for row in zip(*map(python_values, chunk), strict=True)]
        with _connected(hook) as connection:
            if connection is None:
                found: Sequence[Sequence[Any]] = hook.get_records(statement, parameters)
                return found
            return connection.exec_driver_sql(statement, parameters).all()

    return within(TIMEOUT_S, rows)


def error_text(problem: Exception) -> str:
    """Return the first line of a database's error; of a ValueError only its name: it may quote part of a password."""
    cause = getattr(problem, "orig", None) or problem
    return type(cause).__name__ if isinstance(cause, ValueError) else first_line(cause)


def database_file(hook: DbApiHook) -> Path | None:
    """Return the file of a SQLite or DuckDB connection; None if it is not a local file."""
    if not find_by_conn_type(hook.conn_type).in_process:
        return None
    database = hook.get_uri().partition("?")[0].removeprefix(f"{hook.conn_type}:///")
    if not database or database.startswith((":memory:", "file:", "md:", "motherduck:")):
        return None
    return Path(re.sub("^/+", "/", database))  # Airflow's SQLite hook writes one slash too many


def missing_file(hook: DbApiHook) -> Path | None:
    """Return the file of a connection if it does not exist: connecting would create an empty one."""
    file = database_file(hook)
    return file if file and not file.exists() else None


def describe_connection(hook: DbApiHook) -> str:
    """Return the connection's id, type, host, port and schema, without user and password."""
    connection = hook.connection
    if find_by_conn_type(hook.conn_type).in_process:
        return f"{connection.conn_id} ({connection.conn_type} {database_file(hook) or 'without a file'})"
    host = re.sub(r"^.*@|\?.*$", "", connection.host or "")
    place = ", ".join(
        f"{name} {part}"
        for name, part in (("host", host), ("port", connection.port), ("schema", connection.schema))
        if part
    )
    return f"{connection.conn_id} ({connection.conn_type}{', ' * bool(place)}{place})"


def answers(check: str, hook: DbApiHook) -> Finding:
    """Connect, run a trivial query, and see whether it went unencrypted to another machine."""
    import sqlalchemy as sa

    def answer() -> PlainText | None:
        if find_by_conn_type(hook.conn_type).reader:
            ask(hook, "SELECT 1")
            return None
        with _connected(hook) as connection:
            if connection is None:
                hook.get_first("SELECT 1")
                return None
            connection.execute(sa.select(1))
            return plain_text(hook.connection, connection.connection.driver_connection)

    place = describe_connection(hook)
    try:
        unencrypted = within(TIMEOUT_S, answer)
    except Exception as problem:  # noqa: BLE001 - each database driver has its own error classes
        remedy = "correct the connection, or check that the database is up"
        return error(check, f"{place} does not answer: {error_text(problem)}", remedy)
    if unencrypted:
        return warning(check, f"{place}: {unencrypted.problem}", unencrypted.remedy)
    return ok(check, place)


def clock(check: str, hook: DbApiHook) -> Iterator[Finding]:
    """Compare the clock of a database with this machine's."""
    if find_by_conn_type(hook.conn_type).in_process:
        yield ok(check, f"{hook.conn_type} runs in this process, and has its clock", difference_s=0)
        return
    utc_now = find_by_conn_type(hook.conn_type).clock
    if utc_now is None:
        yield ok(check, f"not tried: the doctor has no query for the clock of {hook.conn_type}", difference_s=None)
        return
    before = datetime.now(UTC)
    [[there]] = ask(hook, utc_now)
    after = datetime.now(UTC)
    ahead = (there.replace(tzinfo=UTC) - (before + (after - before) / 2)).total_seconds()
    value = f"{abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine's"
    if abs(ahead) <= CLOCK_LIMIT_S:
        yield ok(check, value, difference_s=round(ahead, 3))
    else:
        yield warning(
            check,
            value,
            "set both clocks by NTP: a run's window ends at this machine's time and is compared with times that the "
            "database's side wrote, so what changed at its edge is read an hour late, or by the lookback alone",
            difference_s=round(ahead, 3),
        )
