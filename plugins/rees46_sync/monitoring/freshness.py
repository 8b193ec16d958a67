"""
Is a shop fresh? The DAG ``order_status_freshness``, the health endpoint and the page all use this module.

It reads only the ledger, so it is right even if Airflow's records of runs are gone, or a DAG is paused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from rees46_sync.ledger.coverage import Coverage, coverage
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
    :param watermark: up to here the warehouse's data was loaded, read and delivered; None before the first success.
    :param read_until: up to here the warehouse was read, whether or not more was loaded; None before the first success.
    :param is_data_late: whether the data ended earlier than usual when it was read last.
    :param coverage: the windows that were delivered, by whatever runs, and the gaps between them.
    :param failed_since: runs that failed after it.
    """

    last_success: datetime | None
    watermark: datetime | None
    failed_since: int
    read_until: datetime | None = None
    is_data_late: bool = False
    coverage: Coverage = field(default_factory=Coverage)

    @property
    def oldest_due(self) -> datetime | None:
        """No change from before this moment is due: where the data ends if it is late, else up to when it was read."""
        return self.watermark if self.is_data_late else self.read_until


@dataclass(frozen=True)
class FreshnessStatus:
    """
    How fresh a shop is.

    :param success_age: the time since the end of the last successful regular run; None before the first.
    :param change_age: the largest possible age of a change that is not accepted yet; None before the first success.
    :param is_data_late: whether that is because the warehouse's data ends earlier than usual.
    :param gaps: how many spans between delivered windows no run has delivered.
    :param waiting: how long the shop has waited for its oldest change, or for a success; None if unknown.
    :param breached: whether that is longer than the shop's ``freshness``.
    """

    success_age: timedelta | None
    change_age: timedelta | None
    waiting: timedelta | None
    breached: bool
    is_data_late: bool = False
    gaps: int = 0


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
    records, latest = Runs(ledger), Runs(ledger).latest_regular(shop)
    return SyncProgress(
        last_success=last,
        watermark=records.watermark(shop, lookback) if last else None,
        failed_since=failed_since or 0,
        read_until=records.read_until(shop, lookback) if last else None,
        is_data_late=bool(latest and latest.data_late),
        coverage=coverage(ledger, shop),
    )


def freshness_status(ledger: Ledger, shop: Shop, now: datetime, first_seen: datetime | None = None) -> FreshnessStatus:
    """
    Return how fresh a shop is.

    :param first_seen: when a shop without a success was seen first, from which it is given time; None gives it none.
    """
    progress = sync_progress(ledger, shop.shop, shop.lookback) if ledger.has_runs() else None
    return freshness_of(progress, shop, now, first_seen)


def freshness_of(
    progress: SyncProgress | None, shop: Shop, now: datetime, first_seen: datetime | None = None
) -> FreshnessStatus:
    """
    Return how fresh a shop is, by its progress; None: no run has ended yet.

    :param first_seen: as above.
    """
    ages = [
        max(now - moment, timedelta(0)) if moment else None
        for moment in ((progress.last_success, progress.oldest_due) if progress else (None, None))
    ]
    known = [age for age in ages if age is not None]
    waiting = max(known) if known else (max(now - first_seen, timedelta(0)) if first_seen else None)
    return FreshnessStatus(
        success_age=ages[0],
        change_age=ages[1],
        waiting=waiting,
        breached=waiting is None or waiting > shop.freshness,
        is_data_late=bool(progress and progress.is_data_late),
        gaps=len(progress.coverage.gaps) if progress else 0,
    )
