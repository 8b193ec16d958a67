"""
How many requests may be in flight: as many as REES46 answers without becoming slower.

A load starts with few and doubles them until the answers come slower or REES46 says "not now"; then it halves them, and
adds one at a time. So do Netflix's concurrency limits and Vector's adaptive request concurrency.
"""

from __future__ import annotations

import threading
from statistics import median

FIRST, MOST = 2, 32
"""Requests in flight at the start of a load, and at most."""

SLOWER = 1.5
"""How many times as long as the shortest a typical answer may take before requests are halved."""

NOISE_S = 0.05
"""Seconds by which an answer may be slower for reasons of this machine."""


class AdaptiveSlots:
    """
    A semaphore whose size follows the answers.

    The typical time of a round is the median of as many answers as requests may be in flight. The size grows only while
    it is what holds requests back, and not their pace or the ledger.

    :ivar limit: how many requests may be in flight now.
    """

    def __init__(self, first: int = FIRST, most: int = MOST) -> None:
        self.limit = first
        self._most = most
        self._condition = threading.Condition()
        self._taken = 0
        self._in_flight = 0
        self._is_starting = True
        self._is_halved = False
        self._unhurried_s = float("inf")
        self._round: list[float] = []
        self._was_full = False
        self._of_former_limit = 0

    def acquire(self) -> None:
        """Wait for a slot."""
        with self._condition:
            self._condition.wait_for(lambda: self._taken < self.limit)
            self._taken += 1

    def release(self) -> None:
        """Give a slot back."""
        with self._condition:
            self._taken -= 1
            self._condition.notify_all()

    def start_request(self) -> None:
        """Note that a request starts."""
        with self._condition:
            self._in_flight += 1
            self._was_full = self._was_full or self._in_flight >= self.limit

    def end_request(self, seconds: float, *, is_overloaded: bool) -> None:
        """
        Note that a request has ended, and take its answer into account.

        :param seconds: from the start of the request to the end of its answer.
        :param is_overloaded: whether REES46 said that it is too much, or did not answer at all.
        """
        with self._condition:
            self._in_flight -= 1
            if self._of_former_limit:
                self._of_former_limit -= 1  # it was under way when the requests were halved
                return
            if is_overloaded:
                self._halve()
                return
            self._round.append(seconds)
            if len(self._round) >= self.limit:
                self._end_round(median(self._round))
                self._condition.notify_all()

    def _end_round(self, typical_s: float) -> None:
        self._round.clear()
        if typical_s > self._unhurried_s * SLOWER + NOISE_S:
            if not self._is_halved:
                self._halve()
                return
            self._unhurried_s = typical_s  # half the requests do not help: REES46 is slower for other reasons
        self._unhurried_s = min(self._unhurried_s, typical_s)
        if self._was_full:
            self.limit = min(self.limit * 2 if self._is_starting else self.limit + 1, self._most)
        self._was_full = self._is_halved = False

    def _halve(self) -> None:
        self._round.clear()
        self._is_starting = self._was_full = False
        self._is_halved = True
        self._of_former_limit = self._in_flight
        self.limit = max(self.limit // 2, 1)
