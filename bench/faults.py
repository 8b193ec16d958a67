"""
What faults do to the contestants: ``python -m bench --only faults``.

The receiver is the project's sandbox, which checks each request as REES46's documents describe it, and refuses a whole
request if one order breaks a rule. No contestant's failure ends the benchmark: it is what is measured.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from bench.contestants import peer_command
from bench.data import SINCE, STATUSES, UNTIL, Databases, Orders
from bench.ours import DAG_ID, PROJECT, Ours
from bench.receiver import PATH, SHOP_ID, SHOP_SECRET, Receiver
from rees46_sync.sandbox import server as sandbox_module
from rees46_sync.sandbox.server import Sandbox

TIMEOUT_S = 1800
CODES = {status: code for code, names in enumerate(STATUSES.values()) for status in names}

BLANK_IDS = "UPDATE orders SET order_id = ' ' WHERE ctid IN (SELECT ctid FROM orders LIMIT {count})"
OLDER_ROWS = """
INSERT INTO orders
SELECT order_id, CASE status WHEN 'new' THEN 'delivered' ELSE 'new' END, updated_at - INTERVAL '1 minute'
FROM orders ORDER BY order_id LIMIT {count}
"""


@dataclass(frozen=True)
class Case:
    """
    What is broken.

    :param change: SQL that breaks orders; ``{count}`` of them.
    :param fault: the faults of the sandbox, as ``make up`` takes them.
    :param kill_after: share of the orders after whose acceptance the contestant is killed, and started once more.
    """

    name: str
    change: str = ""
    per_mille: float = 0
    fault: str = ""
    kill_after: float = 0


CASES = (
    Case("blank_ids", change=BLANK_IDS, per_mille=5),
    Case("older_rows", change=OLDER_ROWS, per_mille=1.25),
    Case("answers_503", fault="503@0.01"),
    Case("killed", kill_after=0.5),
)


@dataclass(frozen=True)
class Outcome:
    """
    How a contestant ended.

    :param right: orders with a valid id that the sandbox holds in their newest status.
    :param of: orders with a valid id.
    :param sent_twice: accepted orders, less those that it holds.
    """

    right: int
    of: int
    sent_twice: int
    exit_code: int


def measure(databases: Databases, count: int, peers: tuple[str, ...]) -> dict[str, dict[str, Outcome]]:
    """Return the outcome of each contestant in each case."""
    outcomes: dict[str, dict[str, Outcome]] = {}
    with sandbox_module.running(SHOP_ID, SHOP_SECRET) as sandbox:
        receiver = Receiver(sandbox.host, sandbox.port)
        assert receiver.url.endswith(PATH)
        ours = Ours(databases.home / "faults", databases, receiver)
        for case in CASES:
            orders = databases.orders(count, "orders_faults")
            truth = _break(orders, case)
            for name in (*peers, "ours"):
                databases.create("ledger")
                environment = ours.environment(orders, "ledger") if name == "ours" else dict(os.environ)
                command = _our_command() if name == "ours" else peer_command(name, orders, receiver)
                sandbox.reset(case.fault, seed=1)
                code = _deliver(command, environment | {"NO_PROXY": "127.0.0.1"}, sandbox, int(count * case.kill_after))
                held = sandbox.state()
                right = sum(held.get(order_id) == status for order_id, status in truth.items())
                outcome = Outcome(right, len(truth), sandbox.stats()["orders"] - len(held), code)
                outcomes.setdefault(case.name, {})[name] = outcome
    return outcomes


def _break(orders: Orders, case: Case) -> Mapping[str, int]:
    """Break orders; return the REES46 status of each order that has an id."""
    engine = sa.create_engine(orders.uri)
    newest = "SELECT DISTINCT ON (order_id) order_id, status FROM orders ORDER BY order_id, updated_at DESC"
    with engine.begin() as connection:
        if case.change:
            connection.execute(sa.text(case.change.format(count=int(orders.count * case.per_mille / 1000))))
        truth = {row.order_id: CODES[row.status] for row in connection.execute(sa.text(newest)) if row.order_id.strip()}
    engine.dispose()
    return truth


def _our_command() -> list[str]:
    window = {"window_start": SINCE.isoformat(), "window_end": UNTIL.isoformat()}
    return [sys.executable, "-m", "airflow", "dags", "test", DAG_ID, "--conf", json.dumps(window)]


def _deliver(command: list[str], environment: Mapping[str, str], sandbox: Sandbox, kill_after: int) -> int:
    """Run a contestant, after an attempt that is killed if `kill_after` orders are given; return its exit code."""
    if kill_after:
        killed = _start(command, environment)
        _wait(lambda: sandbox.stats()["orders"] >= kill_after or killed.poll() is not None)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    return _start(command, environment).wait(TIMEOUT_S)


def _start(command: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        env=dict(environment),
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _wait(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.005)
