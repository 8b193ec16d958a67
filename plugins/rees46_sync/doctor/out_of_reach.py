"""Rows that no run reads, because their time is in no run's window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

from rees46_sync.doctor.connections import CLOCK_LIMIT_S
from rees46_sync.doctor.findings import TIMEOUT_S, Finding, Level, from_error, ok, warning, within
from rees46_sync.exceptions import WarehouseError
from rees46_sync.formatting import printable
from rees46_sync.shop.shop import Shop
from rees46_sync.window import Window

MAX_ROWS = 10_000
"""Rows that are counted in each window; a healthy table has none there."""

MAX_EXAMPLES = 3

_OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
"""No shop has older orders; what is dated before has a broken time, such as 0001 or 1970."""

_NEVER_USED = Window(_OLDEST, _OLDEST + timedelta(seconds=1))
"""What the query returns for this window, it returns for every window."""

# The ends of the calendar are windows of their own: there, a query that converts its bounds to a zone of the shop may
# return nothing.
_FIRST_YEARS = Window(datetime.min.replace(tzinfo=UTC), datetime(1000, 1, 1, tzinfo=UTC))
_PAST = Window(_FIRST_YEARS.end, _OLDEST)
_LAST_YEAR = Window(datetime(9999, 1, 1, tzinfo=UTC), datetime.max.replace(tzinfo=UTC))

Row = tuple[str | None, datetime | None]
"""The order id and the time of a row; None if it is missing or unreadable."""


def findings(shop: Shop) -> Iterator[Finding]:
    """
    Look for rows that are dated before 1990 or after now, by the shop's query over such windows.

    Those that the query returns for every window are left out: each run rejects and counts them.
    """
    check = "query.out_of_reach"
    # A clock that is a little ahead is no finding here: warehouse.clock compares clocks.
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=CLOCK_LIMIT_S)
    tomorrow = now + timedelta(days=1)
    try:
        always = within(TIMEOUT_S, lambda: _rows(shop, _NEVER_USED, MAX_ROWS))
        if len(always) >= MAX_ROWS:
            yield ok(check, f"not tried: the query returns {MAX_ROWS:,} rows or more for every window", rows=None)
            return
        soon, *far = (
            _dated_within(shop, window, always)
            for window in (Window(now, tomorrow), _FIRST_YEARS, _PAST, Window(tomorrow, _LAST_YEAR.start), _LAST_YEAR)
        )
    except WarehouseError as problem:
        yield from_error(check, problem, Level.WARNING)
        return
    except TimeoutError as problem:
        yield warning(check, f"not found out: {problem}", "make an index on updated_at, see query.plan", rows=None)
        return
    yield _out_of_reach(check, [row for rows in far for row in rows])
    if soon:
        yield ok(
            "query.future_rows",
            f"{_counted(soon)} dated after now: read when their time comes",
            "if that is a time of the shop's own zone, convert it to UTC in the query (docs/own-shop.md)",
            rows=len(soon),
            examples=_examples(soon),
        )


def _out_of_reach(check: str, rows: Sequence[Row]) -> Finding:
    if not rows:
        return ok(
            check, "no run misses a row that is dated before 1990 or more than a day after now", rows=0, examples=[]
        )
    return warning(
        check,
        f"{_counted(rows)} dated before 1990 or more than a day after now, for example {', '.join(_examples(rows))}",
        "such rows are in no run's window: correct them, or let the query return them whatever the window is, so that "
        "they are rejected and counted (docs/own-shop.md)",
        rows=len(rows),
        examples=_examples(rows),
    )


def _dated_within(shop: Shop, window: Window, always: Sequence[Row]) -> list[Row]:
    """Return the rows whose time is in a window or unreadable, without those that the query always returns."""
    rows = within(TIMEOUT_S, lambda: _rows(shop, window, MAX_ROWS + len(always)))
    known = set(always)
    own = [row for row in rows if row not in known]
    return [(order_id, time) for order_id, time in own if time is None or window.start <= time < window.end][:MAX_ROWS]


def _rows(shop: Shop, window: Window, limit: int) -> list[Row]:
    """Return at most so many rows of a window; the others are not read."""
    from rees46_sync.warehouse import reader as warehouse

    rows: list[Row] = []
    with closing(warehouse.stream(shop, window)) as chunks:
        for chunk in chunks:
            chunk = chunk.slice(0, limit - len(rows))
            rows += zip(chunk["order_id"].to_pylist(), chunk["updated_at"].to_pylist(), strict=True)
            if len(rows) == limit:
                break
    return rows


def _counted(rows: Sequence[Row]) -> str:
    if len(rows) == 1:
        return "1 row is"
    return f"{len(rows):,}{' or more' * (len(rows) >= MAX_ROWS)} rows are"


def _examples(rows: Sequence[Row]) -> list[str]:
    return [f"{printable(order_id, 100) or 'no id'} ({time or 'unreadable'})" for order_id, time in rows[:MAX_EXAMPLES]]
