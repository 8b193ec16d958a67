"""
The page's queries to the ledger: SQLAlchemy Core, bounded, read only.

Each query is about one shop. Lists are newest first, one page at a time; the next page starts before the ``id`` of the
last row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rees46_sync.formatting import printable
from rees46_sync.ledger.database import Ledger, interactive_ledger
from rees46_sync.ledger.dialects import Unit, get_dialect
from rees46_sync.ledger.lookup import look_up
from rees46_sync.ledger.quarantine import QUARANTINE_CHARACTERS
from rees46_sync.ledger.requests import order_ids
from rees46_sync.ledger.tables import (
    accepted_statuses,
    deliveries,
    in_flight_requests,
    rejected_orders,
    sync_runs,
)
from rees46_sync.shop.shop import Shop

PAGE_ROWS = 50
CSV_ROWS = 5000
"""Quarantined rows in memory at a time, while all of them are written to a file."""

MAX_UNMAPPED = 50

_STEP = {"hour": timedelta(hours=1), "day": timedelta(days=1)}

CLOCKS = timedelta(hours=1)
"""How far the clocks of the machines that write the ledger may be apart, for a search by time."""


@dataclass(frozen=True)
class OrderHistory:
    """
    What is known of one order, newest first; each list holds at most :data:`PAGE_ROWS`.

    :param accepted: rows of ``rees46_accepted_statuses``.
    :param uncertain: whether REES46 may have another status than the latest accepted one.
    :param in_flight: whether it is in a request that is being sent now, or whose task was killed.
    :param rejected: its rows of the quarantine.
    """

    accepted: Sequence[sa.Row[Any]]
    uncertain: bool
    in_flight: bool
    rejected: Sequence[sa.Row[Any]]


@contextmanager
def open_queries(shop: Shop) -> Iterator[ShopQueries]:
    """
    Open the ledger of a shop for queries.

    :raises ConnectionFieldsError: there is no such connection, or its database is not supported.
    :raises LedgerError: here and in every query: the ledger does not answer.
    """
    with interactive_ledger(shop.ledger_conn_id) as ledger:
        yield ShopQueries(ledger, shop.shop, shop.settle)


class ShopQueries:
    """
    Queries about one shop, to its ledger.

    :param settle: of the shop file: how long REES46 may still process a request.
    """

    def __init__(self, ledger: Ledger, shop: str, settle: timedelta) -> None:
        self.ledger = ledger
        self.shop = shop
        self.settle = settle

    @contextmanager
    def _connect(self, timeout_s: int | None = None) -> Iterator[sa.Connection]:
        with self.ledger.transaction(timeout_s) as connection:
            yield connection

    def sent_per(self, unit: Unit, periods: int, now: datetime) -> list[tuple[datetime, int]]:
        """
        Return the changes that REES46 accepted in each of the latest hours or days (UTC), the oldest first.

        They are counted by batch: there are far fewer batches than orders.
        """
        begins = periods_until(now, unit, periods)
        batches = deliveries.c
        accepted = (batches.shop == self.shop, batches.outcome == "accepted", batches.answered_at >= begins[0])
        with self._connect() as connection:
            text = get_dialect(connection).begins[unit].format("answered_at")
            begin: sa.ColumnElement[str] = sa.literal_column(text)
            query = sa.select(begin, sa.func.sum(batches.orders)).where(*accepted).group_by(begin)
            sent = {datetime.fromisoformat(text).replace(tzinfo=UTC): int(n) for text, n in connection.execute(query)}
        return [(moment, sent.get(moment, 0)) for moment in begins]

    def last_run(self, dag_id: str) -> sa.Row[Any] | None:
        """Return the row of ``rees46_sync_runs`` of the latest run of a DAG; None if it has none."""
        found = self._page(sync_runs, [sync_runs.c.shop == self.shop, sync_runs.c.dag_id == dag_id], None, 1)
        return found[0] if found else None

    def run(self, number: int) -> sa.Row[Any] | None:
        """Return the row of ``rees46_sync_runs`` with an ``id``; None if the shop has none."""
        found = self._page(sync_runs, [sync_runs.c.shop == self.shop, sync_runs.c.id == number], None, 1)
        return found[0] if found else None

    def run_number(self, dag_id: str, run_id: str) -> int | None:
        """Return the ``id`` of a run's record; None if it is not recorded: it is under way, or it was a dry run."""
        runs = sync_runs.c
        query = sa.select(runs.id).where(runs.shop == self.shop, runs.dag_id == dag_id, runs.run_id == run_id)
        with self._connect() as connection:
            number: int | None = connection.scalar(query)
        return number

    def requests_of(self, run: sa.Row[Any], before: int | None = None) -> Sequence[sa.Row[Any]]:
        """
        Return rows of ``rees46_deliveries`` of a run, the latest :data:`PAGE_ROWS` with an ``id`` below ``before``.

        The search ends where the run ended: what came later is not read.
        """
        batches = deliveries.c
        own = [batches.shop == self.shop, batches.dag_id == run.dag_id, batches.run_id == run.run_id]
        with self._connect() as connection:
            end = first_id(connection, batches.id, batches.answered_at, run.finished_at + CLOCKS)
        return self._page(deliveries, own, min(before or end, end), PAGE_ROWS)

    def rejected_in(self, run_id: str) -> Sequence[sa.Row[Any]]:
        """Return the rows of the quarantine that a run rejected first, the latest :data:`PAGE_ROWS`."""
        table = rejected_orders.c
        return self._page(rejected_orders, [table.shop == self.shop, table.run_id == run_id], None, PAGE_ROWS)

    def runs(self, before: int | None = None) -> Sequence[sa.Row[Any]]:
        """Return rows of ``rees46_sync_runs``, the latest :data:`PAGE_ROWS` with an ``id`` below ``before``."""
        return self._page(sync_runs, [sync_runs.c.shop == self.shop], before, PAGE_ROWS)

    def rejected(self, reason: str = "", text: str = "", before: int | None = None) -> Sequence[sa.Row[Any]]:
        """
        Return rows of the quarantine, the latest :data:`PAGE_ROWS` with an ``id`` below ``before``.

        :param reason: the code of a check that they failed.
        :param text: a part of the order id or the status, in upper or lower case.
        """
        return self._page(rejected_orders, self._rejected(reason, text), before, PAGE_ROWS)

    def all_rejected(self, reason: str = "", text: str = "") -> Iterator[sa.Row[Any]]:
        """Yield all such rows, :data:`CSV_ROWS` at a time in memory."""
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
        Return the statuses that the shop file did not map when they were read: status, rows, an example order id.

        :param mapped: statuses that the shop file maps by now, which are left out.
        """
        table = rejected_orders.c
        query = (
            sa.select(table.status, sa.func.count(), sa.func.min(table.order_id))
            .where(*self._rejected("status_unmapped", ""), table.status.not_in([_stored(status) for status in mapped]))
            .group_by(table.status)
            .order_by(sa.func.count().desc(), table.status)
            .limit(MAX_UNMAPPED)
        )
        with self._connect() as connection:
            return [(status, count, example) for status, count, example in connection.execute(query)]

    def order(self, order_id: str) -> OrderHistory:
        """Return what is known of one order; its id is compared exactly."""
        sent, escaped = accepted_statuses.c, _stored(order_id)
        if "\0" in order_id:  # PostgreSQL refuses it even in a query, and no such id is ever sent
            order_id = escaped
        accepted = self._page(accepted_statuses, [sent.shop == self.shop, sent.order_id == order_id], None, PAGE_ROWS)
        rejected, requests = rejected_orders.c, in_flight_requests.c
        quarantined = [rejected.shop == self.shop, rejected.order_id == escaped]
        known = look_up(self.ledger, self.shop, [order_id], settle=self.settle)
        with self._connect() as connection:
            texts = connection.scalars(sa.select(requests.orders).where(requests.shop == self.shop))
            in_flight = any(order_id in order_ids(orders) for orders in texts)
        return OrderHistory(
            accepted=accepted,
            uncertain=bool(known["uncertain"].any()) and not in_flight,
            in_flight=in_flight,
            rejected=self._page(rejected_orders, quarantined, None, PAGE_ROWS),
        )

    def _page(
        self, table: sa.Table, conditions: Sequence[sa.ColumnElement[bool]], before: int | None, rows: int
    ) -> Sequence[sa.Row[Any]]:
        query = sa.select(*self.ledger.columns(table)).where(*conditions).order_by(table.c.id.desc()).limit(rows)
        if before is not None:
            query = query.where(table.c.id < before)
        with self._connect() as connection:
            return connection.execute(query).all()


def periods_until(now: datetime, unit: Unit, periods: int) -> list[datetime]:
    """Return when each of the latest hours or days (UTC) begins, the oldest first."""
    latest = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if unit == "day":
        latest = latest.replace(hour=0)
    return [latest - _STEP[unit] * back for back in reversed(range(periods))]


def first_id(connection: sa.Connection, key: sa.Column[int], times: sa.Column[datetime], since: datetime) -> int:
    """
    Return the first ``id`` whose row is not before a moment, in a table whose ids grow with its times.

    A search in halves, because the times have no index: some 30 rows are read, of whatever number.
    """
    latest = connection.scalar(sa.select(sa.func.max(key))) or 0
    low, high = connection.scalar(sa.select(sa.func.min(key))) or 1, latest + 1
    while low < high:
        middle = (low + high) // 2
        at = connection.scalar(sa.select(times).where(key >= middle).order_by(key).limit(1))
        low, high = (low, middle) if at is None or at >= since else (middle + 1, high)
    return low


def _stored(text: str) -> str:
    """Return a text as the ledger stores it, with the same escapes, so that it is found."""
    return printable(text, QUARANTINE_CHARACTERS) or ""
