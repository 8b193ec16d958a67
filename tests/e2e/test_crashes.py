"""
Whatever is killed or unavailable, nothing is lost, and almost nothing is sent twice.

Each test breaks a run in one way and ends with `assert_recovers`: an ordinary next run of the same window.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psutil
import pytest
from airflow.sdk import RetryDecision

from rees46_sync.pipeline.delivery import MAX_UNRECORDED

from .conftest import (
    BATCH,
    CONCURRENCY,
    HISTORY,
    ORDERS,
    POOL,
    SUMMANDS,
    SUPERSEDED,
    SYNC,
    UNMAPPED,
    LiveShop,
    wait_until,
)

pytestmark = [pytest.mark.e2e, pytest.mark.crash, pytest.mark.timeout(1200)]

MAX_LOST = (CONCURRENCY + MAX_UNRECORDED) * BATCH
"""The maximum number of orders whose response a kill can lose: only these can be sent twice."""

READ = ORDERS + SUPERSEDED + UNMAPPED


def assert_closes(account: dict[str, Any], **expected: object) -> None:
    """Assert that every row that the run read is accounted for, and that these columns have these values."""
    assert account["read"] == sum(account[name] for name in SUMMANDS)
    assert {name: account[name] for name in expected} == expected


def assert_recovers(shop: LiveShop, *earlier: str, twice: int) -> None:
    """Assert that a next run leaves REES46 with the statuses of the warehouse, and that few orders were sent twice."""
    run_id = shop.trigger()

    assert shop.end_of(run_id) == "success"
    assert shop.sandbox.state() == shop.final_statuses()
    stats = shop.sandbox.stats()
    assert stats["violations"] == {}
    assert stats["orders"] - len(shop.sandbox.state()) <= twice
    for one in earlier:
        assert_closes(shop.account(one))
    account = shop.account(run_id)
    assert_closes(account, read=READ, superseded=SUPERSEDED, rejected=UNMAPPED, stale=0, reopened=0, failed=0)
    assert account["outcome"] == "success"


def kill_task(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def kill_supervisor(pid: int) -> None:
    psutil.Process(pid).parent().kill()


@pytest.mark.parametrize(
    ("kill", "hold_s"),
    [
        pytest.param(kill_task, 60, id="task"),
        # The orphan receives its responses while the next attempt runs, and continues beside it.
        pytest.param(kill_supervisor, 25, id="supervisor"),
    ],
)
def test_killed_load_is_retried_and_sends_what_is_missing(
    live_shop: LiveShop, kill: Callable[[int], None], hold_s: float
) -> None:
    run_id = live_shop.trigger()
    with live_shop.load_in_the_middle(run_id, hold_s) as pid:
        kill(pid)

    assert live_shop.end_of(run_id) == "success"
    assert max(attempts for _, attempts in live_shop.instances(run_id, "load_batches").values()) > 1
    assert_closes(live_shop.account(run_id), outcome="success", sent=ORDERS, failed=0)
    assert_recovers(live_shop, run_id, twice=MAX_LOST)


def test_terminated_load_loses_no_response(live_shop: LiveShop) -> None:
    run_id = live_shop.trigger()
    with live_shop.load_in_the_middle(run_id, hold_s=2) as pid, suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)

    state = live_shop.end_of(run_id)
    account = live_shop.account(run_id)
    assert_closes(account, sent=len(live_shop.sandbox.state()), outcome=state)
    assert (state == "success") == (account["failed"] == 0)
    assert_recovers(live_shop, run_id, twice=0)


def test_load_marked_failed_by_a_person_starts_no_further_batch(live_shop: LiveShop) -> None:
    # One load with so many batches that it still runs at the next heartbeat, which brings the signal.
    with live_shop.configured(partition_rows=READ):
        run_id = live_shop.trigger()
        # The pending responses arrive after the signal, and before the SIGKILL 5 s later.
        with live_shop.load_in_the_middle(run_id, hold_s=2.5) as pid:
            live_shop.mark_failed(run_id, "load_batches", map_index=0)
            wait_until("end of the task's process", lambda: not psutil.pid_exists(pid))
        state = live_shop.end_of(run_id)
    account = live_shop.account(run_id)

    assert_recovers(live_shop, run_id, twice=0)
    assert_closes(account, outcome="failed")
    assert state == "failed"
    # It received the pending responses and started no further batch.
    assert 0 < account["sent"] < ORDERS - BATCH
    assert state == "failed"
    assert account["failed"] > 0


def test_run_continues_after_the_death_of_scheduler_and_workers(live_shop: LiveShop) -> None:
    run_id = live_shop.trigger()
    with live_shop.load_in_the_middle(run_id, hold_s=60):
        live_shop.airflow.kill("scheduler")
    live_shop.airflow.start("scheduler")

    assert live_shop.end_of(run_id) == "success"
    assert_closes(live_shop.account(run_id), outcome="success", sent=ORDERS, failed=0)
    assert_recovers(live_shop, run_id, twice=MAX_LOST)


def test_run_survives_the_loss_of_the_ledger_while_it_loads(live_shop: LiveShop) -> None:
    run_id = live_shop.trigger()
    with live_shop.load_in_the_middle(run_id, hold_s=1), live_shop.ledger_gone():
        wait_until(
            "two attempts without a ledger",
            lambda: any(attempts > 2 for _, attempts in live_shop.instances(run_id, "load_batches").values()),
        )

    assert live_shop.end_of(run_id) == "success"
    assert_closes(live_shop.account(run_id), outcome="success", sent=ORDERS, failed=0)
    assert_recovers(live_shop, run_id, twice=MAX_LOST)


def test_outage_longer_than_all_retries_fails_and_the_next_run_recovers(live_shop: LiveShop) -> None:
    # Retry-After 0: the attempts of an hour follow each other at once.
    live_shop.sandbox.reset("503:0@1")
    run_id = live_shop.trigger()

    assert live_shop.end_of(run_id) == "failed"
    assert_closes(live_shop.account(run_id), outcome="failed", sent=0, failed=ORDERS)
    live_shop.sandbox.reset()
    assert_recovers(live_shop, run_id, twice=0)
    assert live_shop.sandbox.stats()["orders"] == ORDERS


@pytest.mark.skipif(not hasattr(RetryDecision, "reschedule"), reason="needs Airflow 3.4")
def test_waiting_as_long_as_rees46_asks_uses_up_no_retry(live_shop: LiveShop) -> None:
    live_shop.sandbox.reset("503:0@1")
    run_id = live_shop.trigger()
    wait_until(
        "a load that waits",
        lambda: any(state == "up_for_reschedule" for state, _ in live_shop.instances(run_id, "load_batches").values()),
    )
    live_shop.sandbox.reset()

    assert live_shop.end_of(run_id) == "success"
    assert {attempts for _, attempts in live_shop.instances(run_id, "load_batches").values()} == {1}
    assert_closes(live_shop.account(run_id), outcome="success", sent=ORDERS, failed=0)
    assert_recovers(live_shop, run_id, twice=0)


def test_kills_before_anything_is_sent_cost_nothing(live_shop: LiveShop) -> None:
    with live_shop.warehouse("BEGIN EXCLUSIVE"):
        run_id = live_shop.trigger()
        [pid] = live_shop.airflow.wait_for_task_pids("extract_orders", run_id)
        wait_until("reading", lambda: "reading orders.sql" in live_shop.airflow.log(SYNC, run_id, "extract_orders", 1))
        kill_task(pid)
    wait_until("extraction", lambda: live_shop.instances(run_id, "extract_orders")[-1][0] == "success")
    with live_shop.ledger_locked():
        wait_until("look into the ledger", live_shop.waiting_for_ledger)
        for pid in live_shop.airflow.wait_for_task_pids("build_batches", run_id):
            kill_task(pid)

    assert live_shop.end_of(run_id) == "success"
    assert live_shop.instances(run_id, "extract_orders")[-1][1] > 1
    assert max(attempts for _, attempts in live_shop.instances(run_id, "build_batches").values()) > 1
    assert_closes(live_shop.account(run_id), read=READ, sent=ORDERS, failed=0)
    assert_recovers(live_shop, run_id, twice=0)


def test_older_run_that_loads_last_overwrites_nothing(live_shop: LiveShop) -> None:
    changed = 100
    live_shop.airflow.set_pool(POOL, 0)
    older = live_shop.trigger(HISTORY)
    live_shop.wait_for_load(older, HISTORY)
    with live_shop.warehouse() as db:
        db.execute(
            "UPDATE orders SET status = 'delivered', updated_at = '2026-03-02 12:00:00' WHERE order_id IN "
            "(SELECT order_id FROM orders GROUP BY order_id HAVING max(status) = 'new' AND count(*) = 1 LIMIT ?)",
            [changed],
        )
    # The hourly load has priority in the pool.
    newer = live_shop.trigger(SYNC)
    live_shop.wait_for_load(newer)
    live_shop.airflow.set_pool(POOL, 1)

    assert live_shop.end_of(newer) == "success"
    assert live_shop.end_of(older, HISTORY) == "success"
    assert_closes(live_shop.account(newer), sent=ORDERS)
    assert_closes(live_shop.account(older), sent=0, stale=changed, unchanged=ORDERS - changed)
    assert_recovers(live_shop, newer, older, twice=0)


def test_older_run_that_loads_last_restores_no_status_that_the_warehouse_reverted(live_shop: LiveShop) -> None:
    assert_recovers(live_shop, twice=0)
    changed = 100

    def turn_all(before: str, after: str, time: str) -> None:
        with live_shop.warehouse() as db:
            turned = db.execute(
                "UPDATE orders SET status = ?, updated_at = ? WHERE order_id IN (SELECT order_id FROM orders "
                "WHERE status = ? GROUP BY order_id HAVING count(*) = 1 ORDER BY max(updated_at) DESC LIMIT ?)",
                [after, time, before, changed],
            )
            assert turned.rowcount == changed

    turn_all("delivered", "cancelled", "2026-03-02 12:00:00")
    live_shop.airflow.set_pool(POOL, 0)
    older = live_shop.trigger()
    live_shop.wait_for_load(older, loads=1)
    turn_all("cancelled", "delivered", "2026-03-02 13:00:00")
    newer = live_shop.trigger(HISTORY)
    assert live_shop.end_of(newer, HISTORY) == "success"
    live_shop.airflow.set_pool(POOL, 1)

    assert live_shop.end_of(older) == "success"
    assert_closes(live_shop.account(newer), sent=0, unchanged=ORDERS)
    assert_closes(live_shop.account(older), sent=0, stale=changed, unchanged=ORDERS - changed)
    assert_recovers(live_shop, newer, older, twice=0)


def test_cleared_run_sends_only_what_is_missing(live_shop: LiveShop) -> None:
    # The third refusal ends a load task: all three hit the first of the two.
    live_shop.sandbox.reset("403@x3")
    run_id = live_shop.trigger()
    assert live_shop.end_of(run_id) == "failed"
    states = sorted(state for state, _ in live_shop.instances(run_id, "load_batches").values())
    assert states == ["failed", "success"]
    assert_closes(live_shop.account(run_id), outcome="failed", sent=len(live_shop.sandbox.state()))

    live_shop.clear(run_id, ["load_batches", "account_for_rows"])
    assert live_shop.end_of(run_id) == "success"
    assert_closes(live_shop.account(run_id), outcome="success", read=READ, sent=ORDERS, failed=0)

    live_shop.clear(run_id, None)
    assert live_shop.end_of(run_id) == "success"
    assert_closes(live_shop.account(run_id), outcome="success", read=READ, sent=0, unchanged=ORDERS)

    # Its last extraction left no load; the next one has some again.
    with live_shop.warehouse() as db:
        db.execute(
            "UPDATE orders SET status = 'delivered', updated_at = '2026-03-02 12:00:00' WHERE order_id IN "
            "(SELECT order_id FROM orders GROUP BY order_id HAVING max(status) = 'new' AND count(*) = 1 LIMIT 10)"
        )
    live_shop.clear(run_id, None)
    assert live_shop.end_of(run_id) == "success"
    assert_closes(live_shop.account(run_id), outcome="success", read=READ, sent=10, unchanged=ORDERS - 10)
    # Their status changed, and within settle: the next run sends it once more.
    assert_recovers(live_shop, run_id, twice=20)


def test_unwritable_staging_fails_the_run_and_the_log_names_the_folder(live_shop: LiveShop) -> None:
    live_shop.sandbox.reset()
    with live_shop.staging_gone():
        run_id = live_shop.trigger()
        assert live_shop.end_of(run_id) == "failed"

    log = live_shop.airflow.log(SYNC, run_id, "extract_orders", 1)
    assert "Not a directory" in log
    assert str(live_shop.staging) in log
    assert_closes(live_shop.account(run_id), outcome="failed", read=0)
    assert live_shop.sandbox.stats()["requests"] == 0
    assert_recovers(live_shop, run_id, twice=0)
