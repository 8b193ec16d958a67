"""A run that is under way while the project is upgraded: what a former version left, and what this one makes of it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from time_machine import TimeMachineFixture

from rees46_sync.airflow_project import sync
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.migrations import VERSION
from rees46_sync.ledger.tables import schema_versions
from rees46_sync.sandbox.contract import Orders
from tests.conftest import PROJECT, ShopUnderTest
from tests.whole_run import EIGHT, IN_WINDOW, run_dag

TASKS = ("extract_orders", "validate_statuses", "build_batches", "approve_changes")
"""The tasks before the load, in the order of the flow."""

ROWS = [("same", "paid"), ("changed", "delivered"), ("new", "new"), ("unmapped", "sent back")]
"""What the former runs read; see the README of their folder."""

DUE: Orders = {"changed": 1, "new": 0}
"""What they were to send."""


@pytest.fixture
def former_shop(shop: ShopUnderTest, time_machine: TimeMachineFixture, version: int) -> ShopUnderTest:
    """A shop with the ledger of a former version, after a run of that version has built its batches."""
    time_machine.move_to(EIGHT + timedelta(minutes=10))
    with closing(sqlite3.connect(shop.ledger_file)) as database:
        database.executescript((_folder(version) / "ledger.sql").read_text("utf-8"))
    shop.add_rows([(order_id, status, IN_WINDOW) for order_id, status in ROWS])
    return shop


def _folder(version: int) -> Path:
    return PROJECT / "tests" / "former_runs" / f"version-{version}"


def let_former_version_do(tasks: Sequence[str], shop: ShopUnderTest, version: int, patch: pytest.MonkeyPatch) -> None:
    """Let tasks leave the XComs and the staged files that a former version left, in place of doing anything."""
    staged = shop.folder / "former"
    shutil.copytree(_folder(version), staged)  # a run that succeeds removes them
    xcoms = json.loads((staged / "xcoms.json").read_text("utf-8").replace("{folder}", staged.as_uri()))
    for task in tasks:
        own = [xcom for xcom in xcoms if xcom["task_id"] == task]
        patch.setattr(sync, task, _leaving(own, getattr(sync, task)))


def _leaving(xcoms: Sequence[dict[str, Any]], function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def task(*_: Any, **context: Any) -> Any:
        left = {xcom["key"]: xcom["value"] for xcom in xcoms if xcom["map_index"] == context["ti"].map_index}
        for key, value in left.items():
            if key != "return_value":
                context["ti"].xcom_push(key=key, value=value)
        return left["return_value"]

    return task


@pytest.mark.parametrize("version", [5])
@pytest.mark.parametrize("count", range(1, len(TASKS) + 1), ids=TASKS)
def test_a_run_of_the_version_before_goes_on_wherever_it_was(
    former_shop: ShopUnderTest, version: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_former_version_do(TASKS[:count], former_shop, version, monkeypatch)

    run = run_dag()

    assert run.state == "success"
    assert former_shop.sandbox.state() == DUE
    parts = {name: run.account[name] for name in ("read", "sent", "unchanged", "rejected", "failed")}
    assert parts == {"read": 4, "sent": 2, "unchanged": 1, "rejected": 1, "failed": 0}
    assert former_shop.ledger_rows("SELECT max(version) FROM rees46_schema_versions") == [(VERSION,)]


@pytest.mark.parametrize(
    ("version", "count", "sent"),
    [
        pytest.param(2, 1, {}, id="2-extracted"),
        pytest.param(2, 4, {}, id="2-approved"),
        pytest.param(4, 1, {}, id="4-extracted"),
        pytest.param(4, 4, DUE, id="4-approved"),
    ],
)
def test_a_run_of_an_older_version_sends_nothing_wrong_and_all_once_it_is_cleared_as_its_error_says(
    former_shop: ShopUnderTest, version: int, count: int, sent: Orders, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        let_former_version_do(TASKS[:count], former_shop, version, patch)
        run = run_dag()

    assert run.state == "failed"
    assert former_shop.sandbox.state() == sent
    [(outcome, cause, remedy)] = former_shop.ledger_rows(
        "SELECT outcome, cause, remedy FROM rees46_sync_runs ORDER BY finished_at DESC LIMIT 1"
    )
    assert (outcome, "cleared from extract_orders" in cause) == ("failed", True)
    assert remedy.startswith("clear this run from extract_orders")

    assert run_dag().state == "success"
    assert former_shop.sandbox.state() == DUE
    assert [row["orders"] for row in former_shop.sandbox.requests()] == [2]


@pytest.mark.parametrize("version", [5])
@pytest.mark.parametrize("count", [1, 4], ids=["extracted", "approved"])
def test_a_worker_sends_nothing_once_a_newer_version_has_migrated_the_ledger_and_all_once_it_is_upgraded(
    former_shop: ShopUnderTest,
    version: int,
    count: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ledger = Ledger.open("shop_ledger")
    newer = {"version": VERSION + 1, "since": EIGHT}
    with ledger.engine.begin() as connection:
        connection.execute(sa.insert(schema_versions).values(newer))
    with monkeypatch.context() as patch:
        let_former_version_do(TASKS[:count], former_shop, version, patch)
        run = run_dag()

    assert run.state == "failed"
    assert former_shop.sandbox.requests() == []
    refusal = (
        f"its schema is version {VERSION + 1}, and this installation of the project knows versions up to {VERSION}"
    )
    assert refusal in capsys.readouterr().out
    assert former_shop.ledger_rows("SELECT outcome FROM rees46_sync_runs") == [("success",)]

    with ledger.engine.begin() as connection:
        connection.execute(sa.delete(schema_versions).where(schema_versions.c.version > VERSION))
    ledger.engine.dispose()
    assert run_dag().state == "success"
    assert former_shop.sandbox.state() == DUE
