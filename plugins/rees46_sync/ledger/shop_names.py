"""
The names of shops in a ledger: those that it knows, another name for one of them, and one that is taken out.

A ledger has no table of shops. It knows a shop by its rows, which stay when the shop's file is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rees46_sync.exceptions import NonRetryableError
from rees46_sync.formatting import timestamp
from rees46_sync.ledger.database import Ledger, retry_transaction
from rees46_sync.ledger.migrations import STEP_TIMEOUT_S
from rees46_sync.ledger.quarantine import QUARANTINE_CHUNK, RejectedRow
from rees46_sync.ledger.tables import (
    UtcDateTime,
    accepted_statuses,
    alert_messages,
    alerts,
    extractions,
    in_flight_requests,
    leases,
    metadata,
    rejected_orders,
    sync_runs,
)

NO_SHOP_FILE = "no_shop_file"
"""In ``rees46_alerts``, in place of an alert's name: the shop was taken out on purpose, so its file is not missed."""

UNDER_WAY = timedelta(days=1)
"""How long an extraction without an account counts as a run that is under way; later its run was lost."""

_TABLES = [table for table in metadata.sorted_tables if "shop" in table.c]
_MONITORING = (alerts, alert_messages)
"""The tables that the freshness check writes to before a shop has its first run."""


def shops_without_file(ledger: Ledger, with_file: Collection[str]) -> dict[str, datetime | None]:
    """
    Return the shops that the ledger knows and that has no shop file, without those that were taken out on purpose.

    It only reads, also in a ledger without tables, or with those of an earlier version.

    :param with_file: the shops that have a shop file.
    :return: by shop, when its last run ended; None if there is no record of one.
    :raises LedgerError: the ledger does not answer.
    """
    with ledger.transaction() as connection:
        existing = set(sa.inspect(connection).get_table_names())
        names = {
            name
            for table in (accepted_statuses, sync_runs)
            if table.name in existing
            for name in _names(connection, table)
        }
        last_runs = {name: _last_run(connection, name, existing) for name in sorted(names.difference(with_file))}
        retired_at = _retired_at(connection) if alerts.name in existing else {}
    # A run after it was taken out shows that it came back.
    return {
        name: last_run
        for name, last_run in last_runs.items()
        if name not in retired_at or (last_run is not None and last_run > retired_at[name])
    }


@retry_transaction
def retire(ledger: Ledger, shop: str) -> None:
    """
    Record that a shop was taken out on purpose, so that its file is not missed; its rows stay. A later run ends this.

    :raises NonRetryableError: the ledger does not know the shop.
    :raises LedgerError: the ledger does not answer.
    """
    now = datetime.now(UTC)
    row = {"shop": shop, "alert": NO_SHOP_FILE, "firing": False, "summary": "The shop was taken out on purpose."}
    with ledger.transaction() as connection:
        if not _tables_with(connection, shop):
            raise _unknown(connection, shop)
        connection.execute(sa.delete(alerts).where(alerts.c.shop == shop, alerts.c.alert == NO_SHOP_FILE))
        connection.execute(sa.insert(alerts).values(**row, since=now, as_of=now, first_seen=now))


@retry_transaction
def rename(ledger: Ledger, old: str, new: str) -> Counter[str]:
    """
    Give a shop another name in all tables, in one transaction; its next run continues from the same watermark.

    :return: how many rows were changed, by table.
    :raises NonRetryableError: the ledger does not know the shop, or has rows of the new name, or a run is under way.
    :raises LedgerError: the ledger does not answer, or refuses.
    """
    with ledger.transaction(STEP_TIMEOUT_S) as connection:
        # No load can record a request from here on: it needs the lock of this row, and then finds it no more.
        connection.execute(sa.update(leases).where(leases.c.shop == old).values(lease=leases.c.lease))
        _check_rename(connection, old, new)
        for table in _MONITORING:
            connection.execute(sa.delete(table).where(table.c.shop == new))
        _rename_fingerprints(connection, old, new)
        changed: Counter[str] = Counter()
        for table in _TABLES:
            values: dict[str, Any] = {"shop": new}
            if "dag_id" in table.c:
                dag_ids = {f"order_status_{kind}_{old}": f"order_status_{kind}_{new}" for kind in ("sync", "history")}
                values["dag_id"] = sa.case(dag_ids, value=table.c.dag_id, else_=table.c.dag_id)
            changed[table.name] = connection.execute(
                sa.update(table).where(table.c.shop == old).values(values)
            ).rowcount
    return +changed


