"""All checks of a shop: what each finds, and that they change nothing."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rees46_sync.doctor import report
from rees46_sync.doctor.findings import Finding, Level, Report
from rees46_sync.ledger.database import Ledger
from tests.conftest import SECRET, ShopUnderTest

from .conftest import AN_HOUR_AGO, PASSWORD, TWO_HOURS_AGO, about, examine_shop, save_run, without_index

Break = Callable[[ShopUnderTest, pytest.MonkeyPatch], object]


def in_words(findings: list[Finding]) -> list[str]:
    return [f"{finding.level} {finding.check}: {finding.value}" for finding in findings]


def test_a_healthy_shop_has_neither_errors_nor_warnings(healthy_anywhere: ShopUnderTest) -> None:
    findings = examine_shop(healthy_anywhere.configure())
    assert [line for line in in_words(findings) if not line.startswith("ok")] == []
    [rows] = about(findings, "query.rows")
    assert rows.data["rows"] == 5
    assert about(findings, "query.duplicate_ids")[0].data == {"rows": 1}
    assert about(findings, "query.columns")[0].data == {"columns": ["order_id", "status", "updated_at"]}
    statuses = {
        (one.data["status"], one.data["orders"], one.data["meaning"]) for one in about(findings, "status.mapped")
    }
    assert statuses == {
        ("paid", 1, "created"),
        ("delivered", 1, "completed"),
        ("cancelled", 1, "cancelled"),
        ("fraud", 1, "cancelled"),
    }
    assert about(findings, "status.absent")[0].data == {"statuses": ["new"]}
    assert about(findings, "ledger.tables")[0].value == "do not exist yet"
    assert abs(about(findings, "warehouse.clock")[0].data["difference_s"]) < 5


def test_the_fields_of_the_rees46_connection_are_shown(healthy: ShopUnderTest) -> None:
    [connection] = about(examine_shop(healthy.configure()), "rees46.connection")
    assert connection.data == {
        "url": f"{healthy.sandbox.url}/import/sync_orders",
        "dialect": "import_sync_orders",
        "concurrency": "auto",
        "timeout_s": 30,
        "min_interval_s": 0,
    }


@dataclass(frozen=True)
class Broken:
    """
    One problem of a shop, and the doctor's finding about it.

    :param cause: causes it in a healthy shop; returns keys for the shop file, or nothing.
    """

    cause: Break
    check: str
    level: Level
    value: str
    remedy: str


def without(conn_id: str) -> Break:
    return lambda _, monkeypatch: monkeypatch.delenv(f"AIRFLOW_CONN_{conn_id.upper()}")


def connected(conn_id: str, connection: str) -> Break:
    return lambda shop, _: shop.connect(conn_id, connection.format(folder=shop.folder, port=shop.sandbox.port))


def rees46(**fields: object) -> Break:
    def change(shop: ShopUnderTest, _: object) -> None:
        whole = {"conn_type": "http", "host": "127.0.0.1", "port": shop.sandbox.port, "schema": "http"}
        shop.connect("shop_rees46", json.dumps(whole | {"login": "key", "password": SECRET} | fields))

    return change


def rows(*more: tuple[object, object, object]) -> Break:
    return lambda shop, _: shop.add_rows(more)


def key(name: str, value: object) -> Break:
    return lambda _shop, _monkeypatch: {name: value}


def query(text: str) -> Break:
    return lambda shop, _: (shop.shops / "orders.sql").write_text(text) and None


def pool(slots: int) -> Break:
    def change(_shop: object, _monkeypatch: object) -> dict[str, Any]:
        from airflow.models.pool import Pool
        from airflow.utils.session import create_session

        with create_session() as session:
            name = f"rees46_slots{abs(slots)}"
            Pool.create_or_update_pool(name, slots=slots, description="", include_deferred=False, session=session)
        return {"shop": f"slots{abs(slots)}"}

    return change


def runs(*outcomes_and_ages: tuple[str, int]) -> Break:
    def change(_shop: object, _monkeypatch: object) -> None:
        store = Ledger.from_conn_id("shop_ledger")
        store.migrate()
        for outcome, hours in outcomes_and_ages:
            save_run(store, f"{outcome}-{hours}", datetime.now(UTC) - timedelta(hours=hours), outcome)
        store.engine.dispose()

    return change


def half_a_ledger(shop: ShopUnderTest, _: object) -> None:
    with closing(sqlite3.connect(shop.ledger_file)) as db, db:
        db.execute("CREATE TABLE rees46_sync_runs (id)")


def no_metadata_database(shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{shop.folder}/nowhere.db")


OK, WARNING, ERROR = Level.OK, Level.WARNING, Level.ERROR


BROKEN = {
    "no-warehouse": Broken(
        without("shop_warehouse"),
        "warehouse.connection",
        ERROR,
        "Connection shop_warehouse: does not exist",
        "create it",
    ),
    "unreadable-connection": Broken(
        connected("shop_warehouse", f"postgres://reader:{PASSWORD}/x@127.0.0.1:1/db"),
        "warehouse.connection",
        ERROR,
        "AIRFLOW_CONN_SHOP_WAREHOUSE cannot be read",
        "percent-encode",
    ),
    "no-warehouse-file": Broken(
        connected("shop_warehouse", "sqlite:///{folder}/none.db"),
        "warehouse.connection",
        ERROR,
        "there is no file /",
        "correct the connection",
    ),
    "no-duckdb-file": Broken(
        connected("shop_warehouse", '{{"conn_type": "duckdb", "host": "{folder}/none.duckdb"}}'),
        "warehouse.connection",
        ERROR,
        "there is no file /",
        "correct the connection",
    ),
    "warehouse-is-down": Broken(
        connected("shop_warehouse", f"postgres://reader:{PASSWORD}@127.0.0.1:1/db"),
        "warehouse.connection",
        ERROR,
        "shop_warehouse (postgres, host 127.0.0.1, port 1, schema db) does not answer: connection failed",
        "check that the database is up",
    ),
    "warehouse-is-none": Broken(
        connected("shop_warehouse", "http://127.0.0.1"),
        "warehouse.connection",
        ERROR,
        "type http is not a database",
        "use a SQL connection",
    ),
    "warehouse-without-a-provider": Broken(
        connected("shop_warehouse", "oracle://127.0.0.1/orders"),
        "warehouse.connection",
        ERROR,
        "type oracle has no hook here",
        "provider",
    ),
    "no-table": Broken(
        query("SELECT * FROM nowhere WHERE updated_at >= :window_start AND updated_at < :window_end"),
        "query.rows",
        ERROR,
        "no such table: nowhere",
        "check that the database answers",
    ),
    "no-plan": Broken(
        query("SELECT * FROM nowhere WHERE updated_at >= :window_start AND updated_at < :window_end"),
        "query.plan",
        WARNING,
        "does not explain the query: no such table: nowhere",
        "see query.rows",
    ),
    "wrong-columns": Broken(
        query("SELECT order_id AS id, status FROM orders WHERE :window_start < :window_end"),
        "query.columns",
        ERROR,
        "returns the column order_id not at all (its columns: id, status)",
        "name the columns order_id, status and updated_at",
    ),
    "no-index": Broken(without_index, "query.plan", WARNING, "reads the whole of orders", "index on updated_at"),
    "no-rows": Broken(lambda shop, _: shop.clear_rows(), "query.rows", WARNING, "no rows in [", "--days"),
    "unmapped": Broken(
        rows(("5", "on hold", AN_HOUR_AGO), ("6", "on hold", AN_HOUR_AGO)),
        "status.unmapped",
        ERROR,
        "'on hold', 2 orders, for example '5': UNMAPPED",
        "add to the list created, completed or cancelled in test.yaml, whichever the status means:\n  - on hold",
    ),
    "no-time": Broken(
        rows(("5", "new", None)),
        "rows.updated_at_missing",
        WARNING,
        "1 row: the row has no updated_at",
        "correct these rows",
    ),
    "no-id": Broken(
        rows((None, "new", AN_HOUR_AGO), (None, "new", AN_HOUR_AGO)),
        "rows.order_id_missing",
        WARNING,
        "2 rows",
        "correct these rows",
    ),
    "blank-id": Broken(rows((" ", "new", AN_HOUR_AGO)), "rows.order_id_blank", WARNING, "1 row", "correct these rows"),
    "older-versions": Broken(
        rows(("2", "new", TWO_HOURS_AGO), ("2", "paid", TWO_HOURS_AGO)),
        "query.duplicate_ids",
        OK,
        "3 rows are older",
        "add --entity store_id",
    ),
    "ambiguous-orders": Broken(
        rows(("5", "new", AN_HOUR_AGO), ("5", "paid", AN_HOUR_AGO), ("5", "delivered", AN_HOUR_AGO)),
        "rows.order_ambiguous",
        WARNING,
        "1 order with different statuses at the newest updated_at, for example '5'",
        "return a finer time as updated_at, or choose one of the rows by a rule in the query",
    ),
    "blanks-at-an-end": Broken(
        rows((" 5", "new", AN_HOUR_AGO)), "ids.blank_ends", WARNING, "1 order ids have blanks", "trim them"
    ),
    "case": Broken(
        rows(("ab", "new", AN_HOUR_AGO), ("aB", "new", AN_HOUR_AGO)),
        "ids.case",
        WARNING,
        "1 order ids occur in several spellings that differ in upper and lower case only, for example 'aB' and 'ab'",
        "as the shop's tracking sends it",
    ),
    "invisible-in-a-status": Broken(
        rows(("5", "new\u200b", AN_HOUR_AGO)),
        "status.invisible",
        WARNING,
        r"1 statuses have characters that are not visible, for example 'new\u200b'",
        "remove these characters in the query, or map the statuses",
    ),
    "much-is-rejected": Broken(
        lambda shop, _: shop.add_rows([("5", "new", None)]) or {"limits": {"rejected_share": 0.001}},
        "limits.rejected_share",
        ERROR,
        "1 of 6 rows would be rejected, a share of 0.0100 of at least 100 rows (limit 0.001)",
        "raise limits.rejected_share in test.yaml",
    ),
    "much-would-change": Broken(
        key("limits", {"changed_orders": 3}),
        "limits.changed_orders",
        WARNING,
        "at most 4 orders would change (limit 3)",
        "the param changed_orders",
    ),
    "no-rees46": Broken(without("shop_rees46"), "rees46.connection", ERROR, "does not exist", "create it in Airflow"),
    "no-secret": Broken(rees46(password=""), "rees46.connection", ERROR, "password is empty", "secret key"),
    "unencrypted": Broken(rees46(host="0.0.0.0"), "rees46.connection", WARNING, "url http://0.0.0.0", "schema http"),
    "rees46-is-down": Broken(rees46(port=1), "rees46.reached", ERROR, "127.0.0.1:1 cannot be reached", "correct host"),
    "no-ledger": Broken(without("shop_ledger"), "ledger.connection", ERROR, "does not exist", "create it in Airflow"),
    "no-ledger-folder": Broken(
        connected("shop_ledger", "sqlite:///{folder}/none/ledger.db"),
        "ledger.connection",
        ERROR,
        "there is no file yet",
        "create the folder /",
    ),
    "no-ledger-file": Broken(
        connected("shop_ledger", "sqlite:///{folder}/none.db"),
        "ledger.connection",
        OK,
        "no file yet",
        "first run creates",
    ),
    "ledger-is-down": Broken(
        connected("shop_ledger", f"postgres://writer:{PASSWORD}@127.0.0.1:1/db"),
        "ledger.connection",
        ERROR,
        "does not answer",
        "check that the database is up",
    ),
    "ledger-is-none": Broken(
        connected("shop_ledger", '{{"conn_type": "duckdb", "host": "ledger.duckdb"}}'),
        "ledger.connection",
        ERROR,
        "Connection shop_ledger: its type has no SQLAlchemy dialect",
        "use SQLite, PostgreSQL, MySQL or MariaDB",
    ),
    "half-a-ledger": Broken(
        half_a_ledger, "ledger.tables", OK, "rees46_uncertain_orders: do not exist yet", "the next run creates them"
    ),
    "failed-runs": Broken(
        runs(("success", 3), ("failed", 2), ("failed", 1)),
        "ledger.last_success",
        WARNING,
        "2 failed since",
        "account_for_rows of the latest run of order_status_sync_test",
    ),
    "only-failed-runs": Broken(
        runs(("failed", 1)), "ledger.last_success", WARNING, "no regular run has succeeded yet, and 1 failed", "see"
    ),
    "long-ago": Broken(
        runs(("success", 30)),
        "ledger.last_success",
        WARNING,
        "more than 24 hours ago",
        "order_status_sync_test is unpaused",
    ),
    "staging": Broken(
        key("staging", "file:///proc/nobody"),
        "staging.write",
        ERROR,
        "cannot be written",
        "correct staging in the shop",
    ),
    "staging-of-no-kind": Broken(
        key("staging", "nothing://bucket/folder"), "staging.write", ERROR, "'nothing'", "correct staging in test.yaml"
    ),
    "three-slots": Broken(pool(3), "pool", WARNING, "has 3 slots: an older status", "pools set rees46_slots3 1"),
    "no-slots": Broken(pool(0), "pool", ERROR, "has 0 slots: no load will ever start", "pools set rees46_slots0 1"),
    "unlimited-slots": Broken(pool(-1), "pool", WARNING, "has unlimited slots", "pools set"),
    "one-slot": Broken(pool(1), "pool", OK, "rees46_slots1 has one slot", ""),
    "no-airflow": Broken(no_metadata_database, "pool", WARNING, "pool rees46_test cannot be read from", "AIRFLOW_HOME"),
}


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(broken, id=name, marks=[pytest.mark.clock] if broken.check == "ledger.last_success" else [])
        for name, broken in BROKEN.items()
    ],
)
def test_each_problem_is_found_and_hides_no_other_check(
    healthy: ShopUnderTest, monkeypatch: pytest.MonkeyPatch, broken: Broken
) -> None:
    keys = {"shop": "test"} | (broken.cause(healthy, monkeypatch) or {})  # type: ignore[operator]
    findings = examine_shop(healthy.configure(**keys))

    [finding] = about(findings, broken.check)
    assert (finding.level, finding.check) == (broken.level, broken.check)
    assert broken.value in finding.value
    assert broken.remedy in finding.remedy
    assert bool(finding.remedy) == bool(broken.remedy)
    assert "Also" not in finding.value
    # All other parts were examined as well.
    parts = {"warehouse.connection", "rees46.connection", "ledger.connection", "staging.write", "pool"}
    assert parts <= {one.check for one in findings} | {broken.check}
    text = report.as_text([Report("test", "", findings)])
    assert PASSWORD not in text
    assert SECRET not in text


def test_nothing_is_posted_and_nothing_is_written(healthy_anywhere: ShopUnderTest, tmp_path: Path) -> None:
    shop = healthy_anywhere
    engine = Ledger.from_conn_id("shop_ledger").engine

    def tables() -> list[str]:
        with closing(engine.connect()) as connection:
            found = sorted(sa.inspect(connection).get_table_names())
        engine.dispose()
        return found

    staging = tmp_path / "staged" / "here"
    before = tables()
    files = {file: file.read_bytes() for file in shop.folder.rglob("*") if file.is_file()}

    findings = examine_shop(shop.configure(staging=f"file://{staging}"))

    assert about(findings, "staging.write")[0].level == Level.OK
    assert not (tmp_path / "staged").exists()
    assert shop.sandbox.stats()["requests"] == 0
    assert shop.sandbox.state() == {}
    assert tables() == before
    shop_file = shop.shops / "test.yaml"
    after = {file: file.read_bytes() for file in shop.folder.rglob("*") if file.is_file()}
    assert {**after, shop_file: b""} == {**files, shop_file: b""}


def test_files_that_a_run_stages_meanwhile_are_kept(healthy: ShopUnderTest, tmp_path: Path) -> None:
    staged = tmp_path / "staged" / "test" / "extraction"
    staged.mkdir(parents=True)
    (staged / "partition.parquet").write_text("rows")
    examine_shop(healthy.configure(staging=f"file://{tmp_path}/staged"))
    assert [path.name for path in (tmp_path / "staged").rglob("*")] == ["test", "extraction", "partition.parquet"]
