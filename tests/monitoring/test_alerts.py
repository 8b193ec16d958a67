"""The alerts in the ledger: each transition and message once, even if several evaluations run at the same time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.tables import alert_messages
from rees46_sync.ledger.tables import alerts as alerts_table
from rees46_sync.monitoring.alert_messages import send_pending
from rees46_sync.monitoring.alerts import CLAIM, AlertEvaluation, AlertName, Alerts, AlertTransition, Message
from rees46_sync.shop.channels import Channel
from tests.conftest import ShopUnderTest
from tests.receivers import Mailbox, mail_server

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OPS = Channel(email=("ops@example.com",))
BOSS = Channel(email=("boss@example.com",))
HOOK = Channel(webhook="/alerts", events=("volume",))
FIRING = AlertEvaluation(
    AlertName.RUN_FAILED, firing=True, as_of=NOON, summary="it failed.", remedy="see the log.", metrics={}
)
QUIET = replace(FIRING, firing=False, summary="it succeeded.")
CONCURRENT = 8


@pytest.fixture
def alerts(empty_database: str) -> Iterator[Alerts]:
    ledger = Ledger.from_conn_id(empty_database)
    ledger.migrate()
    yield Alerts(ledger, "test")
    ledger.engine.dispose()


def build_message(transition: AlertTransition) -> Message:
    state = "fired" if transition.evaluation.firing else "recovered"
    return {"subject": f"{state} {transition.fired_at:%H:%M}"}


def record(
    alerts: Alerts, evaluation: AlertEvaluation, *, at: datetime = NOON, channels: tuple[Channel, ...] = (OPS,)
) -> bool:
    return alerts.record(evaluation, channels, build_message, at) is not None


def pending(alerts: Alerts, channel: Channel = OPS) -> list[str]:
    return [message["subject"] for _, message in alerts.pending(channel)]


def test_a_first_evaluation_that_is_quiet_sends_nothing(alerts: Alerts) -> None:
    assert not record(alerts, QUIET)
    assert pending(alerts) == []


def test_a_transition_is_sent_once_to_each_channel_that_wants_it(alerts: Alerts) -> None:
    for hour in range(3):
        evaluation = replace(FIRING, as_of=NOON + hour * HOUR)
        assert record(alerts, evaluation, at=NOON + hour * HOUR, channels=(OPS, BOSS, HOOK)) is (hour == 0)
    assert pending(alerts, OPS) == pending(alerts, BOSS) == ["fired 12:00"]
    assert pending(alerts, HOOK) == []


def test_an_evaluation_for_an_earlier_moment_changes_nothing(alerts: Alerts) -> None:
    assert record(alerts, FIRING)
    assert not record(alerts, replace(QUIET, as_of=NOON - HOUR))
    assert record(alerts, QUIET)
    assert not record(alerts, replace(FIRING, as_of=NOON - HOUR))


def test_an_alert_that_fires_has_the_latest_summary_and_the_time_since_which_it_fires(alerts: Alerts) -> None:
    record(alerts, FIRING)
    record(alerts, replace(FIRING, as_of=NOON + HOUR, summary="it failed again."), at=NOON + HOUR)

    [shown] = alerts.firing()
    assert (shown.summary, shown.since) == ("it failed again.", NOON)


def test_a_ledger_that_is_older_than_the_alerts_has_none(alerts: Alerts) -> None:
    for table in (alert_messages, alerts_table):
        table.drop(alerts.ledger.engine)
    assert alerts.firing() == ()


def test_alerts_and_shops_do_not_affect_each_other(alerts: Alerts) -> None:
    assert record(alerts, FIRING)
    assert not record(alerts, replace(QUIET, alert=AlertName.VOLUME))
    assert not record(Alerts(alerts.ledger, "other"), QUIET)
    assert pending(alerts) == ["fired 12:00"]


def test_a_message_that_is_pending_at_the_next_transition_is_replaced_by_the_newer_one(alerts: Alerts) -> None:
    record(alerts, FIRING)
    record(alerts, replace(QUIET, as_of=NOON + HOUR), at=NOON + HOUR)
    assert pending(alerts) == ["recovered 12:00"]


def test_a_new_channel_gets_no_message_about_the_past(alerts: Alerts) -> None:
    record(alerts, FIRING)
    assert pending(alerts, BOSS) == []


def test_one_process_sends_a_message_and_another_only_after_that_one_released_it_or_died(alerts: Alerts) -> None:
    record(alerts, FIRING)
    [(number, _)] = alerts.pending(OPS)
    assert alerts.claim(number, NOON)
    assert not alerts.claim(number, NOON + CLAIM)
    assert alerts.claim(number, NOON + CLAIM + HOUR)
    alerts.release(number)
    assert alerts.claim(number, NOON)
    alerts.mark_sent(number, NOON)
    assert not alerts.claim(number, NOON + CLAIM + HOUR)
    assert pending(alerts) == []


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with mail_server() as mailbox:
        yield mailbox


def test_concurrent_evaluations_send_a_transition_once(
    empty_database: str, alerts: Alerts, shop: ShopUnderTest, mailbox: Mailbox
) -> None:
    shop.connect("smtp_default", mailbox.connection)
    configured = shop.configure(notify=[{"email": ["ops@example.com"]}])
    start = threading.Barrier(CONCURRENT)

    def evaluate(evaluation: AlertEvaluation) -> bool:
        ledger = Ledger.from_conn_id(empty_database)
        try:
            start.wait(30)
            transition = Alerts(ledger, "test").record(evaluation, configured.notify, message_with_text, NOON)
            start.wait(30)
            send_pending(configured, Alerts(ledger, "test"))
        finally:
            ledger.engine.dispose()
        return transition is not None

    with ThreadPoolExecutor(CONCURRENT) as threads:
        for evaluation in (FIRING, QUIET):
            assert sum(threads.map(evaluate, [evaluation] * CONCURRENT)) == 1

    assert mailbox.subjects == ["fired 12:00", "recovered 12:00"]


def message_with_text(transition: AlertTransition) -> Message:
    return build_message(transition) | {"text": transition.evaluation.summary}
