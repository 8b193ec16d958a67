"""
An Airflow listener that creates a shop's pool when its first run starts.

A pool of one slot keeps two runs of a shop from loading at the same time. Airflow never schedules a task whose pool
does not exist, and says so only in the scheduler's log, so without the listener the runs of a new shop would wait
until a person creates the pool. An existing pool is not changed.
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


def pool_name(shop: str) -> str:
    """Return the name of a shop's pool."""
    return f"rees46_{shop}"


def shop_name(dag_id: str) -> str | None:
    """Return the name of a DAG's shop; None for a DAG that is not one of this project."""
    match = _DAG_ID.fullmatch(dag_id)
    return match[1] if match else None


@hookimpl
def on_dag_run_running(dag_run: DagRun) -> None:
    """Create the pool of the run's shop; Airflow calls this in the scheduler, before the run's tasks."""
    if shop := shop_name(dag_run.dag_id):
        _create(pool_name(shop))


def pool_slots(name: str) -> int | None:
    """Read the slots of a pool from Airflow's metadata database; None if the pool does not exist."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session

    with create_session(scoped=False) as session:
        pool = Pool.get_pool(name, session=session)
        return pool.slots if pool else None


def _create(name: str) -> None:
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session

    # Not in the scheduler's session, which must not be committed in the middle of its work.
    with create_session(scoped=False) as session:
        if Pool.get_pool(name, session=session) is None:
            Pool.create_or_update_pool(
                name,
                slots=1,
                description="One load at a time for this shop, so that no older order status replaces a newer one.",
                include_deferred=False,
                session=session,
            )
            log.info("Created pool %s with one slot.", name)
