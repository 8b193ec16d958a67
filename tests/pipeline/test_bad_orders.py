"""One order that REES46 refuses keeps no other order from being sent, and costs few refused batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from rees46_sync.ledger.tables import refused_orders
from rees46_sync.pipeline.circuit_breaker import MAX_REJECTED
from rees46_sync.rees46.hook import Rees46Hook, SendResult
from rees46_sync.sandbox.server import Sandbox
from tests.conftest import ShopUnderTest
from tests.ledger.builders import select_rows
from tests.pipeline.deliveries import NOON, Partition, codes_at, numbered, orders_of, tally_of
from tests.whole_run import IN_WINDOW, run_dag

BATCH = 1000


def refusals(sandbox: Sandbox) -> int:
    return sandbox.stats()["faults"].get("422", 0)


def orders_at(sandbox: Sandbox) -> int:
    return len(codes_at(sandbox))


@pytest.mark.parametrize(
    ("bad", "concurrency"),
    [("order-00000", 1), ("order-00499", 8), ("order-00999", 1), ("order-01234", 8), ("order-02999", 8)],
)
def test_a_bad_order_is_found_within_two_loads_and_five_refused_batches_and_all_others_are_sent(
    sandbox: Sandbox, ledger_conn_id: str, bad: str, concurrency: int
) -> None:
    orders = numbered(3000)
    sandbox.reset(refuse=[bad])

    first = Partition(ledger_conn_id).delivery(batch_size=BATCH, concurrency=concurrency).deliver(orders)
    assert refusals(sandbox) == MAX_REJECTED
    assert first == tally_of(3000, sent=first["sent"], failed=3000 - first["sent"])
    assert 2900 <= first["sent"] < 3000

    second = Partition(ledger_conn_id, "extraction-2").delivery(batch_size=BATCH, concurrency=concurrency)
    rest = orders[~orders["order_id"].isin(codes_at(sandbox))]
    assert second.deliver(rest) == tally_of(len(rest), sent=len(rest) - 1, rejected=1)
    assert second.bad_orders["order_id"].tolist() == [bad]
    assert refusals(sandbox) == 4
    assert orders_at(sandbox) == 2999


@pytest.mark.parametrize("sent_before_the_kill", [1, 2, 8, 20])
def test_a_load_that_is_killed_loses_nothing_of_what_the_refused_batches_have_shown(
    sandbox: Sandbox, ledger_conn_id: str, sent_before_the_kill: int
) -> None:
    class SenderThatIsKilled(Rees46Hook):
        sent = 0

        def send(self, orders: Sequence[tuple[str, int]], may_post: Callable[[], bool]) -> SendResult:
            if self.sent == sent_before_the_kill:
                raise SystemExit
            self.sent += 1
            return super().send(orders, may_post)

    orders = numbered(300)
    sandbox.reset(refuse=["order-00047"])
    with pytest.raises(SystemExit):
        Partition(ledger_conn_id).deliver(orders, batch_size=100, sender=SenderThatIsKilled("shop_rees46"))
    assert refusals(sandbox) == {1: 1, 2: 1, 8: 2, 20: 2}[sent_before_the_kill]

    second = Partition(ledger_conn_id, "extraction-2").delivery(batch_size=100)
    tally = second.deliver(orders)

    assert (tally["rejected"], tally["failed"]) == (1, 0)
    assert second.bad_orders["order_id"].tolist() == ["order-00047"]
    assert refusals(sandbox) == 3  # one hundred, one ten, and the order itself: as if there had been no kill
    assert orders_at(sandbox) == 299
    recorded = select_rows(second.ledger, refused_orders)
    assert {row["order_id"] for row in recorded if row["batch_size"] == 1} == {"order-00047"}


def test_a_bad_order_is_sent_again_only_in_a_new_status_or_if_a_person_asks(
    sandbox: Sandbox, ledger_conn_id: str
) -> None:
    orders = numbered(20)
    sandbox.reset(refuse=["order-00007"])
    for number in (1, 2):
        Partition(ledger_conn_id, f"extraction-{number}").delivery(batch_size=10).deliver(orders)
    refused = refusals(sandbox)
    bad = orders[orders["order_id"] == "order-00007"]
    code = int(bad["code"].item())

    again = Partition(ledger_conn_id, "extraction-3").delivery()
    assert again.deliver(bad) == tally_of(1, rejected=1)
    assert (refusals(sandbox), again.bad_orders["order_id"].tolist()) == (refused, ["order-00007"])

    sandbox.reset(keep_state=True)
    other = orders_of(("order-00007", (code + 1) % 3), at=NOON)
    assert Partition(ledger_conn_id, "extraction-4").deliver(other) == tally_of(1, sent=1)
    assert Partition(ledger_conn_id, "extraction-5").deliver(bad, resend=True) == tally_of(1, sent=1)
    assert codes_at(sandbox)["order-00007"] == code
    assert select_rows(Partition(ledger_conn_id, "extraction-6").ledger, refused_orders) == []


def test_several_bad_orders_are_found_in_as_many_loads_as_the_budget_takes(
    sandbox: Sandbox, ledger_conn_id: str
) -> None:
    orders, bad = numbered(300), ["order-00003", "order-00004", "order-00150", "order-00299"]
    sandbox.reset(refuse=bad)

    for number in range(1, 9):
        before = refusals(sandbox)
        load = Partition(ledger_conn_id, f"extraction-{number}").delivery(batch_size=100)
        tally = load.deliver(orders)
        assert refusals(sandbox) - before <= MAX_REJECTED
        if not tally["failed"]:
            break

    assert tally["rejected"] == len(bad)
    assert sorted(load.bad_orders["order_id"]) == bad
    assert orders_at(sandbox) == 296


@pytest.mark.parametrize("count", [1, 20])
def test_no_order_is_called_bad_if_rees46_accepts_nothing(sandbox: Sandbox, ledger_conn_id: str, count: int) -> None:
    """Wrong keys can be answered with 400 as well."""
    orders = numbered(count)
    sandbox.reset(refuse=orders["order_id"].tolist())

    for number in (1, 2, 3):
        load = Partition(ledger_conn_id, f"extraction-{number}").delivery(batch_size=10)
        assert load.deliver(orders) == tally_of(count, failed=count)
        assert load.bad_orders.empty
        assert load.breaker.errors

    recorded = select_rows(Partition(ledger_conn_id, "extraction-4").ledger, refused_orders)
    assert {row["batch_size"] for row in recorded} <= {10}


@pytest.mark.parametrize("spec", ["401@x1", "403@x1", "404@x1", "error_in_200@x1", "reset_after@x1,422@x1"])
def test_a_batch_that_is_refused_for_another_reason_is_not_split(
    sandbox: Sandbox, partition: Partition, spec: str
) -> None:
    sandbox.reset(fault=spec)

    assert partition.deliver(numbered(30)) == tally_of(30, sent=20, failed=10)


def test_the_next_run_is_green_and_the_bad_order_is_in_the_quarantine(shop: ShopUnderTest) -> None:
    shop.add_rows([(f"order-{number}", "new", IN_WINDOW) for number in range(50)])
    shop.sandbox.reset(refuse=["order-7"])

    first, second, third = run_dag(), run_dag(), run_dag()

    assert (first.state, first.account["rejected"], first.account["failed"]) == ("failed", 1, 2)
    assert (second.state, second.account["sent"], second.account["rejected"]) == ("success", 2, 1)
    assert (third.state, third.account["requests"], third.account["rejected"]) == ("success", 0, 1)
    assert (refusals(shop.sandbox), orders_at(shop.sandbox)) == (MAX_REJECTED, 49)
    assert shop.ledger_rows("SELECT order_id, status, reason FROM rees46_rejected_orders") == [
        ("order-7", "new", "refused_by_rees46")
    ]
    assert ("order-7", 1, "Sandbox fault") in shop.ledger_rows(
        "SELECT order_id, batch_size, reason FROM rees46_refused_orders"
    )
