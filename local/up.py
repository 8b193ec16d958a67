"""
A complete Airflow on this machine (``make up``): its four components, its own PostgreSQL and the sandbox.

Everything listens on 127.0.0.1 or on a Unix socket; all files are below ``.airflow``, the home of ``make run`` and the
other targets as well. The demo shop is created anew at each start, unpaused, and its orders change steadily; your own
shops are not changed (new ones are paused). The variables in ``.env`` are passed on to Airflow: connections
(``AIRFLOW_CONN_…``), ``REES46_SHOPS_DIR``, any ``AIRFLOW__…`` option.

Airflow's own ``standalone`` is not used because it opens log servers on every interface of the machine.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
import sqlalchemy as sa
from dotenv import dotenv_values

from local import live_demo, postgres
from local.api import USER, Api, passwords_file
from local.components import Component, Components, end_leftovers
from local.home import HeldHome, HomeTakenError, UnusableHomeError, held, keep_private, keys
from local.monitor import ENDED, Monitor, Screen
from rees46_sync.doctor.environment import HOME, PROJECT

LOCAL_SETTINGS = """\
import sys

# A scheduler, or a worker of Celery's, forks its tasks: they need not import again what it has imported.
if {"scheduler", "worker"} & set(sys.argv):
    import rees46_sync.preload
