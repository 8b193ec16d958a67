"""The explanation of an order as facts: the case, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from rees46_sync.doctor.explain_ledger import LedgerFacts, RunRecord
from rees46_sync.window import Window

if TYPE_CHECKING:
    from rees46_sync.ledger.coverage import Span


class Case(StrEnum):
    """The reason why the order is, or is not, at REES46 as the warehouse has it."""

    SENT = "sent"
    SUPERSEDED = "superseded"
    IN_FLIGHT = "in flight"
    UNCERTAIN = "uncertain"
    FUTURE = "dated in the future"
    REJECTED = "rejected"
    REFUSED = "refused by REES46"
    STALE = "stale"
    REOPENED = "reopened"
    FAILED = "failed"
    WAITING = "waits for approval"
    LIMIT = "held by a limit"
    HELD = "held"
    NOT_READ = "not read"
    CORRECTED = "corrected"
    DUE = "due"
    LATE = "late"
    UNKNOWN = "unknown"
    NOT_ASKED = "warehouse not asked"


AS_IN_WAREHOUSE = (Case.SENT, Case.SUPERSEDED)


class Decision(StrEnum):
    """What a run made of the row that the warehouse has now."""

    SENT = "sent"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"
    REOPENED = "reopened"
    STALE = "stale"
    HELD = "held"
    LIMIT = "limit"
    FAILED = "failed"
    BEFORE = "before its window"
    AFTER = "after its window"
    NOT_FOUND = "not found"
    UNKNOWN = "unknown"


class Action(StrEnum):
    """What the next run does with the order. The first four are those of :mod:`rees46_sync.pipeline.diff`."""

    SEND = "send"
    UNCHANGED = "unchanged"
    STALE = "stale"
    REOPENED = "reopened"
    REJECTED = "rejected"
    REFUSED = "refused"
    NOT_READ = "not read"
    UNKNOWN = "unknown"


class Problem(StrEnum):
    """Why the warehouse could not be asked."""

    FAILED = "failed"
    TIMEOUT = "timeout"
    BUSY = "busy"


@dataclass(frozen=True)
class WarehouseRow:
    """
    A row of the order, as the shop's query returns it now.

    :param text: what the warehouse has instead of a time, if that is none.
    :param code: REES46's code of its status; None if the shop file does not map it.
    :param is_newest: whether it decides; the others are superseded by it.
    """

    status: str | None
    updated_at: datetime | None
    text: str | None
    code: int | None
    is_newest: bool


@dataclass(frozen=True)
class WarehouseFacts:
    """
    What the warehouse says of the order.

    :param rows: its rows, the newest first, at most :data:`~rees46_sync.doctor.explain_ledger.MAX_ROWS`.
    :param reasons: the checks that the newest row fails.
    :param checks: how many checks there are.
    :param problem: why it could not be asked, about all times at least; None if it could.
    :param message: the problem in the words of the database, which may name hosts and users.
    """

    rows: Sequence[WarehouseRow] = ()
    reasons: Sequence[str] = ()
    checks: int = 0
    problem: Problem | None = None
    message: str = ""

    @property
    def newest(self) -> WarehouseRow | None:
        """The row that decides; None if there is none. An ambiguous order has several: then one of them."""
        return next((row for row in self.rows if row.is_newest), None)


@dataclass(frozen=True)
class NextRun:
    """
    The next regular run.

    :param due_at: when it is scheduled.
    :param reasons: the checks that the row that it reads fails.
    :param code: REES46's code of the status that it reads; None if it reads no mapped one.
    :param command: what reads the order by hand and sends it; None if the next run reads it, or nothing is to be sent.
    """

    window: Window
    due_at: datetime
    action: Action
    reasons: Sequence[str] = ()
    code: int | None = None
    command: str | None = None


@dataclass(frozen=True)
class Explanation:
    """
    Why an order is, or is not, at REES46 as the warehouse has it.

    :param run: the run that decided it: the latest one whose window holds the row.
    :param gap: the span that no run has delivered and that holds the row.
    """

    shop: str
    file: str
    order_id: str
    now: datetime
    case: Case
    warehouse: WarehouseFacts
    ledger: LedgerFacts
    decisions: Sequence[tuple[RunRecord, Decision]]
    next_run: NextRun
    run: RunRecord | None = None
    gap: Span | None = None
    settle: timedelta = timedelta(0)
