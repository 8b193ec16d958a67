"""What other runs did since the orders were compared with the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from rees46_sync.ledger.confirmations import Confirmations
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.extractions import Extractions, OtherExtractions
from rees46_sync.ledger.lookup import look_up
from rees46_sync.ledger.requests import Requests
from rees46_sync.pipeline import comparison as comparison_module
from rees46_sync.pipeline import delivery as delivery_module
from rees46_sync.rees46 import payload
from rees46_sync.rees46.hook import Rees46Hook, SendResult
from rees46_sync.sandbox.server import Sandbox
from tests.conftest import accept, open_request
from tests.pipeline.deliveries import (
    NOON,
    OTHER_RUN,
    OVER_BOTH,
    OWN_TEXTS,
    Counted,
    Partition,
    codes_at,
    codes_of,
    numbered,
    orders_of,
    tally_of,
)


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Counts how often a delivery looks up orders in the ledger."""
    counted = Counted(look_up)
    monkeypatch.setattr(comparison_module, "look_up", counted)
    return counted


@OVER_BOTH
@pytest.mark.parametrize(
    ("other_status", "other_time", "status", "action"),
    [
        pytest.param(2, timedelta(minutes=1), 1, "stale", id="newer"),
        pytest.param(2, timedelta(0), 1, "stale", id="as-new"),
        pytest.param(1, timedelta(minutes=1), 0, "stale", id="newer-and-final"),
        pytest.param(1, timedelta(minutes=1), 1, "unchanged", id="same-status"),
        pytest.param(1, -timedelta(minutes=1), 1, "unchanged", id="same-status-older"),
        pytest.param(2, -timedelta(minutes=1), 0, "reopened", id="older-and-final"),
        pytest.param(0, -timedelta(minutes=1), 1, "sent", id="older"),
    ],
)
def test_orders_that_another_run_sent_meanwhile_are_compared_again(
    sandbox: Sandbox, partition: Partition, other_status: int, other_time: timedelta, status: int, action: str
) -> None:
    other = orders_of(("2", other_status), at=NOON + other_time)
    hook = Rees46Hook("shop_rees46")
    hook.send([("2", payload.statuses_to_send(other, hook.settings.status_text)[0])])
    accept(partition.ledger, OTHER_RUN, 0, other, 1)

    tally = partition.deliver(orders_of(("1", 1), ("2", status), ("3", 1)))

    assert tally == (tally_of(3, sent=3) if action == "sent" else tally_of(3, sent=2, **{action: 1}))
    assert codes_at(sandbox) == {"1": 1, "2": status if action == "sent" else other_status, "3": 1}


def record_another_extraction(ledger: Ledger) -> None:
    accept(ledger, OTHER_RUN, 0, orders_of(("another", 1)), 1)


def leave_an_order_uncertain(ledger: Ledger) -> None:
    open_request(ledger, OTHER_RUN, orders_of(("another", 1)))
    Requests(ledger).take_lease("test")


def confirm_an_order(ledger: Ledger) -> None:
    orders = orders_of(("another", 1)).assign(is_newer=True)
    assert Confirmations(ledger).confirm(OTHER_RUN, orders, OtherExtractions()) == 1


@pytest.mark.parametrize(
    ("happens", "expected"),
    [
        pytest.param(lambda _ledger: None, 0, id="nothing"),
        pytest.param(record_another_extraction, 1, id="another-extraction-was-sent"),
        pytest.param(leave_an_order_uncertain, 1, id="an-order-is-uncertain"),
        pytest.param(confirm_an_order, 1, id="another-extraction-confirmed-an-order"),
    ],
)
def test_orders_are_compared_again_only_if_the_ledger_has_changed(
    partition: Partition, lookups: Counted, happens: Callable[[Ledger], object], expected: int
) -> None:
    token = partition.comparison_token()
    happens(partition.ledger)

    assert partition.delivery().deliver(numbered(30), token) == tally_of(30, sent=30)
    assert lookups.count == expected


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _token: None, id="without-a-token"),
        pytest.param(lambda token: token | {"latest_approval": 0}, id="with-one-part-more"),
        pytest.param(lambda token: {"latest_batch": token["latest_batch"]}, id="with-parts-missing"),
    ],
)
def test_a_comparison_of_another_version_of_the_project_is_made_again(
    partition: Partition, lookups: Counted, change: Callable[[dict[str, int]], dict[str, int] | None]
) -> None:
    tally = partition.delivery().deliver(numbered(30), change(partition.comparison_token()))

    assert tally == tally_of(30, sent=30)
    assert lookups.count == 1


