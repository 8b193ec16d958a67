"""One computation for everyone who asks for its result at the same time, or soon after."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

KEPT_S = 5
"""How long a result is used again."""

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """
    A computation that runs once at a time, in a thread of its own.

    Whoever asks waits in the event loop: however slow the computation is, and however many ask, it takes no thread
    that the server's other requests need.

    :param compute: what is computed.
    :param clock: seconds that only grow.
    """

    def __init__(self, compute: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._compute = compute
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rees46-single-flight")
        self._lock = threading.Lock()
        self._flight: Future[T] | None = None
        self._kept_until = 0.0

    async def result(self) -> T:
        """
        Return the result of the computation that runs, or ended less than :data:`KEPT_S` seconds ago, or of a new one.

        :raises Exception: what the computation raises.
        """
        with self._lock:
            if self._flight is None or (self._flight.done() and self._clock() >= self._kept_until):
                self._flight = self._thread.submit(self._run)
            flight = self._flight
        # A client that does not wait any longer may not cancel what others wait for.
        return await asyncio.shield(asyncio.wrap_future(flight))

    def _run(self) -> T:
        try:
            return self._compute()
        finally:
            self._kept_until = self._clock() + KEPT_S
