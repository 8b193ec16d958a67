"""
The demo (``make run``): a shop with some thousand orders, synced with the sandbox by real Airflow runs.

Everything is created anew below ``.airflow/demo``: the warehouse (a SQLite file, made with a fixed seed), the ledger
(another SQLite file) and the sandbox (a local REES46 on a free port). Then ``airflow dags test`` runs
``order_status_sync_demo`` twice; the second run must send nothing. The exit code is 0 only if each account adds up and
the sandbox holds exactly the final status of every good order.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from local.home import keep_private, make_private
from rees46_sync.doctor.dry_run import account_in, run_dag
from rees46_sync.doctor.environment import HOME, PROJECT
from rees46_sync.sandbox.server import Sandbox, running
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.shop_file import load_shop

FOLDER = HOME / "demo"
SHOP_FILE = PROJECT / "include" / "shops" / "demo.yaml"
DAG_ID = "order_status_sync_demo"
COUNTS = ("read", "sent", "unchanged", "superseded", "stale", "reopened", "rejected", "held", "failed")

ORDERS = 4000
DAYS = 3
LIVES = {
    ("new",): 10,
    ("new", "paid"): 15,
    ("new", "paid", "shipped"): 25,
    ("new", "paid", "shipped", "delivered"): 35,
    ("new", "cancelled"): 8,
    ("new", "paid", "refunded"): 4,
    ("new", "fraud"): 3,
}
"""The histories of orders: their statuses, and how frequent each history is."""

Row = tuple[str | None, str | None, str | None]


@dataclass(frozen=True)
class DemoOrders:
    """
    The rows of the demo warehouse.

    :param rows: order_id, status, updated_at of every change of an order.
    :param final: the REES46 status that each good order must have in the end.
    :param broken: how many rows must be rejected.
    """

    rows: list[Row]
    final: dict[str, int]
    broken: int


def make_orders(shop: Shop, until: datetime) -> DemoOrders:
    """
    Generate the orders of the days before a time: always the same ones for the same time.

    :param until: aware; every change is before it.
    """
    chance = random.Random(46)  # noqa: S311 - a demo, not a secret
    rows: list[Row] = []
    final = {}
    for number in range(ORDERS):
        order_id = chance.choice(("{:06}", "msk-{}", "10{:05}")).format(number)
        life = chance.choices(list(LIVES), list(LIVES.values()))[0]
        ages = sorted((chance.uniform(60, DAYS * 86_400 - 60) for _ in life), reverse=True)
        rows += [(order_id, status, _text(until, age)) for status, age in zip(life, ages, strict=True)]
        final[order_id] = shop.codes[life[-1]]
    broken = list(_broken_rows(until))
    rows += broken
    chance.shuffle(rows)
    return DemoOrders(rows, final, len(broken))


def write_warehouse(orders: DemoOrders, file: Path) -> None:
    """Create a SQLite warehouse with the orders."""
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("CREATE TABLE orders (order_id TEXT, status TEXT, updated_at TEXT)")
        db.execute("CREATE INDEX orders_updated_at ON orders (updated_at)")
        db.executemany("INSERT INTO orders VALUES (?, ?, ?)", orders.rows)


def _broken_rows(until: datetime) -> Iterator[Row]:
    """Return some rows of each kind that occurs in real warehouses and must not reach REES46."""
    updated_at = _text(until, 3600)
    yield from [(None, "paid", updated_at)] * 3
    yield from [("  ", "paid", updated_at), ("x" * 256, "paid", updated_at), ("tab\there", "paid", updated_at)]
    yield from [(f"hold-{number}", "on_hold", updated_at) for number in range(12)]
    yield from [("pre-1", "Pre-Order", updated_at), ("pre-2", "Pre-Order", updated_at)]
    yield from [("no-status", None, updated_at), ("no-time", "paid", None)]
    yield "bad-time", "paid", f"{until - timedelta(days=1):%Y-%m-%d} 25:61"


def _text(until: datetime, age_s: float) -> str:
    return f"{until - timedelta(seconds=age_s):%Y-%m-%d %H:%M:%S}"


def run_sandbox() -> AbstractContextManager[Sandbox]:
    """Run a sandbox with the demo's keys."""
    return running("demo-store-key", "demo-secret-key")


def connection_variables(sandbox: Sandbox, folder: Path = FOLDER) -> dict[str, str]:
    """Return the demo's Airflow connections as environment variables; its databases are in ``folder``."""
    rees46 = {
        "conn_type": "http",
        "host": sandbox.host,
        "port": sandbox.port,
        "schema": "http",
        "login": sandbox.shop_id,
        "password": sandbox.shop_secret,
    }
    return {
        "AIRFLOW_CONN_DEMO_WAREHOUSE": f"sqlite:///{folder}/warehouse.db",
        "AIRFLOW_CONN_DEMO_LEDGER": f"sqlite:///{folder}/ledger.db",
        "AIRFLOW_CONN_DEMO_REES46": json.dumps(rees46),
    }


