"""Rows of the ledger for tests: orders, and records of runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import Runs, new_account

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def orders_of(*orders: tuple[str, int], at: datetime = NOON) -> pd.DataFrame:
    """Return a batch of orders: id and code of the status, all updated at one time."""
    frame = pd.DataFrame(orders, columns=["order_id", "code"])
    return frame.assign(updated_at=pd.Series([at] * len(orders), dtype="datetime64[us, UTC]"))


def save_run(ledger: Ledger, run_id: str, **columns: Any) -> None:
    """Store the record of a run: by default a successful regular run of the shop "test" at noon, without rows."""
    record = {
        "shop": "test",
        "dag_id": "order_status_sync_test",
        "run_id": run_id,
        "window_start": NOON - DAY,
        "window_end": NOON,
        "window_widened": True,
        "outcome": "success",
        "started_at": NOON,
        "finished_at": NOON,
    }
    Runs(ledger).save(**(new_account() | record | columns))


def save_success(ledger: Ledger, run_id: str, ended_at: datetime, **columns: Any) -> None:
    """Store the record of a run that read all changes up to the moment when it ended."""
    times = dict.fromkeys(("window_end", "started_at", "finished_at"), ended_at)
    save_run(ledger, run_id, **(times | columns))
