"""Comparisons of a warehouse with REES46 that readers of the page ask for: one at a time, however many ask."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeAlias

from rees46_sync.shop.shop import Shop

WAIT_S = 30
"""How long a reader waits for a result. Proxies end a request after a minute."""

KEPT_S = 300
"""How long a result is shown to who asks for the same."""

GIVEN_UP_S = 3600
"""After this time a comparison, whose warehouse perhaps never answers, keeps no other one waiting."""

Compare: TypeAlias = Callable[[Shop, timedelta], Any]


class ComparisonRunningError(Exception):
    """
    There is no result yet, because a comparison is still running.

    :param is_another: whether it is one of another shop or span.
    """

    def __init__(self, *, is_another: bool) -> None:
        super().__init__()
        self.is_another = is_another


@dataclass(frozen=True)
class _Flight:
    shop: Shop
    span: timedelta
    started_at: float
    result: Future[tuple[Any, float]]

    def keeps_others_waiting(self) -> bool:
        return not self.result.done() and time.monotonic() < self.started_at + GIVEN_UP_S

    def is_of(self, shop: Shop, span: timedelta) -> bool:
        return (self.shop, self.span) == (shop, span)

    def is_kept(self) -> bool:
        """Return whether there is a result that can be used; an error is not kept."""
        if not self.result.done() or self.result.exception():
            return False
        return time.monotonic() < self.result.result()[1] + KEPT_S


class Comparisons:
    """
    Compares in a thread of its own, which a slow warehouse may occupy; the server's other requests do not need it.

    :param compare: compares the warehouse of a shop with REES46 over a span; what it returns is the result.
    """

    def __init__(self, compare: Compare) -> None:
        self._compare = compare
        self._lock = threading.Lock()
        self._flight: _Flight | None = None

    async def result(self, shop: Shop, span: timedelta) -> Any:
        """
        Return the result of the comparison that runs, or ended less than :data:`KEPT_S` seconds ago, or of a new one.

        :raises ComparisonRunningError: it takes longer than :data:`WAIT_S` seconds, or another one runs. It goes on.
        :raises Exception: what the comparison raises.
        """
        with self._lock:
            flight = self._flight
            is_used = flight and (flight.keeps_others_waiting() or (flight.is_of(shop, span) and flight.is_kept()))
            if flight is None or not is_used:
                flight = self._flight = _Flight(shop, span, time.monotonic(), Future())
                # A daemon: the server can be stopped meanwhile.
                threading.Thread(target=self._run, args=(flight,), name="rees46-comparison", daemon=True).start()
        if not flight.is_of(shop, span):
            raise ComparisonRunningError(is_another=True)
        try:
            # A client that does not wait any longer may not cancel what others wait for.
            found, _ = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(flight.result)), WAIT_S)
        except TimeoutError:
            if flight.result.done():  # the comparison's own
                raise
            raise ComparisonRunningError(is_another=False) from None
        return found

    def _run(self, flight: _Flight) -> None:
        try:
            flight.result.set_result((self._compare(flight.shop, flight.span), time.monotonic()))
        except BaseException as error:  # noqa: BLE001 - raised again for whoever waits
            flight.result.set_exception(error)
