"""What became of the orders of one partition, counted by several threads."""

from __future__ import annotations

import threading
from collections import Counter

TALLY_PARTS = ("sent", "unchanged", "stale", "reopened", "rejected", "failed")
"""
Every order of a partition ends in one of these, which are parts of the account as well.

* sent: accepted by REES46, in this attempt of the task or an earlier one
* rejected: refused by REES46 in a batch of its own
* failed: rejected, without a clear answer, or skipped after too many of these
"""


class Tally:
    """
    Counts that several threads add to.

    :param orders: how many orders the partition has.
    """

    def __init__(self, orders: int = 0) -> None:
        self._counts: Counter[str] = Counter({"orders": orders} | dict.fromkeys(TALLY_PARTS, 0))
        self._lock = threading.Lock()

    def add(self, **counts: int) -> None:
        """Add to some of :data:`TALLY_PARTS`."""
        with self._lock:
            self._counts.update(counts)

    @property
    def counts(self) -> dict[str, int]:
        """``orders``, and each of :data:`TALLY_PARTS`."""
        with self._lock:
            return {name: self._counts[name] for name in ("orders", *TALLY_PARTS)}
