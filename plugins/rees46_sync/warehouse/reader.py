"""
From the rows of a window to staged partitions: each order once, in its newest version, ordered by order id.

The rows are streamed from the warehouse to a temporary Parquet file, sorted by DuckDB (on disk where they do not fit
into memory) and written as partitions of at most ``partition_rows`` rows. Sorting here and not in the warehouse makes
the order, and so the merging of an order's versions, independent of the database's collation.
"""

from __future__ import annotations

import errno
import logging
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa
from airflow.providers.common.sql.hooks.sql import DbApiHook
from upath import UPath

from rees46_sync.airflow_adapters import lineage, staging
from rees46_sync.airflow_adapters import mysql_hook as mysql
from rees46_sync.airflow_adapters.connections import get_database_hook
from rees46_sync.exceptions import QueryColumnsError, SyncError, TemporaryFilesError, WarehouseError
from rees46_sync.ledger.database import printable
from rees46_sync.shop.shop import WINDOW_PARAMETERS, Query, Shop, read_query
from rees46_sync.warehouse import postgresql
from rees46_sync.window import Window

log = logging.getLogger(__name__)

COLUMNS = ("order_id", "status", "updated_at")
FETCH_ROWS = 10_000
"""Rows of one round trip to the warehouse, and of one chunk in memory before the sort."""

SORT_MEMORY = "96MB"
"""What DuckDB may hold while it sorts; the rest goes to the temporary folder."""

EXACT_FLOAT = 2**53
"""From here on a float no longer tells neighbouring whole numbers apart, so it cannot be an order id."""

SCHEMA = pa.schema(
    [
        pa.field("order_id", pa.string()),
        pa.field("order_id_exact", pa.bool_()),
        pa.field("status", pa.string()),
        pa.field("updated_at", pa.timestamp("us", "UTC")),
        pa.field("updated_at_given", pa.bool_()),
        pa.field("updated_at_readable", pa.bool_()),
        pa.field("updated_at_text", pa.string()),
        pa.field("copy", pa.int64()),
    ]
)
"""A staged row: the three columns as text and timestamp; ``updated_at_text`` is what the warehouse gave where it gave a
text or a number instead of a timestamp; ``copy`` numbers equal rows without an id, from 1."""

Chunk: TypeAlias = Sequence[Sequence[Any] | pa.Array]
"""Some rows, column by column: values as a database driver gives them, or Arrow's."""

Answer: TypeAlias = tuple[list[str], Iterable[Chunk]]
"""What a query returns: the names of its columns, and its rows in chunks."""

_SESSION = {
    "postgresql": ["SET TIME ZONE 'UTC'"],
    "mysql": ["SET time_zone = '+00:00'", "SET SESSION TRANSACTION READ ONLY"],  # a server may know no zone by name
    "sqlite": ["PRAGMA query_only = ON"],
}
"""What makes a session read only and its time zone UTC; SQLAlchemy makes PostgreSQL's read only."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ABOUT_A_VALUE = re.compile(r"decode|convert|conversion|\bcast|invalid (input|value)", re.IGNORECASE)
_DATE_FIRST = re.compile(r"\s*\d{4}-\d{2}-\d{2}(?:[T ]\d|\s*$)")

# An order's newest version is its last row here. A row whose time is missing or unreadable counts as the newest:
# nothing shows that it is older, and it will be rejected, so that nothing possibly stale is sent in its place.
# Among rows of the same time the one that the query returned last is the newest. A blank id (as Python sees blanks)
# and one that is not exact are no ids: nothing shows that two such rows are the same order.
_WITH_ID = r"order_id_exact AND order_id IS NOT NULL AND regexp_matches(order_id, '[^\s\v\p{Z}\x{85}\x1c-\x1f]')"
_SORTED = f"""
SELECT * EXCLUDE (seq), 1::BIGINT AS copy FROM read_parquet($spool) WHERE {_WITH_ID}
ORDER BY order_id, updated_at NULLS LAST, seq
"""
_WITHOUT_ID = f"""
SELECT * EXCLUDE (seq),
       row_number() OVER (PARTITION BY order_id, status, updated_at, updated_at_text ORDER BY seq) AS copy
