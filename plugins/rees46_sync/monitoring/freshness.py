"""
Is a shop fresh? The one answer of the DAG ``order_status_freshness``, of the health endpoint and of the page.

It asks the ledger alone, so it is true also where Airflow's records of runs are gone, and where a DAG is paused.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from rees46_sync.monitoring.page.queries import Reports
from rees46_sync.shop.shop import Shop


@dataclass(frozen=True)
class Standing:
    """
    How fresh a shop is.

    :param success_age: since the end of the last successful hourly run; None before the first.
    :param change_age: how old a change that is not yet accepted can be, at most; None before the first success.
    :param waiting: since when the oldest of them waits, or the first success is waited for; None where nobody knows.
    :param lost: whether that is longer than the shop's ``freshness``.
    """

    success_age: timedelta | None
    change_age: timedelta | None
    waiting: timedelta | None
    lost: bool


def standing_of(reports: Reports, shop: Shop, now: datetime, first_seen: datetime | None = None) -> Standing:
    """
    Ask how fresh a shop is.

    :param first_seen: from when a shop without a success is given its time; None gives it none.
    """
    found = reports.freshness(shop.lookback) if reports.has_tables() else None
    ages = [
        max(now - moment, timedelta(0)) if moment else None
        for moment in ((found.last_success, found.covered_until) if found else (None, None))
    ]
    known = [age for age in ages if age is not None]
    waiting = max(known) if known else (max(now - first_seen, timedelta(0)) if first_seen else None)
    return Standing(ages[0], ages[1], waiting, lost=waiting is None or waiting > shop.freshness)
