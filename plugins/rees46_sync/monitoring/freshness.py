"""
Is a shop fresh? The DAG ``order_status_freshness``, the health endpoint and the page all use this module.

It reads only the ledger, so it is right even if Airflow's records of runs are gone, or a DAG is paused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import Runs, has_delivered
from rees46_sync.ledger.tables import UtcDateTime, sync_runs
from rees46_sync.shop.shop import Shop


@dataclass(frozen=True)
class SyncProgress:
    """
    How far a shop's regular runs got. Backfills, dry runs, runs with a window of their own, and runs that held orders
    back do not count.

    :param last_success: when the latest successful run ended, None before the first.
    :param watermark: all changes up to here that were in the warehouse by then were read and delivered; None before the
        first success.
    :param failed_since: runs that failed after it.
    """

    last_success: datetime | None
    watermark: datetime | None
    failed_since: int


@dataclass(frozen=True)
class FreshnessStatus:
    """
    How fresh a shop is.

    :param success_age: the time since the end of the last successful regular run; None before the first.
    :param change_age: the largest possible age of a change that is not accepted yet; None before the first success.
    :param waiting: how long the shop has waited for its oldest change, or for a success; None if unknown.
    :param breached: whether that is longer than the shop's ``freshness``.
    """

    success_age: timedelta | None
    change_age: timedelta | None
    waiting: timedelta | None
    breached: bool


def sync_progress(ledger: Ledger, shop: str, lookback: timedelta) -> SyncProgress:
    """
    Return how far a shop's regular runs got.

    :param lookback: of the shop file.
    """
    runs = sync_runs.c
    regular = (runs.shop == shop) & runs.window_widened
    delivered = has_delivered(sync_runs, ledger.version)
    with ledger.transaction() as connection:
        last = connection.scalar(sa.select(sa.func.max(runs.finished_at, type_=UtcDateTime)).where(regular, delivered))
        failed = sa.select(sa.func.count()).where(regular, runs.outcome == "failed")
        failed_since = connection.scalar(failed if last is None else failed.where(runs.finished_at > last))
    return SyncProgress(last, Runs(ledger).watermark(shop, lookback) if last else None, failed_since or 0)


def freshness_status(ledger: Ledger, shop: Shop, now: datetime, first_seen: datetime | None = None) -> FreshnessStatus:
    """
    Return how fresh a shop is.

    :param first_seen: when a shop without a success was seen first, from which it is given time; None gives it none.
    """
    progress = sync_progress(ledger, shop.shop, shop.lookback) if ledger.has_runs() else None
    ages = [
        max(now - moment, timedelta(0)) if moment else None
        for moment in ((progress.last_success, progress.watermark) if progress else (None, None))
    ]
    known = [age for age in ages if age is not None]
    waiting = max(known) if known else (max(now - first_seen, timedelta(0)) if first_seen else None)
    return FreshnessStatus(ages[0], ages[1], waiting, breached=waiting is None or waiting > shop.freshness)
