"""
Requests to REES46: recorded before they are sent, closed by their result.

A load takes the shop's next *lease* when it starts, and only the load with the latest one may record requests. A
request is *in flight* from before it is sent until its result is recorded. If no clear answer arrives, or another load
starts meanwhile, its orders become *uncertain*: REES46 may or may not have their status.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from more_itertools import chunked

from rees46_sync.ledger.database import Ledger, retry_transaction
from rees46_sync.ledger.dialects import as_json, get_dialect
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.tables import (
    UtcDateTime,
    deliveries,
    extractions,
    in_flight_requests,
    leases,
    uncertain_orders,
)

ACCEPTED, UNKNOWN = "accepted", "unknown"


@dataclass(frozen=True)
class RequestOrders:
    """The orders of a request, and how many they are; the text is JSON, a list of order id, status and time."""

    text: str
    count: int


def request_orders(orders: pd.DataFrame, size: int | None = None) -> list[RequestOrders]:
    """
    Return orders as the ledger keeps those of a request.

    :param orders: columns order_id, code (0, 1 or 2), updated_at.
    :param size: the largest number of them in a request; None: they are one request.
    :raises ValueError: the times have no zone.
    """
    if orders["updated_at"].dt.tz is None:
        raise ValueError("timestamps without a time zone for the ledger")
    # UTC as SQLite stores it, and as every other database reads it.
    times = pa.array(orders["updated_at"]).cast(pa.timestamp("us")).cast(pa.string()).to_pylist()
    rows = zip(orders["order_id"].tolist(), orders["code"].tolist(), times, strict=True)
    return [RequestOrders(as_json(part), len(part)) for part in chunked(rows, size)]


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
    :param sent_at: when the last of them went out.
    :param outcome: :data:`ACCEPTED`, "rejected", or :data:`UNKNOWN` if there was no clear answer.
    :param may_have_arrived: it was not accepted, but one of its POSTs may have reached REES46.
    :param http_status: of the last response; None if there was none.
    :param milliseconds: from its turn to the last response, waits between the POSTs included.
    """

    request: InFlightRequest
    requests: int
    sent_at: datetime
    outcome: str = ACCEPTED
    may_have_arrived: bool = False
    http_status: int | None = None
    milliseconds: int | None = None


@dataclass(frozen=True)
class ChangeToken:
    """
    Identifies the ledger state that an extraction was compared with. While it is unchanged, earlier lookups are valid.

    :param latest_batch: the id of the shop's latest batch of another extraction; 0 if there is none.
    :param latest_request: the id of the latest in-flight request of another extraction; 0 if there is none.
    :param latest_confirmation: the id of the shop's latest confirmation by another extraction; 0 if there is none.
    :param latest_uncertain: the id of the shop's latest uncertain order of another extraction; 0 if there is none.
    """

    latest_batch: int
    latest_request: int
    latest_confirmation: int
    latest_uncertain: int


# Compiled once: SQLAlchemy needs more time to build these expressions than the database needs to execute them.
_INSERT_REQUEST = sa.insert(in_flight_requests)
_INSERT_DELIVERY = sa.insert(deliveries).inline()  # its id is not needed
_RECORDED = sa.select(deliveries.c.outcome).where(
    deliveries.c.extraction_id == sa.bindparam("extraction_id", type_=sa.String),
    deliveries.c.partition == sa.bindparam("partition"),
    deliveries.c.orders == sa.bindparam("orders"),
    deliveries.c.answered_at == sa.bindparam("answered_at", type_=UtcDateTime()),
)
_CLOSE_REQUEST = sa.delete(in_flight_requests).where(in_flight_requests.c.id == sa.bindparam("number"))
_SHOP, _EXTRACTION = sa.bindparam("shop", type_=sa.String), sa.bindparam("extraction_id", type_=sa.String)
_WITHDRAW_REQUESTS = sa.delete(in_flight_requests).where(
    in_flight_requests.c.shop == _SHOP,
    in_flight_requests.c.extraction_id == _EXTRACTION,
    in_flight_requests.c.lease == sa.bindparam("lease"),
    in_flight_requests.c.orders.in_(sa.bindparam("texts", type_=sa.String, expanding=True)),
)
# It changes nothing, but takes the lock of the row until the end of the transaction, in every database.
_HOLD_LEASE = (
    sa.update(leases)
    .where(leases.c.shop == sa.bindparam("of_shop", type_=sa.String), leases.c.lease == sa.bindparam("held"))
    .values(lease=leases.c.lease)
)
_STATE = sa.select(
    sa.select(deliveries.c.id)
    .where(deliveries.c.shop == _SHOP, deliveries.c.extraction_id != _EXTRACTION)
    .order_by(deliveries.c.id.desc())
    .limit(1)
    .scalar_subquery(),
    sa.select(sa.func.max(in_flight_requests.c.id))
    .where(in_flight_requests.c.shop == _SHOP, in_flight_requests.c.extraction_id != _EXTRACTION)
    .scalar_subquery(),
    sa.select(sa.func.max(extractions.c.latest_confirmation_id))
    .where(extractions.c.shop == _SHOP, extractions.c.extraction_id != _EXTRACTION)
    .scalar_subquery(),
    sa.select(uncertain_orders.c.id)
    .where(uncertain_orders.c.shop == _SHOP, uncertain_orders.c.extraction_id != _EXTRACTION)
    .order_by(uncertain_orders.c.id.desc())
    .limit(1)
    .scalar_subquery(),
    sa.select(leases.c.lease).where(leases.c.shop == _SHOP).scalar_subquery(),
)


