"""
The alert that a shop's ledger does not answer, or cannot be written: the one alert that does without the ledger.

What was sent is kept in an Airflow variable, ``rees46_ledger_outage_<shop>``, as long as the outage lasts, so a channel
gets one message when it begins, and one when it is over. A channel that does not answer gets it with the next attempt.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypedDict

from rees46_sync.exceptions import LedgerError, LedgerSchemaError, SyncError
from rees46_sync.shop.shop import Shop
from rees46_sync.translations import translator

log = logging.getLogger(__name__)


class Outage(TypedDict):
    """
    An outage that was reported.

    :param since: ISO 8601, UTC.
    :param sent: the keys of the channels that know.
    """

    since: str
    sent: list[str]


@contextmanager
def reporting_outage(shop: Shop) -> Iterator[None]:
    """
    Send the alert if the ledger fails within the block, and that it is over if it does not.

    The error itself is raised as it is.
    """
    try:
        yield
    except (LedgerError, LedgerSchemaError) as error:
        _update(shop, error)
        raise
    except SyncError:
        _update(shop, None)
        raise
    _update(shop, None)


def _update(shop: Shop, error: SyncError | None) -> None:
    try:
        _report(shop, error) if error else _report_end(shop)
    except Exception:  # a run must not fail because an alert could not be sent
        log.exception("The alert about the ledger of shop %s could not be sent; it is tried again.", shop.shop)


def _report(shop: Shop, error: SyncError) -> None:
    from airflow.sdk import Variable

    now = datetime.now(UTC)
    outage = _known(shop) or Outage(since=now.isoformat(), sent=[])
    pending = [
        channel.key for channel in shop.notify if "ledger" in channel.events and channel.key not in outage["sent"]
    ]
    if pending or not outage["sent"]:
        outage["sent"] += _send(shop, pending, outage, now, error)
        Variable.set(_name(shop), outage, serialize_json=True)


def _report_end(shop: Shop) -> None:
    from airflow.sdk import Variable

    outage = _known(shop)
    if outage is None:
        return
    sent = _send(shop, outage["sent"], outage, datetime.now(UTC), None)
    channels = {channel.key for channel in shop.notify}
    pending = [key for key in outage["sent"] if key in channels and key not in sent]
    if pending:  # the next attempt sends it to these alone
        Variable.set(_name(shop), Outage(since=outage["since"], sent=pending), serialize_json=True)
    else:
        Variable.delete(_name(shop))


def _send(shop: Shop, channels: list[str], outage: Outage, now: datetime, error: SyncError | None) -> list[str]:
    """Send the message to these channels; return those that got it."""
    from rees46_sync.monitoring.alert_messages import build_message
    from rees46_sync.monitoring.alerts import AlertEvaluation, AlertName, AlertTransition
    from rees46_sync.monitoring.notifiers import send

    _ = translator(shop.language).gettext
    ended, failed = (
        _("the ledger answers again."),
        _("the ledger cannot be used: %s. Nothing is sent to REES46 meanwhile."),
    )
    evaluation = AlertEvaluation(
        alert=AlertName.LEDGER,
        firing=error is not None,
        as_of=now,
        summary=failed % error.problem.rstrip(".") if error else ended,
        remedy=f"{error.remedy}." if error else "",
        metrics={},
    )
    message = build_message(shop, AlertTransition(evaluation, datetime.fromisoformat(outage["since"]), now))
    sent = []
    for channel in shop.notify:
        if channel.key not in channels:
            continue
        try:
            send(shop, channel, message)
        except Exception as problem:  # noqa: BLE001 - whatever a provider, its library or a socket raises
            log.warning("Alert %r could not be sent by %s (%s).", message["subject"], channel.kind, problem)
        else:
            sent.append(channel.key)
    return sent


def _known(shop: Shop) -> Outage | None:
    from airflow.sdk import Variable

    known: Outage | None = Variable.get(_name(shop), default=None, deserialize_json=True)
    return known


def _name(shop: Shop) -> str:
    return f"rees46_ledger_outage_{shop.shop}"
