"""When a load stops sending, and which error decides about its retry."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count

import pytest

from rees46_sync.exceptions import Rees46Error
from rees46_sync.pipeline import circuit_breaker
from rees46_sync.pipeline.circuit_breaker import CircuitBreaker
from rees46_sync.rees46.hook import Rees46Hook, SendResult
from rees46_sync.sandbox.server import Sandbox
from tests.pipeline.deliveries import (
    OVER_BOTH,
    REJECTED,
    UNAVAILABLE,
    UNREADABLE,
    Partition,
    adds_up,
    numbered,
    tally_of,
)


@OVER_BOTH
@pytest.mark.parametrize(
    ("spec", "requests", "failed"),
    [
        pytest.param("error_in_200@1", 3, 100, id="three-rejected"),
        pytest.param("403@1", 3, 100, id="three-forbidden"),
        pytest.param("403@x2,slow:0@x2,403@x1", 5, 80, id="three-rejected-with-accepted-ones-between"),
        pytest.param("403@x2", 10, 20, id="only-two-rejected"),
        pytest.param("500@1", 3, 100, id="three-unclear"),
        pytest.param("503@1", 12, 100, id="three-unclear-after-four-requests-each"),
        pytest.param("reset_after@1", 12, 100, id="three-unclear-though-accepted"),
        pytest.param("html_in_200@1", 3, 100, id="three-unreadable"),
        pytest.param("500@x1,html_in_200@x1,429:61@x1", 3, 100, id="three-without-a-clear-answer"),
        pytest.param("500@x2,slow:0@x1,500@x2,slow:0@x1,500@x2", 10, 60, id="never-three-unclear-in-a-row"),
        pytest.param("500@x2,403@x1,500@x2", 10, 50, id="a-rejection-is-an-answer"),
    ],
)
def test_a_load_stops_after_three_rejected_batches_or_three_consecutive_unclear_ones(
    sandbox: Sandbox, partition: Partition, spec: str, requests: int, failed: int
) -> None:
    sandbox.reset(fault=spec)

    assert partition.deliver(numbered(100)) == tally_of(100, sent=100 - failed, failed=failed)
    assert sandbox.stats()["requests"] == requests


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("403@1", "Stopped after 3 rejected batches: 70 orders of partition 0 were skipped."),
        ("500@1", "Stopped after 3 consecutive batches without a clear answer: 70 orders of partition 0 were skipped."),
    ],
)
def test_the_log_says_why_a_load_stopped(
    sandbox: Sandbox, partition: Partition, caplog: pytest.LogCaptureFixture, spec: str, why: str
) -> None:
    sandbox.reset(fault=spec)

    partition.deliver(numbered(100))

    assert caplog.messages[-1] == why


def test_of_batches_in_flight_together_a_few_more_can_be_rejected(sandbox: Sandbox, partition: Partition) -> None:
    sandbox.reset(fault="403@1", latency_ms=50)

    tally = partition.deliver(numbered(150), concurrency=4)

    assert tally == tally_of(150, failed=150)
    assert circuit_breaker.MAX_REJECTED <= sandbox.stats()["requests"] <= circuit_breaker.MAX_REJECTED + 3


@pytest.mark.timeout(30)
@pytest.mark.parametrize("spec", ["429:60@x1", "503:60@x1"])
def test_a_load_that_is_stopped_does_not_wait_until_rees46_takes_requests_again(
    sandbox: Sandbox, partition: Partition, spec: str
) -> None:
    sandbox.reset(fault=spec)
    load = partition.delivery(concurrency=4)

    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(load.deliver, numbered(100))
        while not sandbox.stats()["faults"]:
            time.sleep(0.01)
        load.stop()
        tally = loading.result()

    assert tally == tally_of(100, sent=tally["sent"], failed=100 - tally["sent"])
    assert tally["failed"] >= 10
    assert sandbox.stats()["orders"] == tally["sent"] == partition.accepted()


def test_after_a_stop_only_what_is_still_due_counts_as_failed(sandbox: Sandbox, ledger_conn_id: str) -> None:
    orders = numbered(100)
    Partition(ledger_conn_id, "extraction-1").deliver(orders[60:])
    sandbox.reset(fault="403@1", keep_state=True)

    assert Partition(ledger_conn_id, "extraction-2").deliver(orders) == tally_of(100, failed=60, unchanged=40)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_a_stopped_load_records_what_is_in_flight_and_sends_nothing_more(
    sandbox: Sandbox, partition: Partition, concurrency: int
) -> None:
    orders = numbered(100)

    class SenderInWhoseFifthRequestAirflowEndsTheTask(Rees46Hook):
        numbers = count(1)

        def send(self, orders: Sequence[tuple[str, int]], may_post: Callable[[], bool]) -> SendResult:
            sent = super().send(orders, may_post)
            if next(self.numbers) >= 5:
                stopped.stop()
            return sent

    stopped = partition.delivery(
        sender=SenderInWhoseFifthRequestAirflowEndsTheTask("shop_rees46"), concurrency=concurrency
    )

    tally = stopped.deliver(orders)

    assert adds_up(tally)
    assert 50 <= tally["sent"] <= 40 + 10 * concurrency
    assert tally["failed"] == 100 - tally["sent"]
    assert sandbox.stats()["orders"] == tally["sent"] == partition.accepted()
    assert partition.deliver(orders) == tally_of(100, sent=100)
    assert sandbox.stats()["orders"] == 100


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("errors", "deciding"),
    [
        pytest.param([REJECTED("a", "wait")], 0, id="a-rejection-alone"),
        pytest.param([REJECTED("a", "wait"), UNAVAILABLE("b", "wait")], 1, id="waiting-helps-one"),
        pytest.param([UNREADABLE("a", "wait"), REJECTED("b", "wait")], 0, id="a-retry-helps-one"),
        pytest.param(
            [UNAVAILABLE("a", "wait"), UNAVAILABLE("b", "wait", retry_after=seconds(5))], 1, id="with-retry-after"
        ),
        pytest.param(
            [
                UNAVAILABLE("a", "wait", retry_after=seconds(90)),
                UNAVAILABLE("b", "wait", retry_after=seconds(5)),
                REJECTED("c", "wait"),
            ],
            0,
            id="the-longest-wait",
        ),
    ],
)
def test_the_error_that_decides_about_a_retry_is_one_that_a_retry_can_help(
    errors: list[Rees46Error], deciding: int
) -> None:
    breaker = CircuitBreaker()
    for error in errors:
        breaker.record_error(error)

    assert breaker.deciding_error is errors[deciding]
