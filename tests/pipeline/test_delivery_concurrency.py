"""Several requests in flight, and what is recorded of them if something fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pytest

from rees46_sync.exceptions import LedgerError
from rees46_sync.pipeline import comparison as comparison_module
from rees46_sync.pipeline import delivery as delivery_module
from rees46_sync.sandbox.server import Sandbox
from tests.pipeline.deliveries import Counted, Partition, codes_at, codes_of, numbered, orders_of, tally_of


def test_as_many_requests_as_allowed_are_in_flight_and_never_more(sandbox: Sandbox, partition: Partition) -> None:
    latency_s, almost = 4.0, 3.9
    sandbox.reset(latency_ms=4000)

    partition.deliver(numbered(160), concurrency=8)

    arrivals = [row["at"] for row in sandbox.requests()]
    assert len(arrivals) == 16
    assert arrivals[-1] + latency_s - arrivals[0] < 16 * latency_s / 2  # one after the other they take 64 s
    assert any(later - earlier < almost for earlier, later in zip(arrivals, arrivals[7:], strict=False))
    # The ninth is sent when the first of the eight before it has been answered.
    assert all(later - earlier >= almost for earlier, later in zip(arrivals, arrivals[8:], strict=False))


@pytest.mark.parametrize("concurrency", [1, 4])
def test_requests_are_sent_while_results_wait_to_be_recorded_but_only_so_many_can_be_lost(
    sandbox: Sandbox, partition: Partition, monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    may_record = threading.Event()

    delivery = partition.delivery(concurrency=concurrency)
    record = delivery.requests.record_result

    def record_later(*arguments: Any) -> str:
        assert may_record.wait(60)
        return record(*arguments)

    monkeypatch.setattr(delivery.requests, "record_result", record_later)
    with ThreadPoolExecutor(1) as thread:
        load = thread.submit(delivery.deliver, numbered(100))
        for _ in range(600):
            if sandbox.stats()["requests"] == concurrency + delivery_module.MAX_UNRECORDED:
                break
            time.sleep(0.1)
        time.sleep(1)  # the other batches would be sent in that time
        unrecorded = sandbox.stats()["requests"]
        may_record.set()

        assert load.result() == tally_of(100, sent=100)
    assert unrecorded == concurrency + delivery_module.MAX_UNRECORDED


Failure = Callable[[], BaseException]


def lost_database() -> BaseException:
    return LedgerError("Ledger sqlite:///ledger.db does not answer", "retry")


@pytest.mark.parametrize(
    ("function", "calls", "failure", "unrecorded"),
    [
        pytest.param("record_result", {1}, lost_database, 1, id="one-result-could-not-be-recorded"),
        pytest.param("record_result", {1, 2}, lost_database, 2, id="two-results-could-not-be-recorded"),
        pytest.param("record_result", {1, 2, 3, 4}, lost_database, 4, id="no-result-could-be-recorded"),
        pytest.param("look_up", {4}, lost_database, 0, id="a-lookup-failed-while-three-were-in-flight"),
        pytest.param("look_up", {4}, SystemExit, 0, id="the-task-is-ended-while-three-are-in-flight"),
    ],
)
def test_requests_in_flight_when_something_fails_are_recorded_if_possible(
    sandbox: Sandbox,
    partition: Partition,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    calls: set[int],
    failure: Failure,
    unrecorded: int,
) -> None:
    monkeypatch.setattr(delivery_module, "RECHECK_CHUNK", 10)
    orders = numbered(100)
    sandbox.reset(latency_ms=2000)  # four requests start before the first is answered, even on a busy machine
    delivery = partition.delivery(concurrency=4)
    with monkeypatch.context() as patch:
        owner = comparison_module if function == "look_up" else delivery.requests
        patch.setattr(owner, function, Counted(getattr(owner, function), calls, failure))

        with pytest.raises(type(failure())):
            delivery.deliver(orders)

    started = sandbox.stats()["requests"]
    # Some may start in the slots of those that were answered, before recording the first result failed.
    assert started == 3 if function == "look_up" else 4 <= started <= 4 + delivery_module.MAX_UNRECORDED
    recorded = 10 * (started - unrecorded)
    assert partition.accepted() == recorded
    accepted = sandbox.stats()["orders"]
    sandbox.reset(keep_state=True)

    assert partition.deliver(orders, concurrency=4) == tally_of(100, sent=100)
    assert codes_at(sandbox) == partition.statuses(orders) == codes_of(orders)
    assert partition.times_accepted() == dict.fromkeys(orders["order_id"], 1)
    assert accepted + sandbox.stats()["orders"] == 100 + (accepted - recorded)  # only what was lost is sent twice


def test_a_defect_in_one_batch_stops_the_task_but_loses_no_result_of_the_others(
    sandbox: Sandbox, partition: Partition
) -> None:
    orders = pd.concat([numbered(39), orders_of(("\u3000", 1))], ignore_index=True)
    sandbox.reset(latency_ms=500)

    with pytest.raises(ValueError, match="an order id is str or blank"):
        partition.deliver(orders, concurrency=3)  # so the others are in flight, or answered, when it starts

    assert partition.outcomes() == [("accepted", 10, 1)] * 3
    assert codes_at(sandbox) == partition.statuses(orders)
    assert sandbox.stats()["violations"] == {}
