"""
Up to when is the warehouse's data loaded, and is that later than usual?

A run reads what is in the warehouse. If the shop's loader is down, that is nothing, and nothing fails. So the coverage
of a run ends where its data ends: at the newest row that it read, or where the shop's query ``loaded_until`` says. The
next window starts there, less the lookback, however long the loader was down. If the loader comes back with its newest
rows first, the hole before them counts as the end of the data until it is filled, or for :data:`HOLE_KEPT`.

A quiet shop has old rows, too. It is told apart by its own history: data is late if it is further behind than
:data:`FACTOR` times the largest lag in the same hour of the last :data:`WEEKS` weeks; at least :data:`MIN_WEEKS` of
them must have one, and :data:`MIN_LIMIT` is never late. Before that, it is late if it is further behind than
``freshness``, and than :data:`FACTOR` times the largest lag so far.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median

from rees46_sync.ledger.coverage import Span
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import Runs
from rees46_sync.shop.shop import Shop
from rees46_sync.window import Window

WEEKS = 8
MIN_WEEKS = 4
FACTOR = 2
MIN_LIMIT = timedelta(hours=1)
HOLE_KEPT = timedelta(days=7)
MAX_HOLE_AGE_WEEKS = 2
"""How much further back lags are read, for a hole some time ago."""

_WEEK, _HOUR, _DAY = timedelta(days=7), timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class DataRead:
    """
    What a run read of the data.

    :param window: its window.
    :param read_until: up to when it could see the changes of its window.
    :param newest: the newest time of its rows, not in the future; None if it read none.
    :param empty_spans: spans between two rows without a row, the oldest first.
    :param whole_days: whether the times are days.
    :param loaded_until: what the shop's query says; None if it has none.
    """

    window: Window
    read_until: datetime
    newest: datetime | None
    empty_spans: Sequence[Span] = ()
    whole_days: bool = False
    loaded_until: datetime | None = None


@dataclass(frozen=True)
class UsualLag:
    """
    How far behind the data usually is.

    :param usual: the median; None if nothing is known yet.
    :param limit: what is further behind is late.
    """

    usual: timedelta | None
    limit: timedelta


@dataclass(frozen=True)
class DataState:
    """
    Up to when the data shows to be loaded.

    :param until: that moment.
    :param lag: how far it was behind when it was read.
    :param usual: what is usual for this hour.
    :param is_late: whether it, or the hole, is longer than usual.
    :param hole: the span without a row that counts as the end of the data, although there are rows after it.
    """

    until: datetime
    lag: timedelta
    usual: UsualLag
    is_late: bool
    hole: Span | None = None


def data_state(ledger: Ledger, shop: Shop, read: DataRead) -> DataState:
    """
    Return up to when the data shows to be loaded, of a run that has read it.

    Only a regular run can find its data late: a window of its own may end in the past.
    """
    runs, is_regular = Runs(ledger), read.window.is_regular
    known = runs.watermark(shop.shop, shop.lookback) if is_regular else None
    floor = min(known or read.window.start + (shop.lookback if is_regular else timedelta(0)), read.read_until)
    lags = _Lags(runs.data_lags(shop.shop, read.window.end - (WEEKS + MAX_HOLE_AGE_WEEKS) * _WEEK), shop.freshness)
    hole = None
    if read.loaded_until:
        until = min(read.loaded_until, read.read_until)
    else:
        newest = read.newest + (_DAY if read.whole_days else timedelta(0)) if read.newest else floor
        until = min(max(newest, floor), read.read_until)
        hole = _hole(lags, runs.waiting_since(shop.shop, floor), read, floor) if is_regular else None
    if hole is None:
        lag, usual = read.read_until - until, lags.usual(read.window.end, until)
        # A shop that never had a row may be new.
        can_tell = is_regular and bool(read.newest or read.loaded_until or runs.has_read_rows(shop.shop))
        return DataState(until, lag, usual, is_late=can_tell and lag > usual.limit)
    until = max(hole[0], floor)
    usual = lags.usual(hole[1], hole[0])
    return DataState(until, read.read_until - until, usual, is_late=_length(hole, read) > usual.limit, hole=hole)


def _hole(lags: _Lags, waiting_since: datetime | None, read: DataRead, floor: datetime) -> Span | None:
    """
    Return the first span without a row, after what is delivered already, that is longer than usual.

    What remains of the hole that the last run saw counts as long as it is a hole: its oldest rows may come last.
    """
    if waiting_since and waiting_since < read.read_until - HOLE_KEPT:
        return None
    for span in read.empty_spans:
        start, end = span
        remains = waiting_since and start <= floor
        if end > floor and (remains or _length(span, read) > lags.usual(end, start).limit):
            return span
    return None


def _length(hole: Span, read: DataRead) -> timedelta:
    return hole[1] - hole[0] - (_DAY if read.whole_days else timedelta(0))


@dataclass(frozen=True)
class _Lags:
    """How far behind the data was in the last weeks, as :meth:`rees46_sync.ledger.runs.Runs.data_lags` returns it."""

    runs: Sequence[tuple[datetime, datetime, timedelta]]
    freshness: timedelta

    def usual(self, at: datetime, until: datetime) -> UsualLag:
        """
        Return which lag is usual at an hour of the week.

        :param at: the moment.
        :param until: runs that read later do not count: they saw the lag that is in question.
        """
        lags = [(end, lag) for end, read, lag in self.runs if read <= until]
        same_hour = [
            [lag for end, lag in lags if abs(at - week * _WEEK - end) <= _HOUR / 2] for week in range(1, WEEKS + 1)
        ]
        weeks = [max(found) for found in same_hour if found]
        if len(weeks) >= MIN_WEEKS:
            return UsualLag(_median(weeks), max(MIN_LIMIT, FACTOR * max(weeks)))
        every = [lag for _, lag in lags]
        largest = max(every, default=timedelta(0))
        return UsualLag(_median(every) if every else None, max(self.freshness, FACTOR * largest))


def _median(lags: Sequence[timedelta]) -> timedelta:
    return timedelta(seconds=median(lag.total_seconds() for lag in lags))
