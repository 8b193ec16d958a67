"""One version per order: sort the rows by order id and time, keep the newest, write partitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from rees46_sync.airflow_adapters import staging
from rees46_sync.formatting import printable
from rees46_sync.warehouse.values import SCHEMA

CHUNK_ROWS = 10_000
"""Sorted rows in memory at a time."""

SORT_MEMORY = "96MB"
"""Memory that DuckDB may use to sort; the rest goes to the temporary folder."""

# An order's newest version is its last row here. A row whose time is missing or unreadable counts as the newest:
# it may not be older, and validation rejects it, so that no outdated status is sent in its place. Among such rows, the
# one that the query returned last is the newest. Ids that are blank (by Python's definition) or not exact do not count
# as ids: two rows with such an id may be different orders.
_WITH_ID = r"order_id_exact AND order_id IS NOT NULL AND regexp_matches(order_id, '[^\s\v\p{Z}\x{85}\x1c-\x1f]')"

_SORTED = f"""
SELECT * EXCLUDE (seq), 1::BIGINT AS copy, true AS order_unambiguous FROM read_parquet($spool) WHERE {_WITH_ID}
ORDER BY order_id, updated_at NULLS LAST, seq
"""

_WITHOUT_ID = f"""
SELECT * EXCLUDE (seq),
       row_number() OVER (PARTITION BY order_id, status, updated_at, updated_at_text ORDER BY seq) AS copy,
       true AS order_unambiguous
FROM read_parquet($spool) WHERE NOT ({_WITH_ID}) ORDER BY seq
"""


@dataclass(frozen=True)
class StagedPartition:
    """
    A staged file of rows.

    :param path: its object storage path.
    :param first_id, last_id: the order ids of its first and last row, made printable; None for a row without an id.
    """

    index: int
    path: str
    rows: int
    first_id: str | None
    last_id: str | None

    @property
    def name(self) -> str:
        """A name for people: its number, how many rows it has, and its first and last id."""
        return f"{self.index}: {self.rows:,} rows, {self.first_id or 'without id'} to {self.last_id or 'without id'}"


def newest_versions(spool: Path, codes: Mapping[str, int]) -> Iterator[pa.RecordBatch]:
    """
    Return first every row without an id, unmerged, then each order's newest row, ordered by order id.

    An order is ambiguous if it has statuses of different meanings at its newest time. It then has a row for each of
    these statuses, with ``order_unambiguous`` false. Of statuses of one meaning, the first in alphabetical order is
    kept, so that the order in which the query returns rows does not matter.

    :param spool: a Parquet file of :data:`READ_SCHEMA` and ``seq``, the row's number. DuckDB writes temporary files
        beside it.
    :param codes: the meaning of each mapped status; each unmapped status has a meaning of its own.
    """
    with bounded_duckdb(spool.parent) as db:
        yield from db.sql(_WITHOUT_ID, params={"spool": str(spool)}).to_arrow_reader(CHUNK_ROWS)
        yield from _newest_of_each_id(db.sql(_SORTED, params={"spool": str(spool)}).to_arrow_reader(CHUNK_ROWS), codes)


@contextmanager
def bounded_duckdb(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a DuckDB that uses little memory: it writes what does not fit into temporary files in a folder."""
    with closing(duckdb.connect()) as db:
        db.execute("SET enable_progress_bar = false")  # it would be written into the task's log
        db.execute(f"SET memory_limit = '{SORT_MEMORY}'")
        # Each thread of a sort holds blocks of its own: with eight threads they fill the limit, and the sort fails.
        db.execute("SET threads = 1")
        db.execute(f"SET temp_directory = '{folder}'")
        db.execute("SET TimeZone = 'UTC'")
        yield db


def _newest_of_each_id(batches: Iterable[pa.RecordBatch], codes: Mapping[str, int]) -> Iterator[pa.RecordBatch]:
    """Keep the newest row or rows of each run of equal ids, also if the run continues in the next batch."""
    held: pa.RecordBatch | None = None
    for batch in batches:
        if not batch.num_rows:
            continue
        if held is not None and held["order_id"][0] == batch["order_id"][0]:
            batch = pa.concat_batches([held, batch])
        elif held is not None:
            yield _settled(held, np.array([0]), codes)
        rows = _newest_rows(batch)
        starts = _starts(rows["order_id"])
        held = rows.slice(starts[-1])
        yield _settled(rows.slice(0, starts[-1]), starts[:-1], codes)
    if held is not None:
        yield _settled(held, np.array([0]), codes)


