"""Requests for a person's approval, and the decisions about them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from rees46_sync.formatting import timestamp
from rees46_sync.ledger.database import Ledger, retry_transaction
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.tables import approvals


@dataclass(frozen=True)
class Approval:
    """
    A request for approval, or the decision about it.

    :param extraction_id: the extraction that it is about.
    :param outcome: asked, approved, rejected, or expired if there was no decision in time.
    :param exceeded_text: which limits are exceeded, with the numbers.
    :param decided_by: who approved or rejected; None otherwise.
    """

    extraction_id: str
    outcome: str
    exceeded_text: str
    decided_by: str | None
    recorded_at: datetime

    def __str__(self) -> str:
        decision = {"asked": "waiting for a decision", "expired": "no decision in time"}.get(
            self.outcome, f"{self.outcome} by {self.decided_by}"
        )
        return f"{self.exceeded_text}: {decision}, {timestamp(self.recorded_at)} UTC"


class Approvals:
    """The approvals in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @retry_transaction
    def record(self, run: RunRef, outcome: str, exceeded_text: str, decided_by: str | None = None) -> Approval:
        """Record that approval was requested, or the decision; return the record."""
        approval = Approval(run.extraction_id, outcome, exceeded_text, decided_by, datetime.now(UTC))
        with self.ledger.transaction() as connection:
            connection.execute(
                sa.insert(approvals).values(shop=run.shop, dag_id=run.dag_id, run_id=run.run_id, **asdict(approval))
            )
        return approval

    def latest(self, dag_id: str, run_id: str) -> Approval | None:
        """Return an Airflow run's latest request for approval, or the decision about it; None if there is none."""
        c = approvals.c
        query = (
            sa.select(c.extraction_id, c.outcome, c.exceeded_text, c.decided_by, c.recorded_at)
            .where(c.dag_id == dag_id, c.run_id == run_id)
            .order_by(c.id.desc())
            .limit(1)
        )
        with self.ledger.transaction() as connection:
            row = connection.execute(query).one_or_none()
        return Approval(*row) if row else None