"""
"""The content of ``airflow_local_settings.py``, which Airflow reads as it starts; docs/scaling.md shows the same."""

EVERY_S = 2
"""How often the components are looked at."""


def main() -> int:
    """Run everything until Ctrl-C; return the exit code."""
    parser = make_parser("python -m local.up", "A complete Airflow on this machine.", HOME)
    parser.add_argument("--env-file", type=Path, default=PROJECT / ".env", help="variables for Airflow (.env)")
    options = parser.parse_args()
    return start("make up", options, lambda home: _run(home, options))


def _run(home: HeldHome, options: argparse.Namespace) -> int:
    folder: Path = options.home.resolve()
    with postgres.running(folder) as sockets:
        own = {k: v for k, v in dotenv_values(options.env_file, interpolate=False).items() if v is not None}
        settings = airflow_settings(folder, sockets, options)
        recreate_demo(folder, sockets)
        write_preload_settings(folder)
        print(f"{options.env_file.name} is read now and not again: restart after a change of it.", flush=True)
        home.tell(url=url(options), variables=settings)
        return run(folder, options, inherited() | settings | own, component_commands(folder, options))


def make_parser(program: str, description: str, home: Path) -> argparse.ArgumentParser:
    """Return the parser of the common options; ``home`` is the default of ``--home``."""
    parser = argparse.ArgumentParser(program, description=description)
    parser.add_argument("--port", type=int, default=8080, help="of Airflow's UI (8080)")
    parser.add_argument("--sandbox-port", type=int, default=8046, help="of the local REES46 (8046)")
    parser.add_argument("--home", type=Path, default=home, help="the folder for all files")
    parser.add_argument("--verbose", action="store_true", help="show the components' own lines")
    return parser


def start(target: str, options: argparse.Namespace, body: Callable[[HeldHome], int]) -> int:
    """
    Do something in a home that this process holds, if it can be done there; return the exit code.

    :param target: the command that started this, as a user types it.
    """
    home: Path = options.home.resolve()
    if " " in str(home):
        print(
            f"{target} cannot run in a path with a blank, because its PostgreSQL cannot: {home}\n"
            f'Move the project, or name another folder: .venv/bin/python -m local.{target[5:]} --home "$HOME/rees46"'
        )
        return 1
    try:
        with held(home) as mine:
            end_leftovers(home)
            if report_taken_port(target, options):
                return 1
            mine.tell(url=url(options))
            return body(mine)
    except (HomeTakenError, UnusableHomeError) as error:
        print(error)
        return 1


def url(options: argparse.Namespace) -> str:
    """Return the address of Airflow."""
    return f"http://127.0.0.1:{options.port}"


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
    options: argparse.Namespace,
    environment: Mapping[str, str],
    commands: Mapping[str, Sequence[str]],
    environments: Mapping[str, Mapping[str, str]] | None = None,
) -> int:
    """
    Run Airflow until Ctrl-C; return the exit code.

    :param commands: the arguments of ``python -m``, by the component's name.
    :param environments: additional variables of some components.
    """
    print("Airflow's database is being prepared …", flush=True)
    migration = [sys.executable, "-m", "airflow", "db", "migrate"]
    done = subprocess.run(migration, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own command
    if done.returncode:
        print(f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}\nAirflow's database in {home} cannot be prepared.")
        return 1
    components = Components(home)
    with _interruptible() as interrupted:
        try:
            for name, arguments in commands.items():
                its_own = {**environment, **(environments or {}).get(name, {})}
                cwd = PROJECT if name == "demo" else Path(its_own["AIRFLOW_HOME"])
                components.start(Component(name, arguments, its_own, cwd))
            print(f"Starting, which takes a minute. The logs:\n  {components.log_of('<component>')}", flush=True)
            return _watch(components, options, interrupted)
        finally:
            components.stop()


def _watch(components: Components, options: argparse.Namespace, interrupted: threading.Event) -> int:
    """Show what happens until a component ends, or Ctrl-C; return the exit code."""
    api = Api(url(options), components.home)
    monitor = Monitor(components, api, options.sandbox_port)
    with Screen(components, api, verbose=options.verbose) as screen:
        while not interrupted.wait(EVERY_S):
            states = monitor.states()
            screen.show(states)
            if any(state.kind == ENDED for state in states.values()):
                screen.line("So everything is stopped.")
                return 1
            try:
                for line in monitor.ended_runs():
                    screen.line(line)
            except requests.RequestException:
                continue  # it has not started yet, or its state says that it hangs
        screen.line("Everything is being stopped …")
        return 0


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Return an event that Ctrl-C, a termination and a closed terminal set."""
    event = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: event.set()) for number in signals}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def component_commands(home: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the arguments of ``python -m`` for Airflow's components, the sandbox and the live demo."""
    port, sandbox_port = options.port, options.sandbox_port
    identity = ["--shop-id", live_demo.SHOP_ID, "--shop-secret", live_demo.SHOP_SECRET]
    return {
        "sandbox": ["rees46_sync.sandbox", "--port", str(sandbox_port), *identity],
        "api-server": ["airflow", "api-server", "--host", "127.0.0.1", "--port", str(port)],
        # Log servers would listen on every interface; the API server reads the logs from the same disk.
        "scheduler": ["airflow", "scheduler", "--skip-serve-logs"],
        "triggerer": ["airflow", "triggerer", "--skip-serve-logs"],
        "dag-processor": ["airflow", "dag-processor"],
        "demo": ["local.live_demo", "--url", url(options), "--home", str(home)],
    }


def inherited() -> dict[str, str]:
    """Return the caller's variables without those of the caller's own Airflow."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "REES46"))}


def airflow_settings(home: Path, sockets: Path, options: argparse.Namespace) -> dict[str, str]:
    """Return the variables that make this Airflow: its settings, and the connections of the demo."""
    kept = keys(home)
    settings = {
        "CORE__DAGS_FOLDER": str(PROJECT / "dags"),
        "CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "8",
        "CORE__FERNET_KEY": kept["fernet_key"],
        "CORE__EXECUTION_API_SERVER_URL": f"{url(options)}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(home)),
        "CORE__TEST_CONNECTION": "Enabled",
        "DATABASE__SQL_ALCHEMY_CONN": postgres.sqlalchemy_url(sockets, "airflow"),
        "DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "API__BASE_URL": url(options),
        "API__SECRET_KEY": kept["api_secret"],
        "API_AUTH__JWT_SECRET": kept["jwt_secret"],
        "LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "LOGGING__FILE_TASK_HANDLER_NEW_FOLDER_PERMISSIONS": "0o700",
        "LOGGING__FILE_TASK_HANDLER_NEW_FILE_PERMISSIONS": "0o600",
        "LOGGING__COLORED_CONSOLE_LOG": "False",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    ledger = postgres.airflow_uri(sockets, "demo_ledger")
    connections = live_demo.connection_values(home, ledger, options.sandbox_port)
    return {
        "PYTHONUNBUFFERED": "1",
        "AIRFLOW_HOME": str(home),
        **{f"AIRFLOW__{name}": value for name, value in settings.items()},
        **{f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()},
    }


def write_preload_settings(home: Path) -> None:
    """Let the processes that fork tasks import beforehand what tasks need; keep an existing settings file."""
    settings = home / "config" / "airflow_local_settings.py"
    settings.parent.mkdir(parents=True, exist_ok=True)
    if not settings.exists():
        settings.write_text(LOCAL_SETTINGS)


def recreate_demo(home: Path, sockets: Path) -> None:
    """Create the demo's warehouse anew, and its ledger: it must not remember what an earlier sandbox had."""
    live_demo.recreate_warehouse(home)
    with postgres.administration(sockets) as connection:
        connection.execute(sa.text("DROP DATABASE IF EXISTS demo_ledger WITH (FORCE)"))
        connection.execute(sa.text("CREATE DATABASE demo_ledger"))


def _port_problem(port: int) -> str:
    """Return why a port of the loopback interface cannot be used; empty if it can."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return ""
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    except OverflowError as error:
        return str(error)


if __name__ == "__main__":
    keep_private()
    sys.exit(main())