FROM read_parquet($spool) WHERE NOT ({_WITH_ID}) ORDER BY seq
"""


@dataclass(frozen=True)
class Partition:
    """A staged file of rows.

    :param path: its object storage path.
    :param first_id, last_id: the order ids of its first and last row, made printable; None for rows without one.
    """

    index: int
    path: str
    rows: int
    first_id: str | None
    last_id: str | None

    @property
    def name(self) -> str:
        """What a person calls it: its number, its rows and the ids between which they lie."""
        return f"{self.index}: {self.rows:,} rows, {self.first_id or 'without id'} to {self.last_id or 'without id'}"


@dataclass(frozen=True)
class Extraction:
    """What was read.

    :param read: rows that the query returned.
    :param superseded: older versions of orders, which are not in the partitions.
    :param columns: what the query calls its columns.
    """

    read: int
    superseded: int
    partitions: list[Partition]
    columns: tuple[str, ...]


def extract(shop: Shop, window: Window, folder: UPath) -> Extraction:
    """
    Read the rows of a window and stage them as partitions below ``folder``.

    :raises WarehouseError: the warehouse cannot be reached, or the query fails.
    :raises TemporaryFilesError: there is no room for the rows that were read.
    :raises QueryColumnsError: the query does not return order_id, status and updated_at, each once.
    :raises ConnectionFieldsError: there is no such connection, or it is not one of a database.
    """
    with tempfile.TemporaryDirectory(prefix="rees46-extract-") as scratch:
        spool = Path(scratch) / "rows.parquet"
        read, names = _spool(shop, window, spool)
        partitions = list(_stage(_newest_versions(spool), shop.partition_rows, folder))
    return Extraction(read, read - sum(partition.rows for partition in partitions), partitions, tuple(names))


def _spool(shop: Shop, window: Window, spool: Path) -> tuple[int, list[str]]:
    """Stream the query's rows into one Parquet file; return how many they were, and the names of the columns."""
    seq = 0
    schema = SCHEMA.remove(SCHEMA.get_field_index("copy")).append(pa.field("seq", pa.int64()))
    with _warehouse_errors(shop), _open_query(shop, window) as (names, chunks):
        columns = _positions(names, shop)
        with pq.ParquetWriter(
            spool, schema, compression="zstd", compression_level=1, use_dictionary=staging.REPEATED
        ) as writer:
            for chunk in chunks:
                table = staged_rows(*(chunk[position] for position in columns))
                numbers = pa.array(np.arange(seq, seq + table.num_rows))
                writer.write_table(table.append_column("seq", numbers))
                seq += table.num_rows
    return seq, names


@contextmanager
def _warehouse_errors(shop: Shop) -> Iterator[None]:
    """Say which shop, connection and query a database's error belongs to; its first line only, others hold rows."""
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
            f"Shop {shop.shop}: reading {shop.query.name} from connection {shop.warehouse_conn_id} failed: {line}. "
            "Check that the database answers and that the query runs there."
        )
        # Airflow logs the causes as well, and this one quotes a row.
        raise failed from (None if about_a_value else error)


@contextmanager
def _open_query(shop: Shop, window: Window) -> Iterator[Answer]:
    """Run the shop's query over a window, by a server-side cursor."""
    hook = get_database_hook(shop.warehouse_conn_id)
    query = read_query(shop.query)
    # Naive UTC is what every database takes; its session is set to UTC where it has one.
    bounds = {"window_start": window.start.replace(tzinfo=None), "window_end": window.end.replace(tzinfo=None)}
    try:
        engine = hook.get_sqlalchemy_engine({"hide_parameters": True})
    except sa.exc.NoSuchModuleError:
        engine = None
    with _sqlalchemy_query(engine, query, bounds) if engine else _native_query(hook, query, bounds) as answer:
        lineage.read_from(hook, "".join(query.parts))
        yield answer


@contextmanager
def _sqlalchemy_query(engine: sa.Engine, query: Query, bounds: dict[str, datetime]) -> Iterator[Answer]:
    parameters: dict[str, object] = dict(bounds)
    if engine.dialect.name == "sqlite":
        # SQLite has no timestamps: its own functions, SQLAlchemy and pandas all write "YYYY-MM-DD HH:MM:SS[.ffffff]".
        parameters = {name: value.isoformat(" ") for name, value in bounds.items()}
    try:
        with engine.connect().execution_options(postgresql_readonly=True) as connection:
            if engine.dialect.name == "postgresql":
                statement = _with_literals(query, bounds)
                with postgresql.arrow_answer(connection, statement, COLUMNS) as answer:
                    if answer:
                        names, batches = answer
                        yield names, (batch.columns for batch in batches)
                        return
            for setting in _SESSION.get(engine.dialect.name, []):
                connection.exec_driver_sql(setting)
            connection.execution_options(stream_results=True, max_row_buffer=FETCH_ROWS)
            result = connection.exec_driver_sql(*query.for_driver(engine.dialect.paramstyle, parameters))
            try:
                yield list(result.keys()), map(_columns, result.partitions(FETCH_ROWS))
            except BaseException:  # whatever stops us, the rest of the rows is not to be read
                if engine.dialect.name == "mysql":
                    mysql.abandon(result.cursor)
                connection.invalidate()
                raise
    finally:
        engine.dispose()