def test_orders_that_may_no_longer_be_reopened_are_not_though_the_ledger_is_unchanged(
    partition: Partition, ledger_conn_id: str
) -> None:
    accept(partition.ledger, OTHER_RUN, 0, orders_of(("1", 1), ("2", 0), at=NOON - timedelta(hours=1)))
    later = Partition(ledger_conn_id, "extraction-2")
    allowed, no_longer = (later.context(allow_reopen=allow) for allow in (True, False))
    token = later.comparison_token(allowed)

    tally = later.delivery(context=no_longer).deliver(orders_of(("1", 0), ("2", 1)), token)

    assert tally == tally_of(2, sent=1, reopened=1)


def test_orders_are_compared_again_if_the_settle_time_has_changed(partition: Partition, lookups: Counted) -> None:
    token = partition.comparison_token()

    load = partition.delivery(context=partition.context(settle=timedelta(hours=1)))

    assert load.deliver(numbered(30), token) == tally_of(30, sent=30)
    assert lookups.count == 1


def test_a_change_in_the_middle_of_a_load_costs_few_comparisons_of_single_batches(
    partition: Partition, lookups: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "RECHECK_CHUNK", 20)

    class SenderDuringWhoseFirstRequestAnOrderIsConfirmed(Rees46Hook):
        sent = 0

        def send(self, orders: Sequence[tuple[str, int]], may_post: Callable[[], bool]) -> SendResult:
            sent = super().send(orders, may_post)
            self.sent += 1
            if self.sent == 1:
                confirm_an_order(partition.ledger)
            return sent

    load = partition.delivery(sender=SenderDuringWhoseFirstRequestAnOrderIsConfirmed("shop_rees46"))
    tally = load.deliver(numbered(200), partition.comparison_token())

    assert tally == tally_of(200, sent=200)
    single_batches, chunks_after = 3, 8
    assert lookups.count <= single_batches + chunks_after < 20  # batches


def test_a_retry_finds_what_the_attempt_before_it_sent_though_the_change_token_is_the_same(
    sandbox: Sandbox, partition: Partition
) -> None:
    token = partition.comparison_token()
    sandbox.reset(fault="slow:0@x1,403@x1")
    assert partition.delivery().deliver(numbered(30), token) == tally_of(30, sent=20, failed=10)

    assert partition.delivery().deliver(numbered(30), token) == tally_of(30, sent=30)
    assert set(partition.times_accepted().values()) == {1}


@pytest.mark.parametrize("compared", [False, True], ids=["not-compared", "compared-just-now"])
def test_the_ledger_is_checked_right_before_each_batch_not_once_for_all(
    sandbox: Sandbox, partition: Partition, compared: bool
) -> None:
    class SenderWhoseFirstRequestTakesAsLongAsAnotherRun(Rees46Hook):
        def send(self, orders: Sequence[tuple[str, int]], may_post: Callable[[], bool]) -> SendResult:
            is_first = not sandbox.requests()
            sent = super().send(orders, may_post)
            if is_first:
                super().send([("order-00015", 2)])
                newer = orders_of(("order-00015", 2), at=NOON + timedelta(minutes=1))
                accept(partition.ledger, OTHER_RUN, 0, newer, 1)
            return sent

    load = partition.delivery(sender=SenderWhoseFirstRequestTakesAsLongAsAnotherRun("shop_rees46"))
    tally = load.deliver(numbered(20), partition.comparison_token() if compared else None)

    assert tally == tally_of(20, sent=19, stale=1)
    assert codes_at(sandbox) == codes_of(numbered(20)) | {"order-00015": 2}


