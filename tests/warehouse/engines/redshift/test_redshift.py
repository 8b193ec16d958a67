"""What is particular to reading by AWS's driver."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from rees46_sync.airflow_adapters.connections import get_database_hook
from rees46_sync.doctor import connections
from rees46_sync.exceptions import WarehouseError
from rees46_sync.warehouse import reader
from tests.conftest import ShopUnderTest
from tests.warehouse.engines.redshift.warehouse import Redshift
from tests.warehouses import IN_WINDOW, WINDOW

pytestmark = pytest.mark.contract


@pytest.fixture
def warehouse(shop: ShopUnderTest, engine: tuple[Path, int]) -> Redshift:
    made = Redshift(shop, *engine)
    shop.connect("shop_warehouse", made.connection())
    return made


@pytest.mark.parametrize("order_id", ["it's 7%", "a\\b", "a\\'b", "' || '", "?"])
def test_one_order_is_found_whatever_its_id_holds(warehouse: Redshift, order_id: str) -> None:
    warehouse.fill([(order_id, "new", "2026-03-01 12:00:00"), ("8", "new", "2026-03-01 12:00:00")], "naive")
    shop = warehouse.configured(f"SELECT * FROM orders {IN_WINDOW} AND status LIKE 'n%'")

    assert reader.read_order(shop, WINDOW, order_id, 10, 30)["order_id"].to_pylist() == [order_id]


def test_one_order_is_found_by_a_number(warehouse: Redshift) -> None:
    warehouse.fill([(7, "new", "2026-03-01 12:00:00")], "zoned", "integer")

    shop = warehouse.configured(f"SELECT * FROM orders {IN_WINDOW}")

    assert reader.read_order(shop, WINDOW, "7", 10, 30)["order_id"].to_pylist() == ["7"]


def test_a_query_of_one_order_that_takes_too_long_is_ended_by_the_server(warehouse: Redshift) -> None:
    warehouse.fill([("7", "new", "2026-03-01 12:00:00")], "naive")
    shop = warehouse.configured(f"SELECT * FROM orders {IN_WINDOW} AND (SELECT count(*) FROM pg_sleep(60)) > 0")

    with pytest.raises((TimeoutError, WarehouseError), match=r"within 1 s|statement timeout"):
        reader.read_order(shop, WINDOW, "7", 10, 1)


def test_the_doctor_reaches_it(warehouse: Redshift) -> None:
    hook = get_database_hook("shop_warehouse")

    with mock.patch.object(hook, "get_sqlalchemy_engine", side_effect=AssertionError("not as a run reads")):
        assert connections.answers("warehouse", hook).level == "ok"
