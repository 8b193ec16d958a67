"""A shop's orders by status over time, on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.tables import accepted_statuses
from rees46_sync.monitoring.page import charts
from rees46_sync.monitoring.page.queries import ShopQueries, first_id, open_queries
from tests.conftest import ShopUnderTest, accept
from tests.monitoring.builders import DAY, HOUR, MINUTE, NOON, orders_of

CREATED, COMPLETED, CANCELLED = 0, 1, 2


@pytest.fixture
def queries(shop: ShopUnderTest, empty_database: str) -> Iterator[ShopQueries]:
    charts._reports.clear()
    with open_queries(shop.configure(ledger_conn_id=empty_database)) as queries:
        queries.ledger.migrate()
        yield queries


def accept_at(ledger: Ledger, at: datetime, *orders: tuple[str, int], shop: str = "test") -> None:
    """Record that REES46 accepted orders at a moment."""
    table = accepted_statuses.c
    with ledger.transaction() as connection:
        before = connection.scalar(sa.select(sa.func.max(table.id))) or 0
    accept(ledger, RunRef(shop, f"order_status_sync_{shop}", "run", f"{at:%Y%m%dT%H%M}-{shop}"), 0, orders_of(*orders))
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(accepted_statuses).where(table.id > before).values(accepted_at=at))


def report(queries: ShopQueries, now: datetime = NOON) -> charts.StatusReport:
    found = charts.status_report(queries, now)
    assert found is not None
    return found


def test_what_was_sent_is_counted_by_status_in_the_utc_hour_and_day_in_which_it_was_accepted(
    queries: ShopQueries,
) -> None:
    accept_at(queries.ledger, NOON - 40 * DAY, ("1", CREATED))
    accept_at(queries.ledger, NOON - 3 * DAY, ("1", COMPLETED))
    accept_at(queries.ledger, NOON - MINUTE, ("2", CREATED), ("3", CREATED), ("4", CANCELLED))
    accept_at(queries.ledger, NOON, ("5", COMPLETED))
    accept_at(queries.ledger, NOON, ("9", COMPLETED), shop="other")

    found = report(queries)

    assert len(found.hours) == charts.HOURS
    assert found.hours[-2:] == [(NOON - HOUR, {CREATED: 2, CANCELLED: 1}), (NOON, {COMPLETED: 1})]
    assert not any(counts for _, counts in found.hours[:-2])
    midnight = NOON - 12 * HOUR
    assert [(day, counts) for day, counts in found.days if counts] == [
        (midnight - 3 * DAY, {COMPLETED: 1}),
        (midnight, {CREATED: 2, CANCELLED: 1, COMPLETED: 1}),
    ]


def test_the_report_has_each_order_in_the_status_that_it_had_at_the_end_of_each_day(queries: ShopQueries) -> None:
    accept_at(queries.ledger, NOON - 60 * DAY, ("1", CREATED), ("2", CREATED))
    accept_at(queries.ledger, NOON - 2 * DAY, ("1", COMPLETED), ("3", CREATED))
    accept_at(queries.ledger, NOON - 2 * DAY + HOUR, ("3", CANCELLED))
    accept_at(queries.ledger, NOON - DAY, ("1", COMPLETED))  # sent again
    accept_at(queries.ledger, NOON, ("2", CANCELLED))

    ends = [counts for _, counts in report(queries).ends]

    assert len(ends) == charts.DAYS
    assert ends[:-3] == [{CREATED: 2}] * (charts.DAYS - 3)
    assert ends[-3:] == [
        {CREATED: 1, COMPLETED: 1, CANCELLED: 1},
        {CREATED: 1, COMPLETED: 1, CANCELLED: 1},
        {COMPLETED: 1, CANCELLED: 2},
    ]


def test_an_order_whose_earlier_row_was_removed_makes_no_number_negative(queries: ShopQueries) -> None:
    accept_at(queries.ledger, NOON - DAY, ("1", CREATED))
    accept_at(queries.ledger, NOON, ("1", COMPLETED))
    with queries.ledger.engine.begin() as connection:
        connection.execute(sa.delete(accepted_statuses).where(accepted_statuses.c.status == CREATED))

    assert [counts for _, counts in report(queries).ends[-2:]] == [{}, {COMPLETED: 1}]


def test_a_ledger_without_orders_has_empty_charts(queries: ShopQueries) -> None:
    found = report(queries)
    assert not found.orders
    assert not any(counts for periods in (found.hours, found.days, found.ends) for _, counts in periods)


@pytest.mark.parametrize("hours", range(-1, 7))
def test_the_first_row_of_a_time_is_found_by_its_id_although_rows_are_missing(queries: ShopQueries, hours: int) -> None:
    table = accepted_statuses.c
    for hour in range(6):
        accept_at(queries.ledger, NOON + hour * HOUR, (f"{hour}a", CREATED), (f"{hour}b", CREATED))
    since = NOON + timedelta(hours=hours)
    with queries.ledger.engine.begin() as connection:
        connection.execute(sa.delete(accepted_statuses).where(table.order_id.in_(["2a", "3a", "3b"])))
        first = first_id(connection, table.id, table.accepted_at, since)
        times = connection.execute(sa.select(table.id, table.accepted_at)).all()

    assert {number for number, at in times if at >= since} == {number for number, _ in times if number >= first}
