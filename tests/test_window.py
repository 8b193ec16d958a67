"""The window of a run: each kind of run has one, and no row falls between two."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rees46_sync.exceptions import WindowError
from rees46_sync.window import Window, compute_window

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


SEVEN, EIGHT = at("2026-03-29 07:00"), at("2026-03-29 08:00")
REQUESTED = at("2026-03-29 08:00:02.123456")
MONTH = (at("2026-02-01"), at("2026-03-01"))
BERLIN = pendulum.timezone("Europe/Berlin")
BERLIN_SUMMER = timezone(timedelta(hours=2))


@dataclass(frozen=True)
class Run:
    """A run as Airflow and the ledger describe it: the hour before eight, with a day of lookback."""

    interval: tuple[datetime, datetime] | None = (SEVEN, EIGHT)
    requested_at: datetime = REQUESTED
    watermark: datetime | None = None
    lookback: timedelta = DAY
    is_history: bool = False
    named_start: str | None = None
    named_end: str | None = None
    resend_every: timedelta | None = None
    last_resend: datetime | None = None

    def window(self) -> Window:
        return compute_window(**vars(self))


RUNS = [
    pytest.param(Run(), SEVEN - DAY, EIGHT, True, id="first-run-ever"),
    pytest.param(Run(watermark=SEVEN), SEVEN - DAY, EIGHT, True, id="hourly"),
    pytest.param(Run(watermark=SEVEN, lookback=timedelta(0)), SEVEN, EIGHT, True, id="hourly-without-lookback"),
    pytest.param(Run(watermark=SEVEN - 3 * DAY), SEVEN - 4 * DAY, EIGHT, True, id="after-an-outage-of-three-days"),
    pytest.param(
        Run(watermark=SEVEN - 3 * DAY, lookback=timedelta(0)),
        SEVEN - 3 * DAY,
        EIGHT,
        True,
        id="after-an-outage-without-lookback",
    ),
    pytest.param(Run(watermark=EIGHT), SEVEN - DAY, EIGHT, True, id="cleared"),
    pytest.param(Run(watermark=EIGHT + 5 * HOUR), SEVEN - DAY, EIGHT, True, id="older-than-the-last-success"),
    pytest.param(Run(interval=None), REQUESTED - DAY, REQUESTED, True, id="started-by-an-asset-before-any-other"),
    pytest.param(Run(interval=None, watermark=SEVEN), SEVEN - DAY, REQUESTED, True, id="started-by-an-asset"),
    pytest.param(
        Run(interval=None, watermark=SEVEN - 3 * DAY), SEVEN - 4 * DAY, REQUESTED, True, id="asset-after-an-outage"
    ),
    pytest.param(
        Run(interval=None, watermark=REQUESTED + HOUR),
        REQUESTED - DAY,
        REQUESTED,
        True,
        id="asset-requested-before-the-success",
    ),
    pytest.param(Run(interval=(EIGHT, EIGHT), watermark=SEVEN), SEVEN - DAY, EIGHT, True, id="empty-interval"),
    pytest.param(Run(interval=MONTH, is_history=True), *MONTH, False, id="history"),
    pytest.param(
        Run(interval=MONTH, is_history=True, watermark=MONTH[0] - DAY), *MONTH, False, id="history-after-an-outage"
    ),
    pytest.param(
        Run(interval=None, is_history=True, watermark=SEVEN),
        SEVEN - DAY,
        REQUESTED,
        True,
        id="history-without-an-interval",
    ),
    pytest.param(
        Run(named_start="2026-03-01T00:00:00", named_end="2026-03-02T00:00:00", watermark=SEVEN),
        at("2026-03-01"),
        at("2026-03-02"),
        False,
        id="named",
    ),
    pytest.param(Run(named_start="2026-03-01T00:00:00"), at("2026-03-01"), EIGHT, False, id="named-start-alone"),
    pytest.param(
        Run(interval=None, named_start="2026-03-01T00:00:00"), at("2026-03-01"), REQUESTED, False, id="named-by-hand"
    ),
    pytest.param(
        Run(interval=MONTH, is_history=True, named_start="2026-02-10", named_end="2026-02-11"),
        at("2026-02-10"),
        at("2026-02-11"),
        False,
        id="named-in-history",
    ),
    pytest.param(
        Run(named_start="2026-03-01T00:00:00+03:00", named_end="2026-03-01T00:00:00Z"),
        at("2026-02-28 21:00"),
        at("2026-03-01"),
        False,
        id="named-with-zones",
    ),
    pytest.param(
        Run(named_start="2026-03-01T00:00:00-05:30", named_end="2026-03-01T06:00:00"),
        at("2026-03-01 05:30"),
        at("2026-03-01 06:00"),
        False,
        id="named-with-and-without-a-zone",
    ),
    pytest.param(
        Run(named_start="2026-03-01T00:00:00.000001", named_end="2026-03-01T00:00:00.000002"),
        at("2026-03-01 00:00:00.000001"),
        at("2026-03-01 00:00:00.000002"),
        False,
        id="named-one-microsecond",
    ),
    pytest.param(Run(named_start="", named_end=""), SEVEN - DAY, EIGHT, True, id="fields-of-the-form-left-empty"),
]


@pytest.mark.parametrize(("run", "start", "end", "is_regular"), RUNS)
def test_each_kind_of_run_has_its_window(run: Run, start: datetime, end: datetime, is_regular: bool) -> None:
    assert run.window() == Window(start, end, is_regular)


RESEND = Run(watermark=SEVEN, resend_every=7 * DAY, last_resend=EIGHT - 7 * DAY)


@pytest.mark.parametrize(
    ("run", "window"),
    [
        pytest.param(RESEND, Window(EIGHT - 7 * DAY, EIGHT, is_regular=True, is_resend=True), id="just-due"),
        pytest.param(
            replace(RESEND, last_resend=EIGHT - 8 * DAY),
            Window(EIGHT - 8 * DAY, EIGHT, is_regular=True, is_resend=True),
            id="late-by-a-day",
        ),
        pytest.param(
            replace(RESEND, last_resend=EIGHT - 14 * DAY),
            Window(EIGHT - 7 * DAY, EIGHT, is_regular=True, is_resend=True),
            id="late-by-as-much-again",
        ),
        pytest.param(
            replace(RESEND, watermark=EIGHT - 9 * DAY),
            Window(EIGHT - 10 * DAY, EIGHT, is_regular=True, is_resend=True),
            id="due-after-an-outage",
        ),
        pytest.param(
            replace(RESEND, interval=None, last_resend=REQUESTED - 7 * DAY),
            Window(REQUESTED - 7 * DAY, REQUESTED, is_regular=True, is_resend=True),
            id="started-by-an-asset",
        ),
        pytest.param(
            replace(RESEND, last_resend=EIGHT - 7 * DAY + timedelta(microseconds=1)),
            Window(SEVEN - DAY, EIGHT, is_regular=True),
            id="a-moment-too-early",
        ),
        pytest.param(replace(RESEND, last_resend=None), Window(SEVEN - DAY, EIGHT, is_regular=True), id="no-success"),
        pytest.param(replace(RESEND, resend_every=None), Window(SEVEN - DAY, EIGHT, is_regular=True), id="not-asked"),
        pytest.param(
            replace(RESEND, last_resend=EIGHT + DAY), Window(SEVEN - DAY, EIGHT, is_regular=True), id="old-run"
        ),
        pytest.param(replace(RESEND, interval=MONTH, is_history=True), Window(*MONTH), id="history"),
        pytest.param(replace(RESEND, named_start="2026-03-01T00:00:00"), Window(at("2026-03-01"), EIGHT), id="named"),
    ],
)
def test_a_regular_run_is_a_resend_if_the_last_one_is_long_enough_ago(run: Run, window: Window) -> None:
    assert run.window() == window


@pytest.mark.parametrize(
    ("interval", "window"),
    [
        pytest.param(
            (pendulum.datetime(2026, 3, 29, 7), pendulum.datetime(2026, 3, 29, 8)), (SEVEN, EIGHT), id="pendulum-in-utc"
        ),
        pytest.param(
            (pendulum.datetime(2026, 3, 29, 1, tz=BERLIN), pendulum.datetime(2026, 3, 29, 3, tz=BERLIN)),
            (at("2026-03-29 00:00"), at("2026-03-29 01:00")),
            id="pendulum-over-the-hour-that-summer-time-skips",
        ),
        pytest.param(
            (
                pendulum.datetime(2026, 10, 25, 2, tz=BERLIN, fold=0),
                pendulum.datetime(2026, 10, 25, 2, tz=BERLIN, fold=1),
            ),
            (at("2026-10-25 00:00"), at("2026-10-25 01:00")),
            id="pendulum-over-the-hour-that-comes-twice",
        ),
        pytest.param(
            (SEVEN.astimezone(BERLIN_SUMMER), EIGHT.astimezone(BERLIN_SUMMER)), (SEVEN, EIGHT), id="fixed-offset"
        ),
    ],
)
def test_an_interval_of_any_zone_becomes_plain_utc(
    interval: tuple[datetime, datetime], window: tuple[datetime, datetime]
) -> None:
    result = Run(interval=interval, is_history=True).window()

    assert (result.start, result.end) == window
    assert [(type(bound), bound.tzinfo) for bound in (result.start, result.end)] == [(datetime, UTC)] * 2


def test_a_day_of_lookback_is_24_hours_also_over_summer_time() -> None:
    noon = pendulum.datetime(2026, 3, 29, 12, tz=BERLIN)  # the clocks went forward in the night before

    window = Run(interval=(noon, noon), watermark=noon).window()

    assert window.start == at("2026-03-28 10:00")


@pytest.mark.parametrize(
    ("run", "words"),
    [
        pytest.param(Run(named_end="2026-03-01"), ["window_end", "window_start", "set both"], id="end-alone"),
        pytest.param(
            Run(named_start="", named_end="2026-03-01"), ["window_end", "window_start", "set both"], id="start-empty"
        ),
        pytest.param(
            Run(named_start="yesterday"), ["window_start", "'yesterday'", "2026-01-31T00:00:00"], id="no-time"
        ),
        pytest.param(
            Run(named_start="2026-03-01", named_end="03/02/2026"),
            ["window_end", "'03/02/2026'", "2026-01-31T00:00:00"],
            id="end-no-time",
        ),
        pytest.param(Run(named_start=" "), ["window_start", "' '", "2026-01-31T00:00:00"], id="blank"),
        pytest.param(Run(named_start="2026-02-30"), ["window_start", "'2026-02-30'", "write"], id="no-such-day"),
        pytest.param(
            Run(named_start="2026-03-02", named_end="2026-03-01"),
            ["window_start 2026-03-02", "window_end 2026-03-01", "swap"],
            id="start-after-end",
        ),
        pytest.param(
            Run(named_start="2026-03-01", named_end="2026-03-01"), ["not before", "2026-03-01T00:00:00"], id="empty"
        ),
        pytest.param(
            Run(named_start="2026-03-01T00:00:00+03:00", named_end="2026-02-28T21:00:00Z"),
            ["not before", "window_end 2026-02-28T21:00:00"],
            id="empty-over-zones",
        ),
        pytest.param(
            Run(named_start="0001-01-01T00:00:00+05:00", named_end="2026-03-01"), ["window_start"], id="before-year-1"
        ),
        pytest.param(
            Run(named_start="2026-03-01", named_end="9999-12-31T23:59:59-05:00"), ["window_end"], id="after-year-9999"
        ),
    ],
)
def test_a_window_that_does_not_exist_says_what_to_write(run: Run, words: list[str]) -> None:
    with pytest.raises(WindowError) as caught:
        run.window()

    assert [word for word in words if word not in str(caught.value)] == []


def test_a_start_in_the_future_is_not_explained_by_an_end_that_was_not_named() -> None:
    with pytest.raises(WindowError, match="window_start 2027-01-01") as caught:
        Run(named_start="2027-01-01").window()

    assert "swap" not in str(caught.value)


def test_a_window_is_logged_in_utc() -> None:
    assert str(Window(SEVEN, EIGHT)) == "[2026-03-29 07:00:00, 2026-03-29 08:00:00) UTC"


ZONES = st.timezones() | st.builds(timezone, st.integers(-1439, 1439).map(lambda minutes: timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=ZONES)  # noqa: DTZ001 - hypothesis adds the zone
LOOKBACKS = st.timedeltas(timedelta(0), timedelta(days=300))


def utc(value: datetime) -> datetime:
    """Python compares times of one zone by the wall clock, and times in UTC by the moment."""
    return value.astimezone(UTC)


PAIRS = st.tuples(TIMES, TIMES).map(lambda pair: (min(pair, key=utc), max(pair, key=utc)))
RUNS_WITHOUT_NAMES = st.builds(
    Run,
    interval=st.none() | PAIRS,
    requested_at=TIMES,
    watermark=st.none() | TIMES,
    lookback=LOOKBACKS,
    is_history=st.booleans(),
)


@given(RUNS_WITHOUT_NAMES)
def test_no_window_ends_before_it_starts(run: Run) -> None:
    window = run.window()

    assert window.start <= window.end


@given(RUNS_WITHOUT_NAMES)
def test_every_window_is_plain_utc_and_ends_to_the_microsecond(run: Run) -> None:
    window = run.window()

    assert window.end == utc(run.interval[1] if run.interval else run.requested_at)
    assert {window.start.tzinfo, window.end.tzinfo} == {UTC}


@given(RUNS_WITHOUT_NAMES)
def test_a_regular_window_holds_the_interval_and_all_since_the_last_success(run: Run) -> None:
    window = run.window()

    if run.interval and run.is_history:
        assert window == Window(utc(run.interval[0]), utc(run.interval[1]), is_regular=False)
    else:
        first = utc(run.interval[0]) if run.interval else window.end
        watermark = utc(run.watermark) if run.watermark else window.end
        assert window == Window(min(first, watermark) - run.lookback, window.end, is_regular=True)


@given(PAIRS.filter(lambda pair: utc(pair[0]) < utc(pair[1])), RUNS_WITHOUT_NAMES)
def test_a_named_window_is_read_exactly(pair: tuple[datetime, datetime], run: Run) -> None:
    named = replace(run, named_start=pair[0].isoformat(), named_end=pair[1].isoformat())

    assert named.window() == Window(utc(pair[0]), utc(pair[1]), is_regular=False)
