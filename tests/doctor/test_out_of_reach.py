"""Rows whose time is in no run's window."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import duckdb
import pytest

from rees46_sync.airflow_adapters.connections import get_database_hook
from rees46_sync.doctor import out_of_reach
from rees46_sync.doctor.findings import Level
from tests.conftest import PROJECT, ShopUnderTest
from tests.mariadb import MariaDB

from .conftest import NOW, about, examine_shop

IN_SIX_HOURS, IN_TWO_DAYS = (f"{NOW + timedelta(hours=hours)}" for hours in (6, 48))
A_DAY_AFTER_NOW = {
    "sqlite": "datetime('now', '+1 day')",
    "duckdb": "now() + INTERVAL '1 day'",
    "postgres": "now() + INTERVAL '1 day'",
    "mysql": "UTC_TIMESTAMP() + INTERVAL 1 DAY",
}
"""As docs/warehouses.md shows it."""

IN_WINDOW = "updated_at >= :window_start AND updated_at < :window_end"


def insert(shop: ShopUnderTest, *times: str | None) -> None:
    """Insert an order for each time, with the ids far-0, far-1, …, into the warehouse of any kind."""
    rows = [(f"far-{number}", "new", time) for number, time in enumerate(times)]
    hook = get_database_hook("shop_warehouse")
    if hook.conn_type == "sqlite":  # Airflow's hook cannot open the path of a test
        shop.add_rows(rows)
        return
    values = (f"('{order_id}', '{status}', " + (f"'{time}')" if time else "NULL)") for order_id, status, time in rows)
    statement = "INSERT INTO orders VALUES " + ", ".join(values)
    if hook.conn_type == "duckdb":  # the hook opens a file for reading alone
        with closing(duckdb.connect(hook.get_connection("shop_warehouse").host)) as db:
            db.execute(statement)
    else:
        hook.run(statement, True)


def query(shop: ShopUnderTest, condition: str) -> None:
    (shop.shops / "orders.sql").write_text(f"SELECT order_id, status, updated_at FROM orders WHERE {condition}")


@pytest.mark.parametrize(
    "time",
    [
        pytest.param("0001-01-01 00:00:00", id="0001"),
        pytest.param("1970-01-01 00:00:00", id="1970"),
        pytest.param("1989-12-31 23:59:59", id="before-1990"),
        pytest.param(IN_TWO_DAYS, id="in-two-days"),
        pytest.param("2647-01-01 00:00:00", id="2647"),
        pytest.param("9999-12-31 23:59:59", id="9999"),
    ],
)
def test_a_row_that_no_run_reads_is_a_warning_with_its_id_and_time(healthy_anywhere: ShopUnderTest, time: str) -> None:
    insert(healthy_anywhere, time, None)

    findings = examine_shop(healthy_anywhere.configure())

    [found] = about(findings, "query.out_of_reach")
    assert (found.level, found.data) == (Level.WARNING, {"rows": 1, "examples": [f"far-0 ({time}+00:00)"]})
    assert f"1 row is dated before 1990 or more than a day after now, for example far-0 ({time}" in found.value
    assert "docs/own-shop.md" in found.remedy
    assert about(findings, "query.future_rows") == []


def test_a_row_of_the_next_day_is_not_a_warning_but_is_mentioned(healthy_anywhere: ShopUnderTest) -> None:
    insert(healthy_anywhere, IN_SIX_HOURS)

    findings = examine_shop(healthy_anywhere.configure())

    [far], [soon] = about(findings, "query.out_of_reach"), about(findings, "query.future_rows")
    assert (far.level, far.data["rows"]) == (Level.OK, 0)
    assert (soon.level, soon.data) == (Level.OK, {"rows": 1, "examples": [f"far-0 ({IN_SIX_HOURS}+00:00)"]})
    assert soon.value == "1 row is dated after now: read when their time comes"


def test_a_day_that_does_not_exist_is_found_as_well(healthy: ShopUnderTest) -> None:
    insert(healthy, "2647-02-31 00:00:00", None)

    [found] = about(examine_shop(healthy.configure()), "query.out_of_reach")

    assert found.data == {"rows": 1, "examples": ["far-0 (unreadable)"]}


def test_a_row_that_the_query_returns_without_need_is_not_taken_for_one_of_the_window(healthy: ShopUnderTest) -> None:
    query(healthy, "updated_at >= datetime(:window_start, '-2 days') AND updated_at < :window_end")
    healthy.add_rows([("now", "new", NOW)])

    findings = examine_shop(healthy.configure())

    assert about(findings, "query.out_of_reach")[0].data["rows"] == 0
    assert about(findings, "query.future_rows") == []


@pytest.mark.clock
def test_a_row_that_the_query_returns_for_every_window_is_not_reported_a_second_time(
    healthy_anywhere: ShopUnderTest,
) -> None:
    tomorrow = A_DAY_AFTER_NOW[get_database_hook("shop_warehouse").conn_type]
    query(healthy_anywhere, f"({IN_WINDOW}) OR updated_at < '1990-01-01' OR updated_at >= {tomorrow}")
    insert(healthy_anywhere, "1970-01-01 00:00:00", "2647-01-01 00:00:00")

    findings = examine_shop(healthy_anywhere.configure())

    assert about(findings, "rows.updated_at_outside_window")[0].data == {"rows": 2}
    assert about(findings, "query.out_of_reach")[0].level is Level.OK


def test_only_the_rows_that_the_query_does_not_always_return_are_counted(healthy: ShopUnderTest) -> None:
    query(healthy, f"({IN_WINDOW}) OR updated_at > '3000'")
    insert(healthy, "2647-01-01 00:00:00", "3647-01-01 00:00:00")

    [found] = about(examine_shop(healthy.configure()), "query.out_of_reach")

    assert found.data == {"rows": 1, "examples": ["far-0 (2647-01-01 00:00:00+00:00)"]}


def test_the_demos_query_leaves_nothing_out_of_reach(healthy: ShopUnderTest) -> None:
    (healthy.shops / "orders.sql").write_bytes((PROJECT / "include" / "sql" / "demo_orders.sql").read_bytes())
    insert(healthy, "1970-01-01 00:00:00", "2647-01-01 00:00:00", None, "soon", "0000-00-00 00:00:00")

    assert about(examine_shop(healthy.configure()), "query.out_of_reach")[0].data["rows"] == 0


def test_of_many_such_rows_some_are_counted_and_three_are_shown(
    healthy: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_reach, "MAX_ROWS", 5)
    insert(healthy, *["2647-01-01 00:00:00"] * 6, None, None)

    [found] = about(examine_shop(healthy.configure()), "query.out_of_reach")

    assert found.value.startswith("5 or more rows are dated")
    assert (found.data["rows"], len(found.data["examples"])) == (5, 3)


def test_a_query_that_ignores_its_window_is_not_asked_further(
    healthy: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_reach, "MAX_ROWS", 5)
    query(healthy, ":window_start < :window_end")

    [found] = about(examine_shop(healthy.configure()), "query.out_of_reach")

    assert (found.level, found.data) == (Level.OK, {"rows": None})
    assert "5 rows or more for every window" in found.value


def test_of_millions_of_such_rows_only_the_first_are_read(mariadb: MariaDB, healthy: ShopUnderTest) -> None:
    """PyMySQL reads the rest of a result that is closed early, unless it is kept from it."""
    healthy.connect("shop_warehouse", mariadb.connection(mariadb.create_database()))
    (healthy.shops / "orders.sql").write_text(
        "SELECT seq AS order_id, 'new' AS status, TIMESTAMP'2647-01-01 00:00:00' AS updated_at "
        "FROM seq_1_to_100000000 WHERE '2647-01-01' >= :window_start AND '2647-01-01' < :window_end"
    )

    [found] = about(examine_shop(healthy.configure()), "query.out_of_reach")

    assert found.value.startswith("10,000 or more rows are dated")


def test_a_query_that_takes_too_long_is_a_warning_and_the_checks_go_on(
    healthy: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_reach, "TIMEOUT_S", 0)

    findings = examine_shop(healthy.configure())

    [found] = about(findings, "query.out_of_reach")
    assert (found.level, found.value) == (Level.WARNING, "not found out: no answer within 0 s")
    assert about(findings, "rees46.reached")


def test_a_query_that_fails_is_reported_once(healthy: ShopUnderTest) -> None:
    query(healthy, f"{IN_WINDOW} AND no_such_column")

    errors = [one for one in examine_shop(healthy.configure()) if "no_such_column" in one.value]

    assert {one.check for one in errors} == {"query.plan", "query.rows"}


def test_a_query_that_fails_for_these_windows_alone_is_a_warning(healthy: ShopUnderTest) -> None:
    query(healthy, f"{IN_WINDOW} AND (:window_start > '1991' OR abs(-9223372036854775807 - 1))")

    [found] = about(examine_shop(healthy.configure()), "query.out_of_reach")

    assert found.level is Level.WARNING
    assert "integer overflow" in found.value
