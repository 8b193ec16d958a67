"""Where the files of a project are, for commands that run before Airflow is imported."""

from __future__ import annotations

import os
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parents[3]


def find_project() -> Path:
    """Return the folder that has ``include/`` and ``.env``: this checkout; for an installed package, Airflow's home."""
    if _CHECKOUT.joinpath("plugins", "rees46_sync") == Path(__file__).resolve().parents[1]:
        return _CHECKOUT
    return Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser().absolute()
