"""
Is the number of changes that an hourly run sent unusual? It is compared with the same hour of past weeks.

The usual number is the median of the same slot (weekday and hour, or another length if the schedule has one) in the
last :data:`WEEKS` weeks; at least :data:`MIN_WEEKS` of them must have a number. A number is unusual if both are true:

* it is the usual number times ``volume_factor`` or more, or the usual number divided by it or less;
* its distance from the usual number is more than :data:`SPREADS` times the spread of those weeks. The spread is the
  median absolute deviation, times 1.4826 to be comparable with a standard deviation, of the numbers' square roots:
  their random variation does not grow with the numbers (it is 0.5 for counts of independent events; Bartlett 1936). It
  is at least :data:`MIN_SPREAD`, so that a few weeks that are alike by chance do not make every other number unusual.

For example, no change at all is unusual if the usual number is ten or more and most weeks are within a third of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from statistics import median

import sqlalchemy as sa
from croniter import croniter

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import has_delivered
from rees46_sync.ledger.tables import sync_runs

WEEKS = 8
MIN_WEEKS = 4
SPREADS = 4
MIN_SPREAD = 0.75

_WEEK = timedelta(days=7)
_NORMAL = 1.4826


@dataclass(frozen=True)
class Slot:
    """The time between two scheduled runs, up to and including its end: the run's window ends there."""

    start: datetime
    end: datetime

    @classmethod
    def ending(cls, end: datetime, schedule: str) -> Slot:
        """Return the slot of the run that a schedule starts at a time (UTC)."""
        return cls(croniter(schedule, end).get_prev(datetime), end)

    def earlier(self, weeks: int) -> Slot:
        """Return the same slot some weeks ago."""
        return Slot(self.start - weeks * _WEEK, self.end - weeks * _WEEK)


def sent_in(ledger: Ledger, shop: str, slot: Slot) -> int | None:
    """
    Return how many changes the regular runs of a slot sent; None if none that ended with the slot succeeded.

    Runs that were started within the slot by hand or by an asset sent a part of its changes, so they count as well.
    Backfills, runs with a window of their own, and orders that were sent again although unchanged do not.
    """
    runs = sync_runs.c
    changed = (runs.sent - sa.func.coalesce(runs.resent, 0)).label("changed")
    delivered_slot = (has_delivered(sync_runs) & (runs.window_end == slot.end)).label("delivered_slot")
    query = sa.select(changed, delivered_slot).where(
        runs.shop == shop,
        runs.outcome == "success",
        runs.window_widened,
        runs.window_end > slot.start,
        runs.window_end <= slot.end,
    )
    with ledger.transaction() as connection:
        found = connection.execute(query).all()
    return sum(run.changed for run in found) if any(run.delivered_slot for run in found) else None


def usual_counts(ledger: Ledger, shop: str, slot: Slot) -> list[int]:
    """Return the numbers of changes sent in the same slot of the last weeks that had runs, the latest first."""
    weeks = (sent_in(ledger, shop, slot.earlier(week)) for week in range(1, WEEKS + 1))
    return [sent for sent in weeks if sent is not None]


def is_unusual(sent: int, usual: Sequence[int], factor: float) -> bool | None:
    """
    Return whether a number of changes is unusual; None if there are too few weeks to tell.

    :param factor: the shop's ``alerts.volume_factor``.
    """
    if len(usual) < MIN_WEEKS:
        return None
    middle = median(usual)
    roots = [sqrt(one) for one in usual]
    spread = max(MIN_SPREAD, _NORMAL * median(abs(root - median(roots)) for root in roots))
    by_a_factor = sent >= middle * factor or sent <= middle / factor
    return by_a_factor and abs(sqrt(sent) - sqrt(middle)) > SPREADS * spread
