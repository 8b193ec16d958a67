"""One version per order: sort the rows by order id and time, keep the newest, write partitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import duckdb
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
# it may not be older, and validation rejects it, so that no outdated status is sent in its place. Among rows of the
# same time, the one that the query returned last is the newest. Ids that are blank (by Python's definition) or not
# exact do not count as ids: two rows with such an id may be different orders.
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


def newest_versions(spool: Path) -> Iterator[pa.RecordBatch]:
    """
    Return first every row without an id, unmerged, then each order's newest row, ordered by order id.

    :param spool: a Parquet file of :data:`SCHEMA` with ``seq``, the row's number, in place of ``copy``. DuckDB writes
        temporary files beside it.
    """
    with closing(duckdb.connect()) as db:
        db.execute("SET enable_progress_bar = false")  # it would be written into the task's log
        db.execute(f"SET memory_limit = '{SORT_MEMORY}'")
        # Each thread of a sort holds blocks of its own: with eight threads they fill the limit, and the sort fails.
        db.execute("SET threads = 1")
        db.execute(f"SET temp_directory = '{spool.parent}'")
        db.execute("SET TimeZone = 'UTC'")
        yield from db.sql(_WITHOUT_ID, params={"spool": str(spool)}).to_arrow_reader(CHUNK_ROWS)
        yield from _last_of_each_id(db.sql(_SORTED, params={"spool": str(spool)}).to_arrow_reader(CHUNK_ROWS))


def _last_of_each_id(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Keep the last row of each run of equal ids, also if the run continues in the next batch."""
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
