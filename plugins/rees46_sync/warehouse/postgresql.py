"""
Rows of PostgreSQL as Arrow columns, by its binary COPY: no Python object a value.

ADBC's driver reads by a connection of its own, which it makes with the parameters of the session that SQLAlchemy has
opened. It reads only what it gives just as psycopg does; for everything else, and wherever it cannot begin, there is
that session.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, closing, contextmanager
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    import sqlalchemy as sa
    from adbc_driver_manager.dbapi import Cursor

log = logging.getLogger(__name__)

Answer: TypeAlias = tuple[list[str], Iterator[pa.RecordBatch]]
"""The names of an answer's columns, and its rows."""

TYPES = {"text", "varchar", "bpchar", "int2", "int4", "int8", "timestamp", "timestamptz"}
"""What ADBC gives just as psycopg does; a numeric, for example, it gives as text with all its zeros."""

BATCH_BYTES = 2**20
"""Of one batch: some 25,000 rows. One is read while the one before is worked on."""

CANCEL_S = 10
"""How long a server is waited for to hear that it is to stop, and then to stop: no dead network may hold up a task."""

_FIRST, _END = -62_135_596_800 * 10**6, 253_402_300_800 * 10**6
"""The years 1 to 9999, in microseconds since 1970."""


@contextmanager
def arrow_answer(session: sa.Connection, statement: str, columns: Sequence[str]) -> Iterator[Answer | None]:
    """
    Run a statement that only reads, in a transaction of its own whose time zone is UTC.

    :param session: an open one to the same database.
    :param columns: those of the answer whose types matter, in lower case.
    :return: the answer; None where the session is to be asked instead.
    """
    with ExitStack() as opened:
        cursor = _begin(session, statement, columns, opened)
        if cursor is None:
            opened.close()  # no session is to wait in a transaction while the other one reads
            yield None
            return
        reader = cursor.fetch_record_batch()
        # Not in this thread: a signal that ends the task would not interrupt the driver while it waits for the server.
        thread = ThreadPoolExecutor(1)
        ahead = thread.submit(next, reader, None)

        def batches() -> Iterator[pa.RecordBatch]:
            nonlocal ahead
            while (batch := ahead.result()) is not None:
                ahead = thread.submit(next, reader, None)
                yield _within_the_calendar(batch)

        try:
            yield reader.schema.names, batches()
        except BaseException:  # whatever stops us, the rest of the rows is not to be read
            cancelling = Thread(target=cursor.adbc_cancel, daemon=True)
            cancelling.start()
            cancelling.join(CANCEL_S)
            if cancelling.is_alive() or not wait([ahead], CANCEL_S).done:
                opened.pop_all()  # what a thread still uses cannot be closed
            raise
        finally:
            thread.shutdown(wait=False)


def _begin(session: sa.Connection, statement: str, columns: Sequence[str], opened: ExitStack) -> Cursor | None:
    """Connect and have the statement begin; None where psycopg is to do it."""
    psycopg = session.connection.driver_connection
    if session.dialect.driver != "psycopg" or psycopg is None:
        return None
    if psycopg.info.parameter_status("server_encoding") != "UTF8":
        return None
    from adbc_driver_postgresql import StatementOptions, dbapi
    from psycopg.conninfo import make_conninfo

    # The parameters come without the password.
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
        # Whatever is wrong, psycopg either can do it or says it in PostgreSQL's own words.
        log.debug("ADBC cannot run this query (%s); psycopg is to.", type(error).__name__)
    return None


def _within_the_calendar(batch: pa.RecordBatch) -> pa.RecordBatch:
    """
    Return the batch.

    :raises ValueError: it holds infinity, or a year that Python does not have, at which psycopg stops as well: ADBC
        makes some other year of it, and an order's newest version would be taken for its oldest.
    """
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_timestamp(column.type) and len(column):
            edges = pc.min_max(column.cast(pa.int64())).as_py()
            if edges["min"] is not None and (edges["min"] < _FIRST or edges["max"] >= _END):
                raise ValueError(f"column {name} holds a time before the year 1 or after the year 9999")
    return batch
