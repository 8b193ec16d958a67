"""Whether a run has been going on for much longer than the runs of its shop usually do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import has_delivered
from rees46_sync.ledger.tables import approvals, extractions, sync_runs

COMPARED_RUNS = 30
"""The latest regular runs that show what is usual."""

MIN_COMPARED_RUNS = 5
FACTOR = 3
MIN_LIMIT = timedelta(minutes=30)
"""A run is slow if it takes FACTOR times as long as the longest of these runs, and at least as long as MIN_LIMIT."""


@dataclass(frozen=True)
class SlowRun:
    """
    How long the shop's latest run has been going on.

    :param passed: since it started to read the warehouse.
    :param longest: of the compared runs.
    :param limit: from which on it is slow.
    """

    passed: timedelta
    longest: timedelta
    limit: timedelta
    compared: int

    @property
    def is_slow(self) -> bool:
        """Whether it takes longer than the limit."""
        return self.passed > self.limit


def running(ledger: Ledger, shop: str, now: datetime) -> SlowRun | None:
    """
    Return how long the shop's run has been going on; None if none is, or too few have ended to know what is usual.

    Runs over earlier windows do not count: how long a month of history takes says nothing about an hour. A run that
    waits for a person does not either.
    """
    runs, extraction = sync_runs.c, extractions.c
    regular = [runs.shop == shop, has_delivered(sync_runs), runs.window_widened]
    ended = (
        sa.select(runs.started_at, runs.finished_at, runs.window_end)
        .where(*regular)
        .order_by(runs.id.desc())
        .limit(COMPARED_RUNS)
    )
    with ledger.transaction() as connection:
        compared = connection.execute(ended).all()
        if len(compared) < MIN_COMPARED_RUNS:
            return None
        latest = connection.execute(
            sa.select(extraction.extraction_id, extraction.started_at)
            .where(extraction.shop == shop, extraction.window_end > max(run.window_end for run in compared))
            .order_by(extraction.id.desc())
            .limit(1)
        ).first()
        if latest is None:
            return None
        is_over = sa.select(runs.id).where(runs.shop == shop, runs.started_at == latest.started_at)
        outcome = connection.scalar(
            sa.select(approvals.c.outcome)
            .where(approvals.c.shop == shop, approvals.c.extraction_id == latest.extraction_id)
            .order_by(approvals.c.id.desc())
            .limit(1)
        )
        if outcome == "asked" or connection.scalar(is_over.limit(1)) is not None:
            return None
    longest = max(run.finished_at - run.started_at for run in compared)
    return SlowRun(now - latest.started_at, longest, max(FACTOR * longest, MIN_LIMIT), len(compared))
