"""The task of the DAG ``order_status_reconcile``: compare a shop's warehouse with REES46, and send an alert."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rees46_sync.exceptions import DifferencesError
from rees46_sync.monitoring.check_freshness import ListedShop, load_listed
from rees46_sync.translations import translator

if TYPE_CHECKING:
    from rees46_sync.doctor.reconcile import Reconciliation
    from rees46_sync.monitoring.alerts import AlertEvaluation
    from rees46_sync.shop.shop import Shop

log = logging.getLogger(__name__)

SPAN = timedelta(days=35)
"""How far back is compared: a month, and what a week between two comparisons adds."""


def reconcile(shop: ListedShop, shops: str) -> None:
    """
    Compare a shop's warehouse with what REES46 has, and send an alert if orders differ that a run would send.

    What the next run reads anyway is not compared, nor is what lies before the shop's first run.

    :param shops: the folder of shop files.
    :raises DifferencesError: such orders differ.
    :raises ShopFileError: the shop file cannot be used.
    :raises SyncError: as :func:`rees46_sync.doctor.reconcile.compare`.
    """
    from rees46_sync.doctor.reconcile import SENDABLE, compare
    from rees46_sync.ledger.database import interactive_ledger
    from rees46_sync.monitoring.alert_rules import record
    from rees46_sync.monitoring.alerts import Alerts
    from rees46_sync.monitoring.freshness import sync_progress

    loaded = load_listed(shop, shops)
    now = datetime.now(UTC).replace(microsecond=0)
    with interactive_ledger(loaded.ledger_conn_id) as ledger:
        ledger.migrate()
        progress = sync_progress(ledger, loaded.shop, loaded.lookback)
        if progress.watermark is None or progress.coverage.start is None:
            log.info("Shop %s: no regular run has succeeded yet, so there is nothing to compare.", loaded.shop)
            return
        span = min(SPAN, now - progress.coverage.start)
        found = compare(loaded, span, now, not_due=loaded.lookback)
        evaluation = evaluate(loaded, found, now)
        record(loaded, Alerts(ledger, loaded.shop), [evaluation])
    if any(found.total(kind) for kind in SENDABLE):
        raise DifferencesError(f"Shop {loaded.shop}: {evaluation.summary.rstrip('.')}", evaluation.remedy.rstrip("."))
    log.info("Shop %s: %s", loaded.shop, evaluation.summary)


def evaluate(shop: Shop, found: Reconciliation, now: datetime) -> AlertEvaluation:
    """Evaluate the alert about a comparison."""
    from rees46_sync.doctor.reconcile import SENDABLE
    from rees46_sync.monitoring.alerts import AlertEvaluation, AlertName

    _ = translator(shop.language).gettext
    counts = {kind.value: found.total(kind) for kind in SENDABLE}
    compared = {"span": str(found.window)}
    if any(counts.values()):
        summary = _(
            "of the orders of %(span)s, REES46 lacks %(missing)d, has another status than the warehouse of "
            "%(different)d, and may have another one of %(uncertain)d."
        )
    else:
        summary = _("REES46 has the orders of %(span)s as the warehouse says.")
    return AlertEvaluation(
        alert=AlertName.DIFFERENCES,
        firing=any(counts.values()),
        as_of=now,
        summary=summary % (compared | counts),
        remedy=_("make reconcile SHOP=%(shop)s SPAN=%(days)dd shows them, and the command that sends them.")
        % {"shop": shop.shop, "days": SPAN.days},
        metrics=counts,
    )
