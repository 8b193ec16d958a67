"""
One shop on a real Airflow: the project's own dags/ and plugins/ with a warehouse in SQLite and a ledger in PostgreSQL.

The sandbox runs in this process, so it outlives everything that a test kills.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
import yaml

from local import up
from rees46_sync.sandbox import server as sandbox_module
from tests import ledger_log
from tests.conftest import PROJECT, SECRET, postgres_folder, rees46_connection

from .airflow_stack import FINISHED, AirflowStack, postgres_connection, running_airflow

SHOP = "live"
SYNC, HISTORY = f"order_status_sync_{SHOP}", f"order_status_history_{SHOP}"
POOL = f"rees46_{SHOP}"
SUMMANDS = ("sent", "unchanged", "superseded", "stale", "reopened", "rejected", "held", "failed")

CONCURRENCY = 2
BATCH = 1000
ORDERS = 12_000
PARTITIONS, PARTITION_ROWS = 2, 6_500
LATENCY_MS = 300
"""Each of two partitions of six or seven batches, two at a time, takes a second or more."""

SUPERSEDED, UNMAPPED = 300, 7
STATUSES = ("new", "delivered", "cancelled")
DAY = datetime(2026, 3, 1)  # noqa: DTZ001 - SQLite has no time zones
WINDOW = {"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-03-03T00:00:00Z"}

FEED = "https://shop.example/feed.xml"
MAX_UNASKED = 20

RUN_TIMEOUT_S = 900
"""A run takes half a minute on an idle machine, and minutes on a busy one."""

QUERY = """
SELECT order_id, status, updated_at FROM orders WHERE updated_at >= :window_start AND updated_at < :window_end
"""

LOCAL_SETTINGS = f"""{up.LOCAL_SETTINGS}
from datetime import timedelta


def task_policy(task):
    from rees46_sync.airflow_adapters import retry_policy as retries

    task.retry_delay = timedelta(seconds=1)
    retries.MIN_DELAY = retries.MAX_DELAY = timedelta(seconds=4)
"""
"""Airflow's cluster policy: the DAGs have the same number of retries, after seconds instead of minutes."""

T = TypeVar("T")


