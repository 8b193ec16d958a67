"""When the requests of a load start: far enough apart, and none while REES46 asks to wait."""

from __future__ import annotations

import threading
import time

DOCUMENTED_INTERVAL_S = 1.5
"""REES46's documents allow 40 requests a minute."""


class Pace:
    """
    The pace of all threads of a load.

    :param interval_s: the shortest time from the start of one request to the start of the next.
    """

    def __init__(self, interval_s: float) -> None:
        self._lock = threading.Lock()
        self._interval_s = interval_s
        # The first request waits as well: the previous load of the shop may have sent its last just now.
        self._next_start = time.monotonic() + interval_s

    def wait_for_turn(self) -> None:
        """Wait until a request may start."""
        while True:
            with self._lock:
                wait_s = self._next_start - time.monotonic()
                if wait_s <= 0:
                    self._next_start = time.monotonic() + self._interval_s
                    return
            time.sleep(wait_s)

    def hold(self, seconds: float) -> None:
        """Start no request for a while, because REES46 asks for it."""
        with self._lock:
            self._next_start = max(self._next_start, time.monotonic() + seconds)

    def slow_down(self) -> None:
        """Keep to the documented pace from now on, because REES46 says that the requests are too many."""
        with self._lock:
            self._interval_s = max(self._interval_s, DOCUMENTED_INTERVAL_S)
