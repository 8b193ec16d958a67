"""Whether tasks may run on several machines is read from Airflow's settings."""

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
    ("configured", "executor", "reason"),
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
        pytest.param("LocalExecutor,CeleryExecutor", "CeleryExecutor", "CeleryExecutor", id="a-task-names-one"),
        pytest.param(f"LocalExecutor,there:{CELERY}", "there", "there", id="a-task-names-one-by-alias"),
        pytest.param(f"LocalExecutor,there:{CELERY}", CELERY, "CeleryExecutor", id="a-task-names-one-by-path"),
        pytest.param("CeleryExecutor,LocalExecutor", "LocalExecutor", "", id="a-task-names-local"),
    ],
)
def test_executors_other_than_the_local_one_mean_several_machines(
    monkeypatch: pytest.MonkeyPatch, configured: str, executor: str | None, reason: str
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", configured)

    found = executors.distributed([executor])

    assert bool(found) == bool(reason)
    assert reason in found


def test_one_task_that_runs_elsewhere_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor,CeleryExecutor")

    assert executors.distributed([None, None, "CeleryExecutor"]) == "CeleryExecutor (core.executor)"


@pytest.mark.parametrize(
    ("multi_team", "reason"),
    [
        pytest.param("True", "KubernetesExecutor (core.executor)", id="teams"),
        pytest.param("False", "", id="without-teams-their-executors-do-not-count"),
    ],
)
def test_the_default_of_any_team_counts(monkeypatch: pytest.MonkeyPatch, multi_team: str, reason: str) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", multi_team)
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor;shops=KubernetesExecutor,LocalExecutor")

    assert executors.distributed() == reason


@pytest.mark.parametrize("name", executors.IN_A_CONTAINER)
def test_a_container_for_each_task_is_recognised_by_its_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """As in the Helm chart: the setting in its pods is LocalExecutor, whatever started them."""
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    monkeypatch.setenv(name, "True")

    assert name in executors.distributed()
