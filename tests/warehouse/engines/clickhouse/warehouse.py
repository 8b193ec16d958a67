"""ClickHouse's own engine (chdb) behind its HTTP interface, read by Airflow's hook and clickhouse-connect."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import clickhouse_connect

from local.servers import free_ports
from tests.conftest import ShopUnderTest
from tests.warehouse.engines.processes import wait_for_port
from tests.warehouses import Row, ServerUnderTest

TIME_ZONE = "Asia/Tokyo"
"""The server's, which is not that of the sync's sessions."""


@contextmanager
def running() -> Iterator[int]:
    """Run a server, and return its port on 127.0.0.1."""
    [port] = free_ports(1)
    program = Path(__file__).with_name("server.py")
    with subprocess.Popen([sys.executable, program, str(port)], env=os.environ | {"TZ": TIME_ZONE}) as server:
        try:
            wait_for_port(port, server)
            yield port
        finally:
            server.send_signal(signal.SIGKILL)


class ClickHouse(ServerUnderTest):
    """Read as Arrow if the types of all columns allow it, otherwise in ClickHouse's own format."""

    kind = "clickhouse"
    types: ClassVar = {
        "text": "Nullable(String)",
        "integer": "Nullable(Int64)",
        "decimal": "Nullable(Decimal(38, 0))",
        "double": "Nullable(Float64)",
        "naive": "Nullable(DateTime64(6))",
        "zoned": "Nullable(DateTime64(6, 'Europe/Moscow'))",
    }
    overflow = ("throwIf(n = 14999, 'too large')", "too large")
    shows_status = "toInt64(assumeNotNull(status))"
    from_moscow = "toDateTime64(toString({}), 6, 'Europe/Moscow')"
    to_moscow = "toDateTime64(toString(toTimeZone({}, 'Europe/Moscow')), 6, 'UTC')"

    def __init__(self, shop: ShopUnderTest, port: int) -> None:
        super().__init__(shop)
        self.port = port

    def connection(self) -> str:
        return json.dumps(
            {
                "conn_type": "clickhouse",
                "host": "127.0.0.1",
                "port": self.port,
                "login": "rees46",
                "password": "right",
                "schema": "default",
            }
        )

    def unreachable(self) -> dict[str, str]:
        right = json.loads(self.connection())
        return {
            "password": json.dumps(right | {"password": "hidden"}),
            "schema": json.dumps(right | {"schema": "no_such_database"}),
            "host": json.dumps(right | {"port": 1, "password": "hidden"}),
        }

    def execute(self, *statements: str) -> Sequence[Sequence[Any]]:
        settings = {"session_timezone": "UTC"}
        with closing(clickhouse_connect.get_client(host="127.0.0.1", port=self.port, settings=settings)) as client:
            for statement in statements[:-1]:
                client.command(statement)
            if statements[-1].startswith("SELECT"):
                return client.query(statements[-1]).result_rows
            client.command(statements[-1])
            return []

    def fill(self, rows: Sequence[Row], time_type: str = "text", id_type: str = "text") -> None:
        self.time_type = time_type
        self.execute(
            "DROP TABLE IF EXISTS orders",
            f"CREATE TABLE orders (n Int64, order_id {self.types[id_type]}, status {self.types['text']}, "
            f"updated_at {self.types[time_type]}) ENGINE MergeTree ORDER BY tuple()",
        )
        self.insert((n, *row) for n, row in enumerate(rows))

    def insert(self, rows: Iterable[tuple[Any, ...]]) -> None:
        lines = [
            json.dumps({"n": n, "order_id": _value(order_id), "status": status, "updated_at": self._time(updated_at)})
            for n, order_id, status, updated_at in rows
        ]
        if lines:
            self.execute("INSERT INTO orders FORMAT JSONEachRow\n" + "\n".join(lines))

    def _time(self, text: str | None) -> str | None:
        if text is None or self.time_type == "text":
            return text
        # As a number: ClickHouse reads a text in the zone of the column.
        return f"{datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp():.6f}"

    def generate(self, rows: int, width: int, early: int = 0) -> None:
        self.execute(
            "DROP TABLE IF EXISTS orders",
            f"CREATE TABLE orders ENGINE MergeTree ORDER BY tuple() AS SELECT "
            f"leftPad(toString(number * 7919 % 10000019), {width}, '0') AS order_id, 'new' AS status, "
            f"toDateTime64('2026-03-01 12:00:00', 6) - toIntervalDay(number <= {early}) AS updated_at "
            f"FROM numbers(1, {rows})",
        )

    def end_the_reading_session(self) -> None:
        self.execute("SELECT 1 AS end_all_sessions FORMAT Null")


def _value(value: object) -> object:
    return str(value) if isinstance(value, Decimal) else value


def warehouse(shop: ShopUnderTest, port: int) -> ClickHouse:
    """Return a warehouse of the running server."""
    return ClickHouse(shop, port)
