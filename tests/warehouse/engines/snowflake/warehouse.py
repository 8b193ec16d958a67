"""
Snowflake's protocol and dialect over DuckDB (fakesnow), read by Airflow's hook and Snowflake's connector.

The emulator speaks HTTP without TLS, knows no users, and sends a whole result in one answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, ClassVar
from unittest import mock

import fakesnow.arrow
import fakesnow.server
import pyarrow as pa
import snowflake.connector

from tests.conftest import ShopUnderTest
from tests.warehouse.engines.processes import serving
from tests.warehouses import WarehouseUnderTest

_WHOLE = "the emulator sends a whole result in one answer"


@contextmanager
def running() -> Iterator[dict[str, Any]]:
    """Run the emulator, and return the arguments of a connection to it."""
    # Airflow's connections have no setting for http. The emulator makes 1970 of a time that is NULL.
    connect = partial(snowflake.connector.connect, protocol="http", network_timeout=1, login_timeout=10)
    to_struct = fakesnow.arrow.timestamp_to_sf_struct
    with (
        mock.patch("snowflake.connector.connect", connect),
        mock.patch("fakesnow.arrow.timestamp_to_sf_struct", lambda times: _with_nulls(times, to_struct)),
        serving(fakesnow.server.app) as port,
    ):
        yield {"user": "rees46", "password": "hidden", "account": "fakesnow", "host": "127.0.0.1", "port": port}


def _with_nulls(times: pa.Array | pa.ChunkedArray, to_struct: Any) -> pa.StructArray:
    whole = times.combine_chunks() if isinstance(times, pa.ChunkedArray) else times
    made = to_struct(whole.fill_null(0))
    return pa.StructArray.from_arrays(
        [made.field(at) for at in range(made.type.num_fields)], fields=list(made.type), mask=whole.is_null()
    )


class Snowflake(WarehouseUnderTest):
    """Read as Arrow if the types of all columns allow it, otherwise by rows."""

    kind = "snowflake"
    types: ClassVar = {
        "text": "VARCHAR",
        "integer": "NUMBER(38, 0)",
        "double": "FLOAT",
        "naive": "TIMESTAMP_NTZ",
        "zoned": "TIMESTAMP_TZ",
    }
    not_shown: ClassVar = {
        "test_the_rows_of_the_driver_are_never_all_in_memory": _WHOLE,
        "test_a_million_rows_take_no_more_memory_than_a_tenth_of_them": _WHOLE,
        "test_a_query_that_fails_is_named_with_its_cause[no-sql]": "the emulator's parser names the place alone",
        "test_a_query_that_writes_is_refused": "Snowflake has no read-only sessions, and no SELECT that writes",
    }
    overflow = ("9223372036854775807 + n", "Internal Server Error")  # the emulator's; Snowflake says what it is
    shows_status = "status::INTEGER"
    from_moscow = "CONVERT_TIMEZONE('Europe/Moscow', 'UTC', {})"
    to_moscow = "CONVERT_TIMEZONE('UTC', 'Europe/Moscow', {})"

    def __init__(self, shop: ShopUnderTest, given: dict[str, Any]) -> None:
        super().__init__(shop)
        self.given = given
        self.execute("CREATE DATABASE IF NOT EXISTS shop")

    def connection(self) -> str:
        extra = {"account": "fakesnow", "database": "shop", "host": self.given["host"], "port": self.given["port"]}
        extra["session_parameters"] = {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}
        return json.dumps(
            {"conn_type": "snowflake", "login": "rees46", "password": "hidden", "schema": "public", "extra": extra}
        )

    def unreachable(self) -> dict[str, str]:
        right = json.loads(self.connection())
        return {"host": json.dumps(right | {"extra": right["extra"] | {"port": 1}})}

    def execute(self, *statements: str) -> Sequence[Sequence[Any]]:
        with (
            closing(snowflake.connector.connect(**self.given, database="shop", schema="public")) as connection,
            closing(connection.cursor()) as cursor,
        ):
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def _in_duckdb(self, statement: str, **given: pa.Table) -> None:
        with closing(fakesnow.server.shared_fs.duck_conn.cursor()) as duckdb:
            duckdb.execute("SET TimeZone = 'UTC'")
            for name, table in given.items():
                duckdb.register(name, table)
            duckdb.execute(statement)

    def insert(self, rows: Iterable[tuple[Any, ...]]) -> None:
        columns = list(zip(*rows, strict=True)) or [()] * 4
        texts = [[None if value is None else str(value) for value in column] for column in columns]
        given = pa.table({f"c{at}": pa.array(column, pa.string()) for at, column in enumerate(texts)})
        self._in_duckdb("INSERT INTO shop.public.orders SELECT * FROM given", given=given)

    def fill_shopify(self, system: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Create Shopify's table as a connector does, from its id, statuses, times and mark of deletion."""
        is_fivetran = system == "shopify_fivetran"
        table = 'shopify."ORDER"' if is_fivetran else "public.orders"
        deleted = "_fivetran_deleted BOOLEAN" if is_fivetran else "deleted_at TIMESTAMP_TZ"
        self.execute(
            "CREATE SCHEMA IF NOT EXISTS shopify",
            f"CREATE OR REPLACE TABLE {table} (id NUMBER(38, 0), test BOOLEAN, financial_status VARCHAR, "
            f"fulfillment_status VARCHAR, cancelled_at TIMESTAMP_TZ, updated_at TIMESTAMP_TZ, {deleted})",
        )
        texts = [[None if value is None else str(value) for value in column] for column in zip(*rows, strict=True)]
        given = pa.table({f"c{at}": pa.array(column, pa.string()) for at, column in enumerate(texts)})
        self._in_duckdb(f"INSERT INTO shop.{table} SELECT * FROM given", given=given)

    def generate(self, rows: int, width: int, early: int = 0) -> None:
        raise NotImplementedError("the emulator holds a result in memory, so the contract asks for no large table")


def warehouse(shop: ShopUnderTest, given: dict[str, Any]) -> Snowflake:
    """Return a warehouse of the running emulator."""
    return Snowflake(shop, given)
