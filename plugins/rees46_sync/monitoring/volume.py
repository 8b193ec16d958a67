"""
Is the number of changes that an hourly run sent far off the usual? Compared with the same hour of the week before.

The usual is the median of the same slot (weekday and hour; whatever the shop's schedule cuts time into) in the last
:data:`WEEKS` weeks, and there must be :data:`LEAST_WEEKS` of them. A number is far off when both are true:

* it is at least ``volume_factor`` times more, or fewer, than the usual;
* it is further away than :data:`SPREADS` times the spread of those weeks. The spread is the median absolute deviation,
  times 1.4826 so that it is comparable with a standard deviation, of the numbers' square roots, whose chance variation
  does not grow with the numbers (it is 0.5 for counts of independent events; Bartlett 1936). It is taken as
  :data:`LEAST_SPREAD` at least, so that few weeks that happen to be alike do not make everything else unusual.

So no change at all is far off where the usual is ten or more, and most weeks are within a third of it.
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
from rees46_sync.ledger.tables import sync_runs

WEEKS = 8
LEAST_WEEKS = 4
SPREADS = 4
LEAST_SPREAD = 0.75

_WEEK = timedelta(days=7)
_NORMAL = 1.4826


@dataclass(frozen=True)
class Slot:
    """The time that one scheduled run is about; its end is included, because that is where the run's window ends."""

    start: datetime
    end: datetime

    @classmethod
    def ending(cls, end: datetime, schedule: str) -> Slot:
        """Return the slot of the run that a schedule makes at a time (UTC)."""
        return cls(croniter(schedule, end).get_prev(datetime), end)

    def earlier(self, weeks: int) -> Slot:
        """Return the same slot some weeks ago."""
        return Slot(self.start - weeks * _WEEK, self.end - weeks * _WEEK)


def sent_in(ledger: Ledger, shop: str, slot: Slot) -> int | None:
    """
    Return how many changes the regular runs of a slot sent; None where none succeeded at its end.

    Runs that somebody or an asset started within the slot took their share of its changes, and count as well. Backfills
    and runs over a window of their own do not.
    """
    runs = sync_runs.c
    query = sa.select(runs.window_end, runs.sent).where(
        runs.shop == shop,
        runs.outcome == "success",
        runs.window_widened,
        runs.window_end > slot.start,
        runs.window_end <= slot.end,
    )
    with ledger.transaction() as connection:
        found = connection.execute(query).all()
    return sum(run.sent for run in found) if any(run.window_end == slot.end for run in found) else None


def usual_of(ledger: Ledger, shop: str, slot: Slot) -> list[int]:
    """Return what was sent in the same slot of the last weeks, as far as there were runs."""
    weeks = (sent_in(ledger, shop, slot.earlier(week)) for week in range(1, WEEKS + 1))
    return [sent for sent in weeks if sent is not None]


def is_far_off(sent: int, usual: Sequence[int], factor: float) -> bool | None:
    """
    Return whether a number is far off the usual; None where there are too few weeks to say.

    :param factor: the shop's ``alerts.volume_factor``.
    """
    if len(usual) < LEAST_WEEKS:
        return None
    middle = median(usual)
    roots = [sqrt(one) for one in usual]
    spread = max(LEAST_SPREAD, _NORMAL * median(abs(root - median(roots)) for root in roots))
    by_a_factor = sent >= middle * factor or sent <= middle / factor
    return by_a_factor and abs(sqrt(sent) - sqrt(middle)) > SPREADS * spread
