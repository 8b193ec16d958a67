"""
Views of the ledger for other tools, such as dbt and Grafana: their columns stay while the tables change.

* ``rees46_orders_view``: an order per row, with the latest status that REES46 accepted.
* ``rees46_runs_view``: a run per row: its window, its account, whether it has delivered, and why not.
* ``rees46_quarantine_view``: a rejected row, or one that is held back, per row.

The sync itself reads none of them, and works without them: a role may own tables and still not create views. They are
dropped before the tables are migrated, because PostgreSQL changes no column, and SQLite rebuilds no table, that a view
reads; and created after it.
"""

from __future__ import annotations

import logging
from contextlib import nullcontext

import sqlalchemy as sa

from rees46_sync.ledger.tables import accepted_statuses, rejected_orders, sync_runs
from rees46_sync.shop.statuses import STATUS_NAMES

log = logging.getLogger(__name__)


def _orders() -> sa.Select[tuple[object, ...]]:
    orders, later = accepted_statuses.c, accepted_statuses.alias("later").c
    # By the index of an order: a filter on shop and order_id stays a look-up of one order.
    has_later = sa.exists().where(later.shop == orders.shop, later.order_id == orders.order_id, later.id > orders.id)
    return sa.select(
        orders.shop,
        orders.order_id,
        sa.case(dict(enumerate(STATUS_NAMES)), value=orders.status).label("status"),
        orders.status.label("status_code"),
        orders.source_updated_at,
        orders.sent_at,
        orders.accepted_at,
        orders.dag_id,
        orders.run_id,
    ).where(~has_later)


def _runs() -> sa.Select[tuple[object, ...]]:
    runs = sync_runs.c
    has_delivered = (runs.outcome == "success") & (runs.held == 0)
    return sa.select(
        runs.shop,
        runs.dag_id,
        runs.run_id,
        _flag(runs.dag_id == sa.literal("order_status_history_") + runs.shop).label("is_history"),
        _flag(has_delivered).label("has_delivered"),
        runs.outcome,
        runs.cause,
        runs.remedy,
        runs.window_start,
        runs.window_end,
        runs.started_at,
        runs.finished_at,
        *(runs[name] for name in ("read", "sent", "unchanged", "superseded", "stale", "reopened", "rejected")),
        *(runs[name] for name in ("held", "failed", "requests", "resent")),
    )


def _quarantine() -> sa.Select[tuple[object, ...]]:
    rows, accepted = rejected_orders.c, accepted_statuses.c
    since = sa.exists().where(
        accepted.shop == rows.shop, accepted.order_id == rows.order_id, accepted.accepted_at > rows.rejected_at
    )
    return sa.select(
        rows.shop,
        rows.order_id,
        rows.status,
        rows.updated_at,
        rows.reason,
        rows.run_id,
        rows.rejected_at,
        _flag(since).label("is_accepted_since"),
    )


def _flag(condition: sa.ColumnElement[bool]) -> sa.Case[bool]:
    """Return a condition as a value: true and false in PostgreSQL, 1 and 0 in the others."""
    return sa.case((condition, sa.true()), else_=sa.false())


VIEWS = {"rees46_orders_view": _orders, "rees46_runs_view": _runs, "rees46_quarantine_view": _quarantine}


def create_views(connection: sa.Connection) -> None:
    """Create the views, or replace them; if the database refuses, log that, because the sync does not need them."""
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:  # it cannot replace one
        drop_views(connection)
    for name, query in VIEWS.items():
        sql = query().compile(connection, compile_kwargs={"literal_binds": True})
        # Replaced, not dropped: rights on a view that is there stay.
        if not _attempt(connection, f"CREATE {'' if is_sqlite else 'OR REPLACE '}VIEW {name} AS {sql}"):
            return


def drop_views(connection: sa.Connection) -> None:
    """Drop the views that exist; if the database refuses, log that."""
    existing = sa.inspect(connection).get_view_names()
    for name in VIEWS:
        if name in existing and not _attempt(connection, f"DROP VIEW {name}"):
            return


def _attempt(connection: sa.Connection, statement: str) -> bool:
    """Execute a statement of a migration; False if the database refuses it."""
    try:
        # Only PostgreSQL ends the whole transaction with a statement; in MySQL one of these would end a savepoint.
        with connection.begin_nested() if connection.dialect.name == "postgresql" else nullcontext():
            connection.exec_driver_sql(statement)
    except sa.exc.DBAPIError as error:
        action = " ".join(statement.split(" AS ")[0].split())
        log.warning(
            "%s was refused (%s). The sync does not need it. For dbt, Grafana and the like grant the rights of "
            "docs/ledger.md, then run python -m rees46_sync.ledger with that connection.",
            action,
            " ".join(str(error.orig).split())[:300],
        )
        return False
    return True
