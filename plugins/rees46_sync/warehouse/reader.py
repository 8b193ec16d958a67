"""
From the rows of a window to staged partitions: each order once, in its newest version, ordered by order id.

The rows are streamed from the warehouse to a temporary Parquet file, sorted by DuckDB (on disk if they do not fit into
memory) and written as partitions of at most ``partition_rows`` rows. Sorting here and not in the warehouse makes the
order, and so the merging of an order's versions, independent of the database's collation.
"""

from __future__ import annotations

import errno
import re
import tempfile
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa
from airflow.providers.common.sql.hooks.sql import DbApiHook
from upath import UPath

from rees46_sync.airflow_adapters import lineage, staging
from rees46_sync.airflow_adapters.connections import create_engine, get_database_hook
from rees46_sync.exceptions import QueryColumnsError, SyncError, TemporaryFilesError, WarehouseError
from rees46_sync.shop.query import Query, read_query
from rees46_sync.shop.shop import Shop
from rees46_sync.warehouse.databases import (
    READ_ONLY,
    find_by_conn_type,
    find_by_dialect,
    find_by_driver,
    get_paramstyle,
)
from rees46_sync.warehouse.newest import StagedPartition, newest_versions, stage_partitions
from rees46_sync.warehouse.times import DataTimes, TimesSeen
from rees46_sync.warehouse.values import COLUMNS, READ_SCHEMA, SCHEMA, Chunk, exact_texts, python_values, staged_rows
from rees46_sync.window import Window

FETCH_ROWS = 10_000
"""Rows that are fetched from the warehouse at once, and held in memory as one chunk before the sort."""

PAIRS = pa.schema([("order_id", pa.string()), ("value", pa.string())])

