"""The messages, as a real mail server, a real webhook and a stand-in for Slack's address receive them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rees46_sync.ledger.database import Ledger
from rees46_sync.monitoring.alert_messages import build_message, send_pending, titles
from rees46_sync.monitoring.alerts import AlertEvaluation, AlertName, Alerts, AlertTransition
from rees46_sync.monitoring.notifiers import send
from rees46_sync.shop.shop import Shop
from tests.catalogues import russian
from tests.conftest import ShopUnderTest
from tests.receivers import Mailbox, Webhook, mail_server, webhook_server

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRING = AlertEvaluation(
    alert=AlertName.RUN_FAILED,
    firing=True,
    as_of=NOON,
    summary="the hourly run failed: <b>{{ 7 * 7 }}</b> & more.",
    remedy="see the failed tasks.",
    metrics={"read": 10, "failed": 2},
    dag_id="order_status_sync_test",
    run_id="scheduled__2026-03-01T11:00:00+00:00",
)
QUIET = replace(FIRING, firing=False, summary="an hourly run succeeded.")
FIRED = AlertTransition(FIRING, fired_at=NOON, at=NOON)
RECOVERED = AlertTransition(QUIET, fired_at=NOON, at=NOON + timedelta(hours=26, minutes=4))


@pytest.fixture
def mailbox(shop: ShopUnderTest) -> Iterator[Mailbox]:
    with mail_server() as mailbox:
        shop.connect("smtp_default", mailbox.connection)
        yield mailbox


@pytest.fixture
def webhook(shop: ShopUnderTest) -> Iterator[Webhook]:
    with webhook_server() as webhook:
        shop.connect("http_default", webhook.connection)
        shop.connect("slack_api_default", webhook.slack_connection)
        yield webhook


@pytest.fixture
def configured(shop: ShopUnderTest) -> Shop:
    return shop.configure(
        notify=[{"email": ["ops@example.com", "boss@example.com"]}, {"slack": "#orders"}, {"webhook": "/alerts/test"}]
    )


@pytest.fixture
def alerts(configured: Shop) -> Iterator[Alerts]:
    ledger = Ledger.from_conn_id(configured.ledger_conn_id)
    ledger.migrate()
    yield Alerts(ledger, configured.shop)
    ledger.engine.dispose()


def record(shop: Shop, alerts: Alerts, evaluation: AlertEvaluation) -> None:
    alerts.record(evaluation, shop.notify, lambda transition: build_message(shop, transition), NOON)


def test_a_mail_says_what_happened_since_when_and_what_to_do(
    configured: Shop, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.shop/below/")

    send(configured, configured.notify[0], build_message(configured, FIRED))

    [mail] = mailbox.mails
    assert mail["Subject"] == "[fired] test: a run failed"
    assert mail["From"] == "airflow@example.com"
    assert mail["X-Recipients"] == "ops@example.com, boss@example.com"
    body = mail.get_body(("html",))
    assert body is not None
    # Importing Apprise changes how Python encodes mails: then their lines end as on the wire.
    content = "\n".join(body.get_content().splitlines())
    assert "the hourly run failed: &lt;b&gt;{{ 7 * 7 }}&lt;/b&gt; &amp; more." in content
    assert "Since: 2026-03-01 12:00:00 UTC\nTo do: see the failed tasks." in content
    assert (
        "Run: https://airflow.shop/below/dags/order_status_sync_test/runs/scheduled__2026-03-01T11%3A00%3A00%2B00%3A00"
        in content
    )


def test_the_end_of_an_alert_says_how_long_it_lasted_and_has_no_remedy(configured: Shop) -> None:
    message = build_message(configured, RECOVERED)
    assert message["subject"] == "[recovered] test: a run failed"
    assert (
        "It had fired at 2026-03-01 12:00:00 UTC and is over since 2026-03-02 14:04:00 UTC: 1 d 2 h 4 min."
        in (message["text"])
    )
    assert (message["remedy"], "To do" in message["text"]) == ("", False)


def test_without_a_base_url_a_message_names_the_run(configured: Shop) -> None:
    message = build_message(configured, FIRED)
    assert message["url"] is None
    assert message["text"].endswith("Run: scheduled__2026-03-01T11:00:00+00:00 of order_status_sync_test")


def test_a_webhook_gets_the_documented_json(configured: Shop, webhook: Webhook) -> None:
    send(configured, configured.notify[2], build_message(configured, FIRED))

    [(path, content)] = webhook.posts
    assert path == "/alerts/test"
    text = content.pop("text")
    assert text.startswith("Shop test: the hourly run failed")
    assert content == {
        "shop": "test",
        "alert": "run_failed",
        "event": "run_failed",
        "state": "fired",
        "since": "2026-03-01T12:00:00+00:00",
        "at": "2026-03-01T12:00:00+00:00",
        "subject": "[fired] test: a run failed",
        "summary": "the hourly run failed: <b>{{ 7 * 7 }}</b> & more.",
        "remedy": "see the failed tasks.",
        "metrics": {"read": 10, "failed": 2},
        "dag_id": "order_status_sync_test",
        "run_id": "scheduled__2026-03-01T11:00:00+00:00",
        "url": None,
    }


def test_slack_gets_the_message_in_its_channel_with_its_markup_escaped(configured: Shop, webhook: Webhook) -> None:
    send(configured, configured.notify[1], build_message(configured, FIRED))

    [(path, content)] = webhook.posts
    assert (path, content["channel"]) == ("/chat.postMessage", "#orders")
    assert content["text"].startswith("*[fired] test: a run failed*\nShop test: the hourly run failed: &lt;b&gt;{{ 7")


def test_every_alert_has_a_title() -> None:
    assert titles(str).keys() == set(AlertName)


def test_a_message_is_in_the_language_of_the_shop_file_and_its_keys_are_not(
    shop: ShopUnderTest, tmp_path: Path
) -> None:
    texts = {
        "[recovered] %(shop)s: %(title)s": "[прошло] %(shop)s: %(title)s",
        "a run failed": "запуск не удался",
        "It had fired at %(since)s and is over since %(at)s: %(duration)s.": "%(since)s — %(at)s: %(duration)s.",
        "d": "д",
        "h": "ч",
        "min": "мин",
    }
    with russian(tmp_path, texts):
        message = build_message(shop.configure(language="ru"), RECOVERED)

    assert message["subject"] == "[прошло] test: запуск не удался"
    assert "2026-03-01 12:00:00 UTC — 2026-03-02 14:04:00 UTC: 1 д 2 ч 4 мин." in message["text"]
    assert (message["state"], message["alert"]) == ("recovered", "run_failed")


def test_a_channel_that_is_down_gets_its_message_later_and_does_not_stop_the_others(
    configured: Shop, alerts: Alerts, mailbox: Mailbox, webhook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    mailbox.is_down = True
    record(configured, alerts, FIRING)
    for _ in range(2):
        with caplog.at_level(logging.WARNING):
            send_pending(configured, alerts)
    assert mailbox.mails == []
    assert [path for path, _ in webhook.posts] == ["/chat.postMessage", "/alerts/test"]
    assert "could not be sent by email" in caplog.text
    assert "Check connection smtp_default" in caplog.text

    mailbox.is_down = False
    for _ in range(2):
        send_pending(configured, alerts)

    assert mailbox.subjects == ["[fired] test: a run failed"]
    assert len(webhook.posts) == 2


def test_a_channel_that_is_down_is_tried_once_at_a_time(configured: Shop, alerts: Alerts, webhook: Webhook) -> None:
    hook_alone = configured.model_copy(update={"notify": configured.notify[2:]})
    webhook.is_down = True
    for alert in (AlertName.RUN_FAILED, AlertName.VOLUME):
        record(hook_alone, alerts, replace(FIRING, alert=alert))

    send_pending(hook_alone, alerts)

    assert webhook.asked == 1


def test_a_connection_that_does_not_exist_keeps_the_message(
    configured: Shop, alerts: Alerts, caplog: pytest.LogCaptureFixture
) -> None:
    record(configured, alerts, FIRING)
    with caplog.at_level(logging.WARNING):
        send_pending(configured, alerts)
    assert [len(alerts.pending(channel)) for channel in configured.notify] == [1, 1, 1]
    assert "Check connection http_default" in caplog.text
