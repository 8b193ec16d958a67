"""
A shop's orders by REES46 status: now, at the end of each of the last days, and what was sent of each.

For these every accepted row of a shop is counted, and those of the last days are compared with the row before. That
takes many seconds for millions of rows, so it may take longer than other queries, is cached for a while, and runs once
at a time in a process.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from cachetools import TTLCache

from rees46_sync.ledger.dialects import get_dialect
from rees46_sync.ledger.tables import accepted_statuses
from rees46_sync.monitoring.page.queries import CLOCKS, ShopQueries, first_id, periods_until

HOURS, DAYS = 48, 30
"""How far back the charts go."""

COUNT_KEPT_S = 60
COUNT_TIMEOUT_S = 120

Periods = list[tuple[datetime, Counter[int]]]
"""The begin of each hour or day (UTC), the oldest first, and numbers by REES46's code of a status."""

_reports: TTLCache[tuple[str, str], StatusReport] = TTLCache(maxsize=1000, ttl=COUNT_KEPT_S)
_counting = threading.Lock()


@dataclass(frozen=True)
class StatusReport:
    """
    The orders of a shop by status.

    :param orders: in the latest status that REES46 accepted.
    :param hours, days: the changes that REES46 accepted in each of the last :data:`HOURS` and :data:`DAYS`.
    :param ends: the orders at the end of each of these days. An order whose earlier row was removed (``keep_days``)
        counts from its latest one on.
    :param counted_at: when they were counted.
    """

    orders: Counter[int]
    hours: Periods
    days: Periods
    ends: Periods
    counted_at: datetime


@dataclass(frozen=True)
class _Change:
    """How many orders changed in one hour to a status from another one; None: they were new."""

    hour: datetime
    status: int
    before: int | None
    orders: int


def status_report(queries: ShopQueries, now: datetime) -> StatusReport | None:
    """
    Count a shop's orders; None while another request counts them.

    :raises LedgerError: the ledger does not answer, or not in :data:`COUNT_TIMEOUT_S`.
    """
    key = (queries.ledger.engine.url.render_as_string(), queries.shop)
    if not _counting.acquire(blocking=False):  # no request waits: Airflow has few threads for them
        return None
    try:
        report = _reports.get(key)
        if report is None:
            report = _reports[key] = _count(queries, now)
        return report
    finally:
        _counting.release()


def _count(queries: ShopQueries, now: datetime) -> StatusReport:
    hours, days = periods_until(now, "hour", HOURS), periods_until(now, "day", DAYS)
    with queries.ledger.transaction(COUNT_TIMEOUT_S) as connection:
        upto = connection.scalar(sa.select(sa.func.max(accepted_statuses.c.id))) or 0
        orders = _orders(connection, queries.shop, upto)
        changes = list(_changes(connection, queries.shop, days[0], upto))
    per_hour: defaultdict[datetime, Counter[int]] = defaultdict(Counter)
    per_day: defaultdict[datetime, Counter[int]] = defaultdict(Counter)
    gained: defaultdict[datetime, Counter[int]] = defaultdict(Counter)
    for change in changes:
        day = change.hour.replace(hour=0)
        per_hour[change.hour][change.status] += change.orders
        per_day[day][change.status] += change.orders
        gained[day][change.status] += change.orders
        if change.before is not None:
            gained[day][change.before] -= change.orders
    return StatusReport(
        orders=orders,
        hours=[(hour, per_hour[hour]) for hour in hours],
        days=[(day, per_day[day]) for day in days],
        ends=_ends(orders, days, gained),
        counted_at=datetime.now(UTC),
    )


def _ends(orders: Counter[int], days: Sequence[datetime], gained: dict[datetime, Counter[int]]) -> Periods:
    """Return the orders at the end of each day: backwards from those of now, without what each day has changed."""
    ends, left = [], Counter(orders)
    for day in reversed(days):
        ends.append((day, +left))  # without what is 0 or less
        left.subtract(gained.get(day, {}))
    return ends[::-1]


def _orders(connection: sa.Connection, shop: str, upto: int) -> Counter[int]:
    table = accepted_statuses.c
    latest = (
        sa.select(sa.func.max(table.id).label("id"))
        .where(table.shop == shop, table.id <= upto)
        .group_by(table.order_id)
        .subquery("latest")
    )
    query = (
        sa.select(table.status, sa.func.count())
        .join_from(latest, accepted_statuses, latest.c.id == table.id)
        .group_by(table.status)
    )
    return Counter({row[0]: row[1] for row in connection.execute(query)})


def _changes(connection: sa.Connection, shop: str, since: datetime, upto: int) -> Iterator[_Change]:
    table, earlier = accepted_statuses.c, accepted_statuses.alias("earlier").c
    first = first_id(connection, table.id, table.accepted_at, since - CLOCKS)
    hour = get_dialect(connection).begins["hour"].format("rees46_accepted_statuses.accepted_at")
    before = (
        sa.select(earlier.status)
        .where(earlier.shop == table.shop, earlier.order_id == table.order_id, earlier.id < table.id)
        .order_by(earlier.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = (
        sa.select(sa.literal_column(hour).label("hour"), table.status, before.label("former"))
        .where(table.shop == shop, table.id >= first, table.id <= upto, table.accepted_at >= since)
        .subquery("changes")
    ).c
    query = sa.select(rows.hour, rows.status, rows.former, sa.func.count())
    for text, status, former, orders in connection.execute(query.group_by(rows.hour, rows.status, rows.former)):
        yield _Change(datetime.fromisoformat(text).replace(tzinfo=UTC), status, former, orders)
