"""What the tests of the client share: hook_module of connections, and servers on loopback."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tenacity import wait_none

from rees46_sync.rees46 import hook as hook_module
from rees46_sync.rees46 import pace
from rees46_sync.rees46.dialects import DIALECTS, IMPORT_SYNC_ORDERS, SYNC_ORDERS, Dialect
from rees46_sync.rees46.hook import Rees46Hook
from rees46_sync.rees46.payload import request_body
from rees46_sync.sandbox.server import Sandbox
from tests.conftest import SECRET, rees46_connection
from tests.rees46.servers import Proxy, TlsServer

ORDERS = [("1", 1), ("007", 2)]

ORDERS_OF: dict[str, list[tuple[str, int | str]]] = {
    "import_sync_orders": [*ORDERS],
    "sync_orders": [("1", "delivered"), ("007", "отменён")],
}
"""A good batch of each dialect."""


HookOf = Callable[..., Rees46Hook]


@pytest.fixture
def hook_of(monkeypatch: pytest.MonkeyPatch) -> HookOf:
    """Make a hook of a connection that is given as a URI, as JSON or by its fields."""
    monkeypatch.setattr(hook_module, "_backoff", wait_none())
    monkeypatch.setattr(hook_module, "_throttled_backoff", wait_none())
    monkeypatch.setattr(pace, "DOCUMENTED_INTERVAL_S", 0.01)

    def make(connection: str = "", **fields: Any) -> Rees46Hook:
        given = {"conn_type": "http", "login": "shop-key", "password": SECRET} | fields
        monkeypatch.setenv("AIRFLOW_CONN_SHOP_REES46", connection or json.dumps(given))
        return Rees46Hook("shop_rees46")

    return make


@pytest.fixture
def dialect() -> str:
    return "import_sync_orders"


@pytest.fixture
def hook(sandbox: Sandbox, hook_of: HookOf, dialect: str) -> Rees46Hook:
    """A hook that waits long for a response, and hardly between two attempts."""
    return hook_of(rees46_connection(sandbox, timeout_s=20, dialect=dialect))


@pytest.fixture
def server_with() -> Iterator[Callable[[bytes | bytearray], int]]:
    """
    Start a server on loopback that answers every request with these bytes, and closes the connection; return its port.

    An answer that is followed by a retry has to say so: otherwise the client may use the connection again meanwhile.
    """
    servers: list[socketserver.ThreadingTCPServer] = []

    def start(answer: bytes | bytearray) -> int:
        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                length = 0
                while (line := self.rfile.readline()).strip():
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                self.rfile.read(length)
                self.wfile.write(answer)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def chain_of(error: BaseException | None) -> list[BaseException]:
    """The error, what it was raised from, and so on: what a traceback shows."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


STATUSES: dict[str, tuple[object, ...]] = {
    IMPORT_SYNC_ORDERS.name: (0, 1, 2),
    SYNC_ORDERS.name: ("new", "delivered", "отменён: «передумал» 🎁"),
}
"""Good statuses of each dialect; tests that are about something else name one by its number."""


OVER_DIALECTS = pytest.mark.parametrize("dialect", [pytest.param(one, id=one.name) for one in DIALECTS.values()])


def body_of(orders: list[tuple[object, object]], dialect: Dialect) -> bytes:
    return request_body("shop-key", SECRET, orders, dialect)  # type: ignore[arg-type]


def in_words_of(dialect: Dialect, orders: list[tuple[object, int]]) -> list[tuple[object, object]]:
    return [(order_id, STATUSES[dialect.name][number]) for order_id, number in orders]


def numbered(count: int) -> list[tuple[object, int]]:
    return [(str(number), number % 3) for number in range(count)]


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that the environment names, with its login."""
    server = Proxy()
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:private@{server.address}")
    yield server
    server.stop()


@pytest.fixture
def tls_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    server = TlsServer(tmp_path)
    yield server
    server.stop()
