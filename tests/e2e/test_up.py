"""``make up`` and ``make cluster`` run a complete Airflow with a demo shop that syncs, and leave no process behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import requests

from local.servers import free_ports
from rees46_sync.doctor.environment import UP_FILE
from tests.conftest import PROJECT, postgres_folder

from .airflow_stack import addresses_listened_on

pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(2400)]

READY = re.compile(r"Airflow is ready: (\S+)\n  user (\S+)  password (\S+)\n")
SYNC = "order_status_sync_demo"


@contextmanager
def up(folder: Path, *arguments: str, target: str = "up") -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run the command of `make up` or `make cluster`; return its process and the file of its output."""
    log = folder / "up.log"
    command = [sys.executable, "-m", f"local.{target}", "--home", str(folder / "home"), *arguments]
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out, cwd=PROJECT) as process:
        try:
            yield process, log
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(180)


def wait_for(what: str, ready: object, timeout_s: float = 900) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.5)


def processes_in(home: Path) -> list[psutil.Process]:
    """The living processes of an AIRFLOW_HOME, its PostgreSQL included."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(home) in " ".join([*process.cmdline(), process.environ().get("AIRFLOW_HOME", "")]):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.pid != os.getpid()]


@pytest.mark.parametrize("target", ["up", pytest.param("cluster", marks=pytest.mark.cluster)])
def test_it_syncs_the_demo_shop_and_ends_with_ctrl_c(target: str) -> None:
    port, sandbox_port = free_ports(2)
    with postgres_folder() as folder:
        env_file = folder / ".env"
        env_file.write_text('AIRFLOW_CONN_OF_MINE=\'{"conn_type": "sqlite", "host": "/tmp/of mine.db"}\'\n')
        arguments = ["--port", str(port), "--sandbox-port", str(sandbox_port)]
        if target == "up":
            arguments += ["--env-file", str(env_file)]
        with up(folder, *arguments, target=target) as (process, log):
            wait_for("ready", lambda: process.poll() is not None or READY.search(log.read_text()))
            ready = READY.search(log.read_text())
            assert ready, log.read_text()[-3000:]
            url, user, password = ready.groups()
            assert url == f"http://127.0.0.1:{port}"
            with requests.Session() as session:
                login = session.post(f"{url}/auth/token", json={"username": user, "password": password}, timeout=60)
                session.headers["Authorization"] = f"Bearer {login.json()['access_token']}"
                runs = f"{url}/api/v2/dags/{SYNC}/dagRuns"
                wait_for(
                    "two green runs by hand",
                    lambda: (
                        [
                            run["state"]
                            for run in session.get(runs, timeout=60).json()["dag_runs"]
                            if run["run_type"] == "manual"
                        ]
                        == ["success"] * 2
                    ),
                )
            held = requests.get(f"http://127.0.0.1:{sandbox_port}/_state", timeout=30).json()
            assert len(held) >= 4000
            assert set[str]().union(*map(addresses_listened_on, processes_in(folder / "home"))) == {"127.0.0.1"}
            if target == "cluster":
                worker = folder / "home" / "logs" / "worker-2.log"
                wait_for("second worker", lambda: "celery@worker-2 ready" in worker.read_text())
            process.send_signal(signal.SIGINT)
            assert process.wait(180) == 0
        wait_for("an end of all processes", lambda: processes_in(folder / "home") == [], 180)
        if target == "up":
            with up(folder, *arguments) as (process, log):
                # The ledger is new, and Airflow has no other scheduled run for this hour.
                wait_for("the account of the first run", lambda: re.search(r"UTC  demo: .* = .* sent", log.read_text()))
                assert requests.get(f"{url}/rees46/health", timeout=60).status_code == 200


def test_without_the_demo_it_says_which_component_hangs_or_died_and_lets_no_second_one_in() -> None:
    port, sandbox_port = free_ports(2)
    with postgres_folder() as folder:
        env_file = folder / ".env"
        env_file.write_text(f"REES46_SHOPS_DIR={folder / 'no-shops'}\n")
        arguments = ["--port", str(port), "--sandbox-port", str(sandbox_port), "--env-file", str(env_file)]
        with up(folder, *arguments) as (process, log):
            wait_for("ready", lambda: process.poll() is not None or READY.search(log.read_text()))
            assert process.poll() is None, log.read_text()[-3000:]
            (folder / "second").mkdir()
            home = ["--home", str(folder / "home")]
            with up(folder / "second", *home, "--port", str(free_ports(1)[0])) as (second, said):
                assert second.wait(180) == 1
            assert f"process {process.pid}, http://127.0.0.1:{port}" in said.read_text()
            [scheduler] = [
                child for child in psutil.Process(process.pid).children() if "scheduler" in " ".join(child.cmdline())
            ]
            scheduler.suspend()
            wait_for("the hanging scheduler", lambda: "scheduler hangs: no heartbeat since" in log.read_text(), 120)
            scheduler.resume()
            wait_for("the healthy scheduler", lambda: "scheduler is healthy again" in log.read_text(), 120)
            scheduler.kill()
            assert process.wait(180) == 1
            assert f"scheduler was killed by SIGKILL\n  its log: {folder}/home/logs/scheduler.log" in log.read_text()
        wait_for("an end of all processes", lambda: processes_in(folder / "home") == [], 180)


def test_a_path_with_a_blank_is_refused_in_a_line_before_anything_starts(tmp_path: Path) -> None:
    (tmp_path / "a blank").mkdir()
    with up(tmp_path / "a blank") as (process, log):
        assert process.wait(180) == 1
    assert "make up cannot run in a path with a blank" in log.read_text()
    assert not (tmp_path / "a blank" / "home").exists()


def test_a_taken_port_is_named_with_the_remedy(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with up(tmp_path, "--port", str(port)) as (process, log):
            assert process.wait(180) == 1
    assert f"Port {port} cannot be used (Address already in use)" in log.read_text()
    assert "make up PORT=" in log.read_text()
    assert [file.name for file in (tmp_path / "home").iterdir()] == [UP_FILE]
