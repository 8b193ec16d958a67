"""What `make up` shows of its components and runs; Airflow is an HTTP server of this test."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from local.api import Api, passwords_file
from local.components import Components
from local.monitor import ENDED, HANGS, HEALTHY, STARTING, Monitor, Screen, account_line

NAMES = ("sandbox", "api-server", "scheduler", "triggerer", "dag-processor", "demo")
ACCOUNT = {"read": 3984, "sent": 0, "unchanged": 2722, "superseded": 1238, "rejected": 24, "failed": 0}
RUN = {"dag_id": "order_status_sync_demo", "dag_run_id": "r1", "state": "success", "end_date": "2026-03-01T12:00:07Z"}


class FakeAirflow(ThreadingHTTPServer):
    """Answers as Airflow and the sandbox do, with what a test wants."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.unhealthy: set[str] = set()
        self.answers: dict[str, Any] = {"/_stats": {}, "/auth/token": {"access_token": "token"}}
        self.is_silent = False


class Handler(BaseHTTPRequestHandler):
    server: FakeAirflow

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        keys = ("scheduler", "triggerer", "dag_processor")
        health = {
            key: {
                "status": "unhealthy" if key in self.server.unhealthy else "healthy",
                f"latest_{key}_heartbeat": "2026-03-01T11:59:00+00:00",
            }
            for key in keys
        }
        answer = health if path == "/api/v2/monitor/health" else self.server.answers.get(path)
        body = json.dumps(answer).encode()
        self.send_response(500 if self.server.is_silent else 404 if answer is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def airflow() -> Iterator[FakeAirflow]:
    with FakeAirflow() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def components(tmp_path: Path) -> Iterator[Components]:
    """Components whose processes sleep."""
    passwords_file(tmp_path).write_text('{"admin": "the-password"}')
    found = Components(tmp_path)
    for name in NAMES:
        found.processes[name] = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield found
    found.stop()


@pytest.fixture
def api(airflow: FakeAirflow, components: Components) -> Api:
    return Api(f"http://127.0.0.1:{airflow.server_port}", components.home)


@pytest.fixture
def monitor(airflow: FakeAirflow, components: Components, api: Api) -> Monitor:
    return Monitor(components, api, airflow.server_port)


def kinds(monitor: Monitor) -> dict[str, str]:
    return {name: state.kind for name, state in monitor.states().items()}


def test_a_component_without_a_heartbeat_hangs_and_the_others_do_not(airflow: FakeAirflow, monitor: Monitor) -> None:
    assert kinds(monitor) == dict.fromkeys(NAMES, HEALTHY)
    airflow.unhealthy = {"dag_processor"}
    assert kinds(monitor) == dict.fromkeys(NAMES, HEALTHY) | {"dag-processor": HANGS}
    assert str(monitor.states()["dag-processor"]) == "hangs: no heartbeat since 11:59:00 UTC"
    airflow.unhealthy = set()
    assert kinds(monitor) == dict.fromkeys(NAMES, HEALTHY)


def test_what_has_never_been_healthy_is_still_starting(airflow: FakeAirflow, monitor: Monitor) -> None:
    airflow.unhealthy = {"scheduler"}  # its last heartbeat is of the start before
    assert kinds(monitor)["scheduler"] == STARTING


def test_an_api_server_that_does_not_answer_hangs_after_a_while_and_says_nothing_of_the_others(
    airflow: FakeAirflow, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor.states()
    airflow.is_silent = True
    assert kinds(monitor) == dict.fromkeys(NAMES, HEALTHY)
    monkeypatch.setattr("local.monitor.PATIENCE", timedelta(0))
    assert kinds(monitor) == dict.fromkeys(NAMES, HEALTHY) | {"api-server": HANGS, "sandbox": HANGS}


def test_an_ended_component_is_known_by_its_process_even_if_airflow_still_calls_it_healthy(
    components: Components, monitor: Monitor
) -> None:
    components.processes["scheduler"].kill()
    components.processes["scheduler"].wait()
    assert kinds(monitor) == dict.fromkeys(NAMES, HEALTHY) | {"scheduler": ENDED}


def test_in_a_pipe_each_change_is_one_plain_line_with_the_log_and_the_login_comes_once(
    airflow: FakeAirflow, components: Components, api: Api, monitor: Monitor, capsys: pytest.CaptureFixture[str]
) -> None:
    with Screen(components, api, verbose=False) as screen:
        for unhealthy in ((), (), ("scheduler",), ("scheduler",), ()):
            airflow.unhealthy = set(unhealthy)
            screen.show(monitor.states())
    assert capsys.readouterr().out.splitlines() == [
        f"Airflow is ready: {api.url}",
        "  user admin  password the-password",
        "scheduler hangs: no heartbeat since 11:59:00 UTC",
        f"  its log: {components.home}/logs/scheduler.log",
        "scheduler is healthy again",
    ]


def test_verbose_streams_whole_lines_of_the_logs_once(
    components: Components, api: Api, monitor: Monitor, capsys: pytest.CaptureFixture[str]
) -> None:
    (components.home / "logs").mkdir()
    for name in NAMES:
        components.log_of(name).touch()
    log = components.log_of("triggerer")
    with Screen(components, api, verbose=True) as screen:
        for text in ("one\ntw", "o\n", ""):
            with log.open("a") as file:
                file.write(text)
            screen.show(monitor.states())
    lines = [line for line in capsys.readouterr().out.splitlines() if "|" in line]
    assert lines == ["triggerer     | one", "triggerer     | two"]


def test_each_run_of_a_shop_that_ends_is_one_line_and_told_once(airflow: FakeAirflow, monitor: Monitor) -> None:
    airflow.answers["/api/v2/dags/~/dagRuns"] = {"dag_runs": [RUN, RUN | {"dag_id": "order_status_freshness"}]}
    task = "/api/v2/dags/order_status_sync_demo/dagRuns/r1/taskInstances/account_for_rows"
    airflow.answers[f"{task}/xcomEntries/return_value"] = {"value": ACCOUNT}
    assert list(monitor.ended_runs()) == [
        "12:00:07 UTC  demo: 3,984 read = 2,722 unchanged, 1,238 superseded, 24 rejected"
    ]
    assert list(monitor.ended_runs()) == []
    again = {"state": "failed", "end_date": "2026-03-01T13:00:00Z", "dag_run_id": "r2"}
    airflow.answers["/api/v2/dags/~/dagRuns"] = {"dag_runs": [RUN | again]}
    assert list(monitor.ended_runs()) == ["13:00:00 UTC  demo: FAILED, no account"]


@pytest.mark.parametrize(
    ("account", "has_failed", "line"),
    [
        pytest.param({"read": 0, "sent": 0}, False, "0 read", id="nothing"),
        pytest.param({"read": 9, "sent": 2, "failed": 7}, True, "FAILED, 9 read = 2 sent, 7 failed", id="failed"),
        pytest.param(
            {"read": 5, "unchanged": 1, "rejected": 1, "would_send": 3},
            False,
            "5 read = 1 unchanged, 1 rejected (dry run: 3 would be sent)",
            id="dry-run",
        ),
    ],
)
def test_the_line_of_an_account(account: dict[str, int], has_failed: bool, line: str) -> None:
    assert account_line(account, has_failed=has_failed) == line
