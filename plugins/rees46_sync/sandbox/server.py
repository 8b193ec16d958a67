"""
A strict local REES46 with fault modes, for tests, the demo and `make up`.

    python -m rees46_sync.sandbox --port 8046 --shop-id demo --shop-secret s3cret --fault 503@0.1,slow:2@x3

It follows REES46's documents ("Synchronize Order Statuses"), and is strict if they say nothing: a client that
satisfies it sends nothing that REES46 would answer with an error notice by mail. One rule is its own: an id, and a
status that is a text, have at most 255 characters.

* `POST /import/sync_orders` and `POST /sync/orders`: the documented contracts of REES46's two dialects. `VIOLATIONS`
  in `contract.py` lists the ways to break them. A request counts as its first violation, and changes nothing.
* `GET /_state`: the status of each order as it was sent, an integer or a text.
  `GET /_stats`: requests, orders, accepted, violations, faults.
  `GET /_requests`: one row per request, also to unknown paths, without secrets and orders.
* `POST /_reset`, body optional: `{"fault": SPEC, "seed": N, "latency_ms": N, "keep_state": bool}`. Clears
  the counters, the log and (unless `keep_state`) the state, and counts requests from 1 again. No `fault`: no faults.

SPEC is a comma-separated list of `kind[:seconds]@share`. A share is a fraction from 0 to 1 (together at most 1), or
`xN`: N of the first requests, in the order written; the fractions are drawn for the requests after those. A request
that breaks the contract is counted too.

Kinds that accept nothing, and do not check the request:

* `400` to `599`: that HTTP status; `:seconds` adds Retry-After. `429_date:seconds`: Retry-After as a date.
* `error_in_200`: 200 with `status: error`. `html_in_200`: 200 with a page, as from a proxy.
* `redirect`: 302 to a path of this host that does not exist; following it counts as `wrong_path`.
* `reset_before`: the connection is reset. `never`: it stays open without a response.

Kinds that check the contract (a violation takes precedence over the fault), accept, and then answer badly:

* `empty_200`, `ok_200`: 200 with no body, or with the plain `OK` that REES46's older plugins expect.
* `cut_json_200`: 200 with truncated JSON. `slow:seconds`: the right response, that much later.
* `reset_after`: the connection is reset. `never_after`: it stays open without a response.
"""

from __future__ import annotations

import asyncio
import copy
import math
import socket
import struct
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from typing import TYPE_CHECKING, TypeAlias, TypedDict

import uvicorn
from pydantic import BaseModel, ConfigDict
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from rees46_sync.sandbox.contract import ENDPOINTS, ContractViolationError, Orders, check
from rees46_sync.sandbox.faults import ACCEPTING_KINDS, ODD_RESPONSES, SUCCESS, UNANSWERED_KINDS, Fault, FaultPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from starlette.types import Receive, Scope, Send

_MAX_LOG_ROWS = 100_000

Outcome: TypeAlias = Fault | ContractViolationError | None
"""What is wrong with a request or its response; None: accepted."""


class RequestRow(TypedDict):
    """
    One request in the log: when it arrived (Unix seconds), how long the response took, its size and its outcome.

    `seconds` is None while there is no response; `orders` is None if the orders were not checked or not accepted.
    """

    at: float
    seconds: float | None
    bytes: int
    orders: int | None
    outcome: str


class Stats(TypedDict):
    """Counters since the last reset; `requests` are all POSTs to the API's paths, `orders` the accepted rows."""

    requests: int
    orders: int
    accepted: int
    violations: dict[str, int]
    faults: dict[str, int]