@pytest.mark.parametrize("moment", ["before-the-load", "during-a-request-before", "as-its-own-request-is-recorded"])
def test_a_status_that_the_warehouse_took_back_is_not_sent_though_no_run_sent_anything_since(
    sandbox: Sandbox, ledger_conn_id: str, moment: str
) -> None:
    had, later = orders_of(("order-00015", 1), at=NOON - timedelta(hours=1)), NOON + timedelta(minutes=1)
    Partition(ledger_conn_id, "extraction-1").deliver(had)
    older, newer = Partition(ledger_conn_id, "extraction-2"), Partition(ledger_conn_id, "extraction-3")
    cancelled = numbered(20).assign(code=2, status=OWN_TEXTS[2])
    confirmed: list[int] = []

    def confirm_it() -> None:
        if not confirmed:
            orders = orders_of(("order-00015", 1), at=later).assign(is_newer=True)
            others = Extractions(newer.ledger).others(newer.run)
            confirmed.append(Confirmations(newer.ledger).confirm(newer.run, orders, others))

    class SlowSender(Rees46Hook):
        def send(self, orders: Sequence[tuple[str, int]], may_post: Callable[[], bool]) -> SendResult:
            sent = super().send(orders, may_post)
            if moment == "during-a-request-before":
                confirm_it()
            return sent

    def as_it_is_recorded(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE rees46_leases SET lease=rees46_leases.lease WHERE"):
            confirm_it()

    if moment == "as-its-own-request-is-recorded":
        sa.event.listen(older.ledger.engine, "before_cursor_execute", as_it_is_recorded)
    if moment == "before-the-load":
        confirm_it()

    assert older.delivery(sender=SlowSender("shop_rees46")).deliver(cancelled) == tally_of(20, sent=19, stale=1)
    assert confirmed == [1]
    assert codes_at(sandbox) == codes_of(cancelled) | {"order-00015": 1}


def test_a_load_that_finds_an_order_sent_by_another_run_confirms_it_for_older_extractions(
    sandbox: Sandbox, ledger_conn_id: str
) -> None:
    extractions = [Partition(ledger_conn_id, f"extraction-{number}") for number in range(3)]
    first, second, third = (
        orders_of(("1", code), at=NOON + timedelta(minutes=minutes)) for code, minutes in ((1, 0), (2, 1), (1, 2))
    )

    assert extractions[0].deliver(first) == tally_of(1, sent=1)
    assert extractions[2].deliver(third) == tally_of(1, unchanged=1)
    assert extractions[1].deliver(second) == tally_of(1, stale=1)
    assert codes_at(sandbox) == {"1": 1}


def test_a_load_stops_right_before_a_request_if_another_one_has_started(
    sandbox: Sandbox, partition: Partition, lookups: Counted
) -> None:
    class SenderBeforeWhoseFirstRequestAnotherLoadStarts(Rees46Hook):
        def send(self, orders: Sequence[tuple[str, int]], may_post: Callable[[], bool]) -> SendResult:
            Requests(partition.ledger).take_lease("test")
            return super().send(orders, may_post)

    stopped = partition.delivery(sender=SenderBeforeWhoseFirstRequestAnotherLoadStarts("shop_rees46"))

    assert stopped.deliver(numbered(30), partition.comparison_token()) == tally_of(30, failed=30)
    assert stopped.breaker.stop_reason == "Stopped by another load of this shop, which started later"
    assert sandbox.stats()["requests"] == 0
    assert lookups.count == 0  # it has nothing to compare for any more


def test_of_two_loads_at_once_the_one_that_started_later_goes_on_and_the_other_one_stops(
    sandbox: Sandbox, ledger_conn_id: str
) -> None:
    orders = numbered(120)
    first, second = (Partition(ledger_conn_id, f"extraction-{number}") for number in (1, 2))
    loads: list[dict[str, int]] = []

    class SenderDuringWhoseThirdRequestAnotherLoadRuns(Rees46Hook):
        def send(self, orders: Sequence[tuple[str, int]], may_post: Callable[[], bool]) -> SendResult:
            sent = super().send(orders, may_post)
            if len(sandbox.requests()) == 3:
                loads.append(second.deliver(numbered(120)))
            return sent

    stopped = first.delivery(sender=SenderDuringWhoseThirdRequestAnotherLoadRuns("shop_rees46"))
    loads.append(stopped.deliver(orders))

    # The answer to the third request is recorded by nobody: the second load sent its orders again.
    assert loads == [tally_of(120, sent=100, unchanged=20), tally_of(120, sent=20, failed=100)]
    assert stopped.breaker.stop_reason == "Stopped by another load of this shop, which started later"
    assert codes_at(sandbox) == first.statuses(orders) == codes_of(orders)
    assert first.deliver(orders)["failed"] == 0