def wait_until(what: str, ready: Callable[[], T], timeout_s: float = RUN_TIMEOUT_S, every_s: float = 0.2) -> T:
    """Return the result of `ready` as soon as it is true."""
    deadline = time.monotonic() + timeout_s
    while not (result := ready()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(every_s)
    return result


def rewrite(shop_file: Path, **keys: Any) -> dict[str, Any]:
    """Change keys of a shop file, all at once: a task reads it when it starts. Return the previous values."""
    before = yaml.safe_load(shop_file.read_text())
    whole = shop_file.with_suffix(".new")
    whole.write_text(yaml.safe_dump(before | keys))
    whole.replace(shop_file)
    return {key: before[key] for key in keys}


class LiveShop:
    """
    A shop whose DAGs run on a real Airflow.

    :ivar staging: the folder of staged files.
    """

    def __init__(self, airflow: AirflowStack, sandbox: sandbox_module.Sandbox, folder: Path) -> None:
        self.airflow = airflow
        self.sandbox = sandbox
        self.staging = folder / "staging"
        self.staging.mkdir()
        self._warehouse = folder / "warehouse.db"
        self._shop_file = folder / "shops" / f"{SHOP}.yaml"
        self._admin = sa.create_engine(airflow.postgres_uri("postgres"), isolation_level="AUTOCOMMIT")
        self._ledger = sa.create_engine(airflow.create_database("ledger"), poolclass=sa.NullPool)
        self._generation = 0
        with self.warehouse() as db:
            db.execute("CREATE TABLE orders (order_id TEXT, status TEXT, updated_at TEXT)")
            db.execute("CREATE INDEX orders_by_id ON orders (order_id)")
            db.execute("CREATE INDEX orders_by_time ON orders (updated_at)")

    @contextmanager
    def configured(self, **keys: Any) -> Iterator[None]:
        """Change keys of the shop file for the tasks that start meanwhile."""
        before = rewrite(self._shop_file, **keys)
        try:
            yield
        finally:
            rewrite(self._shop_file, **before)

    @contextmanager
    def warehouse(self, begin: str = "BEGIN") -> Iterator[sqlite3.Connection]:
        """One transaction in the warehouse; readers wait for the end of a `BEGIN EXCLUSIVE`."""
        with closing(sqlite3.connect(self._warehouse, isolation_level=None, timeout=60)) as db:
            db.execute(begin)
            yield db
            db.execute("COMMIT")

    def stock(self) -> None:
        """Fill the warehouse with orders of two days."""
        numbers = range(ORDERS)
        rows = [
            *((n, "new", DAY) for n in numbers[:SUPERSEDED]),
            *((n, STATUSES[n % len(STATUSES)], DAY + timedelta(hours=6)) for n in numbers),
            *((ORDERS + n, "lost", DAY) for n in range(UNMAPPED)),
        ]
        self.lay((n, status, at + timedelta(seconds=n)) for n, status, at in rows)

    def lay(self, rows: Iterable[tuple[int, str, datetime]]) -> None:
        """
        Fill the warehouse with new orders, and let REES46 forget all others.

        :param rows: an order's number, status and time.
        """
        self._generation += 1
        self.sandbox.reset(latency_ms=LATENCY_MS)
        with self.warehouse() as db:
            db.execute("DELETE FROM orders")
            db.executemany(
                "INSERT INTO orders VALUES (?, ?, ?)",
                [(f"{self._generation}-{n:06}", status, str(at)) for n, status, at in rows],
            )

    def final_statuses(self) -> dict[str, int]:
        """What REES46 should have: the newest version of each order with a status that the shop file maps."""
        with self.warehouse() as db:
            rows = db.execute("SELECT order_id, status FROM orders WHERE status <> 'lost' ORDER BY updated_at")
            return {order_id: STATUSES.index(status) for order_id, status in rows}

    def ledger_rows(self, query: str, **parameters: Any) -> list[sa.Row[Any]]:
        """Run a query in the ledger."""
        with self._ledger.begin() as connection:
            return list(connection.execute(sa.text(query), parameters))

    def ledger_defects(self) -> list[str]:
        """What is wrong with the ledger, now that all loads have ended."""
        with self._ledger.begin() as connection:
            return ledger_log.defects(connection)

    def account(self, run_id: str) -> dict[str, Any]:
        """The run's record in the ledger."""
        [record] = self.ledger_rows("SELECT * FROM rees46_sync_runs WHERE run_id = :run_id", run_id=run_id)
        return dict(record._mapping)

    def trigger(self, dag_id: str = SYNC, *, logical_date: datetime | None = None, **params: Any) -> str:
        """Start a run by hand over all orders of two days, or over another window."""
        return self.airflow.trigger(dag_id, logical_date=logical_date, conf=WINDOW | params)

    def end_of(self, run_id: str, dag_id: str = SYNC) -> str:
        """Return the state in which a run ends."""
        return self.airflow.wait_for_run(dag_id, run_id, RUN_TIMEOUT_S)

    def instances(self, run_id: str, task_id: str, dag_id: str = SYNC) -> dict[int, tuple[str | None, int]]:
        """State and number of attempts of each instance of a task, by its map index."""
        return {
            ti["map_index"]: (ti["state"], ti["try_number"])
            for ti in self.airflow.task_instances(dag_id, run_id)
            if ti["task_id"] == task_id
        }

    def wait_for_load(self, run_id: str, dag_id: str = SYNC, loads: int = PARTITIONS) -> None:
        """Return once all load tasks of the run wait for the pool."""

        def states() -> list[str | None]:
            return [state for state, _ in self.instances(run_id, "load_batches", dag_id).values()]

        wait_until("load tasks that wait", lambda: states() == ["scheduled"] * loads)

    def clear(self, run_id: str, task_ids: list[str] | None) -> None:
        """Clear failed tasks of the run, or with None all of its tasks."""
        self.airflow.clear(SYNC, run_id, task_ids, only_failed=task_ids is not None)
        wait_until("cleared run", lambda: self.airflow.run(SYNC, run_id)["state"] not in FINISHED)

    def mark_failed(self, run_id: str, task_id: str, map_index: int) -> None:
        """Do what the UI's button does."""
        path = f"{self.airflow.url}/api/v2/dags/{SYNC}/dagRuns/{run_id}/taskInstances/{task_id}/{map_index}"
        self.airflow.session.patch(path, json={"new_state": "failed"}, timeout=120).raise_for_status()

    @contextmanager
    def load_in_the_middle(self, run_id: str, hold_s: float) -> Iterator[int]:
        """Return the process of a load task that has received responses and waits `hold_s` for the next ones."""
        wait_until("three batches at REES46", lambda: self.sandbox.stats()["accepted"] >= 3, every_s=0.02)
        self.sandbox.latency_s = hold_s
        [pid] = self.airflow.wait_for_task_pids("load_batches", run_id)
        yield pid
        self.sandbox.latency_s = LATENCY_MS / 1000

    @contextmanager
    def ledger_locked(self) -> Iterator[None]:
        """Block every query for what REES46 has."""
        with self._ledger.begin() as connection:
            connection.execute(sa.text("LOCK TABLE rees46_accepted_statuses IN ACCESS EXCLUSIVE MODE"))
            yield

    def waiting_for_ledger(self) -> int:
        """How many sessions wait for a lock in the ledger."""
        with self._admin.connect() as connection:
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'ledger' AND wait_event_type = 'Lock'"
            return int(connection.scalar(sa.text(query)) or 0)

    @contextmanager
    def ledger_gone(self) -> Iterator[None]:
        """The ledger's database ends all connections and accepts no new ones."""
        hang_up = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'ledger'"
        with self._admin.connect() as connection:
            connection.execute(sa.text("ALTER DATABASE ledger ALLOW_CONNECTIONS false"))
            connection.execute(sa.text(hang_up))
            try:
                yield
            finally:
                connection.execute(sa.text("ALTER DATABASE ledger ALLOW_CONNECTIONS true"))

    @contextmanager
    def staging_gone(self) -> Iterator[None]:
        """A plain file is in the place of the staging folder; not even root can write below it, as on a full disk."""
        kept = self.staging.rename(self.staging.with_suffix(".kept"))
        self.staging.touch()
        try:
            yield
        finally:
            self.staging.unlink()
            kept.rename(self.staging)


@pytest.fixture(scope="module")
def _live_shop() -> Iterator[LiveShop]:
    with postgres_folder() as folder, running_shop(folder) as shop:
        yield shop


@contextmanager
def running_shop(folder: Path, **keys: Any) -> Iterator[LiveShop]:
    """Run a shop on an Airflow of its own; ``keys`` are added to its shop file."""
    home, shops = folder / "home", folder / "shops"
    shops.mkdir()
    (home / "config").mkdir(parents=True)
    (home / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)
    (shops / "orders.sql").write_text(QUERY)
    shop_file = {
        "shop": SHOP,
        "warehouse_conn_id": "live_warehouse",
        "rees46_conn_id": "live_rees46",
        "ledger_conn_id": "live_ledger",
        "query": "orders.sql",
        "statuses": {"created": ["new"], "completed": ["delivered"], "cancelled": ["cancelled"]},
        # Once a year: no scheduled run interferes.
        "schedule": "0 0 1 1 *",
        "partition_rows": PARTITION_ROWS,
        "staging": f"file://{folder}/staging",
    }
    (shops / f"{SHOP}.yaml").write_text(yaml.safe_dump(shop_file | keys))
    with sandbox_module.running("live-key", SECRET) as sandbox:
        env = {
            "REES46_SHOPS_DIR": str(shops),
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW_CONN_LIVE_REES46": rees46_connection(sandbox, concurrency=CONCURRENCY),
            "AIRFLOW_CONN_LIVE_WAREHOUSE": f"sqlite:///{folder}/warehouse.db?timeout=60",
            "AIRFLOW_CONN_LIVE_LEDGER": postgres_connection(home, "ledger"),
        }
        with running_airflow(home, PROJECT / "dags", PROJECT / "plugins", env) as airflow:
            shop = LiveShop(airflow, sandbox, folder)
            for dag_id in (SYNC, HISTORY):
                airflow.wait_for_dag(dag_id)
                airflow.unpause(dag_id)
            for dag_id in (SYNC, HISTORY):  # Airflow runs the latest year and month at once
                [run] = wait_until(f"first run of {dag_id}", lambda dag_id=dag_id: airflow.runs(dag_id))
                assert shop.end_of(run["dag_run_id"], dag_id) == "success"
            yield shop


@pytest.fixture
def live_shop(_live_shop: LiveShop) -> Iterator[LiveShop]:
    """The shop with new orders, which REES46 does not have; one load at a time."""
    _live_shop.airflow.set_pool(POOL, 1)
    _live_shop.stock()
    yield _live_shop
    assert _live_shop.ledger_defects() == []


@pytest.fixture(scope="module")
def _asking_shop() -> Iterator[LiveShop]:
    keys = {"on_limit": "ask", "limits": {"changed_orders": MAX_UNASKED}, "feed_asset": FEED}
    with postgres_folder() as folder, running_shop(folder, **keys) as shop:
        yield shop


@pytest.fixture
def asking_shop(_asking_shop: LiveShop) -> LiveShop:
    """A shop that needs approval for many changes, and syncs when its feed was generated; without orders."""
    _asking_shop.lay([])
    _asking_shop.sandbox.latency_s = 0
    return _asking_shop
