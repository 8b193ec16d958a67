"""
Why is an order at REES46 as the warehouse has it, or why not? And what does the next run do with it?

The warehouse is asked for the rows of this order alone: over all times, and over the window of the next regular run.
They go through the same code as in a run: the newest version, the checks, the mapping, the comparison with the ledger.
What the last runs did is derived from their records. Nothing is written, and nothing is sent.

An explanation holds facts; ``explain_sentences.py`` has the sentences.
"""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rees46_sync.doctor.explain_facts import (
    Action,
    Case,
    Decision,
    Explanation,
    NextRun,
    WarehouseFacts,
    WarehouseRow,
)
from rees46_sync.doctor.explain_ledger import LedgerFacts, RunRecord, read_facts
from rees46_sync.doctor.explain_warehouse import Judged, ask, judge, warehouse_facts
from rees46_sync.formatting import printable
from rees46_sync.window import Window

if TYPE_CHECKING:
    from rees46_sync.ledger.coverage import Span
    from rees46_sync.ledger.database import Ledger
    from rees46_sync.shop.shop import Shop

_OLDEST = datetime(1970, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=365)


def explain(shop: Shop, order_id: str, now: datetime) -> Explanation:
    """
    Explain an order. If the warehouse cannot be asked, say what the ledger knows.

    :param order_id: exactly as a run reads it.
    :raises LedgerError: the ledger does not answer.
    :raises ConnectionFieldsError: there is no connection to the ledger.
    """
    from rees46_sync.ledger.database import interactive_ledger

    with interactive_ledger(shop.ledger_conn_id) as ledger:
        window, due_at = _next_window(shop, ledger, now)
        everything = Window(_OLDEST, now + _AHEAD)
        found, soon, problem, message = ask(shop, order_id, (everything, window))
        rows = soon if found is None and soon is not None and soon.num_rows else found
        judged = judge(shop, ledger, rows, everything) if rows is not None else Judged(Action.UNKNOWN)
        upcoming = judge(shop, ledger, soon, window) if soon is not None else Judged(Action.UNKNOWN)
        warehouse = warehouse_facts(shop, rows, judged, problem, message)
        newest = warehouse.newest
        facts = read_facts(ledger, shop, order_id, newest.updated_at if newest else None)
    decisions = [(run, _decide(run, newest, facts, judged)) for run in facts.runs]
    passed_by = (Decision.BEFORE, Decision.AFTER, Decision.UNKNOWN)
    run = next((run for run, decision in decisions if decision not in passed_by), None) if newest else None
    gap = _gap(facts, newest)
    case = _case(warehouse, facts, judged, upcoming, dict(decisions).get(run) if run else None, gap, now)
    command = _command(shop, order_id, newest) if _needs_hand(case, upcoming) else None
    next_run = NextRun(window, due_at, upcoming.action, upcoming.reasons, upcoming.code, command)
    return Explanation(
        shop=shop.shop,
        file=shop.file.name,
        order_id=order_id,
        now=now,
        case=case,
        warehouse=warehouse,
        ledger=facts,
        decisions=decisions,
        next_run=next_run,
        run=run,
        gap=gap,
        settle=shop.settle,
    )


def _next_window(shop: Shop, ledger: Ledger, now: datetime) -> tuple[Window, datetime]:
    """Return the window of the next regular run, and when it is due."""
    from croniter import croniter

    from rees46_sync.pipeline.run import window_of

    due_at: datetime = croniter(shop.schedule, now).get_next(datetime)
    interval = (croniter(shop.schedule, due_at).get_prev(datetime), due_at)
    run = (f"order_status_sync_{shop.shop}", "")
    return window_of(shop, ledger, run, interval=interval, requested_at=due_at), due_at


