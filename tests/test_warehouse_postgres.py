"""A PostgreSQL warehouse, whose own time zone is not UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from upath import UPath

from rees46_sync.exceptions import WarehouseError
from rees46_sync.warehouse import extract
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest
from tests.e2e.airflow_stack import postgres_connection, postgres_uri

WINDOW = Window(datetime(2026, 3, 1, 7, tzinfo=UTC), datetime(2026, 3, 1, 8, tzinfo=UTC))


@pytest.fixture
def database(postgres_home: Path, shop: ShopUnderTest) -> sa.Engine:
    shop.connect("shop_warehouse", postgres_connection(postgres_home, "postgres"))
    engine = sa.create_engine(postgres_uri(postgres_home, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS orders"))
    return engine


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp"])
def test_the_window_is_utc_in_a_session_of_another_zone(database: sa.Engine, shop: ShopUnderTest, kind: str) -> None:
    with database.connect() as connection:
        connection.execute(sa.text("SET TIME ZONE 'UTC'"))
        connection.execute(sa.text(f"CREATE TABLE orders (order_id bigint, status text, updated_at {kind})"))
        connection.execute(
            sa.text(
                "INSERT INTO orders VALUES (1, 'new', '2026-03-01 06:59:59.999999'), (2, 'new', '2026-03-01 07:00'), "
                "(3, 'new', '2026-03-01 07:59:59.999999'), (4, 'new', '2026-03-01 08:00'), (5, 'new', NULL)"
            )
        )

    [partition] = extract(shop.configure(), WINDOW, UPath(shop.folder / "staged")).partitions

    rows = pq.read_table(partition.path).to_pylist()
    assert [row["order_id"] for row in rows] == ["2", "3", "5"]
    assert rows[0]["updated_at"] == WINDOW.start


def test_rows_are_fetched_in_chunks_and_all_of_them(database: sa.Engine, shop: ShopUnderTest) -> None:
    with database.connect() as connection:
        connection.execute(
            sa.text(
                "CREATE TABLE orders AS SELECT n AS order_id, 'new' AS status, timestamp '2026-03-01 07:30' "
                "AS updated_at FROM generate_series(1, 25000) AS n"
            )
        )

    extraction = extract(shop.configure(partition_rows=10_000), WINDOW, UPath(shop.folder / "staged"))

    assert [partition.rows for partition in extraction.partitions] == [10_000, 10_000, 5_000]


def test_casts_and_percent_signs_of_the_query_reach_the_database(database: sa.Engine, shop: ShopUnderTest) -> None:
    (shop.shops / "orders.sql").write_text(
        "SELECT '100%' AS order_id, 'new'::text AS status, :window_start::timestamptz AS updated_at "
        "WHERE :window_end::timestamptz IS NOT NULL AND 'a:b' LIKE '%:%'"
    )

    [partition] = extract(shop.configure(), WINDOW, UPath(shop.folder / "staged")).partitions

    assert pq.read_table(partition.path)["order_id"].to_pylist() == ["100%"]


def test_a_query_that_fails_there_says_why(database: sa.Engine, shop: ShopUnderTest) -> None:
    with pytest.raises(WarehouseError, match=r'orders\.sql from connection shop_warehouse failed: relation "orders"'):
        extract(shop.configure(), WINDOW, UPath(shop.folder / "staged"))
