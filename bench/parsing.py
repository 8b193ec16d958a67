"""
How long Airflow takes to parse a DAG file: as in its DAG processor, in a fork of a process that has loaded the plugins
and imported Airflow and those parts of it that the file imports.

    python -m bench.parsing dags/order_status_sync.py   # prints the seconds of each parsing, as JSON
    python -m bench.parsing --without-plugins bench/dags/empty.py   # as in an Airflow without this project
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

TRIES = 9
WITHOUT_PLUGINS = "--without-plugins"


def seconds_to_parse(file: Path, environment: Mapping[str, str], *, plugins: bool) -> list[float]:
    """Parse a DAG file several times, in forks of a process that has loaded the plugins or not; return the seconds."""
    command = [sys.executable, "-m", "bench.parsing", *([] if plugins else [WITHOUT_PLUGINS]), str(file)]
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=True)
    return [float(seconds) for seconds in json.loads(done.stdout.splitlines()[-1])]


def _parse(file: str) -> float:
    from airflow.dag_processing.dagbag import DagBag

    began = time.perf_counter()
    bag = DagBag(file)
    seconds = time.perf_counter() - began
    if bag.import_errors or not bag.dags:
        raise RuntimeError(f"{file}: {bag.import_errors or 'no DAG'}")
    return seconds


def main() -> None:
    """Import what the parent of a parsing process imports, then parse in forks."""
    import importlib

    from airflow.listeners.listener import get_listener_manager
    from airflow.utils.file import iter_airflow_imports

    *options, file = sys.argv[1:]
    if WITHOUT_PLUGINS not in options:
        # Loads the plugins, as every Airflow job does when it starts (airflow.jobs.job.Job), also the DAG processor.
        get_listener_manager()
    for module in iter_airflow_imports(file):
        importlib.import_module(module)
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as forks:
        print(json.dumps([forks.apply(_parse, (file,)) for _ in range(TRIES)]))


if __name__ == "__main__":
    main()
