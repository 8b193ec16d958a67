"""
What is told of an alert, and telling it: through the notifiers of Airflow's SMTP, Slack and HTTP providers.

A provider is imported when something is to be sent through it, never where Airflow parses. What is told are names,
figures and times; never rows, bodies or secrets.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rees46_sync.exceptions import ShopFileError
from rees46_sync.monitoring.alerts import Alerts, Change, Message
from rees46_sync.shop.channels import Channel
from rees46_sync.shop.shop import Shop

if TYPE_CHECKING:
    from airflow.sdk.bases.notifier import BaseNotifier

log = logging.getLogger(__name__)

TIMEOUT_S = 30
"""For the answer of a webhook or of Slack; a mail server has the ``timeout`` of its connection, which is as long."""

TITLES = {
    "run_failed": "a run failed",
    "history_run_failed": "a history run failed",
    "limit_reached": "a limit stopped the run",
    "rejected_share": "many rows are rejected",
    "freshness": "REES46 is not up to date",
    "volume": "an unusual number of changes",
}


def message_of(shop: Shop, change: Change) -> Message:
    """
    Return what is told of a change, as JSON takes it; it is what a webhook gets.

    :return: shop, alert, event, state (fired or recovered), since (when it fired) and at (when it changed), ISO 8601 in
        UTC; subject and text for people; summary, to_do (empty where it recovered), figures; dag_id, run_id and url of
        the run, null where there is none.
    """
    finding = change.finding
    state = "fired" if finding.firing else "recovered"
    since, at = (f"{moment:%Y-%m-%d %H:%M:%S} UTC" for moment in (change.fired_at, change.at))
    url = _run_url(finding.dag_id, finding.run_id)
    lines = [f"Shop {shop.shop}: {finding.summary}", ""]
    if finding.firing:
        lines += [f"Since: {since}", f"To do: {finding.to_do}"]
    else:
        lines += [f"It had fired at {since} and is over since {at}: {duration(change.at - change.fired_at)}."]
    if finding.run_id:
        lines += [f"Run: {url or f'{finding.run_id} of {finding.dag_id}'}"]
    return {
        "shop": shop.shop,
        "alert": finding.alert,
        "event": finding.event,
        "state": state,
        "since": change.fired_at.isoformat(),
        "at": change.at.isoformat(),
        "subject": f"[{state}] {shop.shop}: {TITLES[finding.alert]}",
        "text": "\n".join(lines),
        "summary": finding.summary,
        "to_do": finding.to_do if finding.firing else "",
        "figures": dict(finding.figures),
        "dag_id": finding.dag_id,
        "run_id": finding.run_id,
        "url": url,
    }


def tell(shop: Shop, alerts: Alerts) -> None:
    """
    Send what is untold; what cannot be sent is logged, kept, and sent by a later call.

    :raises LedgerError: the ledger does not answer.
    """
    for channel in shop.notify:
        for number, message in alerts.untold(channel):
            if not alerts.claim(number, datetime.now(UTC)):
                continue
            try:
                send(shop, channel, message)
            except Exception as error:  # noqa: BLE001 - whatever a provider, its library or a socket raises
                alerts.give_back(number)
                reason = " ".join(str(error).split())[:300] or type(error).__name__
                log.warning(
                    "Alert %r of shop %s could not be told by %s (%s). Check connection %s and the entry under notify "
                    "in %s; it is tried again after the next run, and by order_status_freshness.",
                    message["subject"],
                    shop.shop,
                    channel.kind,
                    reason,
                    channel.connection,
                    shop.file.name,
                )
                break  # what is down is asked once
            alerts.told(number, datetime.now(UTC))
            log.info("Told by %s: %s.", channel.kind, message["subject"])


def send(shop: Shop, channel: Channel, message: Mapping[str, Any]) -> None:
    """
    Send a message to a channel.

    :raises ShopFileError: the provider that this kind of channel needs is not installed.
    :raises Exception: whatever the provider raises where it cannot send.
    """
    try:
        notifier = _notifier(channel, message)
    except ModuleNotFoundError as error:
        provider = {"email": "smtp", "slack": "slack", "webhook": "http"}[channel.kind]
        raise ShopFileError(
            shop.file.name,
            f"notify has a channel of kind {channel.kind}, whose provider is not installed ({error}); "
            f"install apache-airflow-providers-{provider}",
        ) from error
    # Not called as Airflow does: that takes the texts for Jinja templates.
    notifier.notify({})


def _notifier(channel: Channel, message: Mapping[str, Any]) -> BaseNotifier:
    if channel.email is not None:
        from airflow.providers.smtp.notifications.smtp import SmtpNotifier

        return SmtpNotifier(
            smtp_conn_id=channel.connection,
            to=list(channel.email),
            subject=message["subject"],
            html_content=f'<pre style="white-space: pre-wrap">{html.escape(message["text"])}</pre>',
        )
    if channel.slack is not None:
        from airflow.providers.slack.notifications.slack import SlackNotifier

        # What Slack's own markup needs escaped, and no more.
        text = html.escape(f"*{message['subject']}*\n{message['text']}", quote=False)
        return SlackNotifier(
            slack_conn_id=channel.connection,
            channel=channel.slack,
            text=text,
            username="REES46 order sync",
            timeout=TIMEOUT_S,
            unfurl_links=False,
        )
    from airflow.providers.http.notifications.http import HttpNotifier

    return HttpNotifier(
        http_conn_id=channel.connection,
        endpoint=channel.webhook,
        json=dict(message),
        extra_options={"timeout": TIMEOUT_S},
    )


def _run_url(dag_id: str | None, run_id: str | None) -> str | None:
    """Return the address of a run in Airflow's UI; None where Airflow was not told its own."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="").rstrip("/")
    if not (dag_id and run_id and base.startswith("http")):
        return None
    return f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


def duration(passed: timedelta) -> str:
    """Return how long something took, in words."""
    minutes = round(passed.total_seconds() / 60)
    if minutes < 1:
        return "less than a minute"
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