def _names(connection: sa.Connection, table: sa.Table) -> Iterator[str]:
    """Return the shops that a table names. Each is found by the index; DISTINCT would read millions of rows."""
    first = sa.select(sa.func.min(table.c.shop))
    name: str | None = connection.scalar(first)
    while name is not None:
        yield name
        name = connection.scalar(first.where(table.c.shop > name))


def _last_run(connection: sa.Connection, shop: str, existing: Collection[str]) -> datetime | None:
    if sync_runs.name not in existing:
        return None
    query = sa.select(sa.func.max(sync_runs.c.finished_at, type_=UtcDateTime)).where(sync_runs.c.shop == shop)
    last: datetime | None = connection.scalar(query)
    return last


def _retired_at(connection: sa.Connection) -> dict[str, datetime]:
    query = sa.select(alerts.c.shop, alerts.c.as_of).where(alerts.c.alert == NO_SHOP_FILE)
    return {row.shop: row.as_of for row in connection.execute(query)}


def _tables_with(connection: sa.Connection, shop: str) -> list[str]:
    """Return the names of the tables that have rows of a shop which a run wrote."""
    exists = {
        table.name: sa.select(table.c.shop).where(table.c.shop == shop).limit(1)
        for table in _TABLES
        if table not in _MONITORING
    }
    return [name for name, query in exists.items() if connection.scalar(query) is not None]


def _unknown(connection: sa.Connection, shop: str) -> NonRetryableError:
    known = sorted({name for table in (accepted_statuses, sync_runs) for name in _names(connection, table)})
    return NonRetryableError(
        f"The ledger has no rows of shop {shop!r} (its shops: {', '.join(known) or 'none'}); nothing was changed",
        "correct the name, or name the connection of the shop's ledger",
    )


def _check_rename(connection: sa.Connection, old: str, new: str) -> None:
    if not _tables_with(connection, old):
        raise _unknown(connection, old)
    if taken := _tables_with(connection, new):
        raise NonRetryableError(
            f"The ledger has rows of shop {new!r} already, in {', '.join(taken)}; nothing was changed",
            f"choose a name that is new; or leave {new!r} as it is, and take {old!r} out with --retire",
        )
    request = sa.select(in_flight_requests.c.id).where(in_flight_requests.c.shop == old).limit(1)
    if connection.scalar(request) is not None:
        raise NonRetryableError(
            f"Shop {old!r} has requests in flight: a load sends them now, or was killed; nothing was changed",
            f"wait for the end of its run; after a kill, let a run of {old!r} end first, under its old name",
        )
    ended = sa.exists().where(sync_runs.c.shop == old, sync_runs.c.started_at == extractions.c.started_at)
    started = sa.select(sa.func.max(extractions.c.started_at, type_=UtcDateTime)).where(
        extractions.c.shop == old,
        extractions.c.is_open,
        extractions.c.started_at > datetime.now(UTC) - UNDER_WAY,
        ~ended,
    )
    if since := connection.scalar(started):
        raise NonRetryableError(
            f"Shop {old!r} has a run under way since {timestamp(since)} UTC; nothing was changed",
            f"pause the DAGs of {old!r} and wait for the end of the run; one that was lost counts for a day",
        )


def _rename_fingerprints(connection: sa.Connection, old: str, new: str) -> None:
    """
    Compute the fingerprints of quarantined rows anew, because they contain the shop.

    A row that is not stored exactly as it was read keeps its own: if it is read again, it is stored once more.
    """
    table, last = rejected_orders.c, 0
    further_copies: Counter[tuple[str | None, ...]] = Counter()
    page = (
        sa.select(table.id, table.order_id, table.status, table.updated_at, table.reason, table.fingerprint)
        .where(table.shop == old)
        .order_by(table.id)
        .limit(QUARANTINE_CHUNK)
    )
    change = sa.update(rejected_orders).where(table.id == sa.bindparam("number"))
    change = change.values(fingerprint=sa.bindparam("renamed"))
    while rows := connection.execute(page.where(table.id > last)).all():
        changes = []
        for number, order_id, status, updated_at, reason, fingerprint in rows:
            key = (order_id, status, updated_at, reason)
            for copy in (1, further_copies[key] + 2):
                row = RejectedRow(order_id, status, updated_at, reason, copy)
                if row.fingerprint(old) == fingerprint:
                    changes.append({"number": number, "renamed": row.fingerprint(new)})
                    further_copies[key] += copy > 1
                    break
        if changes:
            connection.execute(change, changes)
        last = rows[-1].id
