"""Up to when the data shows to be loaded: a loader that is down is told from a shop that is quiet."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from rees46_sync.ledger.database import Ledger
from rees46_sync.monitoring.late_data import DataRead, DataState, data_state
from rees46_sync.shop.shop import Shop
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest
from tests.monitoring.builders import DAY, HOUR, MINUTE, NOON, save_run

WEEK = 7 * DAY


@pytest.fixture
def ledger(empty_database: str) -> Ledger:
    opened = Ledger.from_conn_id(empty_database)
    opened.migrate()
    return opened


@pytest.fixture
def configured(shop: ShopUnderTest) -> Shop:
    return shop.configure(lookback="2h", freshness="24h")


def save_read(ledger: Ledger, end: datetime, lag: timedelta) -> None:
    """Store a regular run that found the data so far behind the end of its window."""
    times = {"window_start": end - DAY, "window_end": end, "started_at": end, "finished_at": end}
    save_run(ledger, f"run-{end}", **times, data_until=end - lag, newest_updated_at=end - lag)


def read(newest: datetime | None, *, end: datetime = NOON, is_regular: bool = True, **more: Any) -> DataRead:
    return DataRead(Window(end - 9 * DAY, end, is_regular=is_regular), end, newest, **more)


def state(ledger: Ledger, shop: Shop, newest: datetime | None, **more: Any) -> DataState:
    return data_state(ledger, shop, read(newest, **more))


@pytest.mark.parametrize(
    ("lag", "is_late"),
    [pytest.param(23 * HOUR, False, id="within-freshness"), pytest.param(25 * HOUR, True, id="beyond-it")],
)
def test_of_a_new_shop_data_is_late_beyond_freshness(
    ledger: Ledger, configured: Shop, lag: timedelta, is_late: bool
) -> None:
    found = state(ledger, configured, NOON - lag)
    assert (found.until, found.lag, found.is_late) == (NOON - lag, lag, is_late)


@pytest.mark.parametrize(
    ("lag", "is_late"),
    [(90 * MINUTE, False), (3 * HOUR, True)],
    ids=["twice-the-usual-lag", "more-than-that"],
)
def test_of_a_known_shop_it_is_late_beyond_what_is_usual_at_this_hour_of_the_week(
    ledger: Ledger, configured: Shop, lag: timedelta, is_late: bool
) -> None:
    for week in range(1, 5):
        save_read(ledger, NOON - week * WEEK, 45 * MINUTE)
        save_read(ledger, NOON - week * WEEK - 9 * HOUR, 8 * HOUR)  # the nights are quiet
    found = state(ledger, configured, NOON - lag)
    assert found.is_late is is_late
    assert found.usual.usual == 45 * MINUTE


@pytest.mark.parametrize(("lag", "is_late"), [(HOUR, False), (HOUR + MINUTE, True)], ids=["an-hour", "more"])
def test_less_than_an_hour_is_never_late(ledger: Ledger, configured: Shop, lag: timedelta, is_late: bool) -> None:
    for week in range(1, 5):
        save_read(ledger, NOON - week * WEEK, MINUTE)
    assert state(ledger, configured, NOON - lag).is_late is is_late


def test_a_shop_that_closes_at_weekends_is_not_late_on_a_sunday(ledger: Ledger, configured: Shop) -> None:
    assert NOON.isoweekday() == 7
    for week in range(1, 5):
        save_read(ledger, NOON - week * WEEK, 40 * HOUR)
    assert not state(ledger, configured, NOON - 42 * HOUR).is_late


def test_the_lags_of_the_outage_itself_are_not_usual(ledger: Ledger, configured: Shop) -> None:
    for hours in range(72):
        save_read(ledger, NOON - hours * HOUR, (72 - hours) * HOUR)
    assert state(ledger, configured, NOON - 72 * HOUR).is_late


def test_a_hole_before_the_newest_rows_is_the_end_of_the_data(ledger: Ledger, configured: Shop) -> None:
    stopped = NOON - 3 * DAY
    save_read(ledger, stopped + HOUR, HOUR)
    found = state(ledger, configured, NOON - MINUTE, empty_spans=[(stopped, NOON - HOUR)])
    assert (found.until, found.is_late, found.hole) == (stopped, True, (stopped, NOON - HOUR))


@pytest.mark.parametrize(
    "hole",
    [
        pytest.param((NOON - 20 * HOUR, NOON - HOUR), id="a-night"),
        pytest.param((NOON - 10 * DAY, NOON - 9 * DAY), id="before-what-was-delivered"),
    ],
)
def test_another_hole_is_not(ledger: Ledger, configured: Shop, hole: tuple[datetime, datetime]) -> None:
    save_read(ledger, NOON - 8 * DAY, HOUR)
    found = state(ledger, configured, NOON - MINUTE, empty_spans=[hole])
    assert (found.until, found.is_late, found.hole) == (NOON - MINUTE, False, None)


@pytest.mark.parametrize(("waited", "is_waited_for"), [(6 * DAY, True), (8 * DAY, False)], ids=["a-week", "no-longer"])
def test_what_remains_of_a_hole_is_waited_for(
    ledger: Ledger, configured: Shop, waited: timedelta, is_waited_for: bool
) -> None:
    start, noticed = NOON - 20 * DAY, NOON - waited
    times = {"window_start": start, "window_end": noticed, "started_at": noticed, "finished_at": noticed}
    save_run(ledger, "noticed", **times, data_until=start, newest_updated_at=noticed)
    found = state(ledger, configured, NOON, empty_spans=[(start, start + 3 * HOUR)])
    assert (found.hole is not None) is is_waited_for
    assert found.until == (start if is_waited_for else NOON)
    assert not found.is_late


def test_what_was_delivered_before_is_not_taken_back_by_a_hole(ledger: Ledger, configured: Shop) -> None:
    save_read(ledger, NOON - 30 * HOUR, HOUR)
    hole = (NOON - 60 * HOUR, NOON - 2 * HOUR)
    assert state(ledger, configured, NOON, empty_spans=[hole]).until == NOON - 31 * HOUR


def test_what_the_loader_says_decides_if_it_says_something(ledger: Ledger, shop: ShopUnderTest) -> None:
    (shop.shops / "until.sql").write_text("SELECT max(at) FROM loads")
    configured = shop.configure(loaded_until="until.sql")
    found = state(ledger, configured, NOON - MINUTE, loaded_until=NOON - 30 * HOUR)
    assert (found.until, found.is_late) == (NOON - 30 * HOUR, True)
    assert state(ledger, configured, None, loaded_until=NOON + HOUR).until == NOON


def test_a_day_goes_up_to_its_end(ledger: Ledger, configured: Shop) -> None:
    midnight = NOON.replace(hour=0)
    assert state(ledger, configured, midnight - DAY, whole_days=True).until == midnight
    assert state(ledger, configured, midnight, whole_days=True).until == NOON


def test_a_run_with_a_window_of_its_own_covers_what_it_read_and_is_never_late(ledger: Ledger, configured: Shop) -> None:
    found = state(ledger, configured, NOON - 5 * DAY, is_regular=False, empty_spans=[(NOON - 8 * DAY, NOON - 5 * DAY)])
    assert (found.until, found.is_late) == (NOON - 5 * DAY, False)


def test_without_a_row_nothing_more_is_covered_than_before(ledger: Ledger, configured: Shop) -> None:
    save_read(ledger, NOON - HOUR, HOUR)
    assert state(ledger, configured, None).until == NOON - 2 * HOUR


@pytest.mark.parametrize("had_rows", [False, True], ids=["it-may-be-new", "they-are-gone"])
def test_a_shop_without_rows_is_late_only_if_it_had_some(ledger: Ledger, configured: Shop, had_rows: bool) -> None:
    if had_rows:
        save_read(ledger, NOON - 9 * DAY, HOUR)
    assert state(ledger, configured, None).is_late is had_rows


def test_the_first_window_of_an_empty_shop_is_covered_from_its_interval_on(ledger: Ledger, configured: Shop) -> None:
    assert state(ledger, configured, None).until == NOON - 9 * DAY + 2 * HOUR
