"""One order of each kind of warehouse: found by its id, whatever the type of the column is."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from rees46_sync.warehouse.reader import read_order
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest
from tests.doctor.conftest import AN_HOUR_AGO

EVERYTHING = Window(datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def statuses(shop: ShopUnderTest, order_id: str, window: Window = EVERYTHING) -> list[str]:
    return sorted(read_order(shop.configure(), window, order_id, 10, 20)["status"].to_pylist())


@pytest.mark.clock
def test_all_rows_of_the_order_in_the_window_are_read_and_no_others(healthy_anywhere: ShopUnderTest) -> None:
    start = AN_HOUR_AGO.replace(tzinfo=UTC)

    assert statuses(healthy_anywhere, "1") == ["new", "paid"]
    assert statuses(healthy_anywhere, "1", Window(start, start + timedelta(hours=1))) == ["paid"]
    assert statuses(healthy_anywhere, "no such order") == []
    assert statuses(healthy_anywhere, "' OR 1 = 1 --") == []


@pytest.mark.clock
def test_an_id_that_is_a_number_in_the_warehouse_is_found_by_its_digits(healthy_anywhere: ShopUnderTest) -> None:
    query = (healthy_anywhere.shops / "orders.sql").read_text()
    number = query.replace("order_id,", "CAST(order_id AS DECIMAL(9)) AS order_id,").replace("\n", " -- a comment\n", 1)
    (healthy_anywhere.shops / "orders.sql").write_text(number + ";")

    assert statuses(healthy_anywhere, "1") == ["new", "paid"]
    assert statuses(healthy_anywhere, "01") == []
    assert statuses(healthy_anywhere, "x") == []


def test_not_more_rows_than_asked_for_are_read(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", f"status {n}", "2026-03-01 00:00:00") for n in range(30)])

    assert read_order(shop.configure(), EVERYTHING, "1", 7, 20).num_rows == 7


def test_a_column_of_any_type_is_compared_and_the_column_itself_first(shop: ShopUnderTest) -> None:
    with closing(sqlite3.connect(shop.warehouse)) as db, db:
        db.execute("INSERT INTO orders VALUES (123, 'paid', '2026-03-01 00:00:00')")

    assert statuses(shop, "123") == ["paid"]


@pytest.mark.clock
def test_a_database_that_takes_too_long_is_stopped(healthy_anywhere: ShopUnderTest) -> None:
    tables = ", ".join(f"orders AS o{n}" for n in range(18))
    slow = f"SELECT * FROM orders WHERE updated_at >= :window_start AND (SELECT count(*) FROM {tables}) > 0"
    (healthy_anywhere.shops / "orders.sql").write_text(f"{slow} AND updated_at < :window_end")
    started = time.monotonic()

    with pytest.raises(TimeoutError, match="the warehouse did not answer within 1 s"):
        read_order(healthy_anywhere.configure(), EVERYTHING, "1", 10, 1)

    assert time.monotonic() - started < 30
