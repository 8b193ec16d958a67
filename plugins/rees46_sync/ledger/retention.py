"""
Retention: the end of each run removes rows of the shop that are older than its ``keep_days``.

However old they are, these stay:

* the last accepted status of every order, and requests and orders that are in flight or uncertain;
* the runs that the next window depends on, and failed ones whose window no later run has covered; of the others, the
  windows that they delivered;
* an alert and since when it fires, and messages that are not sent yet;
* the shop's latest batch, and the latest uncertain order of all: change tokens contain their ids.

Rows are removed in the order of their ids, a few thousand in a transaction, so no task waits long for a lock. What is
not done within :data:`BUDGET_S` is left to the next run.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from rees46_sync.ledger.coverage import merge_into_covered
from rees46_sync.ledger.database import Ledger, retry_transaction
from rees46_sync.ledger.runs import READ_UP_TO, has_delivered, recovered_later
from rees46_sync.ledger.tables import (
    UtcDateTime,
    accepted_statuses,
    alert_messages,
    approvals,
    deliveries,
    rejected_orders,
    retention,
    sync_runs,
    uncertain_orders,
)
from rees46_sync.shop.shop import MAX_SETTLE, Shop

log = logging.getLogger(__name__)

CHUNK = 5000
"""Rows that one transaction checks or removes: some hundredths of a second."""

BUDGET_S = 10
"""What this may add to a run. It is enough for a million accepted rows, which is more than a run adds."""

TIMEOUT_S = 20


def after_run(shop: Shop, ledger: Ledger) -> None:
    """Remove the shop's old rows at the end of a run. An error is only logged: the next run tries again."""
    if shop.keep_days is None:
        return
    try:
        removed = remove_older(ledger, shop.shop, datetime.now(UTC) - timedelta(days=shop.keep_days), shop.settle)
    except Exception:  # the orders are sent, and the next run tries again
        log.exception("Old rows of shop %s could not be removed from the ledger; the next run tries again.", shop.shop)
        return
    if removed:
        counts = ", ".join(f"{count} of {table}" for table, count in removed.items())
        log.info("Removed rows from the ledger that are older than %d days: %s.", shop.keep_days, counts)


def remove_older(ledger: Ledger, shop: str, before: datetime, settle: timedelta) -> Counter[str]:
    """
    Remove a shop's rows from before a time, except those that are still needed.

    :param settle: an order whose statuses were sent within this time of each other is uncertain, and stays.
    :return: how many rows were removed, by table.
    :raises LedgerError: the database does not answer, or refuses; what was removed before stays removed.
    """
    removed: Counter[str] = Counter()
    ends_at = time.monotonic() + BUDGET_S
    for table, old_rows in _OLD_ROWS.items():
        while time.monotonic() < ends_at:
            with ledger.transaction(TIMEOUT_S) as connection:
                count = _remove(connection, table, shop, old_rows(connection, shop, before))
            removed[table.name] += count
            if count < CHUNK:
                break
    while time.monotonic() < ends_at:
        all_checked, count = _remove_superseded(ledger, shop, before, settle)
        removed[accepted_statuses.name] += count
        if all_checked:
            break
    return +removed


def _remove(connection: sa.Connection, table: sa.Table, shop: str, old: sa.Select[int]) -> int:
    ids = connection.scalars(old).all()
    if ids:
        if table is sync_runs:
            merge_into_covered(connection, shop, ids)
        connection.execute(sa.delete(table).where(table.c.id.in_(ids)))
    return len(ids)


def _oldest(table: sa.Table, shop: str, time: sa.Column[datetime], before: datetime) -> sa.Select[int]:
    """
    Return a query for the shop's first rows, as far as they are from before a time.

    The first by id: that is nearly the order of their times, and only the id has an index.
    """
    first = sa.select(table.c.id, time).where(table.c.shop == shop).order_by(table.c.id).limit(CHUNK).subquery()
    return sa.select(first.c.id).where(first.c[time.name] < before)


def _old_deliveries(_connection: sa.Connection, shop: str, before: datetime) -> sa.Select[int]:
    latest = sa.select(sa.func.max(deliveries.c.id)).where(deliveries.c.shop == shop).scalar_subquery()
    old = _oldest(deliveries, shop, deliveries.c.answered_at, before).subquery()
    return sa.select(old.c.id).where(old.c.id < latest)


