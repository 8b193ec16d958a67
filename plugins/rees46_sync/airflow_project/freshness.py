"""
The DAG ``order_status_freshness``: every quarter of an hour, do each shop's changes reach REES46 in time?

Wiring only. It reads the ledgers and not Airflow's own records, so it notices a paused DAG as well as one that fails.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.decorators.python import python_task  # as in sync.py
from airflow.sdk import DAG, CronTriggerTimetable

from rees46_sync.monitoring.check_freshness import check_freshness, list_shops

DOC = Path(__file__).with_name("order_status_freshness.md").read_text("utf-8")


def build_dag(shops: Path) -> DAG:
    """Return the DAG that checks the freshness of all shops of a folder."""
    with DAG(
        dag_id="order_status_freshness",
        description="Check whether every shop's changes reach REES46 in time",
        doc_md=DOC,
        schedule=CronTriggerTimetable("*/15 * * * *", timezone="UTC"),
        start_date=datetime(2000, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        tags=["rees46"],
        # The next run is the next attempt.
        default_args={"owner": "rees46", "retries": 0, "execution_timeout": timedelta(minutes=10)},
    ) as dag:
        # Listed at each run, so that adding or removing a shop does not change this DAG.
        folder = str(shops)
        task: Any = python_task  # Airflow's type of it lacks what it returns for a function
        listed = task(list_shops, task_display_name="List shops")(folder)
        task(
            check_freshness,
            task_display_name="Check freshness",
            map_index_template="{{ task.op_kwargs['shop']['name'] }}",
        ).partial(shops=folder).expand(shop=listed)
    return dag
