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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import sqlalchemy as sa

from bench.contestants import peer_command
from bench.data import SINCE, STATUSES, UNTIL, Databases, Orders
from bench.ours import DAG_ID, PROJECT, Ours, RunFailedError
from bench.receiver import SHOP_ID, SHOP_SECRET, Receiver
from rees46_sync.sandbox import server as sandbox_module
from rees46_sync.sandbox.server import Sandbox

TIMEOUT_S = 1800
CHANGED = "2025-12-31 23:30:00+00"
CODES = {status: code for code, names in enumerate(STATUSES.values()) for status in names}

BLANK_IDS = """
UPDATE orders SET order_id = ' '
WHERE ctid IN (SELECT ctid FROM (SELECT ctid, row_number() OVER () AS n FROM orders) AS numbered WHERE n % 200 = 0)
"""
"""Five in each thousand."""

OLDER_ROWS = """
INSERT INTO orders
SELECT order_id, CASE status WHEN 'delivered' THEN 'new' ELSE 'delivered' END, updated_at - INTERVAL '1 minute'
FROM orders WHERE right(order_id, 2) = '46'
"""
"""One order in a hundred; the older row comes after the newer one."""


@dataclass(frozen=True)
class Case:
    """
    What is broken.

    :param change: SQL that breaks orders.
    :param fault: the faults of the sandbox, as ``make up`` takes them.
    :param kill_after: share of the orders after whose acceptance the contestant is killed, and started once more.
    :param changes: how many times every order changes its status afterwards, and the contestant runs again.
    """

    name: str
    change: str = ""
    fault: str = ""
    kill_after: float = 0
    changes: int = 0


CASES = (
    Case("blank_ids", change=BLANK_IDS),
    Case("older_rows", change=OLDER_ROWS),
    Case("answers_503", fault="503@0.01"),
    Case("killed", kill_after=0.5),
    Case("back_and_forth", changes=2),
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
    """
    Return the outcome of each contestant in each case.

    :raises RunFailedError: a contestant ended before it could be killed.
    """
    outcomes: dict[str, dict[str, Outcome]] = {}
    with sandbox_module.running(SHOP_ID, SHOP_SECRET) as sandbox:
        receiver = Receiver(sandbox.host, sandbox.port)
        ours = Ours(databases.home / "faults", databases, receiver)
        for case in CASES:
            for name in (*peers, "ours"):
                orders = databases.orders(count, "orders_faults")
                _execute(orders, case.change)
                databases.create("ledger")
                environment = ours.environment(orders, "ledger") if name == "ours" else dict(os.environ)
                command = _our_command() if name == "ours" else peer_command(name, orders, receiver)
                sandbox.reset(case.fault, seed=1)
                environment |= {"NO_PROXY": "127.0.0.1", "KEPT": str(databases.home / f"{case.name}-{name}")}
                deliver = partial(_deliver, command, environment, sandbox)
                code = deliver(int(count * case.kill_after))
                for number in range(case.changes):
                    orders.change_all(f"TIMESTAMPTZ '{CHANGED}' + INTERVAL '{number} minutes'")
                    code = deliver(0) or code
                truth, held = _newest(orders), sandbox.state()
                right = sum(held.get(order_id) == status for order_id, status in truth.items())
                outcome = Outcome(right, len(truth), sandbox.stats()["orders"] - len(held), code)
                outcomes.setdefault(case.name, {})[name] = outcome
    return outcomes


def _newest(orders: Orders) -> Mapping[str, int]:
    """Return the REES46 status of each order that has an id."""
    newest = "SELECT DISTINCT ON (order_id) order_id, status FROM orders ORDER BY order_id, updated_at DESC"
    return {order_id: CODES[status] for order_id, status in _execute(orders, newest) if order_id.strip()}


def _execute(orders: Orders, statement: str) -> Sequence[sa.Row[Any]]:
    engine = sa.create_engine(orders.uri)
    with engine.begin() as connection:
        result = connection.execute(sa.text(statement or "SELECT"))
        rows = result.all() if result.returns_rows else []
    engine.dispose()
    return rows


def _our_command() -> list[str]:
    window = {"window_start": SINCE.isoformat(), "window_end": UNTIL.isoformat()}
    return [sys.executable, "-m", "airflow", "dags", "test", DAG_ID, "--conf", json.dumps(window)]


def _deliver(command: list[str], environment: Mapping[str, str], sandbox: Sandbox, kill_after: int) -> int:
    """Run a contestant, after an attempt that is killed if `kill_after` orders are given; return its exit code."""
    if kill_after:
        killed = _start(command, environment)
        _wait(lambda: sandbox.stats()["orders"] >= kill_after or killed.poll() is not None)
        if killed.poll() is not None:
            raise RunFailedError(f"{command} ended with {killed.returncode} before it could be killed.")
        _kill(killed)
    contestant = _start(command, environment)
    try:
        return contestant.wait(TIMEOUT_S)
    except BaseException:
        _kill(contestant)
        raise


def _kill(contestant: subprocess.Popen[bytes]) -> None:
    os.killpg(contestant.pid, signal.SIGKILL)
    contestant.wait()


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
