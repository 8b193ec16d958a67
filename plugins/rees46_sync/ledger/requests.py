"""
Requests to REES46: recorded before they are sent, closed by their result.

A request is *in flight* from before it is sent until its result is recorded. If no clear answer arrives, its orders
become *uncertain*: REES46 may or may not have their status, until one of them is accepted again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger, retry_on_conflict
from rees46_sync.ledger.dialects import as_json, get_dialect
from rees46_sync.ledger.lookup import confirmed_by_others
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.tables import (
    accepted_statuses,
    confirmations,
    deliveries,
    in_flight_requests,
    uncertain_orders,
)

ACCEPTED = "accepted"


@dataclass(frozen=True)
class InFlightRequest:
    """
    A batch that is about to be sent, or was sent and has no recorded result yet.

    :param number: the id of its row in ``rees46_in_flight_requests``.
    :param orders: JSON, a list of order id, status and time.
    """

    number: int
    count: int
    orders: str


@dataclass(frozen=True)
class RequestResult:
    """
    The result of a request.

    :param request: as :meth:`Requests.record_requests` returned it.
    :param requests: the number of POSTs that it took.
    :param outcome: :data:`ACCEPTED`, "rejected", or "unknown" if there was no clear answer.
    :param may_have_arrived: it was not accepted, but one of its POSTs may have reached REES46, so it stays in flight.
    """

    request: InFlightRequest
    requests: int
    outcome: str = ACCEPTED
    may_have_arrived: bool = False


@dataclass(frozen=True)
class ChangeToken:
    """
    Identifies the ledger state that an extraction was compared with. While it is unchanged, earlier lookups are valid.

    :param latest_batch: the id of the shop's latest batch of another extraction; 0 if there is none.
    :param confirmed: how many orders of this extraction were confirmed by another one.
    :param latest_uncertain: the id of the latest uncertain order of any shop; 0 if there is none. (Limiting it to one
        shop would need another index.)
    """

    latest_batch: int
    confirmed: int
    latest_uncertain: int


# Compiled once: SQLAlchemy needs more time to build these expressions than the database needs to execute them.
_INSERT_REQUEST = sa.insert(in_flight_requests)
_INSERT_DELIVERY = sa.insert(deliveries).inline()  # its id is not needed
_CLOSE_REQUEST = sa.delete(in_flight_requests).where(in_flight_requests.c.id == sa.bindparam("number"))
_SHOP, _EXTRACTION = sa.bindparam("shop", type_=sa.String), sa.bindparam("extraction_id", type_=sa.String)
_CHANGE_TOKEN = sa.select(
    sa.select(deliveries.c.id)
    .where(deliveries.c.shop == _SHOP, deliveries.c.extraction_id != _EXTRACTION)
    .order_by(deliveries.c.id.desc())
    .limit(1)
    .scalar_subquery(),
    sa.select(sa.func.count(confirmations.c.id)).where(confirmed_by_others(_SHOP, _EXTRACTION)).scalar_subquery(),
    sa.select(sa.func.max(uncertain_orders.c.id)).scalar_subquery(),
)


class Requests:
    """The requests in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def high_water_mark(self) -> int:
        """Return the id of the latest accepted row; rows with a higher id are accepted after this call."""
        with self.ledger.transaction() as connection:
            return _high_water_mark(connection)

    def change_token(self, run: RunRef) -> ChangeToken:
        """Return the token of the ledger's present state, as the run's extraction sees it."""
        with self.ledger.transaction() as connection:
            row = connection.execute(_CHANGE_TOKEN, {"shop": run.shop, "extraction_id": run.extraction_id}).one()
        return ChangeToken(row[0] or 0, row[1], row[2] or 0)

    @retry_on_conflict
    def record_requests(self, run: RunRef, batches: Sequence[pd.DataFrame]) -> list[InFlightRequest]:
        """
        Record requests that are about to be sent.

        An extraction that confirms one of their orders from now on sees them; what was confirmed before is in
        :meth:`change_token`.

        :param batches: the orders of each request, columns order_id, code (0, 1 or 2), updated_at.
        :return: the requests, to be passed on with their results.
        """
        texts = [_as_json_orders(orders) for orders in batches]
        with self.ledger.transaction() as connection:
            added = [connection.execute(_INSERT_REQUEST, {"shop": run.shop, "orders": text}) for text in texts]
            numbers = [int(number) for row in added for number in row.inserted_primary_key or []]
        return [
            InFlightRequest(number, len(orders), text)
            for number, orders, text in zip(numbers, batches, texts, strict=True)
        ]

    @retry_on_conflict
    def cancel_request(self, request: InFlightRequest) -> None:
        """Remove a request that was not sent after all."""
        with self.ledger.transaction() as connection:
            connection.execute(_CLOSE_REQUEST, {"number": request.number})

    @retry_on_conflict
    def mark_uncertain(self, shop: str) -> None:
        """
        Mark the orders of the shop's in-flight requests as uncertain, until one of them is accepted again.

        A request that another task is still sending loses nothing: its acceptance will be newer than this mark.
        """
        with self.ledger.transaction() as connection:
            mark = _high_water_mark(connection)
            requests = connection.execute(
                sa.select(in_flight_requests.c.id, in_flight_requests.c.orders).where(in_flight_requests.c.shop == shop)
            ).all()
            for number, orders in requests:
                rows = [
                    {"shop": shop, "order_id": order_id, "source_updated_at": updated_at, "high_water_mark": mark}
                    for order_id, updated_at in request_times(orders).items()
                ]
                connection.execute(sa.insert(uncertain_orders), rows)
                connection.execute(_CLOSE_REQUEST, {"number": number})

    @retry_on_conflict
    def record_result(self, run: RunRef, partition: int, result: RequestResult) -> None:
        """Record the result of a request of a partition, and what REES46 accepted, in one transaction."""
        request, now = result.request, datetime.now(UTC)
        batch = {"partition": partition, "orders": request.count, "requests": result.requests}
        with self.ledger.transaction() as connection:
            if result.outcome == ACCEPTED:
                accepted = {**asdict(run), "accepted_at": now, "orders": request.orders}
                connection.execute(get_dialect(connection).insert_accepted, accepted)
            if not result.may_have_arrived:
                connection.execute(_CLOSE_REQUEST, {"number": request.number})
            delivery = {**asdict(run), **batch, "outcome": result.outcome, "answered_at": now}
            connection.execute(_INSERT_DELIVERY, delivery)

    def accepted_by_partition(self, extraction_id: str) -> dict[int, int]:
        """Return how many orders of each partition of an extraction were accepted."""
        query = (
            sa.select(deliveries.c.partition, sa.func.sum(deliveries.c.orders))
            .where(deliveries.c.extraction_id == extraction_id, deliveries.c.outcome == ACCEPTED)
            .group_by(deliveries.c.partition)
        )
        with self.ledger.transaction() as connection:
            return {partition: int(orders) for partition, orders in connection.execute(query)}

    def count(self, extraction_id: str) -> int:
        """Return how many POSTs with a recorded result were made for an extraction."""
        query = sa.select(sa.func.sum(deliveries.c.requests)).where(deliveries.c.extraction_id == extraction_id)
        with self.ledger.transaction() as connection:
            return int(connection.scalar(query) or 0)


def request_times(orders: str) -> dict[str, datetime]:
    """
    Return the time of each order of a request.

    :param orders: the column ``orders`` of ``rees46_in_flight_requests``.
    """
    listed = json.loads(orders)
    # The first versions stored an object of ids and times, without the status.
    pairs = listed.items() if isinstance(listed, dict) else ((order_id, time) for order_id, _status, time in listed)
    return {order_id: datetime.fromisoformat(time).replace(tzinfo=UTC) for order_id, time in pairs}


def _high_water_mark(connection: sa.Connection) -> int:
    return connection.scalar(sa.select(sa.func.max(accepted_statuses.c.id))) or 0


def _as_json_orders(orders: pd.DataFrame) -> str:
    """Return the text of ``rees46_in_flight_requests.orders``."""
    if orders["updated_at"].dt.tz is None:
        raise ValueError("timestamps without a time zone for the ledger")
    # UTC as SQLite stores it, and as every other database reads it.
    times = pa.array(orders["updated_at"]).cast(pa.timestamp("us")).cast(pa.string()).to_pylist()
    return as_json(list(zip(orders["order_id"].tolist(), orders["code"].tolist(), times, strict=True)))
