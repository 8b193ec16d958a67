"""What Snowflake's own types become, and what its sessions are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pytest
import snowflake.connector
import sqlalchemy as sa

from rees46_sync.airflow_adapters.connections import get_database_hook
from rees46_sync.doctor import connections
from rees46_sync.warehouse import reader
from rees46_sync.warehouse.databases import find_by_conn_type
from tests.conftest import ShopUnderTest
from tests.warehouse.engines.snowflake.warehouse import Snowflake
from tests.warehouses import EVERY_ROW, IN_WINDOW, WINDOW

pytestmark = pytest.mark.contract

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def warehouse(shop: ShopUnderTest, engine: dict[str, Any]) -> Snowflake:
    made = Snowflake(shop, engine)
    shop.connect("shop_warehouse", made.connection())
    return made


def test_the_sync_runs_with_sqlalchemy_2_0_here() -> None:
    assert sa.__version__.startswith("2.0.")


@pytest.mark.parametrize(
    ("kind", "value", "text", "is_exact"),
    [
        pytest.param("NUMBER(37, 0)", "1" * 37, "1" * 37, True, id="37-digits"),
        pytest.param("NUMBER(10, 2)", "7.50", "7.5", True, id="digits-after-the-point"),
        pytest.param("FLOAT", "0.5", "0.5", False, id="fraction"),
        pytest.param("BOOLEAN", "true", "True", False, id="boolean"),
    ],
)
def test_an_id_of_each_type_is_exact_or_known_not_to_be(
    warehouse: Snowflake, kind: str, value: str, text: str, is_exact: bool
) -> None:
    with mock.patch.dict(warehouse.types, {"other": kind}):
        warehouse.fill([(value, "new", "2026-03-01 12:00:00")], "naive", "other")

    [row] = warehouse.staged().rows

    assert (row["order_id"], row["order_id_exact"], row["updated_at"]) == (text, is_exact, NOON)


@pytest.mark.parametrize("order_id", ["order_id", "order_id::FLOAT AS order_id"], ids=["arrow", "rows"])
def test_a_time_beyond_the_years_of_nanoseconds_is_the_same_by_arrow_and_by_rows(
    warehouse: Snowflake, order_id: str
) -> None:
    times = {"1": "0001-01-01 00:00:00", "2": "1600-01-01 00:00:00", "3": "9999-12-31 23:59:59.999999"}
    warehouse.fill([(name, "new", time) for name, time in times.items()], "naive")

    rows = warehouse.staged(EVERY_ROW.replace("order_id", order_id)).rows

    assert {row["order_id"]: row["updated_at"].isoformat(" ") for row in rows} == {
        name: f"{time}+00:00" for name, time in times.items()
    }


def test_the_types_of_most_tables_are_read_as_arrow(warehouse: Snowflake, monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse.fill([(7, "new", "2026-03-01 12:00:00")], "zoned", "integer")
    kinds: list[str] = []
    staged_rows = reader.staged_rows

    def noted(*columns: Any) -> Any:
        kinds.extend(str(column.type) for column in columns)
        return staged_rows(*columns)

    monkeypatch.setattr(reader, "staged_rows", noted)

    warehouse.staged(f"SELECT order_id, status, updated_at FROM orders {IN_WINDOW}")

    assert kinds == ["int64", "string", "timestamp[us, tz=Etc/UTC]"]


def test_a_session_is_utc_and_keeps_the_other_parameters_of_the_connection(warehouse: Snowflake) -> None:
    warehouse.fill([])
    given: list[dict[str, Any]] = []
    connect = snowflake.connector.connect

    def noted(**arguments: Any) -> Any:
        given.append(dict(arguments["session_parameters"]))  # the connector changes it
        return connect(**arguments)

    with mock.patch("snowflake.connector.connect", noted):
        warehouse.staged()

    assert given == [{"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False, "TIMEZONE": "UTC"}]


def test_one_order_is_found_whatever_the_type_of_its_id(warehouse: Snowflake) -> None:
    for kind, order_id in (("text", "it's 7%"), ("integer", "7"), ("double", "7")):
        warehouse.fill([(order_id, "new", "2026-03-01 12:00:00")], "naive", kind)
        shop = warehouse.configured(f"SELECT * FROM orders {IN_WINDOW} AND status LIKE 'n%'")

        assert reader.read_order(shop, WINDOW, order_id, 10, 30)["order_id"].to_pylist() == [order_id]


def test_the_entry_has_the_dialect_of_the_hook(warehouse: Snowflake) -> None:
    hook = get_database_hook("shop_warehouse")

    assert hook.get_sqlalchemy_engine().dialect.name == find_by_conn_type(hook.conn_type).dialect


def test_the_doctor_reaches_it_and_compares_its_clock(warehouse: Snowflake) -> None:
    hook = get_database_hook("shop_warehouse")

    findings = [connections.answers("warehouse", hook), *connections.clock("warehouse.clock", hook)]

    assert [finding.level for finding in findings] == ["ok", "ok"]
    assert abs(findings[1].data["difference_s"]) < 60
