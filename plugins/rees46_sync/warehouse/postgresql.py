"""
Read PostgreSQL's rows as Arrow columns by binary COPY, without a Python object for each value.

ADBC's driver opens a connection of its own, with the parameters of the session that SQLAlchemy has opened. It is used
only for types whose values are the same as psycopg's. In all other cases, and if ADBC fails before the first row, the
caller uses that session.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from rees46_sync.shop.query import WINDOW_PARAMETERS, Query

if TYPE_CHECKING:
    import sqlalchemy as sa
    from adbc_driver_manager.dbapi import Cursor

    from rees46_sync.warehouse.values import Chunk

log = logging.getLogger(__name__)

ArrowResult: TypeAlias = "tuple[list[str], Iterator[Chunk]]"
"""The names of the columns, and the rows."""

TYPES = {"text", "varchar", "bpchar", "int2", "int4", "int8", "timestamp", "timestamptz"}
"""Types whose values are the same from ADBC and psycopg; a numeric is not: from ADBC it is text with all its zeros."""

BATCH_BYTES = 2**20
"""Size of one batch, some 25,000 rows. The next batch is read while one is processed."""

CANCEL_S = 10
"""How long to wait for the server to receive a cancellation, and then to stop: a dead network must not block a task."""

_YEAR_2000 = 946_684_800 * 10**6
"""PostgreSQL's times are the microseconds since then; ADBC adds these, and lets 64 bits overflow."""


@contextmanager
def arrow_result(
    session: sa.Connection, query: Query, bounds: Mapping[str, datetime], columns: Sequence[str]
) -> Iterator[ArrowResult | None]:
    """
    Run a query in a read-only transaction of its own whose time zone is UTC.

    :param session: an open session of the same database.
    :param bounds: ``window_start`` and ``window_end``, in UTC without a zone.
    :param columns: the columns of the result whose types matter, in lower case.
    :return: the result; None if the caller must run the query in its session instead.
    """
    with ExitStack() as opened:
        cursor = _begin(session, _with_literals(query, bounds), columns, opened)
        if cursor is None:
            opened.close()  # so that no transaction stays open while the session reads
            yield None
            return
        reader = cursor.fetch_record_batch()
        # In a thread: a signal that ends the task would not interrupt the driver while it waits for the server.
        thread = ThreadPoolExecutor(1)
        ahead = thread.submit(next, reader, None)

        def chunks() -> Iterator[Chunk]:
            nonlocal ahead
            while (batch := ahead.result()) is not None:
                ahead = thread.submit(next, reader, None)
                yield [_with_other_years(column) for column in batch.columns]

        try:
            yield reader.schema.names, chunks()
        except BaseException:  # also if the task is killed: do not read the rest of the rows
            cancelling = Thread(target=cursor.adbc_cancel, daemon=True)
            cancelling.start()
            cancelling.join(CANCEL_S)
            if cancelling.is_alive() or not wait([ahead], CANCEL_S).done:
                opened.pop_all()  # a thread still uses them, so they cannot be closed
            raise
        finally:
            thread.shutdown(wait=False)


def _begin(session: sa.Connection, statement: str, columns: Sequence[str], opened: ExitStack) -> Cursor | None:
    """Connect and start the statement; return None if psycopg must run it."""
    psycopg = session.connection.driver_connection
    if session.dialect.driver != "psycopg" or psycopg is None:
        return None
    if psycopg.info.parameter_status("server_encoding") != "UTF8":
        return None
    try:
        from adbc_driver_postgresql import StatementOptions, dbapi
    except ImportError:
        log.info("ADBC would read five times as fast: install airflow-provider-rees46[postgres].")
        return None
    from psycopg.conninfo import make_conninfo

    # get_parameters() leaves the password out.
    parameters = psycopg.info.get_parameters() | {"password": psycopg.info.password, "client_encoding": "UTF8"}
    options = {StatementOptions.USE_COPY.value: "true", StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(BATCH_BYTES)}
    try:
        connection = opened.enter_context(closing(dbapi.connect(make_conninfo(**parameters))))
        cursor: Cursor = opened.enter_context(closing(connection.cursor()))
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute("SET LOCAL TIME ZONE 'UTC'")
        metadata = {field.name.lower(): field.metadata or {} for field in cursor.adbc_execute_schema(statement)}
        types = {metadata.get(column, {}).get(b"POSTGRESQL:type", b"").decode() for column in columns}
        if types <= TYPES:
            cursor.adbc_statement.set_options(**options)
            cursor.execute(statement)
            return cursor
    except (dbapi.Error, OSError, pa.ArrowException) as error:
        # Either psycopg can run it, or its error is PostgreSQL's own message.
        log.debug("ADBC cannot run this query (%s); psycopg runs it.", type(error).__name__)
    return None


def _with_literals(query: Query, bounds: Mapping[str, datetime]) -> str:
    """Write the bounds into the query, because COPY takes no parameters; the type is the one that psycopg sends."""
    return "".join(f"(TIMESTAMP '{bounds[part[1:]]}')" if part in WINDOW_PARAMETERS else part for part in query.parts)


def _with_other_years(column: pa.Array) -> Sequence[Any] | pa.Array:
    """Return a column unchanged, or with those times that Python does not have as the texts that psycopg returns."""
    from rees46_sync.warehouse.values import outside_years

    if not pa.types.is_timestamp(column.type):
        return column
    outside = outside_years(column)
    if not pc.any(outside).as_py():
        return column
    values: list[Any] = pc.if_else(outside, None, column).to_pylist()
    for position in pc.indices_nonzero(outside).to_pylist():
        values[position] = _as_text(column[position].value, "+00" if column.type.tz else "")
    return values


def _as_text(moment: int, zone: str) -> str:
    """Return a time as PostgreSQL writes it."""
    import numpy as np

    moment -= _YEAR_2000
    if moment < -(2**63):
        moment += 2**64
    if moment in (-(2**63), 2**63 - 1):
        return "infinity" if moment > 0 else "-infinity"
    seconds, microseconds = divmod(moment, 10**6)
    day, _, time = str(np.datetime64("2000-01-01T00:00:00") + np.timedelta64(seconds, "s")).partition("T")
    year, rest, fraction = int(day[:-6]), day[-6:], f".{microseconds:06}".rstrip("0") if microseconds else ""
    return f"{year if year > 0 else 1 - year:04}{rest} {time}{fraction}{zone}{'' if year > 0 else ' BC'}"


def read_other_years(connection: Any) -> None:
    """Let psycopg return times that Python does not have as texts instead of failing."""
    if type(connection).__module__.partition(".")[0] != "psycopg":
        return
    from psycopg import DataError
    from psycopg.abc import Buffer
    from psycopg.adapt import Loader
    from psycopg.pq import Format

    def tolerant(original: type[Any]) -> type[Loader]:
        class TolerantLoader(Loader):
            def __init__(self, oid: int, context: Any = None) -> None:
                super().__init__(oid, context)
                self._load = original(oid, context).load

            def load(self, data: Buffer) -> Any:
                try:
                    return self._load(data)
                except DataError:
                    return bytes(data).decode()

        return TolerantLoader

    for kind in ("date", "timestamp", "timestamptz"):
        oid = connection.adapters.types[kind].oid
        connection.adapters.register_loader(oid, tolerant(connection.adapters.get_loader(oid, Format.TEXT)))
