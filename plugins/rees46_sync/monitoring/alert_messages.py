"""
The text of an alert, and sending it: through the notifiers of Airflow's SMTP, Slack and HTTP providers.

A provider is imported when a message is sent through it, never while Airflow parses DAGs. A message holds names,
numbers and times; never rows, bodies or secrets.
"""

from __future__ import annotations

import html
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rees46_sync.exceptions import Problem, ShopFileError
from rees46_sync.formatting import duration, timestamp
from rees46_sync.monitoring.alerts import AlertName, Alerts, AlertTransition, Message
from rees46_sync.shop.channels import Channel
from rees46_sync.shop.shop import Shop

if TYPE_CHECKING:
    from airflow.sdk.bases.notifier import BaseNotifier

log = logging.getLogger(__name__)

TIMEOUT_S = 30
"""For the response of a webhook or of Slack; a mail server has the ``timeout`` of its connection, which is as long."""

TITLES = {
    AlertName.RUN_FAILED: "a run failed",
    AlertName.HISTORY_RUN_FAILED: "a history run failed",
    AlertName.LIMIT_REACHED: "a limit stopped the run",
    AlertName.REJECTED_SHARE: "many rows are rejected",
    AlertName.REOPENED: "many orders are held back as reopened",
    AlertName.FRESHNESS: "REES46 is not up to date",
    AlertName.VOLUME: "an unusual number of changes",
    AlertName.LATE_DATA: "the warehouse's data is late",
}


def build_message(shop: Shop, transition: AlertTransition) -> Message:
    """
    Return the message about a transition, as JSON allows it; a webhook gets all of it.

    :return: shop, alert, event, state (fired or recovered), since (when it fired) and at (when it changed), ISO 8601 in
        UTC; subject and text for people; summary, remedy (empty if it recovered), metrics; dag_id, run_id and url of
        the run, null if there is none.
    """
    evaluation = transition.evaluation
    state = "fired" if evaluation.firing else "recovered"
    since, at = (f"{timestamp(moment)} UTC" for moment in (transition.fired_at, transition.at))
    url = _run_url(evaluation.dag_id, evaluation.run_id)
    lines = [f"Shop {shop.shop}: {evaluation.summary}", ""]
    if evaluation.firing:
        lines += [f"Since: {since}", f"To do: {evaluation.remedy}"]
    else:
        lines += [f"It had fired at {since} and is over since {at}: {duration(transition.at - transition.fired_at)}."]
    if evaluation.run_id:
        lines += [f"Run: {url or f'{evaluation.run_id} of {evaluation.dag_id}'}"]
    return {
        "shop": shop.shop,
        "alert": evaluation.alert,
        "event": evaluation.alert.event,
        "state": state,
        "since": transition.fired_at.isoformat(),
        "at": transition.at.isoformat(),
        "subject": f"[{state}] {shop.shop}: {TITLES[evaluation.alert]}",
        "text": "\n".join(lines),
        "summary": evaluation.summary,
        "remedy": evaluation.remedy if evaluation.firing else "",
        "metrics": dict(evaluation.metrics),
        "dag_id": evaluation.dag_id,
        "run_id": evaluation.run_id,
        "url": url,
    }


def send_pending(shop: Shop, alerts: Alerts) -> None:
    """
    Send the pending messages; what cannot be sent is logged, stays pending, and is sent by a later call.

    :raises LedgerError: the ledger does not answer.
    """
    for channel in shop.notify:
        for number, message in alerts.pending(channel):
            if not alerts.claim(number, datetime.now(UTC)):
                continue
            try:
                send(shop, channel, message)
            except Exception as error:  # noqa: BLE001 - whatever a provider, its library or a socket raises
                alerts.release(number)
                reason = " ".join(str(error).split())[:300] or type(error).__name__
                log.warning(
                    "Alert %r of shop %s could not be sent by %s (%s). Check connection %s and the entry under notify "
                    "in %s; it is tried again after the next run, and by order_status_freshness.",
                    message["subject"],
                    shop.shop,
                    channel.kind,
                    reason,
                    channel.connection,
                    shop.file.name,
                )
                break  # a channel that is down is tried once
            alerts.mark_sent(number, datetime.now(UTC))
            log.info("Sent by %s: %s.", channel.kind, message["subject"])


def send(shop: Shop, channel: Channel, message: Mapping[str, Any]) -> None:
    """
    Send a message to a channel.

    :raises ShopFileError: the provider that this kind of channel needs is not installed.
    :raises Exception: whatever the provider raises if it cannot send.
    """
    try:
        notifier = _notifier(channel, message)
    except ModuleNotFoundError as error:
        provider = {"email": "smtp", "slack": "slack", "webhook": "http"}[channel.kind]
        raise ShopFileError(
            shop.file.name,
            Problem(
                f"notify has a channel of kind {channel.kind}, whose provider is not installed ({error})",
                f"install apache-airflow-providers-{provider}",
            ),
        ) from error
    # Not called as Airflow calls it: that would render the texts as Jinja templates.
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

        # Escaped as far as Slack's own markup needs.
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
    """Return the address of a run in Airflow's UI; None if Airflow does not know its own address."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="").rstrip("/")
    if not (dag_id and run_id and base.startswith("http")):
        return None
    return f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
