"""
The demo shop of ``make up``: created anew at each start, unpaused once Airflow is ready, then changed steadily.

Its orders of the last days are generated as for ``make run``; then, every few seconds, an order is placed or gets its
next status.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import requests
from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from local.api import Api
from local.demo import DAG_ID, DAYS, LIVES, SHOP_FILE, make_orders, write_warehouse
from rees46_sync.doctor.environment import PROJECT
from rees46_sync.shop.shop_file import load_shop, shops_dir

SHOP_ID, SHOP_SECRET = "demo-store-key", "demo-secret-key"
FRESHNESS_DAG_ID = "order_status_freshness"
READY_TIMEOUT_S = 600
PAUSE_S = 3
MAX_ACTIVE_ORDERS = 30
"""Orders of the live shop without a final status; each takes some minutes from its first to its final status."""


def connection_values(home: Path, ledger: str, sandbox_port: int) -> dict[str, str]:
    """
    Return the demo's Airflow connections by their ids.

    :param ledger: the URI of the ledger's connection.
    """
    rees46 = {
        "conn_type": "rees46",
        "host": "127.0.0.1",
        "port": sandbox_port,
        "schema": "http",
        "login": SHOP_ID,
        "password": SHOP_SECRET,
    }
    return {
        "demo_warehouse": f"sqlite:///{_warehouse(home)}",
        "demo_ledger": ledger,
        "demo_rees46": json.dumps(rees46),
    }


def recreate_warehouse(home: Path) -> None:
    """Create the demo warehouse with the orders of the last days; without the demo's shop file only remove it."""
    _warehouse(home).unlink(missing_ok=True)
    if SHOP_FILE.exists():
        write_warehouse(make_orders(load_shop(SHOP_FILE), datetime.now(UTC)), _warehouse(home))


def _warehouse(home: Path) -> Path:
    return home / "demo_warehouse.db"


def main() -> None:
    """Wait for Airflow, start the demo's DAG, then change the shop's orders."""
    parser = argparse.ArgumentParser("python -m local.live_demo", description="The demo shop of make up.")
    parser.add_argument("--url", required=True, help="of Airflow")
    parser.add_argument("--home", type=Path, required=True, help="the AIRFLOW_HOME of make up")
    options = parser.parse_args()
    # If .env sets another folder of shops, there is no demo to start.
    if not (_warehouse(options.home).exists() and (shops_dir(PROJECT) / SHOP_FILE.name).exists()):
        signal.pause()  # when one component ends, all do
    _start(Api(options.url, options.home))
    with closing(sqlite3.connect(_warehouse(options.home), timeout=60)) as db:
        for order_id, status in _changes():
            with db:
                db.execute("INSERT INTO orders VALUES (?, ?, datetime('now'))", (order_id, status))
            time.sleep(PAUSE_S)


def _start(api: Api) -> None:
    """
    Unpause the freshness check and the demo's hourly DAG, and start its first runs, as soon as Airflow knows them.

    The first run is regular: it makes the shop fresh. Airflow has no other one for this hour if it was started in it
    before, and the ledger is new. The second run reads all that the warehouse holds.
    """
    begin = datetime.now(UTC) - timedelta(days=DAYS + 1)
    for dag_id in (FRESHNESS_DAG_ID, DAG_ID):
        _when_ready(api, "PATCH", f"dags/{dag_id}", {"is_paused": False})
    for conf in ({}, {"window_start": begin.isoformat()}):
        _when_ready(api, "POST", f"dags/{DAG_ID}/dagRuns", {"logical_date": None, "conf": conf})


def _when_ready(api: Api, method: str, path: str, body: Mapping[str, object]) -> None:
    """Make a request until it succeeds; exit with a message if it never does."""
    retry = Retrying(
        stop=stop_after_delay(READY_TIMEOUT_S),
        wait=wait_fixed(1),
        retry=retry_if_exception_type(requests.RequestException),
    )
    try:
        retry(api.call, method, path, json=body)
    except RetryError as error:
        sys.exit(f"Airflow refused {method} {path} for {READY_TIMEOUT_S} s: {error.last_attempt.exception()}")


def _changes() -> Iterator[tuple[str, str]]:
    """Generate order ids and statuses endlessly: of new orders, and of active ones that get their next status."""
    chance = random.Random()  # noqa: S311 - a demo, not a secret
    active: list[tuple[str, list[str]]] = []
    for number in count():
        if len(active) < MAX_ACTIVE_ORDERS:
            life = chance.choices(list(LIVES), list(LIVES.values()))[0]
            active.append((f"live-{datetime.now(UTC):%Y%m%d%H%M%S}-{number}", list(life)))
        order_id, remaining = chance.choice(active)
        yield order_id, remaining.pop(0)
        active = [order for order in active if order[1]]


if __name__ == "__main__":
    main()
