"""The DAG that the hourly run is compared with: the same task ids, empty tasks, one import of Great Expectations."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, CronDataIntervalTimetable, task


@task
def extract_orders() -> None: ...


@task
def validate_statuses() -> None:
    import great_expectations  # noqa: F401 - only the import is measured


@task
def build_batches() -> None: ...


@task
def approve_changes() -> None: ...


@task
def load_batches() -> None: ...


@task
def account_for_rows() -> None: ...


with DAG(
    dag_id="empty",
    schedule=CronDataIntervalTimetable("0 * * * *", timezone="UTC"),
    start_date=datetime(2000, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
):
    (
        extract_orders()
        >> validate_statuses()
        >> build_batches()
        >> approve_changes()
        >> load_batches()
        >> account_for_rows()
    )
