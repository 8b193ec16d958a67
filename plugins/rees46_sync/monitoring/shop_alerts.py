"""
The alerts about a shop that no run evaluates; ``order_status_freshness`` does, every quarter of an hour.

They are about what does not happen: no run succeeds, or one does not end. It sends pending messages of other alerts,
too.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from rees46_sync.exceptions import FreshnessBreachedError
from rees46_sync.formatting import duration
from rees46_sync.ledger.database import Ledger, interactive_ledger
from rees46_sync.monitoring import slow_run
from rees46_sync.monitoring.alert_rules import record
from rees46_sync.monitoring.alerts import AlertEvaluation, AlertName, Alerts
from rees46_sync.monitoring.freshness import FreshnessStatus, freshness_status
from rees46_sync.monitoring.ledger_outage import reporting_outage
from rees46_sync.shop.shop import Shop
from rees46_sync.translations import translator

log = logging.getLogger(__name__)


def evaluate_shop(shop: Shop) -> FreshnessStatus:
    """
    Evaluate the alerts about a shop, and send what is pending.

    :raises FreshnessBreachedError: the shop is not fresh.
    :raises LedgerError: the ledger does not answer; that is an alert, too.
    """
    with reporting_outage(shop), interactive_ledger(shop.ledger_conn_id) as ledger:
        ledger.migrate()
        alerts, now = Alerts(ledger, shop.shop), datetime.now(UTC)
        status = freshness_status(ledger, shop, now, alerts.first_seen(AlertName.FRESHNESS, now))
        freshness = _freshness(shop, status, now)
        record(shop, alerts, [freshness, _slow_run(shop, ledger, now)])
    if status.breached:
        raise FreshnessBreachedError(f"Shop {shop.shop}: {freshness.summary.rstrip('.')}", freshness.remedy.rstrip("."))
    log.info("Shop %s: %s", shop.shop, freshness.summary)
    return status


def _slow_run(shop: Shop, ledger: Ledger, now: datetime) -> AlertEvaluation:
    _ = translator(shop.language).gettext
    run = slow_run.running(ledger, shop.shop, now)
    is_slow = run is not None and run.is_slow
    summary = _("no run takes longer than usual.")
    if run and is_slow:
        summary = _(
            "a run has been going on for %(passed)s; the longest of the last %(runs)d took %(longest)s, and more than "
            "%(limit)s is unusual."
        ) % {
            "passed": duration(run.passed, _),
            "runs": run.compared,
            "longest": duration(run.longest, _),
            "limit": duration(run.limit, _),
        }
    return AlertEvaluation(
        alert=AlertName.SLOW_RUN,
        firing=is_slow,
        as_of=now,
        summary=summary,
        remedy=_(
            "see in Airflow which task of order_status_sync_%s runs or waits: one that is queued lacks a slot or a "
            "worker, one that is up for retry waits for what its log names, and the log of one that runs says how far "
            "it is."
        )
        % shop.shop,
        metrics={
            "passed_seconds": round(run.passed.total_seconds()) if run else None,
            "longest_seconds": round(run.longest.total_seconds()) if run else None,
            "limit_seconds": round(run.limit.total_seconds()) if run else None,
        },
    )


def _freshness(shop: Shop, status: FreshnessStatus, now: datetime) -> AlertEvaluation:
    _ = translator(shop.language).gettext
    success, change = status.success_age, status.change_age
    if success is not None:
        ages = _("the last successful hourly run ended %s ago") % duration(success, _)
    else:
        ages = _("no hourly run has succeeded in the %s since the shop was first seen") % duration(
            status.waiting or timedelta(0), _
        )
    if change is not None:
        ages += _(", and a change that is not accepted yet is at most %s old") % duration(change, _)
    if status.is_data_late:
        ages += _(", because the warehouse's data ends there, earlier than usual")
    breached, within = (
        _("%(ages)s (more than freshness: %(freshness)s)."),
        _("%(ages)s (within freshness: %(freshness)s)."),
    )
    remedy = _("see whether order_status_sync_%s is paused, whether its latest runs failed, and why.") % shop.shop
    if status.is_data_late:
        remedy += " " + _("See also whether the warehouse is loaded.")
    return AlertEvaluation(
        alert=AlertName.FRESHNESS,
        firing=status.breached,
        as_of=now,
        summary=(breached if status.breached else within) % {"ages": ages, "freshness": duration(shop.freshness, _)},
        remedy=remedy,
        metrics={
            "success_age_seconds": None if success is None else round(success.total_seconds()),
            "change_age_seconds": None if change is None else round(change.total_seconds()),
            "freshness_seconds": round(shop.freshness.total_seconds()),
        },
    )
