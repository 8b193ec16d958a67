"""Unusable connections are named, and bad rows do not stop an extraction; test_contract.py has the rest."""

from __future__ import annotations

import pytest

from rees46_sync.exceptions import ConnectionFieldsError
from tests.conftest import ShopUnderTest
from tests.warehouse.test_values import INEXACT, UNREADABLE
from tests.warehouses import SQLite

NOON = "2026-03-01 12:00:00"


@pytest.fixture
def database(shop: ShopUnderTest) -> SQLite:
    """A shop with a SQLite warehouse, whose columns keep values of any kind."""
    made = SQLite(shop)
    shop.connect("shop_warehouse", made.connection())
    return made


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        pytest.param(None, ["does not exist", "create it", "AIRFLOW_CONN_OTHER_WAREHOUSE"], id="missing"),
        pytest.param("fs:///tmp", ["type fs is not a database", "use a SQL connection"], id="no-database"),
        pytest.param("nosuch://localhost", ["type nosuch has no hook", "install its Airflow provider"], id="no-hook"),
        pytest.param("generic://localhost", ["type generic"], id="type-without-a-hook"),
    ],
)
def test_a_connection_that_cannot_be_used_is_named(database: SQLite, connection: str | None, words: list[str]) -> None:
    if connection:
        database.shop.connect("other_warehouse", connection)

    message = database.error(ConnectionFieldsError, warehouse_conn_id="other_warehouse")

    assert message.startswith("Connection other_warehouse: ")
    assert [word for word in words if word not in message] == []


def test_a_bad_row_stops_no_other_row(database: SQLite) -> None:
    """The worst values that a row can hold are staged for validation, beside the other rows."""
    bad = [value.values[0] for value in [*INEXACT, *UNREADABLE] if isinstance(value.values[0], int | float | bytes)]
    rows = [(value, value, value) for value in bad]
    database.fill([*rows, ("good", "new", NOON)])

    staged = database.staged()

    assert staged.extraction.read == len(bad) + 1
    assert ("good", "new") in staged.statuses
