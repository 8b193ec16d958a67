"""Query plans that read whole tables, of each kind of database."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from rees46_sync.doctor.findings import Level
from tests.conftest import ShopUnderTest
from tests.e2e.airflow_stack import postgres_connection
from tests.mariadb import MariaDB

from .conftest import about, examine_shop, fill_postgres


def test_a_large_table_without_an_index_is_a_full_scan_and_with_one_it_is_not(
    postgres_home: Path, healthy: ShopUnderTest
) -> None:
    engine = fill_postgres(postgres_home, [])
    healthy.connect("shop_warehouse", postgres_connection(postgres_home, "postgres"))
    with engine.connect() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO orders SELECT n, 'paid', timestamp '2026-01-01' + n * interval '1 second' "
                "FROM generate_series(1, 200000) AS n"
            )
        )
        connection.execute(sa.text("ANALYZE orders"))
        [before] = about(examine_shop(healthy.configure()), "query.plan")
        connection.execute(sa.text("CREATE INDEX orders_updated_at ON orders (updated_at)"))
        [after] = about(examine_shop(healthy.configure()), "query.plan")
    engine.dispose()
    assert (before.level, before.data) == (Level.WARNING, {"whole_tables": ["orders"]})
    assert (after.level, after.data) == (Level.OK, {"whole_tables": []})


def test_a_large_table_of_mysql_without_an_index_is_a_full_scan_and_with_one_it_is_not(
    mariadb: MariaDB, healthy: ShopUnderTest
) -> None:
    database = mariadb.create_database()
    mariadb.execute(
        "CREATE TABLE orders AS SELECT seq AS order_id, 'paid' AS status, "
        "TIMESTAMP '2026-01-01 00:00:00' + INTERVAL seq SECOND AS updated_at FROM seq_1_to_100000",
        "ANALYZE TABLE orders",
        database=database,
    )
    healthy.connect("shop_warehouse", mariadb.connection(database))

    [before] = about(examine_shop(healthy.configure()), "query.plan")
    mariadb.execute("CREATE INDEX orders_updated_at ON orders (updated_at)", database=database)
    [after] = about(examine_shop(healthy.configure()), "query.plan")

    assert (before.level, before.data) == (Level.WARNING, {"whole_tables": ["orders"]})
    assert (after.level, after.data) == (Level.OK, {"whole_tables": []})


@pytest.mark.parametrize(
    ("condition", "level"),
    [
        ("updated_at >= :window_start AND updated_at < :window_end", Level.OK),
        (
            "date_trunc('day', updated_at) + INTERVAL 1 HOUR >= :window_start AND :window_end > '2000-01-01'",
            Level.WARNING,
        ),
    ],
)
def test_duckdb_needs_no_index_but_a_comparison_with_the_stored_column(
    healthy: ShopUnderTest, condition: str, level: Level
) -> None:
    file = healthy.folder / "large.duckdb"
    with closing(duckdb.connect(file)) as db:
        db.execute(
            "CREATE TABLE orders AS SELECT n::VARCHAR AS order_id, 'new' AS status, "
            "TIMESTAMP '2026-01-01' + n * INTERVAL 1 SECOND AS updated_at FROM range(200000) t(n)"
        )
    healthy.connect("shop_warehouse", json.dumps({"conn_type": "duckdb", "host": str(file)}))
    (healthy.shops / "orders.sql").write_text(f"SELECT order_id, status, updated_at FROM orders WHERE {condition}")
    [plan] = about(examine_shop(healthy.configure()), "query.plan")
    assert plan.level == level
    assert ("sorted" in plan.remedy) == (level is Level.WARNING)
