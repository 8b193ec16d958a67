"""What the page and its JSON say of a shop at a glance: how it is, how old its oldest change is, and its last run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from rees46_sync.exceptions import SyncError
from rees46_sync.ledger.coverage import Coverage
from rees46_sync.ledger.runs import ACCOUNT_PARTS
from rees46_sync.monitoring.alerts import AlertName, Alerts
from rees46_sync.monitoring.freshness import SyncProgress, freshness_of, sync_progress
from rees46_sync.monitoring.page.queries import ShopQueries, open_queries
from rees46_sync.monitoring.page.rendering import reason_of
from rees46_sync.shop.shop import Shop

URGENT = {AlertName.RUN_FAILED, AlertName.HISTORY_RUN_FAILED, AlertName.LIMIT_REACHED, AlertName.FRESHNESS}
"""The alerts that say that changes do not reach REES46; the others say that something is unusual."""

COUNTS = ("read", *ACCOUNT_PARTS, "requests")


class State(StrEnum):
    """How a shop is; the worst is the first."""

    RED = "red"
    AMBER = "amber"
    GREEN = "green"


@dataclass(frozen=True)
class ShopFacts:
    """
    A shop at a glance.

    :param progress: None if no run has ended yet, or the ledger does not answer.
    :param last_run: the row of ``rees46_sync_runs`` of the latest regular run; None as above.
    :param alerts: the rows of ``rees46_alerts`` that fire.
    :param problem: why the ledger does not answer; empty if it does.
    """

    shop: Shop
    state: State
    progress: SyncProgress | None = None
    last_run: sa.Row[Any] | None = None
    alerts: Sequence[sa.Row[Any]] = ()
    problem: str = ""


def shops_facts(shops: Iterable[Shop], now: datetime, language: str) -> list[ShopFacts]:
    """Return the facts of shops, the worst first; a ledger that does not answer is such a fact."""
    facts = []
    for shop in shops:
        try:
            with open_queries(shop) as queries:
                facts.append(shop_facts(shop, queries, now))
        except SyncError as error:
            facts.append(ShopFacts(shop, State.RED, problem=reason_of(error, shop, language)))
    return sorted(facts, key=lambda one: (list(State).index(one.state), one.shop.shop))


def shop_facts(shop: Shop, queries: ShopQueries, now: datetime) -> ShopFacts:
    """
    Return the facts of a shop.

    :raises LedgerError: the ledger does not answer.
    """
    if not queries.ledger.has_runs():
        return ShopFacts(shop, State.RED)
    progress = sync_progress(queries.ledger, shop.shop, shop.lookback)
    last_run = queries.last_run(f"order_status_sync_{shop.shop}")
    alerts = Alerts(queries.ledger, shop.shop).firing()
    state = State.GREEN
    if alerts or progress.coverage.gaps or progress.is_data_late or (last_run and last_run.held):
        state = State.AMBER
    failed = last_run is not None and last_run.outcome == "failed"
    if failed or freshness_of(progress, shop, now).breached or any(row.alert in URGENT for row in alerts):
        state = State.RED
    return ShopFacts(shop, state, progress, last_run, alerts)


def flat(facts: ShopFacts, now: datetime) -> dict[str, Any]:
    """Return the facts as one flat JSON object: times in ISO 8601, ages in seconds, null for what is not known."""
    progress, run = facts.progress, facts.last_run
    coverage = progress.coverage if progress else Coverage()
    succeeded, oldest = (progress.last_success, progress.oldest_due) if progress else (None, None)
    return {
        "shop": facts.shop.shop,
        "state": facts.state,
        "problem": facts.problem or None,
        "last_success": _iso(succeeded),
        "age_seconds": _age(succeeded, now),
        "oldest_change": _iso(oldest),
        "change_age_seconds": _age(oldest, now),
        "freshness_seconds": round(facts.shop.freshness.total_seconds()),
        "data_late": progress.is_data_late if progress else None,
        "failed_since": progress.failed_since if progress else None,
        "covered_from": _iso(coverage.start),
        "covered_until": _iso(coverage.read_until),
        "gaps": len(coverage.gaps) if progress else None,
        "alerts": len(facts.alerts),
        "alert_names": ", ".join(row.alert for row in facts.alerts),
        "last_run": run.id if run else None,
        "last_run_outcome": run.outcome if run else None,
        "last_run_finished_at": _iso(run.finished_at if run else None),
        "last_run_cause": run.cause if run else None,
        **{f"last_run_{name}": getattr(run, name) if run else None for name in COUNTS},
    }


def flat_run(run: sa.Row[Any]) -> dict[str, Any]:
    """Return a row of ``rees46_sync_runs`` as one flat JSON object."""
    times = ("window_start", "window_end", "started_at", "finished_at", "data_until")
    return {
        "run": run.id,
        "shop": run.shop,
        "dag_id": run.dag_id,
        "run_id": run.run_id,
        "outcome": run.outcome,
        "cause": run.cause,
        "remedy": run.remedy,
        **{name: _iso(getattr(run, name)) for name in times},
        "seconds": round((run.finished_at - run.started_at).total_seconds()),
        "regular": run.window_widened,
        "closes": closes(run),
        **{name: getattr(run, name) for name in COUNTS},
    }


def flat_request(row: sa.Row[Any]) -> dict[str, Any]:
    """Return a row of ``rees46_deliveries`` as one flat JSON object."""
    names = ("partition", "orders", "requests", "outcome", "http_status", "milliseconds")
    return {"answered_at": _iso(row.answered_at), **{name: getattr(row, name) for name in names}}


def closes(run: sa.Row[Any]) -> bool:
    """Return whether the parts of a run's sum are all that it read."""
    return bool(sum(getattr(run, part) for part in ACCOUNT_PARTS) == run.read)


def examples_of(run: sa.Row[Any]) -> Mapping[str, Sequence[str]]:
    """Return a few order ids of each part of a run's sum; none if an earlier version recorded it."""
    found = json.loads(run.examples) if run.examples else {}
    return {part: [str(one) for one in found.get(part) or ()] for part in ACCOUNT_PARTS}


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _age(moment: datetime | None, now: datetime) -> int | None:
    return round(max(now - moment, timedelta(0)).total_seconds()) if moment else None
