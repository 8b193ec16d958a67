"""
The param ``first_orders``: a run that sends only so many orders, so that a person can look at them in REES46.

Which ones is decided in approve_changes, when the batches of all partitions are built. The others count as held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rees46_sync.pipeline.run import BuiltBatches, RunContext

if TYPE_CHECKING:
    import pandas as pd

    from rees46_sync.pipeline.preview import Preview


def keep_first(run: RunContext, built: Sequence[BuiltBatches], count: int) -> list[BuiltBatches]:
    """
    Keep the first orders that are to be sent, over all partitions in their order; the others are held.

    :raises StagingError: the staging root cannot be read.
    :raises LedgerError: the ledger does not answer.
    """
    kept, left = [], count
    for batches in built:
        orders = min(batches["orders"], left)
        left -= orders
        kept.append(batches if orders == batches["orders"] else _cut(run, batches, orders))
    return kept


def _cut(run: RunContext, batches: BuiltBatches, orders: int) -> BuiltBatches:
    """Return the descriptor of the first orders of a partition's file."""
    from rees46_sync.airflow_adapters import staging

    cut = batches.copy()
    cut["orders"], cut["held"] = orders, batches["orders"] - orders
    cut["by_status"], cut["preview"] = {}, None
    if orders:
        due = staging.read(staging.open_path(batches["path"])).slice(0, orders).to_pandas()
        cut["by_status"] = {str(code): int(count) for code, count in due["code"].value_counts().items()}
        cut["preview"] = _preview(run, due) if batches["preview"] else None
    return cut


def _preview(run: RunContext, due: pd.DataFrame) -> Preview:
    from rees46_sync.ledger.lookup import look_up
    from rees46_sync.pipeline.preview import build_preview

    known = look_up(run.ledger, run.shop.shop, due["order_id"].tolist(), settle=run.shop.settle)
    return build_preview(due, known)
