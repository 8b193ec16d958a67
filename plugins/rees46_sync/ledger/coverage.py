"""Which windows of a shop were read and delivered, by whatever runs, and which lie between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import READ_UP_TO, has_delivered
from rees46_sync.ledger.tables import UtcDateTime, covered_windows, sync_runs

Span = tuple[datetime, datetime]


@dataclass(frozen=True)
class Coverage:
    """
    The spans of ``updated_at`` that runs of a shop have read and delivered.

    :param start: where the first of them starts; None before the first.
    :param read_until: where the last of them ends, by the clock.
    :param gaps: what lies between them and no run has delivered, the oldest first.
    """

    start: datetime | None = None
    read_until: datetime | None = None
    gaps: tuple[Span, ...] = ()


def coverage(ledger: Ledger, shop: str) -> Coverage:
    """
    Return what the runs of a shop have covered.

    A failed run counts for its start: what it should have read is a gap until another run has delivered it.
    """
    with ledger.transaction() as connection:
        start, end = connection.execute(_bounds(shop, ledger.version)).one()
        failed: datetime | None = connection.scalar(
            sa.select(sa.func.min(sync_runs.c.window_start)).where(sync_runs.c.shop == shop)
        )
        if start is None:
            return Coverage()
        gaps = [(begin, until) for begin, until in connection.execute(_gaps(shop, ledger.version))]
    if failed is not None and failed < start:
        gaps.insert(0, (failed, start))
    return Coverage(start, end, tuple(gaps))


def _windows(shop: str, version: int) -> sa.CompoundSelect[Any]:
    runs, covered = sync_runs.c, covered_windows.c
    own = sa.select(runs.window_start.label("start"), READ_UP_TO.label("until")).where(
        runs.shop == shop, has_delivered(sync_runs, version), runs.window_start.is_not(None)
    )
    removed = [sa.select(covered.window_start, covered.read_until).where(covered.shop == shop)] if version >= 5 else []
    return sa.union_all(own, *removed)


def _bounds(shop: str, version: int) -> sa.Select[Any]:
    windows = _windows(shop, version).subquery("windows").c
    return sa.select(sa.func.min(windows.start, type_=UtcDateTime), sa.func.max(windows.until, type_=UtcDateTime))


def _gaps(shop: str, version: int) -> sa.Select[datetime, datetime]:
    """Return a query for the spans between windows that overlap or touch: an island ends where the next one starts."""
    windows = _windows(shop, version).subquery("windows").c
    order = (windows.start, windows.until)
    before = sa.func.max(windows.until, type_=UtcDateTime).over(order_by=order, rows=(None, -1))
    islands = sa.select(before.label("end_before"), windows.start.label("start")).subquery("islands").c
    typed = sa.type_coerce(islands.end_before, UtcDateTime), sa.type_coerce(islands.start, UtcDateTime)
    return sa.select(*typed).where(islands.end_before < islands.start).order_by(islands.start)


def merge_into_covered(connection: sa.Connection, shop: str, removed: Sequence[int]) -> None:
    """
    Keep what runs have covered before their records are removed.

    :param removed: the ids of the records.
    """
    runs, covered = sync_runs.c, covered_windows.c
    windows = connection.execute(
        sa.select(runs.window_start, sa.type_coerce(READ_UP_TO, UtcDateTime)).where(
            runs.id.in_(removed), has_delivered(sync_runs), runs.window_start.is_not(None)
        )
    ).all()
    if not windows:
        return
    kept = connection.execute(sa.select(covered.window_start, covered.read_until).where(covered.shop == shop)).all()
    merged: list[list[datetime]] = []
    for start, until in sorted((start, until) for start, until in [*kept, *windows] if start < until):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], until)
        else:
            merged.append([start, until])
    connection.execute(sa.delete(covered_windows).where(covered.shop == shop))
    if merged:
        rows = [{"shop": shop, "window_start": start, "read_until": until} for start, until in merged]
        connection.execute(sa.insert(covered_windows), rows)
