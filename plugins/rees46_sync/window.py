"""
The window of a run: which orders it reads, by their ``updated_at``.

* A run by hand with ``window_start`` (and ``window_end``) reads exactly that window.
* A history run, and every run of a backfill, reads its data interval.
* A run by hand with ``order_ids`` reads from their oldest ``updated_at`` in the ledger on: that is its window_start.
* Every other run is regular. It starts at its data interval, or at the shop's watermark if that is earlier, so that one
  run catches up after an outage; and earlier still by the shop's ``lookback``, because rows reach a warehouse late and
  REES46 asks for a synchronisation at least every 24 hours. The watermark never passes what the data shows to be
  loaded, so that rows of a loader that was down are read whenever they come. If ``updated_at`` holds days, the window
  starts a day earlier: a day is over only at its end. A run without a data interval (started by an asset, or without a
  logical date) ends when it was requested.

If the shop has ``resend_every``, and the last resend is that long ago, a regular run starts at least that far before
its end, where the last resend ended, and sends again what it reads.

The overlap of windows costs nothing: the ledger knows what was accepted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from rees46_sync.exceptions import WindowError
from rees46_sync.formatting import timestamp


@dataclass(frozen=True)
class Window:
    """
    A span of ``updated_at``: start included, end excluded, both aware and in UTC.

    :param is_regular: whether it continues the window of the last successful run.
    :param is_resend: whether what it holds is sent again although unchanged, because of ``resend_every``.
    """

    start: datetime
    end: datetime
    is_regular: bool = False
    is_resend: bool = False

    def __str__(self) -> str:
        return f"[{timestamp(self.start)}, {timestamp(self.end)}) UTC"


def compute_window(
    *,
    interval: tuple[datetime, datetime] | None,
    requested_at: datetime,
    watermark: datetime | None,
    lookback: timedelta,
    whole_days: bool = False,
    is_history: bool = False,
    named_start: str | None = None,
    named_end: str | None = None,
    resend_every: timedelta | None = None,
    last_resend: datetime | None = None,
) -> Window:
    """
    Compute the window of a run.

    :param interval: the run's data interval; None if it has none.
    :param requested_at: when the run was requested (Airflow's ``run_after``).
    :param watermark: up to when the shop's changes were loaded, read and delivered; None before its first run.
    :param whole_days: whether ``updated_at`` holds days instead of times.
    :param is_history: whether the run reads its data interval unchanged.
    :param named_start: the param ``window_start``, ISO 8601; without a zone it is UTC.
    :param named_end: the param ``window_end``; without it, a named window ends with the interval.
    :param resend_every: of the shop file; None if this run must not be a resend.
    :param last_resend: the end of the window of the last resend; None if none can be due yet.
    :raises WindowError: the named window is empty or has no start, or a bound is not a date and time.
    """
    end = _utc(interval[1] if interval else requested_at)
    if named_start or named_end:
        return _named(named_start, named_end, end)
    first = _utc(interval[0]) if interval else end
    if interval and is_history:
        return Window(first, end)
    start = min(first, _utc(watermark or end)) - lookback - (timedelta(days=1) if whole_days else timedelta(0))
    if resend_every and last_resend and last_resend <= end - resend_every:
        # A resend that is late joins the last one, unless it is late by as much again.
        since = last_resend if last_resend > end - 2 * resend_every else end - resend_every
        return Window(min(start, since), end, is_regular=True, is_resend=True)
    return Window(start, end, is_regular=True)


def _named(named_start: str | None, named_end: str | None, default_end: datetime) -> Window:
    if not named_start:
        raise WindowError("window_end is set and window_start is not", "set both, or neither")
    start = _timestamp("window_start", named_start)
    end = _timestamp("window_end", named_end) if named_end else default_end
    if start >= end:
        remedy = (
            "swap them" if named_end else "set window_end as well; without it the window ends where this run's does"
        )
        raise WindowError(f"window_start {start.isoformat()} is not before window_end {end.isoformat()}", remedy)
    return Window(_utc(start), _utc(end))


def _timestamp(param: str, text: str) -> datetime:
    try:
        value = datetime.fromisoformat(text)
        value = value if value.tzinfo else value.replace(tzinfo=UTC)
        _utc(value)
        return value
    except (ValueError, OverflowError) as error:
        raise WindowError(f"{param} is {text!r}, which is not a date and time", "write 2026-01-31T00:00:00Z") from error


def _utc(value: datetime) -> datetime:
    """Convert Airflow's pendulum timestamp to a plain one in UTC, where a day is always 24 hours."""
    return datetime.fromisoformat(value.isoformat()).astimezone(UTC)
