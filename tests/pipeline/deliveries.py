"""Builders for deliveries: orders, and a partition with the real hook and a real ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from rees46_sync.exceptions import Rees46RejectedError, Rees46UnavailableError, Rees46UnreadableError
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.lookup import NOTHING_ACCEPTED, look_up
from rees46_sync.ledger.requests import Requests
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.tables import accepted_statuses, deliveries
from rees46_sync.pipeline import diff
from rees46_sync.pipeline.delivery import Delivery
from rees46_sync.pipeline.diff import DiffContext
from rees46_sync.pipeline.tally import TALLY_PARTS
from rees46_sync.rees46 import payload
from rees46_sync.rees46.hook import Rees46Hook
from rees46_sync.sandbox.server import Sandbox
from tests.conftest import start_extraction

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW_START, WINDOW_END = NOON - timedelta(days=1), NOON + timedelta(hours=12)
OWN_TEXTS = ("new", "delivered", "cancelled")
"""The shop's own statuses, by REES46's code."""

BOTH = [
    pytest.param({"dialect": "import_sync_orders"}, id="import_sync_orders"),
    pytest.param({"dialect": "sync_orders"}, id="sync_orders"),
]
OVER_BOTH = pytest.mark.parametrize("extra", BOTH)
"""A test that does the same with each dialect."""

OTHER_RUN = RunRef(shop="test", dag_id="another-dag", run_id="another-run", extraction_id="another-extraction")
"""A run that reads the warehouse at the same time as that of the first :class:`Partition`."""

REJECTED, UNREADABLE, UNAVAILABLE = Rees46RejectedError, Rees46UnreadableError, Rees46UnavailableError


def orders_of(*orders: tuple[str, int], at: datetime = NOON) -> pd.DataFrame:
    """Orders of an id and a code, all updated at one time."""
    frame = pd.DataFrame(orders, columns=["order_id", "code"])
    return frame.assign(
        status=[OWN_TEXTS[code] for _, code in orders],
        updated_at=pd.Series([at] * len(orders), dtype="datetime64[us, UTC]"),
    )


def numbered(number: int) -> pd.DataFrame:
    """Orders whose ids sort as they are numbered."""
    return orders_of(*((f"order-{one:05}", one % 3) for one in range(number)))


def codes_of(orders: pd.DataFrame) -> dict[str, int]:
    """The code of each order."""
    return dict(zip(orders["order_id"].tolist(), orders["code"].tolist(), strict=True))


def codes_at(sandbox: Sandbox) -> dict[str, int]:
    """The code of each order that REES46 has, whichever way it was sent."""
    return {
        order_id: OWN_TEXTS.index(status) if isinstance(status, str) else status
        for order_id, status in sandbox.state().items()
    }


def tally_of(orders: int, **counts: int) -> dict[str, int]:
    """A tally; parts that are not named are 0."""
    return {"orders": orders, **dict.fromkeys(TALLY_PARTS, 0), **counts}


def adds_up(tally: dict[str, int]) -> bool:
    """Whether each order of a tally is counted once."""
    return sum(tally.values()) == 2 * tally["orders"]


class Partition:
    """One partition of one extraction; each delivery is another attempt of its task."""

    def __init__(self, ledger_conn_id: str, extraction_id: str = "extraction-1") -> None:
        self.ledger = Ledger.open(ledger_conn_id)
        self.run = RunRef(shop="test", dag_id="dag", run_id=f"run-of-{extraction_id}", extraction_id=extraction_id)
        if extraction_id == "extraction-1":
            start_extraction(self.ledger, OTHER_RUN, WINDOW_START, WINDOW_END, has_read=False)
        start_extraction(self.ledger, self.run, WINDOW_START, WINDOW_END)

    def context(self, window_end: datetime = WINDOW_END, **options: Any) -> DiffContext:
        return DiffContext(window_end=window_end, **options)

    def delivery(
        self, *, batch_size: int = 10, concurrency: int = 1, resend: bool = False, **replaced: Any
    ) -> Delivery:
        hook = Rees46Hook("shop_rees46")
        arguments: dict[str, Any] = {
            "sender": hook,
            "ledger": self.ledger,
            "run": self.run,
            "partition": 0,
            "context": self.context(resend=resend),
            "statuses_to_send": partial(payload.statuses_to_send, status_text=hook.settings.status_text),
            "batch_size": batch_size,
            "concurrency": concurrency,
        }
        return Delivery(**arguments | replaced)

    def comparison_token(self, context: DiffContext | None = None) -> dict[str, int]:
        """The token of a comparison that is made now."""
        return diff.comparison_token(Requests(self.ledger).change_token(self.run), context or self.context())

    def deliver(self, orders: pd.DataFrame, **options: Any) -> dict[str, int]:
        return self.delivery(**options).deliver(orders)

    def outcomes(self) -> list[tuple[str, int, int]]:
        """The recorded result of each batch: outcome, orders, requests."""
        table = deliveries.c
        query = sa.select(table.outcome, table.orders, table.requests).order_by(table.id)
        with self.ledger.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def accepted(self) -> int:
        """How many orders of this extraction the ledger has as accepted."""
        return Requests(self.ledger).accepted_by_partition(self.run.extraction_id).get(0, 0)

    def times_accepted(self) -> dict[str, int]:
        """How often each order was accepted, by the ledger."""
        column = accepted_statuses.c.order_id
        with self.ledger.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(sa.select(column, sa.func.count()).group_by(column))}

    def statuses(self, orders: pd.DataFrame) -> dict[str, int]:
        """What REES46 has of these orders, by the ledger."""
        known = look_up(self.ledger, "test", orders["order_id"].tolist())
        known = known[known["known_status"] != NOTHING_ACCEPTED]
        return dict(zip(known["order_id"], known["known_status"], strict=True))


class Counted:
    """
    A function whose calls are counted, and some of which fail.

    :param calls: the calls that fail, counted from 1.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        calls: Collection[int] = (),
        failure: Callable[[], BaseException] = KeyboardInterrupt,
    ) -> None:
        self.function, self.calls, self.failure = function, calls, failure
        self.count = 0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        self.count += 1
        if self.count in self.calls:
            raise self.failure()
        return self.function(*arguments, **options)
