"""
Orders of batches that REES46 refuses for what is in them, and the size of the smallest such batch.

One bad order makes REES46 refuse its whole batch. A load sends the orders of a refused batch again in smaller ones, and
continues in the next run where it stopped, because each refused batch is a mail to the shop. An order that is refused
alone is bad: it is not sent again in this status.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pandas as pd
import sqlalchemy as sa
from more_itertools import chunked

from rees46_sync.ledger.database import Ledger, retry_transaction
from rees46_sync.ledger.dialects import as_json, get_dialect
from rees46_sync.ledger.lookup import LOOKUP_CHUNK
from rees46_sync.ledger.tables import refused_orders


class RefusedOrders:
    """The refused orders in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def look_up(self, shop: str, order_ids: Sequence[str]) -> pd.DataFrame:
        """
        Return those of these orders that were refused.

        :return: columns order_id, code (the status in which it was refused) and batch_size, of the smallest batch.
        """
        table = refused_orders.c
        smallest = sa.func.min(table.batch_size)
        with self.ledger.transaction() as connection:
            if connection.scalar(sa.select(table.id).where(table.shop == shop).limit(1)) is None:
                order_ids = []
            query = (
                sa.select(table.order_id, table.status, smallest)
                .where(table.shop == shop, sa.text(get_dialect(connection).one_of_ids))
                .group_by(table.order_id, table.status)
            )
            rows = [
                tuple(row)
                for chunk in chunked(order_ids, LOOKUP_CHUNK)
                for row in connection.execute(query, {"ids": as_json(chunk)})
            ]
        return pd.DataFrame(rows, columns=["order_id", "code", "batch_size"]).astype({"order_id": "str"})

    @retry_transaction
    def record(self, shop: str, orders: pd.DataFrame) -> None:
        """
        Record orders that were refused.

        :param orders: columns order_id, code, batch_size, reason (REES46's words, or those of the HTTP status).
        """
        row, columns = {"shop": shop, "refused_at": datetime.now(UTC)}, ["order_id", "code", "batch_size", "reason"]
        rows = [
            {**row, "order_id": order_id, "status": code, "batch_size": batch_size, "reason": reason}
            for order_id, code, batch_size, reason in orders[columns].itertuples(index=False, name=None)
        ]
        if rows:
            with self.ledger.transaction() as connection:
                connection.execute(sa.insert(refused_orders), rows)

    @retry_transaction
    def forget(self, shop: str, order_ids: Sequence[str]) -> None:
        """Remove orders that REES46 has accepted after all."""
        with self.ledger.transaction() as connection:
            accepted = sa.delete(refused_orders).where(
                refused_orders.c.shop == shop, sa.text(get_dialect(connection).one_of_ids)
            )
            for chunk in chunked(order_ids, LOOKUP_CHUNK):
                connection.execute(accepted, {"ids": as_json(chunk)})
