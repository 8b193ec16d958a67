"""The Airflow of the other end-to-end tests works as documented."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.conftest import postgres_folder

from .airflow_stack import AirflowStack, addresses_listened_on, running_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.e2e, pytest.mark.crash, pytest.mark.timeout(1200)]

DAG_FILE = """
from datetime import timedelta
from time import sleep

from airflow.sdk import dag, task


@dag
def lab():
    @task
    def quick():
        print("quick was here")
        return {"answer": 42}

    @task(retries=3, retry_delay=timedelta(seconds=1))
    def sleepy(answer, dag_run=None, ti=None):
        if dag_run.conf.get("sleep") and ti.try_number == 1:
            sleep(300)
        return ti.try_number

    sleepy(quick())


lab()
"""


@pytest.fixture(scope="module")
def airflow() -> Iterator[AirflowStack]:
    with postgres_folder() as folder, airflow_with_one_dag(folder) as stack:
        yield stack


@contextmanager
def airflow_with_one_dag(folder: Path) -> Iterator[AirflowStack]:
    dags, plugins = folder / "dags", folder / "plugins"
    dags.mkdir()
    plugins.mkdir()
    (dags / "lab.py").write_text(DAG_FILE)
    with running_airflow(folder / "home", dags, plugins, {}) as stack:
        stack.wait_for_dag("lab")
        stack.unpause("lab")
        yield stack


def test_run_succeeds_and_shows_its_xcom_and_log(airflow: AirflowStack) -> None:
    run_id = airflow.trigger("lab")

    assert airflow.wait_for_run("lab", run_id, timeout_s=300) == "success"
    assert airflow.import_errors() == []
    assert airflow.xcom("lab", run_id, "quick") == {"answer": 42}
    assert "quick was here" in airflow.log("lab", run_id, "quick", try_number=1)


def test_killed_task_is_retried(airflow: AirflowStack) -> None:
    run_id = airflow.trigger("lab", conf={"sleep": True})
    [pid] = airflow.wait_for_task_pids("sleepy", run_id)

    os.kill(pid, signal.SIGKILL)

    assert airflow.wait_for_run("lab", run_id, timeout_s=300) == "success"
    assert airflow.xcom("lab", run_id, "sleepy") > 1


def test_run_survives_the_death_of_scheduler_and_workers(airflow: AirflowStack) -> None:
    run_id = airflow.trigger("lab", conf={"sleep": True})
    airflow.wait_for_task_pids("sleepy", run_id)

    airflow.kill("scheduler")
    assert airflow.task_pids("sleepy", run_id) == []
    airflow.start("scheduler")

    assert airflow.wait_for_run("lab", run_id, timeout_s=300) == "success"


def test_nothing_listens_beyond_the_loopback(airflow: AirflowStack) -> None:
    postmaster = psutil.Process(airflow.postgres.get_pid())
    processes = [*airflow.processes(), postmaster, *postmaster.children()]

    assert set[str]().union(*map(addresses_listened_on, processes)) == {"127.0.0.1"}