class Requests:
    """The requests in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def change_token(self, run: RunRef) -> ChangeToken:
        """Return the token of the ledger's present state, as the run's extraction sees it."""
        return self.state(run)[0]

    @retry_transaction
    def state(self, run: RunRef) -> tuple[ChangeToken, int]:
        """Return :meth:`change_token`, and the lease of the shop's latest load; one query."""
        with self.ledger.transaction() as connection:
            row = connection.execute(_STATE, {"shop": run.shop, "extraction_id": run.extraction_id}).one()
        *parts, lease = (part or 0 for part in row)
        return ChangeToken(*parts), lease

    @retry_transaction
    def take_lease(self, shop: str) -> int:
        """
        Take the shop's next lease for a load, and mark the orders of all in-flight requests of the shop as uncertain.

        An earlier load that is still alive records no further request, and the answers to those that it has sent no
        longer say what REES46 has: they may arrive, and be recorded, in another order than they were processed.
        """
        with self.ledger.transaction() as connection:
            of_shop = leases.c.shop == shop
            if not connection.execute(sa.update(leases).where(of_shop).values(lease=leases.c.lease + 1)).rowcount:
                connection.execute(sa.insert(leases).values(shop=shop, lease=1))
            lease = connection.scalar(sa.select(leases.c.lease).where(of_shop))
            table, now = in_flight_requests.c, datetime.now(UTC)
            for number, extraction_id, orders in connection.execute(
                sa.select(table.id, table.extraction_id, table.orders).where(table.shop == shop)
            ).all():
                # Its result may be recorded at this moment.
                if connection.execute(_CLOSE_REQUEST, {"number": number}).rowcount:
                    _insert_uncertain(connection, shop, extraction_id, orders, now)
        return int(lease or 0)

    def record_requests(self, run: RunRef, lease: int, batches: Sequence[RequestOrders]) -> list[InFlightRequest]:
        """
        Record requests that are about to be sent.

        An extraction that confirms one of their orders from now on sees them; what was confirmed before is in
        :meth:`change_token`.

        :param lease: of the load that will send them.
        :param batches: the orders of each request, see :func:`request_orders`.
        :return: the requests, to be passed on with their results; none if another load has taken the lease since.
        """
        texts = [orders.text for orders in batches]
        row = {"shop": run.shop, "extraction_id": run.extraction_id, "lease": lease}
        repeats = count()

        @retry_transaction
        def record() -> list[int]:
            is_repeated = bool(next(repeats))
            with self.ledger.transaction() as connection:
                if not connection.execute(_HOLD_LEASE, {"of_shop": run.shop, "held": lease}).rowcount:
                    return []
                if is_repeated:  # the first commit may have happened; nothing of it was sent
                    connection.execute(_WITHDRAW_REQUESTS, {**row, "texts": texts})
                added = [connection.execute(_INSERT_REQUEST, {**row, "orders": text}) for text in texts]
                return [int(number) for one in added for number in one.inserted_primary_key or []]

        return [
            InFlightRequest(number, orders.count, orders.text)
            for number, orders in zip(record(), batches, strict=False)  # all numbers, or none
        ]

    @retry_transaction
    def cancel_request(self, request: InFlightRequest) -> None:
        """Remove a request that was not sent after all."""
        with self.ledger.transaction() as connection:
            connection.execute(_CLOSE_REQUEST, {"number": request.number})

    def record_result(self, run: RunRef, partition: int, result: RequestResult) -> str:
        """
        Record the result of a request of a partition, and what REES46 accepted, in one transaction.

        :return: the outcome that was recorded. It is :data:`UNKNOWN` if another load has marked the request uncertain
            meanwhile: that load may have sent its orders again, and REES46 may process the two in any order.
        """
        request, now, repeats = result.request, datetime.now(UTC), count()
        batch = {"partition": partition, "orders": request.count, "requests": result.requests}

        @retry_transaction
        def record() -> str:
            is_repeated = bool(next(repeats))
            with self.ledger.transaction() as connection:
                is_in_flight = connection.execute(_CLOSE_REQUEST, {"number": request.number}).rowcount == 1
                if is_repeated and not is_in_flight:  # the first commit may have happened
                    known = connection.scalars(_RECORDED, {**asdict(run), **batch, "answered_at": now}).first()
                    if known:
                        return str(known)
                outcome = result.outcome if is_in_flight or result.outcome != ACCEPTED else UNKNOWN
                if outcome == ACCEPTED:
                    times = {"accepted_at": now, "sent_at": result.sent_at}
                    connection.execute(
                        get_dialect(connection).insert_accepted, {**asdict(run), **times, "orders": request.orders}
                    )
                elif result.outcome == ACCEPTED or result.may_have_arrived:
                    _insert_uncertain(connection, run.shop, run.extraction_id, request.orders, now)
                response = {"http_status": result.http_status, "milliseconds": result.milliseconds}
                delivery = {**asdict(run), **batch, **response, "outcome": outcome, "answered_at": now}
                connection.execute(_INSERT_DELIVERY, delivery)
            return outcome

        return record()

    @retry_transaction
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


def order_ids(orders: str) -> set[str]:
    """
    Return the ids of the orders of a request.

    :param orders: the column ``orders`` of ``rees46_in_flight_requests``.
    """
    return {order_id for order_id, _status, _time in json.loads(orders)}


def _insert_uncertain(connection: sa.Connection, shop: str, extraction_id: str, orders: str, sent_at: datetime) -> None:
    uncertain = {"shop": shop, "extraction_id": extraction_id, "sent_at": sent_at, "orders": orders}
    connection.execute(get_dialect(connection).insert_uncertain, uncertain)
