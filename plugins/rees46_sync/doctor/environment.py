"""
The environment in which the doctor and the dry run use Airflow: set before Airflow is imported.

Variables that are already set stay. Next comes ``.env``, which ``make up`` reads as well; then the defaults below.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotenv import dotenv_values

PROJECT = Path(__file__).resolve().parents[3]

STORED_CONNECTIONS = {"_AIRFLOW_PROCESS_CONTEXT": "server"}
"""As Airflow's own commands about connections do: otherwise it does not search its metadata database for them."""


def read_env_file(env_file: Path) -> None:
    """Set the variables of ``.env``, without interpolation; AIRFLOW_HOME defaults to the project's private Airflow."""
    for name, value in dotenv_values(env_file, interpolate=False).items():
        if value is not None:
            os.environ.setdefault(name, value)
    if (PROJECT / ".airflow" / "airflow.cfg").exists():
        os.environ.setdefault("AIRFLOW_HOME", str(PROJECT / ".airflow"))


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
