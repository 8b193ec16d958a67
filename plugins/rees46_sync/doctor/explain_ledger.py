"""What the ledger knows of one order, and of the runs that may have read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from rees46_sync.formatting import printable
from rees46_sync.shop.shop import Limits

if TYPE_CHECKING:
    from rees46_sync.ledger.coverage import Coverage, Span
    from rees46_sync.ledger.database import Ledger
    from rees46_sync.shop.shop import Shop

LATEST_RUNS, COVERING_RUNS = 5, 3
"""How many runs are shown: the latest ones, and the latest of those whose window holds the order's row."""

MAX_ROWS = 20
"""How many rows of the order are shown, of each kind."""

_COLUMNS = (
    "id",
    "dag_id",
    "run_id",
    "window_start",
    "window_end",
    "outcome",
    "held",
    "started_at",
    "finished_at",
    "cause",
)
_SINCE_VERSION_6 = ("remedy",)

# A run's record has the words of what stopped it, and no code: these are the words of a limit. An earlier version
# recorded nothing but the task.
_OF_A_LIMIT = re.compile(
    rf"\(limit ({'|'.join(Limits.model_fields)}): |\Aapprove_changes stopped the run before anything was sent\Z"
)


@dataclass(frozen=True)
class Accepted:
    """
    A status that REES46 has accepted.

    :param since: when REES46 accepted it first, after another status or none.
    """

    code: int
    updated_at: datetime
    since: datetime
    run_id: str


@dataclass(frozen=True)
class Quarantined:
    """A row of the order in the quarantine; ``reason`` holds the codes of all checks that it failed."""

    status: str | None
    updated_at: str | None
    reason: str
    rejected_at: datetime
    run_id: str


@dataclass(frozen=True)
class Refused:
    """A refusal of a batch with the order: how many orders it had, and REES46's words."""

    code: int
    batch_size: int
    reason: str
    refused_at: datetime


@dataclass(frozen=True)
class RunRecord:
    """
    The record of a run.

    :param has_accepted: whether REES46 has accepted the order in it.
    :param cause, remedy: of a failed run: what did not finish, and what to do; empty if the record does not say.
    """

    dag_id: str
    run_id: str
    window: Span | None
    succeeded: bool
    held: int
    started_at: datetime
    finished_at: datetime
    has_accepted: bool
    cause: str = ""
    remedy: str = ""

    @property
    def stopped_by_limit(self) -> bool:
        """Whether it sent nothing because a limit of the shop file was exceeded."""
        return not self.succeeded and bool(_OF_A_LIMIT.search(self.cause))


@dataclass(frozen=True)
class Waiting:
    """A run that has read the order's row, and waits for a person's approval; ``text`` names the exceeded limits."""

    run_id: str
    text: str
    asked_at: datetime


@dataclass(frozen=True)
class LedgerFacts:
    """
    What the ledger knows of an order, each list the newest first.

    :param uncertain: whether REES46 may have another status than the latest accepted one.
    :param in_flight: whether it is in a request that has no result yet.
    :param runs: the latest runs, and those whose window holds the order's row.
    :param waiting: the run that waits for approval; None if none does.
    :param has_runs: whether any run of the shop is recorded.
    """

    accepted: Accepted | None
    uncertain: bool
    in_flight: bool
    quarantined: Sequence[Quarantined]
    refused: Sequence[Refused]
    runs: Sequence[RunRecord]
    has_runs: bool
    coverage: Coverage
    waiting: Waiting | None = None


