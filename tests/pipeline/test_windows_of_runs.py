"""Whole runs one after the other: their windows miss no row, however late it is or whatever failed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import QUERY, ShopUnderTest
from tests.whole_run import EIGHT, IN_WINDOW, run_dag


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(timedelta(minutes=40), id="by-40-minutes"),
        pytest.param(timedelta(0), id="at-the-time-of-the-newest-row-that-was-sent"),
        pytest.param(timedelta(hours=23, minutes=29), id="by-almost-the-lookback"),
    ],
)
def test_a_row_that_lands_late_behind_the_window_is_sent(shop: ShopUnderTest, behind: timedelta) -> None:
    shop.add_rows([("in-time", "new", IN_WINDOW)])
    run_dag()
    shop.add_rows([("late", "delivered", IN_WINDOW - behind)])
    run = run_dag(logical_date=EIGHT + timedelta(hours=1))
    assert (run.account["sent"], run.account["unchanged"]) == (1, 1)
    assert shop.sandbox.state() == {"in-time": 0, "late": 1}


def test_a_window_by_hand_does_not_shorten_how_far_the_next_run_looks_back(shop: ShopUnderTest) -> None:
    shop.configure(lookback="3h")
    shop.add_rows([("first", "new", IN_WINDOW)])
    run_dag()
    shop.add_rows([("late", "delivered", IN_WINDOW - timedelta(hours=2)), ("newest", "new", "2026-03-01 10:59:00")])
    by_hand = {"window_start": "2026-03-01T07:30:00Z", "window_end": "2026-03-01T11:00:00Z"}
    assert run_dag(logical_date=EIGHT + timedelta(hours=3), **by_hand).account["read"] == 2
    run_dag(logical_date=EIGHT + timedelta(hours=4))
    assert shop.sandbox.state() == {"first": 0, "late": 1, "newest": 0}


@pytest.mark.parametrize("cause", ["rees46-refuses", "query-without-its-columns"])
def test_nothing_is_lost_of_the_days_before_a_shops_first_success(shop: ShopUnderTest, cause: str) -> None:
    shop.configure(lookback="0h")
    shop.add_rows([("1", "delivered", IN_WINDOW)])
    if cause == "query-without-its-columns":
        (shop.shops / "orders.sql").write_text("SELECT 1 AS id WHERE :window_start < :window_end")
    shop.sandbox.reset(fault="403@1")
    assert [run_dag(logical_date=EIGHT + timedelta(hours=hours)).state for hours in (0, 1)] == ["failed", "failed"]
    (shop.shops / "orders.sql").write_text(QUERY)
    shop.sandbox.reset()
    assert run_dag(logical_date=EIGHT + timedelta(days=4)).state == "success"
    assert shop.sandbox.state() == {"1": 1}


def test_one_run_catches_up_after_an_outage_of_days(shop: ShopUnderTest) -> None:
    run_dag()
    shop.add_rows([("in-the-outage", "delivered", IN_WINDOW + timedelta(hours=3))])
    run_dag(logical_date=EIGHT + timedelta(days=4))
    assert shop.sandbox.state() == {"in-the-outage": 1}


@pytest.mark.parametrize(
    "ahead",
    [
        pytest.param(timedelta(0), id="at-its-edge"),
        pytest.param(timedelta(minutes=5), id="its-writer-has-a-fast-clock"),
    ],
)
def test_a_row_at_the_end_of_a_window_belongs_to_the_next_run(shop: ShopUnderTest, ahead: timedelta) -> None:
    shop.configure(lookback="0h")
    shop.add_rows([("edge", "delivered", EIGHT.replace(tzinfo=None) + ahead)])
    assert run_dag().account["read"] == 0
    assert run_dag(logical_date=EIGHT + timedelta(hours=1)).account["sent"] == 1


@pytest.mark.parametrize(
    ("dag_id", "of_its_own"),
    [
        pytest.param(
            "order_status_sync_test",
            {"window_start": "2026-03-01T10:00:00Z", "window_end": "2026-03-01T11:00:00Z"},
            id="by-hand",
        ),
        pytest.param("order_status_history_test", {"logical_date": EIGHT.replace(month=5)}, id="history"),
        pytest.param("order_status_sync_test", {"logical_date": EIGHT.replace(hour=11), "dry_run": True}, id="dry-run"),
    ],
)
def test_a_run_beside_the_schedule_does_not_make_the_next_scheduled_run_skip_a_row(
    shop: ShopUnderTest, dag_id: str, of_its_own: dict[str, Any]
) -> None:
    shop.configure(lookback="0h")
    run_dag()
    shop.add_rows([("1", "delivered", IN_WINDOW + timedelta(hours=1))])
    assert run_dag(dag_id, **of_its_own).state == "success"
    assert shop.sandbox.state() == {}
    run_dag(logical_date=EIGHT.replace(hour=12))
    assert shop.sandbox.state() == {"1": 1}


def test_a_run_without_a_data_interval_takes_its_window_from_the_last_success(shop: ShopUnderTest) -> None:
    run_dag()
    shop.add_rows([("1", "new", IN_WINDOW + timedelta(hours=5))])
    assert run_dag(logical_date=None, run_after=EIGHT + timedelta(hours=6)).account["sent"] == 1


def test_history_over_a_table_of_events_never_overwrites_what_came_later(shop: ShopUnderTest) -> None:
    january = "2026-01-15 12:00:00"
    shop.add_rows([("1", "paid", january), ("2", "paid", january), ("1", "delivered", IN_WINDOW)])
    run_dag()
    assert shop.sandbox.state() == {"1": 1}
    run = run_dag("order_status_history_test", logical_date=EIGHT.replace(month=2, day=1, hour=0))
    assert run.state == "success"
    assert (run.account["stale"], run.account["sent"]) == (1, 1)
    assert shop.sandbox.state() == {"1": 1, "2": 0}
