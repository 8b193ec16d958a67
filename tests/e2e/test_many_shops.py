"""Ten shops on one scheduler, each with its own REES46, a hundred thousand orders, and Airflow's own hour."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from rees46_sync.sandbox import server as sandbox_module
from tests.conftest import PROJECT, SECRET, postgres_folder, rees46_connection

from .airflow_stack import postgres_connection, running_airflow
from .conftest import QUERY, RUN_TIMEOUT_S, STATUSES, wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.crash, pytest.mark.timeout(2400)]

SHOPS = [f"shop_{number}" for number in range(10)]
SLOW, OTHERS = SHOPS[0], SHOPS[1:]
ORDERS = 100_000
LATENCY_OF_SLOW_S = 20
"""With one request at a time, the slow shop's hundred batches take half an hour."""


def test_no_shop_waits_for_another_one_whose_rees46_is_slow() -> None:
    with postgres_folder() as folder, ExitStack() as running:
        home, shops = folder / "home", folder / "shops"
        shops.mkdir()
        _fill(folder / "warehouse.db")
        (shops / "orders.sql").write_text(QUERY)
        sandboxes = {shop: running.enter_context(sandbox_module.running(shop, SECRET)) for shop in SHOPS}
        sandboxes[SLOW].latency_s = LATENCY_OF_SLOW_S
        env = {
            "REES46_SHOPS_DIR": str(shops),
            "AIRFLOW_CONN_WAREHOUSE": f"sqlite:///{folder}/warehouse.db",
            "AIRFLOW_CONN_LEDGER": postgres_connection(home, "ledger"),
        }
        for shop, sandbox in sandboxes.items():
            (shops / f"{shop}.yaml").write_text(_shop_file(shop))
            at_once = 1 if shop == SLOW else 8
            env[f"AIRFLOW_CONN_REES46_{shop.upper()}"] = rees46_connection(sandbox, concurrency=at_once)
        dags = {shop: f"order_status_sync_{shop}" for shop in SHOPS}
        with running_airflow(home, PROJECT / "dags", PROJECT / "plugins", env, databases=["ledger"]) as airflow:
            for dag_id in dags.values():
                airflow.wait_for_dag(dag_id)
            airflow.unpause(dags[SLOW])
            wait_until("requests of the slow shop", lambda: sandboxes[SLOW].stats()["requests"])
            for shop in OTHERS:
                airflow.unpause(dags[shop])

            # Airflow runs the latest hour at once.
            first = {}
            for shop, dag_id in dags.items():
                runs = wait_until(f"first run of {shop}", lambda dag_id=dag_id: airflow.runs(dag_id))
                first[shop] = runs[0]["dag_run_id"]
            ends = {shop: airflow.wait_for_run(dags[shop], first[shop], RUN_TIMEOUT_S) for shop in OTHERS}

            assert ends == dict.fromkeys(OTHERS, "success")
            assert airflow.run(dags[SLOW], first[SLOW])["state"] == "running"
            sandboxes[SLOW].latency_s = 0
            assert airflow.wait_for_run(dags[SLOW], first[SLOW], RUN_TIMEOUT_S) == "success"
        expected = {f"{number:06}": number % len(STATUSES) for number in range(ORDERS)}
        assert {shop: sandbox.state() == expected for shop, sandbox in sandboxes.items()} == dict.fromkeys(SHOPS, True)


def _shop_file(shop: str) -> str:
    keys = {
        "shop": shop,
        "warehouse_conn_id": "warehouse",
        "rees46_conn_id": f"rees46_{shop}",
        "ledger_conn_id": "ledger",
        "query": "orders.sql",
        "statuses": {"created": ["new"], "completed": ["delivered"], "cancelled": ["cancelled"]},
        "limits": {"changed_orders": ORDERS},
    }
    return yaml.safe_dump(keys)


def _fill(warehouse: Path) -> None:
    """Create the warehouse, with orders that changed a day ago."""
    changed = datetime.now(UTC).replace(tzinfo=None) - timedelta(days=1)
    rows = (
        (f"{number:06}", STATUSES[number % len(STATUSES)], str(changed + timedelta(milliseconds=number)))
        for number in range(ORDERS)
    )
    with closing(sqlite3.connect(warehouse)) as db:
        db.execute("CREATE TABLE orders (order_id TEXT, status TEXT, updated_at TEXT)")
        db.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
        db.execute("CREATE INDEX orders_by_time ON orders (updated_at)")
        db.commit()