def main() -> int:
    """Run the demo; return its exit code."""
    console = Console(highlight=False, soft_wrap=True)
    make_private(HOME)
    with (HOME / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print("Another demo is running in this folder; wait for it, or stop it.")
            return 1
        return _run(console)


def _run(console: Console) -> int:
    shop = load_shop(SHOP_FILE)
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    orders = make_orders(shop, until)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    write_warehouse(orders, FOLDER / "warehouse.db")
    with run_sandbox() as sandbox:
        console.print(f"[bold]Warehouse[/]  {len(orders.rows):,} rows of {len(orders.final):,} orders")
        console.print(f"[bold]REES46[/]     the sandbox, {sandbox.url}")
        window = {"window_start": (until - timedelta(days=DAYS)).isoformat(), "window_end": until.isoformat()}
        problems = []
        for number, title in ((1, "First run"), (2, "Second run: nothing changed, so nothing is sent")):
            console.print(f"\n[bold]{title}[/]\n")
            log = FOLDER / f"run-{number}.log"
            code = _run_dag(sandbox, window, log)
            print(account_in(log) or "There is no account.", flush=True)
            if number == 1 and not code:
                _print_rejected()
            problems += [f"run {number} failed; Airflow's log: {log}"] if code else []
            problems += _find_problems(number, _last_account(), orders, sandbox)
    if problems:
        for problem in problems:
            console.print(f"[bold red]✗[/] {problem}")
        return 1
    console.print(
        f"\n[bold green]✓[/] The sandbox holds exactly the final status of all {len(orders.final):,} good orders, "
        f"and no broken row reached it.\n[bold green]✓[/] Both accounts add up; the second run made no request."
    )
    console.print(f"\nThe warehouse, the ledger and the logs: {FOLDER}\nA shop of your own: docs/own-shop.md")
    return 0


def _run_dag(sandbox: Sandbox, params: dict[str, str], log: Path) -> int:
    """Run the DAG in an Airflow without settings of the caller's own Airflow; write its output to ``log``."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "REES46"))}
    variables |= {"AIRFLOW_HOME": str(HOME), **connection_variables(sandbox)}
    return run_dag(DAG_ID, params, log, variables)


def _last_account() -> dict[str, int | str]:
    rows = _in_ledger("SELECT * FROM rees46_sync_runs ORDER BY id DESC LIMIT 1")
    return dict(rows[0]) if rows else dict.fromkeys((*COUNTS, "requests"), 0) | {"outcome": "failed"}


def _in_ledger(query: str) -> list[sqlite3.Row]:
    """Return the rows of a query; none if the run failed before it created the ledger."""
    with closing(sqlite3.connect(FOLDER / "ledger.db")) as db:
        db.row_factory = sqlite3.Row
        try:
            return db.execute(query).fetchall()
        except sqlite3.OperationalError:
            return []


def _print_rejected() -> None:
    rows = _in_ledger("SELECT reason, order_id, status, updated_at FROM rees46_rejected_orders")
    examples = {row["reason"]: row[1:] for row in reversed(rows)}
    print("\nRejected rows by reason, each with an example (order id, status, time):")
    for reason, count in Counter(row["reason"] for row in rows).most_common():
        # The ledger holds printable texts: repr() would escape them once more.
        example = ", ".join("none" if value is None else f"'{value:.20}'" for value in examples[reason])
        print(f"  {count:>3}  {reason}\n       {example}")


def _find_problems(number: int, account: dict[str, int | str], orders: DemoOrders, sandbox: Sandbox) -> list[str]:
    """Compare a run with the expected result, which comes from the generator, not from the sync."""
    expected = {
        "read": len(orders.rows),
        "sent": len(orders.final) if number == 1 else 0,
        "unchanged": 0 if number == 1 else len(orders.final),
        "superseded": len(orders.rows) - len(orders.final) - orders.broken,
        "stale": 0,
        "reopened": 0,
        "rejected": orders.broken,
        "held": 0,
        "failed": 0,
        "requests": -(-len(orders.final) // 1000) if number == 1 else 0,
    }
    problems = [
        f"run {number}: {name} is {account[name]}, not {count}"
        for name, count in expected.items()
        if account[name] != count
    ]
    if sandbox.state() != orders.final:
        problems.append(f"run {number}: the sandbox does not hold the final status of every order")
    if sandbox.stats()["violations"]:
        problems.append(f"run {number}: the sandbox received invalid requests: {sandbox.stats()['violations']}")
    return problems


if __name__ == "__main__":
    keep_private()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
