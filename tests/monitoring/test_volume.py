"""When the number of changes is unusual."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from rees46_sync.ledger.database import Ledger
from rees46_sync.monitoring import volume
from rees46_sync.monitoring.volume import Slot, is_unusual
from tests.monitoring.builders import HOUR, save_run

MONDAY_TEN = datetime(2026, 3, 2, 10, tzinfo=UTC)
WEEK = timedelta(days=7)


@pytest.mark.parametrize(
    ("sent", "usual", "unusual"),
    [
        pytest.param(0, [100, 120, 90], None, id="three-weeks-are-not-enough"),
        pytest.param(0, [100, 120, 90, 110], True, id="none-instead-of-many"),
        pytest.param(100, [100, 120, 90, 110], False, id="as-usual"),
        pytest.param(30, [100, 120, 90, 110], False, id="a-third"),
        pytest.param(20, [100, 120, 90, 110], True, id="a-fifth"),
        pytest.param(400, [100, 120, 90, 110], False, id="four-times"),
        pytest.param(600, [100, 120, 90, 110], True, id="six-times"),
        pytest.param(0, [5, 5, 5, 5], False, id="none-instead-of-few"),
        pytest.param(0, [10, 10, 10, 10], True, id="none-instead-of-ten"),
        pytest.param(0, [0, 0, 0, 0], False, id="none-at-night"),
        pytest.param(5, [0, 0, 0, 0], False, id="a-few-at-night"),
        pytest.param(400, [0, 0, 0, 0], True, id="many-at-night"),
        pytest.param(0, [5, 10, 30, 60, 100], False, id="weeks-that-are-all-different"),
        pytest.param(0, [20, 25, 30, 35, 40], True, id="weeks-that-differ"),
        pytest.param(0, [100, 110, 0, 105, 95], True, id="one-week-without-data"),
        pytest.param(0, [1_000, 900, 950, 200_000], True, id="one-week-caught-up-after-an-outage"),
    ],
)
def test_a_number_is_unusual_if_it_differs_by_the_factor_and_by_more_than_the_spread_of_the_weeks(
    sent: int, usual: list[int], unusual: bool | None
) -> None:
    assert is_unusual(sent, usual, 5) is unusual


@pytest.mark.parametrize(
    ("schedule", "start"),
    [("@hourly", MONDAY_TEN - HOUR), ("*/15 * * * *", MONDAY_TEN - HOUR / 4), ("0 10 * * *", MONDAY_TEN - 24 * HOUR)],
)
def test_a_slot_is_the_time_between_two_scheduled_runs(schedule: str, start: datetime) -> None:
    assert Slot.ending(MONDAY_TEN, schedule) == Slot(start, MONDAY_TEN)


@pytest.fixture
def ledger(empty_database: str) -> Iterator[Ledger]:
    ledger = Ledger.from_conn_id(empty_database)
    ledger.migrate()
    yield ledger
    ledger.engine.dispose()


def test_the_usual_number_is_from_regular_runs_of_the_same_hour_in_the_last_weeks(ledger: Ledger) -> None:
    slot = Slot(MONDAY_TEN - HOUR, MONDAY_TEN)
    for week in range(1, volume.WEEKS + 3):
        save_run(ledger, f"scheduled-{week}", sent=100 + week, window_end=MONDAY_TEN - week * WEEK)
    save_run(ledger, "in-between", sent=50, window_end=MONDAY_TEN - WEEK - HOUR / 2)
    save_run(ledger, "hour-before", sent=7, window_end=MONDAY_TEN - WEEK - HOUR)
    save_run(ledger, "backfill", sent=9000, window_end=MONDAY_TEN - WEEK, window_widened=False)
    save_run(ledger, "of-another-shop", sent=9000, window_end=MONDAY_TEN - WEEK, shop="other")
    save_run(ledger, "scheduled-3", sent=0, window_end=MONDAY_TEN - 3 * WEEK, outcome="failed")
    save_run(ledger, "scheduled-4", sent=9104, resent=9000, window_end=MONDAY_TEN - 4 * WEEK)
    save_run(ledger, "scheduled-5", sent=5, held=100, window_end=MONDAY_TEN - 5 * WEEK)

    assert volume.usual_counts(ledger, "test", slot) == [151, 102, 104, 106, 107, 108]
    assert volume.sent_in(ledger, "test", slot) is None