def _old_uncertain(connection: sa.Connection, shop: str, before: datetime) -> sa.Select[int]:
    """
    Return a query for orders that are not uncertain any more, because they were accepted long after.

    The latest row of all stays: SQLite would reuse its id, and a change token would then miss the new row.
    """
    uncertain, accepted = uncertain_orders.c, accepted_statuses.c
    last_sent = sa.func.max(sa.func.coalesce(accepted.sent_at, accepted.accepted_at), type_=UtcDateTime)
    old = (
        sa.select(uncertain.id, uncertain.sent_at, last_sent)
        .where(uncertain.shop == shop, uncertain.sent_at < before)
        .where(accepted.shop == shop, accepted.order_id == uncertain.order_id)
        .group_by(uncertain.id, uncertain.sent_at)
        .order_by(uncertain.id)
        .limit(CHUNK)
    )
    settled = [number for number, sent_at, last in connection.execute(old) if last >= sent_at + MAX_SETTLE]
    latest = sa.select(sa.func.max(uncertain.id)).scalar_subquery()
    return sa.select(uncertain.id).where(uncertain.id.in_(settled), uncertain.id < latest)


def _old_runs(connection: sa.Connection, shop: str, before: datetime) -> sa.Select[int]:
    """Return a query for runs that neither the next window nor the alert about failed windows needs."""
    runs = sync_runs.alias("failed")
    watermark: datetime | None = connection.scalar(
        sa.select(sa.func.max(READ_UP_TO, type_=UtcDateTime)).where(
            sync_runs.c.shop == shop, has_delivered(sync_runs), sync_runs.c.window_widened
        )
    )
    is_missing = (runs.c.outcome == "failed") & runs.c.window_start.is_not(None) & ~recovered_later(runs)
    query = sa.select(runs.c.id).where(runs.c.shop == shop, ~is_missing).order_by(runs.c.finished_at, runs.c.id)
    # Before the first success every run stays: the start of the first one counts.
    if watermark is None:
        return query.where(sa.false())
    return query.where(runs.c.finished_at < min(before, watermark)).limit(CHUNK)


_OldRows = Callable[[sa.Connection, str, datetime], sa.Select[int]]
_OLD_ROWS: dict[sa.Table, _OldRows] = {
    deliveries: _old_deliveries,
    rejected_orders: lambda _, shop, before: _oldest(rejected_orders, shop, rejected_orders.c.rejected_at, before),
    approvals: lambda _, shop, before: _oldest(approvals, shop, approvals.c.recorded_at, before),
    alert_messages: lambda _, shop, before: _oldest(alert_messages, shop, alert_messages.c.sent_at, before),
    uncertain_orders: _old_uncertain,
    sync_runs: _old_runs,
}


@retry_transaction
def _remove_superseded(ledger: Ledger, shop: str, before: datetime, settle: timedelta) -> tuple[bool, int]:
    """
    Remove old accepted rows of orders that have a newer one; continue after the row that was checked last.

    :return: whether all old rows are checked, and how many were removed.
    """
    accepted, newer = accepted_statuses.c, accepted_statuses.alias("newer").c
    with ledger.transaction(TIMEOUT_S) as connection:
        checked: int | None = connection.scalar(sa.select(retention.c.checked_up_to_id).where(retention.c.shop == shop))
        unchecked = accepted.id > (checked or 0)
        chunk = (
            sa.select(accepted.id, accepted.accepted_at).where(unchecked).order_by(accepted.id).limit(CHUNK).subquery()
        )
        end, rows = connection.execute(
            sa.select(sa.func.max(chunk.c.id), sa.func.count()).where(chunk.c.accepted_at < before)
        ).one()
        if end is None:
            return True, 0
        last_sent = sa.func.max(sa.func.coalesce(newer.sent_at, newer.accepted_at), type_=UtcDateTime)
        superseded = (
            sa.select(accepted.id, accepted.accepted_at, last_sent)
            .where(unchecked, accepted.id <= end, accepted.shop == shop, accepted.accepted_at < before)
            .where(newer.shop == accepted.shop, newer.order_id == accepted.order_id, newer.id > accepted.id)
            .group_by(accepted.id, accepted.accepted_at)
        )
        settled = [number for number, at, last in connection.execute(superseded) if last >= at + settle]
        old = sa.select(accepted.id).where(accepted.id.in_(settled))
        count = _remove(connection, accepted_statuses, shop, old)
        if checked is None:
            connection.execute(sa.insert(retention).values(shop=shop, checked_up_to_id=end))
        else:
            connection.execute(sa.update(retention).where(retention.c.shop == shop).values(checked_up_to_id=end))
        return rows < CHUNK, count
