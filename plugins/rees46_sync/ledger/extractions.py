"""
Extractions, and which of two read the warehouse later.

An extraction gets a number when it starts, and a mark, the latest number, when it has read all its rows. So of two
extractions it is known whether one had read everything before the other one started; if neither had, they overlap, and
only the versions of an order can tell which row is newer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger, retry_transaction
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.tables import extractions


class Extractions:
    """The extractions in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @retry_transaction
    def start(self, run: RunRef, started_at: datetime, window: tuple[datetime, datetime]) -> None:
        """
        Record that an extraction starts; to be called before its first row is read.

        :param window: its start and its end.
        """
        row = {
            "shop": run.shop,
            "extraction_id": run.extraction_id,
            "started_at": started_at,
            "window_start": window[0],
            "window_end": window[1],
            "is_open": True,
            "latest_confirmation_id": 0,
        }
        with self.ledger.transaction() as connection:
            connection.execute(sa.delete(extractions).where(_is(run)))  # the commit of a lost connection
            connection.execute(sa.insert(extractions).values(row))

    @retry_transaction
    def finish_reading(self, run: RunRef) -> None:
        """Record that an extraction has read all its rows; one that starts after this has read later."""
        with self.ledger.transaction() as connection:
            # In a statement of its own: MySQL does not update a table from a query of the same table.
            mark = connection.scalar(sa.select(sa.func.max(extractions.c.id)))
            connection.execute(sa.update(extractions).where(_is(run)).values(read_mark=mark))

    @retry_transaction
    def close(self, run: RunRef) -> None:
        """Record that nothing of an extraction will be sent any more."""
        with self.ledger.transaction() as connection:
            connection.execute(sa.update(extractions).where(_is(run)).values(is_open=False))

    @retry_transaction
    def remove_older(self, shop: str, limit: datetime) -> None:
        """Remove a shop's extractions that started before a time: their staged files are gone."""
        with self.ledger.transaction() as connection:
            old = (extractions.c.shop == shop) & (extractions.c.started_at < limit)
            connection.execute(sa.delete(extractions).where(old))

    @retry_transaction
    def others(self, run: RunRef) -> OtherExtractions:
        """
        Return how the other extractions of the shop relate to that of a run.

        An unknown extraction, such as that of a dry run, counts as the latest.
        """
        table = extractions.c
        columns = (table.id, table.extraction_id, table.window_start, table.window_end, table.read_mark, table.is_open)
        with self.ledger.transaction() as connection:
            rows = connection.execute(sa.select(*columns).where(table.shop == run.shop)).all()
        own = next((row for row in rows if row.extraction_id == run.extraction_id), None)
        if own is None:
            return OtherExtractions()
        others = [row for row in rows if row is not own]
        earlier = [row for row in others if row.read_mark is not None and row.read_mark < own.id]
        later = [row for row in others if own.read_mark is not None and row.id > own.read_mark]
        return OtherExtractions(
            not_earlier=frozenset(row.extraction_id for row in others if row not in earlier),
            later={row.extraction_id: (row.window_start, row.window_end) for row in later if row.window_end},
            open_earlier=tuple((row.read_mark, row.window_end) for row in earlier if row.is_open),
        )


@dataclass(frozen=True)
class OtherExtractions:
    """
    How the other extractions of a shop relate to one.

    :param not_earlier: the ids of those that had not read everything before it started.
    :param later: the windows, start and end, of those that started after it had read everything, by id.
    :param open_earlier: the mark and the end of the window of each that had read everything before it started, and of
        which something may still be sent.
    """

    not_earlier: frozenset[str] = frozenset()
    later: Mapping[str, tuple[datetime, datetime]] = field(default_factory=dict)
    open_earlier: tuple[tuple[int, datetime | None], ...] = ()


def _is(run: RunRef) -> sa.ColumnElement[bool]:
    return extractions.c.extraction_id == run.extraction_id
