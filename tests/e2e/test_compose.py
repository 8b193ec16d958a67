"""
What compose.yaml starts, without Docker: its secrets, environments, commands and health checks, on this machine.

The names of its hosts and paths are replaced by what is here. The images, the networks and the volumes are not tested.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import sqlalchemy as sa
import yaml

from local import servers
from rees46_sync.sandbox import server as sandbox_module
from tests.conftest import PROJECT, SECRET, postgres_folder, rees46_connection
from tests.tls import postgres_front

from .airflow_stack import AirflowStack, addresses_listened_on, embedded_postgres
from .conftest import QUERY, SHOP, STATUSES, SYNC, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.cluster, pytest.mark.timeout(1200)]

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text("utf-8"))
AIRFLOW = {name: service for name, service in COMPOSE["services"].items() if service["image"] == "rees46-airflow"}
ORDERS = {f"order-{number}": number % 3 for number in range(50)}


class Machine:
    """This machine in place of the containers: what stands for their hosts and paths, and their processes."""

    def __init__(self, folder: Path, replaced: Mapping[str, str], own: Mapping[str, str]) -> None:
        self.folder = folder
        self._replaced = replaced
        self._own = own
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *more: str) -> subprocess.Popen[bytes]:
        """Start the command of a service, with further options."""
        command = [self._here(part) for part in AIRFLOW[name]["command"]]
        with (self.folder / f"{name}.log").open("wb") as log:
            self._running[name] = subprocess.Popen(
                [*command, *more],
                env=self._environment(name),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self._running[name]

    def is_healthy(self, name: str) -> bool:
        """Run the health check of a service."""
        assert self._running[name].poll() is None, self.log(name)
        kind, *test = [self._here(part) for part in AIRFLOW[name]["healthcheck"]["test"]]
        command = test if kind == "CMD" else ["sh", "-c", *test]
        return subprocess.run(command, env=self._environment(name), capture_output=True, check=False).returncode == 0

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def processes(self) -> list[psutil.Process]:
        """All processes of all services."""
        leaders = [psutil.Process(process.pid) for process in self._running.values() if process.poll() is None]
        return [process for leader in leaders for process in [leader, *leader.children(recursive=True)]]

    def stop(self) -> None:
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for leader in self._running.values():
            leader.wait(30)

    def _here(self, text: str) -> str:
        for there, here in self._replaced.items():
            text = text.replace(there, here)
        return text.replace("$$", "$")

    def _environment(self, name: str) -> dict[str, str]:
        scripts = Path(sys.executable).parent
        inherited = {name: value for name, value in os.environ.items() if "AIRFLOW" not in name}
        composed = {name: self._here(str(value)) for name, value in AIRFLOW[name]["environment"].items()}
        return inherited | composed | self._own | {"PATH": f"{scripts}:{os.environ['PATH']}"}


@pytest.fixture
def machine() -> Iterator[tuple[Machine, AirflowStack, sandbox_module.Sandbox]]:
    with ExitStack() as stack:
        folder = stack.enter_context(postgres_folder())
        postgres = stack.enter_context(embedded_postgres(folder))
        front = stack.enter_context(postgres_front(folder / "postgres" / ".s.PGSQL.5432", None))
        store = stack.enter_context(servers.object_store(folder / "s3"))
        broker = stack.enter_context(servers.broker(folder / "broker"))
        sandbox = stack.enter_context(sandbox_module.running("live-key", SECRET))
        home, secrets = folder / "airflow", make_secrets(folder / "compose")
        make_databases(folder / "postgres")
        lay_out(home)
        shutil.copy(secrets / "users.json", home)
        connections = json.loads((secrets / "connections.json").read_text())
        assert set(connections) == {"objects", "ledger"}
        connections["objects"] = json.loads(store.connection)
        connections["ledger"] |= {"host": "127.0.0.1", "port": front.port}
        connections["live_warehouse"] = connections["ledger"] | {"schema": "warehouse"}
        connections["live_rees46"] = json.loads(rees46_connection(sandbox))
        (secrets / "connections.json").write_text(json.dumps(connections))
        for name in ("database", "results"):
            text = (secrets / name).read_text()
            assert "@postgres:5432/" in text
            (secrets / name).write_text(text.replace("@postgres:5432/", f"@127.0.0.1:{front.port}/"))
        (secrets / "broker").write_text(broker)
        api, health = servers.free_ports(2)
        replaced = {
            "/run/secrets": str(secrets),
            "/opt/airflow": str(home),
            "http://api-server:8080": f"http://127.0.0.1:{api}",
            "localhost:8080": f"127.0.0.1:{api}",
            "localhost:8974": f"127.0.0.1:{health}",
        }
        own = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(api),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_HOST": "127.0.0.1",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(health),
            "HOSTNAME": socket.gethostname(),
        }
        here = Machine(folder, replaced, own)
        stack.callback(here.stop)
        airflow = AirflowStack(home, {}, api, postgres, {})
        yield here, airflow, sandbox


def make_secrets(folder: Path) -> Path:
    """Let a copy of the script write its files; return their folder."""
    folder.mkdir()
    script = shutil.copy(PROJECT / "deploy" / "compose" / "make-secrets", folder)
    subprocess.run([script], check=True, capture_output=True)
    return folder / "secrets"


def make_databases(sockets: Path) -> None:
    engine = sa.create_engine(
        f"postgresql+psycopg2://postgres@/postgres?host={sockets}", isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    with engine.connect() as db:
        db.execute(sa.text("CREATE ROLE airflow LOGIN"))
        for name in ("airflow", "ledger", "warehouse"):
            db.execute(sa.text(f"CREATE DATABASE {name} OWNER airflow"))
    warehouse = sa.create_engine(f"postgresql+psycopg2://airflow@/warehouse?host={sockets}", poolclass=sa.NullPool)
    rows = [{"id": order, "status": STATUSES[code]} for order, code in ORDERS.items()]
    with warehouse.begin() as db:
        db.execute(sa.text("CREATE TABLE orders (order_id TEXT, status TEXT, updated_at TIMESTAMPTZ)"))
        db.execute(sa.text("INSERT INTO orders VALUES (:id, :status, '2026-03-01 12:00Z')"), rows)


def lay_out(home: Path) -> None:
    """Make what the image and its volume bring: the DAGs, a shop, its query."""
    shutil.copytree(PROJECT / "dags", home / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shops = home / "include" / "shops"
    shops.mkdir(parents=True)
    (shops / "orders.sql").write_text(QUERY)
    shop_file = {
        "shop": SHOP,
        "warehouse_conn_id": "live_warehouse",
        "rees46_conn_id": "live_rees46",
        "ledger_conn_id": "ledger",
        "query": "orders.sql",
        "statuses": dict(zip(("created", "completed", "cancelled"), ([one] for one in STATUSES), strict=True)),
        "staging": "s3://objects@rees46/staging",
    }
    (shops / f"{SHOP}.yaml").write_text(yaml.safe_dump(shop_file))


def log_in(airflow: AirflowStack, users: Path) -> None:
    [(name, password)] = json.loads(users.read_text()).items()
    credentials = {"username": name, "password": password}
    answer = requests.post(f"{airflow.url}/auth/token", json=credentials, timeout=120)
    answer.raise_for_status()
    airflow.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def test_the_services_of_compose_start_are_healthy_and_run_a_shop(
    machine: tuple[Machine, AirflowStack, sandbox_module.Sandbox],
) -> None:
    here, airflow, sandbox = machine
    assert here.start("set-up").wait(300) == 0, here.log("set-up")

    for name in sorted(AIRFLOW.keys() - {"set-up"}):
        # Log servers listen on every interface.
        here.start(name, *(["--skip-serve-logs"] if name in ("worker", "triggerer", "scheduler") else []))
    for name in sorted(AIRFLOW.keys() - {"set-up"}):
        wait_until(f"health of {name}", lambda name=name: here.is_healthy(name), 300)
    log_in(airflow, here.folder / "airflow" / "users.json")
    airflow.wait_for_dag(SYNC)
    airflow.unpause(SYNC)
    window = {"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-03-02T00:00:00Z"}
    run_id = airflow.trigger(SYNC, conf=window)

    assert airflow.wait_for_run(SYNC, run_id, 600) == "success"
    assert sandbox.state() == ORDERS
    assert {address for process in here.processes() for address in addresses_listened_on(process)} == {"127.0.0.1"}


def test_each_secret_of_compose_is_written_by_the_script_and_for_its_owner_alone(tmp_path: Path) -> None:
    written = {file.name: file.stat().st_mode & 0o777 for file in make_secrets(tmp_path / "compose").iterdir()}

    named = {Path(secret["file"]).name for secret in COMPOSE["secrets"].values()}
    assert named | {"users.json"} == set(written)
    assert set(written.values()) == {0o600}
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()


def test_secrets_that_are_there_already_are_kept(tmp_path: Path) -> None:
    first = (make_secrets(tmp_path / "compose") / "database").read_text()

    done = subprocess.run([tmp_path / "compose" / "make-secrets"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "deploy/compose/secrets is there already: nothing was changed.\n")
    assert (tmp_path / "compose" / "secrets" / "database").read_text() == first
