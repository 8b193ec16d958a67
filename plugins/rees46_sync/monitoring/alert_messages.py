"""
The text of an alert, in the language of the shop file, and sending what is pending.

A message holds names, numbers and times; never rows, bodies or secrets.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from rees46_sync.formatting import duration, timestamp
from rees46_sync.monitoring.alerts import AlertName, Alerts, AlertTransition, Message
from rees46_sync.monitoring.notifiers import send
from rees46_sync.shop.shop import Shop
from rees46_sync.translations import translator

log = logging.getLogger(__name__)


def titles(_: Callable[[str], str]) -> dict[AlertName, str]:
    """Return the title of each alert, translated."""
    return {
        AlertName.RUN_FAILED: _("a run failed"),
        AlertName.HISTORY_RUN_FAILED: _("a history run failed"),
        AlertName.LIMIT_REACHED: _("a limit stopped the run"),
        AlertName.REJECTED_SHARE: _("many rows are rejected"),
        AlertName.REOPENED: _("many orders are held back as reopened"),
        AlertName.FRESHNESS: _("REES46 is not up to date"),
        AlertName.VOLUME: _("an unusual number of changes"),
        AlertName.LATE_DATA: _("the warehouse's data is late"),
        AlertName.SLOW_RUN: _("a run takes much longer than usual"),
        AlertName.LEDGER: _("the ledger cannot be used"),
        AlertName.DIFFERENCES: _("REES46 differs from the warehouse"),
    }


def build_message(shop: Shop, transition: AlertTransition) -> Message:
    """
    Return the message about a transition, as JSON allows it; a webhook gets all of it.

    Subject, text, summary and remedy are in the shop's language, everything else is the same in all of them.

    :return: shop, alert, event, state (fired, changed or recovered), since (when it fired) and at (when it changed),
        ISO 8601 in UTC; subject and text for people; summary, remedy (empty if it recovered), metrics; dag_id, run_id
        and url of the run, null if there is none.
    """
    _ = translator(shop.language).gettext
    evaluation = transition.evaluation
    since, at = (f"{timestamp(moment)} UTC" for moment in (transition.fired_at, transition.at))
    url = _run_url(evaluation.dag_id, evaluation.run_id)
    lines = [_("Shop %(shop)s: %(summary)s") % {"shop": shop.shop, "summary": evaluation.summary}, ""]
    if evaluation.firing:
        lines += [_("Since: %s") % since, _("To do: %s") % evaluation.remedy]
    else:
        passed = duration(transition.at - transition.fired_at, _)
        lines += [
            _("It had fired at %(since)s and is over since %(at)s: %(duration)s.")
            % {"since": since, "at": at, "duration": passed}
        ]
    if evaluation.run_id:
        named = _("%(run_id)s of %(dag_id)s") % {"run_id": evaluation.run_id, "dag_id": evaluation.dag_id}
        lines += [_("Run: %s") % (url or named)]
    subject = {
        "fired": _("[fired] %(shop)s: %(title)s"),
        "changed": _("[changed] %(shop)s: %(title)s, for another cause"),
        "recovered": _("[recovered] %(shop)s: %(title)s"),
    }[transition.state]
    return {
        "shop": shop.shop,
        "alert": evaluation.alert,
        "event": evaluation.alert.event,
        "state": transition.state,
        "since": transition.fired_at.isoformat(),
        "at": transition.at.isoformat(),
        "subject": subject % {"shop": shop.shop, "title": titles(_)[evaluation.alert]},
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


def _run_url(dag_id: str | None, run_id: str | None) -> str | None:
    """Return the address of a run in Airflow's UI; None if Airflow does not know its own address."""
    from airflow.sdk.configuration import conf

    base = conf.get("api", "base_url", fallback="").rstrip("/")
    if not (dag_id and run_id and base.startswith("http")):
        return None
    return f"{base}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