@contextmanager
def _native_query(hook: DbApiHook, query: Query, bounds: dict[str, datetime]) -> Iterator[Answer]:
    """Run the query on the driver's own connection, with the parameters in the driver's own style (PEP 249)."""
    with closing(hook.get_conn()) as connection, closing(connection.cursor()) as cursor:
        driver = sys.modules[type(connection).__module__.partition(".")[0]]
        if driver.__name__ in ("duckdb", "_duckdb"):
            cursor.execute("SET TimeZone = 'UTC'")
            cursor.execute("BEGIN TRANSACTION READ ONLY")
        cursor.execute(*query.for_driver(_paramstyle(connection), bounds))
        rows = iter(lambda: cursor.fetchmany(FETCH_ROWS), [])
        yield [column[0] for column in cursor.description], map(_columns, rows)


def _columns(rows: Sequence[Sequence[Any]]) -> Chunk:
    return list(zip(*rows, strict=True))


def _with_literals(query: Query, bounds: dict[str, datetime]) -> str:
    """Write the query with the bounds in it, as COPY takes no parameters; of the type that psycopg gives to them."""
    return "".join(f"(TIMESTAMP '{bounds[part[1:]]}')" if part in WINDOW_PARAMETERS else part for part in query.parts)


def _paramstyle(connection: object) -> str:
    """Return the parameter style of a connection's driver, which stands in its module or in one above it (PEP 249)."""
    path = type(connection).__module__.split(".")
    above = (sys.modules.get(".".join(path[:length])) for length in range(len(path), 0, -1))
    styles = (getattr(module, "paramstyle", None) for module in above)
    return next((style for style in styles if style), "qmark")


def _positions(names: Sequence[str], shop: Shop) -> list[int]:
    """Return where order_id, status and updated_at stand; the case of a name does not count (Snowflake's is upper)."""
    lower = [name.lower() for name in names]
    for column in COLUMNS:
        if lower.count(column) != 1:
            found = "twice" if column in lower else "not at all"
            raise QueryColumnsError(
                f"Shop {shop.shop}: query {shop.query.name} returns the column {column} {found} "
                f"(its columns: {', '.join(names)}); name the columns order_id, status and updated_at, each once."
            )
    return [lower.index(column) for column in COLUMNS]


def staged_rows(
    order_ids: Sequence[Any] | pa.Array, statuses: Sequence[Any] | pa.Array, updated_at: Sequence[Any] | pa.Array
) -> pa.Table:
    """
    Turn values as a database driver gives them into staged rows (:data:`SCHEMA` without ``copy``).

    Arrow's arrays are texts, integers or timestamps; all else are Python's values.

    Order ids keep their exact text, numbers their exact digits; statuses are trimmed, blank ones are missing;
    timestamps without a zone are UTC.
    """
    ids, exact = _texts(order_ids)
    trimmed = pc.utf8_trim_whitespace(_texts(statuses)[0])
    times, times_text = _timestamps(updated_at)
    given = pc.or_(pc.is_valid(times), pc.is_valid(times_text))
    return pa.table(
        {
            "order_id": ids,
            "order_id_exact": exact,
            "status": pc.if_else(pc.equal(trimmed, ""), None, trimmed),
            "updated_at": times,
            "updated_at_given": given,
            "updated_at_readable": pc.or_(pc.is_valid(times), pc.invert(given)),
            "updated_at_text": times_text,
        }
    )


