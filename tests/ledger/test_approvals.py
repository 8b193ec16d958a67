"""The approvals of a run: the latest record counts, and all of them stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

from rees46_sync.ledger.approvals import Approvals
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.tables import approvals
from tests.ledger.builders import RUN, select_rows


def test_the_latest_approval_record_of_a_run_counts_and_all_of_them_stay(ledger: Ledger) -> None:
    another = replace(RUN, run_id="run-2")
    Approvals(ledger).record(RUN, "asked", "2 orders would change")
    Approvals(ledger).record(RUN, "approved", "2 orders would change", "jane")
    Approvals(ledger).record(another, "asked", "9 orders would change")

    latest = Approvals(ledger).latest(RUN.dag_id, RUN.run_id)

    assert latest is not None
    assert (latest.extraction_id, latest.outcome, latest.decided_by) == ("extraction-1", "approved", "jane")
    assert latest.recorded_at.tzinfo is UTC
    assert str(latest).startswith("2 orders would change: approved by jane, 20")
    assert Approvals(ledger).latest(RUN.dag_id, "run-3") is None
    assert Approvals(ledger).latest("another dag", RUN.run_id) is None
    assert [row["outcome"] for row in select_rows(ledger, approvals)] == ["asked", "approved", "asked"]
