"""A whole run of a shop's DAG through Airflow, in this process."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rees46_sync.ledger.runs import ACCOUNT_PARTS
from tests.conftest import PROJECT

EIGHT = datetime(2026, 3, 1, 8, tzinfo=UTC)
"""A logical date; the hour before it is the run's data interval."""

IN_WINDOW = EIGHT.replace(tzinfo=None) - timedelta(minutes=30)
"""A time inside the window of the hourly run of EIGHT, as a warehouse without time zones stores it."""

CODES = {"new": 0, "paid": 0, "delivered": 1, "cancelled": 2, "fraud": 2}
"""The statuses that the shop under test maps, and their codes."""


def accounted(account: dict[str, int]) -> int:
    """How many rows the parts of an account add up to."""
    return sum(account[part] for part in ACCOUNT_PARTS)


@cache
def make_metadata_database() -> None:
    """Create Airflow's tables, once for all tests of this session."""
    from airflow.utils import db

    db.initdb()


@dataclass
class Run:
    """The result of a run: its state, the states of each task, the names of mapped ones, and the account."""

    state: str
    account: dict[str, int]
    task_states: dict[str, set[str]]
    run_id: str
    task_names: dict[str, list[str | None]]


def dag_of(dag_id: str = "order_status_sync_test", dags: Path = PROJECT / "dags") -> Any:
    """Return the DAG of the present shop file."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(dags)
    return bag.dags[dag_id]


def run_dag(
    dag_id: str = "order_status_sync_test",
    *,
    logical_date: datetime | None = EIGHT,
    run_after: datetime | None = None,
    **params: Any,
) -> Run:
    """Run a DAG once, requested at ``run_after`` (default: now); ``params`` are what the trigger form sends."""
    make_metadata_database()
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    dag = dag_of(dag_id)
    with _faster_airflow():
        dag_run = dag.test(run_after=run_after, logical_date=logical_date, run_conf=params or None)
    with create_session() as session:
        xcoms = session.query(XComModel).filter_by(dag_id=dag_id, run_id=dag_run.run_id, key="return_value")
        account = next((XComModel.deserialize_value(xcom) for xcom in xcoms if xcom.task_id == "account_for_rows"), {})
        states: dict[str, set[str]] = {}
        names: dict[str, list[str | None]] = {}
        for instance in dag_run.get_task_instances(session=session):
            states.setdefault(instance.task_id, set()).add(str(instance.state))
            names.setdefault(instance.task_id, []).append(instance.rendered_map_index)
    return Run(str(dag_run.state), account, states, dag_run.run_id, names)


@contextmanager
def _faster_airflow() -> Iterator[None]:
    """
    Leave out what Airflow does in vain: two fifths of the time of a run.

    It waits for a second after it has expanded a task, and checks the JSON schema of each param a hundred times.
    """
    from jsonschema import Draft202012Validator

    sleep = time.sleep

    def sleep_less(seconds: float) -> None:
        in_vain = sys._getframe(1).f_globals["__name__"] == "airflow.sdk.definitions.dag"
        sleep(0.01 if in_vain else seconds)

    checked: set[str] = set()
    check_schema = Draft202012Validator.check_schema

    def check_once(schema: Any, *arguments: Any, **options: Any) -> None:
        text = repr(schema)
        if text not in checked:
            check_schema(schema, *arguments, **options)
            checked.add(text)

    with patch("time.sleep", sleep_less), patch.object(Draft202012Validator, "check_schema", check_once):
        yield


def returned(run: Run, task_id: str) -> list[Any]:
    """Return the return value of each instance of a task."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        xcoms = session.query(XComModel).filter_by(run_id=run.run_id, task_id=task_id, key="return_value")
        return [XComModel.deserialize_value(xcom) for xcom in xcoms.order_by("map_index")]


def metadata_text(dag_id: str) -> str:
    """Return what Airflow's metadata database has of a DAG that a user of the UI can see."""
    from airflow.models.renderedtifields import RenderedTaskInstanceFields
    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        xcoms = session.query(XComModel).filter_by(dag_id=dag_id)
        rendered = session.query(RenderedTaskInstanceFields)  # of all DAGs: Airflow 3.4 does not keep the DAG's id here
        serialized = session.query(SerializedDagModel).filter_by(dag_id=dag_id)
        return "".join(
            [
                *(str(xcom.value) for xcom in xcoms),
                *(str(fields.rendered_fields) for fields in rendered),
                *(str(dag.data) for dag in serialized),
            ]
        )
