"""What the doctor reads in the ledger, without changing it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from rees46_sync.doctor.findings import Level
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from tests.conftest import ShopUnderTest

from .conftest import about, examine_shop, save_run


@pytest.mark.clock
def test_the_runs_and_the_quarantine_of_the_ledger_are_reported(healthy: ShopUnderTest) -> None:
    store = Ledger.from_conn_id("shop_ledger")
    store.migrate()
    save_run(store, "hourly", datetime.now(UTC) - timedelta(hours=1))
    Quarantine(store).store("test", "hourly", [RejectedRow("9", "odd", "now", "status_unmapped")])
    findings = examine_shop(healthy.configure())
    [last] = about(findings, "ledger.last_success")
    assert (last.level, last.data["failed_since"]) == (Level.OK, 0)
    assert about(findings, "ledger.covered_until")[0].data["covered_until"]
    assert about(findings, "ledger.quarantine")[0].data == {"rows": 1, "reasons": {"status_unmapped": 1}}


@pytest.mark.clock
def test_a_ledger_with_runs_is_not_changed_by_a_byte(healthy: ShopUnderTest) -> None:
    store = Ledger.from_conn_id("shop_ledger")
    store.migrate()
    save_run(store, "hourly", datetime.now(UTC) - timedelta(hours=2))
    store.engine.dispose()
    with closing(sqlite3.connect(healthy.ledger_file)) as db:
        before = list(db.iterdump())
    content = healthy.ledger_file.read_bytes()
    examine_shop(healthy.configure())
    assert healthy.ledger_file.read_bytes() == content
    with closing(sqlite3.connect(healthy.ledger_file)) as db:
        assert list(db.iterdump()) == before


def test_a_sqlite_file_without_a_ledger_is_not_changed(healthy: ShopUnderTest) -> None:
    with closing(sqlite3.connect(healthy.ledger_file)) as db, db:
        db.execute("CREATE TABLE another_application (id)")
    content = healthy.ledger_file.read_bytes()
    assert about(examine_shop(healthy.configure()), "ledger.tables")[0].value == "do not exist yet"
    assert healthy.ledger_file.read_bytes() == content
