"""
Airflow on several workers, on this machine (``make cluster``): what ``make up`` starts, with Celery and two workers.

Each worker has an AIRFLOW_HOME of its own and copies of its own of ``dags/`` and ``include/``, as on machines of their
own; staged files, Data Docs and logs are in an object store, which comes as a Python package, like the broker. The demo
shop is the only one. Its warehouse, a SQLite file, stands in for a database server that all workers reach.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from local import live_demo, servers, up

WORKERS = ("worker-1", "worker-2")
BUCKET, CONN_ID = "rees46", "objects"
STAGING = f"\nstaging: s3://{CONN_ID}@{BUCKET}/staging\n"


def main() -> int:
    """Start everything, and stop all of it with Ctrl-C; return the exit code."""
    options = up.parser_of("python -m local.cluster", "Airflow on two workers.", "cluster").parse_args()
    if up.taken("make cluster", options):
        return 1
    home: Path = options.home.resolve()
    shutil.rmtree(home / "s3", ignore_errors=True)
    for place in (home, *(home / name for name in WORKERS)):
        _lay_out(place)
    for name in WORKERS:
        up.preload(home / name)
    with (
        up.postgres(home) as sockets,
        servers.object_store(home / "s3") as store,
        servers.broker(home / "broker") as broker,
    ):
        store.client().create_bucket(Bucket=BUCKET)
        environment = up.environment_of(
            home, sockets, options, _settings(home, store, broker, up.sqlalchemy_url(sockets, "airflow"))
        )
        up.make_demo_anew(home, sockets)
        workers = {name: ["airflow", "celery", "worker", "--skip-serve-logs", "-H", name] for name in WORKERS}
        commands = {**up.commands_of(home, options), **workers}
        return up.run(home, environment, commands, {name: _own_of(home / name) for name in WORKERS})


def _lay_out(place: Path) -> None:
    """Copy what a machine of a cluster has of the project; the demo shop stages where all of them reach."""
    for folder in ("dags", "include"):
        shutil.rmtree(place / folder, ignore_errors=True)
        shutil.copytree(up.PROJECT / folder, place / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shops = place / "include" / "shops"
    for shop_file in shops.glob("*.yaml"):
        if shop_file.name != live_demo.SHOP_FILE.name:
            shop_file.unlink()
    with (shops / live_demo.SHOP_FILE.name).open("a") as demo:
        demo.write(STAGING)


def _settings(home: Path, store: servers.ObjectStore, broker: str, database: str) -> Mapping[str, str]:
    return {
        **_own_of(home),
        f"AIRFLOW_CONN_{CONN_ID.upper()}": store.connection,
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CELERY__BROKER_URL": broker,
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
        # No task of the demo takes as long; what a lost worker had fetched goes to the other one after this time.
        "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "600",
        # A worker's disk is no other's, and its log server would listen on every interface.
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{BUCKET}/logs",
        "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": CONN_ID,
    }


def _own_of(place: Path) -> Mapping[str, str]:
    return {
        "AIRFLOW_HOME": str(place),
        "AIRFLOW__CORE__DAGS_FOLDER": str(place / "dags"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(place / "logs"),
        "REES46_SHOPS_DIR": str(place / "include" / "shops"),
    }


if __name__ == "__main__":
    sys.exit(main())
