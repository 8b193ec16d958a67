"""
Why a task failed: it leaves the problem and the remedy of its error behind, for the account of the run.

A task that is killed leaves none. What a try has left is gone when the next one starts: Airflow clears its XComs.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypedDict, TypeVar

from rees46_sync.exceptions import Rees46UnavailableError, SyncError

KEY = "cause"
"""Of the XCom."""


class Cause(TypedDict):
    """
    Why a task failed.

    :param task: the task's id.
    :param partition: the index of its partition; None if it has none.
    :param kind: the name of the error's class.
    :param problem, remedy: of the error, see :class:`rees46_sync.exceptions.SyncError`.
    """

    task: str
    partition: int | None
    kind: str
    problem: str
    remedy: str


P = ParamSpec("P")
R = TypeVar("R")


def leaves_cause(step: Callable[P, R]) -> Callable[P, R]:
    """Let the function of a task leave the cause if it raises an error."""

    @functools.wraps(step)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        partition: Any = kwargs.get("partition")
        with leaving_cause(kwargs["ti"], partition["index"] if partition else None):
            return step(*args, **kwargs)

    return wrapped


@contextmanager
def leaving_cause(ti: Any, partition: int | None = None) -> Iterator[None]:
    """
    Push the cause as an XCom if an error is raised.

    :param ti: Airflow's task instance.
    :param partition: the index of the task's partition, if it has one.
    """
    try:
        yield
    except Exception as error:  # whatever the task raises is raised on
        kind = type(error).__name__
        # The text of another error may hold a row.
        problem = error.problem if isinstance(error, SyncError) else f"an unexpected {kind}"
        remedy = error.remedy if isinstance(error, SyncError) else "see the log of the task, and report it"
        cause = Cause(task=ti.task_id, partition=partition, kind=kind, problem=problem, remedy=remedy)
        ti.xcom_push(key=KEY, value=cause)
        raise


def fingerprint(causes: Iterable[Cause]) -> str:
    """
    Return what identifies some causes.

    Numbers do not count, nor does in which way REES46 is unavailable: that may change with every run.
    """
    unavailable = Rees46UnavailableError.__name__
    parts = {
        cause["kind"] if cause["kind"] == unavailable else re.sub(r"\d+", "#", f"{cause['kind']} {cause['problem']}")
        for cause in causes
    }
    return hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()
