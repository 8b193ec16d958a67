"""What happens to orders after the answer: they are processed at once, later or never; and what is mailed."""

from __future__ import annotations

import heapq
import itertools
import json
import time
from collections import deque
from typing import TYPE_CHECKING, TypedDict

from rees46_sync.sandbox.contract import ContractViolationError, Orders

if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_MAILS = 1000
_MAX_LISTED_IDS = 5
_MAX_ID_LENGTH = 50


class Mail(TypedDict):
    """An error notice: when REES46 sends it (Unix seconds), and what it says. REES46's own wording is not known."""

    at: float
    subject: str
    text: str


class Processing:
    """
    The statuses that REES46 has, those that it has yet to process, and its mails.

    Orders that are processed later wait with the time at which they are due. Each call first processes those that are
    due by now, in the order of these times; so nothing has to run in between. One thread at a time may call.

    :param clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers = itertools.count()
        self.clear()

    def clear(self, *, keep_state: bool = False) -> None:
        """Remove the mails and, unless `keep_state`, the orders that are processed or waiting."""
        self._mails: deque[Mail] = deque(maxlen=_MAX_MAILS)
        if not keep_state:
            self._state: Orders = {}
            self._waiting: list[tuple[float, int, Orders]] = []

    def process(self, orders: Orders, delay_s: float = 0) -> None:
        """Process orders, `delay_s` seconds from now."""
        heapq.heappush(self._waiting, (self._clock() + delay_s, next(self._numbers), orders))
        self._process_due()

    def drop(self, orders: Orders) -> None:
        """Never process orders, and mail this."""
        ids = [json.dumps(order_id[:_MAX_ID_LENGTH], ensure_ascii=False) for order_id in list(orders)[:_MAX_LISTED_IDS]]
        more = f" and {len(orders) - len(ids)} more" if len(orders) > len(ids) else ""
        self._mail("Orders were not processed", f"Not processed ({len(orders)}): {', '.join(ids)}{more}.")

    def report(self, violation: ContractViolationError) -> None:
        """Mail a violation of REES46's documents; our own strictness is not mailed."""
        if violation.is_mailed:
            self._mail("Order statuses could not be read", str(violation))

    def state(self) -> Orders:
        """Return the status of each order that is processed by now."""
        self._process_due()
        return dict(self._state)

    def mails(self) -> list[Mail]:
        """Return the last 1000 mails, in order."""
        return [mail.copy() for mail in self._mails]

    def _process_due(self) -> None:
        now = self._clock()
        while self._waiting and self._waiting[0][0] <= now:
            self._state.update(heapq.heappop(self._waiting)[2])

    def _mail(self, subject: str, text: str) -> None:
        self._mails.append(Mail(at=time.time(), subject=subject, text=text))
