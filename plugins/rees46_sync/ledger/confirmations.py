"""
Confirmations: a later extraction found an order in the status that REES46 has.

Minutes pass between extracting and loading, or days if a failed load is cleared later. If an order returns in that time
to the status that REES46 has, a newer extraction has nothing to send, so nothing newer is accepted that would
contradict the older extraction. The newer one therefore records a confirmation; the older one then skips the order as
stale. Confirmations are recorded only while another extraction of the shop is open, and are removed with the last
extraction that they matter to.
"""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import sqlalchemy as sa
from more_itertools import chunked

from rees46_sync.ledger.database import Ledger, retry_on_conflict
from rees46_sync.ledger.dialects import as_json, get_dialect
from rees46_sync.ledger.lookup import LOOKUP_CHUNK
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.tables import UtcDateTime, confirmations, open_extractions


class Confirmations:
    """The open extractions in a ledger, and the orders that were confirmed meanwhile."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @retry_on_conflict
    def open_extraction(self, run: RunRef, started_at: datetime, window_start: datetime) -> None:
        """Record that an extraction starts; to be called before its first row is read."""
        with self.ledger.transaction() as connection:
            latest = connection.scalar(sa.select(sa.func.max(confirmations.c.id))) or 0
            extraction = {
                "shop": run.shop,
                "extraction_id": run.extraction_id,
                "started_at": started_at,
                "window_start": window_start,
                "latest_confirmation_id": latest,
            }
            connection.execute(sa.insert(open_extractions).values(**extraction))

    def close_extraction(self, shop: str, extraction_id: str) -> None:
        """Record that nothing of an extraction will be sent any more."""
        self._close(shop, open_extractions.c.extraction_id == extraction_id)

    def close_older(self, shop: str, limit: datetime) -> None:
        """Close a shop's extractions that started before a time: their staged files are gone."""
        self._close(shop, open_extractions.c.started_at < limit)

    @retry_on_conflict
    def confirm(self, run: RunRef, orders: pd.DataFrame) -> int:
        """
        Record that an extraction has orders, in a newer version, in the status that REES46 has.

        If anything was recorded, the caller must compare once more: an older extraction may have sent such an order
        just before, and checks for confirmations only after its request is in the ledger.

        :param run: the run whose extraction has them.
        :param orders: columns order_id, updated_at.
        :return: how many confirmations were recorded; none if no other extraction of the shop is open, or all of them
            were recorded before.
        """
        if orders.empty:
            return 0
        others = (open_extractions.c.shop == run.shop) & (open_extractions.c.extraction_id != run.extraction_id)
        with self.ledger.transaction() as connection:
            start = connection.scalar(
                sa.select(sa.func.min(open_extractions.c.window_start, type_=UtcDateTime)).where(others)
            )
            if start is None:
                return 0
            # No open extraction has a version from before its window.
            orders = orders[orders["updated_at"] >= start]
            # Each run reads the orders of the look-back again, and a failed extraction stays open for days.
            confirmed = _confirmed_versions(connection, run.shop, orders["order_id"].tolist())
            found = {"shop": run.shop, "extraction_id": run.extraction_id}
            rows = [
                {**found, "order_id": order_id, "source_updated_at": updated_at}
                for order_id, updated_at in orders[["order_id", "updated_at"]].itertuples(index=False, name=None)
                if order_id not in confirmed or confirmed[order_id] < updated_at
            ]
            if rows:
                connection.execute(sa.insert(confirmations), rows)
        return len(rows)

    @retry_on_conflict
    def _close(self, shop: str, which: sa.ColumnElement[bool]) -> None:
        extraction, confirmation = open_extractions.c, confirmations.c
        is_needed = sa.exists().where(extraction.shop == shop, extraction.latest_confirmation_id < confirmation.id)
        with self.ledger.transaction() as connection:
            connection.execute(sa.delete(open_extractions).where(extraction.shop == shop, which))
            connection.execute(sa.delete(confirmations).where(confirmation.shop == shop, ~is_needed))


def _confirmed_versions(connection: sa.Connection, shop: str, order_ids: list[str]) -> dict[str, datetime]:
    """Return the newest confirmed version of each of these orders that has one."""
    confirmation = confirmations.c
    query = (
        sa.select(confirmation.order_id, sa.func.max(confirmation.source_updated_at, type_=UtcDateTime))
        .where(confirmation.shop == shop, sa.text(get_dialect(connection).one_of_ids))
        .group_by(confirmation.order_id)
    )
    versions: dict[str, datetime] = {}
    for chunk in chunked(order_ids, LOOKUP_CHUNK):
        versions |= dict(connection.execute(query, {"ids": as_json(chunk)}).all())
    return versions
