"""When the requests of a load start: far enough apart, and none while REES46 asks to wait."""

from __future__ import annotations

import threading
import time

DOCUMENTED_INTERVAL_S = 1.5
"""REES46's documents allow 40 requests a minute."""


class Pace:
    """The pace of all threads of a load."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # The first request keeps its distance as well: the previous load of the shop may have sent its last just now.
        self._last_start = time.monotonic()
        self._held_until = 0.0
        self._least_interval_s = 0.0
        self._is_stopped = threading.Event()

    def wait_for_turn(self, interval_s: float) -> None:
        """
        Wait until a request may start, or the load is to stop.

        :param interval_s: the shortest time from the start of one request to the start of the next.
        """
        while True:
            with self._lock:
                next_start = self._last_start + max(interval_s, self._least_interval_s)
                wait_s = max(next_start, self._held_until) - time.monotonic()
                if wait_s <= 0:
                    self._last_start = time.monotonic()
                    return
            if self._is_stopped.wait(wait_s):
                return

    def pause(self, seconds: float) -> None:
        """Wait before a batch is sent again; less if the load is to stop."""
        self._is_stopped.wait(seconds)

    def stop(self) -> None:
        """Let nothing wait any longer: the load is to stop."""
        self._is_stopped.set()

    def hold(self, seconds: float) -> None:
        """Start no request for a while, because REES46 asks for it."""
        with self._lock:
            self._held_until = max(self._held_until, time.monotonic() + seconds)

    def slow_down(self) -> None:
        """Keep to the documented pace from now on, because REES46 says that the requests are too many."""
        with self._lock:
            self._least_interval_s = DOCUMENTED_INTERVAL_S
