"""
The readings of the warehouse that may still be sent, and what others find out about them meanwhile.

Between reading and loading minutes pass, or days where a failed load is cleared later. If an order goes back in that
time to the status that REES46 has, whoever reads it again has nothing to send, and so accepts nothing that would
contradict the older reading. It is noted here instead: the older reading then holds the order back as stale. Notes are
made only while another reading of the shop is open, and go with it.
"""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import sqlalchemy as sa

from rees46_sync.ledger import Ledger, RunRef, again_after_a_race
from rees46_sync.ledger_tables import open_readings, overtaken_orders


class Readings:
    """The open readings in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @again_after_a_race
    def begin(self, run: RunRef, began_at: datetime, window_start: datetime) -> None:
        """Say that a reading begins; to be called before its first row is read."""
        reading = {"shop": run.shop, "extraction_id": run.extraction_id}
        with self.ledger.transaction() as connection:
            connection.execute(sa.insert(open_readings).values(**reading, began_at=began_at, window_start=window_start))

    def end(self, extraction_id: str) -> None:
        """Say that nothing of a reading will be sent any more."""
        self._remove(open_readings.c.extraction_id == extraction_id)

    def end_older(self, shop: str, limit: datetime) -> None:
        """End the readings of a shop that began before a time: their staged files are gone."""
        self._remove((open_readings.c.shop == shop) & (open_readings.c.began_at < limit))

    @again_after_a_race
    def overtake(self, run: RunRef, orders: pd.DataFrame) -> int:
        """
        Note that this reading has orders in the status that REES46 has, in a newer version.

        Who calls this asks the ledger once more where notes were made: a reading that was overtaken may have sent such
        an order just before, and looks for notes only after its request is in the ledger.

        :param run: of the reading that has them.
        :param orders: columns order_id, updated_at.
        :return: how many notes were made; none where no other reading of the shop is open, or each was told already.
        """
        if orders.empty:
            return 0
        others = (open_readings.c.shop == run.shop) & (open_readings.c.extraction_id != run.extraction_id)
        with self.ledger.transaction() as connection:
            found = sa.select(open_readings.c.extraction_id, open_readings.c.window_start).where(others)
            readings = connection.execute(found).all()
        notes = 0
        for extraction_id, window_start in readings:
            # A reading has no version from before its window, so what is older than that overtakes none of its own.
            newer = orders.loc[orders["updated_at"] >= window_start, ["order_id", "updated_at"]]
            noted = self.ledger.lookup(run.shop, newer["order_id"].tolist(), extraction_id)[
                ["order_id", "overtaken_at"]
            ]
            both = newer.merge(noted, on="order_id", how="left")
            # Each run looks back over the same orders, and a failed one stays open for days.
            notes += self._insert(extraction_id, both[~(both["overtaken_at"] >= both["updated_at"])])
        return notes

    def _insert(self, extraction_id: str, orders: pd.DataFrame) -> int:
        rows = [
            {"extraction_id": extraction_id, "order_id": order_id, "source_updated_at": updated_at}
            for order_id, updated_at in orders[["order_id", "updated_at"]].itertuples(index=False, name=None)
        ]
        if rows:
            with self.ledger.transaction() as connection:
                connection.execute(sa.insert(overtaken_orders), rows)
        return len(rows)

    @again_after_a_race
    def _remove(self, which: sa.ColumnElement[bool]) -> None:
        still_open = sa.select(open_readings.c.extraction_id)
        with self.ledger.transaction() as connection:
            connection.execute(sa.delete(open_readings).where(which))
            # Also a note that another run was about to write when the reading ended.
            connection.execute(sa.delete(overtaken_orders).where(overtaken_orders.c.extraction_id.not_in(still_open)))
