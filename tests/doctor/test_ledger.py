"""What the doctor finds out about the ledger, without changing it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from rees46_sync.doctor.findings import Level
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.mappings import mapping_text
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from tests.conftest import ShopUnderTest
from tests.e2e.airflow_stack import postgres_connection, postgres_uri
from tests.whole_run import CODES

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


@pytest.mark.clock
def test_a_gap_and_late_data_are_warned_of(healthy: ShopUnderTest) -> None:
    store, now = Ledger.from_conn_id("shop_ledger"), datetime.now(UTC)
    store.migrate()
    late = {"data_until": now - timedelta(days=2), "data_late": True}
    save_run(store, "hourly", now, window_start=now - timedelta(days=3), **late)
    first = datetime(2026, 1, 1, tzinfo=UTC)
    save_run(store, "by-hand", now, window_start=first, window_end=first + timedelta(days=1), window_widened=False)
    findings = examine_shop(healthy.configure())
    [covered], [gap] = about(findings, "ledger.covered_until"), about(findings, "ledger.gap")
    assert (covered.level, gap.level) == (Level.WARNING, Level.WARNING)
    assert covered.value.startswith("from 2026-01-01 00:00:00 to ")
    assert "the data ended there, earlier than usual" in covered.value
    assert gap.value.startswith("no run has delivered 2026-01-02 00:00:00 to ")
    assert gap.remedy == f"run {gap.data['command']}"


@pytest.mark.clock
def test_a_corrected_mapping_is_warned_of(healthy: ShopUnderTest) -> None:
    store, now = Ledger.from_conn_id("shop_ledger"), datetime.now(UTC)
    store.migrate()
    mapping = mapping_text({status: code for status, code in CODES.items() if status != "paid"})
    save_run(store, "hourly", now, mapping=mapping, mapping_hash="of another shop file")
    Quarantine(store).store("test", "hourly", [RejectedRow("9", "paid", "now", "status_unmapped")])
    [found] = about(examine_shop(healthy.configure()), "ledger.mapping")
    assert (found.level, found.data) == (Level.WARNING, {"orders": 1})
    assert "'paid' was not mapped and is now created" in found.value


def test_a_ledger_that_can_be_written_is_ok_and_keeps_nothing_of_the_attempt(healthy: ShopUnderTest) -> None:
    store = Ledger.from_conn_id("shop_ledger")
    store.migrate()

    [written] = about(examine_shop(healthy.configure()), "ledger.write")

    assert (written.level, written.value) == (Level.OK, "a request was written and taken back")
    for table in ("rees46_deliveries", "rees46_in_flight_requests"):
        assert healthy.ledger_rows(f"SELECT * FROM {table}") == []


def test_a_ledger_that_can_only_be_read_is_an_error(healthy: ShopUnderTest, postgres_home: Path) -> None:
    engine = sa.create_engine(postgres_uri(postgres_home, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE read_only")
    healthy.connect("shop_ledger", postgres_connection(postgres_home, "read_only"))
    Ledger.open("shop_ledger").engine.dispose()
    with engine.connect() as connection:
        connection.exec_driver_sql("ALTER DATABASE read_only SET default_transaction_read_only = on")

    [written] = about(examine_shop(healthy.configure()), "ledger.write")

    with engine.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE read_only WITH (FORCE)")
    engine.dispose()
    assert written.level == Level.ERROR
    assert "cannot execute INSERT in a read-only transaction" in written.value
