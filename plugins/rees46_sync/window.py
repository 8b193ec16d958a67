"""
Which rows a run is about: its window ``[start, end)``, in UTC, over the orders' ``updated_at``.

* A run by hand with ``window_start`` (and ``window_end``) reads exactly that.
* A history run, and every run of a backfill, reads its data interval as it is.
* Every other run reads its data interval, with the start widened back to where the shop's last successful run ended
  (so that an outage is made good by one run; before the first success, to where the first run tried to begin) and from
  there by the shop's ``lookback`` (rows reach a warehouse late; REES46 asks for a synchronisation at least every 24
  hours). A run without a data interval (started by an asset, or without a logical date) ends when it was asked for.

The overlap costs nothing: the ledger knows what was accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rees46_sync.exceptions import WindowError


@dataclass(frozen=True)
class Window:
    """A span of ``updated_at``: start included, end excluded, both aware UTC.

    :param widened: whether the start was taken from the last successful run, so that this run continues it.
    """

    start: datetime
    end: datetime
    widened: bool = False

    def __str__(self) -> str:
        return f"[{self.start:%Y-%m-%d %H:%M:%S}, {self.end:%Y-%m-%d %H:%M:%S}) UTC"


def window_of_run(
    *,
    interval: tuple[datetime, datetime] | None,
    asked_at: datetime,
    covered_until: datetime | None,
    lookback: timedelta,
    as_it_is: bool = False,
    named_start: str | None = None,
    named_end: str | None = None,
) -> Window:
    """
    Compute the window of a run.

    :param interval: the run's data interval, None where it has none.
    :param asked_at: when the run was asked for (Airflow's ``run_after``).
    :param covered_until: where the shop's last successful run ended, None before the first one.
    :param as_it_is: a history run: its interval is not widened.
    :param named_start: the param ``window_start``, ISO 8601; without a zone it is UTC.
    :param named_end: the param ``window_end``; without it a named window ends where the interval does.
    :raises WindowError: the named window is empty, not readable or without a start.
    """
    end = _utc(interval[1] if interval else asked_at)
    if named_start or named_end:
        return _named(named_start, named_end, end)
    first = _utc(interval[0]) if interval else end
    if interval and as_it_is:
        return Window(first, end)
    return Window(min(first, _utc(covered_until or end)) - lookback, end, widened=True)


def _named(named_start: str | None, named_end: str | None, default_end: datetime) -> Window:
    if not named_start:
        raise WindowError("window_end is set and window_start is not; set both, or neither.")
    start = _timestamp("window_start", named_start)
    end = _timestamp("window_end", named_end) if named_end else default_end
    if start >= end:
        remedy = (
            "swap them" if named_end else "set window_end as well; without it the window ends where this run's does"
        )
        raise WindowError(f"window_start {start.isoformat()} is not before window_end {end.isoformat()}; {remedy}.")
    return Window(_utc(start), _utc(end))


def _timestamp(param: str, text: str) -> datetime:
    try:
        value = datetime.fromisoformat(text)
        value = value if value.tzinfo else value.replace(tzinfo=UTC)
        _utc(value)
        return value
    except (ValueError, OverflowError) as error:
        raise WindowError(f"{param} is {text!r}, which is not a date and time; write 2026-01-31T00:00:00.") from error


def _utc(value: datetime) -> datetime:
    """Turn Airflow's pendulum timestamp into a plain one, in UTC: also so that a day's difference is 24 hours."""
    return datetime.fromisoformat(value.isoformat()).astimezone(UTC)
