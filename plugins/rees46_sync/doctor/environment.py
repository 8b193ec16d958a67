"""
The environment in which the doctor and the dry run use Airflow: set before Airflow is imported.

Variables that are already set stay. Next comes ``.env``, which ``make up`` reads as well. Then, in the project's
private Airflow, come the settings of ``make up`` while it runs.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotenv import dotenv_values

from rees46_sync.shop.project import find_project

PROJECT = find_project()
HOME = PROJECT / ".airflow"

UP_FILE = "up.lock"
"""Locked by ``make up`` in its home while it runs: a JSON object with its ``pid``, ``url`` and ``variables``."""

STORED_CONNECTIONS = {"_AIRFLOW_PROCESS_CONTEXT": "server"}
"""As Airflow's own commands about connections do: otherwise it does not search its metadata database for them."""


def read_env_file(env_file: Path) -> None:
    """Set the variables of ``.env``, without interpolation; AIRFLOW_HOME defaults to the project's private Airflow."""
    for name, value in dotenv_values(env_file, interpolate=False).items():
        if value is not None:
            os.environ.setdefault(name, value)
    if (HOME / "airflow.cfg").exists():
        os.environ.setdefault("AIRFLOW_HOME", str(HOME))
    if os.environ.get("AIRFLOW_HOME") == str(HOME):
        for name, value in variables_of_up(HOME).items():
            os.environ.setdefault(name, value)


def variables_of_up(home: Path) -> dict[str, str]:
    """Return the variables of the ``make up`` that runs in a home, without those of ``.env``; none if none runs."""
    try:
        with (home / UP_FILE).open() as file:
            text = file.read()
            if not text:
                return {}
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return {}  # not locked: that make up was killed
    except BlockingIOError:
        variables: dict[str, str] = json.loads(text).get("variables", {})
        return variables
    except OSError:
        return {}


def configure_environment(env_file: Path) -> None:
    """Do the same, log errors only, and let Airflow use the connections of its metadata database."""
    read_env_file(env_file)
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    os.environ |= STORED_CONNECTIONS


@contextmanager
def stored_connections() -> Iterator[None]:
    """Let Airflow use the connections of its metadata database meanwhile; processes that are started later do not."""
    os.environ |= STORED_CONNECTIONS
    try:
        yield
    finally:
        for name in STORED_CONNECTIONS:
            del os.environ[name]
