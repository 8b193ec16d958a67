"""One computation for everyone who asks at the same time."""

from __future__ import annotations

import asyncio
import threading

import anyio.to_thread
import pytest

from rees46_sync.monitoring.page import single_flight
from rees46_sync.monitoring.page.single_flight import SingleFlight


class Computation:
    """It ends when it may, and counts how often it was started."""

    def __init__(self) -> None:
        self.started = 0
        self.may_end = threading.Event()

    def __call__(self) -> int:
        self.started += 1
        assert self.may_end.wait(60)
        return self.started


def test_whoever_asks_while_it_runs_gets_its_result_and_takes_no_thread_of_the_server() -> None:
    computation = Computation()
    flight = SingleFlight(computation)

    async def ask() -> list[int]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 1
        asked = [asyncio.create_task(flight.result()) for _ in range(60)]
        await asyncio.sleep(0)
        assert await anyio.to_thread.run_sync(lambda: "the only thread is free") == "the only thread is free"
        computation.may_end.set()
        return await asyncio.gather(*asked)

    assert asyncio.run(ask()) == [1] * 60


def test_a_client_that_leaves_cancels_nothing_for_the_others() -> None:
    computation = Computation()
    flight = SingleFlight(computation)

    async def ask() -> int:
        flight._thread.submit(computation.may_end.wait)  # what has not started could still be cancelled
        leaving, staying = asyncio.create_task(flight.result()), asyncio.create_task(flight.result())
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        computation.may_end.set()
        return await staying

    assert asyncio.run(ask()) == 1


def test_a_result_is_used_again_for_a_few_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(single_flight, "KEPT_S", 5)
    computation = Computation()
    computation.may_end.set()
    now = 1000.0
    flight = SingleFlight(computation, lambda: now)

    assert asyncio.run(flight.result()) == 1
    now += 4.9
    assert asyncio.run(flight.result()) == 1
    now += 0.2
    assert asyncio.run(flight.result()) == 2


def test_an_error_is_everyones_and_the_next_computation_may_succeed() -> None:
    outcomes = iter([ValueError("broken"), None])

    def compute() -> str:
        if error := next(outcomes):
            raise error
        return "healthy"

    flight = SingleFlight(compute)
    with pytest.raises(ValueError, match="broken"):
        asyncio.run(flight.result())
    assert asyncio.run(flight.result()) == "healthy"
