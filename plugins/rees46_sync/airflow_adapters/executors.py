"""
Whether the tasks of a DAG may run on several machines: they then need a staging area that all machines reach.

Airflow's setting ``core.executor`` lists executors; the first one runs the tasks that name none. With
``core.multi_team`` further lists follow, each after the name of a team. An entry is a class name or a module path, with
or without an alias before it (Airflow's documentation, "Executor", "Using Multiple Executors Concurrently").
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from airflow.sdk.configuration import conf

ON_ONE_MACHINE = ("LocalExecutor",)

IN_A_CONTAINER = ("AIRFLOW_IS_K8S_EXECUTOR_POD", "AIRFLOW_IS_EXECUTOR_CONTAINER")
"""Set in a container for one task (Kubernetes; ECS and Batch). There ``core.executor`` may be LocalExecutor, as in the
pod template of Airflow's Helm chart."""


def distributed(executors: Iterable[str | None] = (None,)) -> str:
    """
    Return the reason why tasks may run on several machines, as text; empty if all of them run on this one.

    :param executors: the ``executor`` of each task; None stands for Airflow's default.
    """
    container = next((name for name in IN_A_CONTAINER if os.environ.get(name)), None)
    if container:
        return f"a container for each task ({container} is set)"
    lists = conf.get("core", "executor").split(";")
    teams = lists if conf.getboolean("core", "multi_team", fallback=False) else lists[:1]
    entries = [[entry.strip() for entry in team.rpartition("=")[2].split(",")] for team in teams]
    aliases = {entry.partition(":")[0]: entry for team in entries for entry in team}
    # A worker does not know the team of a DAG, so the default of any team may apply.
    used = [entry for name in executors for entry in ([team[0] for team in entries] if name is None else [name])]
    for name in used:
        path = aliases.get(name, name).rpartition(":")[2]
        if path.rpartition(".")[2] not in ON_ONE_MACHINE:
            return f"{name} (core.executor)"
    return ""
