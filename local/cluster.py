"""
Airflow on several workers, on this machine (``make cluster``): the same as ``make up``, with Celery and two workers.

Each worker has its own AIRFLOW_HOME and its own copies of ``dags/`` and ``include/``, as if on a machine of its own;
staged files, Data Docs and logs are in an object store, a Python package like the broker. The demo shop is the only
shop. Its warehouse, a SQLite file, stands in for a database server that all workers reach.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from local import demo, postgres, servers, up
from local.home import keep_private
from rees46_sync.doctor.environment import HOME, PROJECT

WORKERS = ("worker-1", "worker-2")
BUCKET, CONN_ID = "rees46", "objects"
STAGING = f"\nstaging: s3://{CONN_ID}@{BUCKET}/staging\n"


def main() -> int:
    """Run everything until Ctrl-C; return the exit code."""
    options = up.make_parser("python -m local.cluster", "Airflow on two workers.", HOME / "cluster").parse_args()
    return up.start("make cluster", options, lambda _: _run(options))


def _run(options: argparse.Namespace) -> int:
    home: Path = options.home.resolve()
    shutil.rmtree(home / "s3", ignore_errors=True)
    for place in (home, *(home / name for name in WORKERS)):
        _lay_out(place)
    for name in WORKERS:
        up.write_preload_settings(home / name)
    with (
        postgres.running(home) as sockets,
        servers.object_store(home / "s3") as store,
        servers.broker(home / "broker") as broker,
    ):
        store.client().create_bucket(Bucket=BUCKET)
        own = _settings(home, store, broker, postgres.sqlalchemy_url(sockets, "airflow"))
        environment = up.inherited() | up.airflow_settings(home, sockets, options) | own
        up.recreate_demo(home, sockets)
        workers = {name: ["airflow", "celery", "worker", "--skip-serve-logs", "-H", name] for name in WORKERS}
        commands = {**up.component_commands(home, options), **workers}
        return up.run(
            home, options, environment, commands, {name: _worker_environment(home / name) for name in WORKERS}
        )


def _lay_out(place: Path) -> None:
    """Copy the parts of the project that a machine of a cluster has; stage the demo shop in the object store."""
    for folder in ("dags", "include"):
        shutil.rmtree(place / folder, ignore_errors=True)
        shutil.copytree(PROJECT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shops = place / "include" / "shops"
    for shop_file in shops.glob("*.yaml"):
        if shop_file.name != demo.SHOP_FILE.name:
            shop_file.unlink()
    with (shops / demo.SHOP_FILE.name).open("a") as file:
        file.write(STAGING)


def _settings(home: Path, store: servers.ObjectStore, broker: str, database: str) -> dict[str, str]:
    return {
        **_worker_environment(home),
        f"AIRFLOW_CONN_{CONN_ID.upper()}": store.connection,
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": broker,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
        # Longer than any task of the demo; after this time the tasks of a lost worker go to the other one.
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "600",
        # Workers share no disk, and a log server would listen on every interface.
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{BUCKET}/logs",
        "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": CONN_ID,
    }


def _worker_environment(place: Path) -> Mapping[str, str]:
    return {
        "AIRFLOW_HOME": str(place),
        "AIRFLOW__CORE__DAGS_FOLDER": str(place / "dags"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(place / "logs"),
        "REES46_SHOPS_DIR": str(place / "include" / "shops"),
    }


if __name__ == "__main__":
    keep_private()
    sys.exit(main())
