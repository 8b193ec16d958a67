"""The demo that `make run` starts."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from local import demo
from rees46_sync.shop.shop_file import load_shop
from tests.conftest import PROJECT

UNTIL = datetime(2026, 3, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def orders() -> demo.DemoOrders:
    return demo.make_orders(load_shop(PROJECT / "include" / "shops" / "demo.yaml"), UNTIL)


def test_the_generator_makes_the_same_orders_for_the_same_moment(orders: demo.DemoOrders) -> None:
    assert demo.make_orders(load_shop(PROJECT / "include" / "shops" / "demo.yaml"), UNTIL) == orders


def test_the_orders_are_some_thousand_with_every_final_status_and_few_broken_rows(orders: demo.DemoOrders) -> None:
    assert len(orders.final) == demo.ORDERS
    assert set(orders.final.values()) == {0, 1, 2}
    assert 20 <= orders.broken <= len(orders.rows) * 0.05


def test_every_good_row_lies_in_the_days_before_the_moment(orders: demo.DemoOrders) -> None:
    good = [updated_at for order_id, _, updated_at in orders.rows if order_id in orders.final and updated_at]
    assert len(good) == len(orders.rows) - orders.broken
    assert "2026-02-26 08:00:00" <= min(good) <= max(good) < "2026-03-01 08:00:00"


@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_the_demo_runs_twice_and_a_dry_run_after_it_finds_nothing_to_send(capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main() == 0
    shown = capsys.readouterr().out
    assert "The sandbox holds exactly the final status of all 4,000 good orders" in shown
    assert "Account of demo" in shown
    assert "  completed: [delivered, on_hold, Pre-Order]" in shown
    assert r"'tab\there', 'paid'" in shown
    caller = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "REES46"))}
    dry_run = [sys.executable, "-m", "local.dry_run", "demo"]
    done = subprocess.run(dry_run, cwd=PROJECT, env=caller, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Account of demo, window")
    assert "0 │ would be sent │ dry run: nothing" in done.stdout
