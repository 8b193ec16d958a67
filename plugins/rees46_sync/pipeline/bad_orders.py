"""
The search for an order that REES46 refuses: the orders of a refused batch are sent again, a tenth at a time.

Each refused batch costs the shop a mail, so the search keeps to the circuit breaker's budget, and the next run
continues it. It finds one bad order among 1000 with four refused batches, and among 5000 with five.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import pandas as pd

from rees46_sync.exceptions import Rees46RejectedError
from rees46_sync.ledger.refused_orders import RefusedOrders
from rees46_sync.pipeline import diff

PARTS = 10
"""Into how many parts a refused batch is split."""


class BadOrderSearch:
    """
    What one load knows of refused orders.

    :param refused: the refused orders in the ledger.
    :param resend: send also those that were refused alone.
    """

    def __init__(self, refused: RefusedOrders, shop: str, *, resend: bool) -> None:
        self.refused = refused
        self.shop = shop
        self.resend = resend
        self.known_bad = self.bad = pd.DataFrame(columns=["order_id"])
        """Orders that were refused alone, by an earlier load and by this one."""
        self.is_accepting = False
        """Whether REES46 has accepted a batch of this load: its keys are right, so a refusal is about orders."""
        self._due: list[pd.DataFrame] = []
        self._undecided: list[pd.DataFrame] = []
        self._known: set[str] = set()
        self._accepted: set[str] = set()
        self._lock = threading.Lock()

    def set_aside(self, orders: pd.DataFrame) -> pd.DataFrame:
        """
        Set aside what an earlier load found to be refused; return the others.

        :param orders: columns order_id and code.
        """
        known = self.refused.look_up(self.shop, orders["order_id"].tolist())
        self._known = set(known["order_id"])
        sizes = orders[["order_id", "code"]].merge(known, on=["order_id", "code"], how="left")["batch_size"]
        sizes = sizes.set_axis(orders.index)
        is_bad = (sizes == 1) & (not self.resend)
        self.known_bad = orders[is_bad]
        for size in sorted(sizes[~is_bad].dropna().unique()):
            self._split(orders[sizes == size], int(size))
        return orders[sizes.isna()]

    def refuse(self, orders: pd.DataFrame, error: Rees46RejectedError) -> None:
        """
        Note that a batch was refused for what is in it.

        It is recorded at once: a load that is killed has paid for it with a mail.

        :raises LedgerError: the ledger does not answer.
        """
        size = len(orders)
        refused = orders.assign(batch_size=size, reason=error.reason or f"HTTP {error.http_status}")
        with self._lock:
            self._known.update(orders["order_id"])
            if size == 1:
                self.bad = pd.concat([self.bad, orders])
            else:
                self._split(orders, size)
            if size == 1 and not self.is_accepting:
                self._undecided.append(refused)
                return
        self.refused.record(self.shop, refused)

    def accept(self, order_ids: Sequence[str]) -> None:
        """Note that a batch was accepted."""
        with self._lock:
            self.is_accepting = True
            self._accepted |= self._known.intersection(order_ids)

    def batches(self) -> Iterator[pd.DataFrame]:
        """Yield the smaller batches, also those of batches that are refused meanwhile."""
        while self._due:
            yield self._due.pop(0)

    def record(self) -> None:
        """
        Forget what was accepted after all, and record the orders that were refused alone before any batch was accepted.

        No order is bad if REES46 accepted nothing in this load: then a refusal may be about the shop as well.

        :raises LedgerError: the ledger does not answer.
        """
        if self._accepted:
            self.refused.forget(self.shop, sorted(self._accepted))
        if self.is_accepting and self._undecided:
            self.refused.record(self.shop, pd.concat(self._undecided))

    def _split(self, orders: pd.DataFrame, size: int) -> None:
        self._due += diff.split_batches(orders, -(-size // PARTS))
