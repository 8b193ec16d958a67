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
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path

import requests
from tenacity import RetryError, Retrying, retry_if_exception_type, retry_if_result, stop_after_delay, wait_fixed

from local.demo import DAG_ID, DAYS, LIVES, PROJECT, SHOP_FILE, make_orders, write_warehouse
from rees46_sync.shop.shop_file import load_shop, shops_dir

SHOP_ID, SHOP_SECRET = "demo-store-key", "demo-secret-key"
USER = "admin"
FRESHNESS_DAG_ID = "order_status_freshness"
READY_TIMEOUT_S = 600
PAUSE_S = 3
MAX_ACTIVE_ORDERS = 30
"""Orders of the live shop without a final status; each takes some minutes from its first to its final status."""


def passwords_file(home: Path) -> Path:
    """Return the file from which Airflow reads the password of :data:`USER`."""
    return home / "passwords.json"


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
    """Wait for Airflow, start the demo's DAG, print how to log in; then change the shop's orders."""
    parser = argparse.ArgumentParser("python -m local.live_demo", description="The demo shop of make up.")
    parser.add_argument("--url", required=True, help="of Airflow")
    parser.add_argument("--home", type=Path, required=True, help="the AIRFLOW_HOME of make up")
    options = parser.parse_args()
    password = json.loads(passwords_file(options.home).read_text())[USER]
    # If .env sets another folder of shops, there is no demo to start.
    has_demo = _warehouse(options.home).exists() and (shops_dir(PROJECT) / SHOP_FILE.name).exists()
    with requests.Session() as session:
        session.trust_env = False  # a proxy cannot reach this machine's loopback
        _until_done("accepted no login", partial(_log_in, session, options.url, password))
        if has_demo:
            _until_done(f"did not find {DAG_ID}", partial(_start, session, options.url))
    print(f"Airflow is ready: {options.url}  user {USER}  password {password}", flush=True)
    if not has_demo:
        signal.pause()  # when one component ends, all do
    with closing(sqlite3.connect(_warehouse(options.home), timeout=60)) as db:
        for order_id, status in _changes():
            with db:
                db.execute("INSERT INTO orders VALUES (?, ?, datetime('now'))", (order_id, status))
            time.sleep(PAUSE_S)


def _until_done(problem: str, step: Callable[[], bool]) -> None:
    """Repeat a step until it succeeds; exit with a message if it never does."""
    retry = Retrying(
        stop=stop_after_delay(READY_TIMEOUT_S),
        wait=wait_fixed(1),
        retry=retry_if_result(lambda done: not done) | retry_if_exception_type(requests.RequestException),
    )
    try:
        retry(step)
    except RetryError:
        sys.exit(f"Airflow {problem} within {READY_TIMEOUT_S} s; see the lines of api-server and dag-processor above.")


def _log_in(session: requests.Session, url: str, password: str) -> bool:
    response = session.post(f"{url}/auth/token", json={"username": USER, "password": password}, timeout=30)
    if response.ok:
        session.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
    return response.ok


def _start(session: requests.Session, url: str) -> bool:
    """
    Unpause the freshness check and the demo's hourly DAG, and start a run over all that the warehouse holds.

    :return: False until Airflow knows the DAGs.
    """
    for dag_id in (FRESHNESS_DAG_ID, DAG_ID):
        if not session.patch(f"{url}/api/v2/dags/{dag_id}", json={"is_paused": False}, timeout=30).ok:
            return False
    begin = datetime.now(UTC) - timedelta(days=DAYS + 1)
    run = {"logical_date": None, "conf": {"window_start": begin.isoformat()}}
    return session.post(f"{url}/api/v2/dags/{DAG_ID}/dagRuns", json=run, timeout=30).ok


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
