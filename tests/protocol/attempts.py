"""Attempts of the tasks of a run, each a greenlet, and what the finished tasks have left."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import greenlet
import pandas as pd

from rees46_sync.exceptions import SyncError
from rees46_sync.ledger.runs import RunRef
from tests.protocol.model import ENDLESS, Row
from tests.protocol.real_shop import BEGINNING, EVER

EXTRACT, BUILD, LOAD, ACCOUNT = "extract", "build", "load", "account"
GREEN, RED, RUNNING, WAITING = "green", "red", "running", "waiting"


class Killed(BaseException):
    """Ends an attempt at the stop where it is."""


class StoppedError(SyncError):
    """A load did not send everything."""


class Inline(Executor):
    """In place of a pool of threads: a greenlet goes on by itself, and a killed one does not go on at all."""

    def __init__(self, *_: object) -> None: ...

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Call a function at once."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:  # noqa: BLE001 - as a pool of threads does
            future.set_exception(error)
        return future


@dataclass
class Attempt:
    """
    An attempt of a run's tasks.

    :ivar place: where it has stopped.
    :ivar checked_at: when it last saw that it may send.
    :ivar has_checked: it did so after its latest request.
    :ivar is_late: the clock has moved between that and its request. The fault model leaves out that such an attempt is
        killed before it records the result.
    """

    run: Run
    number: int
    greenlet: greenlet.greenlet | None = None
    place: str = "begin"
    is_dead: bool = False
    checked_at: datetime = BEGINNING
    is_late: bool = False
    has_checked: bool = False

    @property
    def is_alive(self) -> bool:
        """Whether it can go on."""
        return not self.is_dead and self.greenlet is not None and not self.greenlet.dead


@dataclass
class Run:
    """A run, with what its finished tasks have left."""

    index: int
    window_start: int = EVER
    window_end: int = ENDLESS
    resend: bool = False
    task: str = EXTRACT
    outcome: str = WAITING
    started_at: datetime = BEGINNING
    attempts: list[Attempt] = field(default_factory=list)
    ref: RunRef | None = None
    rows: Mapping[str, Row] = field(default_factory=dict)
    due: pd.DataFrame | None = None
    token: Mapping[str, int] | None = None
