"""
Freshness, as a user feels it: from the moment an order changes in the warehouse to the moment REES46 has accepted it.

A thousand orders change at once, and a run is started on a live Airflow: by hand, as the schedule starts it, or by the
asset of the shop's feed. The time until the schedule's next full hour is not counted. In between, the DAG of six empty
tasks shows what of this is Airflow's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from bench.data import Orders
from bench.live import TIMEOUT_S, Live
from bench.ours import DAG_ID, FEED, RunFailedError

START_TIMEOUT_S = 120


@dataclass
class Freshness:
    """
    What was measured, in seconds.

    :ivar by_hand, by_feed: of each order of each run, from its change to its acceptance.
    :ivar empty: of each run of the empty DAG, from its request to the end of its last task.
    """

    by_hand: list[float] = field(default_factory=list)
    by_feed: list[float] = field(default_factory=list)
    empty: list[float] = field(default_factory=list)


def measure(live: Live, orders: Orders, tries: int) -> Freshness:
    """
    Change all orders several times, and let a run send each change.

    :raises RunFailedError: a run failed, or did not send every order.
    """
    found = Freshness()
    for _ in range(tries):
        found.by_hand += _one(live, orders, is_by_feed=False)
        found.by_feed += _one(live, orders, is_by_feed=True)
        found.empty.append(_empty(live))
    return found


def percentile(seconds: Sequence[float], percent: int) -> float:
    """Return the time that so many percent do not exceed."""
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1]


def _one(live: Live, orders: Orders, *, is_by_feed: bool) -> list[float]:
    changed_at = orders.change_all("now()")
    airflow = live.airflow
    if is_by_feed:
        before = {run["dag_run_id"] for run in airflow.runs(DAG_ID)}
        airflow.announce_asset(FEED)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (new := [run["dag_run_id"] for run in airflow.runs(DAG_ID) if run["dag_run_id"] not in before]):
            if time.monotonic() > deadline:
                raise RunFailedError(f"The feed's asset started no run of {DAG_ID} within {START_TIMEOUT_S} s.")
            time.sleep(0.2)
        [run_id] = new
    else:
        run_id = airflow.trigger(DAG_ID)
    if (state := airflow.wait_for_run(DAG_ID, run_id, TIMEOUT_S)) != "success":
        raise RunFailedError(f"Freshness: {run_id} ended as {state}.")
    seconds = [(accepted_at - changed_at).total_seconds() for accepted_at in _accepted(live, changed_at)]
    if len(seconds) != orders.count:
        raise RunFailedError(f"Freshness: {run_id} sent {len(seconds)} of {orders.count} orders.")
    return seconds


def _accepted(live: Live, since: datetime) -> list[datetime]:
    """Return when each order was accepted that was accepted since a moment."""
    engine = sa.create_engine(live.ours.databases.uri(live.ledger))
    query = sa.text("SELECT accepted_at FROM rees46_accepted_statuses WHERE accepted_at > :since")
    with engine.connect() as connection:
        found = list(connection.scalars(query, {"since": since}))
    engine.dispose()
    return found


def _empty(live: Live) -> float:
    began = time.time()
    run_id = live.airflow.trigger("empty")
    if (state := live.airflow.wait_for_run("empty", run_id, TIMEOUT_S)) != "success":
        raise RunFailedError(f"The empty DAG: {run_id} ended as {state}.")
    ends = (task["end_date"] for task in live.airflow.task_instances("empty", run_id))
    return max(datetime.fromisoformat(end).timestamp() for end in ends) - began
