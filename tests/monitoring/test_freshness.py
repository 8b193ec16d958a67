"""How far the regular runs of a shop got, and when the shop is fresh."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.tables import in_flight_requests
from rees46_sync.monitoring.freshness import freshness_status, sync_progress
from rees46_sync.shop.shop import Shop
from tests.conftest import ShopUnderTest
from tests.monitoring.builders import DAY, HOUR, NOON, save_run


@pytest.fixture
def new_ledger(empty_database: str) -> Iterator[Ledger]:
    """A ledger without tables."""
    ledger = Ledger.from_conn_id(empty_database)
    yield ledger
    ledger.engine.dispose()


@pytest.fixture
def ledger(new_ledger: Ledger) -> Ledger:
    new_ledger.migrate()
    return new_ledger


@pytest.fixture
def two_hours(shop: ShopUnderTest) -> Shop:
    return shop.configure(freshness="2h")


# Progress


def test_the_last_success_is_that_of_the_regular_runs(ledger: Ledger) -> None:
    save_run(ledger, "hourly", finished_at=NOON)
    save_run(ledger, "own-window", finished_at=NOON + HOUR, window_widened=False)
    save_run(ledger, "of-another-shop", finished_at=NOON + 2 * HOUR, shop="other")
    save_run(ledger, "held-orders-back", finished_at=NOON + HOUR / 2, held=1)
    save_run(ledger, "failed-before", finished_at=NOON - HOUR, outcome="failed")
    save_run(ledger, "failed-1", finished_at=NOON + HOUR, outcome="failed")
    save_run(ledger, "failed-2", finished_at=NOON + 2 * HOUR, outcome="failed")

    progress = sync_progress(ledger, "test", DAY)

    assert progress.last_success == NOON
    assert progress.failed_since == 2


def test_the_watermark_is_no_later_than_the_window_that_was_really_read(ledger: Ledger) -> None:
    save_run(ledger, "1", window_end=NOON - HOUR, started_at=NOON, finished_at=NOON + HOUR)
    assert sync_progress(ledger, "test", DAY).watermark == NOON - HOUR


@pytest.mark.parametrize("failures", [0, 1])
def test_before_the_first_success_there_is_no_watermark(ledger: Ledger, failures: int) -> None:
    for number in range(failures):
        save_run(ledger, str(number), outcome="failed")
    progress = sync_progress(ledger, "test", DAY)
    assert (progress.last_success, progress.watermark, progress.failed_since) == (None, None, failures)


# Freshness


@pytest.mark.parametrize(
    ("success", "change", "breached"),
    [
        pytest.param(HOUR, HOUR, False, id="both-young"),
        pytest.param(2 * HOUR, 2 * HOUR, False, id="just-in-time"),
        pytest.param(3 * HOUR, 3 * HOUR, True, id="no-success-for-long"),
        pytest.param(HOUR, 3 * HOUR, True, id="an-old-run-was-cleared-a-moment-ago"),
    ],
)
def test_a_shop_is_fresh_if_neither_its_last_success_nor_its_oldest_change_is_too_old(
    ledger: Ledger, two_hours: Shop, success: timedelta, change: timedelta, breached: bool
) -> None:
    save_run(ledger, "1", finished_at=NOON - success, window_end=NOON - change, started_at=NOON - success)

    status = freshness_status(ledger, two_hours, NOON)

    assert (status.success_age, status.change_age, status.breached) == (success, change, breached)


@pytest.mark.parametrize(
    ("first_seen", "breached"),
    [(None, True), (NOON - HOUR, False), (NOON - 3 * HOUR, True)],
    ids=["never", "now", "long"],
)
def test_the_time_of_a_shop_without_a_success_starts_when_it_is_first_seen(
    ledger: Ledger, two_hours: Shop, first_seen: datetime | None, breached: bool
) -> None:
    save_run(ledger, "1", finished_at=NOON - DAY, outcome="failed")
    assert freshness_status(ledger, two_hours, NOON, first_seen).breached is breached


def test_a_ledger_without_tables_has_no_success(new_ledger: Ledger, two_hours: Shop) -> None:
    status = freshness_status(new_ledger, two_hours, NOON)
    assert (status.success_age, status.change_age, status.breached) == (None, None, True)


def test_the_success_of_a_ledger_that_no_run_has_migrated_yet_counts(ledger: Ledger, two_hours: Shop) -> None:
    save_run(ledger, "1", finished_at=NOON)
    in_flight_requests.drop(ledger.engine)  # an older schema has this table under another name
    assert freshness_status(ledger, two_hours, NOON).success_age == timedelta(0)
