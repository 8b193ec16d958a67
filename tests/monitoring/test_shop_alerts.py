"""The alerts about a shop that no run evaluates: freshness, and a run that does not end."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from time_machine import TimeMachineFixture

from rees46_sync.exceptions import FreshnessBreachedError, LedgerError
from rees46_sync.ledger.approvals import Approvals
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.extractions import Extractions
from rees46_sync.ledger.runs import RunRef
from rees46_sync.monitoring.alert_rules import after_run
from rees46_sync.monitoring.shop_alerts import evaluate_shop
from rees46_sync.shop.shop import Shop
from tests.conftest import ShopUnderTest
from tests.monitoring.builders import DAY, HOUR, MINUTE, save_success
from tests.monitoring.test_alert_rules import failed
from tests.receivers import Webhook
from tests.whole_run import EIGHT

SLOW = "test: a run takes much longer than usual"

# Freshness


@pytest.mark.clock
def test_breached_freshness_is_an_error_each_time_and_sent_once_until_it_is_over(
    shop: ShopUnderTest, ledger: Ledger, frozen_now: datetime, webhook: Webhook
) -> None:
    configured = shop.configure(notify=[{"webhook": "/alerts"}], freshness="2h")
    save_success(ledger, "1", frozen_now - 3 * HOUR)
    for _ in range(2):
        with pytest.raises(FreshnessBreachedError) as caught:
            evaluate_shop(configured)
    assert "the last successful hourly run ended 3 h ago" in str(caught.value)
    assert "a change that is not accepted yet is at most 3 h old (more than freshness: 2 h)" in str(caught.value)
    assert "see whether order_status_sync_test is paused" in str(caught.value)
    assert webhook.subjects == ["[fired] test: REES46 is not up to date"]

    save_success(ledger, "2", frozen_now - HOUR)
    for _ in range(2):
        evaluate_shop(configured)

    assert webhook.subjects[1:] == ["[recovered] test: REES46 is not up to date"]


@pytest.mark.clock
def test_the_time_of_a_shop_that_never_succeeded_starts_when_it_is_first_seen(
    shop: ShopUnderTest, ledger: Ledger, frozen_now: datetime, time_machine: TimeMachineFixture, webhook: Webhook
) -> None:
    configured = shop.configure(notify=[{"webhook": "/alerts"}], freshness="2h")
    evaluate_shop(configured)
    time_machine.shift(3 * HOUR)
    with pytest.raises(
        FreshnessBreachedError, match="no hourly run has succeeded in the 3 h since the shop was first seen"
    ):
        evaluate_shop(configured)
    assert webhook.subjects == ["[fired] test: REES46 is not up to date"]


@pytest.mark.clock
def test_the_freshness_check_sends_the_pending_messages_of_runs(
    configured: Shop, ledger: Ledger, webhook: Webhook
) -> None:
    webhook.is_down = True
    after_run(configured, ledger, failed("1", EIGHT))
    webhook.is_down = False
    evaluate_shop(configured)
    assert webhook.subjects == ["[fired] test: a run failed"]


@pytest.mark.clock
def test_a_ledger_that_does_not_answer_is_an_error_that_names_it(shop: ShopUnderTest, configured: Shop) -> None:
    shop.connect("shop_ledger", "sqlite:////nowhere/at/all/ledger.db")
    with pytest.raises(LedgerError, match="check the database of ledger_conn_id"):
        evaluate_shop(configured)


# A slow run


def save_usual_runs(ledger: Ledger, now: datetime, number: int = 10, took: timedelta = 12 * MINUTE) -> None:
    """Store the records of hourly runs, the latest of which ended half an hour ago."""
    for back in range(number):
        ended = now - back * HOUR - HOUR / 2
        save_success(ledger, f"usual-{back}", ended, started_at=ended - took, window_end=ended - took)


def start_run(ledger: Ledger, started_at: datetime, window_end: datetime | None = None) -> RunRef:
    run = RunRef("test", "order_status_sync_test", "this", f"extraction-{started_at:%H%M%S}")
    end = window_end or started_at
    Extractions(ledger).start(run, started_at, (end - HOUR, end))
    return run


@pytest.mark.clock
def test_a_run_that_takes_much_longer_than_usual_is_sent_once_and_when_it_has_ended(
    configured: Shop, ledger: Ledger, frozen_now: datetime, time_machine: TimeMachineFixture, webhook: Webhook
) -> None:
    save_usual_runs(ledger, frozen_now)
    start_run(ledger, frozen_now)
    time_machine.shift(36 * MINUTE)
    evaluate_shop(configured)
    assert webhook.subjects == []

    time_machine.shift(MINUTE)
    for _ in range(2):
        evaluate_shop(configured)
    assert webhook.subjects == [f"[fired] {SLOW}"]
    [(_, message)] = webhook.posts
    assert message["summary"].startswith("a run has been going on for 37 min; the longest of the last 10 took 12 min")
    assert message["metrics"] == {"passed_seconds": 37 * 60, "longest_seconds": 12 * 60, "limit_seconds": 36 * 60}

    ended = frozen_now + 37 * MINUTE
    save_success(ledger, "this", ended, started_at=frozen_now, window_end=frozen_now)
    evaluate_shop(configured)
    assert webhook.subjects == [f"[fired] {SLOW}", f"[recovered] {SLOW}"]


@pytest.mark.clock
@pytest.mark.parametrize("kind", ["too-few-runs", "history", "waits-for-a-person", "short-runs"])
def test_a_run_of_which_nothing_shows_that_it_is_slow_is_quiet(
    configured: Shop, ledger: Ledger, frozen_now: datetime, webhook: Webhook, kind: str
) -> None:
    save_usual_runs(ledger, frozen_now, number=4 if kind == "too-few-runs" else 5, took=MINUTE)
    started = frozen_now - (29 * MINUTE if kind == "short-runs" else 40 * MINUTE)
    run = start_run(ledger, started, frozen_now - 30 * DAY if kind == "history" else frozen_now)
    if kind == "waits-for-a-person":
        Approvals(ledger).record(run, "asked", "2 orders would change")

    evaluate_shop(configured)

    assert webhook.subjects == []
