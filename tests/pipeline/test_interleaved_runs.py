"""Runs that overlap, answers that are lost, and requests that REES46 processes late: through the real DAGs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rees46_sync.pipeline.load_batches import Rees46SyncOrdersOperator
from rees46_sync.rees46.hook import Rees46Hook
from tests.conftest import ShopUnderTest
from tests.pipeline.deliveries import Partition, orders_of
from tests.whole_run import EIGHT, IN_WINDOW, Run, run_dag

A_MINUTE = timedelta(minutes=1)
NO_ANSWER = "reset_after@x1,error_in_200@x1"
"""A fault of the sandbox: it accepts a batch, the answer is lost, and the second try is refused."""


@pytest.fixture
def before_load(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Let something happen when a run has read and compared, right before it loads."""
    execute = Rees46SyncOrdersOperator.execute

    def register(happens: Callable[[], object]) -> None:
        pending = [happens]

        def execute_later(operator: Rees46SyncOrdersOperator, context: Any) -> dict[str, Any]:
            if pending:
                pending.pop()()
            return execute(operator, context)

        monkeypatch.setattr(Rees46SyncOrdersOperator, "execute", execute_later)

    return register


def change(shop: ShopUnderTest, status: str, at: datetime) -> None:
    """Change the only order of a warehouse that stores the present status."""
    shop.clear_rows()
    shop.add_rows([("1", status, at)])


def test_a_status_that_came_back_is_remembered_when_history_is_read_later(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "delivered", "2026-01-15 12:00:00")])
    run_dag("order_status_history_test", logical_date=EIGHT.replace(month=2, day=1, hour=0))
    shop.add_rows([("1", "cancelled", "2026-02-28 23:50:00"), ("1", "delivered", IN_WINDOW)])
    hourly = run_dag()
    assert (hourly.account["unchanged"], hourly.account["sent"]) == (1, 0)

    history = run_dag("order_status_history_test", logical_date=EIGHT.replace(hour=0))

    assert (history.state, history.account["stale"], history.account["sent"]) == ("success", 1, 0)
    assert shop.sandbox.state() == {"1": 1}


def test_a_request_that_is_processed_after_a_newer_one_is_put_right_by_a_later_run(shop: ShopUnderTest) -> None:
    change(shop, "delivered", IN_WINDOW)
    shop.sandbox.reset(fault=NO_ANSWER)
    assert run_dag().state == "failed"
    change(shop, "cancelled", IN_WINDOW + A_MINUTE)
    shop.sandbox.reset(keep_state=True)
    assert run_dag().account["sent"] == 1
    Rees46Hook("shop_rees46").send([("1", 1)])  # REES46 processes the first request only now

    assert run_dag().account["sent"] == 1
    assert shop.sandbox.state() == {"1": 2}

    shop.configure(settle="0s")
    assert run_dag().account["unchanged"] == 1


def test_a_run_that_read_before_another_one_does_not_overwrite_it(
    shop: ShopUnderTest, before_load: Callable[[Callable[[], object]], None]
) -> None:
    change(shop, "delivered", IN_WINDOW)
    runs: list[Run] = []

    def another_run() -> None:
        change(shop, "cancelled", IN_WINDOW + A_MINUTE)
        runs.append(run_dag(logical_date=EIGHT + timedelta(hours=1)))

    before_load(another_run)
    runs.append(run_dag())

    assert [(run.state, run.account["sent"], run.account["stale"]) for run in runs] == [
        ("success", 1, 0),
        ("success", 0, 1),
    ]
    assert shop.sandbox.state() == {"1": 2}


