"""When a shop is fresh."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from rees46_sync.monitoring.freshness import standing_of
from rees46_sync.monitoring.page.queries import Reports, open_reports
from rees46_sync.shop.shop import Shop
from tests.conftest import ShopUnderTest
from tests.monitoring.page.test_queries import DAY, HOUR, NOON, save_run


@pytest.fixture
def reports(empty_database: str) -> Iterator[Reports]:
    with open_reports(empty_database, "test") as reports:
        reports.ledger.create()
        yield reports


@pytest.fixture
def two_hours(shop: ShopUnderTest) -> Shop:
    return shop.configure(freshness="2h")


@pytest.mark.parametrize(
    ("success", "change", "lost"),
    [
        pytest.param(HOUR, HOUR, False, id="both-young"),
        pytest.param(2 * HOUR, 2 * HOUR, False, id="just-in-time"),
        pytest.param(3 * HOUR, 3 * HOUR, True, id="no-success-for-long"),
        pytest.param(HOUR, 3 * HOUR, True, id="an-old-run-was-cleared-a-moment-ago"),
    ],
)
def test_a_shop_is_fresh_as_long_as_neither_a_success_nor_a_change_is_waited_for_too_long(
    reports: Reports, two_hours: Shop, success: timedelta, change: timedelta, lost: bool
) -> None:
    save_run(reports.ledger, "1", finished_at=NOON - success, window_end=NOON - change, started_at=NOON - success)

    standing = standing_of(reports, two_hours, NOON)

    assert (standing.success_age, standing.change_age, standing.lost) == (success, change, lost)


@pytest.mark.parametrize(
    ("first_seen", "lost"), [(None, True), (NOON - HOUR, False), (NOON - 3 * HOUR, True)], ids=["never", "now", "long"]
)
def test_a_shop_without_a_success_has_its_time_from_when_it_was_first_seen(
    reports: Reports, two_hours: Shop, first_seen: None, lost: bool
) -> None:
    save_run(reports.ledger, "1", finished_at=NOON - DAY, outcome="failed")
    assert standing_of(reports, two_hours, NOON, first_seen).lost is lost


def test_a_ledger_without_tables_is_one_without_a_success(empty_database: str, two_hours: Shop) -> None:
    with open_reports(empty_database, "test") as reports:
        standing = standing_of(reports, two_hours, NOON)
    assert (standing.success_age, standing.change_age, standing.lost) == (None, None, True)
