"""
An Airflow listener that makes a shop's pool when its first run starts.

A pool of one slot keeps two runs of a shop from loading at the same time. Airflow never schedules a task whose pool
does not exist, and says so only in the scheduler's log; so a new shop file would wait for ever for somebody to create
it. A pool that exists is left as it is.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

log = logging.getLogger(__name__)

_DAG_ID = re.compile(r"order_status_(?:sync|history)_([a-z0-9_]+)")


def pool_of(shop: str) -> str:
    """Return the name of a shop's pool."""
    return f"rees46_{shop}"


def shop_of(dag_id: str) -> str | None:
    """Return the name of the shop that a DAG is about; None for a DAG that is not ours."""
    match = _DAG_ID.fullmatch(dag_id)
    return match[1] if match else None


@hookimpl
def on_dag_run_running(dag_run: DagRun) -> None:
    """Create the pool of the run's shop; Airflow calls this in the scheduler, before the run's tasks."""
    if shop := shop_of(dag_run.dag_id):
        _create(pool_of(shop))


def slots_of(name: str) -> int | None:
    """Ask Airflow's metadata database for the slots of a pool; None where there is no such pool."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        pool = Pool.get_pool(name, session=session)
        return pool.slots if pool else None


def _create(name: str) -> None:
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session

    # A session of its own: the scheduler's must not be committed in the middle of its work.
    with create_session(scoped=False) as session:
        if Pool.get_pool(name, session=session) is None:
            Pool.create_or_update_pool(
                name,
                slots=1,
                description="One load at a time for this shop, so that no older order status overtakes a newer one.",
                include_deferred=False,
                session=session,
            )
            log.info("Created pool %s with one slot.", name)
