"""What BigQuery's own types become, and what its jobs are."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pytest
import sqlalchemy as sa
from google.api_core.exceptions import Forbidden

from rees46_sync.airflow_adapters.connections import get_database_hook
from rees46_sync.doctor import connections
from rees46_sync.exceptions import WarehouseError
from rees46_sync.warehouse import bigquery, reader
from rees46_sync.warehouse.databases import find_by_conn_type
from tests.conftest import ShopUnderTest
from tests.warehouse.engines.bigquery.warehouse import BigQuery
from tests.warehouses import IN_WINDOW, WINDOW

pytestmark = pytest.mark.contract

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def warehouse(shop: ShopUnderTest, engine: str) -> BigQuery:
    made = BigQuery(shop, engine)
    shop.connect("shop_warehouse", made.connection())
    return made


@pytest.mark.parametrize(
    ("kind", "value", "text", "is_exact"),
    [
        pytest.param("NUMERIC", "12345678901234567890.5", "12345678901234567890.5", True, id="numeric"),
        pytest.param("BOOL", "true", "True", False, id="boolean"),
        pytest.param("FLOAT64", "0.5", "0.5", False, id="fraction"),
    ],
)
def test_an_id_of_each_type_is_exact_or_known_not_to_be(
    warehouse: BigQuery, kind: str, value: str, text: str, is_exact: bool
) -> None:
    with mock.patch.dict(warehouse.types, {"other": kind}):
        warehouse.fill([(value, "new", "2026-03-01 12:00:00")], "naive", "other")

    [row] = warehouse.staged().rows

    assert (row["order_id"], row["order_id_exact"], row["updated_at"]) == (text, is_exact, NOON)


@pytest.mark.parametrize(
    ("kind", "start"), [("naive", ":window_start"), ("zoned", ":window_start"), ("zoned", "TIMESTAMP(:window_start)")]
)
def test_a_parameter_is_compared_with_a_datetime_and_with_a_timestamp(
    warehouse: BigQuery, kind: str, start: str
) -> None:
    warehouse.fill([("1", "new", "2026-03-01 00:00:00"), ("2", "new", "2026-02-28 23:59:59.999999")], kind)

    staged = warehouse.staged(f"SELECT order_id, status, updated_at FROM orders WHERE updated_at >= {start} "
                              "AND ':window_end' <> :window_end")  # fmt: skip

    assert staged.statuses == [("1", "new")]


@pytest.fixture
def kinds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The types of the columns that are read: of Arrow, or of Python."""
    seen: list[str] = []
    staged_rows = reader.staged_rows

    def noted(*columns: Any) -> Any:
        seen.extend(str(getattr(column, "type", type(column).__name__)) for column in columns)
        return staged_rows(*columns)

    monkeypatch.setattr(reader, "staged_rows", noted)
    return seen


def test_the_types_of_most_tables_are_read_as_arrow(warehouse: BigQuery, kinds: list[str]) -> None:
    warehouse.fill([(7, "new", "2026-03-01 12:00:00")], "zoned", "integer")

    warehouse.staged(f"SELECT order_id, status, updated_at FROM orders {IN_WINDOW}")

    assert kinds == ["int64", "string", "timestamp[us, tz=UTC]"]


def test_rows_are_read_by_the_slower_api_if_the_storage_api_is_forbidden(warehouse: BigQuery, kinds: list[str]) -> None:
    warehouse.fill([(f"{number}", "new", "2026-03-01 12:00:00") for number in range(25_000)], "naive")
    forbidden = mock.patch.object(bigquery, "_storage_client", return_value=mock.Mock(
        create_read_session=mock.Mock(side_effect=Forbidden("bigquery.readsessions.create"))
    ))  # fmt: skip
    with forbidden as storage:
        staged = warehouse.staged(f"SELECT order_id, status, updated_at FROM orders {IN_WINDOW}")

    assert storage.return_value.create_read_session.called
    assert staged.extraction.read == 25_000
    assert set(kinds) == {"string", "timestamp[us]"}


def test_the_rows_of_the_storage_api_are_never_all_in_memory(warehouse: BigQuery) -> None:
    rows, width = 60_000, 1_000
    warehouse.generate(rows, width)
    shop = warehouse.configured(f"SELECT order_id, status, updated_at FROM orders {IN_WINDOW}")
    read = 0
    next(first := reader.stream(shop, WINDOW))  # so that what is imported is not counted
    first.close()
    tracemalloc.start()
    try:
        for chunk in reader.stream(shop, WINDOW):
            read += chunk.num_rows
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert read == rows
    assert peak < rows * width / 2


def test_a_job_whose_rows_are_not_read_to_the_end_is_cancelled(warehouse: BigQuery) -> None:
    warehouse.fill([("1", "new", "2026-03-01 12:00:00")], "naive")
    shop = warehouse.configured(f"SELECT order_id, status, updated_at FROM orders {IN_WINDOW}")
    with mock.patch("google.cloud.bigquery.QueryJob.cancel") as cancel:
        stream = reader.stream(shop, WINDOW)
        next(stream)
        stream.close()

    cancel.assert_called_once()


def test_an_api_that_cannot_be_reached_is_an_error_before_airflow_kills_the_task(
    warehouse: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setattr(bigquery, "RETRY_S", 1)

    assert "127.0.0.1" in warehouse.error(WarehouseError)


def test_one_order_is_found_whatever_the_type_of_its_id(warehouse: BigQuery) -> None:
    for kind, order_id in (("text", "it's 7%"), ("integer", "7")):
        warehouse.fill([(order_id, "new", "2026-03-01 12:00:00")], "naive", kind)
        shop = warehouse.configured(f"SELECT * FROM orders {IN_WINDOW} AND status LIKE 'n%'")

        assert reader.read_order(shop, WINDOW, order_id, 10, 60)["order_id"].to_pylist() == [order_id]


def test_the_entry_has_the_dialect_of_the_hook(warehouse: BigQuery) -> None:
    hook = get_database_hook("shop_warehouse")

    assert sa.make_url(hook.get_uri()).drivername == find_by_conn_type(hook.conn_type).dialect


def test_the_doctor_reaches_it_and_compares_its_clock(warehouse: BigQuery) -> None:
    hook = get_database_hook("shop_warehouse")

    findings = [connections.answers("warehouse", hook), *connections.clock("warehouse.clock", hook)]

    assert [(finding.level, finding.value) for finding in findings if finding.level != "ok"] == []
    assert abs(findings[1].data["difference_s"]) < 60
