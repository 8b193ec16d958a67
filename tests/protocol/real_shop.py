"""
What the real runs of these tests share: a small warehouse, a ledger, REES46, and a clock that only the test moves.

The ledger and the client of REES46 are the project's own. Wherever something of them can be seen from outside (before
and after each transaction, request and read of the warehouse) an actor lets the test decide who goes on.
"""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from types import FrameType
from typing import Any

import msgspec
import pandas as pd
import sqlalchemy as sa

from rees46_sync.exceptions import LedgerError, Rees46RejectedError, Rees46UnavailableError
from rees46_sync.ledger.database import Ledger
from rees46_sync.rees46.connection import Settings
from rees46_sync.rees46.hook import Rees46Hook
from tests.protocol.model import Row

SHOP = "test"
SETTLE = timedelta(hours=1)
BEGINNING = datetime(2026, 3, 1, tzinfo=UTC)
"""When the clock starts, and the time of version 0 of each order."""

SETTINGS = Settings.model_validate(
    {"conn_id": "rees46", "url": "http://rees46.test/", "shop_id": "key", "shop_secret": "secret"}
)
TRIES = ("accepted", "accepted late", "lost, processed", "lost, late", "lost, never", "refused")
"""What may become of a request: its answer, and when REES46 processes it."""

ACCEPTED, REFUSED = TRIES[0], TRIES[-1]
BREAKS_BEFORE, BREAKS_AFTER = "the connection breaks before", "the connection breaks after"
"""What may become of a transaction."""


EVER = -24 * 60
"""The start of a window that holds everything, as a version."""


def time_of(version: int) -> datetime:
    """Return the ``updated_at`` of a version."""
    return BEGINNING + timedelta(minutes=version)


class Warehouse:
    """
    The shop's table.

    :param is_state_table: whether it holds the current row of each order only; otherwise it holds all of them.
    """

    def __init__(self, *, is_state_table: bool) -> None:
        self.is_state_table = is_state_table
        self.rows: dict[str, list[Row]] = {}

    def change(self, order_id: str, row: Row) -> None:
        """Write a row."""
        if self.is_state_table:
            self.rows[order_id] = [row]
        else:
            self.rows.setdefault(order_id, []).append(row)

    def read(self, window_start: int, window_end: int) -> dict[str, Row]:
        """Return each order in its newest version within a window; of two alike the later row."""
        found = {}
        for order_id, rows in self.rows.items():
            if seen := [row for row in reversed(rows) if window_start <= row.version < window_end]:
                found[order_id] = max(seen, key=lambda row: row.version)
        return found


@dataclass
class Request:
    """A request that REES46 has not processed yet; it does so before the clock passes ``due``."""

    statuses: Mapping[str, int]
    due: datetime


@dataclass
class Receiver:
    """REES46: the status of each order, and the requests that it processes later, in any order."""

    statuses: dict[str, int] = field(default_factory=dict)
    queue: list[Request] = field(default_factory=list)

    def process(self, request: Request) -> None:
        """Let a request take effect."""
        self.queue.remove(request)
        self.statuses |= request.statuses

    def process_due(self, now: datetime, dice: Random) -> None:
        """Let everything take effect that cannot wait any longer."""
        due = [request for request in self.queue if request.due <= now]
        dice.shuffle(due)
        for request in due:
            self.process(request)


class SharedLedger(Ledger):
    """The real ledger; ``switch`` is called before and after each transaction with what it is for."""

    def __init__(self, engine: sa.Engine) -> None:
        super().__init__(engine)
        self.switch: Callable[[str], str | None] = lambda place: None
        self.seen: Callable[[str, sa.Connection], None] = lambda place, connection: None

    @contextmanager
    def transaction(self, timeout_s: int | None = None) -> Iterator[sa.Connection]:
        """Open a transaction, during which nobody else goes on."""
        place = _place()
        if self.switch(place) == BREAKS_BEFORE:
            raise LedgerError("the connection is lost", "run again")
        with super().transaction(timeout_s) as connection:
            yield connection
            self.seen(place, connection)
        if self.switch(f"after {place}") == BREAKS_AFTER:
            raise LedgerError("the connection is lost", "run again")


def _place() -> str:
    """Name the method that opens a transaction, and those of the project's code that called it."""
    frame: FrameType | None = sys._getframe(3)
    names: list[str] = []
    while frame and "rees46_sync" in frame.f_code.co_filename:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
        while frame and "tenacity" in frame.f_code.co_filename:
            frame = frame.f_back
    # A transaction that is repeated stands in a function of its own, record, inside the method that is named.
    return "/".join(reversed([name for name in names if name not in ("wrapped_f", "record")]))


class Sender(Rees46Hook):
    """The real client of REES46, with its retries; only the network is not there."""

    def __init__(self, receive: Callable[[Mapping[str, int]], str]) -> None:
        super().__init__()
        self._receive = receive

    @property
    def settings(self) -> Settings:
        """Return the fields of its connection."""
        return SETTINGS

    def _post(self, body: bytes) -> int:
        orders = msgspec.json.decode(body)["orders"]
        answer = self._receive({order["id"]: order["status"] for order in orders})
        if answer == REFUSED:
            raise Rees46RejectedError("error inside 200", "look at it")
        if answer.startswith("lost"):
            raise Rees46UnavailableError("no answer", "send it again", transient=True)
        return 200


def frame_of(rows: Mapping[str, Row], codes: Sequence[int]) -> pd.DataFrame:
    """Return rows as build_batches gets them, with REES46's code of each status."""
    frame = pd.DataFrame({"order_id": pd.Series(list(rows), dtype="str")})
    frame = frame.assign(code=pd.Series([codes[row.status] for row in rows.values()], dtype="int64"))
    times = [time_of(row.version) for row in rows.values()]
    return frame.assign(updated_at=pd.Series(times, dtype="datetime64[us, UTC]"))


def sqlite_ledger(database: sqlite3.Connection) -> SharedLedger:
    """Return the ledger in a SQLite database."""
    engine = sa.create_engine("sqlite://", creator=lambda: database, poolclass=sa.StaticPool, hide_parameters=True)
    return SharedLedger(engine)


def version_at(moment: Any) -> int:
    """Return the version of an ``updated_at``."""
    return int((moment - BEGINNING) / timedelta(minutes=1))
