"""The quarantine: rejected rows, and those held back as reopened, each stored once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from more_itertools import chunked

from rees46_sync.formatting import printable
from rees46_sync.ledger.database import Ledger, retry_transaction
from rees46_sync.ledger.runs import has_delivered
from rees46_sync.ledger.tables import UtcDateTime, rejected_orders, sync_runs

REFUSED_BY_REES46 = "refused_by_rees46"
"""The reason of an order that passes all checks here, and that REES46 refuses even in a batch of its own."""

REOPENED = "reopened"
"""The reason of an order that is held back, because a final status would become "created"."""

MEANINGS = {
    REFUSED_BY_REES46: "REES46 refuses the order even alone",
    REOPENED: "held back: REES46 has the order as completed or cancelled, or may, and the row means created",
}
"""The reasons that are no failed check, each with an explanation for a person."""

QUARANTINE_CHUNK = 1000
"""Rejected rows in one statement: far below the parameter limits of SQLite (32,766) and PostgreSQL (65,535)."""

QUARANTINE_CHARACTERS = 1000
"""How much of a value is stored: enough to find the row again."""

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class RejectedRow:
    """
    A row for the quarantine, as the warehouse returned it (what is stored of it is made printable).

    :param copy: 1 for the first of several equal rows of one run, 2 for the second, and so on; only rows without an id
        can be equal.
    """

    order_id: str | None
    status: str | None
    updated_at: str | None
    reason: str
    copy: int = 1

    def fingerprint(self, shop: str) -> str:
        """Return a text that is the same for the same broken row of a shop in every run."""
        return hashlib.sha256(json.dumps([shop, *asdict(self).values()]).encode()).hexdigest()


@dataclass
class RejectionCounts:
    """How many rows are in the quarantine, and how many of them failed each check; a row can fail several."""

    rows: int
    by_reason: Counter[str]


class Quarantine:
    """The rejected rows in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def store(self, shop: str, run_id: str, rows: Sequence[RejectedRow]) -> int:
        """
        Store rejected rows that are not stored yet.

        :return: how many were new.
        """
        new = 0
        for chunk in chunked(rows, QUARANTINE_CHUNK):
            new += self._store_chunk(shop, run_id, {row.fingerprint(shop): row for row in chunk})
        return new

    def count_new(self, shop: str, rows: Sequence[RejectedRow]) -> int:
        """
        Count the rows that no run has let through yet.

        A run lets through what it rejects if it delivers its window. If a limit stopped it, it does not, though its
        rows are stored: the next run, which reads them again, must not slip through. If that one delivers the window,
        it has let them through as well.
        """
        column = rejected_orders.c
        prints = [row.fingerprint(shop) for row in rows]
        stored: list[sa.Row[tuple[str, str, datetime]]] = []
        with self.ledger.transaction() as connection:
            for chunk in chunked(prints, QUARANTINE_CHUNK):
                query = sa.select(column.fingerprint, column.run_id, column.rejected_at)
                stored += connection.execute(query.where(column.fingerprint.in_(chunk)))
            delivered = _delivered_until(connection, shop, {row.run_id for row in stored})
        known = {row.fingerprint for row in stored if row.rejected_at <= delivered.get(row.run_id, _NEVER)}
        return sum(one not in known for one in prints)

    def count(self, shop: str) -> RejectionCounts:
        """Count a shop's rejected rows, and the checks that they failed."""
        table = rejected_orders.c
        query = sa.select(table.reason, sa.func.count()).where(table.shop == shop).group_by(table.reason)
        counts = RejectionCounts(0, Counter())
        with self.ledger.transaction() as connection:
            for reasons, count in connection.execute(query):
                counts.rows += count
                counts.by_reason.update(dict.fromkeys(reasons.split(", "), count))
        return counts

    @retry_transaction
    def _store_chunk(self, shop: str, run_id: str, rows: dict[str, RejectedRow]) -> int:
        column = rejected_orders.c.fingerprint
        now = datetime.now(UTC)
        with self.ledger.transaction() as connection:
            known = set(connection.scalars(sa.select(column).where(column.in_(list(rows)))))
            new = [
                {
                    "shop": shop,
                    "run_id": run_id,
                    "order_id": printable(row.order_id, QUARANTINE_CHARACTERS),
                    "status": printable(row.status, QUARANTINE_CHARACTERS),
                    "updated_at": printable(row.updated_at, QUARANTINE_CHARACTERS),
                    "reason": row.reason,
                    "rejected_at": now,
                    "fingerprint": fingerprint,
                }
                for fingerprint, row in rows.items()
                if fingerprint not in known
            ]
            if new:
                connection.execute(sa.insert(rejected_orders), new)
        return len(new)


def _delivered_until(connection: sa.Connection, shop: str, run_ids: Iterable[str]) -> dict[str, datetime]:
    """
    Return up to when what each of these runs rejected is let through; a run that is not recorded is left out.

    That is the end of the run, if it has delivered its window; or when the latest run that has delivered all of that
    window began to read it.
    """
    run, later = sync_runs.alias("run"), sync_runs.alias("later")
    again = (
        sa.select(sa.func.max(later.c.started_at, type_=UtcDateTime))
        .where(
            later.c.shop == shop,
            has_delivered(later),
            later.c.window_start <= run.c.window_start,
            later.c.window_end >= run.c.window_end,
        )
        .scalar_subquery()
    )
    own = sa.case((has_delivered(run), run.c.finished_at))
    times: defaultdict[str, list[datetime]] = defaultdict(list)
    for chunk in chunked(run_ids, QUARANTINE_CHUNK):
        query = sa.select(run.c.run_id, sa.type_coerce(own, UtcDateTime), again)
        for run_id, ended_at, read_again_at in connection.execute(
            query.where(run.c.shop == shop, run.c.run_id.in_(chunk))
        ):
            times[run_id].append(max(ended_at or _NEVER, read_again_at or _NEVER))
    # Runs of two DAGs of a shop may have the same id: then both count.
    return {run_id: min(ends) for run_id, ends in times.items()}
