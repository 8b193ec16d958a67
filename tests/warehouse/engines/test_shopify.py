"""Shopify's queries for Snowflake and BigQuery return what the query for PostgreSQL returns from the same rows."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pytest
import sqlparse

from rees46_sync.shop.query import read_query
from rees46_sync.warehouse import reader
from tests.conftest import PROJECT, ShopUnderTest
from tests.warehouses import ENGINE, WINDOW, warehouse_of

pytestmark = pytest.mark.contract

SQL = PROJECT / "include" / "sql"


def in_postgresql(home: Path, system: str) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Create a system's table; return its rows, and what PostgreSQL's query returns of them."""
    table = 'shopify."order"' if system == "shopify_fivetran" else "public.orders"
    deleted = "_fivetran_deleted" if system == "shopify_fivetran" else "deleted_at"
    schema = sqlparse.split((PROJECT / "tests" / "shop_systems" / f"{system}.sql").read_text("utf-8"))
    bounds = {"window_start": WINDOW.start.replace(tzinfo=None), "window_end": WINDOW.end.replace(tzinfo=None)}
    server = psycopg2.connect(host=str(home / "postgres"), user="postgres", options="-c TimeZone=UTC")
    with closing(server) as db, db.cursor() as cursor:  # never committed, so that nothing stays
        for statement in schema:
            cursor.execute(statement)
        # Only PostgreSQL has such times.
        cursor.execute(f"DELETE FROM {table} WHERE NOT isfinite(updated_at) OR updated_at >= '10000-01-01'")
        cursor.execute(
            f"SELECT id, test, financial_status, fulfillment_status, cancelled_at, updated_at, {deleted} FROM {table}"
        )
        rows = cursor.fetchall()
        cursor.execute(*read_query(SQL / f"{system}_orders.sql").for_driver("pyformat", bounds))
        return rows, [(str(row[0]), row[1], row[2] and row[2].astimezone(UTC)) for row in cursor.fetchall()]


@pytest.mark.parametrize("kind", [ENGINE])
@pytest.mark.parametrize("system", ["shopify_fivetran", "shopify_airbyte"])
def test_the_query_returns_the_same_as_in_postgresql(
    system: str, kind: str, shop: ShopUnderTest, postgres_home: Path, request: pytest.FixtureRequest
) -> None:
    rows, expected = in_postgresql(postgres_home, system)
    warehouse: Any = warehouse_of(kind, shop, request)
    warehouse.fill_shopify(system, rows)
    query = (SQL / f"{system}_{kind}_orders.sql").read_text("utf-8")

    found = pa.concat_tables(reader.stream(warehouse.configured(query), WINDOW)).to_pylist()

    assert len(expected) > 20
    got = {(row["order_id"], row["status"], row["updated_at"]) for row in found}
    assert (len(found), got) == (len(expected), set(expected))