class Sandbox:
    """A shop at the local REES46: its address and credentials, the statuses it has, and the requests it received."""

    def __init__(self, host: str, port: int, shop_id: str, shop_secret: str) -> None:
        self.host = host
        self.port = port
        self.url = f"http://{host}:{port}"
        self.shop_id = shop_id
        self.shop_secret = shop_secret
        self._lock = threading.Lock()  # the server's thread writes, the test's thread reads
        self.reset()

    def reset(
        self,
        fault: str = "",
        seed: int = 0,
        latency_ms: int = 0,
        keep_state: bool = False,
        refuse: Collection[str] = (),
    ) -> None:
        """
        Clear everything and set the faults; each response of the API takes `latency_ms` milliseconds more.

        A batch with one of the order ids `refuse` is answered with 422.
        """
        if latency_ms < 0:
            raise ValueError(f"latency_ms {latency_ms}: give 0 or more milliseconds")
        plan = FaultPlan.parse(fault, seed)
        with self._lock:
            self._plan = plan
            self.latency_s = latency_ms / 1000
            self._refuse = frozenset(refuse)
            self._stats = Stats(requests=0, orders=0, accepted=0, violations={}, faults={})
            self._log: deque[RequestRow] = deque(maxlen=_MAX_LOG_ROWS)
            if not keep_state:
                self._state: Orders = {}

    def state(self) -> Orders:
        """Return the final status of each order."""
        with self._lock:
            return dict(self._state)

    def stats(self) -> Stats:
        """Return the counters."""
        with self._lock:
            return copy.deepcopy(self._stats)

    def requests(self) -> list[RequestRow]:
        """Return the log of the last 100 000 requests, in order of arrival."""
        with self._lock:
            return [row.copy() for row in self._log]

    def receive(self, method: str, path: str, content_type: str, body: bytes) -> tuple[Outcome, RequestRow]:
        """Handle one request under the lock, so that the state changes in order of arrival."""
        with self._lock:
            try:
                outcome, orders = self._check(method, path, content_type, body)
            except ContractViolationError as violation:
                outcome, orders = violation, {}
            self._state.update(orders)
            self._stats["accepted"] += bool(orders)
            self._stats["orders"] += len(orders)
            return outcome, self._log_request(outcome, body, len(orders) or None)

    def _check(self, method: str, path: str, content_type: str, body: bytes) -> tuple[Outcome, Orders]:
        if path not in ENDPOINTS.keys() | _CONTROLS.keys():
            raise ContractViolationError("wrong_path")
        if path not in ENDPOINTS or method != "POST":
            raise ContractViolationError("wrong_method")
        self._stats["requests"] += 1
        fault = self._plan.draw(self._stats["requests"])
        if fault and fault.kind not in ACCEPTING_KINDS:
            return fault, {}
        orders = check(body, content_type, ENDPOINTS[path], (self.shop_id, self.shop_secret))
        return (Fault("422"), {}) if self._refuse.intersection(orders) else (fault, orders)

    def _log_request(self, outcome: Outcome, body: bytes, orders: int | None) -> RequestRow:
        kind = outcome.kind if outcome else "accepted"
        if outcome:
            counts = self._stats["faults" if isinstance(outcome, Fault) else "violations"]
            counts[kind] = counts.get(kind, 0) + 1
        row = RequestRow(at=time.time(), seconds=None, bytes=len(body), orders=orders, outcome=kind)
        self._log.append(row)
        return row


def _error(http_status: int, message: str, retry_after: str | None = None) -> Response:
    headers = {"Retry-After": retry_after} if retry_after else None
    return JSONResponse({"status": "error", "payload": {"message": message}}, http_status, headers)


def _response(outcome: Outcome) -> Response | None:
    """Return the response, None if there is none."""
    match outcome:
        case None:
            return Response(SUCCESS, media_type="application/json")
        case ContractViolationError(kind=kind):
            by_kind = {"wrong_path": 404, "wrong_method": 405, "wrong_credentials": 403}
            return _error(by_kind.get(kind, 400), str(outcome))
        case Fault(kind) if kind in UNANSWERED_KINDS:
            return None
        case Fault(kind) if kind in ODD_RESPONSES:
            content, media_type = ODD_RESPONSES[kind]
            return Response(content, media_type=media_type)
        case Fault("redirect"):
            return RedirectResponse("/elsewhere", status_code=302)
        case Fault("429_date", float(seconds)):
            # A date has whole seconds: rounded up, so that a client that obeys it is never early.
            return _error(429, "Sandbox fault", formatdate(math.ceil(time.time() + seconds), usegmt=True))
        case Fault(kind, seconds):
            return _error(int(kind), "Sandbox fault", None if seconds is None else f"{seconds:.0f}")


