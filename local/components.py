"""
The processes of ``make up``: each writes to a log of its own, and none outlives ``make up``.

A component leads a session of its own. A task's process leaves the process group of its scheduler, and its parent when
that dies, but not the session.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

STOP_TIMEOUT_S = 8
"""Between SIGTERM and SIGKILL."""

HOME_MARK = "REES46_UP_HOME"
"""The variable by which processes of a ``make up`` that was killed are recognised."""


@dataclass(frozen=True)
class Component:
    """
    A process that runs as long as ``make up``.

    :param arguments: of ``python -m``.
    :param environment: all of its variables.
    """

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path


class Components:
    """
    The processes of a home.

    :param home: the folder of ``logs/<component>.log``.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def log_of(self, name: str) -> Path:
        """Return the file of a component's output; that of the start before is beside it, as ``….1.log``."""
        return self.home / "logs" / f"{name}.log"

    def start(self, component: Component) -> None:
        """Start a component."""
        log = self.log_of(component.name)
        log.parent.mkdir(exist_ok=True)
        with suppress(FileNotFoundError):
            log.replace(log.with_suffix(".1.log"))
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
            self.processes[component.name] = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", *component.arguments],
                env={**component.environment, HOME_MARK: str(self.home)},
                cwd=component.cwd,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for make up
            )

    def ended(self) -> dict[str, str]:
        """Return how the components that have ended did so, by their names."""
        codes = {name: process.poll() for name, process in self.processes.items()}
        return {name: _manner(code) for name, code in codes.items() if code is not None}

    def stop(self) -> None:
        """End all components, and what they have started."""
        leaders = {process.pid for process in self.processes.values()}
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for process in self.processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0, deadline - time.monotonic()))
        _end(lambda process: os.getsid(process.pid) in leaders)
        for process in self.processes.values():
            process.wait()


def end_leftovers(home: Path) -> None:
    """End the processes of a ``make up`` that was killed itself; only for one who holds the home."""
    _end(lambda process: process.environ().get(HOME_MARK) == str(home))


def _end(belongs: Callable[[psutil.Process], bool]) -> None:
    found = []
    for process in psutil.process_iter():
        # Another user's process, or one that has just ended.
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and belongs(process):
                process.terminate()
                found.append(process)
    for process in psutil.wait_procs(found, timeout=STOP_TIMEOUT_S)[1]:
        with suppress(psutil.Error):
            process.kill()


def _manner(code: int) -> str:
    """Return how a process ended, from its exit code."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended by itself, with exit code {code}"
