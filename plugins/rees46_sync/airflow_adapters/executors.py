"""
Whether the tasks of a DAG may run on several machines, which then need a staging area that all of them reach.

Airflow's setting ``core.executor`` lists executors: the first one runs what asks for no other. With ``core.multi_team``
further lists follow, each with the name of a team before it. An entry is a class name or a module path, maybe with an
alias before it (Airflow, "Executor", configuring multiple executors).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from airflow.sdk.configuration import conf

ON_ONE_MACHINE = ("LocalExecutor",)

IN_A_CONTAINER = ("AIRFLOW_IS_K8S_EXECUTOR_POD", "AIRFLOW_IS_EXECUTOR_CONTAINER")
"""Set where a task has a container of its own (Kubernetes; ECS and Batch). ``core.executor`` says LocalExecutor there:
so does the pod template of Airflow's Helm chart."""


def distributed(asked_for: Iterable[str | None] = (None,)) -> str:
    """
    Return what says that tasks may run on several machines, in words; empty where all of them run on this one.

    :param asked_for: the ``executor`` of each task; None is the one that Airflow uses by default.
    """
    container = next((name for name in IN_A_CONTAINER if os.environ.get(name)), None)
    if container:
        return f"a container for each task ({container} is set)"
    lists = conf.get("core", "executor").split(";")
    teams = lists if conf.getboolean("core", "multi_team", fallback=False) else lists[:1]
    entries = [[entry.strip() for entry in team.rpartition("=")[2].split(",")] for team in teams]
    aliases = {entry.partition(":")[0]: entry for team in entries for entry in team}
    # Of which team a DAG is, a worker is not told: the default of each of them may be the one.
    used = [entry for name in asked_for for entry in ([team[0] for team in entries] if name is None else [name])]
    for name in used:
        path = aliases.get(name, name).rpartition(":")[2]
        if path.rpartition(".")[2] not in ON_ONE_MACHINE:
            return f"{name} (core.executor)"
    return ""
