"""
Read Snowflake's rows by its own connector, as Arrow columns if their types allow it.

SQLAlchemy's dialect could only pass on rows, each value a Python object.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rees46_sync.shop.query import Query

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    from rees46_sync.warehouse.values import Chunk

_FIXED = "FIXED"
_ARROW_TYPES = {_FIXED, "TEXT", "TIMESTAMP_NTZ", "TIMESTAMP_LTZ", "TIMESTAMP_TZ"}
"""Snowflake's names of the types that Arrow has exactly; of numbers, those without digits after the point."""


@contextmanager
def read(
    hook: DbApiHook, query: Query, bounds: Mapping[str, Any], rows: int, timeout_s: float | None
) -> Iterator[tuple[list[str], Iterator[Chunk]]]:
    """
    Run a query in a session whose time zone is UTC. Snowflake has no read-only sessions: its roles decide.

    :param hook: of Airflow's provider for Snowflake.
    :param bounds: the values of the query's parameters; times are UTC without a zone.
    :param rows: at most so many are read at once, if they cannot be read as Arrow.
    :param timeout_s: the longest time that the query may take; None: as long as the account lets it run.
    """
    session = dict(hook.connection.extra_dejson.get("session_parameters") or {}) | {"TIMEZONE": "UTC"}
    if timeout_s:
        session["STATEMENT_TIMEOUT_IN_SECONDS"] = max(1, round(timeout_s))
    hook.session_parameters = session
    with closing(hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(*_statement(query, bounds))
        yield [column.name for column in cursor.description], _arrow(cursor) or _rows(cursor, rows)


def _statement(query: Query, bounds: Mapping[str, Any]) -> tuple[str, Mapping[str, Any] | None]:
    """
    Write the times into the query, with their type: as parameters they would be texts of the connector's own form.

    Without parameters the connector leaves percent signs as they are.
    """
    times = {f":{name}": f"'{value}'::TIMESTAMP_NTZ" for name, value in bounds.items() if isinstance(value, datetime)}
    others = {name: value for name, value in bounds.items() if f":{name}" not in times}
    typed = Query(tuple(times.get(part, part) for part in query.parts))
    return typed.for_driver("pyformat", others) if others else ("".join(typed.parts), None)  # type: ignore[return-value]


def _arrow(cursor: Any) -> Iterator[Chunk] | None:
    """Return the result as Arrow columns; None if it must be read by rows."""
    from snowflake.connector.constants import FIELD_ID_TO_NAME
    from snowflake.connector.errors import NotSupportedError

    for column in cursor.description:
        name = FIELD_ID_TO_NAME[column.type_code]
        if name not in _ARROW_TYPES or (name == _FIXED and column.scale):
            return None
    try:
        # In nanoseconds a time before 1677 or after 2262 would become another one.
        tables = cursor.fetch_arrow_batches(force_microsecond_precision=True)
    except (NotSupportedError, TypeError):  # the account sends JSON, or the connector is an old one
        return None
    return (batch.columns for table in tables for batch in table.to_batches())


def _rows(cursor: Any, size: int) -> Iterator[Chunk]:
    while fetched := cursor.fetchmany(size):
        yield list(zip(*fetched, strict=True))
