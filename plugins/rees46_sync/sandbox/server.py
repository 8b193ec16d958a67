"""
A strict local REES46 with fault modes, for tests, the demo and `make up`.

    python -m rees46_sync.sandbox --port 8046 --shop-id demo --shop-secret s3cret --fault 503@0.1,slow:2@x3

It answers as REES46's documents say, and is stricter than they are: a client that satisfies it sends nothing that
REES46 would answer with an error notice by mail. `lenient` (`--lenient`) switches off what is our own strictness.

* `POST /import/sync_orders` and `POST /sync/orders`: the documented contracts of REES46's two dialects. `REFUSALS` and
  `VIOLATIONS` in `contract.py` list the ways to break them, and which are documented. A request counts as its first
  violation, and changes nothing. An accepted one is answered with a plain `OK`, or with `{"status":"success"}`.
* `GET /_state`: the status of each order that is processed, as it was sent, an integer or a text.
  `GET /_stats`: requests, orders, accepted, violations, faults.
  `GET /_requests`: one row per request, also to unknown paths, without secrets and orders.
  `GET /_mails`: what REES46 would mail, as `{"at", "subject", "text"}`: a notice for each documented violation of the
  data, and for orders that it dropped.
* `POST /_reset`, body optional: `{"fault": SPEC, "seed": N, "latency_ms": N, "keep_state": bool, "refuse": [ID, ...],
  "inactive": bool, "lenient": bool}`. Clears the counters, the log, the mails and (unless `keep_state`) the orders that
  are processed or waiting, and counts requests from 1 again. What is not given is off. `refuse`: a request with one of
  these order ids is answered with 422 (which REES46 does not document). `inactive`: the shop is refused with 403.

SPEC is a comma-separated list of `kind[:seconds]@share`. A share is a fraction from 0 to 1 (together at most 1), or
`xN`: N of the first requests, in the order written; the fractions are drawn for the requests after those. A request
that breaks the contract is counted too.

Kinds that accept nothing, and do not check the request:

* `400` to `599`: that HTTP status; `:seconds` adds Retry-After. `429_date:seconds`: Retry-After as a date.
* `error_in_200`: 200 with `status: error`. `html_in_200`: 200 with a page, as from a proxy.
* `redirect`: 302 to a path of this host that does not exist; following it counts as `wrong_path`.
* `reset_before`: the connection is reset. `never`: it stays open without a response.

Kinds that check the contract (a violation takes precedence over the fault), accept, and then answer badly:

* `ok_200`, `json_200`, `empty_200`, `empty_204`: the plain `OK`, `{"status": "success"}` or no body, on both paths.
* `cut_json_200`: 200 with truncated JSON. `slow:seconds`: the right response, that much later.
* `reset_after`: the connection is reset. `never_after`: it stays open without a response.

Kinds that check the contract, answer that all is well, and then process badly:

* `drop`: the orders are never processed; a mail says so.
* `late:seconds`: the orders are processed only that much later, and may then replace those of a newer request.
"""

from __future__ import annotations

import copy
import socket
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from pydantic import BaseModel, ConfigDict
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from rees46_sync.sandbox.contract import ENDPOINTS, ContractViolationError, Orders, Shop, check
from rees46_sync.sandbox.faults import ACCEPTING_KINDS, Fault, FaultPlan
from rees46_sync.sandbox.processing import Mail, Processing
from rees46_sync.sandbox.responses import Outcome, error_response, response_to, seconds_until_response
from rees46_sync.sandbox.transport import SandboxServer, client_leaves, reset_connection

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from starlette.types import Receive, Scope, Send

