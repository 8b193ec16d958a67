"""Runs about chosen orders."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rees46_sync.pipeline.order_ids import listed
from tests.conftest import ShopUnderTest
from tests.whole_run import EIGHT, IN_WINDOW, accounted, dag_of, run_dag

HOUR = timedelta(hours=1)
WINDOW = {"window_start": "2026-03-01T07:00:00Z", "window_end": "2026-03-01T08:00:00Z"}


def test_chosen_orders_are_sent_again_from_their_last_known_change_on(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "paid", IN_WINDOW - 5 * HOUR), ("3", "new", IN_WINDOW - 6 * HOUR)])
    run_dag()
    shop.sandbox.reset()

    run = run_dag(order_ids=["2"], logical_date=EIGHT + timedelta(days=40))

    assert run.state == "success"
    assert (run.account["read"], run.account["sent"], run.account["held"]) == (2, 1, 1)
    assert shop.sandbox.state() == {"2": 0}
    [window] = shop.ledger_rows("SELECT window_start, window_widened FROM rees46_sync_runs WHERE held > 0")
    assert window == (f"{IN_WINDOW - 5 * HOUR}.000000", 0)


def test_the_window_of_chosen_orders_starts_at_the_oldest_of_them(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "paid", IN_WINDOW - 5 * HOUR)])
    run_dag()
    shop.sandbox.reset()

    assert run_dag(order_ids=["1", "2", "1", ""]).account["sent"] == 2
    assert sorted(shop.sandbox.state()) == ["1", "2"]


def test_rows_of_other_orders_trip_no_limit_and_reach_no_quarantine(shop: ShopUnderTest) -> None:
    shop.configure(limits={"rejected_share": 0, "changed_orders": 1})
    shop.add_rows([("1", "new", IN_WINDOW), ("1", "paid", IN_WINDOW), ("2", "on_hold", IN_WINDOW), ("3", "new", None)])
    shop.add_rows([(None, "new", IN_WINDOW), ("10", "delivered", IN_WINDOW)])

    run = run_dag(order_ids=["1"], **WINDOW)

    assert run.state == "success"
    expected = {"read": 6, "sent": 1, "superseded": 1, "rejected": 0, "held": 4}
    assert {name: run.account[name] for name in expected} == expected
    assert accounted(run.account) == run.account["read"]
    assert shop.sandbox.state() == {"1": 0}
    assert shop.ledger_rows("SELECT * FROM rees46_rejected_orders") == []


def test_a_chosen_order_that_is_broken_is_rejected_with_its_reason(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "on_hold", IN_WINDOW), ("2", "on_hold", IN_WINDOW)])

    assert run_dag(order_ids=["1"], **WINDOW).account["rejected"] == 1
    assert shop.ledger_rows("SELECT order_id FROM rees46_rejected_orders") == [("1",)]


def test_a_run_about_chosen_orders_has_not_delivered_its_window(shop: ShopUnderTest) -> None:
    shop.configure(lookback="0h")
    run_dag()
    at = IN_WINDOW + HOUR
    shop.add_rows([("1", "new", at), ("2", "new", at)])
    window = {"window_start": "2026-03-01T08:00:00Z", "window_end": "2026-03-01T09:00:00Z"}
    assert run_dag(order_ids=["1"], **window).account["sent"] == 1

    assert run_dag(logical_date=EIGHT + 2 * HOUR).account["sent"] == 1
    assert sorted(shop.sandbox.state()) == ["1", "2"]


def test_an_order_that_the_ledger_does_not_know_needs_a_window_start(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "new", IN_WINDOW)])
    run_dag()
    shop.sandbox.reset()
    shop.add_rows([("3", "new", IN_WINDOW)])

    run = run_dag(order_ids=["1", "3"])

    assert (run.state, run.task_states["extract_orders"]) == ("failed", {"failed"})
    assert shop.sandbox.stats()["requests"] == 0
    log = capsys.readouterr().out
    assert "order_ids names '3', which the ledger does not know" in log
    assert "set window_start to a time before their updated_at" in log
    assert run_dag(order_ids=["1", "3"], **WINDOW).account["sent"] == 2


@pytest.mark.parametrize("dry_run", [False, True])
def test_an_order_that_the_window_does_not_hold_makes_the_run_red_after_the_others_are_sent(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str], dry_run: bool
) -> None:
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "new", IN_WINDOW - 2 * HOUR)])

    run = run_dag(order_ids=["1", "2", "never"], dry_run=dry_run, **WINDOW)

    assert run.state == "failed"
    assert run.task_states["account_for_rows"] == {"failed"}
    assert (run.account["sent"], run.account["failed"]) == (int(not dry_run), 0)
    log = capsys.readouterr().out
    assert "order_ids names '2', 'never', which the query does not return for the window [2026-03-01 07:00:00" in log
    assert "; correct order_ids, or set window_start to a time before their updated_at." in log


def test_a_window_without_any_chosen_order_is_red_too(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])

    run = run_dag(order_ids=["2"], **WINDOW)

    assert (run.state, run.account["held"]) == ("failed", 1)


def test_a_newer_version_at_rees46_stays_if_an_older_one_is_chosen(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "paid", "2026-01-15 12:00:00"), ("1", "delivered", IN_WINDOW)])
    run_dag()

    january = {"window_start": "2026-01-01T00:00:00Z", "window_end": "2026-02-01T00:00:00Z"}
    run = run_dag(order_ids=["1"], **january)

    assert (run.account["stale"], run.account["sent"]) == (1, 0)
    assert shop.sandbox.state() == {"1": 1}


def test_empty_lines_alone_do_not_make_a_run_about_all_orders(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])

    assert run_dag(order_ids=["", " "]).state == "failed"

    assert "order_ids names no order; nothing was read" in capsys.readouterr().out
    assert shop.sandbox.stats()["requests"] == 0


@pytest.mark.parametrize("value", [[], ["1"] * 1001, [1], "1", {"1": 1}], ids=["none", "many", "number", "text", "map"])
def test_airflow_refuses_what_is_no_list_of_one_to_a_thousand_texts(shop: ShopUnderTest, value: Any) -> None:
    from airflow.sdk.exceptions import AirflowException

    with pytest.raises(AirflowException):
        dag_of().params.get_param("order_ids").resolve(value)


def test_a_message_lists_a_few_of_many_orders_and_says_how_many_more_there_are() -> None:
    assert listed(["1", "a\n"]) == r"'1', 'a\n'"
    assert listed([str(number) for number in range(7)]) == "'0', '1', '2', '3', '4' and 2 more"
