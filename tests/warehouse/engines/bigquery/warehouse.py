"""
BigQuery's API and dialect over DuckDB (local-bigquery), read by Airflow's hook and Google's clients.

The emulator is a process of an environment of its own; it speaks HTTP without TLS, and knows no users.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from local.servers import free_ports
from tests.conftest import ShopUnderTest
from tests.warehouse.engines.processes import wait_for_port
from tests.warehouses import Row, WarehouseUnderTest

ENVIRONMENT = Path(__file__).parents[4] / "build" / "warehouses" / "bigquery-emulator"
PROJECT, DATASET = "local", "shop"
_TWICE = "BigQuery refuses a query with two columns of one name; the emulator renames one"


@contextmanager
def running() -> Iterator[str]:
    """Run the emulator, and return the address of its API."""
    api, storage = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="rees46-bigquery-") as folder:
        # DuckDB's extensions, which it would download if they were not in its home.
        [extensions] = ENVIRONMENT.glob("lib/python*/site-packages/duckdb_ext/extensions")
        shutil.copytree(extensions, Path(folder) / ".duckdb" / "extensions")
        program = [ENVIRONMENT / "bin" / "python", Path(__file__).with_name("emulator.py")]
        command = [*program, "--host=127.0.0.1", f"--port={api}", f"--grpc-port={storage}"]
        command += [f"--data-dir={folder}/data", f"--project={PROJECT}", f"--dataset={DATASET}"]
        log = (Path(folder) / "log").open("wb")
        environment = os.environ | {"HOME": folder, "TZ": "Asia/Tokyo"}
        with subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log) as emulator:
            try:
                wait_for_port(api, emulator)
                with (
                    mock.patch.dict(os.environ, BIGQUERY_EMULATOR_HOST=f"http://127.0.0.1:{api}"),
                    mock.patch("rees46_sync.warehouse.bigquery._storage_client", partial(_storage_client, storage)),
                ):
                    yield f"http://127.0.0.1:{api}"
            finally:
                emulator.kill()


def _storage_client(port: int, _hook: object) -> BigQueryReadClient:
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_receive_message_length", -1)])  # as Google's
    return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))


class BigQuery(WarehouseUnderTest):
    """Read as Arrow if the types of all columns allow it, otherwise by rows."""

    kind = "bigquery"
    types: ClassVar = {
        "text": "STRING",
        "integer": "INT64",
        "double": "FLOAT64",
        "naive": "DATETIME",
        "zoned": "TIMESTAMP",
    }
    not_shown: ClassVar = {
        "test_a_column_that_is_missing_or_there_twice_is_named[twice]": _TWICE,
        "test_a_column_that_is_missing_or_there_twice_is_named[twice-in-two-cases]": _TWICE,
        "test_the_rows_of_the_driver_are_never_all_in_memory": "ten megabytes are on the way; test_bigquery.py has "
        "more rows",
        "test_a_million_rows_take_no_more_memory_than_a_tenth_of_them": "another process cannot be told that the "
        "emulator has no TLS",
        "test_a_query_that_writes_is_refused": "BigQuery has no read-only sessions, and no SELECT that writes",
    }
    overflow = ("9223372036854775807 + n", "verflow")
    shows_status = "CAST(status AS INT64)"
    from_moscow = "DATETIME(TIMESTAMP({}, 'Europe/Moscow'))"
    to_moscow = "DATETIME(TIMESTAMP({}), 'Europe/Moscow')"

    def __init__(self, shop: ShopUnderTest, address: str) -> None:
        super().__init__(shop)
        self.address = address

    def connection(self) -> str:
        extra = {"project": PROJECT, "is_anonymous": True, "use_legacy_sql": False}
        return json.dumps({"conn_type": "gcpbigquery", "schema": DATASET, "extra": extra})

    def unreachable(self) -> dict[str, str]:
        return {}

    def execute(self, *statements: str) -> Sequence[Sequence[Any]]:
        config = bigquery.QueryJobConfig(default_dataset=f"{PROJECT}.{DATASET}")
        with closing(bigquery.Client(PROJECT, AnonymousCredentials())) as client:
            client.create_dataset(DATASET, exists_ok=True)
            results = [client.query(statement, job_config=config).result() for statement in statements]
            return [row.values() for row in results[-1]]

    def fill(self, rows: Sequence[Row], time_type: str = "text", id_type: str = "text") -> None:
        kinds = {"n": "INT64", "order_id": self.types[id_type], "status": "STRING", "updated_at": self.types[time_type]}
        columns = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        self.execute(f"CREATE OR REPLACE TABLE orders ({columns})")
        self.insert((n, *row) for n, row in enumerate(rows))

    def insert(self, rows: Iterable[tuple[Any, ...]]) -> None:
        given = list(rows)
        names = ("n", "order_id", "status", "updated_at")
        with closing(bigquery.Client(PROJECT, AnonymousCredentials())) as client:
            table = client.get_table(f"{PROJECT}.{DATASET}.orders")
            for start in range(0, len(given), 10_000):
                records = [
                    {name: None if value is None else str(value) for name, value in zip(names, row, strict=True)}
                    for row in given[start : start + 10_000]
                ]
                client.load_table_from_json(
                    records, table, job_config=bigquery.LoadJobConfig(schema=table.schema)
                ).result()

    def fill_shopify(self, system: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Create Shopify's table as a connector does, from its id, statuses, times and mark of deletion."""
        is_fivetran = system == "shopify_fivetran"
        dataset, table = ("shopify", "order") if is_fivetran else ("public", "orders")
        kinds = {"id": "INT64", "test": "BOOL", "financial_status": "STRING", "fulfillment_status": "STRING"}
        kinds |= {"cancelled_at": "TIMESTAMP", "updated_at": "TIMESTAMP"}
        kinds |= {"_fivetran_deleted": "BOOL"} if is_fivetran else {"deleted_at": "TIMESTAMP"}
        schema = [bigquery.SchemaField(name, kind) for name, kind in kinds.items()]
        records = [
            {name: None if value is None else str(value) for name, value in zip(kinds, row, strict=True)}
            for row in rows
        ]
        with closing(bigquery.Client(PROJECT, AnonymousCredentials())) as client:
            client.create_dataset(dataset, exists_ok=True)
            load = bigquery.LoadJobConfig(schema=schema, write_disposition="WRITE_TRUNCATE")
            client.load_table_from_json(records, f"{PROJECT}.{dataset}.{table}", job_config=load).result()

    def generate(self, rows: int, width: int, early: int = 0) -> None:
        self.execute(
            f"CREATE OR REPLACE TABLE orders AS SELECT LPAD(CAST(MOD(n * 7919, 10000019) AS STRING), {width}, '0') AS "
            "order_id, 'new' AS status, DATETIME_SUB(DATETIME '2026-03-01 12:00:00', INTERVAL IF(n <= "
            f"{early}, 1, 0) DAY) AS updated_at FROM UNNEST(GENERATE_ARRAY(1, {rows})) AS n"
        )


def warehouse(shop: ShopUnderTest, address: str) -> BigQuery:
    """Return a warehouse of the running emulator."""
    return BigQuery(shop, address)
