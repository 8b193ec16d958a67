"""The processes of `make up`: real ones, that sleep."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from local import components as components_module
from local.components import Component, Components, end_leftovers

SLEEP = "import time; print('awake', flush=True); time.sleep(600)"
WITH_CHILD = (
    "import subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], process_group=0); "
    "print(child.pid, flush=True); time.sleep(600)"
)


def wait_for(ready: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Components]:
    monkeypatch.setattr(components_module, "STOP_TIMEOUT_S", 2)
    started = Components(tmp_path)
    yield started
    started.stop()


def start(components: Components, code: str, name: str = "scheduler") -> int:
    """Start a component that executes this code; return its process."""
    arguments = ["timeit", "-n", "1", "-r", "1", code]
    components.start(Component(name, arguments, dict(os.environ), components.home))
    log = components.log_of(name)
    wait_for(lambda: log.read_text().endswith("\n"))
    return components.processes[name].pid


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_killed_component_is_named_although_a_child_of_its_lives_and_holds_its_output(
    components: Components,
) -> None:
    pid = start(components, WITH_CHILD)
    start(components, SLEEP, "triggerer")
    assert components.ended() == {}
    os.kill(pid, signal.SIGKILL)
    wait_for(components.ended)
    assert components.ended() == {"scheduler": "was killed by SIGKILL"}


def test_a_component_that_ends_by_itself_is_named_with_its_exit_code(components: Components) -> None:
    start(components, "print('!', flush=True); import os; os._exit(3)")
    wait_for(components.ended)
    assert components.ended() == {"scheduler": "ended by itself, with exit code 3"}


@pytest.mark.parametrize("signum", [signal.SIGSTOP, signal.SIGKILL])
def test_nothing_outlives_the_stop_not_even_what_hangs_or_lost_its_parent(
    components: Components, signum: signal.Signals
) -> None:
    pid = start(components, WITH_CHILD)
    child = int(components.log_of("scheduler").read_text())
    os.kill(pid, signum)
    components.stop()
    wait_for(lambda: not lives(child))
    assert not lives(pid)


def test_the_next_make_up_ends_what_a_killed_one_left_and_nothing_else(components: Components, tmp_path: Path) -> None:
    pid = start(components, SLEEP)
    end_leftovers(tmp_path / "other")
    assert lives(pid)
    end_leftovers(tmp_path)
    wait_for(components.ended)


def test_the_log_of_the_start_before_is_kept_beside_the_new_one_and_both_are_private(components: Components) -> None:
    start(components, "print('first', flush=True)")
    start(components, SLEEP)
    log = components.log_of("scheduler")
    assert log.read_text() == "awake\n"
    assert log.with_suffix(".1.log").read_text().startswith("first\n")
    assert log.stat().st_mode & 0o777 == 0o600
