"""On a real scheduler: a person decides about an exceeded limit, and the shop's feed starts a run."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from .conftest import DAY, FEED, MAX_UNASKED, STATUSES, SYNC, LiveShop, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.crash, pytest.mark.timeout(1200)]

MANY, FEW = MAX_UNASKED + 5, 9


def lay(shop: LiveShop, count: int) -> None:
    shop.lay((n, STATUSES[n % len(STATUSES)], DAY + timedelta(seconds=n)) for n in range(count))
    shop.sandbox.latency_s = 0


def wait_for_request(shop: LiveShop, run_id: str) -> dict[str, Any]:
    request: dict[str, Any] = wait_until(
        "request for approval", lambda: shop.airflow.requests_for_approval(SYNC, run_id), every_s=0.5
    )[0]
    # Until the scheduler has noticed that the task waits, Airflow takes a decided one for lost and retries it.
    noted = f"TaskInstance Finished: dag_id={SYNC}, task_id=ask_approval, run_id={run_id}"
    wait_until("scheduler that has noticed it", lambda: noted in shop.airflow.output_of("scheduler"))
    return request


def runs_of_the_feed(shop: LiveShop) -> dict[str, dict[str, Any]]:
    return {run["dag_run_id"]: run for run in shop.airflow.runs(SYNC) if run["run_type"] == "asset_triggered"}


def all_log(shop: LiveShop, run_id: str, task_id: str) -> str:
    return shop.airflow.log(SYNC, run_id, task_id, shop.instances(run_id, task_id)[-1][1])


def test_run_waits_for_approval_without_a_worker_and_then_sends(asking_shop: LiveShop) -> None:
    lay(asking_shop, MANY)
    run_id = asking_shop.trigger()

    request = wait_for_request(asking_shop, run_id)
    assert f"{MANY} orders would change (limit changed_orders: {MAX_UNASKED})" in request["subject"]
    assert f"- changed_orders: **{MANY}**, allowed {MAX_UNASKED}\n" in request["body"]
    assert asking_shop.airflow.task_pids("ask_approval", run_id) == []
    assert asking_shop.instances(run_id, "ask_approval")[-1][0] == "awaiting_input"
    assert asking_shop.sandbox.stats()["requests"] == 0
    asking_shop.airflow.answer(SYNC, run_id, "ask_approval", "Approve")

    assert asking_shop.end_of(run_id) == "success"
    assert asking_shop.sandbox.state() == asking_shop.final_statuses()
    assert asking_shop.account(run_id)["sent"] == MANY
    assert "approved by admin" in all_log(asking_shop, run_id, "account_for_rows")


def test_rejected_run_fails_sends_nothing_and_never_asks_with_the_metrics_of_an_earlier_extraction(
    asking_shop: LiveShop,
) -> None:
    lay(asking_shop, MANY)
    run_id = asking_shop.trigger()
    wait_for_request(asking_shop, run_id)
    asking_shop.airflow.answer(SYNC, run_id, "ask_approval", "Reject")

    assert asking_shop.end_of(run_id) == "failed"
    assert asking_shop.sandbox.stats()["requests"] == 0
    assert asking_shop.account(run_id)["failed"] == MANY
    assert "rejected by admin" in all_log(asking_shop, run_id, "account_for_rows")

    asking_shop.clear(run_id, None)
    assert asking_shop.end_of(run_id) == "failed"
    assert "asked for approval of an earlier extraction" in all_log(asking_shop, run_id, "ask_approval")
    assert asking_shop.sandbox.stats()["requests"] == 0

    # Another run by hand asks again.
    another = asking_shop.trigger()
    wait_for_request(asking_shop, another)
    asking_shop.airflow.answer(SYNC, another, "ask_approval", "Approve")
    assert asking_shop.end_of(another) == "success"
    assert asking_shop.sandbox.state() == asking_shop.final_statuses()


def test_log_lines_name_their_shop_partition_and_batch(asking_shop: LiveShop) -> None:
    lay(asking_shop, FEW)
    asking_shop.sandbox.reset(fault="403@x1")
    run_id = asking_shop.trigger()
    assert asking_shop.end_of(run_id) == "failed"

    def fields_of(task_id: str, text: str) -> dict[str, Any]:
        [(map_index, (_, attempts))] = asking_shop.instances(run_id, task_id).items()
        log = asking_shop.airflow.log(SYNC, run_id, task_id, attempts, map_index)
        [line] = [line for line in log.splitlines() if line.startswith(text)]
        fields: dict[str, Any] = json.loads(line[line.index(' {"') :])
        return {name: fields.get(name) for name in ("shop", "run_id", "dag_id", "partition", "batch")}

    everywhere = {"shop": "live", "run_id": run_id, "dag_id": SYNC}
    assert fields_of("extract_orders", "Read 9 rows") == everywhere | {"partition": None, "batch": None}
    assert fields_of("validate_statuses", "Partition 0: 9 valid") == everywhere | {"partition": 0, "batch": None}
    assert fields_of("build_batches", "Partition 0: 9 send") == everywhere | {"partition": 0, "batch": None}
    assert fields_of("load_batches", "Batch of 9 orders") == everywhere | {"partition": 0, "batch": 0}


def test_feed_starts_a_run_that_continues_from_the_last_successful_one(asking_shop: LiveShop) -> None:
    lay(asking_shop, FEW)
    before = runs_of_the_feed(asking_shop)

    asking_shop.airflow.announce_asset(FEED)

    [run_id] = wait_until("run of the feed", lambda: runs_of_the_feed(asking_shop).keys() - before)
    assert asking_shop.end_of(run_id) == "success"
    assert asking_shop.airflow.run(SYNC, run_id)["data_interval_start"] is None
    account = asking_shop.account(run_id)
    assert (account["read"], account["sent"]) == (FEW, FEW)
    assert account["window_widened"]
    assert asking_shop.sandbox.state() == asking_shop.final_statuses()


def test_two_feeds_and_a_run_at_once_send_each_order_once(asking_shop: LiveShop) -> None:
    lay(asking_shop, FEW)
    before = runs_of_the_feed(asking_shop)

    by_hand = asking_shop.trigger()
    asking_shop.airflow.announce_asset(FEED)
    wait_until("run of the feed", lambda: runs_of_the_feed(asking_shop).keys() - before)
    asking_shop.airflow.announce_asset(FEED)

    new = wait_until(
        "two runs of the feed",
        lambda: found if len(found := runs_of_the_feed(asking_shop).keys() - before) == 2 else None,
    )
    assert {asking_shop.end_of(run_id) for run_id in (by_hand, *new)} == {"success"}
    assert asking_shop.sandbox.state() == asking_shop.final_statuses()
    assert asking_shop.sandbox.stats()["orders"] == FEW
    assert sum(asking_shop.account(run_id)["sent"] for run_id in (by_hand, *new)) == FEW