def _texts(values: Sequence[Any] | pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the values as text, and for each whether that text is exactly the value."""
    if isinstance(values, pa.Array):
        return values.cast(pa.string()), pa.repeat(True, len(values))
    if {*map(type, values)} <= {str, NoneType}:
        try:
            return pa.array(values, pa.string()), pa.repeat(True, len(values))
        except UnicodeEncodeError:
            pass  # a lone surrogate in one of them: one by one
    pairs = [exact_text(value) for value in values]
    return pa.array([text for text, _ in pairs], pa.string()), pa.array([exact for _, exact in pairs])


def exact_text(value: object) -> tuple[str | None, bool]:
    """
    Return a value's text and whether it is exact: ``123`` for 123, 123.0 and Decimal("123.00"); None for NaN.

    Not exact, and so never an order id: floats that are no whole number below 2**53, booleans, bytes that are not
    UTF-8, anything that is no text, number or UUID.
    """
    match value:
        case None:
            return None, True
        case str():
            text = value.encode("utf-8", "backslashreplace").decode()
            return text, text == value
        case bool():
            return str(value), False
        case int() | UUID():
            return str(value), True
        case float():
            if value != value:
                return None, True
            whole = value.is_integer() and abs(value) < EXACT_FLOAT
            return (str(int(value)), True) if whole else (repr(value), False)
        case Decimal():
            if value.is_nan():
                return None, True
            if not value.is_finite() or abs(value.adjusted()) > 300:
                return str(value), False
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text, True
        case bytes() | bytearray() | memoryview():
            raw = bytes(value)
            try:
                return raw.decode(), True
            except UnicodeDecodeError:
                return raw.hex(), False
        case _:
            return str(value), False


def _timestamps(values: Sequence[Any] | pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the values as UTC timestamps (null where they are none) and as text where the warehouse gave no such."""
    kind = pa.timestamp("us", "UTC")
    if isinstance(values, pa.Array):
        if pa.types.is_timestamp(values.type):
            return values.cast(kind), pa.nulls(len(values), pa.string())
        values = values.to_pylist()
    if {*map(type, values)} <= {datetime, NoneType}:
        return pa.array(values, kind), pa.nulls(len(values), pa.string())
    texts = [_timestamp_text(value) for value in values]
    dates = pd.Series([text if text and _DATE_FIRST.match(text) else None for text in texts], dtype="str")
    parsed = pd.to_datetime(dates, utc=True, format="ISO8601", errors="coerce").astype("datetime64[us, UTC]")
    for position in (dates.notna() & parsed.isna()).to_numpy().nonzero()[0]:
        # One text with nanoseconds makes pandas refuse years that do not fit into 64 bits of them.
        with suppress(ValueError, OverflowError):
            one = datetime.fromisoformat(dates[position].strip())
            parsed[int(position)] = pd.Timestamp(one.astimezone(UTC) if one.tzinfo else one.replace(tzinfo=UTC))
    return pa.array(parsed, kind, from_pandas=True), pa.array(texts, pa.string())


def _timestamp_text(value: object) -> str | None:
    match value:
        case date():
            return value.isoformat()
        case _:
            text = exact_text(value)[0]
            return text if text and text.strip() else None


def _newest_versions(spool: Path) -> Iterator[pa.RecordBatch]:
    """Give each order's newest row, ordered by order id; first of all every row without an id, each by itself."""
    with closing(duckdb.connect()) as db:
        db.execute("SET enable_progress_bar = false")  # it would be drawn into the task's log
        db.execute(f"SET memory_limit = '{SORT_MEMORY}'")
        # Each thread of a sort holds blocks of its own: those of eight fill the limit, and the sort fails.
        db.execute("SET threads = 1")
        db.execute(f"SET temp_directory = '{spool.parent}'")
        db.execute("SET TimeZone = 'UTC'")
        yield from db.sql(_WITHOUT_ID, params={"spool": str(spool)}).to_arrow_reader(FETCH_ROWS)
        yield from _last_of_each_id(db.sql(_SORTED, params={"spool": str(spool)}).to_arrow_reader(FETCH_ROWS))


def _last_of_each_id(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Keep the last row of each run of equal ids, also where the run crosses into the next batch."""
    held: pa.RecordBatch | None = None
    for batch in batches:
        if not batch.num_rows:
            continue
        ids = batch["order_id"]
        if held is not None and held["order_id"][0] != ids[0]:
            yield held
        held = batch.slice(batch.num_rows - 1)
        differs = pc.not_equal(ids.slice(0, batch.num_rows - 1), ids.slice(1))
        yield batch.slice(0, batch.num_rows - 1).filter(differs)
    if held is not None:
        yield held


def _stage(batches: Iterable[pa.RecordBatch], partition_rows: int, folder: UPath) -> Iterator[Partition]:
    """Write the rows as partitions of at most ``partition_rows``, holding one of them in memory."""
    index = 0
    pending: list[pa.RecordBatch] = []
    size = 0

    def flush() -> Partition:
        table = pa.Table.from_batches(pending).cast(SCHEMA)
        path = folder / f"partition-{index:04}.parquet"
        staging.write(table, path)
        first, last = (printable(table["order_id"][at].as_py(), 100) for at in (0, -1))
        return Partition(index, str(path), table.num_rows, first, last)

    for batch in batches:
        while batch.num_rows:
            part = batch.slice(0, partition_rows - size)
            pending.append(part)
            size += part.num_rows
            batch = batch.slice(part.num_rows)
            if size == partition_rows:
                yield flush()
                index, pending, size = index + 1, [], 0
    if size:
        yield flush()
