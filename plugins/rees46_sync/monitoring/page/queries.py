"""
What the page asks of the ledger: SQLAlchemy Core, bounded, read only.

Each answer is about one shop. Lists come newest first, a page at a time, and go on before the ``id`` of their last row.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from cachetools import TTLCache

from rees46_sync.ledger.database import QUARANTINE_CHARACTERS, Ledger, printable, times_in_request
from rees46_sync.ledger.dialects import Unit, dialect_of
from rees46_sync.ledger.tables import (
    UtcDateTime,
    accepted_statuses,
    alerts,
    deliveries,
    open_requests,
    rejected_orders,
    sync_runs,
    unanswered_orders,
)

PAGE_ROWS = 50
CSV_ROWS = 5000
"""Quarantined rows in memory at a time while all of them are written out."""

MOST_UNMAPPED = 50
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 20
"""A question that the ledger does not answer in this time is given up: nobody waits longer for a page."""

COUNT_KEPT_S = 60
COUNT_TIMEOUT_S = 120
"""Counting the latest status of every order reads all of the shop's accepted rows (many seconds for millions of them),
so it may take longer, is kept for a while, and is done once at a time in a process."""

ACCOUNT = ("sent", "unchanged", "superseded", "stale", "reopened", "rejected", "failed")
"""The parts of the closed sum; together they are what was read."""

_TABLES = [
    table.name
    for table in (accepted_statuses, deliveries, open_requests, rejected_orders, sync_runs, unanswered_orders)
]

_STEP = {"hour": timedelta(hours=1), "day": timedelta(days=1)}

_counts: TTLCache[tuple[str, str], StatusCounts] = TTLCache(maxsize=1000, ttl=COUNT_KEPT_S)
_counting = threading.Lock()


@dataclass(frozen=True)
class Freshness:
    """
    How far the shop's hourly sync got. Backfills, dry runs and runs over a window of their own count for nothing here.

    :param last_success: when the latest successful run ended, None before the first.
    :param covered_until: all changes up to here that were in the warehouse by then were read and delivered; None
        before the first success.
    :param failed_since: runs that failed after it.
    """

    last_success: datetime | None
    covered_until: datetime | None
    failed_since: int


@dataclass(frozen=True)
class StatusCounts:
    """How many orders REES46 has in each of its statuses, by number, and when that was counted."""

    orders: dict[int, int]
    counted_at: datetime


@dataclass
class Rejections:
    """How many rows are quarantined, and how many of them broke each check; a row can break several."""

    rows: int
    by_reason: Counter[str]


@dataclass(frozen=True)
class OrderHistory:
    """
    What is known of one order, newest first; each list holds at most :data:`PAGE_ROWS`.

    :param accepted: rows of ``rees46_accepted_statuses``.
    :param uncertain: whether a later request with the order was left without a clear answer.
    :param under_way: whether it is in a request that is out now, or whose task was killed.
    :param rejected: its rows of the quarantine.
    """

    accepted: Sequence[sa.Row[Any]]
    uncertain: bool
    under_way: bool
    rejected: Sequence[sa.Row[Any]]


@contextmanager
def open_reports(conn_id: str, shop: str) -> Iterator[Reports]:
    """
    Open the reports of one shop.

    :param conn_id: the Airflow connection of its ledger.
    :raises ConnectionFieldsError: there is no such connection, or it is no ledger's.
    :raises LedgerError: here and by every question: the ledger does not answer.
    """
    ledger = Ledger.of_connection(conn_id, CONNECT_TIMEOUT_S, STATEMENT_TIMEOUT_S)
    try:
        yield Reports(ledger, shop)
    finally:
        ledger.engine.dispose()


class Reports:
    """Questions about one shop to its ledger."""

    def __init__(self, ledger: Ledger, shop: str) -> None:
        self.ledger = ledger
        self.shop = shop

    @contextmanager
    def _reading(self, timeout_s: int = STATEMENT_TIMEOUT_S) -> Iterator[sa.Connection]:
        with self.ledger.transaction(timeout_s) as connection:
            yield connection

    def has_tables(self) -> bool:
        """Return whether the first run has made the ledger's tables."""
        with self._reading() as connection:
            return set(_TABLES) <= set(sa.inspect(connection).get_table_names())

    def freshness(self, lookback: timedelta) -> Freshness:
        """
        Return how far the hourly sync got.

        :param lookback: of the shop file.
        """
        runs = sync_runs.c
        with self._reading() as connection:
            last = connection.scalar(
                sa.select(sa.func.max(runs.finished_at, type_=UtcDateTime)).where(*self._hourly("success"))
            )
            failed = sa.select(sa.func.count()).where(*self._hourly("failed"))
            failed_since = connection.scalar(failed if last is None else failed.where(runs.finished_at > last))
        covered_until = self.ledger.covered_until(self.shop, lookback) if last else None
        return Freshness(last, covered_until, failed_since or 0)

    def firing_alerts(self) -> Sequence[sa.Row[Any]]:
        """Return the rows of ``rees46_alerts`` that fire, the longest first; none where there is no such table yet."""
        query = sa.select(alerts).where(alerts.c.shop == self.shop, alerts.c.firing).order_by(alerts.c.since)
        with self._reading() as connection:
            return connection.execute(query).all() if sa.inspect(connection).has_table(alerts.name) else ()

    def _hourly(self, outcome: str) -> tuple[sa.ColumnElement[bool], ...]:
        runs = sync_runs.c
        return runs.shop == self.shop, runs.outcome == outcome, runs.window_widened

    def orders_by_status(self) -> StatusCounts | None:
        """Count the orders by the status that REES46 has of them; None while somebody else has that counted."""
        key = (self.ledger.engine.url.render_as_string(), self.shop)
        if not _counting.acquire(blocking=False):  # nobody is kept waiting: Airflow has few threads to answer with
            return None
        try:
            kept = _counts.get(key)
            if kept is None:
                kept = _counts[key] = StatusCounts(self._count_orders(), datetime.now(UTC))
            return kept
        finally:
            _counting.release()

    def _count_orders(self) -> dict[int, int]:
        table = accepted_statuses.c
        latest = (
            sa.select(sa.func.max(table.id).label("id"))
            .where(table.shop == self.shop)
            .group_by(table.order_id)
            .subquery("latest")
        )
        query = (
            sa.select(table.status, sa.func.count())
            .join_from(latest, accepted_statuses, latest.c.id == table.id)
            .group_by(table.status)
        )
        with self._reading(COUNT_TIMEOUT_S) as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def sent_per(self, unit: Unit, periods: int, now: datetime) -> list[tuple[datetime, int]]:
        """
        Return the changes that REES46 accepted in each of the latest hours or days (UTC), the oldest first.

        It is counted from the batches, which are far fewer than the orders.
        """
        latest = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if unit == "day":
            latest = latest.replace(hour=0)
        begins = [latest - _STEP[unit] * back for back in reversed(range(periods))]
        batches = deliveries.c
        accepted = (batches.shop == self.shop, batches.outcome == "accepted", batches.answered_at >= begins[0])
        with self._reading() as connection:
            begin: sa.ColumnElement[str] = sa.literal_column(dialect_of(connection).begins[unit])
            query = sa.select(begin, sa.func.sum(batches.orders)).where(*accepted).group_by(begin)
            sent = {datetime.fromisoformat(text).replace(tzinfo=UTC): int(n) for text, n in connection.execute(query)}
        return [(moment, sent.get(moment, 0)) for moment in begins]

    def runs(self, before: int | None = None) -> Sequence[sa.Row[Any]]:
        """Return rows of ``rees46_sync_runs``, the latest :data:`PAGE_ROWS` of those before a number."""
        return self._page(sync_runs, [sync_runs.c.shop == self.shop], before, PAGE_ROWS)

    def rejections(self) -> Rejections:
        """Count the quarantined rows and the checks that they broke."""
        table = rejected_orders.c
        query = sa.select(table.reason, sa.func.count()).where(table.shop == self.shop).group_by(table.reason)
        found = Rejections(0, Counter())
        with self._reading() as connection:
            for reasons, count in connection.execute(query):
                found.rows += count
                found.by_reason.update(dict.fromkeys(reasons.split(", "), count))
        return found

    def rejected(self, reason: str = "", text: str = "", before: int | None = None) -> Sequence[sa.Row[Any]]:
        """
        Return rows of the quarantine, the latest :data:`PAGE_ROWS` of those before a number.

        :param reason: the code of a check that they broke.
        :param text: what the order id or the status contains, in upper or lower case.
        """
        return self._page(rejected_orders, self._rejected(reason, text), before, PAGE_ROWS)

    def all_rejected(self, reason: str = "", text: str = "") -> Iterator[sa.Row[Any]]:
        """Give all such rows, :data:`CSV_ROWS` at a time in memory."""
        before: int | None = None
        while rows := self._page(rejected_orders, self._rejected(reason, text), before, CSV_ROWS):
            yield from rows
            before = rows[-1].id

    def _rejected(self, reason: str, text: str) -> list[sa.ColumnElement[bool]]:
        table = rejected_orders.c
        conditions = [table.shop == self.shop]
        if reason:
            conditions.append(table.reason.contains(_stored(reason), autoescape=True))
        if text:
            conditions.append(
                table.order_id.icontains(_stored(text), autoescape=True)
                | table.status.icontains(_stored(text), autoescape=True)
            )
        return conditions

    def unmapped(self, mapped: Sequence[str]) -> list[tuple[str, int, str | None]]:
        """
        Return the statuses that no shop file mapped when they were met, each with its count and an example order id.

        :param mapped: what the shop file maps by now, which is left out.
        """
        table = rejected_orders.c
        query = (
            sa.select(table.status, sa.func.count(), sa.func.min(table.order_id))
            .where(*self._rejected("status_unmapped", ""), table.status.not_in(list(mapped)))
            .group_by(table.status)
            .order_by(sa.func.count().desc(), table.status)
            .limit(MOST_UNMAPPED)
        )
        with self._reading() as connection:
            return [(status, count, example) for status, count, example in connection.execute(query)]

    def order(self, order_id: str) -> OrderHistory:
        """Return what is known of one order; its id is compared exactly."""
        sent, missed = accepted_statuses.c, unanswered_orders.c
        escaped = _stored(order_id)
        if "\0" in order_id:  # PostgreSQL takes it not even in a question, and no such id is ever sent
            order_id = escaped
        accepted = self._page(accepted_statuses, [sent.shop == self.shop, sent.order_id == order_id], None, PAGE_ROWS)
        rejected = rejected_orders.c
        quarantined = [rejected.shop == self.shop, rejected.order_id == escaped]
        with self._reading() as connection:
            mark = connection.scalar(
                sa.select(sa.func.max(missed.after_id)).where(missed.shop == self.shop, missed.order_id == order_id)
            )
            under_way = any(
                order_id in times_in_request(request)
                for request in connection.scalars(
                    sa.select(open_requests.c.orders).where(open_requests.c.shop == self.shop)
                )
            )
        return OrderHistory(
            accepted=accepted,
            uncertain=mark is not None and mark >= (accepted[0].id if accepted else 0),
            under_way=under_way,
            rejected=self._page(rejected_orders, quarantined, None, PAGE_ROWS),
        )

    def _page(
        self, table: sa.Table, conditions: Sequence[sa.ColumnElement[bool]], before: int | None, rows: int
    ) -> Sequence[sa.Row[Any]]:
        query = sa.select(table).where(*conditions).order_by(table.c.id.desc()).limit(rows)
        if before is not None:
            query = query.where(table.c.id < before)
        with self._reading() as connection:
            return connection.execute(query).all()


def _stored(text: str) -> str:
    """Return a text as the ledger stores it: what no database takes is escaped there, and so found again."""
    return printable(text, QUARANTINE_CHARACTERS) or ""
