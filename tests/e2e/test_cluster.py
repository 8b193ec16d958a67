"""
A year of history on two Celery workers that share no disk: own homes, own copies of the DAGs, staged files in S3.

One of them is killed in the middle, with all its processes, and is not started again.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
import yaml

from local import servers
from rees46_sync.sandbox import server as sandbox_module
from tests import ledger_log
from tests.conftest import PROJECT, SECRET, postgres_folder, rees46_connection

from .airflow_stack import (
    AirflowStack,
    addresses_listened_on,
    postgres_connection,
    postgres_uri,
    running_airflow,
)
from .conftest import HISTORY, LOCAL_SETTINGS, QUERY, SHOP, STATUSES, wait_until
from .test_crashes import assert_closes

pytestmark = [pytest.mark.e2e, pytest.mark.cluster, pytest.mark.timeout(1800)]

WORKERS = ("worker-1", "worker-2")
BUCKET = "orders"
MONTHS = [datetime(2025, month, 1, tzinfo=UTC) for month in range(1, 13)]
PARTITION_ROWS = 200
ORDERS = [300 if number % 4 == 1 else 120 for number in range(len(MONTHS))]
"""Orders of each month; some months have more than a partition."""

TIMEOUT_S = 900
"""For a year on a busy machine; an idle machine of two cores takes a fifth of it."""

HELD_S = 45
"""How long REES46 delays its response to a batch whose sender is killed: long enough to find and kill it."""

HEARTBEAT_TIMEOUT_S = 30
"""After this time the tasks of a dead worker are retried; on a busy machine a living one is never delayed so long."""

WORKER_SETTINGS = f"""{LOCAL_SETTINGS}

def worker_name():
    import os

    return os.environ["WORKER_NAME"]
