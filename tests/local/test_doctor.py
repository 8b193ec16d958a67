"""`make doctor` with the demo shop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local import demo
from local.doctor import demo_surroundings
from rees46_sync.doctor import checks
from rees46_sync.doctor.findings import Finding, Level
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.shop_file import load_shop
from tests.clock import is_moved
from tests.conftest import PROJECT
from tests.doctor.conftest import about
from tests.whole_run import make_metadata_database


@pytest.fixture
def demo_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """The demo shop as `make run` leaves it."""
    if is_moved():
        pytest.skip("SQLite's own clock is not moved, and the demo's query compares with it")
    make_metadata_database()
    monkeypatch.setattr(demo, "FOLDER", tmp_path)
    shop = load_shop(PROJECT / "include" / "shops" / "demo.yaml")
    demo.write_warehouse(demo.make_orders(shop, datetime.now(UTC)), tmp_path / "warehouse.db")
    yield shop
    assert not [name for name in os.environ if name.startswith("AIRFLOW_CONN_DEMO")]


def examine_demo(shop: Shop) -> list[Finding]:
    return checks.examine(shop, days=1, surroundings=demo_surroundings).findings


@pytest.mark.clock
def test_the_demo_needs_no_connections_and_only_its_broken_rows_are_findings(demo_shop: Shop) -> None:
    findings = examine_demo(demo_shop)
    assert "on purpose" in about(findings, "shop.demo")[0].value
    unwell = {finding.check for finding in findings if finding.level is not Level.OK}
    assert {check.partition(".")[0] for check in unwell} == {"rows", "status"}
    errors = [finding.data["status"] for finding in findings if finding.level is Level.ERROR]
    assert errors == ["on_hold", "Pre-Order"]


@pytest.mark.clock
def test_the_demo_with_a_connection_of_its_own_gets_no_others(
    demo_shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DEMO_WAREHOUSE", f"sqlite:///{tmp_path}/warehouse.db")
    findings = examine_demo(demo_shop)
    assert about(findings, "shop.demo") == []
    assert about(findings, "ledger.connection")[0].level == Level.ERROR
    monkeypatch.delenv("AIRFLOW_CONN_DEMO_WAREHOUSE")


@pytest.mark.clock
def test_the_package_alone_adds_nothing_for_the_demo(demo_shop: Shop) -> None:
    findings = checks.examine(demo_shop, days=1).findings
    assert about(findings, "shop.demo") == []
    assert about(findings, "warehouse.connection")[0].level == Level.ERROR
