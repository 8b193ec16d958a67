"""
The readings of the warehouse that may still be sent, and what others find out about them meanwhile.

Between reading and loading minutes pass, or days where a failed load is cleared later. If an order goes back in that
time to the status that REES46 has, whoever reads it again has nothing to send, and so accepts nothing that would
contradict the older reading. It is noted here instead: the older reading then holds the order back as stale. Notes are
made only while another reading of the shop is open, one for all of them, and go with the last that they are news to.
"""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import sqlalchemy as sa
from more_itertools import chunked

from rees46_sync.ledger.database import Ledger, RunRef, again_after_a_race
from rees46_sync.ledger.dialects import as_json, dialect_of
from rees46_sync.ledger.lookup import LOOKUP_CHUNK
from rees46_sync.ledger.tables import UtcDateTime, open_readings, overtaken_orders


class Readings:
    """The open readings in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @again_after_a_race
    def begin(self, run: RunRef, began_at: datetime, window_start: datetime) -> None:
        """Say that a reading begins; to be called before its first row is read."""
        reading = {"shop": run.shop, "extraction_id": run.extraction_id}
        with self.ledger.transaction() as connection:
            latest = connection.scalar(sa.select(sa.func.max(overtaken_orders.c.id))) or 0
            times = {"began_at": began_at, "window_start": window_start}
            connection.execute(sa.insert(open_readings).values(**reading, **times, after_id=latest))

    def end(self, shop: str, extraction_id: str) -> None:
        """Say that nothing of a reading will be sent any more."""
        self._remove(shop, open_readings.c.extraction_id == extraction_id)

    def end_older(self, shop: str, limit: datetime) -> None:
        """End the readings of a shop that began before a time: their staged files are gone."""
        self._remove(shop, open_readings.c.began_at < limit)

    @again_after_a_race
    def overtake(self, run: RunRef, orders: pd.DataFrame) -> int:
        """
        Note that this reading has orders in the status that REES46 has, in a newer version.

        Who calls this asks the ledger once more where notes were made: a reading that was overtaken may have sent such
        an order just before, and looks for notes only after its request is in the ledger.

        :param run: of the reading that has them.
        :param orders: columns order_id, updated_at.
        :return: how many notes were made; none where no other reading of the shop is open, or all is noted already.
        """
        if orders.empty:
            return 0
        others = (open_readings.c.shop == run.shop) & (open_readings.c.extraction_id != run.extraction_id)
        noted = overtaken_orders.c
        newest: dict[str, datetime] = {}
        with self.ledger.transaction() as connection:
            start = connection.scalar(
                sa.select(sa.func.min(open_readings.c.window_start, type_=UtcDateTime)).where(others)
            )
            if start is None:
                return 0
            # No reading has a version from before its window, so what is older overtakes none.
            orders = orders[orders["updated_at"] >= start]
            # Each run looks back over the same orders, and a failed reading stays open for days: what is noted already,
            # in this version or a newer one, is either known to a reading or was read by it again.
            already = (
                sa.select(noted.order_id, sa.func.max(noted.source_updated_at, type_=UtcDateTime))
                .where(noted.shop == run.shop, sa.text(dialect_of(connection).one_of_ids))
                .group_by(noted.order_id)
            )
            for chunk in chunked(orders["order_id"], LOOKUP_CHUNK):
                newest |= dict(connection.execute(already, {"ids": as_json(chunk)}).all())
            found = {"shop": run.shop, "extraction_id": run.extraction_id}
            rows = [
                {**found, "order_id": order_id, "source_updated_at": updated_at}
                for order_id, updated_at in orders[["order_id", "updated_at"]].itertuples(index=False, name=None)
                if order_id not in newest or newest[order_id] < updated_at
            ]
            if rows:
                connection.execute(sa.insert(overtaken_orders), rows)
        return len(rows)

    @again_after_a_race
    def _remove(self, shop: str, which: sa.ColumnElement[bool]) -> None:
        reading, noted = open_readings.c, overtaken_orders.c
        is_news = sa.exists().where(reading.shop == shop, reading.after_id < noted.id)
        with self.ledger.transaction() as connection:
            connection.execute(sa.delete(open_readings).where(reading.shop == shop, which))
            connection.execute(sa.delete(overtaken_orders).where(noted.shop == shop, ~is_news))