def _delay(outcome: Outcome, latency_s: float) -> float | None:
    """Return the seconds until the response, None if there never is one."""
    match outcome:
        case Fault("never" | "never_after"):
            return None
        case Fault("slow", float(seconds)):
            return latency_s + seconds
        case _:
            return latency_s


async def _client_leaves(receive: Receive, within: float | None) -> bool:
    """Wait `within` seconds (None: for ever); return whether the client disconnected meanwhile."""
    try:
        async with asyncio.timeout(within):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


def _reset_connection(scope: Scope) -> None:
    transport: asyncio.Transport = scope["state"]["transport"]
    no_lingering = struct.pack("ii", 1, 0)  # the kernel then sends RST, not the FIN of an orderly close
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_lingering)
    transport.abort()


class _ResetRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    fault: str = ""
    seed: int = 0
    latency_ms: int = 0
    keep_state: bool = False
    refuse: list[str] = []


def _reset(sandbox: Sandbox, body: bytes) -> Response:
    try:
        sandbox.reset(**_ResetRequest.model_validate_json(body or b"{}").model_dump())
    except ValueError as error:
        return _error(400, str(error))
    return Response(SUCCESS, media_type="application/json")


_CONTROLS: dict[str, tuple[str, Callable[[Sandbox, bytes], Response]]] = {
    "/_state": ("GET", lambda sandbox, _: JSONResponse(sandbox.state())),
    "/_stats": ("GET", lambda sandbox, _: JSONResponse(sandbox.stats())),
    "/_requests": ("GET", lambda sandbox, _: JSONResponse(sandbox.requests())),
    "/_reset": ("POST", _reset),
}


@dataclass(frozen=True)
class _App:
    """Raw ASGI, because some faults send no response at all."""

    sandbox: Sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return  # half a request is no request
        path, method = scope["path"], scope["method"]
        if path in _CONTROLS and method == _CONTROLS[path][0]:
            await _CONTROLS[path][1](self.sandbox, body)(scope, receive, send)
            return
        outcome, row = self.sandbox.receive(method, path, request.headers.get("content-type", ""), body)
        delay = _delay(outcome, self.sandbox.latency_s)
        if delay != 0 and await _client_leaves(receive, within=delay):
            return
        response = _response(outcome)
        if response is None:
            _reset_connection(scope)
            await _client_leaves(receive, within=None)  # uvicorn would answer 500 if this returned earlier
            return
        row["seconds"] = time.perf_counter() - started
        await response(scope, receive, send)


class _Protocol(H11Protocol):
    """Passes its transport to each request, so that a fault can reset the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}
        # asyncio sets it only for a listener made with IPPROTO_TCP; without it responses wait 40 ms for an ACK.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class SandboxServer(uvicorn.Server):
    """Closes all connections when it stops, because `never` does not end on its own."""

    def __init__(self, sandbox: Sandbox) -> None:
        config = uvicorn.Config(
            _App(sandbox),
            http=_Protocol,
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,  # for a connection that arrives meanwhile
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections, then stop as uvicorn does."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


@contextmanager
def running(
    shop_id: str, shop_secret: str, *, fault: str = "", seed: int = 0, latency_ms: int = 0, port: int = 0
) -> Iterator[Sandbox]:
    """Run a sandbox on loopback in a thread of this process; port 0 chooses a free one."""
    with socket.create_server(("127.0.0.1", port)) as listener:  # it listens already: early clients wait
        sandbox = Sandbox("127.0.0.1", listener.getsockname()[1], shop_id, shop_secret)
        sandbox.reset(fault, seed, latency_ms)
        server = SandboxServer(sandbox)
        thread = threading.Thread(target=server.run, args=([listener],), name="rees46-sandbox", daemon=True)
        thread.start()
        try:
            yield sandbox
        finally:
            server.should_exit = True
            thread.join()
