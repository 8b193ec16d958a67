"""What the doctor finds: a level, a value and a remedy each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from rees46_sync.exceptions import JudgementError, LedgerError, SyncError, WarehouseError

T = TypeVar("T")

TIMEOUT_S = 15
"""What a database may take for an answer that costs it nothing; a scheduled task would wait longer, a person not."""


class Level(StrEnum):
    """How bad a finding is: an error stops a run, or keeps orders from REES46; a warning may, some day."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True)
class Finding:
    """
    One thing that was looked at.

    :param check: what was looked at, such as ``warehouse.connection``; these names do not change.
    :param value: what was found, in words.
    :param remedy: what to do; empty where there is nothing to do.
    :param data: what was found, for machines.
    """

    check: str
    level: Level
    value: str
    remedy: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """All findings about one shop; where its file cannot be used, ``shop`` is the file's name.

    :param file: the shop file's path or name.
    """

    shop: str
    file: str
    findings: list[Finding]


def ok(check: str, value: str, remedy: str = "", **data: Any) -> Finding:
    """Return a finding about which nothing needs to be done."""
    return Finding(check, Level.OK, value, remedy, data)


def warning(check: str, value: str, remedy: str, **data: Any) -> Finding:
    """Return a finding that may become trouble."""
    return Finding(check, Level.WARNING, value, remedy, data)


def error(check: str, value: str, remedy: str, **data: Any) -> Finding:
    """Return a finding that is trouble."""
    return Finding(check, Level.ERROR, value, remedy, data)


def of_error(check: str, fault: SyncError, level: Level = Level.ERROR) -> Finding:
    """Return an error of the sync as a finding: its message ends in the remedy."""
    text = str(fault).rstrip(".")
    # A database's own words may hold any sign, so there the remedy is a sentence of its own, the last one.
    separate = text.rpartition if isinstance(fault, WarehouseError | LedgerError | JudgementError) else text.partition
    value, _, remedy = separate(". " if separate == text.rpartition else "; ")
    return Finding(check, level, value or text, remedy)


def worst(findings: Iterable[Finding]) -> Level:
    """Return the worst level of findings; of none it is ok."""
    return max((finding.level for finding in findings), key=list(Level).index, default=Level.OK)


def first_line(fault: object) -> str:
    """Return the first line of what somebody else says; the others may hold rows."""
    return next(iter(str(fault).strip().splitlines()), "") or type(fault).__name__


def within(seconds: float, ask: Callable[[], T]) -> T:
    """
    Return the answer to a question that may hang, such as a connection through a firewall that drops packets.

    :raises TimeoutError: there was none in this time; the question is left to itself and keeps nobody from ending.
    """
    answers: SimpleQueue[tuple[T | None, BaseException | None]] = SimpleQueue()

    def answer() -> None:
        try:
            answers.put((ask(), None))
        except BaseException as fault:  # noqa: BLE001 - it is raised again below, where somebody waits
            answers.put((None, fault))

    threading.Thread(target=answer, daemon=True).start()
    try:
        value, fault = answers.get(timeout=seconds)
    except Empty:
        raise TimeoutError(f"no answer within {seconds:g} s") from None
    if fault is not None:
        raise fault
    return value  # type: ignore[return-value] # there was no fault, so it is the answer
