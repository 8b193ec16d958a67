"""The record of a run, and the watermark: the time up to which changes were read and delivered."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import Runs
from rees46_sync.ledger.tables import sync_runs
from tests.ledger.builders import NO_LOOKBACK, TOKYO, hour, named, regular, run_record, select_rows

NO_WINDOW = {"window_start": None, "window_end": None, "window_widened": False}
HELD = {"held": 1}
A_MOMENT = 1e-6 / 3600 * 1000  # a millisecond, in hours


def test_all_columns_of_a_run_record_are_stored(ledger: Ledger) -> None:
    parts = {"sent": 1, "unchanged": 2, "superseded": 1, "stale": 1, "reopened": 1, "rejected": 1, "held": 1}
    record = run_record("run-1", **parts, read=8, requests=2, resent=1)

    Runs(ledger).save(**record)

    stored = select_rows(ledger, sync_runs)
    assert [{name: row[name] for name in record} for row in stored] == [record]


def test_the_record_of_a_repeated_run_replaces_its_earlier_one(ledger: Ledger) -> None:
    Runs(ledger).save(**run_record("run-1", outcome="failed", failed=3))
    Runs(ledger).save(**run_record("run-1", dag_id="another-dag", failed=9))
    Runs(ledger).save(**run_record("run-1", outcome="success", sent=3))

    stored = select_rows(ledger, sync_runs)
    assert {(row["dag_id"], row["outcome"], row["sent"], row["failed"]) for row in stored} == {
        ("dag", "success", 3, 0),
        ("another-dag", "success", 0, 9),
    }
    assert len(stored) == 2


@pytest.mark.parametrize(
    ("runs", "watermark"),
    [
        pytest.param([], None, id="no-run"),
        pytest.param([regular(0, 1)], 1, id="one-run"),
        pytest.param([regular(0, 1), regular(0, 2)], 2, id="two-runs"),
        pytest.param([regular(0, 2), regular(0, 1)], 2, id="an-older-run-was-repeated"),
        pytest.param([regular(0, 1, outcome="failed")], 0, id="only-a-failed-run"),
        pytest.param([regular(0, 1, outcome="failed"), regular(1, 2, outcome="failed")], 0, id="only-failed-runs"),
        pytest.param([named(0, 1, outcome="failed")], None, id="only-a-named-window-that-failed"),
        pytest.param([regular(0, 1), regular(0, 2, outcome="failed")], 1, id="the-last-run-failed"),
        pytest.param([regular(0, 1), regular(1, 2, outcome="failed"), regular(1, 3)], 3, id="a-failed-run-in-between"),
        pytest.param([regular(0, 1), NO_WINDOW | {"outcome": "failed"}], 1, id="a-failed-run-without-a-window"),
        pytest.param([NO_WINDOW], None, id="a-success-without-a-window"),
        pytest.param([named(0, 1)], None, id="only-a-named-window"),
        pytest.param([regular(0, 1), named(1, 2)], 2, id="a-named-window-continues"),
        pytest.param([regular(0, 2), named(1, 5)], 5, id="a-named-window-overlaps"),
        pytest.param([regular(0, 3), named(1, 2)], 3, id="a-named-window-inside"),
        pytest.param([regular(0, 1), named(2, 5)], 1, id="a-named-window-beyond-a-gap"),
        pytest.param([regular(0, 1), named(1 + A_MOMENT, 5)], 1, id="a-gap-of-a-moment"),
        pytest.param([regular(0, 1), named(1, 2, outcome="failed")], 1, id="a-named-window-failed"),
        pytest.param([regular(0, 1), named(1, 2), named(2, 3)], 3, id="two-named-windows-continue"),
        pytest.param([regular(0, 1), named(2, 3), named(1, 2)], 3, id="a-gap-that-was-closed-later"),
        pytest.param([regular(0, 1), named(1, 2, outcome="failed"), named(2, 3)], 1, id="a-gap-that-was-not-closed"),
        pytest.param([regular(0, 1), named(0, 9), named(3, 4)], 9, id="a-short-window-does-not-shorten"),
        pytest.param([named(0, 5), regular(0, 1), regular(0, 7)], 7, id="a-regular-run-after-them"),
        pytest.param([regular(0, 10, read_at=2)], 2, id="a-window-that-ends-in-the-future"),
        pytest.param([regular(0, 1), named(1, 10, read_at=3)], 3, id="a-named-window-that-ends-in-the-future"),
        pytest.param([regular(0, 10, read_at=2), named(2, 4)], 4, id="continued-from-the-time-it-was-read"),
        pytest.param([regular(0, 10, read_at=2), named(3, 4)], 2, id="not-continued-from-the-time-it-was-read"),
        pytest.param([regular(0, 5), named(6, 9, read_at=4)], 5, id="a-window-wholly-in-the-future"),
        pytest.param([regular(0, 1), regular(0, 2) | HELD], 1, id="a-run-that-held-orders-back"),
        pytest.param([regular(0, 1), named(0, 2) | HELD], 1, id="a-named-window-that-held-orders-back"),
        pytest.param([regular(0, 1) | HELD], 0, id="only-a-run-that-held-orders-back"),
    ],
)  # fmt: skip
def test_the_watermark_is_the_time_up_to_which_changes_were_read_and_delivered(
    ledger: Ledger, runs: list[dict[str, Any]], watermark: float | None
) -> None:
    for number, run in enumerate(runs):
        Runs(ledger).save(**run_record(f"run-{number}", **run))

    assert Runs(ledger).watermark("test", NO_LOOKBACK) == (None if watermark is None else hour(watermark))


@pytest.mark.parametrize(
    ("runs", "watermark"),
    [
        pytest.param([regular(0, 9)], 9, id="a-regular-run-looks-back-itself"),
        pytest.param([regular(0, 9, outcome="failed")], 2, id="so-does-the-one-after-a-failed-first"),
        pytest.param([regular(0, 9), named(7 + A_MOMENT, 10)], 9, id="too-short-by-a-moment"),
        pytest.param([regular(0, 9), named(7, 10)], 10, id="as-far-back-as-the-lookback"),
        pytest.param([regular(0, 9), named(7, 10), named(9, 12)], 10, id="the-second-does-not-look-back-far-enough"),
        pytest.param([regular(0, 9), named(7, 10), named(8, 12)], 12, id="each-looks-back-from-the-one-before"),
    ],
)
def test_a_named_window_counts_only_if_it_looks_back_for_late_rows(
    ledger: Ledger, runs: list[dict[str, Any]], watermark: float
) -> None:
    for number, run in enumerate(runs):
        Runs(ledger).save(**run_record(f"run-{number}", **run))

    assert Runs(ledger).watermark("test", timedelta(hours=2)) == hour(watermark)


def test_a_repeated_run_that_fails_covers_nothing_any_more(ledger: Ledger) -> None:
    Runs(ledger).save(**run_record("run-1", **regular(0, 1)))
    Runs(ledger).save(**run_record("run-2", **regular(0, 2)))
    Runs(ledger).save(**run_record("run-2", **regular(0, 2, outcome="failed")))

    assert Runs(ledger).watermark("test", NO_LOOKBACK) == hour(1)


@pytest.mark.parametrize(
    ("later", "is_recovered"),
    [
        pytest.param(regular(0, 3), True, id="delivered"),
        pytest.param(regular(0, 3, outcome="failed"), False, id="failed"),
        pytest.param(regular(0, 3) | HELD, False, id="held-orders-back"),
    ],
)
def test_a_failed_window_is_recovered_by_a_later_run_that_delivered_it(
    ledger: Ledger, later: dict[str, Any], is_recovered: bool
) -> None:
    Runs(ledger).save(**run_record("run-1", **regular(1, 2, outcome="failed")))
    Runs(ledger).save(**run_record("run-2", **later, finished_at=hour(9)))

    is_missing = (hour(1), hour(2)) in Runs(ledger).failed_windows("test", "dag")
    assert is_missing is not is_recovered


@pytest.mark.parametrize(
    ("runs", "last"),
    [
        pytest.param([], None, id="no-run"),
        pytest.param([regular(0, 1), regular(0, 2)], 1, id="none-yet"),
        pytest.param([regular(0, 1, outcome="failed"), regular(0, 2) | HELD, regular(0, 3)], 3, id="first-delivery"),
        pytest.param([named(0, 1), regular(0, 2)], 2, id="a-named-window-is-no-regular-run"),
        pytest.param([regular(0, 1), regular(0, 2) | {"resent": 0}, regular(0, 3)], 2, id="nothing-was-unchanged"),
        pytest.param([regular(0, 2) | {"resent": 7}, regular(0, 4) | {"resent": 7}], 4, id="the-latest"),
        pytest.param(
            [regular(0, 2) | {"resent": 7}, regular(0, 4, outcome="failed") | {"resent": 7}], 2, id="a-later-one-failed"
        ),
        pytest.param([regular(0, 1), regular(0, 9) | {"run_id": "own", "resent": 7}], 1, id="its-own-does-not-count"),
        pytest.param([regular(0, 1), regular(0, 9) | {"shop": "other", "resent": 7}], 1, id="another-shops"),
    ],
)
def test_the_last_resend_is_the_latest_that_succeeded_or_the_first_success(
    ledger: Ledger, runs: list[dict[str, Any]], last: float | None
) -> None:
    for number, run in enumerate(runs):
        Runs(ledger).save(**run_record(**{"run_id": f"run-{number}", **run}))

    assert Runs(ledger).last_resend("test", "dag", "own") == (None if last is None else hour(last))


def test_each_shop_has_a_watermark_of_its_own(ledger: Ledger) -> None:
    Runs(ledger).save(**run_record("run-1", **regular(0, 1)))
    Runs(ledger).save(**run_record("run-2", shop="other", **regular(0, 5)))
    Runs(ledger).save(**run_record("run-3", shop="third", **named(1, 9)))

    assert [Runs(ledger).watermark(shop, NO_LOOKBACK) for shop in ("test", "other", "third")] == [
        hour(1),
        hour(5),
        None,
    ]


def test_the_watermark_is_aware_and_in_utc(ledger: Ledger) -> None:
    Runs(ledger).save(**run_record("run-1", window_end=datetime(2026, 3, 1, 20, tzinfo=TOKYO)))

    watermark = Runs(ledger).watermark("test", NO_LOOKBACK)

    assert watermark == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert watermark.utcoffset() == timedelta(0)


def test_two_attempts_that_save_the_same_run_at_once_leave_one_record(
    ledger: Ledger, open_ledger: Callable[[], Ledger]
) -> None:
    ledgers = [open_ledger() for _ in range(2)]

    with ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            list(threads.map(lambda one: Runs(one).save(**run_record("run-1")), ledgers))

    assert len(select_rows(ledger, sync_runs)) == 1
