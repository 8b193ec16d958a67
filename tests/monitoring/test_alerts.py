"""The alerts in the ledger: changes and messages, each once, also where several evaluate at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rees46_sync.ledger.database import Ledger
from rees46_sync.monitoring.alerts import CLAIM, Alerts, Change, Finding, Message
from rees46_sync.monitoring.notifications import tell
from rees46_sync.monitoring.page.queries import Reports
from rees46_sync.shop.channels import Channel
from tests.conftest import ShopUnderTest
from tests.receivers import Mailbox, mail_server

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPS = Channel(email=("ops@example.com",))
BOSS = Channel(email=("boss@example.com",))
HOOK = Channel(webhook="/alerts", events=("volume",))
FIRING = Finding(
    alert="run_failed", event="run_failed", firing=True, about=NOON, summary="it failed.", to_do="look.", figures={}
)
QUIET = replace(FIRING, firing=False, summary="it succeeded.")
AT_ONCE = 8


@pytest.fixture
def alerts(empty_database: str) -> Iterator[Alerts]:
    ledger = Ledger.of_connection(empty_database)
    ledger.create()
    yield Alerts(ledger, "test")
    ledger.engine.dispose()


def message_of(change: Change) -> Message:
    state = "fired" if change.finding.firing else "recovered"
    return {"subject": f"{state} {change.fired_at:%H:%M}"}


def record(alerts: Alerts, finding: Finding, *, at: datetime = NOON, of: tuple[Channel, ...] = (OPS,)) -> bool:
    return alerts.record(finding, of, message_of, at) is not None


def untold(alerts: Alerts, channel: Channel = OPS) -> list[str]:
    return [message["subject"] for _, message in alerts.untold(channel)]


def test_the_first_word_that_all_is_well_is_no_news(alerts: Alerts) -> None:
    assert not record(alerts, QUIET)
    assert untold(alerts) == []


def test_a_change_is_told_to_each_channel_that_wants_it_and_no_more_while_it_lasts(alerts: Alerts) -> None:
    for hour in range(3):
        finding = replace(FIRING, about=NOON + hour * HOUR)
        assert record(alerts, finding, at=NOON + hour * HOUR, of=(OPS, BOSS, HOOK)) is (hour == 0)
    assert untold(alerts, OPS) == untold(alerts, BOSS) == ["fired 12:00"]
    assert untold(alerts, HOOK) == []


def test_a_finding_about_an_older_run_changes_nothing(alerts: Alerts) -> None:
    assert record(alerts, FIRING)
    assert not record(alerts, replace(QUIET, about=NOON - HOUR))
    assert record(alerts, QUIET)
    assert not record(alerts, replace(FIRING, about=NOON - HOUR))


def test_of_an_alert_that_lasts_the_page_has_what_was_found_last_and_since_when_it_fires(alerts: Alerts) -> None:
    record(alerts, FIRING)
    record(alerts, replace(FIRING, about=NOON + HOUR, summary="it failed again."), at=NOON + HOUR)

    [shown] = Reports(alerts.ledger, "test").firing_alerts()
    assert (shown.summary, shown.since) == ("it failed again.", NOON)


def test_alerts_and_shops_do_not_touch_each_other(alerts: Alerts) -> None:
    assert record(alerts, FIRING)
    assert not record(alerts, replace(QUIET, alert="volume", event="volume"))
    assert not record(Alerts(alerts.ledger, "other"), QUIET)
    assert untold(alerts) == ["fired 12:00"]


def test_what_was_not_told_before_the_next_change_is_told_by_the_newer_message_alone(alerts: Alerts) -> None:
    record(alerts, FIRING)
    record(alerts, replace(QUIET, about=NOON + HOUR), at=NOON + HOUR)
    assert untold(alerts) == ["recovered 12:00"]


def test_a_channel_that_is_new_is_not_told_of_the_past(alerts: Alerts) -> None:
    record(alerts, FIRING)
    assert untold(alerts, BOSS) == []


def test_a_message_is_sent_by_one_and_by_another_only_when_that_one_gave_up_or_died(alerts: Alerts) -> None:
    record(alerts, FIRING)
    [(number, _)] = alerts.untold(OPS)
    assert alerts.claim(number, NOON)
    assert not alerts.claim(number, NOON + CLAIM)
    assert alerts.claim(number, NOON + CLAIM + HOUR)
    alerts.give_back(number)
    assert alerts.claim(number, NOON)
    alerts.told(number, NOON)
    assert not alerts.claim(number, NOON + CLAIM + HOUR)
    assert untold(alerts) == []


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as mailbox:
        yield mailbox


def test_evaluations_at_the_same_time_tell_a_change_once(
    empty_database: str, alerts: Alerts, shop: ShopUnderTest, mailbox: Mailbox
) -> None:
    shop.connect("smtp_default", mailbox.connection)
    configured = shop.configure(notify=[{"email": ["ops@example.com"]}])
    start = threading.Barrier(AT_ONCE)

    def evaluate(finding: Finding) -> bool:
        ledger = Ledger.of_connection(empty_database)
        try:
            start.wait(30)
            changed = Alerts(ledger, "test").record(finding, configured.notify, message_with_text, NOON)
            start.wait(30)
            tell(configured, Alerts(ledger, "test"))
        finally:
            ledger.engine.dispose()
        return changed is not None

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for finding in (FIRING, QUIET):
            assert sum(threads.map(evaluate, [finding] * AT_ONCE)) == 1

    assert mailbox.subjects == ["fired 12:00", "recovered 12:00"]


def message_with_text(change: Change) -> Message:
    return message_of(change) | {"text": change.finding.summary}
