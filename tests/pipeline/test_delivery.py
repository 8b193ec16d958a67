"""The delivery of a partition with the real hook, a real REES46 over HTTP and a real ledger."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rees46_sync.exceptions import Rees46Error
from rees46_sync.ledger.requests import Requests
from rees46_sync.sandbox.server import Sandbox
from tests.pipeline.deliveries import (
    BOTH,
    NOON,
    OVER_BOTH,
    REJECTED,
    UNAVAILABLE,
    UNREADABLE,
    Partition,
    adds_up,
    codes_at,
    codes_of,
    numbered,
    orders_of,
    tally_of,
)


@OVER_BOTH
def test_2345_orders_leave_in_three_batches_and_are_all_recorded(sandbox: Sandbox, partition: Partition) -> None:
    orders = numbered(2345)

    tally = partition.deliver(orders, batch_size=1000, concurrency=8)

    assert tally == tally_of(2345, sent=2345)
    assert sandbox.stats() == {"requests": 3, "orders": 2345, "accepted": 3, "violations": {}, "faults": {}}
    assert codes_at(sandbox) == partition.statuses(orders) == codes_of(orders)
    assert Requests(partition.ledger).accepted_by_partition("extraction-1") == {0: 2345}
    assert sorted(partition.outcomes()) == [("accepted", 345, 1), ("accepted", 1000, 1), ("accepted", 1000, 1)]


@pytest.mark.parametrize(
    ("extra", "sent"),
    [
        pytest.param({"dialect": "import_sync_orders"}, (0, 1, 2), id="import_sync_orders"),
        pytest.param({"dialect": "sync_orders"}, ("new", "delivered", "cancelled"), id="sync_orders"),
        pytest.param(
            {"dialect": "sync_orders", "status_text": "mapped"}, ("created", "completed", "cancelled"), id="mapped"
        ),
    ],
)
def test_a_status_is_sent_as_the_connection_says_and_the_ledger_has_its_code(
    sandbox: Sandbox, partition: Partition, sent: tuple[object, ...]
) -> None:
    orders = numbered(3)

    assert partition.deliver(orders) == tally_of(3, sent=3)

    assert list(sandbox.state().values()) == list(sent)
    assert list(partition.statuses(orders).values()) == [0, 1, 2]


@pytest.mark.parametrize("concurrency", [1, 8])
def test_without_orders_nothing_is_posted(sandbox: Sandbox, partition: Partition, concurrency: int) -> None:
    assert partition.deliver(numbered(0), concurrency=concurrency) == tally_of(0)

    assert sandbox.requests() == []


@OVER_BOTH
def test_if_rees46_has_everything_nothing_is_posted(sandbox: Sandbox, ledger_conn_id: str) -> None:
    orders = numbered(25)
    Partition(ledger_conn_id, "extraction-1").deliver(orders)
    sandbox.reset(keep_state=True)

    assert Partition(ledger_conn_id, "extraction-2").deliver(orders) == tally_of(25, unchanged=25)
    assert sandbox.requests() == []


def test_a_resend_sends_everything_again_but_a_retry_of_it_nothing(sandbox: Sandbox, ledger_conn_id: str) -> None:
    orders = numbered(25)
    Partition(ledger_conn_id, "extraction-1").deliver(orders)
    resent = Partition(ledger_conn_id, "extraction-2")

    for _ in range(2):
        assert resent.deliver(orders, resend=True) == tally_of(25, sent=25)

    assert sandbox.stats()["orders"] == 50


def test_a_batch_that_was_accepted_after_transient_errors_is_recorded_with_all_its_requests(
    sandbox: Sandbox, partition: Partition
) -> None:
    sandbox.reset(fault="503@x2")

    assert partition.deliver(numbered(20)) == tally_of(20, sent=20)
    assert partition.outcomes() == [("accepted", 10, 3), ("accepted", 10, 1)]


BAD_BATCHES = [
    pytest.param("error_in_200@x1", REJECTED, ("rejected", 10, 1), id="error-inside-200"),
    pytest.param("403@x1", REJECTED, ("rejected", 10, 1), id="400"),
    pytest.param("html_in_200@x1", UNREADABLE, ("unknown", 10, 1), id="page-of-a-proxy"),
    pytest.param("cut_json_200@x1", UNREADABLE, ("unknown", 10, 1), id="cut-off-json-though-accepted"),
    pytest.param("500@x1", UNAVAILABLE, ("unknown", 10, 1), id="500"),
    pytest.param("503@x4", UNAVAILABLE, ("unknown", 10, 4), id="503"),
    pytest.param("429:61@x1", UNAVAILABLE, ("unknown", 10, 1), id="rate-limited"),
    pytest.param("reset_before@x4", UNAVAILABLE, ("unknown", 10, 4), id="reset"),
    pytest.param("reset_after@x4", UNAVAILABLE, ("unknown", 10, 4), id="reset-though-accepted"),
]


@OVER_BOTH
@pytest.mark.parametrize(("spec", "error", "recorded"), BAD_BATCHES)
def test_a_bad_batch_stops_no_other_and_a_retry_sends_it_alone(
    sandbox: Sandbox, partition: Partition, spec: str, error: type[Rees46Error], recorded: tuple[str, int, int]
) -> None:
    orders = numbered(45)
    sandbox.reset(fault=spec)
    first_attempt, second_attempt = partition.delivery(), partition.delivery()

    assert first_attempt.deliver(orders) == tally_of(45, sent=35, failed=10)
    assert [type(found) for found in first_attempt.breaker.errors] == [error]
    good = [("accepted", 10, 1)] * 3 + [("accepted", 5, 1)]
    assert partition.outcomes() == [recorded, *good]
    assert partition.statuses(orders) == codes_of(orders[10:])
    requests = sandbox.stats()["requests"]

    assert second_attempt.deliver(orders) == tally_of(45, sent=45)
    assert second_attempt.breaker.errors == []
    assert sandbox.stats()["requests"] == requests + 1
    assert codes_at(sandbox) == partition.statuses(orders) == codes_of(orders)
    assert partition.times_accepted() == dict.fromkeys(orders["order_id"], 1)
    assert partition.outcomes() == [recorded, *good, ("accepted", 10, 1)]


@OVER_BOTH
def test_the_orders_of_a_bad_batch_are_sent_by_the_next_run_too(sandbox: Sandbox, ledger_conn_id: str) -> None:
    orders = numbered(45)
    sandbox.reset(fault="error_in_200@x1")
    Partition(ledger_conn_id, "extraction-1").deliver(orders)

    assert Partition(ledger_conn_id, "extraction-2").deliver(orders) == tally_of(45, sent=10, unchanged=35)
    assert codes_at(sandbox) == codes_of(orders)


UNREADABLE_EVERYWHERE = ["html_in_200@1", "cut_json_200@1"]


@pytest.mark.parametrize(
    ("extra", "spec"),
    [
        *(pytest.param(*both.values, spec, id=f"{both.id}-{spec}") for both in BOTH for spec in UNREADABLE_EVERYWHERE),
        pytest.param({"dialect": "sync_orders"}, "empty_200@1", id="sync_orders-empty_200"),
        pytest.param({"dialect": "sync_orders"}, "ok_200@1", id="sync_orders-ok_200"),
    ],
)
def test_an_unreadable_answer_never_counts_as_accepted(sandbox: Sandbox, partition: Partition, spec: str) -> None:
    orders = numbered(20)
    sandbox.reset(fault=spec)

    assert partition.deliver(orders) == tally_of(20, failed=20)
    assert partition.statuses(orders) == {}
    assert Requests(partition.ledger).accepted_by_partition("extraction-1") == {}
    assert partition.outcomes() == [("unknown", 10, 1)] * 2


@pytest.mark.parametrize("retry_comes", ["before-the-next-run", "after-the-next-run"])
def test_a_newer_status_stays_though_an_older_batch_waits_for_its_retry(
    sandbox: Sandbox, ledger_conn_id: str, retry_comes: str
) -> None:
    waiting = Partition(ledger_conn_id, "extraction-1")
    older, newer = orders_of(("1", 0)), orders_of(("1", 1), at=NOON + timedelta(minutes=1))
    sandbox.reset(fault="503@x4")
    assert waiting.deliver(older) == tally_of(1, failed=1)

    if retry_comes == "before-the-next-run":
        assert waiting.deliver(older) == tally_of(1, sent=1)
    assert Partition(ledger_conn_id, "extraction-2").deliver(newer) == tally_of(1, sent=1)
    if retry_comes == "after-the-next-run":
        assert waiting.deliver(older) == tally_of(1, stale=1)

    assert codes_at(sandbox) == {"1": 1}


KINDS = ["429", "503", "reset_before", "reset_after", "400", "500", "429:61", "redirect", "error_in_200", "html_in_200"]
FAULT_KINDS = st.sampled_from([*KINDS, "cut_json_200", "empty_200", "ok_200"])
FIRST_ONES = st.lists(st.builds("{}@x{}".format, FAULT_KINDS, st.integers(1, 5)), max_size=4)
SHARES = st.lists(st.builds("{}@0.2".format, FAULT_KINDS), max_size=3)
SPECS = st.builds(lambda first, shares: ",".join(first + shares), FIRST_ONES, SHARES)


@OVER_BOTH
@settings(max_examples=10, database=None, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("429@0.2,400@0.2", 0, 4, 3, 1)
@given(SPECS, st.integers(0, 99), st.integers(0, 60), st.integers(3, 13), st.integers(1, 5))
def test_whatever_rees46_answers_every_order_is_counted_once_and_a_retry_completes(
    sandbox: Sandbox, new_ledger: Callable[[], str], spec: str, seed: int, number: int, size: int, workers: int
) -> None:
    sandbox.reset(fault=spec, seed=seed)
    orders, partition = numbered(number), Partition(new_ledger())

    tally = partition.deliver(orders, batch_size=size, concurrency=workers)

    assert adds_up(tally)
    assert tally["orders"] == number
    assert partition.accepted() == tally["sent"]
    assert partition.statuses(orders).items() <= codes_at(sandbox).items() <= codes_of(orders).items()
    assert Requests(partition.ledger).count("extraction-1") == sandbox.stats()["requests"]
    sandbox.reset(keep_state=True)
    refused = tally["rejected"]  # alone, and a retry does not ask again
    completed = tally_of(number, sent=number - refused, rejected=refused)
    assert partition.deliver(orders, batch_size=size, concurrency=workers) == completed
    assert sandbox.stats()["orders"] == number - tally["sent"] - refused
    assert codes_at(sandbox) == partition.statuses(orders)
    assert len(codes_of(orders).items() - codes_at(sandbox).items()) == refused
