"""
Confirmations: an extraction found an order in need of nothing, because REES46 has its status (or keeps a final one).

Nothing is sent then, so without a record an older row of the order could follow later: an extraction that read it
before and loads after this one, or a run over an older window of a table of changes. So the newest version in which an
order was found is remembered for as long as the order. While an extraction that read earlier may still send something,
each order is confirmed, in whatever version: its row may have gone back to an older one.
"""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import sqlalchemy as sa
from more_itertools import chunked

from rees46_sync.ledger.database import Ledger, retry_transaction
from rees46_sync.ledger.dialects import as_json, get_dialect
from rees46_sync.ledger.extractions import OtherExtractions
from rees46_sync.ledger.lookup import LOOKUP_CHUNK
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.tables import confirmations, extractions


class Confirmations:
    """The confirmations in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @retry_transaction
    def confirm(self, run: RunRef, orders: pd.DataFrame, others: OtherExtractions) -> int:
        """
        Record orders that an extraction found in need of nothing, as far as it is not known yet.

        If anything was recorded and the change token has moved since they were compared, the caller must compare once
        more: another extraction may have sent such an order just before, and checks for confirmations only after its
        request is in the ledger.

        :param orders: columns order_id, updated_at, and is_newer: whether the version is newer than all that are known.
        :param others: how the other extractions related to this one before the orders were compared.
        :return: how many confirmations were recorded.
        """
        if orders.empty:
            return 0
        with self.ledger.transaction() as connection:
            if others.open_earlier:
                marks, ends = zip(*others.open_earlier, strict=True)
                last_end = max(ends) if None not in ends else None
                confirmed = _confirmed_later(connection, run, max(marks), last_end, orders["order_id"].tolist())
                due = orders[orders["is_newer"] | ~orders["order_id"].isin(confirmed)]
            else:
                due = orders[orders["is_newer"]]
            if due.empty:
                return 0
            _remove_superseded(connection, run.shop, due.loc[due["is_newer"], "order_id"].tolist())
            rows = [
                {
                    "shop": run.shop,
                    "extraction_id": run.extraction_id,
                    "order_id": order_id,
                    "source_updated_at": updated_at,
                }
                for order_id, updated_at in due[["order_id", "updated_at"]].itertuples(index=False, name=None)
            ]
            connection.execute(sa.insert(confirmations), rows)
            latest = sa.select(sa.func.max(confirmations.c.id)).scalar_subquery()
            is_own = extractions.c.extraction_id == run.extraction_id
            connection.execute(sa.update(extractions).where(is_own).values(latest_confirmation_id=latest))
        return len(due)


def _confirmed_later(
    connection: sa.Connection, run: RunRef, read_mark: int, window_end: datetime | None, order_ids: list[str]
) -> set[str]:
    """
    Return the orders that this extraction has confirmed, or one that is later than the open ones and read as much.

    :param read_mark: the latest mark of the open extractions.
    :param window_end: the latest end of their windows.
    """
    extraction, confirmation = extractions.c, confirmations.c
    start = sa.select(extraction.window_start).where(extraction.extraction_id == run.extraction_id).scalar_subquery()
    covering = sa.select(extraction.extraction_id).where(
        extraction.shop == run.shop,
        extraction.id > read_mark,
        extraction.window_start <= start,
        extraction.window_end >= window_end if window_end else sa.false(),
    )
    query = sa.select(confirmation.order_id).where(
        confirmation.shop == run.shop,
        sa.text(get_dialect(connection).one_of_ids),
        confirmation.extraction_id.in_(covering) | (confirmation.extraction_id == run.extraction_id),
    )
    found: set[str] = set()
    for chunk in chunked(order_ids, LOOKUP_CHUNK):
        found.update(connection.scalars(query, {"ids": as_json(chunk)}))
    return found


def _remove_superseded(connection: sa.Connection, shop: str, order_ids: list[str]) -> None:
    """Remove confirmations of these orders by extractions from which nothing can be sent any more."""
    confirmation = confirmations.c
    superseded = sa.delete(confirmations).where(
        confirmation.shop == shop,
        sa.text(get_dialect(connection).one_of_ids),
        confirmation.extraction_id.not_in(sa.select(extractions.c.extraction_id)),
    )
    for chunk in chunked(order_ids, LOOKUP_CHUNK):
        connection.execute(superseded, {"ids": as_json(chunk)})
