"""
Sending a message to a channel: through Airflow's SMTP, Slack, HTTP and Apprise providers.

A provider is imported when a message is sent through it, never while Airflow parses DAGs.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import html
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from rees46_sync.exceptions import ConnectionFieldsError, Problem, ShopFileError, SyncError
from rees46_sync.shop.channels import Channel
from rees46_sync.shop.shop import Shop

TIMEOUT_S = 30
"""For the response of a webhook, Slack or Apprise; a mail server has the ``timeout`` of its connection, as long."""

SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret begins
"""What a signing secret begins with, in the convention of Standard Webhooks."""

_PROVIDERS = {"email": "smtp", "slack": "slack", "webhook": "http", "apprise": "apprise"}


def send(shop: Shop, channel: Channel, message: Mapping[str, Any]) -> None:
    """
    Send a message to a channel.

    :param message: see :func:`rees46_sync.monitoring.alert_messages.build_message`.
    :raises ShopFileError: the provider that this kind of channel needs is not installed.
    :raises ConnectionFieldsError: the channel's connection lacks something.
    :raises Exception: whatever the provider raises if it cannot send.
    """
    prepare = {"email": _email, "slack": _slack, "webhook": _webhook, "apprise": _apprise}[channel.kind]
    try:
        deliver = prepare(channel, message)
    except ModuleNotFoundError as error:
        raise ShopFileError(
            shop.file.name,
            Problem(
                f"notify has a channel of kind {channel.kind}, whose provider is not installed ({error})",
                f"install apache-airflow-providers-{_PROVIDERS[channel.kind]}",
            ),
        ) from error
    deliver()


# Notifiers are not called as Airflow calls them: that would render the texts as Jinja templates.


def _email(channel: Channel, message: Mapping[str, Any]) -> Callable[[], object]:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    notifier = SmtpNotifier(
        smtp_conn_id=channel.connection,
        to=list(channel.email or ()),
        subject=message["subject"],
        html_content=f'<pre style="white-space: pre-wrap">{html.escape(message["text"])}</pre>',
    )
    return partial(notifier.notify, {})


def _slack(channel: Channel, message: Mapping[str, Any]) -> Callable[[], object]:
    from airflow.providers.slack.notifications.slack import SlackNotifier

    notifier = SlackNotifier(
        slack_conn_id=channel.connection,
        channel=channel.slack or "",
        # Escaped as far as Slack's own markup needs.
        text=html.escape(f"*{message['subject']}*\n{message['text']}", quote=False),
        username="REES46 order sync",
        timeout=TIMEOUT_S,
        unfurl_links=False,
    )
    return partial(notifier.notify, {})


def _webhook(channel: Channel, message: Mapping[str, Any]) -> Callable[[], object]:
    from airflow.providers.http.notifications.http import HttpNotifier

    body = json.dumps(message)  # ASCII, so that the bytes that are signed are those that are sent
    notifier = HttpNotifier(
        http_conn_id=channel.connection,
        endpoint=channel.webhook,
        data=body,
        headers={"Content-Type": "application/json", **_identify(channel, body, datetime.now(UTC))},
        extra_options={"timeout": TIMEOUT_S},
    )
    return partial(notifier.notify, {})


def _identify(channel: Channel, body: str, now: datetime) -> dict[str, str]:
    """
    Return the headers of Standard Webhooks: id and time, and a signature if the connection has a secret.

    The id is made of the message, so a message that is sent again has the same one.

    :raises ConnectionFieldsError: the connection has a password alone that is no signing secret.
    """
    from rees46_sync.airflow_adapters.connections import get_connection

    number = f"msg_{hashlib.sha256(f'{channel.key} {body}'.encode()).hexdigest()[:32]}"
    headers = {"webhook-id": number, "webhook-timestamp": str(int(now.timestamp()))}
    connection = get_connection(channel.connection)
    secret = "" if connection.login else connection.password or ""  # with a login it is the password of that
    if not secret:
        return headers
    try:
        if not secret.startswith(SECRET_PREFIX):
            raise ValueError(f"no {SECRET_PREFIX}")
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except (ValueError, binascii.Error):
        raise ConnectionFieldsError(
            channel.connection,
            "its password, without a login, is no secret to sign webhooks with",
            f"give {SECRET_PREFIX} and 24 to 64 random bytes in base64, or no password",
        ) from None  # the original would show the secret
    signed = hmac.new(key, f"{number}.{headers['webhook-timestamp']}.{body}".encode(), hashlib.sha256).digest()
    return headers | {"webhook-signature": f"v1,{base64.b64encode(signed).decode()}"}


def _apprise(channel: Channel, message: Mapping[str, Any]) -> Callable[[], object]:
    """Use Apprise itself: the provider's notifier does not say whether a message was sent."""
    from airflow.providers.apprise.hooks.apprise import AppriseHook
    from airflow.sdk.log import mask_secret
    from apprise import Apprise, AppriseResultStatus, NotifyFormat, NotifyType

    from rees46_sync.airflow_adapters.connections import get_connection

    def deliver() -> None:
        services = Apprise()
        try:
            config = AppriseHook(channel.connection).get_config_from_conn(get_connection(channel.connection))
            for service in [config] if isinstance(config, dict) else config:
                mask_secret(service["path"])  # Apprise logs an address that it cannot use
                if not services.add(service["path"], tag=service.get("tag")):
                    raise ValueError(f"Apprise cannot use the path of the service tagged {service.get('tag')}")
        except (KeyError, TypeError, ValueError) as error:
            raise ConnectionFieldsError(
                channel.connection,
                f"config in its extra is not usable ({error})",
                'give a list of services, each as {"path": its address, "tag": a name}, see https://appriseit.com/services',
            ) from error
        result = services.notify(
            title=message["subject"],
            body=message["text"],
            notify_type=NotifyType.SUCCESS if message["state"] == "recovered" else NotifyType.FAILURE,
            body_format=NotifyFormat.TEXT,
            tag=channel.apprise,
            timeout=TIMEOUT_S,
        )
        if result.status == AppriseResultStatus.NOMATCH:
            raise ConnectionFieldsError(
                channel.connection,
                f"no service in its config has the tag {channel.apprise!r}",
                "add the tag there, or correct apprise under notify in the shop file",
            )
        if not result:
            failed = ", ".join(sorted({service.name for service in result if not service}))
            raise SyncError(f"Apprise could not send by {failed}", "see its own lines in this log")

    return deliver