def _newest_rows(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return of each order the last row; if its newest time occurs with several statuses, a row for each of them."""
    this, following = rows.slice(0, rows.num_rows - 1), rows.slice(1)
    same_id = pc.equal(this["order_id"], following["order_id"])
    if not pc.any(same_id).as_py():
        return rows
    same_time = pc.fill_null(pc.equal(this["updated_at"], following["updated_at"]), False)
    no_status = pc.and_(pc.is_null(this["status"]), pc.is_null(following["status"]))
    same_status = pc.coalesce(pc.equal(this["status"], following["status"]), no_status)
    tied = pc.and_(pc.and_(same_id, same_time), pc.invert(same_status))
    kept = pc.or_(pc.invert(same_id), tied)
    rows = rows.filter(pa.concat_arrays([kept, pa.array([True])]))
    if not pc.any(tied).as_py():
        return rows
    starts = _starts(rows["order_id"])
    sizes = np.diff(starts, append=rows.num_rows)
    times = rows["updated_at"].cast(pa.int64()).fill_null(np.iinfo(np.int64).max).to_numpy()
    newest = np.flatnonzero(times == np.repeat(times[starts + sizes - 1], sizes))
    # By order and status; each once.
    statuses = pc.rank(rows["status"].fill_null(""), tiebreaker="dense").to_numpy().astype(np.int64)
    orders = np.repeat(np.arange(len(starts)), sizes)
    keys = orders * (rows.num_rows + 1) + statuses
    return rows.take(pa.array(newest[np.unique(keys[newest], return_index=True)[1]]))


def _settled(rows: pa.RecordBatch, starts: np.ndarray[Any, Any], codes: Mapping[str, int]) -> pa.RecordBatch:
    """
    Mark and number the rows of ambiguous orders, and keep the first row of each other order.

    :param starts: where each order starts.
    """
    if len(starts) == rows.num_rows:
        return rows
    sizes = np.diff(starts, append=rows.num_rows)
    # No status is in an order twice, so the row's number is a meaning that no other row of the order has.
    mapped = pc.index_in(rows["status"], pa.array(list(codes), pa.string())).fill_null(-1).to_numpy()
    of_its_own = max(codes.values(), default=0) + 1 + np.arange(rows.num_rows)
    meanings = np.where(mapped < 0, of_its_own, np.array([*codes.values(), 0])[mapped])
    unambiguous = np.repeat(np.minimum.reduceat(meanings, starts) == np.maximum.reduceat(meanings, starts), sizes)
    copies = np.arange(rows.num_rows) - np.repeat(starts, sizes) + 1
    for name, values in (("copy", copies), ("order_unambiguous", unambiguous)):
        rows = rows.set_column(rows.schema.get_field_index(name), name, pa.array(values))
    return rows.filter(pa.array(~unambiguous | (copies == 1)))


def _starts(ids: pa.Array) -> np.ndarray[Any, Any]:
    """Return where the runs of equal ids start."""
    differs = pc.not_equal(ids.slice(0, len(ids) - 1), ids.slice(1))
    return np.flatnonzero(np.append(True, differs.to_numpy(zero_copy_only=False)))


def stage_partitions(
    batches: Iterable[pa.RecordBatch], partition_rows: int, folder: UPath
) -> Iterator[StagedPartition]:
    """Write the rows as partitions of at most ``partition_rows`` rows, with one partition in memory at a time."""
    index = 0
    pending: list[pa.RecordBatch] = []
    size = 0

    def flush() -> StagedPartition:
        table = pa.Table.from_batches(pending).cast(SCHEMA)
        path = folder / f"partition-{index:04}.parquet"
        staging.write(table, path)
        first, last = (printable(table["order_id"][at].as_py(), 100) for at in (0, -1))
        return StagedPartition(index, str(path), table.num_rows, first, last)

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
