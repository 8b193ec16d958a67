"""DAGs and shop files from a Git repository, by Airflow's Git provider: a run keeps the commit that it started with."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from rees46_sync.sandbox import server as sandbox_module
from tests.conftest import PROJECT, SECRET, postgres_folder, rees46_connection

from .airflow_stack import AirflowStack, postgres_connection, running_airflow
from .conftest import QUERY, SHOP, STATUSES, SYNC, WINDOW, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.cluster, pytest.mark.timeout(1200)]

DAG_FILE = "from rees46_sync.airflow_project import create_dags\ncreate_dags(__file__)\n"
"""As in docs/deploying.md."""

ORDERS = {f"order-{number}": number % 3 for number in range(30)}
TIMEOUT_S = 600


class Repository:
    """A Git repository with the project's folders."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shops = folder / "include" / "shops"
        self._shops.mkdir(parents=True)
        (folder / "dags").mkdir()
        (folder / "dags" / "rees46.py").write_text(DAG_FILE)
        (self._shops / "orders.sql").write_text(QUERY)
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, **keys: Any) -> str:
        """Commit the shop file, with these keys; return the name of the commit."""
        shop_file = {
            "shop": SHOP,
            "warehouse_conn_id": "live_warehouse",
            "rees46_conn_id": "live_rees46",
            "ledger_conn_id": "live_ledger",
            "query": "orders.sql",
            "statuses": dict(zip(("created", "completed", "cancelled"), ([one] for one in STATUSES), strict=True)),
            "schedule": "0 0 1 1 *",
            "staging": f"file://{self.folder.parent}/staging",
        }
        (self._shops / f"{SHOP}.yaml").write_text(yaml.safe_dump(shop_file | keys))
        self._git("add", "--all")
        author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        self._git(*author, "commit", "--quiet", "--message=A change of the shop")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=self.folder, check=True, capture_output=True, text=True).stdout


@contextmanager
def locked(warehouse: Path) -> Iterator[None]:
    """Let readers of a SQLite file wait."""
    with closing(sqlite3.connect(warehouse, isolation_level=None)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("COMMIT")


@contextmanager
def airflow_of(repository: Repository, folder: Path, sandbox: sandbox_module.Sandbox) -> Iterator[AirflowStack]:
    home = folder / "home"
    home.mkdir()
    bundle = {
        "name": "rees46",
        "classpath": "airflow.providers.git.bundles.git.GitDagBundle",
        "kwargs": {
            "repo_url": str(repository.folder),
            "tracking_ref": "main",
            "subdir": "dags",
            "refresh_interval": 2,
        },
    }
    env = {
        "REES46_SHOPS_DIR": "",  # the repository has the shop files
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        "AIRFLOW_CONN_LIVE_REES46": rees46_connection(sandbox),
        "AIRFLOW_CONN_LIVE_WAREHOUSE": f"sqlite:///{folder}/warehouse.db?timeout=60",
        "AIRFLOW_CONN_LIVE_LEDGER": postgres_connection(home, "ledger"),
    }
    with running_airflow(home, home / "dags", PROJECT / "plugins", env, databases=["ledger"]) as airflow:
        yield airflow


def test_a_run_keeps_the_shop_file_of_its_commit_and_the_next_one_has_the_new() -> None:
    with postgres_folder() as folder, sandbox_module.running("live-key", SECRET) as sandbox:
        (folder / "repository").mkdir()
        (folder / "staging").mkdir()
        repository = Repository(folder / "repository")
        first = repository.commit()
        with closing(sqlite3.connect(folder / "warehouse.db")) as db, db:
            db.execute("CREATE TABLE orders (order_id TEXT, status TEXT, updated_at TEXT)")
            rows = [(order, STATUSES[code]) for order, code in ORDERS.items()]
            db.executemany("INSERT INTO orders VALUES (?, ?, '2026-03-01 12:00:00')", rows)
        with airflow_of(repository, folder, sandbox) as airflow:

            def latest() -> str:
                return str(airflow._api("GET", f"dags/{SYNC}")["bundle_version"])

            airflow.wait_for_dag(SYNC)
            airflow.unpause(SYNC)
            [of_the_year] = wait_until("the latest interval's run", lambda: airflow.runs(SYNC), TIMEOUT_S)
            assert airflow.wait_for_run(SYNC, of_the_year["dag_run_id"], TIMEOUT_S) == "success"
            with locked(folder / "warehouse.db"):
                run_id = airflow.trigger(SYNC, conf=WINDOW)
                airflow.wait_for_task_pids("extract_orders", run_id)
                second = repository.commit(
                    statuses={"created": list(STATUSES), "completed": ["done"], "cancelled": ["gone"]}
                )
                wait_until("the second commit", lambda: latest() == second, TIMEOUT_S)

            assert airflow.wait_for_run(SYNC, run_id, TIMEOUT_S) == "success"
            assert airflow.run(SYNC, run_id)["bundle_version"] == first
            assert sandbox.state() == ORDERS

            again = airflow.trigger(SYNC, conf=WINDOW | {"dry_run": True})
            assert airflow.wait_for_run(SYNC, again, TIMEOUT_S) == "success"
            assert airflow.run(SYNC, again)["bundle_version"] == second
            assert airflow.xcom(SYNC, again, "account_for_rows")["unchanged"] < len(ORDERS)
