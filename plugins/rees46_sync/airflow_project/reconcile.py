"""
The DAG ``order_status_reconcile``: once a week, does REES46 have every order as the warehouse says?

Wiring only.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.decorators.python import python_task  # as in sync.py
from airflow.sdk import DAG, CronTriggerTimetable

from rees46_sync.airflow_adapters.retry_policy import Rees46RetryPolicy
from rees46_sync.doctor.scheduled_reconcile import SPAN, reconcile
from rees46_sync.monitoring.check_freshness import list_shops

DOC = Path(__file__).with_name("order_status_reconcile.md").read_text("utf-8")


def build_dag(shops: Path) -> DAG:
    """Return the DAG that compares the warehouses of all shops of a folder with REES46."""
    with DAG(
        dag_id="order_status_reconcile",
        description="Compare every shop's warehouse with what REES46 has",
        doc_md=DOC.format(days=SPAN.days),
        schedule=CronTriggerTimetable("40 3 * * 0", timezone="UTC"),
        start_date=datetime(2000, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        tags=["rees46"],
        default_args={
            "owner": "rees46",
            "retries": 3,
            "retry_policy": Rees46RetryPolicy(),
            "execution_timeout": timedelta(hours=6),
        },
    ) as dag:
        folder = str(shops)
        task: Any = python_task  # as in freshness.py
        listed = task(list_shops, task_display_name="List shops")(folder)
        task(
            reconcile,
            task_display_name="Reconcile",
            map_index_template="{{ task.op_kwargs['shop']['name'] }}",
            max_active_tis_per_dag=1,  # shops often share a warehouse
        ).partial(shops=folder).expand(shop=listed)
    return dag
