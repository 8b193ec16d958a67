"""
A receiver that is not the bottleneck: REES46's contract with as little work as possible, in its own process.

    python -m bench.receiver --latency-ms 200

The project's sandbox is much stricter and takes several milliseconds of CPU for a request of 1000 orders; this receiver
takes about a fifth of that, and reports it (``GET /_stats``). Every response of the API has the same latency, however
many requests are in flight. The state is each order's last status; ``GET /_digest`` is its md5, computed as in
``data.Orders.digest``.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import requests
import uvicorn

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

SHOP_ID, SHOP_SECRET = "bench-store-key", "bench-secret-key"
PATH = "/import/sync_orders"
MAX_ORDERS = 1000


class Order(msgspec.Struct, forbid_unknown_fields=True):
    """One order of a request."""

    id: str
    status: Literal[0, 1, 2]


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request."""

    shop_id: Literal["bench-store-key"]
    shop_secret: Literal["bench-secret-key"]
    orders: list[Order]


class App:
    """The receiver as an ASGI application."""

    def __init__(self, latency_s: float) -> None:
        self._decode = msgspec.json.Decoder(Request).decode
        self.reset(latency_s)

    def reset(self, latency_s: float) -> None:
        """Forget all orders and counts."""
        self.latency_s = latency_s
        self.state: dict[str, int] = {}
        self.requests = self.orders = self.refused = self.in_flight = self.max_in_flight = 0
        self._cpu_before = time.process_time()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        if scope["path"] == PATH:
            status, response = await self._accept(body)
        else:
            status, response = 200, self._control(scope["path"], body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(response)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": response})

    async def _accept(self, body: bytes) -> tuple[int, bytes]:
        self.requests += 1
        self.in_flight += 1
        self.max_in_flight = max(self.in_flight, self.max_in_flight)
        try:
            orders = self._decode(body).orders
            if not 1 <= len(orders) <= MAX_ORDERS:
                raise msgspec.ValidationError
        except msgspec.DecodeError:
            self.refused += 1
            return 400, b'{"status":"error"}'
        else:
            for order in orders:
                self.state[order.id] = order.status
            self.orders += len(orders)
            await asyncio.sleep(self.latency_s)
            return 200, b'{"status":"success"}'
        finally:
            self.in_flight -= 1

    def _control(self, path: str, body: bytes) -> bytes:
        match path:
            case "/_reset":
                self.reset(json.loads(body)["latency_ms"] / 1000)
                return b"{}"
            case "/_digest":
                text = ",".join(f"{order_id}{status}" for order_id, status in sorted(self.state.items()))
                return json.dumps(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()).encode()
        counts = ("requests", "orders", "refused", "max_in_flight")
        return json.dumps(
            {name: getattr(self, name) for name in counts} | {"cpu_s": time.process_time() - self._cpu_before}
        ).encode()


@dataclass(frozen=True)
class Receiver:
    """A running receiver."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The URL for orders, without a slash at its end."""
        return f"http://{self.host}:{self.port}{PATH}"

    def reset(self, latency_ms: int = 0) -> None:
        """Forget all orders and counts, and set the latency of responses."""
        self._request("POST", "/_reset", json={"latency_ms": latency_ms})

    def digest(self) -> str:
        """Return the md5 of each order's final status."""
        return str(self._request("GET", "/_digest"))

    def stats(self) -> dict[str, Any]:
        """Return requests, orders, refused, max_in_flight and cpu_s since the last reset."""
        return dict(self._request("GET", "/_stats"))

    def _request(self, method: str, path: str, **options: Any) -> Any:
        with requests.Session() as session:
            session.trust_env = False
            response = session.request(method, f"http://{self.host}:{self.port}{path}", timeout=120, **options)
            response.raise_for_status()
            return response.json()


@contextmanager
def running_receiver() -> Iterator[Receiver]:
    """Run a receiver in its own process, on a free port of 127.0.0.1."""
    command = [sys.executable, "-m", "bench.receiver"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Receiver("127.0.0.1", int(process.stdout.readline()))
        finally:
            process.terminate()


def main() -> None:
    """Run until SIGTERM; the first line of output is the port."""
    parser = argparse.ArgumentParser("python -m bench.receiver", description="A fast local receiver.")
    parser.add_argument("--latency-ms", type=int, default=0, help="of each response")
    app = App(parser.parse_args().latency_ms / 1000)
    # If the protocol is given, the event loop turns off the delay of small responses (40 ms) on each connection.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        print(listener.getsockname()[1], flush=True)
        config = uvicorn.Config(
            app, loop="uvloop", http="httptools", lifespan="off", ws="none", log_level="warning", access_log=False
        )
        uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
