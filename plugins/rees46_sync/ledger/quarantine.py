"""The quarantine: rejected rows, each stored once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from more_itertools import chunked

from rees46_sync.formatting import printable
from rees46_sync.ledger.database import Ledger, retry_on_conflict
from rees46_sync.ledger.tables import rejected_orders

REFUSED_BY_REES46 = "refused_by_rees46"
"""The reason of an order that passes all checks here, and that REES46 refuses even in a batch of its own."""

QUARANTINE_CHUNK = 1000
"""Rejected rows in one statement: far below the parameter limits of SQLite (32,766) and PostgreSQL (65,535)."""

QUARANTINE_CHARACTERS = 1000
"""How much of a value is stored: enough to find the row again."""


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

    @retry_on_conflict
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