def read_facts(ledger: Ledger, shop: Shop, order_id: str, at: datetime | None) -> LedgerFacts:
    """
    Return what the ledger knows of an order.

    :param at: the time of its row in the warehouse; None if there is none.
    :raises LedgerError: the ledger does not answer.
    """
    from rees46_sync.ledger.coverage import coverage
    from rees46_sync.monitoring.page.queries import ShopQueries

    history = ShopQueries(ledger, shop.shop, shop.settle).order(order_id)
    versions = history.accepted
    accepted = None
    if versions:
        latest, since = versions[0], versions[0].accepted_at
        for version in versions:
            if version.status != latest.status:
                break
            since = version.accepted_at
        accepted = Accepted(latest.status, latest.source_updated_at, since, latest.run_id)
    runs = _runs(ledger, shop.shop, at, {(version.dag_id, version.run_id) for version in versions})
    return LedgerFacts(
        accepted=accepted,
        uncertain=history.uncertain,
        in_flight=history.in_flight,
        quarantined=[
            Quarantined(row.status, row.updated_at, row.reason, row.rejected_at, row.run_id)
            for row in history.rejected[:MAX_ROWS]
        ],
        refused=_refused(ledger, shop.shop, order_id),
        runs=runs,
        has_runs=bool(runs),
        coverage=coverage(ledger, shop.shop),
        waiting=_waiting(ledger, shop.shop, at) if at else None,
    )


def _refused(ledger: Ledger, shop: str, order_id: str) -> list[Refused]:
    import sqlalchemy as sa

    from rees46_sync.ledger.tables import refused_orders

    table = refused_orders.c
    query = (
        sa.select(table.status, table.batch_size, table.reason, table.refused_at)
        .where(table.shop == shop, table.order_id == (printable(order_id, 255) if "\0" in order_id else order_id))
        .order_by(table.id.desc())
        .limit(MAX_ROWS)
    )
    with ledger.transaction() as connection:
        return [Refused(*row) for row in connection.execute(query)]


def _waiting(ledger: Ledger, shop: str, at: datetime) -> Waiting | None:
    """Return the run that has read this time, and whose request for approval is not decided."""
    import sqlalchemy as sa

    from rees46_sync.ledger.tables import approvals, extractions

    latest = sa.select(sa.func.max(approvals.c.id)).where(approvals.c.shop == shop).scalar_subquery()
    query = (
        sa.select(approvals.c.run_id, approvals.c.exceeded_text, approvals.c.recorded_at)
        .join(extractions, extractions.c.extraction_id == approvals.c.extraction_id)
        .where(approvals.c.id == latest, approvals.c.outcome == "asked", extractions.c.is_open)
        .where(extractions.c.window_start <= at, at < extractions.c.window_end)
    )
    with ledger.transaction() as connection:
        row = connection.execute(query).one_or_none()
    return Waiting(*row) if row else None


def _runs(ledger: Ledger, shop: str, at: datetime | None, accepted: set[tuple[str, str]]) -> list[RunRecord]:
    import sqlalchemy as sa

    from rees46_sync.ledger.tables import sync_runs

    names = (*_COLUMNS, *_SINCE_VERSION_6) if ledger.version >= 6 else _COLUMNS
    columns = [sync_runs.c[name] for name in names]
    latest = sa.select(*columns).where(sync_runs.c.shop == shop).order_by(sync_runs.c.id.desc())
    queries = [latest.limit(LATEST_RUNS)]
    if at:
        holds = (sync_runs.c.window_start <= at) & (at < sync_runs.c.window_end)
        queries.append(latest.where(holds).limit(COVERING_RUNS))
    with ledger.transaction() as connection:
        rows = {row.id: row for query in queries for row in connection.execute(query)}
    return [
        RunRecord(
            dag_id=row.dag_id,
            run_id=row.run_id,
            window=(row.window_start, row.window_end) if row.window_start and row.window_end else None,
            succeeded=row.outcome == "success",
            held=row.held,
            started_at=row.started_at,
            finished_at=row.finished_at,
            has_accepted=(row.dag_id, row.run_id) in accepted,
            cause=row.cause or "",
            remedy=getattr(row, "remedy", None) or "",
        )
        for _, row in sorted(rows.items(), reverse=True)
    ]
