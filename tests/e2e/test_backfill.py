"""
Years of history on a live Airflow: a backfill over months, beside runs of the hourly DAG, and cancelled half-way.

`make test-backfill ORDERS=2000000` runs the first test with this number of orders.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.conftest import postgres_folder

from .airflow_stack import FINISHED
from .conftest import HISTORY, POOL, STATUSES, SYNC, LiveShop, running_shop, wait_until
from .test_crashes import assert_closes

pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(2 * 3600)]

MONTHS = [datetime(2023 + number // 12, number % 12 + 1, 1, tzinfo=UTC) for number in range(2, 38)]
END = datetime(2026, 3, 1, tzinfo=UTC)
SINCE = {"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-05-01T00:00:00Z"}
ORDERS_A_MONTH = 150
CHANGES = 200
BACKFILL_TIMEOUT_S = 900
"""For three years of few orders on a busy machine; an idle machine of two cores takes a quarter of it."""

TIMEOUT_S_PER_ORDER = 2e-3
"""Added to it."""

BACKWARDS = """
SELECT order_id FROM (
    SELECT order_id, source_updated_at, lag(source_updated_at) OVER (PARTITION BY order_id ORDER BY id) AS before
    FROM rees46_accepted_statuses WHERE order_id LIKE :orders
) AS accepted WHERE source_updated_at < before
"""


@pytest.fixture(scope="module")
def _live_shop() -> Iterator[LiveShop]:
    # A month is one partition, as most are by default.
    with postgres_folder() as folder, running_shop(folder, partition_rows=250_000) as shop:
        yield shop


def history_rows(
    months: Sequence[datetime], orders_a_month: int = ORDERS_A_MONTH
) -> Iterator[tuple[int, str, datetime]]:
    """Orders that are placed in each month, most of them delivered in it, some returned in the next one."""
    for number in range(len(months) * orders_a_month):
        month, second = divmod(number, orders_a_month)
        made = months[month].replace(tzinfo=None) + timedelta(days=1, seconds=second)
        yield number, "new", made
        if number % 3:
            yield number, "delivered", made + timedelta(days=7)
        if number % 5 == 0:
            yield number, "cancelled", made + timedelta(days=31)


def sync_changes(shop: LiveShop, syncs: list[str]) -> None:
    """Change the status of some orders, half of them in place, and run the sync over the changes."""
    chance = random.Random(len(syncs))
    at = str(END.replace(tzinfo=None) + timedelta(days=40, minutes=len(syncs)))
    with shop.warehouse("BEGIN IMMEDIATE") as db:
        known = [order_id for (order_id,) in db.execute("SELECT DISTINCT order_id FROM orders ORDER BY order_id")]
        changed = chance.sample(known, CHANGES)
        db.executemany("DELETE FROM orders WHERE order_id = ?", [(order_id,) for order_id in changed[::2]])
        rows = [(order_id, chance.choice(STATUSES[1:]), at) for order_id in changed]
        db.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
    syncs.append(shop.trigger(SYNC, **SINCE))
    assert shop.end_of(syncs[-1]) == "success"


def backfill(shop: LiveShop, months: Sequence[datetime], **options: Any) -> int:
    """Create a backfill as in docs/backfill.md; return its id."""
    created = shop.airflow.create_backfill(
        HISTORY,
        months[0],
        months[-1],
        **{"reprocess_behavior": "completed", "dag_run_conf": {"dry_run": False}} | options,
    )
    return int(created["id"])


def months_done(shop: LiveShop, since: int) -> list[str]:
    """The history runs in the ledger, after the row with the id `since`."""
    query = "SELECT run_id FROM rees46_sync_runs WHERE dag_id = :dag_id AND id > :since"
    return [run_id for (run_id,) in shop.ledger_rows(query, dag_id=HISTORY, since=since)]


def last_record(shop: LiveShop) -> int:
    [(last,)] = shop.ledger_rows("SELECT max(id) FROM rees46_sync_runs")
    return int(last)


def test_three_years_beside_runs_of_the_hourly_dag_end_with_the_statuses_of_the_warehouse(
    live_shop: LiveShop, pytestconfig: pytest.Config
) -> None:
    orders = pytestconfig.getoption("--backfill-orders") or len(MONTHS) * ORDERS_A_MONTH
    timeout_s = BACKFILL_TIMEOUT_S + TIMEOUT_S_PER_ORDER * orders
    live_shop.lay(history_rows(MONTHS, math.ceil(orders / len(MONTHS))))
    since, syncs = last_record(live_shop), list[str]()
    sync_changes(live_shop, syncs)
    already_newer = live_shop.sandbox.state()

    three_years = backfill(live_shop, MONTHS, max_active_runs=4)
    for number in (1, 6, 12, 18, 24, 30):
        wait_until(
            f"{number} months",
            lambda number=number: len(months_done(live_shop, since)) >= number,
            timeout_s,
            every_s=1,
        )
        sync_changes(live_shop, syncs)
    live_shop.airflow.wait_for_backfill(three_years, timeout_s)

    months = months_done(live_shop, since)
    assert len(months) == len(MONTHS)
    assert {live_shop.end_of(run_id, HISTORY) for run_id in months} == {"success"}
    assert live_shop.sandbox.state() == live_shop.final_statuses()
    assert live_shop.sandbox.stats()["violations"] == {}
    accounts = [live_shop.account(run_id) for run_id in [*months, *syncs]]
    for account in accounts:
        assert_closes(account, outcome="success", rejected=0, failed=0)
    assert sorted(account["window_start"] for account in accounts[: len(months)]) == MONTHS
    assert max(account["window_end"] for account in accounts[: len(months)]) == END
    assert sum(account["stale"] for account in accounts) > 0
    assert live_shop.ledger_rows(BACKWARDS, orders=f"{next(iter(already_newer)).partition('-')[0]}-%") == []
    loads = sorted(
        (ti["start_date"], ti["end_date"])
        for dag_id, run_ids in ((HISTORY, months), (SYNC, syncs))
        for run_id in run_ids
        for ti in live_shop.airflow.task_instances(dag_id, run_id)
        if ti["task_id"] == "load_batches" and ti["start_date"]
    )
    assert len(loads) > len(MONTHS)
    assert [pair for pair in pairwise(loads) if pair[0][1] > pair[1][0]] == []


def test_hourly_load_goes_before_loads_of_months_that_have_waited_longer(live_shop: LiveShop) -> None:
    live_shop.airflow.set_pool(POOL, 0)
    few = [month.replace(year=2021) for month in MONTHS[:2]]
    live_shop.lay(history_rows(few))
    months = backfill(live_shop, few, max_active_runs=2)

    def under_way() -> list[str]:
        return [run["dag_run_id"] for run in live_shop.airflow.runs(HISTORY) if run["state"] == "running"]

    wait_until("both months", lambda: len(under_way()) == len(few))
    for run_id in (runs := under_way()):
        live_shop.wait_for_load(run_id, HISTORY, loads=1)
    hourly = live_shop.trigger(SYNC, window_start="2021-03-01T00:00:00Z", window_end="2021-06-01T00:00:00Z")
    live_shop.wait_for_load(hourly, loads=1)

    live_shop.airflow.set_pool(POOL, 1)

    assert live_shop.end_of(hourly) == "success"
    live_shop.airflow.wait_for_backfill(months, BACKFILL_TIMEOUT_S)
    started = {
        run_id: ti["start_date"]
        for dag_id, run_ids in ((HISTORY, runs), (SYNC, [hourly]))
        for run_id in run_ids
        for ti in live_shop.airflow.task_instances(dag_id, run_id)
        if ti["task_id"] == "load_batches"
    }
    assert min(started, key=started.__getitem__) == hourly
    assert live_shop.sandbox.state() == live_shop.final_statuses()


def test_months_of_a_dry_run_then_cancelled_and_started_again_send_each_order_once(live_shop: LiveShop) -> None:
    few = [month.replace(year=2022) for month in MONTHS[:4]]
    live_shop.lay(row for row in history_rows(few) if row[1] != "cancelled")
    since = last_record(live_shop)

    dry = backfill(live_shop, few, max_active_runs=2, dag_run_conf={"dry_run": True})
    live_shop.airflow.wait_for_backfill(dry, BACKFILL_TIMEOUT_S)
    assert live_shop.sandbox.stats()["requests"] == 0
    assert months_done(live_shop, since) == []

    stopped = backfill(live_shop, few, max_active_runs=1)
    wait_until("a first month", lambda: months_done(live_shop, since), BACKFILL_TIMEOUT_S, every_s=0.3)
    live_shop.airflow.cancel_backfill(stopped)
    wait_until(
        "end of the month under way",
        lambda: all(run["state"] in FINISHED for run in live_shop.airflow.runs(HISTORY)),
        BACKFILL_TIMEOUT_S,
        every_s=1,
    )
    assert 0 < len(months_done(live_shop, since)) < len(few)

    again = backfill(live_shop, few, max_active_runs=2)
    live_shop.airflow.wait_for_backfill(again, BACKFILL_TIMEOUT_S)
    months = months_done(live_shop, since)
    assert len(months) == len(few)
    for run_id in months:
        assert_closes(live_shop.account(run_id), outcome="success", rejected=0, failed=0)
    assert live_shop.sandbox.state() == live_shop.final_statuses()
    stats = live_shop.sandbox.stats()
    assert (stats["orders"], stats["violations"]) == (len(few) * ORDERS_A_MONTH, {})
