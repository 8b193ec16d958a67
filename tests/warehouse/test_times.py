"""What the times of the rows show of the data."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from rees46_sync.warehouse.times import MAX_EMPTY_SPANS, DataTimes, TimesSeen

DAY = datetime(2026, 3, 1, tzinfo=UTC)


def at(hours: float, days: int = 0) -> datetime:
    return DAY + timedelta(days=days, hours=hours)


def seen(*chunks: Sequence[datetime | None]) -> DataTimes:
    times = TimesSeen(DAY, at(0, days=40))
    for chunk in chunks:
        times.add(pa.chunked_array([pa.array(chunk, pa.timestamp("us", "UTC"))]))
    return times.result()


def test_the_newest_time_is_the_newest_inside_the_window() -> None:
    chunk = [at(-1), at(3), None, at(2, days=50)]
    assert seen(chunk, [at(1)]).newest == at(3)


@pytest.mark.parametrize("chunks", [(), ([],), ([None],), ([at(-1)],)], ids=["none", "empty", "no-time", "outside"])
def test_without_a_time_nothing_is_shown(chunks: Sequence[Sequence[datetime | None]]) -> None:
    assert seen(*chunks) == DataTimes(None, (), whole_days=False)


def test_an_empty_span_lies_between_two_rows_whatever_chunk_they_come_in() -> None:
    found = seen([at(9.25), at(1), at(1.9)], [at(5), at(1.5), at(9.5)])
    assert found.empty_spans == ((at(1.9), at(5)), (at(5), at(9.25)))


def test_rows_of_each_hour_leave_no_empty_span() -> None:
    assert seen([at(hour + 0.01) for hour in range(48)]).empty_spans == ()


def test_of_many_empty_spans_the_longest_are_kept() -> None:
    found = seen([at(0.5, days=day) for day in range(30)] + [at(5, days=day) for day in range(30)])
    assert len(found.empty_spans) == MAX_EMPTY_SPANS
    assert {end - start for start, end in found.empty_spans} == {timedelta(hours=19.5)}


@pytest.mark.parametrize(
    ("times", "whole_days"),
    [
        pytest.param([at(0)], True, id="midnight"),
        pytest.param([at(0), at(0, days=1), at(0, days=2)], True, id="midnights"),
        pytest.param([at(0), at(0.01, days=1)], False, id="a-second-one-is-not"),
        pytest.param([at(21, days=day) for day in range(4)], True, id="midnight-in-another-zone"),
        pytest.param([at(22 if day < 28 else 21, days=day) for day in range(32)], True, id="with-summer-time"),
        pytest.param([at(21, days=day) for day in range(2)], False, id="too-few-days-to-tell"),
        pytest.param([at(21.01, days=day) for day in range(9)], False, id="no-zone-begins-its-day-then"),
        pytest.param([at(hour, days=hour) for hour in range(9)], False, id="full-hours"),
    ],
)
def test_days_are_told_from_times(times: list[datetime], whole_days: bool) -> None:
    assert seen(times).whole_days is whole_days
