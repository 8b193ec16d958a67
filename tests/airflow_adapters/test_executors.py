"""Which settings of Airflow mean that tasks run on several machines."""

from __future__ import annotations

import pytest

from rees46_sync.airflow_adapters import executors

CELERY = "airflow.providers.celery.executors.celery_executor.CeleryExecutor"
LOCAL = "airflow.executors.local_executor.LocalExecutor"


@pytest.fixture(autouse=True)
def _no_container(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in executors.IN_A_CONTAINER:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("configured", "asked_for", "found"),
    [
        pytest.param("LocalExecutor", None, "", id="local"),
        pytest.param(LOCAL, None, "", id="local-by-path"),
        pytest.param("here:LocalExecutor", None, "", id="local-by-alias"),
        pytest.param("CeleryExecutor", None, "CeleryExecutor", id="celery"),
        pytest.param("KubernetesExecutor", None, "KubernetesExecutor", id="kubernetes"),
        pytest.param("airflow.providers.edge3.executors.EdgeExecutor", None, "EdgeExecutor", id="edge"),
        pytest.param(CELERY, None, CELERY, id="celery-by-path"),
        pytest.param(f"there:{CELERY}", None, "there", id="celery-by-alias"),
        pytest.param("my.company.LocalExecutorOfOurs", None, "LocalExecutorOfOurs", id="unknown"),
        pytest.param("LocalExecutor, CeleryExecutor", None, "", id="the-first-is-the-default"),
        pytest.param(" CeleryExecutor ,LocalExecutor", None, "CeleryExecutor", id="the-first-is-the-default-celery"),
        pytest.param("LocalExecutor,CeleryExecutor", "CeleryExecutor", "CeleryExecutor", id="a-task-asks"),
        pytest.param(f"LocalExecutor,there:{CELERY}", "there", "there", id="a-task-asks-by-alias"),
        pytest.param(f"LocalExecutor,there:{CELERY}", CELERY, "CeleryExecutor", id="a-task-asks-by-path"),
        pytest.param("CeleryExecutor,LocalExecutor", "LocalExecutor", "", id="a-task-asks-for-local"),
    ],
)
def test_tells_whether_a_task_may_run_elsewhere(
    monkeypatch: pytest.MonkeyPatch, configured: str, asked_for: str | None, found: str
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", configured)

    said = executors.distributed([asked_for])

    assert bool(said) == bool(found)
    assert found in said


def test_one_task_that_runs_elsewhere_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor,CeleryExecutor")

    assert executors.distributed([None, None, "CeleryExecutor"]) == "CeleryExecutor (core.executor)"


@pytest.mark.parametrize(
    ("multi_team", "found"),
    [
        pytest.param("True", "KubernetesExecutor (core.executor)", id="teams"),
        pytest.param("False", "", id="without-teams-their-executors-do-not-count"),
    ],
)
def test_of_teams_any_may_be_the_one_of_the_dag(monkeypatch: pytest.MonkeyPatch, multi_team: str, found: str) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", multi_team)
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor;shops=KubernetesExecutor,LocalExecutor")

    assert executors.distributed() == found


@pytest.mark.parametrize("name", executors.IN_A_CONTAINER)
def test_a_container_for_each_task_is_told_by_its_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As the Helm chart has it: its pods say LocalExecutor, whatever started them."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    monkeypatch.setenv(name, "True")

    assert name in executors.distributed()
