"""Which windows were delivered, and the gaps between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rees46_sync.ledger.coverage import Coverage, coverage
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.retention import remove_older
from rees46_sync.ledger.runs import Runs
from tests.ledger.builders import NO_LOOKBACK, hour, named, regular, run_record


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    opened = open_ledger()
    opened.migrate()
    return opened


def save(ledger: Ledger, *runs: dict[str, Any]) -> None:
    for number, run in enumerate(runs):
        Runs(ledger).save(**run_record(f"run-{number}", **run))


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        pytest.param([], Coverage(), id="no-run"),
        pytest.param([regular(0, 1, outcome="failed")], Coverage(), id="none-has-succeeded"),
        pytest.param([regular(0, 1), regular(1, 2)], Coverage(hour(0), hour(2)), id="windows-that-touch"),
        pytest.param([regular(-24, 1), regular(-23, 2)], Coverage(hour(-24), hour(2)), id="windows-that-overlap"),
        pytest.param([regular(4, 5), named(0, 1)], Coverage(hour(0), hour(5), ((hour(1), hour(4)),)), id="a-gap"),
        pytest.param([named(0, 1), regular(4, 5), named(1, 4)], Coverage(hour(0), hour(5)), id="a-closed-gap"),
        pytest.param(
            [named(0, 9), named(1, 2), regular(9.5, 10)],
            Coverage(hour(0), hour(10), ((hour(9), hour(9.5)),)),
            id="a-short-window-inside-a-long-one",
        ),
        pytest.param(
            [regular(0, 1) | {"held": 3}, regular(2, 3)],
            Coverage(hour(2), hour(3), ((hour(0), hour(2)),)),
            id="held-orders-are-not-delivered",
        ),
        pytest.param(
            [named(0, 1, outcome="failed"), regular(5, 6)],
            Coverage(hour(5), hour(6), ((hour(0), hour(5)),)),
            id="what-failed-first-is-due-as-well",
        ),
        pytest.param([named(0, 9, read_at=2)], Coverage(hour(0), hour(2)), id="no-further-than-it-was-read"),
        pytest.param([regular(0, 1) | {"shop": "other"}], Coverage(), id="of-another-shop"),
    ],
)
def test_gaps_are_what_no_run_has_delivered(ledger: Ledger, runs: list[dict[str, Any]], expected: Coverage) -> None:
    save(ledger, *runs)
    assert coverage(ledger, "test") == expected


def test_what_removed_runs_had_covered_stays_covered(ledger: Ledger) -> None:
    backfill = [named(-200 + month, -199 + month) for month in range(3)]
    hourly = [regular(number, number + 1) for number in range(3)]
    save(ledger, *backfill, *hourly, regular(5, 6))
    before = coverage(ledger, "test")
    assert before == Coverage(hour(-200), hour(6), ((hour(-197), hour(0)), (hour(3), hour(5))))

    for _ in range(2):
        removed = remove_older(ledger, "test", hour(5), NO_LOOKBACK)

        assert coverage(ledger, "test") == before
    assert removed["rees46_sync_runs"] == 0
