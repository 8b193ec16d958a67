"""The findings of the doctor: each has a level, a value and a remedy."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from rees46_sync.exceptions import SyncError
from rees46_sync.shop.shop import Shop

T = TypeVar("T")

TIMEOUT_S = 15
"""How long a database may take to answer a trivial query; a scheduled task would wait longer, a person would not."""


class Level(StrEnum):
    """How bad a finding is: an error stops a run or keeps orders from REES46; a warning may do so later."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """
    The result of a check.

    :param check: what was checked, such as ``warehouse.connection``; these names do not change.
    :param value: what was found, as text.
    :param remedy: what to do; empty if nothing needs to be done.
    :param data: what was found, machine-readable.
    """

    check: str
    level: Level
    value: str
    remedy: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """
    All findings about one shop.

    :param shop: its name; if its file cannot be used, the file's name without the extension.
    :param file: the shop file's path or name.
    """

    shop: str
    file: str
    findings: list[Finding]


Surroundings = Callable[[Shop], AbstractContextManager[Sequence[Finding]]]
"""
A context that is entered while a shop is examined, such as one that sets its connections.

It returns findings that are added to the report.
"""


def no_surroundings(_: Shop) -> AbstractContextManager[Sequence[Finding]]:
    """Change nothing while a shop is examined, and add no findings."""
    return nullcontext(())


def ok(check: str, value: str, remedy: str = "", **data: Any) -> Finding:
    """Return a finding that needs no action."""
    return Finding(check, Level.OK, value, remedy, data)


def warning(check: str, value: str, remedy: str, **data: Any) -> Finding:
    """Return a finding that may become an error."""
    return Finding(check, Level.WARNING, value, remedy, data)


def error(check: str, value: str, remedy: str, **data: Any) -> Finding:
    """Return a finding that stops runs or keeps orders from REES46."""
    return Finding(check, Level.ERROR, value, remedy, data)


def from_error(check: str, problem: SyncError, level: Level = Level.ERROR) -> Finding:
    """Return an error of the sync as a finding."""
    return Finding(check, level, problem.problem, problem.remedy)


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level of the findings; ok if there are none."""
    return max((finding.level for finding in findings), key=list(Level).index, default=Level.OK)


def first_line(error: object) -> str:
    """Return the first line of a library's error message; the other lines may hold rows."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def within(seconds: float, call: Callable[[], T]) -> T:
    """
    Return the result of a call that may hang, such as a connection through a firewall that drops packets.

    :raises TimeoutError: it did not return in this time. The call continues in a daemon thread, which does not keep
        the process from exiting.
    """
    results: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def run() -> None:
        try:
            results.put((call(), None))
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that waits
            results.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        value, raised = results.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if raised is not None:
        raise raised
    return value  # type: ignore[return-value] # nothing was raised, so it is the result
