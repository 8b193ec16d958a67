"""
Ours: a private Airflow with one shop, whose DAG is run by ``airflow dags test``, as a user runs it.

Nothing is left out: Great Expectations, the ledger (on PostgreSQL), the account. Airflow's own metadata database is a
copy of the one that ``make setup`` migrated, so that the measurement covers exactly the command.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import yaml

from bench.data import SINCE, STATUSES, UNTIL, Databases, Orders
from bench.receiver import SHOP_ID, SHOP_SECRET, Receiver

PROJECT = Path(__file__).resolve().parents[1]
AIRFLOW_DATABASE = PROJECT / ".airflow" / "airflow.db"
DAG_ID = "order_status_sync_bench"
FEED = "bench://feed"
"""The asset that also starts the DAG."""

PARTITION_ROWS = 500_000
"""Twice the default, as docs/scaling.md recommends for a shop with millions of orders."""

QUERY = """
SELECT order_id, status, updated_at FROM orders WHERE updated_at >= :window_start AND updated_at < :window_end
"""


class RunFailedError(Exception):
    """A contestant did not deliver every order."""


@dataclass(frozen=True)
class Finished:
    """
    A successful run.

    :param seconds: from the start of its command to its end.
    :param account: its record in the ledger.
    """

    seconds: float
    account: dict[str, Any]


class Ours:
    """
    An Airflow with the shop ``bench``.

    :param home: an empty folder for it.
    """

    def __init__(self, home: Path, databases: Databases, receiver: Receiver) -> None:
        self.home = home
        self.databases = databases
        self.receiver = receiver
        self.shop_file = home / "shops" / "bench.yaml"
        (home / "shops").mkdir(parents=True)
        shutil.copy(AIRFLOW_DATABASE, home / "airflow.db")
        (home / "shops" / "orders.sql").write_text(QUERY)
        shop = {
            "shop": "bench",
            "warehouse_conn_id": "bench_warehouse",
            "rees46_conn_id": "bench_rees46",
            "ledger_conn_id": "bench_ledger",
            "query": "orders.sql",
            "statuses": STATUSES,
            "limits": {"rejected_share": 0.05, "changed_orders": 1_000_000_000},
            "partition_rows": PARTITION_ROWS,
        }
        self.shop_file.write_text(yaml.safe_dump(shop))

    def environment(self, orders: Orders, ledger: str, concurrency: int | str | None = None) -> dict[str, str]:
        """
        Return the environment of an Airflow, without variables of the caller's own.

        :param ledger: the name of the ledger's database.
        :param concurrency: of the REES46 connection; None is the default.
        """
        rees46 = {
            "conn_type": "http",
            "host": self.receiver.host,
            "port": self.receiver.port,
            "schema": "http",
            "login": SHOP_ID,
            "password": SHOP_SECRET,
            "extra": {"concurrency": concurrency} if concurrency else {},
        }
        # PYTHON: with PYTHONDONTWRITEBYTECODE, for example, every process would compile anew.
        callers = ("AIRFLOW", "REES46", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(callers)}
        return kept | {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            "AIRFLOW_CONN_BENCH_WAREHOUSE": orders.connection,
            "AIRFLOW_CONN_BENCH_LEDGER": self.databases.connection(ledger),
            "AIRFLOW_CONN_BENCH_REES46": json.dumps(rees46),
            "REES46_SHOPS_DIR": str(self.shop_file.parent),
            "NO_PROXY": "127.0.0.1",
        }

    def run(self, orders: Orders, ledger: str, window: tuple[datetime, datetime] = (SINCE, UNTIL)) -> Finished:
        """
        Run the shop's hourly DAG over a window.

        :raises RunFailedError: it failed, or did not read every row.
        """
        params = {"window_start": window[0].isoformat(), "window_end": window[1].isoformat()}
        seconds = self.run_dag(DAG_ID, self.environment(orders, ledger), params)
        return Finished(seconds, self.account(ledger, orders))

    def account(self, ledger: str, orders: Orders) -> dict[str, Any]:
        """
        Return the ledger's account of the latest run.

        :raises RunFailedError: it failed, or did not read every row.
        """
        engine = sa.create_engine(self.databases.uri(ledger))
        with engine.connect() as connection:
            newest = sa.text("SELECT * FROM rees46_sync_runs ORDER BY id DESC LIMIT 1")
            account = dict(connection.execute(newest).mappings().one())
        engine.dispose()
        if account["outcome"] != "success" or account["read"] != orders.count:
            raise RunFailedError(f"Ours: {account['outcome']}, {account['read']} of {orders.count} rows were read.")
        return account

    def run_empty_dag(self, orders: Orders, ledger: str) -> float:
        """Run the DAG of six empty tasks in the same way; return its seconds."""
        environment = self.environment(orders, ledger) | {"AIRFLOW__CORE__DAGS_FOLDER": str(PROJECT / "bench" / "dags")}
        return self.run_dag("empty", environment, {})

    def run_dag(self, dag_id: str, environment: dict[str, str], params: dict[str, str]) -> float:
        """
        Run a DAG by ``airflow dags test``; return its seconds.

        :raises RunFailedError: it failed; the message has the end of the log.
        """
        airflow = str(Path(sys.executable).with_name("airflow"))
        command = [airflow, "dags", "test", dag_id, "--conf", json.dumps(params)]
        log = self.home / f"{dag_id}.log"
        began = time.perf_counter()
        with log.open("w") as file:
            done = subprocess.run(
                command, env=environment, cwd=PROJECT, stdout=file, stderr=subprocess.STDOUT, check=False
            )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise RunFailedError(f"{' '.join(command)} ended with {done.returncode}:\n{log.read_text()[-3000:]}")
        return seconds