def _decide(run: RunRecord, newest: WarehouseRow | None, facts: LedgerFacts, judged: Judged) -> Decision:
    """Derive from a run's record what it made of the row that the warehouse has now."""
    from rees46_sync.ledger.quarantine import QUARANTINE_CHARACTERS, REOPENED

    if run.has_accepted:
        return Decision.SENT
    if newest is None or run.window is None:
        return Decision.UNKNOWN
    at, (start, end) = newest.updated_at, run.window
    if at is not None and at >= min(end, run.started_at):
        return Decision.AFTER
    if at is not None and at < start:
        return Decision.BEFORE
    accepted = facts.accepted
    if accepted and accepted.code == newest.code and accepted.since <= run.started_at:
        return Decision.UNCHANGED
    stored = [row for row in facts.quarantined if row.status == printable(newest.status, QUARANTINE_CHARACTERS)]
    is_rejected = judged.action in (Action.REJECTED, Action.REOPENED, Action.REFUSED)
    # What is corrected since may have been tried again: then the run's own failure counts.
    stored = [
        row
        for row in stored
        if row.run_id == run.run_id or (row.rejected_at <= run.finished_at and (is_rejected or run.succeeded))
    ]
    if stored:
        return Decision.REOPENED if stored[0].reason == REOPENED else Decision.REJECTED
    if not run.succeeded:
        return Decision.LIMIT if run.stopped_by_limit else Decision.FAILED
    if at is not None and accepted and accepted.updated_at > at and accepted.since <= run.started_at:
        return Decision.STALE
    return Decision.HELD if run.held else Decision.NOT_FOUND


def _gap(facts: LedgerFacts, newest: WarehouseRow | None) -> Span | None:
    at = newest.updated_at if newest else None
    return next((gap for gap in facts.coverage.gaps if at and gap[0] <= at < gap[1]), None)


def _case(
    warehouse: WarehouseFacts,
    facts: LedgerFacts,
    judged: Judged,
    upcoming: Judged,
    decision: Decision | None,
    gap: Span | None,
    now: datetime,
) -> Case:
    """Return the first case that applies."""
    newest, accepted = warehouse.newest, facts.accepted
    if facts.in_flight:
        return Case.IN_FLIGHT
    if newest is None:
        return Case.NOT_ASKED if warehouse.problem else Case.UNKNOWN
    at, covered = newest.updated_at, facts.coverage
    if not judged.reasons and accepted and accepted.code == judged.code and not facts.uncertain:
        is_alone = all(row.code == judged.code for row in warehouse.rows)
        return Case.SENT if is_alone else Case.SUPERSEDED
    is_older = bool(at and accepted and accepted.updated_at > at)
    is_read = upcoming.action is not Action.NOT_READ
    is_covered = bool(at and covered.start and covered.read_until and covered.start <= at < covered.read_until)
    cases = {
        Case.FUTURE: at is not None and at > now,
        Case.REJECTED: bool(judged.reasons),
        Case.UNCERTAIN: facts.uncertain,
        Case.REFUSED: judged.action is Action.REFUSED,
        Case.STALE: upcoming.action is Action.STALE or (is_older and not is_read),
        Case.REOPENED: judged.action is Action.REOPENED,
        Case.WAITING: facts.waiting is not None,
        Case.LIMIT: decision is Decision.LIMIT,
        Case.FAILED: decision is Decision.FAILED,
        Case.HELD: decision is Decision.HELD,
        Case.CORRECTED: decision in (Decision.REJECTED, Decision.REOPENED),
        Case.LATE: decision is not None or (is_covered and gap is None),
        Case.NOT_READ: gap is not None or not is_read,
    }
    return next((case for case, applies in cases.items() if applies), Case.DUE)


def _needs_hand(case: Case, upcoming: Judged) -> bool:
    """Return whether a run by hand would send what the next one does not read."""
    sendable = (Case.UNCERTAIN, Case.FAILED, Case.LIMIT, Case.HELD, Case.CORRECTED, Case.NOT_READ, Case.LATE)
    return upcoming.action is Action.NOT_READ and case in sendable


def _command(shop: Shop, order_id: str, newest: WarehouseRow | None) -> str | None:
    """Return the command of Airflow that reads one order from its time on, and sends it."""
    if newest is None or newest.updated_at is None:
        return None
    start = newest.updated_at.astimezone(UTC).replace(microsecond=0).isoformat()
    conf = json.dumps({"order_ids": [order_id], "window_start": start}, ensure_ascii=False)
    return f"airflow dags trigger order_status_sync_{shop.shop} --conf {shlex.quote(conf)}"
