"""What has to hold in a ledger whatever its runs went through: checked after each test on a live Airflow."""

from __future__ import annotations

import sqlalchemy as sa

from rees46_sync.ledger.tables import accepted_statuses, deliveries, in_flight_requests, leases


def older_after_newer(connection: sa.Connection) -> list[str]:
    """Return the orders of which an older version was accepted after a newer one; no warehouse may set times back."""
    accepted = accepted_statuses.c
    newest_before = sa.func.max(accepted.source_updated_at).over(
        partition_by=(accepted.shop, accepted.order_id), order_by=accepted.id, rows=(None, -1)
    )
    rows = sa.select(accepted.order_id, accepted.source_updated_at, newest_before.label("before")).subquery()
    return list(connection.scalars(sa.select(rows.c.order_id).where(rows.c.source_updated_at < rows.c.before)))


def unaccounted(connection: sa.Connection) -> list[str]:
    """Return where the acceptances and the answers of loads differ, and the requests that no load has ended."""
    accepted, delivered, in_flight = accepted_statuses.c, deliveries.c, in_flight_requests.c
    counted = sa.union_all(
        sa.select(accepted.extraction_id, sa.literal(1).label("orders")),
        sa.select(delivered.extraction_id, (-delivered.orders).label("orders")).where(delivered.outcome == "accepted"),
    ).subquery()
    differing = (
        sa.select(counted.c.extraction_id).group_by(counted.c.extraction_id).having(sa.func.sum(counted.c.orders) != 0)
    )
    latest = sa.select(leases.c.lease).where(leases.c.shop == in_flight.shop).scalar_subquery()
    forgotten = sa.select(in_flight.id).where(in_flight.lease != latest)
    return [f"extraction {one}" for one in connection.scalars(differing)] + [
        f"request {one}" for one in connection.scalars(forgotten)
    ]


def defects(connection: sa.Connection) -> list[str]:
    """Return both."""
    return [*older_after_newer(connection), *unaccounted(connection)]
