"""Orders of several stores that have one id: the query returns them as versions of one order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from rees46_sync.doctor.findings import Finding, error, ok, warning
from rees46_sync.doctor.look_alikes import MAX_CHARACTERS, MAX_EXAMPLES, show
from rees46_sync.shop.shop import Shop
from rees46_sync.window import Window

CHECK = "query.shared_ids"


def find_shared_ids(shop: Shop, window: Window, entity: str, columns: tuple[str, ...]) -> Iterator[Finding]:
    """
    Read a window again, and return a finding about order ids that occur with several values of a column.

    Memory does not grow with the number of rows. Rows without an id, or without a value, are left out.

    :param entity: the column that tells entities apart, such as a store id.
    :param columns: the columns of the query.
    :raises SyncError: as :func:`rees46_sync.warehouse.reader.stream`.
    """
    if [column.lower() for column in columns].count(entity.lower()) != 1:
        remedy = "name with --entity a column that the query returns once"
        yield error(CHECK, f"the query does not return {entity} once (its columns: {', '.join(columns)})", remedy)
        return
    count, examples = _shared(shop, window, entity)
    if not count:
        yield ok(CHECK, f"each order id occurs with one {entity}", orders=0, examples=[])
        return
    yield warning(
        CHECK,
        f"{count:,} order ids occur with several values of {entity}, for example {show(examples)}; only the newest row "
        "of each counts",
        f"unless an order moved from one {entity} to another, these are different orders with one id: make the id "
        "unique in the query, as the shop's tracking sends it to REES46; if the tracking sends one id for both, change "
        "it there first",
        orders=count,
        examples=examples,
    )


def _shared(shop: Shop, window: Window, entity: str) -> tuple[int, list[str]]:
    """Return how many order ids occur with several values, and the first of them."""
    import pyarrow.parquet as pq

    from rees46_sync.warehouse import reader
    from rees46_sync.warehouse.newest import bounded_duckdb

    with tempfile.TemporaryDirectory(prefix="rees46-doctor-") as folder, bounded_duckdb(Path(folder)) as db:
        file = f"{folder}/pairs.parquet"
        with pq.ParquetWriter(file, reader.PAIRS, compression="zstd") as writer:
            for pairs in reader.stream_pairs(shop, window, entity):
                writer.write_table(pairs)
        db.execute(
            "CREATE TABLE shared AS SELECT order_id FROM (SELECT DISTINCT order_id, value FROM read_parquet($file) "
            "WHERE order_id IS NOT NULL AND value IS NOT NULL) GROUP BY order_id HAVING count(*) > 1",
            {"file": file},
        )
        examples = db.execute("SELECT order_id FROM shared ORDER BY order_id LIMIT $1", [MAX_EXAMPLES]).fetchall()
        return len(db.table("shared")), [order_id[:MAX_CHARACTERS] for (order_id,) in examples]
