"""When the number of changes is far off the usual."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from rees46_sync.ledger.database import Ledger
from rees46_sync.monitoring import volume
from rees46_sync.monitoring.volume import Slot, is_far_off
from tests.monitoring.page.test_queries import save_run

MONDAY_TEN = datetime(2026, 3, 2, 10, tzinfo=UTC)
HOUR, WEEK = timedelta(hours=1), timedelta(days=7)


@pytest.mark.parametrize(
    ("sent", "usual", "far_off"),
    [
        pytest.param(0, [100, 120, 90], None, id="three-weeks-are-not-enough"),
        pytest.param(0, [100, 120, 90, 110], True, id="nothing-where-there-are-many"),
        pytest.param(100, [100, 120, 90, 110], False, id="as-ever"),
        pytest.param(30, [100, 120, 90, 110], False, id="a-third"),
        pytest.param(20, [100, 120, 90, 110], True, id="a-fifth"),
        pytest.param(400, [100, 120, 90, 110], False, id="four-times"),
        pytest.param(600, [100, 120, 90, 110], True, id="six-times"),
        pytest.param(0, [5, 5, 5, 5], False, id="nothing-where-there-are-few"),
        pytest.param(0, [10, 10, 10, 10], True, id="nothing-where-there-are-ten"),
        pytest.param(0, [0, 0, 0, 0], False, id="nothing-at-night"),
        pytest.param(5, [0, 0, 0, 0], False, id="a-few-at-night"),
        pytest.param(400, [0, 0, 0, 0], True, id="many-at-night"),
        pytest.param(0, [5, 10, 30, 60, 100], False, id="weeks-that-have-nothing-in-common"),
        pytest.param(0, [20, 25, 30, 35, 40], True, id="weeks-that-differ"),
        pytest.param(0, [100, 110, 0, 105, 95], True, id="one-week-of-them-was-broken"),
        pytest.param(0, [1_000, 900, 950, 200_000], True, id="one-week-of-them-made-good-an-outage"),
    ],
)
def test_a_number_is_far_off_by_a_factor_and_beyond_what_weeks_differ(
    sent: int, usual: list[int], far_off: bool | None
) -> None:
    assert is_far_off(sent, usual, 5) is far_off


@pytest.mark.parametrize(
    ("schedule", "start"),
    [("@hourly", MONDAY_TEN - HOUR), ("*/15 * * * *", MONDAY_TEN - HOUR / 4), ("0 10 * * *", MONDAY_TEN - 24 * HOUR)],
)
def test_a_slot_is_as_long_as_the_schedule_makes_it(schedule: str, start: datetime) -> None:
    assert Slot.ending(MONDAY_TEN, schedule) == Slot(start, MONDAY_TEN)


@pytest.fixture
def ledger(empty_database: str) -> Iterator[Ledger]:
    ledger = Ledger.of_connection(empty_database)
    ledger.create()
    yield ledger
    ledger.engine.dispose()


def test_the_usual_is_what_regular_runs_of_the_same_hour_of_the_last_weeks_sent(ledger: Ledger) -> None:
    slot = Slot(MONDAY_TEN - HOUR, MONDAY_TEN)
    for week in range(1, volume.WEEKS + 3):
        save_run(ledger, f"scheduled-{week}", sent=100 + week, window_end=MONDAY_TEN - week * WEEK)
    save_run(ledger, "in-between", sent=50, window_end=MONDAY_TEN - WEEK - HOUR / 2)
    save_run(ledger, "hour-before", sent=7, window_end=MONDAY_TEN - WEEK - HOUR)
    save_run(ledger, "backfill", sent=9000, window_end=MONDAY_TEN - WEEK, window_widened=False)
    save_run(ledger, "of-another-shop", sent=9000, window_end=MONDAY_TEN - WEEK, shop="other")
    save_run(ledger, "scheduled-3", sent=0, window_end=MONDAY_TEN - 3 * WEEK, outcome="failed")

    assert volume.usual_of(ledger, "test", slot) == [151, 102, 104, 105, 106, 107, 108]
    assert volume.sent_in(ledger, "test", slot) is None
