"""The rows that the query returns now."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from rees46_sync.doctor import checks
from rees46_sync.doctor.findings import Level
from tests.conftest import ShopUnderTest
from tests.e2e.airflow_stack import postgres_connection

from .conftest import AN_HOUR_AGO, NOW, ROWS, TWO_HOURS_AGO, about, examine_shop, fill_postgres


def test_many_unmapped_statuses_do_not_flood_the_report(healthy: ShopUnderTest) -> None:
    healthy.add_rows([(str(n), f"odd-{n}", AN_HOUR_AGO) for n in range(100, 150)])
    found = about(examine_shop(healthy.configure()), "status.unmapped")
    assert len(found) == 21
    assert found[-1].value == "30 more statuses: UNMAPPED"


def test_the_lines_for_all_unmapped_statuses_are_shown_once_and_are_in_the_data_of_each(healthy: ShopUnderTest) -> None:
    healthy.add_rows([("5", "odd", AN_HOUR_AGO), ("6", "odd", AN_HOUR_AGO), ("7", "x\x00", AN_HOUR_AGO)])

    first, second = about(examine_shop(healthy.configure()), "status.unmapped")

    assert first.remedy.splitlines()[1:] == first.data["lines"] == ["  - odd", '  - "x\\x00"']
    assert (second.remedy, second.data["lines"]) == ("see the first status that is not mapped", first.data["lines"])
    assert (second.data["status"], second.data["orders"]) == ("x\x00", 1)
    assert second.value.startswith(r"'x\x00', 1 orders")


@pytest.mark.parametrize("partition_rows", [1, 1000])
def test_ambiguous_orders_are_counted_once_each_and_are_no_older_versions(
    healthy: ShopUnderTest, partition_rows: int
) -> None:
    healthy.clear_rows()
    healthy.add_rows([(f"{n:02}", status, AN_HOUR_AGO) for n in range(12) for status in ("new", "delivered", None)])

    findings = examine_shop(healthy.configure(partition_rows=partition_rows))

    [found] = about(findings, "rows.order_ambiguous")
    assert found.data == {"rows": 36, "orders": 12, "examples": [f"{n:02}" for n in range(10)]}
    assert about(findings, "query.duplicate_ids")[0].data == {"rows": 0}


@pytest.mark.parametrize(("time", "warned"), [("00:00:00", True), ("00:00:01", False)], ids=["a-day", "a-time"])
def test_days_in_place_of_times_are_warned_of(healthy: ShopUnderTest, time: str, warned: bool) -> None:
    healthy.clear_rows()
    healthy.add_rows([("1", "new", f"{NOW - timedelta(days=1):%Y-%m-%d} {time}")])
    assert bool(about(examine_shop(healthy.configure(), days=3), "query.whole_days")) is warned


# Orders of several stores


@pytest.fixture
def stores(healthy: ShopUnderTest) -> ShopUnderTest:
    """A query that returns the store of each order, too: 1 has two, 2 moved from none to one, and 3 has one."""
    query = (healthy.shops / "orders.sql").read_text()
    store = "CASE WHEN status = 'new' THEN 1 WHEN status = 'late' THEN NULL ELSE 2 END AS store_id"
    (healthy.shops / "orders.sql").write_text(query.replace("updated_at FROM", f"updated_at, {store} FROM"))
    healthy.add_rows([("2", "late", TWO_HOURS_AGO), ("3", "paid", TWO_HOURS_AGO)])
    return healthy


def test_an_order_id_that_several_stores_have_is_found_if_the_doctor_is_asked(stores: ShopUnderTest) -> None:
    findings = checks.examine(stores.configure(), 1, entity="STORE_ID").findings

    [found] = about(findings, "query.shared_ids")
    assert (found.level, found.data) == (Level.WARNING, {"orders": 1, "examples": ["1"]})
    assert "make the id unique in the query" in found.remedy
    assert about(findings, "query.duplicate_ids")[0].remedy == ""


def test_ids_of_one_store_each_are_not_shared(stores: ShopUnderTest) -> None:
    stores.clear_rows()
    stores.add_rows([("1", "new", AN_HOUR_AGO), ("1", "new", TWO_HOURS_AGO), ("2", "paid", AN_HOUR_AGO)])

    [found] = about(checks.examine(stores.configure(), 1, entity="store_id").findings, "query.shared_ids")

    assert (found.level, found.value) == (Level.OK, "each order id occurs with one store_id")


def test_an_entity_that_the_query_does_not_return_is_an_error_that_names_its_columns(stores: ShopUnderTest) -> None:
    [found] = about(checks.examine(stores.configure(), 1, entity="store").findings, "query.shared_ids")

    assert found.level is Level.ERROR
    assert "does not return store once (its columns: order_id, status, updated_at, store_id)" in found.value


@pytest.mark.databases
@pytest.mark.parametrize("column", ["CAST(7 AS numeric)", "CAST('x' AS char(3))", "gen_random_uuid()", "now()"])
def test_an_entity_may_have_any_type_of_postgresql(healthy: ShopUnderTest, postgres_home: Path, column: str) -> None:
    fill_postgres(postgres_home, ROWS).dispose()
    healthy.connect("shop_warehouse", postgres_connection(postgres_home, "postgres"))
    query = (healthy.shops / "orders.sql").read_text()
    (healthy.shops / "orders.sql").write_text(query.replace("updated_at FROM", f"updated_at, {column} AS store FROM"))

    [found] = about(checks.examine(healthy.configure(), 1, entity="store").findings, "query.shared_ids")

    assert found.data["orders"] == (column == "gen_random_uuid()")


def test_more_days_read_more_rows(healthy: ShopUnderTest) -> None:
    healthy.add_rows([("old", "new", NOW - timedelta(days=5))])
    shop = healthy.configure()
    assert about(examine_shop(shop), "query.rows")[0].data["rows"] == 5
    assert about(examine_shop(shop, days=7), "query.rows")[0].data["rows"] == 6


def test_counts_are_summed_over_partitions(healthy: ShopUnderTest) -> None:
    healthy.add_rows([("5", "odd", AN_HOUR_AGO), ("6", "odd", AN_HOUR_AGO), (None, "new", None)])
    findings = examine_shop(healthy.configure(partition_rows=1))
    assert about(findings, "status.unmapped")[0].data["orders"] == 2
    assert about(findings, "limits.rejected_share")[0].value.startswith("3 of 8 rows")
    assert sum(one.data["orders"] for one in about(findings, "status.mapped")) == 5