QueryResult: TypeAlias = tuple[list[str], Iterable[Chunk]]
"""What a query returns: the names of its columns, and its rows in chunks."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

_ABOUT_A_VALUE = re.compile(r"decode|convert|conversion|\bcast|\bparse\b|invalid (input|value)", re.IGNORECASE)


@dataclass(frozen=True)
class ExtractedRows:
    """
    What an extraction read and staged.

    :param read: rows that the query returned.
    :param superseded: how many of them are older versions of orders, which are not in the partitions.
    :param columns: the names of the query's columns, as the database returns them.
    :param held: how many of them are of orders that the caller did not choose; they are not in the partitions either.
    :param missing: the chosen orders that no row is of.
    :param times: what the times of all rows show of the data.
    """

    read: int
    superseded: int
    partitions: list[StagedPartition]
    columns: tuple[str, ...]
    held: int = 0
    missing: tuple[str, ...] = ()
    times: DataTimes = field(default_factory=DataTimes)


class _SpooledRows(NamedTuple):
    read: int
    kept: int
    columns: tuple[str, ...]
    found: set[str | None]
    times: DataTimes


def extract(shop: Shop, window: Window, folder: UPath, order_ids: Sequence[str] = ()) -> ExtractedRows:
    """
    Read the rows of a window and stage them as partitions below ``folder``.

    :param order_ids: keep the rows of these orders alone; empty: all rows.
    :raises WarehouseError: the warehouse cannot be reached, or the query fails.
    :raises TemporaryFilesError: there is no disk space for the rows.
    :raises QueryColumnsError: the query does not return order_id, status and updated_at, each once.
    :raises ConnectionFieldsError: the connection does not exist, or is not one to a database.
    """
    with tempfile.TemporaryDirectory(prefix="rees46-extract-") as scratch:
        spool = Path(scratch) / "rows.parquet"
        rows = _spool(shop, window, spool, order_ids)
        partitions = list(stage_partitions(newest_versions(spool, shop.codes), shop.partition_rows, folder))
    return ExtractedRows(
        read=rows.read,
        superseded=rows.kept - sum(partition.rows for partition in partitions),
        partitions=partitions,
        columns=rows.columns,
        held=rows.read - rows.kept,
        missing=tuple(order_id for order_id in order_ids if order_id not in rows.found),
        times=rows.times,
    )


def stream(shop: Shop, window: Window) -> Generator[pa.Table]:
    """
    Read the rows of a window and return them in chunks (:data:`READ_SCHEMA`), without staging them.

    If the generator is closed before its end, the rest of the rows is not read.

    :raises SyncError: as :func:`extract`, when the first chunk is read or a later one.
    """
    with _warehouse_errors(shop), _open_query(shop, window) as (names, chunks):
        columns = _positions(names, shop)
        for chunk in chunks:
            yield staged_rows(*(chunk[position] for position in columns))


def stream_pairs(shop: Shop, window: Window, column: str) -> Iterator[pa.Table]:
    """
    Read the rows of a window again: the order id and another column of the query, both as text (:data:`PAIRS`).

    :param column: the query returns it once; case does not matter.
    :raises SyncError: as :func:`extract`, when the first chunk is read or a later one.
    """
    with _warehouse_errors(shop), _open_query(shop, window) as (names, chunks):
        ids, values = _positions(names, shop)[0], [name.lower() for name in names].index(column.lower())
        for chunk in chunks:
            other = chunk[values]
            texts = exact_texts(python_values(other))[0]  # of any type
            yield pa.table([exact_texts(chunk[ids])[0], texts], PAIRS)


def read_order(shop: Shop, window: Window, order_id: str, most: int, timeout_s: float) -> pa.Table:
    """
    Read the rows of one order in a window; the database looks for them, by the shop's query filtered from outside.

    :param order_id: as a run would read it; it is compared exactly.
    :param most: at most so many rows are read.
    :param timeout_s: the longest time that the database may look for them.
    :return: :data:`READ_SCHEMA`, in the order in which the database returns them.
    :raises TimeoutError: it took longer.
    :raises SyncError: as :func:`extract`.
    """
    end = time.monotonic() + timeout_s
    query, bounds = read_query(shop.query), {**_bounds(window), "order_id": order_id}
    text_type = find_by_conn_type(get_database_hook(shop.warehouse_conn_id).conn_type).text_type
    # A column that is no text may not be comparable with one; and compared as text no index finds it.
    for is_last, one_order in enumerate((query.of_order(), query.of_order(text_type))):
        try:
            with _warehouse_errors(shop), _run(shop, one_order, bounds, end - time.monotonic()) as (names, chunks):
                columns = _positions(names, shop)
                tables = [staged_rows(*(chunk[position] for position in columns)) for chunk in _first(chunks, most)]
        except WarehouseError as error:
            if time.monotonic() >= end - 0.1:
                raise TimeoutError(f"the warehouse did not answer within {timeout_s:g} s") from error
            if is_last:
                raise
            continue
        rows = pa.concat_tables(tables) if tables else READ_SCHEMA.empty_table()
        rows = rows.filter(pc.equal(rows["order_id"], order_id))
        if rows.num_rows or is_last:
            break
    return rows


def newest_of(rows: pa.Table, codes: Mapping[str, int]) -> pa.Table:
    """
    Return what an extraction stages of these rows: each order in its newest version.

    :param rows: :data:`READ_SCHEMA`, in the order in which the database returned them.
    :param codes: the meaning of each mapped status.
    :return: :data:`rees46_sync.warehouse.values.SCHEMA`.
    """
    with tempfile.TemporaryDirectory(prefix="rees46-order-") as scratch:
        spool = Path(scratch) / "rows.parquet"
        pq.write_table(rows.append_column("seq", pa.array(np.arange(rows.num_rows))), spool)
        return pa.Table.from_batches(newest_versions(spool, codes), SCHEMA)


def _first(chunks: Iterable[Chunk], most: int) -> Iterator[Chunk]:
    """Return chunks of at most so many rows; the others are not read."""
    for chunk in chunks:
        yield [column[:most] for column in chunk]
        most -= len(chunk[0])
        if most <= 0:
            return


def _spool(shop: Shop, window: Window, spool: Path, order_ids: Sequence[str]) -> _SpooledRows:
    """Stream the query's rows, or those of some orders, into one Parquet file."""
    read = seq = 0
    found: set[str | None] = set()
    chosen = pa.array(order_ids, pa.string()) if order_ids else None
    times = TimesSeen(window.start, min(window.end, datetime.now(UTC)))
    schema = READ_SCHEMA.append(pa.field("seq", pa.int64()))
    with _warehouse_errors(shop), _open_query(shop, window) as (names, chunks):
        columns = _positions(names, shop)
        with pq.ParquetWriter(
            spool, schema, compression="zstd", compression_level=1, use_dictionary=staging.REPEATED
        ) as writer:
            for chunk in chunks:
                table = staged_rows(*(chunk[position] for position in columns))
                read += table.num_rows
                times.add(table["updated_at"])
                if chosen is not None:
                    table = table.filter(pc.is_in(table["order_id"], value_set=chosen))
                    found.update(table["order_id"].to_pylist())
                numbers = pa.array(np.arange(seq, seq + table.num_rows))
                writer.write_table(table.append_column("seq", numbers))
                seq += table.num_rows
    return _SpooledRows(read, seq, tuple(names), found, times.result())


