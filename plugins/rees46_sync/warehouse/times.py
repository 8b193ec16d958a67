"""What the times of the rows show of the warehouse's data: how far it is loaded, where it has holes, how fine it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MIN_EMPTY = timedelta(hours=2)
"""The shortest span without a row that counts as empty. Rows are counted by hour, so it is two of them or more."""

MAX_EMPTY_SPANS = 20
"""The longest ones are kept."""

MAX_TIMES_OF_DAY = 2
"""Whole days of a zone with summer time begin at two times of the day, in UTC."""

MIN_DAYS = 3
"""Fewer days do not show that a time of the day is no accident, unless it is midnight."""

_HOUR, _DAY, _QUARTER = 3600, 86_400, 900


@dataclass(frozen=True)
class DataTimes:
    """
    What the times of a window's rows show.

    :param newest: the newest time before the end of the window, and not in the future; None if there is none.
    :param empty_spans: spans between two rows, of at least :data:`MIN_EMPTY`, in which no row is; the latest last.
    :param whole_days: whether the times are days: each is midnight, in UTC or in one other zone.
    """

    newest: datetime | None = None
    empty_spans: tuple[tuple[datetime, datetime], ...] = ()
    whole_days: bool = False


@dataclass
class TimesSeen:
    """Collects the times of an extraction's rows, chunk by chunk, in memory that grows with hours and not with rows."""

    start: datetime
    end: datetime
    _first: dict[int, int] = field(default_factory=dict)
    _last: dict[int, int] = field(default_factory=dict)
    _times_of_day: set[int] = field(default_factory=set)

    def add(self, times: pa.ChunkedArray | pa.Array) -> None:
        """Add times (UTC timestamps); those that are missing, or outside the window, are left out."""
        inside = pc.and_(
            pc.greater_equal(times, pa.scalar(self.start, times.type)), pc.less(times, pa.scalar(self.end, times.type))
        )
        seconds = pc.cast(pc.floor_temporal(times.filter(inside), unit="second"), pa.int64()).to_numpy() // 1_000_000
        if not len(seconds):
            return
        seconds.sort()
        hours, first = np.unique(seconds // _HOUR, return_index=True)
        last = np.append(first[1:], len(seconds)) - 1
        for hour, at, until in zip(hours.tolist(), seconds[first].tolist(), seconds[last].tolist(), strict=True):
            self._first[hour] = min(at, self._first.get(hour, at))
            self._last[hour] = max(until, self._last.get(hour, until))
        if len(self._times_of_day) <= MAX_TIMES_OF_DAY:
            self._times_of_day.update(np.unique(seconds % _DAY).tolist())

    def result(self) -> DataTimes:
        """Return what the times show."""
        if not self._last:
            return DataTimes()
        hours = sorted(self._last)
        spans = [
            (self._last[before], self._first[after])
            for before, after in pairwise(hours)
            if self._first[after] - self._last[before] >= MIN_EMPTY.total_seconds()
        ]
        longest = sorted(spans, key=lambda span: span[0] - span[1])[:MAX_EMPTY_SPANS]
        return DataTimes(
            newest=_moment(self._last[hours[-1]]),
            empty_spans=tuple((_moment(start), _moment(end)) for start, end in sorted(longest)),
            whole_days=self._are_days(),
        )

    def _are_days(self) -> bool:
        if self._times_of_day == {0}:
            return True
        days = {hour * _HOUR // _DAY for hour in self._last}
        return (
            len(days) >= MIN_DAYS
            and len(self._times_of_day) <= MAX_TIMES_OF_DAY
            and all(time % _QUARTER == 0 for time in self._times_of_day)
        )


def _moment(seconds: Any) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
