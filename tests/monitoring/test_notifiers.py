"""What each kind of channel sends, as a real receiver gets it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook as StandardWebhook
from standardwebhooks import WebhookVerificationError

from rees46_sync.exceptions import ConnectionFieldsError, ShopFileError, SyncError
from rees46_sync.monitoring.notifiers import send
from rees46_sync.shop.shop import Shop
from tests.conftest import ShopUnderTest
from tests.receivers import Webhook

KEY = b"a key of 24 bytes or so."
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
MESSAGE = {"subject": "[fired] test: a run failed", "text": "Магазин & <b>\nTo do: look", "state": "fired"}


def notify(shop: ShopUnderTest, **entry: Any) -> Shop:
    return shop.configure(notify=[entry])


def send_message(configured: Shop, **changes: Any) -> None:
    send(configured, configured.notify[0], MESSAGE | changes)


@pytest.mark.parametrize(
    ("entry", "provider"),
    [
        ({"email": ["ops@example.com"]}, "smtp"),
        ({"slack": "#orders"}, "slack"),
        ({"webhook": "/x"}, "http"),
        ({"apprise": "all"}, "apprise"),
    ],
)
def test_a_provider_that_is_not_installed_is_named_with_the_package(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch, entry: dict[str, Any], provider: str
) -> None:
    for module in [name for name in sys.modules if name.startswith(f"airflow.providers.{provider}")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, f"airflow.providers.{provider}", None)

    with pytest.raises(ShopFileError, match=f"install apache-airflow-providers-{provider}"):
        send_message(notify(shop, **entry))


# Webhooks


def test_a_webhook_gets_the_headers_of_its_connection(shop: ShopUnderTest, webhook: Webhook) -> None:
    shop.connect("http_default", webhook.connection_with(extra={"X-Api-Key": "abc"}))

    send_message(notify(shop, webhook="/alerts"))

    [(headers, _)] = webhook.raw
    assert (headers["x-api-key"], headers["content-type"]) == ("abc", "application/json")


@pytest.mark.clock
def test_a_receiver_can_verify_the_signature_of_a_webhook(shop: ShopUnderTest, webhook: Webhook) -> None:
    shop.connect("http_default", webhook.connection_with(password=SECRET))

    send_message(notify(shop, webhook="/alerts"))

    [(headers, body)] = webhook.raw
    number, sent_at, signature = (headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature"))
    signed = hmac.new(KEY, b".".join([number.encode(), sent_at.encode(), body]), hashlib.sha256).digest()
    assert signature == f"v1,{base64.b64encode(signed).decode()}"
    assert abs(datetime.now(UTC).timestamp() - int(sent_at)) < 300
    assert StandardWebhook(SECRET).verify(body, headers) == MESSAGE
    with pytest.raises(WebhookVerificationError):
        StandardWebhook(SECRET).verify(body.replace(b"fired", b"ended"), headers)
    assert not {"authorization", "password"} & headers.keys()
    assert SECRET.encode() not in body + repr(headers).encode()


def test_a_webhook_that_is_sent_again_keeps_its_id_and_another_message_has_its_own(
    shop: ShopUnderTest, webhook: Webhook
) -> None:
    configured = notify(shop, webhook="/alerts")
    webhook.is_down = True
    with pytest.raises(Exception, match="503"):
        send_message(configured)
    webhook.is_down = False
    send_message(configured)
    send_message(configured, at="2026-03-01T12:00:00+00:00")

    first, again, other = (headers["webhook-id"] for headers, _ in webhook.raw)
    assert first == again != other
    assert not any("webhook-signature" in headers for headers, _ in webhook.raw)


@pytest.mark.parametrize("password", ["hunter22", "whsec_not base64"])
def test_a_password_that_is_no_signing_secret_is_refused_and_not_shown(
    shop: ShopUnderTest, webhook: Webhook, password: str
) -> None:
    shop.connect("http_default", webhook.connection_with(password=password))

    with pytest.raises(ConnectionFieldsError, match="give whsec_ and 24 to 64 random bytes in base64") as caught:
        send_message(notify(shop, webhook="/alerts"))

    assert password not in str(caught.value)
    assert webhook.raw == []


def test_the_password_of_a_login_is_not_taken_for_a_signing_secret(shop: ShopUnderTest, webhook: Webhook) -> None:
    shop.connect("http_default", webhook.connection_with(login="me", password="hunter2"))

    send_message(notify(shop, webhook="/alerts"))

    [(headers, _)] = webhook.raw
    assert headers["authorization"] == f"Basic {base64.b64encode(b'me:hunter2').decode()}"
    assert "webhook-signature" not in headers


# Apprise


@pytest.mark.parametrize(("state", "kind"), [("fired", "failure"), ("changed", "failure"), ("recovered", "success")])
def test_apprise_sends_to_the_services_with_the_tag(
    shop: ShopUnderTest, webhook: Webhook, state: str, kind: str
) -> None:
    shop.connect("apprise_default", webhook.apprise_connection(("ops", "one"), ("boss", "other")))

    send_message(notify(shop, apprise="ops"), state=state)

    [(path, content)] = webhook.posts
    assert path.rstrip("/") == "/one"
    assert (content["title"], content["message"]) == (MESSAGE["subject"], MESSAGE["text"])
    assert content["type"] == kind


def test_the_tag_all_means_every_service(shop: ShopUnderTest, webhook: Webhook) -> None:
    shop.connect("mine", webhook.apprise_connection(("ops", "one"), ("boss", "other")))

    send_message(notify(shop, apprise="all", conn_id="mine"))

    assert sorted(path.rstrip("/") for path, _ in webhook.posts) == ["/one", "/other"]


def test_a_service_that_apprise_cannot_reach_makes_the_message_count_as_not_sent(
    shop: ShopUnderTest, webhook: Webhook
) -> None:
    shop.connect("apprise_default", webhook.apprise_connection(("ops", "one")))
    webhook.is_down = True

    with pytest.raises(SyncError, match="Apprise could not send by JSON; see its own lines in this log"):
        send_message(notify(shop, apprise="ops"))


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        pytest.param({}, r"config in its extra is not usable \('config'\)", id="no-config"),
        pytest.param({"config": {"tag": "ops"}}, r"config in its extra is not usable \('path'\)", id="no-path"),
        pytest.param(
            {"config": {"path": "nosuch://hidden-token", "tag": "ops"}},
            "Apprise cannot use the path of the service tagged ops",
            id="unknown-service",
        ),
        pytest.param(
            {"config": {"path": "json://127.0.0.1:1", "tag": "boss"}},
            "no service in its config has the tag 'ops'; add the tag there",
            id="no-such-tag",
        ),
    ],
)
def test_an_apprise_connection_that_cannot_be_used_says_why_without_its_secrets(
    shop: ShopUnderTest, caplog: pytest.LogCaptureFixture, extra: dict[str, Any], problem: str
) -> None:
    shop.connect("apprise_default", json.dumps({"conn_type": "apprise", "extra": extra}))

    with caplog.at_level(logging.INFO), pytest.raises(ConnectionFieldsError, match=problem) as caught:
        send_message(notify(shop, apprise="ops"))

    assert "hidden-token" not in str(caught.value)
