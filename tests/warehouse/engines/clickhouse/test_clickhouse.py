"""What ClickHouse's own types become, and what its sessions may do."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from rees46_sync.airflow_adapters.connections import get_database_hook
from rees46_sync.doctor import connections
from rees46_sync.exceptions import WarehouseError
from rees46_sync.warehouse import reader
from tests.conftest import ShopUnderTest
from tests.warehouse.engines.clickhouse.warehouse import ClickHouse
from tests.warehouses import IN_WINDOW, WINDOW

pytestmark = pytest.mark.contract

UUID = "61f0c404-5cb3-11e7-907b-a6006ad3dba0"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def clickhouse(shop: ShopUnderTest, engine: int) -> ClickHouse:
    made = ClickHouse(shop, engine)
    shop.connect("shop_warehouse", made.connection())
    return made


def created(clickhouse: ClickHouse, columns: str, values: str) -> None:
    clickhouse.execute(
        "DROP TABLE IF EXISTS orders",
        f"CREATE TABLE orders ({columns}) ENGINE MergeTree ORDER BY tuple()",
        f"INSERT INTO orders SELECT {values}",
    )


@pytest.mark.parametrize(
    ("kind", "value", "text", "is_exact"),
    [
        pytest.param("UUID", f"toUUID('{UUID}')", UUID, True, id="uuid"),
        pytest.param("UInt64", "18446744073709551615", "18446744073709551615", True, id="uint64"),
        pytest.param("UInt256", "toUInt256('1' || repeat('0', 70))", "1" + "0" * 70, True, id="uint256"),
        pytest.param("LowCardinality(Nullable(String))", "'7'", "7", True, id="low-cardinality"),
        pytest.param("Enum8('first' = 1)", "'first'", "first", True, id="enum"),
        pytest.param("FixedString(2)", "'07'", "07", True, id="fixed-string"),
        pytest.param("Decimal(18, 4)", "7.5", "7.5", True, id="decimal"),
        pytest.param("String", "unhex('ff')", "ff", False, id="not-utf-8"),
        pytest.param("Float64", "0.5", "0.5", False, id="fraction"),
        pytest.param("Bool", "true", "True", False, id="bool"),
    ],
)  # fmt: skip
def test_an_id_of_each_type_is_exact_or_known_not_to_be(
    clickhouse: ClickHouse, kind: str, value: str, text: str, is_exact: bool
) -> None:
    created(
        clickhouse, f"n UInt8, order_id {kind}, status String, updated_at DateTime", f"1, {value}, 'new', toDateTime(0)"
    )

    [row] = clickhouse.staged().rows

    assert (row["order_id"], row["order_id_exact"]) == (text, is_exact)


@pytest.mark.parametrize(
    "other", ["", "toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0') AS other, "], ids=["arrow", "native"]
)
@pytest.mark.parametrize("kind", ["Enum8('new' = 1, 'paid' = 2)", "LowCardinality(String)", "String"])
def test_a_status_is_the_text_of_its_type(clickhouse: ClickHouse, kind: str, other: str) -> None:
    created(clickhouse, f"order_id String, status {kind}, updated_at DateTime", "'1', 'paid', toDateTime(0)")

    assert clickhouse.staged(f"SELECT {other}* FROM orders WHERE :window_start < :window_end").statuses == [
        ("1", "paid")
    ]


@pytest.mark.parametrize("other", ["", "0.5 AS other, "], ids=["arrow", "native"])
@pytest.mark.parametrize(
    "kind",
    [
        "DateTime",
        "Nullable(DateTime)",
        "DateTime('America/New_York')",
        "DateTime64(3)",
        "DateTime64(3, 'America/New_York')",
        "DateTime64(9)",
    ],
)
def test_a_time_is_the_moment_that_it_means_whatever_its_zone_and_precision(
    clickhouse: ClickHouse, kind: str, other: str
) -> None:
    created(
        clickhouse,
        f"order_id String, status String, updated_at {kind}",
        f"'1', 'new', toDateTime({NOON.timestamp():.0f})",
    )

    [row] = clickhouse.staged(f"SELECT {other}* FROM orders {IN_WINDOW}").rows

    assert row["updated_at"] == NOON


def test_the_types_of_most_tables_are_read_as_arrow(clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    created(
        clickhouse,
        "order_id UInt64, status LowCardinality(String), updated_at DateTime('UTC')",
        f"1, 'new', toDateTime({NOON.timestamp():.0f})",
    )
    kinds: list[Any] = []
    staged_rows = reader.staged_rows
    monkeypatch.setattr(
        reader, "staged_rows", lambda *columns: kinds.extend(str(c.type) for c in columns) or staged_rows(*columns)
    )

    clickhouse.staged(f"SELECT * FROM orders {IN_WINDOW}")

    assert kinds == ["uint64", "string", "timestamp[s, tz=UTC]"]


def test_functions_of_the_query_count_in_utc(clickhouse: ClickHouse) -> None:
    created(
        clickhouse,
        "order_id String, status String, updated_at DateTime",
        f"'1', 'new', toDateTime({NOON.timestamp():.0f})",
    )

    sql = f"SELECT timezone() AS order_id, status, updated_at FROM orders {IN_WINDOW}"

    assert clickhouse.staged(sql).statuses == [("UTC", "new")]


def test_one_order_is_found_whatever_the_type_of_its_id(clickhouse: ClickHouse) -> None:
    for kind in ("String", "UInt64", "Nullable(Int32)"):
        created(
            clickhouse,
            f"order_id {kind}, status String, updated_at DateTime",
            f"'7', 'new', toDateTime({NOON.timestamp():.0f})",
        )
        shop = clickhouse.configured(f"SELECT * FROM orders {IN_WINDOW}")

        assert reader.read_order(shop, WINDOW, "7", 10, 30)["order_id"].to_pylist() == ["7"]


def test_a_query_of_one_order_that_takes_too_long_is_ended_by_the_server(clickhouse: ClickHouse) -> None:
    created(clickhouse, "order_id String, status String, updated_at DateTime", "'7', 'new', toDateTime(0)")
    shop = clickhouse.configured(
        "SELECT order_id, status, updated_at FROM orders WHERE :window_start < :window_end "
        "AND (SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(cityHash64(number))) > 0"
    )

    with pytest.raises((TimeoutError, WarehouseError), match=r"within 1 s|TIMEOUT_EXCEEDED"):
        reader.read_order(shop, WINDOW, "7", 10, 1)


def test_the_doctor_reaches_it_and_compares_its_clock(clickhouse: ClickHouse) -> None:
    hook = get_database_hook("shop_warehouse")

    findings = [connections.answers("warehouse", hook), *connections.clock("warehouse.clock", hook)]

    assert [finding.level for finding in findings] == ["ok", "ok"]
    assert abs(findings[1].data["difference_s"]) < 60