def test_a_worker_that_freezes_right_before_its_request_is_put_right_by_the_next_run(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(shop, "delivered", IN_WINDOW)
    post, others = Rees46Hook._post, []
    newer = orders_of(("1", 2), at=(IN_WINDOW + A_MINUTE).replace(tzinfo=UTC))

    def post_late(hook: Rees46Hook, body: bytes) -> None:
        """Wake up when another run has read a newer status, sent it and ended."""
        if not others:
            others.append({})
            others.append(Partition("shop_ledger", "another-extraction").deliver(newer))
        post(hook, body)

    monkeypatch.setattr(Rees46Hook, "_post", post_late)
    frozen = run_dag()

    # Its own request came last, and nobody recorded it as accepted.
    assert (others[1]["sent"], frozen.account["sent"], frozen.account["stale"]) == (1, 0, 1)
    assert shop.ledger_rows("SELECT status FROM rees46_accepted_statuses") == [(2,)]
    assert shop.sandbox.state() == {"1": 1}
    change(shop, "cancelled", IN_WINDOW + A_MINUTE)
    next_run = run_dag()
    assert (next_run.state, next_run.account["sent"]) == ("success", 1)
    assert shop.sandbox.state() == {"1": 2}


def test_a_newer_status_without_an_answer_is_not_overwritten_by_a_run_that_read_before_it(
    shop: ShopUnderTest, before_load: Callable[[Callable[[], object]], None]
) -> None:
    change(shop, "new", IN_WINDOW)
    runs: list[Run] = []

    def another_run() -> None:
        change(shop, "delivered", IN_WINDOW + A_MINUTE)
        shop.sandbox.reset(fault=NO_ANSWER)
        runs.append(run_dag(logical_date=EIGHT + timedelta(hours=1)))
        shop.sandbox.reset(keep_state=True)

    before_load(another_run)
    runs.append(run_dag())

    assert [(run.state, run.account["sent"], run.account["stale"]) for run in runs] == [
        ("failed", 0, 0),
        ("success", 0, 1),
    ]
    assert shop.sandbox.state() == {"1": 1}


def test_an_order_that_may_be_completed_at_rees46_does_not_become_created(shop: ShopUnderTest) -> None:
    change(shop, "new", IN_WINDOW)
    run_dag()
    change(shop, "delivered", IN_WINDOW + A_MINUTE)
    shop.sandbox.reset(fault=NO_ANSWER, keep_state=True)
    assert run_dag().state == "failed"
    shop.sandbox.reset(keep_state=True)
    change(shop, "new", IN_WINDOW + 2 * A_MINUTE)

    run = run_dag()

    assert (run.state, run.account["reopened"], run.account["sent"]) == ("success", 1, 0)
    assert shop.sandbox.state() == {"1": 1}


@pytest.mark.parametrize(
    ("between", "after", "sent"),
    [
        pytest.param("new", "delivered", 1, id="it-went-back-to-exactly-its-old-row"),
        pytest.param("cancelled", "new", 0, id="it-is-held-back-as-reopened"),
    ],
)
def test_what_a_later_run_found_in_need_of_nothing_is_not_changed_by_an_earlier_one(
    shop: ShopUnderTest,
    before_load: Callable[[Callable[[], object]], None],
    between: str,
    after: str,
    sent: int,
) -> None:
    shop.configure(allow_reopen=sent == 1)
    change(shop, "delivered", IN_WINDOW)
    run_dag()
    change(shop, between, IN_WINDOW + 2 * A_MINUTE)
    runs: list[Run] = []

    def another_run() -> None:
        change(shop, after, IN_WINDOW if after == "delivered" else IN_WINDOW + 3 * A_MINUTE)
        runs.append(run_dag(logical_date=EIGHT + timedelta(hours=1)))

    before_load(another_run)
    runs.append(run_dag(logical_date=EIGHT + timedelta(hours=2)))

    assert [(run.state, run.account["sent"]) for run in runs] == [("success", 0), ("success", 0)]
    assert shop.sandbox.state() == {"1": 1}


def test_a_dry_run_leaves_what_another_run_has_in_flight_alone(
    shop: ShopUnderTest, before_load: Callable[[Callable[[], object]], None]
) -> None:
    change(shop, "delivered", IN_WINDOW)
    tables = ("in_flight_requests", "uncertain_orders", "extractions", "confirmations", "leases")
    found: list[list[Any]] = []

    def counts() -> list[Any]:
        return [shop.ledger_rows(f"SELECT * FROM rees46_{table}") for table in tables]

    def dry_run() -> None:
        found.append(counts())
        run_dag(logical_date=EIGHT + timedelta(hours=1), dry_run=True)
        found.append(counts())

    before_load(dry_run)
    assert run_dag().account["sent"] == 1
    assert found[0] == found[1]
