"""
What the ledger forgets: a shop's rows that are older than its ``keep_days``, some of them at the end of each run.

However old it is, this stays:

* the last accepted status of every order, and whatever may have reached REES46 without an answer;
* the runs from which the next one takes its window, and failed ones whose window nobody has made good;
* an alert and since when it fires, and messages that are not told;
* the shop's latest batch, by which a load sees whether another one was faster.

A row goes by its number, from the oldest on, some thousands in a transaction: nobody waits for that, and what is not
done in :data:`BUDGET_S` is left to the next run.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from rees46_sync.ledger.database import READ_UNTIL, Ledger, again_after_a_race, made_good
from rees46_sync.ledger.tables import (
    UtcDateTime,
    accepted_statuses,
    alert_messages,
    approvals,
    deliveries,
    rejected_orders,
    retention,
    sync_runs,
    unanswered_orders,
)
from rees46_sync.shop.shop import Shop

log = logging.getLogger(__name__)

CHUNK = 5000
"""Rows that are looked at, or go, in a transaction: some hundredths of a second."""

BUDGET_S = 10
"""What forgetting may add to a run. It is enough for a million accepted rows, which is more than a run adds."""

TIMEOUT_S = 20


def after_run(shop: Shop, ledger: Ledger) -> None:
    """Forget what the shop need not keep. What fails here is no failure of the run: the next one goes on."""
    if shop.keep_days is None:
        return
    try:
        removed = remove_older(ledger, shop.shop, datetime.now(UTC) - timedelta(days=shop.keep_days))
    except Exception:  # the orders are sent: whatever fails here, the next run tries again
        log.exception("Old rows of shop %s could not be removed from the ledger; the next run tries again.", shop.shop)
        return
    if removed:
        what = ", ".join(f"{count} of {table}" for table, count in removed.items())
        log.info("Removed from the ledger, older than %d days: %s.", shop.keep_days, what)


def remove_older(ledger: Ledger, shop: str, before: datetime) -> Counter[str]:
    """
    Remove a shop's rows from before a moment, as far as nothing needs them.

    :return: how many rows went, by table.
    :raises LedgerError: the database does not answer, or refuses; what went before is gone.
    """
    removed: Counter[str] = Counter()
    ends_at = time.monotonic() + BUDGET_S
    for table, find in _OLD.items():
        while time.monotonic() < ends_at:
            with ledger.transaction(TIMEOUT_S) as connection:
                gone = _remove(connection, table, find(connection, shop, before))
            removed[table.name] += gone
            if gone < CHUNK:
                break
    while time.monotonic() < ends_at:
        looked_at_all, gone = _remove_superseded(ledger, shop, before)
        removed[accepted_statuses.name] += gone
        if looked_at_all:
            break
    return +removed


def _remove(connection: sa.Connection, table: sa.Table, old: sa.Select[int]) -> int:
    ids = connection.scalars(old).all()
    if ids:
        connection.execute(sa.delete(table).where(table.c.id.in_(ids)))
    return len(ids)


def _oldest(table: sa.Table, shop: str, time_of: sa.Column[datetime], before: datetime) -> sa.Select[int]:
    """
    Ask for those of the oldest rows that are old.

    By number alone, because that is nearly the order of their times, and the only one that has an index.
    """
    first = sa.select(table.c.id, time_of).where(table.c.shop == shop).order_by(table.c.id).limit(CHUNK).subquery()
    return sa.select(first.c.id).where(first.c[time_of.name] < before)


def _old_deliveries(_connection: sa.Connection, shop: str, before: datetime) -> sa.Select[int]:
    latest = sa.select(sa.func.max(deliveries.c.id)).where(deliveries.c.shop == shop).scalar_subquery()
    old = _oldest(deliveries, shop, deliveries.c.answered_at, before).subquery()
    return sa.select(old.c.id).where(old.c.id < latest)


def _old_unanswered(_connection: sa.Connection, shop: str, before: datetime) -> sa.Select[int]:
    """
    Ask for requests without an answer that do not count any more: the order was accepted since.

    The latest of all stays: SQLite would give its number to another one, and a load take that for no news.
    """
    missed, sent = unanswered_orders.c, accepted_statuses.c
    latest = sa.select(sa.func.max(missed.id)).scalar_subquery()
    accepted_since = sa.exists().where(sent.shop == shop, sent.order_id == missed.order_id, sent.id > missed.after_id)
    return (
        sa.select(missed.id)
        .where(missed.shop == shop, missed.source_updated_at < before, accepted_since, missed.id < latest)
        .order_by(missed.id)
        .limit(CHUNK)
    )


def _old_runs(connection: sa.Connection, shop: str, before: datetime) -> sa.Select[int]:
    """Ask for runs that neither the next window nor the alert about failed windows needs; failed ones go first."""
    runs = sync_runs.alias("failed")
    covered: datetime | None = connection.scalar(
        sa.select(sa.func.max(READ_UNTIL, type_=UtcDateTime)).where(
            sync_runs.c.shop == shop, sync_runs.c.outcome == "success", sync_runs.c.window_widened
        )
    )
    missing = (runs.c.outcome == "failed") & runs.c.window_start.is_not(None) & ~made_good(runs)
    query = sa.select(runs.c.id).where(runs.c.shop == shop, ~missing).order_by(runs.c.finished_at, runs.c.id)
    # Before the first success everything counts: where the first run began to read.
    return query.where(runs.c.finished_at < min(before, covered)).limit(CHUNK) if covered else query.where(sa.false())


_Find = Callable[[sa.Connection, str, datetime], sa.Select[int]]
_OLD: dict[sa.Table, _Find] = {
    deliveries: _old_deliveries,
    rejected_orders: lambda _, shop, before: _oldest(rejected_orders, shop, rejected_orders.c.rejected_at, before),
    approvals: lambda _, shop, before: _oldest(approvals, shop, approvals.c.recorded_at, before),
    alert_messages: lambda _, shop, before: _oldest(alert_messages, shop, alert_messages.c.told_at, before),
    unanswered_orders: _old_unanswered,
    sync_runs: _old_runs,
}


@again_after_a_race
def _remove_superseded(ledger: Ledger, shop: str, before: datetime) -> tuple[bool, int]:
    """
    Remove old accepted rows of orders that have a newer one, from where the last time ended.

    :return: whether all that is old was looked at, and how many went.
    """
    sent, newer = accepted_statuses.c, accepted_statuses.alias("newer").c
    with ledger.transaction(TIMEOUT_S) as connection:
        place = sa.select(retention.c.looked_at_id).where(retention.c.shop == shop)
        begin: int | None = connection.scalar(place)
        chunk = sa.select(sent.id, sent.accepted_at).where(sent.id > (begin or 0)).order_by(sent.id).limit(CHUNK)
        looked_at = chunk.subquery()
        end, rows = connection.execute(
            sa.select(sa.func.max(looked_at.c.id), sa.func.count()).where(looked_at.c.accepted_at < before)
        ).one()
        if end is None:
            return True, 0
        superseded = sa.select(sent.id).where(
            sent.id > (begin or 0),
            sent.id <= end,
            sent.shop == shop,
            sent.accepted_at < before,
            sa.exists().where(newer.shop == sent.shop, newer.order_id == sent.order_id, newer.id > sent.id),
        )
        gone = _remove(connection, accepted_statuses, superseded)
        if begin is None:
            connection.execute(sa.insert(retention).values(shop=shop, looked_at_id=end))
        else:
            connection.execute(sa.update(retention).where(retention.c.shop == shop).values(looked_at_id=end))
        return rows < CHUNK, gone