"""
"""A worker imports what its tasks need before it forks them; it has a name of its own."""


class Cluster:
    """An Airflow with two workers, and its shop, whose warehouse is in PostgreSQL."""

    def __init__(self, airflow: AirflowStack, sandbox: sandbox_module.Sandbox, store: servers.ObjectStore) -> None:
        self.airflow = airflow
        self.sandbox = sandbox
        self.store = store
        self._warehouse = sa.create_engine(airflow.postgres_uri("warehouse"), poolclass=sa.NullPool)
        self._ledger = sa.create_engine(airflow.postgres_uri("ledger"), poolclass=sa.NullPool)

    def fill_warehouse(self) -> None:
        """Insert orders of each month; two of three change later in it, and one of five in the next one."""
        months = [month for month, orders in zip(MONTHS, ORDERS, strict=True) for _ in range(orders)]
        rows: list[dict[str, Any]] = []
        for number, month in enumerate(months):
            made = month + timedelta(days=1, seconds=number)
            changes = [("new", made)]
            if number % 3:
                changes.append(("delivered", made + timedelta(days=7)))
            if number % 5 == 0 and month != MONTHS[-1]:
                changes.append(("cancelled", made + timedelta(days=31)))
            rows += [{"id": f"order-{number:05}", "status": status, "at": at} for status, at in changes]
        with self._warehouse.begin() as db:
            db.execute(sa.text("CREATE TABLE orders (order_id TEXT, status TEXT, updated_at TIMESTAMPTZ)"))
            db.execute(sa.text("INSERT INTO orders VALUES (:id, :status, :at)"), rows)

    def final_statuses(self) -> dict[str, int]:
        """The newest status of each order in the warehouse."""
        newest = "SELECT DISTINCT ON (order_id) order_id, status FROM orders ORDER BY order_id, updated_at DESC"
        with self._warehouse.begin() as db:
            return {order_id: STATUSES.index(status) for order_id, status in db.execute(sa.text(newest))}

    def accounts(self) -> list[dict[str, Any]]:
        """The accounts of the finished months, without the month that unpausing the DAG starts."""
        query = "SELECT * FROM rees46_sync_runs WHERE window_start BETWEEN :first AND :last ORDER BY window_start"
        with self._ledger.begin() as db:
            if not sa.inspect(db).has_table("rees46_sync_runs"):
                return []
            return [dict(row._mapping) for row in db.execute(sa.text(query), {"first": MONTHS[0], "last": MONTHS[-1]})]

    def ledger_defects(self) -> list[str]:
        """What is wrong with the ledger, now that all loads have ended."""
        with self._ledger.begin() as db:
            return ledger_log.defects(db)

    def instances(self) -> list[dict[str, Any]]:
        """The task instances of all months."""
        return self.airflow.task_instances(HISTORY, "~")

    def given_up(self, run_id: str, task_id: str, map_index: int) -> bool:
        """Whether Airflow has noticed that the first attempt of a task instance is dead."""
        [ti] = [
            ti
            for ti in self.airflow.task_instances(HISTORY, run_id)
            if (ti["task_id"], ti["map_index"]) == (task_id, map_index)
        ]
        return bool(ti["try_number"] > 1 or ti["state"] != "running")

    def retried(self, run_id: str, task_id: str, map_index: int) -> dict[str, Any] | None:
        """A task instance, once its second attempt runs or has run."""
        for ti in self.airflow.task_instances(HISTORY, run_id):
            if (ti["task_id"], ti["map_index"]) == (task_id, map_index) and ti["try_number"] > 1 and ti["hostname"]:
                return ti if ti["state"] in ("running", "success") else None
        return None

    def staged(self) -> list[str]:
        """The keys of all staged files."""
        return [item["Key"] for item in self.store.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])]

    def kill_the_worker_of_a_load(self) -> dict[str, Any]:
        """Kill a worker that waits for REES46's response to a batch; return the task instance."""
        self.sandbox.latency_s, since = HELD_S, time.time()
        wait_until("a batch that waits for its response", lambda: self._has_pending_request(since), TIMEOUT_S)
        [load] = wait_until("the load that sent it", self._running_loads, TIMEOUT_S)
        self.airflow.kill(load["hostname"])
        self.sandbox.latency_s = 0
        return load

    def _has_pending_request(self, since: float) -> bool:
        return any(row["at"] >= since and row["seconds"] is None for row in self.sandbox.requests())

    def _running_loads(self) -> list[dict[str, Any]]:
        return [ti for ti in self.instances() if ti["task_id"] == "load_batches" and ti["state"] == "running"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with ExitStack() as stack:
        folder = stack.enter_context(postgres_folder())
        store = stack.enter_context(servers.object_store(folder / "s3"))
        broker = stack.enter_context(servers.broker(folder / "broker"))
        sandbox = stack.enter_context(sandbox_module.running("live-key", SECRET))
        store.client().create_bucket(Bucket=BUCKET)
        home = folder / "home"
        for place in (home, *(folder / name for name in WORKERS)):
            lay_out(place)
        env = {
            "REES46_SHOPS_DIR": str(home / "include" / "shops"),
            "AIRFLOW_CONN_LIVE_REES46": rees46_connection(sandbox, concurrency=1),
            "AIRFLOW_CONN_LIVE_WAREHOUSE": postgres_connection(home, "warehouse"),
            "AIRFLOW_CONN_LIVE_LEDGER": postgres_connection(home, "ledger"),
            "AIRFLOW_CONN_OBJECTS": store.connection,
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            # More than the workers' slots: the tasks of a dead worker keep theirs until they are delivered again.
            "AIRFLOW__CORE__PARALLELISM": "16",
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{postgres_uri(home, 'celery')}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": "2",
            "AIRFLOW__CELERY__OPERATION_TIMEOUT": "30",
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT_S),
            "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
            "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{BUCKET}/logs",
            "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "objects",
        }
        workers = {name: worker_environment(folder / name) for name in WORKERS}
        databases = ("celery", "warehouse", "ledger")
        airflow = stack.enter_context(
            running_airflow(home, home / "dags", PROJECT / "plugins", env, workers, databases)
        )
        yield Cluster(airflow, sandbox, store)


