"""How many requests may be in flight, against servers that are only arithmetic: no test waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from rees46_sync.rees46.adaptive_slots import FIRST, MOST, AdaptiveSlots


def run_rounds(slots: AdaptiveSlots, rounds: int, latency: Callable[[int], float | None]) -> list[int]:
    """
    Let as many requests as may be in flight start and end together, several times.

    :param latency: the seconds of an answer with so many requests in flight; None: REES46 says that it is too much.
    :return: the limit after each round.
    """
    limits = []
    for _ in range(rounds):
        at_once = slots.limit
        for _ in range(at_once):
            slots.acquire()
            slots.start_request()
        seconds = latency(at_once)
        for _ in range(at_once):
            slots.end_request(seconds or 0.01, is_overloaded=seconds is None)
            slots.release()
        limits.append(slots.limit)
    return limits


def test_at_constant_latency_the_requests_double_up_to_the_most() -> None:
    slots = AdaptiveSlots()

    assert slots.limit == FIRST
    assert run_rounds(slots, 6, lambda _: 0.2) == [4, 8, 16, 32, MOST, MOST]


@pytest.mark.parametrize("workers", [1, 3, 6, 12, 20])
def test_a_server_with_few_workers_is_kept_busy_and_not_flooded(workers: int) -> None:
    """Beyond its workers a server only makes requests wait, so that each takes longer."""
    limits = run_rounds(AdaptiveSlots(), 200, lambda at_once: 0.2 * max(1, at_once / workers))[20:]

    assert max(limits) <= 2 * workers + 2
    assert sum(min(limit, workers) for limit in limits) / len(limits) >= 0.85 * workers


def test_too_many_requests_halve_them_once_however_many_answers_say_so() -> None:
    slots = AdaptiveSlots()
    run_rounds(slots, 3, lambda _: 0.2)
    assert slots.limit == 16

    assert run_rounds(slots, 1, lambda _: None) == [8]
    assert run_rounds(slots, 9, lambda _: None)[-1] == 1


def test_after_too_many_requests_they_grow_one_at_a_time() -> None:
    slots = AdaptiveSlots()
    run_rounds(slots, 3, lambda _: 0.2)
    run_rounds(slots, 1, lambda _: None)

    assert run_rounds(slots, 4, lambda _: 0.2) == [9, 10, 11, 12]


def test_one_slow_answer_of_many_changes_nothing() -> None:
    slots = AdaptiveSlots()
    run_rounds(slots, 5, lambda _: 0.2)
    for number in range(MOST):
        slots.start_request()
        slots.end_request(20 if number == 5 else 0.2, is_overloaded=False)

    assert slots.limit == MOST


def test_a_server_that_is_slower_for_good_is_believed_after_a_while() -> None:
    slots = AdaptiveSlots()
    run_rounds(slots, 5, lambda _: 0.2)

    limits = run_rounds(slots, 20, lambda _: 0.5)

    assert limits[0] == MOST // 2
    assert limits[-1] == MOST


def test_requests_that_something_else_holds_back_do_not_grow() -> None:
    slots = AdaptiveSlots()
    for _ in range(50):  # one at a time, as the pace lets them
        slots.acquire()
        slots.start_request()
        slots.end_request(0.2, is_overloaded=False)
        slots.release()

    assert slots.limit == FIRST


def test_no_more_requests_are_in_flight_than_the_limit() -> None:
    slots = AdaptiveSlots(first=3, most=3)
    taken = threading.Semaphore(0)
    threads = [threading.Thread(target=lambda: (slots.acquire(), taken.release())) for _ in range(5)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        assert taken.acquire(timeout=10)

    assert not taken.acquire(timeout=0.1)
    for _ in range(2):
        slots.release()
        assert taken.acquire(timeout=10)
    for thread in threads:
        thread.join(10)
