"""What the tests of the ledger share: runs, orders, the records of runs, and rows as they are stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pandas as pd
import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import RunRef, new_account
from rees46_sync.monitoring.alerts import AlertEvaluation, AlertName, AlertTransition, Message
from rees46_sync.rees46.dialects import DIALECTS
from rees46_sync.shop.channels import Channel

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKYO = timezone(timedelta(hours=9))
RUN = RunRef(shop="test", dag_id="dag", run_id="run-1", extraction_id="extraction-1")
LATER_RUN = RunRef(shop="test", dag_id="dag", run_id="run-2", extraction_id="extraction-2")
NO_LOOKBACK = timedelta(0)
MAX_ORDERS = max(dialect.max_orders for dialect in DIALECTS.values())
"""The orders of the largest batch that any dialect allows."""


def build_orders(*orders: tuple[str, int], at: datetime = NOON) -> pd.DataFrame:
    """Return orders of these ids and codes, all of the same time."""
    frame = pd.DataFrame(orders, columns=["order_id", "code"])
    return frame.assign(updated_at=pd.Series([at] * len(orders), dtype="datetime64[us, UTC]"))


def known_statuses(known: pd.DataFrame) -> dict[str, int]:
    """Return the status of each order of a lookup."""
    return dict(zip(known["order_id"], known["known_status"], strict=True))


def select_rows(ledger: Ledger, table: sa.Table) -> list[dict[str, Any]]:
    """Return all rows of a table, by primary key."""
    with ledger.engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()]


def run_record(run_id: str, **columns: Any) -> dict[str, Any]:
    """Return the columns of ``rees46_sync_runs``: a successful regular run over the hour before :data:`NOON`."""
    return {
        "shop": "test",
        "dag_id": "dag",
        "run_id": run_id,
        "window_start": NOON - timedelta(hours=1),
        "window_end": NOON,
        "window_widened": True,
        "outcome": "success",
        "started_at": NOON + timedelta(minutes=5),
        "finished_at": NOON + timedelta(minutes=6),
        **new_account(),
        **columns,
    }


def hour(number: float) -> datetime:
    """Return the time so many hours after :data:`NOON`."""
    return NOON + timedelta(hours=number)


def regular(start: float, end: float, *, read_at: float = 99, outcome: str = "success") -> dict[str, Any]:
    """Return a regular run over these hours: it continues the last successful run."""
    return _window(start, end, read_at=read_at, outcome=outcome) | {"window_widened": True}


def named(start: float, end: float, *, read_at: float = 99, outcome: str = "success") -> dict[str, Any]:
    """Return a run by hand over these hours: it has a window of its own."""
    return _window(start, end, read_at=read_at, outcome=outcome) | {"window_widened": False}


def _window(start: float, end: float, *, read_at: float, outcome: str) -> dict[str, Any]:
    return {"window_start": hour(start), "window_end": hour(end), "started_at": hour(read_at), "outcome": outcome}


OPS = Channel(email=("ops@example.com",))
FIRING = AlertEvaluation(
    AlertName.RUN_FAILED, firing=True, as_of=NOON, summary="it failed.", remedy="look at it.", metrics={}
)
QUIET = replace(FIRING, firing=False, summary="it succeeded.")


def build_message(transition: AlertTransition) -> Message:
    """Return the message about a transition of an alert."""
    state = "fired" if transition.evaluation.firing else "recovered"
    return {"subject": f"{state} {transition.fired_at:%H:%M}"}
