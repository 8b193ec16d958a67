"""
The environment in which the doctor and the dry run use Airflow: set before Airflow is imported.

Variables that are already set stay. Next comes ``.env``, which ``make up`` reads as well; then the defaults below.
"""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

PROJECT = Path(__file__).resolve().parents[3]


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
    # As Airflow's own commands about connections do: otherwise it does not search its metadata database for them.
    os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
