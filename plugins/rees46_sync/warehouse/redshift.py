"""
Read Redshift's rows by AWS's driver, through a cursor of the database: the driver itself would hold all of them.

Airflow's hook would give SQLAlchemy a driver of PostgreSQL, which Redshift is not.
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

FETCH_ROWS = 1_000
"""A cluster of one node returns no more at once."""


@contextmanager
def read(
    hook: DbApiHook, query: Query, bounds: Mapping[str, Any], rows: int, timeout_s: float | None
) -> Iterator[tuple[list[str], Iterator[Chunk]]]:
    """
    Run a query in a read-only transaction whose time zone is UTC.

    :param hook: of Airflow's provider for Amazon.
    :param bounds: the values of the query's parameters; times are UTC without a zone.
    :param rows: at most so many are read at once.
    :param timeout_s: the longest time that one statement may take; None: as long as the cluster lets it run.
    """
    with _readable_errors(), closing(hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
        connection.autocommit = True  # so that it begins no transaction of its own
        cursor.paramstyle = "qmark"  # the one in which percent signs are left alone
        cursor.execute("SET timezone TO 'UTC'")
        if timeout_s:
            cursor.execute(f"SET statement_timeout TO {max(1, round(timeout_s * 1000))}")
        cursor.execute("BEGIN READ ONLY")
        cursor.execute(f"DECLARE rees46_rows NO SCROLL CURSOR FOR {_with_literals(query, bounds)}")
        chunks = _chunks(cursor, min(rows, FETCH_ROWS))
        first = next(chunks)  # also if there are no rows: the columns are known afterwards
        yield [_text(column[0]) for column in cursor.description], _non_empty(first, chunks)


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Keep the message of what the database sends; the driver's text is all of its fields, as a dictionary."""
    from redshift_connector.error import Error

    try:
        yield
    except Error as error:
        match error.args:
            case ({"M": message},):
                raise type(error)(message) from error
        raise


def _chunks(cursor: Any, size: int) -> Iterator[Chunk]:
    while True:
        cursor.execute(f"FETCH FORWARD {size} FROM rees46_rows")
        fetched = cursor.fetchall()
        yield list(zip(*fetched, strict=True))
        if not fetched:
            return


def _non_empty(first: Chunk, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    if first:
        yield first
        yield from (chunk for chunk in chunks if chunk)


def _with_literals(query: Query, bounds: Mapping[str, Any]) -> str:
    """Write the values into the query: DECLARE takes no parameters."""
    literals = {f":{name}": _literal(value) for name, value in bounds.items()}
    return "".join(literals.get(part, part) for part in query.parts)


def _literal(value: object) -> str:
    if isinstance(value, datetime):
        return f"(TIMESTAMP '{value}')"
    # A backslash is an escape in Redshift and none in PostgreSQL.
    return "('" + str(value).replace("'", "''").replace("\\", "' || CHR(92) || '") + "')"


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