@contextmanager
def _warehouse_errors(shop: Shop, query: Path | None = None) -> Iterator[None]:
    """
    Add shop, query and connection to a database's error, and keep only its first line: others may hold rows.

    :param query: the query's file; None: that of the orders.
    """
    try:
        yield
    except SyncError:
        raise
    except Exception as error:  # each database driver has error classes of its own
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise TemporaryFilesError(tempfile.gettempdir(), error) from error
        cause = getattr(error, "orig", None) or error
        line = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
        about_a_value = _ABOUT_A_VALUE.search(line)
        if about_a_value:
            line = re.sub(r"'.*'|\".*\"", "'…'", line)
        failed = WarehouseError(
            f"Shop {shop.shop}: reading {(query or shop.query).name} from connection {shop.warehouse_conn_id} failed: "
            f"{line}",
            "check that the database answers and that the query runs there",
        )
        # Airflow logs causes as well, and this one quotes a row.
        raise failed from (None if about_a_value else error)


@contextmanager
def _open_query(shop: Shop, window: Window) -> Iterator[QueryResult]:
    """Run the shop's query over a window, with a server-side cursor if the database has them."""
    with _run(shop, read_query(shop.query), _bounds(window)) as result:
        yield result


def _bounds(window: Window) -> dict[str, datetime]:
    # Every database accepts UTC without a zone. databases.py has the settings that make a session UTC.
    return {"window_start": window.start.replace(tzinfo=None), "window_end": window.end.replace(tzinfo=None)}


@contextmanager
def _run(shop: Shop, query: Query, bounds: Mapping[str, Any], timeout_s: float | None = None) -> Iterator[QueryResult]:
    """
    Run a query.

    :param bounds: the values of its parameters.
    :param timeout_s: for a query that a person waits for: the longest time that the database may take.
    """
    hook = get_database_hook(shop.warehouse_conn_id)
    with _opened(hook, query, bounds, timeout_s) as result:
        lineage.read_from(hook, "".join(query.parts))
        yield result


def _opened(
    hook: DbApiHook, query: Query, bounds: Mapping[str, Any], timeout_s: float | None
) -> AbstractContextManager[QueryResult]:
    if reader := find_by_conn_type(hook.conn_type).reader:
        return reader(hook, query, bounds, FETCH_ROWS, timeout_s)
    try:
        engine = create_engine(hook)
    except sa.exc.NoSuchModuleError:
        return _native_query(hook, query, bounds, timeout_s)
    return _sqlalchemy_query(engine, query, bounds, timeout_s)


