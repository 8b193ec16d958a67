"""Tables that a plan reads as a whole are found in the plans of each kind of database."""

from __future__ import annotations

import pytest

from rees46_sync.warehouse import query_plans


@pytest.mark.parametrize(
    ("details", "tables"),
    [
        (["SCAN orders"], ["orders"]),
        (["SCAN orders USING COVERING INDEX i"], ["orders"]),
        (["SEARCH orders USING INDEX i (updated_at>?)"], []),
        (["CO-ROUTINE recent", "SEARCH orders USING INDEX i (updated_at>?)", "SCAN recent"], []),
        (["SCAN CONSTANT ROW", "SCAN (subquery-1)"], []),
    ],
)
def test_sqlite_plans_are_read(details: list[str], tables: list[str]) -> None:
    assert query_plans.sqlite_scans([(0, 0, 0, detail) for detail in details]) == tables


@pytest.mark.parametrize(
    ("row", "tables"),
    [
        ((1, "SIMPLE", "orders", None, "ALL", None, None, None, None, 90_000, 11.1, "Using where"), ["orders"]),
        ((1, "SIMPLE", "orders", None, "index", None, "i", "5", None, 90_000, 11.1, "Using where"), ["orders"]),
        ((1, "SIMPLE", "orders", None, "ALL", None, None, None, None, 9, 11.1, "Using where"), []),
        ((1, "SIMPLE", "orders", None, "range", "i", "i", "5", None, 90_000, 100.0, "Using index condition"), []),
        ((1, "SIMPLE", "orders", "ALL", None, None, None, None, "90000", "Using where"), ["orders"]),
        ((1, "SIMPLE", "orders", "ALL", None, None, None, None, "90000 (3%)", "Using where"), ["orders"]),
        ((1, "SIMPLE", "orders", "ALL", None, None, None, None, "9", "Using where"), []),
        ((1, "SIMPLE", None, None, None, None, None, None, None, "No tables used"), []),
        ((1, "PRIMARY", "<derived2>", None, "ALL", None, None, None, None, 90_000, 100.0, None), []),
    ],
    ids=[
        "mysql",
        "mysql-index-as-a-whole",
        "mysql-small",
        "mysql-index",
        "mariadb",
        "mariadb-filtered",
        "mariadb-small",
        "mariadb-no-table",
        "made-by-the-query",
    ],
)
def test_the_plans_of_mysql_and_mariadb_are_read(row: tuple[object, ...], tables: list[str]) -> None:
    assert query_plans.mysql_scans([row]) == tables