_MAX_LOG_ROWS = 100_000


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
        self._processing = Processing()
        self.reset()

    def reset(
        self,
        fault: str = "",
        seed: int = 0,
        latency_ms: int = 0,
        keep_state: bool = False,
        refuse: Collection[str] = (),
        inactive: bool = False,
        lenient: bool = False,
    ) -> None:
        """
        Clear everything and set the faults; each response of the API takes `latency_ms` milliseconds more.

        :param keep_state: do not clear the orders that are processed, or wait for it.
        :param refuse: a batch with one of these order ids is answered with 422.
        :param inactive: each batch is answered with 403.
        :param lenient: do without our own strictness.
        """
        if latency_ms < 0:
            raise ValueError(f"latency_ms {latency_ms}: give 0 or more milliseconds")
        plan = FaultPlan.parse(fault, seed)
        with self._lock:
            self._plan = plan
            self.latency_s = latency_ms / 1000
            self._refuse = frozenset(refuse)
            self._shop = Shop(self.shop_id, self.shop_secret, inactive)
            self._lenient = lenient
            self._stats = Stats(requests=0, orders=0, accepted=0, violations={}, faults={})
            self._log: deque[RequestRow] = deque(maxlen=_MAX_LOG_ROWS)
            self._processing.clear(keep_state=keep_state)

    def state(self) -> Orders:
        """Return the final status of each order that is processed."""
        with self._lock:
            return self._processing.state()

    def mails(self) -> list[Mail]:
        """Return what REES46 would have mailed, in order."""
        with self._lock:
            return self._processing.mails()

    def stats(self) -> Stats:
        """Return the counters."""
        with self._lock:
            return copy.deepcopy(self._stats)

    def requests(self) -> list[RequestRow]:
        """Return the log of the last 100 000 requests, in order of arrival."""
        with self._lock:
            return [row.copy() for row in self._log]

    def receive(self, method: str, path: str, content_type: str, body: bytes) -> tuple[Outcome, RequestRow]:
        """Handle one request under the lock, so that requests are processed in order of arrival."""
        with self._lock:
            try:
                outcome, orders = self._check(method, path, content_type, body)
            except ContractViolationError as violation:
                outcome, orders = violation, {}
            self._process(outcome, orders)
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
        orders = check(body, content_type, ENDPOINTS[path], self._shop, lenient=self._lenient)
        return (Fault("422"), {}) if self._refuse.intersection(orders) else (fault, orders)

    def _process(self, outcome: Outcome, orders: Orders) -> None:
        match outcome:
            case ContractViolationError():
                self._processing.report(outcome)
            case Fault("drop"):
                self._processing.drop(orders)
            case Fault("late", float(seconds)):
                self._processing.process(orders, seconds)
            case _:
                self._processing.process(orders)

    def _log_request(self, outcome: Outcome, body: bytes, orders: int | None) -> RequestRow:
        kind = outcome.kind if outcome else "accepted"
        if outcome:
            counts = self._stats["faults" if isinstance(outcome, Fault) else "violations"]
            counts[kind] = counts.get(kind, 0) + 1
        row = RequestRow(at=time.time(), seconds=None, bytes=len(body), orders=orders, outcome=kind)
        self._log.append(row)
        return row


class _ResetRequest(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    fault: str = ""
    seed: int = 0
    latency_ms: int = 0
    keep_state: bool = False
    refuse: list[str] = []
    inactive: bool = False
    lenient: bool = False


def _reset(sandbox: Sandbox, body: bytes) -> Response:
    try:
        sandbox.reset(**_ResetRequest.model_validate_json(body or b"{}").model_dump())
    except ValueError as error:
        return error_response(400, str(error))
    return JSONResponse({"status": "success"})


_CONTROLS: dict[str, tuple[str, Callable[[Sandbox, bytes], Response]]] = {
    "/_state": ("GET", lambda sandbox, _: JSONResponse(sandbox.state())),
    "/_stats": ("GET", lambda sandbox, _: JSONResponse(sandbox.stats())),
    "/_requests": ("GET", lambda sandbox, _: JSONResponse(sandbox.requests())),
    "/_mails": ("GET", lambda sandbox, _: JSONResponse(sandbox.mails())),
    "/_reset": ("POST", _reset),
}


@dataclass(frozen=True)
class App:
    """The sandbox as an ASGI application; raw, because some faults send no response at all."""

    sandbox: Sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, if it is to be answered."""
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
        delay = seconds_until_response(outcome, self.sandbox.latency_s)
        if delay != 0 and await client_leaves(receive, within=delay):
            return
        response = response_to(path, outcome)
        if response is None:
            reset_connection(scope)
            await client_leaves(receive, within=None)  # uvicorn would answer 500 if this returned earlier
            return
        row["seconds"] = time.perf_counter() - started
        await response(scope, receive, send)


@contextmanager
def running(
    shop_id: str,
    shop_secret: str,
    *,
    fault: str = "",
    seed: int = 0,
    latency_ms: int = 0,
    lenient: bool = False,
    port: int = 0,
) -> Iterator[Sandbox]:
    """Run a sandbox on loopback in a thread of this process; port 0 chooses a free one."""
    with socket.create_server(("127.0.0.1", port)) as listener:  # it listens already: early clients wait
        sandbox = Sandbox("127.0.0.1", listener.getsockname()[1], shop_id, shop_secret)
        sandbox.reset(fault, seed, latency_ms, lenient=lenient)
        server = SandboxServer(App(sandbox))
        thread = threading.Thread(target=server.run, args=([listener],), name="rees46-sandbox", daemon=True)
        thread.start()
        try:
            yield sandbox
        finally:
            server.should_exit = True
            thread.join()