@contextmanager
def _sqlalchemy_query(
    engine: sa.Engine, query: Query, bounds: Mapping[str, Any], timeout_s: float | None
) -> Iterator[QueryResult]:
    database = find_by_dialect(engine.dialect.name)
    parameters = {
        name: database.time_parameter(value) if isinstance(value, datetime) else value for name, value in bounds.items()
    }
    try:
        with engine.connect().execution_options(**READ_ONLY) as connection:
            if database.arrow_reader and bounds and timeout_s is None:
                with database.arrow_reader(connection, query, bounds, COLUMNS) as arrow_result:
                    if arrow_result:
                        yield arrow_result
                        return
            if database.prepare:
                database.prepare(connection.connection.driver_connection)
            for setting in database.session:
                connection.exec_driver_sql(setting)
            if timeout_s and database.time_limit:
                connection.exec_driver_sql(database.time_limit(engine.dialect, max(1, round(timeout_s))))
            connection.execution_options(stream_results=True, max_row_buffer=FETCH_ROWS)
            with _interrupted_after(connection.connection.driver_connection, timeout_s):
                result = connection.exec_driver_sql(*query.for_driver(engine.dialect.paramstyle, parameters))
                try:
                    yield list(result.keys()), map(_columns, result.partitions(FETCH_ROWS))
                except BaseException:  # also if the task is killed: do not read the rest of the rows
                    if database.abandon:
                        database.abandon(result.cursor)
                    connection.invalidate()
                    raise
    finally:
        engine.dispose()


@contextmanager
def _native_query(
    hook: DbApiHook, query: Query, bounds: Mapping[str, Any], timeout_s: float | None
) -> Iterator[QueryResult]:
    """Run the query without SQLAlchemy, with the parameters in the style of the driver (PEP 249)."""
    connect = find_by_conn_type(hook.conn_type).connect
    with closing(connect(hook, timeout_s)) as connection, closing(connection.cursor()) as cursor:
        for setting in find_by_driver(connection).session:
            cursor.execute(setting)
        with _interrupted_after(cursor, timeout_s):  # a cursor of DuckDB is a connection
            cursor.execute(*query.for_driver(get_paramstyle(connection), bounds))
            rows = iter(lambda: cursor.fetchmany(FETCH_ROWS), [])
            yield [column[0] for column in cursor.description], map(_columns, rows)


@contextmanager
def _interrupted_after(connection: object, timeout_s: float | None) -> Iterator[None]:
    """Interrupt what a database in this process does after a time: SQLite and DuckDB have no timeout of their own."""
    interrupt = getattr(connection, "interrupt", None)
    if not timeout_s or interrupt is None:
        yield
        return
    timer = threading.Timer(timeout_s, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def read_loaded_until(shop: Shop) -> datetime:
    """
    Ask the warehouse up to when the shop's loader has delivered, by the query ``loaded_until`` of the shop file.

    :return: an aware time, in UTC; a time without a zone is UTC.
    :raises QueryColumnsError: the query does not return one row with one time.
    :raises WarehouseError: the warehouse cannot be reached, or the query fails.
    """
    assert shop.loaded_until is not None  # the caller asks only then
    file = shop.loaded_until
    with _warehouse_errors(shop, file), _run(shop, read_query(file, ()), {}) as (names, chunks):
        values = [value for chunk in chunks for column in chunk for value in column]
    moment: datetime | None = staged_rows([None], [None], values)["updated_at"][0].as_py() if len(values) == 1 else None
    if moment is None:
        found = "a value that is no time" if len(values) == 1 else f"{len(values)} values in {len(names)} columns"
        raise QueryColumnsError(
            f"Shop {shop.shop}: query {file.name} (loaded_until) returns {found}",
            "return one row with one time: up to when every change is in the warehouse",
        )
    return moment.astimezone(UTC)


def _columns(rows: Sequence[Sequence[Any]]) -> Chunk:
    return list(zip(*rows, strict=True))


def _positions(names: Sequence[str], shop: Shop) -> list[int]:
    """Return the positions of order_id, status and updated_at; case does not matter (Snowflake returns upper case)."""
    lower = [name.lower() for name in names]
    for column in COLUMNS:
        if lower.count(column) != 1:
            found = "twice" if column in lower else "not at all"
            raise QueryColumnsError(
                f"Shop {shop.shop}: query {shop.query.name} returns the column {column} {found} "
                f"(its columns: {', '.join(names)})",
                "name the columns order_id, status and updated_at, each once",
            )
    return [lower.index(column) for column in COLUMNS]
