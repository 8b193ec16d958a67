"""
Ours, step by step: each task in its own process, forked from one that has imported what it needs, as with a
LocalExecutor; two at a time if the step is mapped, one at a time if the shop's pool requires it.

A task's function is the DAG's own code. Airflow's part (scheduling, XComs in its database) is not measured here, but in
whole runs. A process's peak memory is the kernel's figure (VmHWM), which includes memory shared with its parent.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CORES = 2
PRELOADED = [
    "airflow.sdk",
    "airflow.sdk.execution_time.supervisor",
    "rees46_sync.pipeline.run",
    "rees46_sync.pipeline.load_batches",
    "rees46_sync.preload",
]
"""What a task's parent process has imported: Airflow and its supervisor of tasks, the imports of the DAG file, and what
docs/scaling.md recommends for workers."""


@dataclass(frozen=True)
class Task:
    """
    A finished task.

    :param pushed: its XComs besides the result.
    :param seconds: of the task's function, without the start of its process.
    """

    result: Any
    pushed: dict[str, Any]
    seconds: float
    peak_mb: float


@dataclass(frozen=True)
class Step:
    """
    All tasks of a step.

    :param seconds: from the start of its first task to the end of its last.
    """

    seconds: float
    tasks: list[Task]

    @property
    def results(self) -> list[Any]:
        """The tasks' results, in order."""
        return [task.result for task in self.tasks]

    @property
    def own_seconds(self) -> float:
        """The sum of the seconds of its tasks' functions."""
        return sum(task.seconds for task in self.tasks)

    @property
    def peak_mb(self) -> float:
        """The peak memory of the largest of its processes."""
        return max((task.peak_mb for task in self.tasks), default=0.0)


class Steps:
    """
    The six steps of one shop.

    :param environment: the connections and all other variables for Airflow.
    """

    def __init__(self, shop_file: Path, environment: Mapping[str, str]) -> None:
        self.shop_file = shop_file
        self.environment = dict(environment)
        self.done: dict[str, Step] = {}

    def run(self, window: tuple[datetime, datetime]) -> dict[str, Step]:
        """Run all steps over a window; return them by task id."""
        self.done = {}
        approved = self.prepare(window)
        loaded = self.load(approved).results
        validated, built = self.done["validate_statuses"].results, self.done["build_batches"].results
        self._run("account_for_rows", [(validated, built, loaded)])
        return self.done

    def prepare(self, window: tuple[datetime, datetime]) -> list[Any]:
        """Run the steps before the load; return its input."""
        self.params = dict(zip(("window_start", "window_end"), (time.isoformat() for time in window), strict=True))
        [partitions] = self._run("extract_orders", [()]).results
        validated = self._run("validate_statuses", [(partition,) for partition in partitions]).results
        built = self._run("build_batches", [(partition,) for partition in partitions]).results
        [approved] = self._run("approve_changes", [(validated, built)]).results
        return list(approved)

    def load(self, approved: list[Any]) -> Step:
        """Load, one partition at a time."""
        return self._run("load_batches", [(batches,) for batches in approved], at_once=1)

    def _run(self, name: str, calls: Sequence[tuple[Any, ...]], at_once: int = CORES) -> Step:
        xcoms = {task_id: step.tasks for task_id, step in self.done.items()}
        unset = dict.fromkeys(("first_orders", "order_ids"))
        params = dict.fromkeys(("dry_run", "resend", "ignore_limits"), False) | unset | self.params
        jobs = [
            _Job(name, index, str(self.shop_file), self.environment, arguments, params, xcoms)
            for index, arguments in enumerate(calls)
        ]
        began = time.perf_counter()
        with ProcessPoolExecutor(at_once, _context(), max_tasks_per_child=1) as processes:
            tasks = list(processes.map(_run_task, jobs))
        self.done[name] = Step(time.perf_counter() - began, tasks)
        return self.done[name]


@contextmanager
def parent_of_tasks(environment: Mapping[str, str]) -> Iterator[None]:
    """Run the process from which tasks are forked, with everything imported."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update({**environment, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"})
    try:
        with ProcessPoolExecutor(1, _context()) as processes:
            processes.submit(os.getpid).result()
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        forkserver._forkserver._stop()  # type: ignore[attr-defined] # there is no other way to stop it


def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


@dataclass(frozen=True)
class _Job:
    """The input of a task."""

    name: str
    map_index: int
    shop_file: str
    environment: dict[str, str]
    arguments: tuple[Any, ...]
    params: dict[str, Any]
    xcoms: dict[str, list[Task]]


def _run_task(job: _Job) -> Task:
    """Run one task as Airflow would; called in the task's process."""
    os.environ.update(job.environment)
    from airflow.sdk.bases.operator import ExecutorSafeguard
    from airflow.sdk.execution_time.context import OutletEventAccessors

    from rees46_sync.pipeline.load_batches import Rees46SyncOrdersOperator
    from rees46_sync.shop.shop_file import load_shop

    pushed: dict[str, Any] = {}

    def pull(task_ids: str, key: str = "return_value", map_indexes: int = 0) -> Any:
        of_task = job.xcoms.get(task_ids, [])
        if map_indexes >= len(of_task):
            return None
        earlier = of_task[map_indexes]
        return earlier.result if key == "return_value" else earlier.pushed.get(key)

    instance = SimpleNamespace(
        task_id=job.name,
        dag_id="steps",
        run_id="steps",
        map_index=job.map_index,
        xcom_push=lambda key, value: pushed.update({key: value}),
        xcom_pull=pull,
    )
    run = SimpleNamespace(data_interval_start=None, run_after=datetime.now().astimezone(), run_type="manual", conf=None)
    task = SimpleNamespace(dag=SimpleNamespace(tasks=[SimpleNamespace(executor=None)], params=job.params))
    context = {"ti": instance, "dag_run": run, "params": job.params, "task": task}
    context["outlet_events"] = OutletEventAccessors()
    step = getattr(importlib.import_module(f"rees46_sync.pipeline.{job.name}"), job.name, None)
    began = time.perf_counter()
    match job.name:
        case "extract_orders":
            result: Any = step(job.shop_file, history=False, **context)
        case "load_batches":
            ExecutorSafeguard.test_mode = True
            shop = load_shop(Path(job.shop_file))
            result = Rees46SyncOrdersOperator(
                task_id=job.name,
                shop=shop.shop,
                rees46_conn_id=shop.rees46_conn_id,
                ledger_conn_id=shop.ledger_conn_id,
                batches=job.arguments[0],
                settle=shop.settle,
            ).execute(context)  # type: ignore[arg-type]
        case "account_for_rows":
            result = step(job.shop_file, *job.arguments, history=False, **context)
        case _:
            result = step(job.shop_file, *job.arguments, **context)
    return Task(result, pushed, time.perf_counter() - began, _peak_mb())


def _peak_mb() -> float:
    """Return the peak memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("the kernel does not report VmHWM; run the benchmark on Linux")