def lay_out(place: Path) -> None:
    """Create an AIRFLOW_HOME with its own copies of the DAGs and the shop file."""
    shutil.copytree(PROJECT / "dags", place / "dags", ignore=shutil.ignore_patterns("__pycache__"))
    shops = place / "include" / "shops"
    shops.mkdir(parents=True)
    (place / "config").mkdir()
    (place / "config" / "airflow_local_settings.py").write_text(WORKER_SETTINGS)
    (shops / "orders.sql").write_text(QUERY)
    shop_file = {
        "shop": SHOP,
        "warehouse_conn_id": "live_warehouse",
        "rees46_conn_id": "live_rees46",
        "ledger_conn_id": "live_ledger",
        "query": "orders.sql",
        "statuses": dict(zip(("created", "completed", "cancelled"), ([one] for one in STATUSES), strict=True)),
        "schedule": "0 0 1 1 *",
        "partition_rows": PARTITION_ROWS,
        "staging": f"s3://objects@{BUCKET}/staging",
    }
    (shops / f"{SHOP}.yaml").write_text(yaml.safe_dump(shop_file))


def worker_environment(home: Path) -> dict[str, str]:
    """The variables that let a worker run as on another machine."""
    return {
        "WORKER_NAME": home.name,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "airflow_local_settings.worker_name",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "REES46_SHOPS_DIR": str(home / "include" / "shops"),
    }


def test_a_year_runs_on_both_workers_and_nothing_is_lost_if_one_dies(cluster: Cluster) -> None:
    airflow = cluster.airflow
    cluster.fill_warehouse()
    airflow.wait_for_dag(HISTORY)
    airflow.unpause(HISTORY)
    year = airflow.create_backfill(
        HISTORY,
        MONTHS[0],
        MONTHS[-1],
        reprocess_behavior="completed",
        dag_run_conf={"dry_run": False},
        max_active_runs=4,
    )["id"]
    wait_until("three months", lambda: len(cluster.accounts()) >= 3, TIMEOUT_S, every_s=0.5)
    both = {ti["hostname"] for ti in cluster.instances() if ti["state"] == "success"}

    load = cluster.kill_the_worker_of_a_load()
    died = time.monotonic()
    place = (load["dag_run_id"], "load_batches", load["map_index"])
    wait_until("end of the first attempt", lambda: cluster.given_up(*place), TIMEOUT_S, every_s=1)
    noticed_after_s = time.monotonic() - died
    again = wait_until("next attempt of the load", lambda: cluster.retried(*place), TIMEOUT_S, every_s=1)
    airflow.wait_for_backfill(year, TIMEOUT_S)

    assert both == set(WORKERS)
    assert again["hostname"] in both - {load["hostname"]}
    assert noticed_after_s < 3 * HEARTBEAT_TIMEOUT_S
    months = cluster.accounts()
    assert [account["window_start"] for account in months] == MONTHS
    for account in months:
        assert_closes(account, outcome="success", rejected=0, failed=0)
    assert cluster.sandbox.state() == cluster.final_statuses()
    assert cluster.ledger_defects() == []
    stats = cluster.sandbox.stats()
    assert stats["violations"] == {}
    # At most the batch that was in flight was sent twice.
    assert stats["orders"] - sum(account["sent"] for account in months) <= PARTITION_ROWS
    assert [key for key in cluster.staged() if key.startswith("staging/live/") and not key.endswith("/")] == []


def test_the_log_of_a_task_is_read_from_the_object_store_whichever_worker_wrote_it(cluster: Cluster) -> None:
    for name in WORKERS:
        ti = next(
            ti
            for ti in cluster.instances()
            if ti["task_id"] == "extract_orders" and ti["state"] == "success" and ti["hostname"] == name
        )
        log = cluster.airflow.log(HISTORY, ti["dag_run_id"], ti["task_id"], ti["try_number"])
        assert f"Shop {SHOP}: reading orders.sql" in log
        assert cluster.store.secret not in log


def test_nothing_listens_beyond_the_loopback(cluster: Cluster) -> None:
    processes = [*cluster.airflow.processes(), psutil.Process(cluster.store.process.pid)]

    assert set[str]().union(*map(addresses_listened_on, processes)) == {"127.0.0.1"}
