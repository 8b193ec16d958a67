"""Runs that send only the first orders, so that a person can look at them in REES46."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from upath import UPath

from rees46_sync.airflow_adapters import staging
from rees46_sync.ledger.database import Ledger
from rees46_sync.pipeline.build_batches import build_batches
from rees46_sync.pipeline.first_orders import keep_first
from rees46_sync.pipeline.load_batches import Rees46SyncOrdersOperator
from rees46_sync.pipeline.run import BuiltBatches, RunContext
from tests.conftest import ShopUnderTest, accept, start_extraction
from tests.pipeline.steps import task_context
from tests.pipeline.test_build_batches import RUN, rows
from tests.whole_run import EIGHT, IN_WINDOW, accounted, dag_of, returned, run_dag

HOUR = timedelta(hours=1)


def add_orders(shop: ShopUnderTest, ids: str, status: str = "new") -> None:
    shop.add_rows([(order_id, status, IN_WINDOW) for order_id in ids])


@pytest.mark.parametrize("partition_rows", [1, 2, 3, 250_000])
def test_the_first_orders_are_sent_and_the_next_regular_run_sends_the_others(
    shop: ShopUnderTest, caplog: pytest.LogCaptureFixture, partition_rows: int
) -> None:
    shop.configure(partition_rows=partition_rows)
    add_orders(shop, "edcba")

    with caplog.at_level(logging.INFO):
        run = run_dag(first_orders=3)

    assert (run.state, run.account["sent"], run.account["held"]) == ("success", 3, 2)
    assert accounted(run.account) == run.account["read"] == 5
    assert shop.sandbox.state() == {"a": 0, "b": 0, "c": 0}
    log = caplog.text
    assert "These were the first 3 orders" in log
    for place in ("Orders Report", "KPI", "time of the last synchronisation", "mailbox of the account"):
        assert place in log
    assert "The next regular run sends the other 2." in log
    assert run_dag(logical_date=EIGHT + HOUR).account["sent"] == 2
    assert sorted(shop.sandbox.state()) == [*"abcde"]


def test_a_run_that_held_orders_back_has_not_delivered_its_window(shop: ShopUnderTest) -> None:
    shop.configure(lookback="0h")
    run_dag(logical_date=EIGHT - HOUR)
    # The newest is sent first, so that the next run, if it went on from there, would not read the others.
    shop.add_rows([(order_id, "new", IN_WINDOW - timedelta(minutes=age)) for age, order_id in enumerate("abc")])
    assert run_dag(first_orders=1).state == "success"

    run = run_dag(logical_date=EIGHT + HOUR)

    assert (run.account["read"], run.account["unchanged"], run.account["sent"]) == (3, 1, 2)
    assert shop.ledger_rows("SELECT held FROM rees46_sync_runs ORDER BY window_end") == [(0,), (2,), (0,)]


def test_the_orders_that_the_first_run_of_a_shop_held_back_are_not_lost(shop: ShopUnderTest) -> None:
    shop.configure(lookback="0h")
    add_orders(shop, "abc")
    run_dag(first_orders=1)

    assert run_dag(logical_date=EIGHT + 5 * HOUR).account["sent"] == 2


def test_a_run_that_found_no_more_than_its_first_orders_has_delivered_its_window(shop: ShopUnderTest) -> None:
    shop.configure(lookback="0h")
    add_orders(shop, "abc")

    assert run_dag(first_orders=3).account["held"] == 0

    [(delivered,)] = shop.ledger_rows("SELECT count(*) FROM rees46_sync_runs WHERE outcome = 'success' AND held = 0")
    assert delivered == 1
    assert run_dag(logical_date=EIGHT + HOUR).account["requests"] == 0


def test_orders_that_rees46_has_already_are_not_among_the_first(shop: ShopUnderTest) -> None:
    add_orders(shop, "abc")
    run_dag(first_orders=1)

    assert run_dag(first_orders=1).account["sent"] == 1
    assert sorted(shop.sandbox.state()) == ["a", "b"]


def test_a_limit_counts_only_the_orders_that_are_really_sent(shop: ShopUnderTest) -> None:
    shop.configure(limits={"rejected_share": 1, "changed_orders": 2})
    add_orders(shop, "abcd")

    stopped = run_dag(first_orders=3)
    assert (stopped.state, stopped.account["failed"], stopped.account["held"]) == ("failed", 3, 1)
    assert shop.sandbox.stats()["requests"] == 0

    assert run_dag(first_orders=2).state == "success"


def test_a_dry_run_shows_just_the_first_orders(shop: ShopUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    shop.configure(partition_rows=3)
    add_orders(shop, "abcd", "delivered")
    add_orders(shop, "e", "cancelled")

    with caplog.at_level(logging.INFO):
        run = run_dag(first_orders=4, dry_run=True)

    assert (run.account["would_send"], run.account["held"]) == (4, 1)
    assert shop.sandbox.stats()["requests"] == 0
    lines = [" ".join(line.split()) for line in caplog.text.splitlines()]
    shown = [line.split(" ")[0] for line in lines if line.endswith("completed nothing 2026-03-01 07:30:00")]
    assert shown == [*"abcd"]
    assert "2026-03-01 0 4 0" in lines
    assert not [line for line in lines if "These were the first" in line]


def test_a_shop_that_asks_is_asked_about_the_first_orders_alone(shop: ShopUnderTest) -> None:
    shop.configure(on_limit="ask", limits={"rejected_share": 1, "changed_orders": 10})
    add_orders(shop, "abcde")

    run = run_dag(first_orders=2)

    assert (run.state, run.account["sent"], run.account["held"]) == ("success", 2, 3)
    [approved] = returned(run, "ask_approval")
    assert [batches["orders"] for batches in approved] == [2]


@pytest.mark.parametrize("value", [-1, "3", 1.5, True])
@pytest.mark.parametrize("param", ["first_orders", "changed_orders"])
def test_airflow_refuses_a_number_of_orders_that_is_none(shop: ShopUnderTest, param: str, value: Any) -> None:
    from airflow.sdk.exceptions import AirflowException

    with pytest.raises(AirflowException):
        dag_of().params.get_param(param).resolve(value)


@pytest.mark.parametrize(("param", "value"), [("first_orders", 0), ("changed_orders", 10**9 + 1)])
def test_airflow_refuses_a_number_of_orders_that_no_run_can_send(shop: ShopUnderTest, param: str, value: int) -> None:
    from airflow.sdk.exceptions import AirflowException

    with pytest.raises(AirflowException):
        dag_of().params.get_param(param).resolve(value)


def test_a_cleared_task_sends_the_same_first_orders_and_no_further_ones(shop: ShopUnderTest) -> None:
    ledger = Ledger.open("shop_ledger")
    start_extraction(ledger, RUN, EIGHT - HOUR, EIGHT)
    orders = rows(*((order_id, "new") for order_id in "abcd"))
    folder = UPath(shop.folder / "staging")
    staging.write(pa.Table.from_pandas(orders, preserve_index=False), folder / "valid-0000.parquet")
    extraction = {
        "extraction_id": RUN.extraction_id,
        "folder": str(folder),
        "resend": False,
        "is_resend": False,
        "window_end": EIGHT.isoformat(),
    }
    validated = {"index": 0, "extraction": extraction, "path": str(folder / "valid-0000.parquet")}
    context = task_context({"validate_statuses": validated}, first_orders=2)
    file = str(shop.shops / "test.yaml")

    def build_and_cut() -> BuiltBatches:
        partition: Any = {"index": 0, "name": "0", "extraction": extraction}
        [cut] = keep_first(RunContext(file, context), [build_batches(file, partition, **context)], 2)
        return cut

    assert (build_and_cut()["orders"], build_and_cut()["held"]) == (2, 2)
    # The load sends one of them, and is killed; a person clears the run from build_batches.
    accept(ledger, RUN, 0, orders.iloc[[0]].assign(code=0))
    operator = Rees46SyncOrdersOperator(
        task_id="load_batches",
        shop="test",
        rees46_conn_id="shop_rees46",
        ledger_conn_id="shop_ledger",
        settle=HOUR,
        batches=dict(build_and_cut()),
    )
    load_context: Any = context
    tally = operator.execute(load_context)

    assert (tally["orders"], tally["sent"]) == (2, 2)
    assert shop.sandbox.state() == {"b": 0}


def test_the_first_day_of_a_shop_goes_as_its_document_says(shop: ShopUnderTest) -> None:
    """docs/first-day.md: a limit stops what starts by itself, ten orders are looked at, then the rest is sent."""
    shop.add_rows([(f"{number:02}", "new", IN_WINDOW) for number in range(25)])
    shop.configure(limits={"changed_orders": 10})

    assert run_dag().state == "failed"
    assert shop.sandbox.requests() == []
    ten = run_dag(logical_date=None, run_after=EIGHT, first_orders=10)
    assert (ten.state, ten.account["sent"], ten.account["held"]) == ("success", 10, 15)
    assert len(shop.sandbox.state()) == 10
    rest = run_dag(logical_date=None, run_after=EIGHT, changed_orders=25)

    assert (rest.state, rest.account["sent"], rest.account["unchanged"]) == ("success", 15, 10)
    assert len(shop.sandbox.state()) == 25
    assert run_dag(logical_date=EIGHT + HOUR).state == "success"
