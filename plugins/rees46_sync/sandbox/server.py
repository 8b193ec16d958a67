"""
A strict local REES46 with fault modes, for tests, the demo and `make up`.

    python -m rees46_sync.sandbox --port 8046 --shop-id demo --shop-secret s3cret --fault 503@0.1,slow:2@x3

It knows what REES46's documents say ("Synchronize Order Statuses") and is strict where they are silent: a
client that satisfies it sends nothing that REES46 would answer with an error notice by mail. One rule is its
own: an id, and a status that is a text, have at most 255 characters.

* `POST /import/sync_orders` and `POST /sync/orders`: the documented contracts of REES46's two dialects. `VIOLATIONS`
  lists the ways to break them; a request counts as the first one it commits, and changes nothing.
* `GET /_state`: the status of each order as it was sent, an integer or a text.
  `GET /_stats`: requests, orders, accepted, violations, faults.
  `GET /_requests`: one row a request, without secrets and orders; strays to other paths included.
* `POST /_reset`, body optional: `{"fault": SPEC, "seed": N, "latency_ms": N, "keep_state": bool}`. Clears
  the counters, the log and (unless told otherwise) the state; counts requests from 1 again. No `fault`: none.

SPEC is a comma-separated list of `kind[:seconds]@share`. A share is a fraction from 0 to 1, together at most
1, or `xN`: N of the first requests, in the order written; the fractions are drawn for the requests after
those. A request that breaks the contract uses up its number all the same.

Kinds that accept nothing, and do not look at the request:

* `400` to `599`: that HTTP status; `:seconds` adds Retry-After. `429_date:seconds`: Retry-After as a date.
* `error_in_200`: 200 with `status: error`. `html_in_200`: 200 with a page, as from a proxy.
* `redirect`: 302 to a path of this host that does not exist; whoever follows it counts as `wrong_path`.
* `reset_before`: the connection is reset. `never`: it stays open without an answer.

Kinds that check the contract (a violation wins over the fault), accept, and then answer badly:

* `empty_200`, `ok_200`: 200 with no body, or with the plain `OK` that REES46's older plugins expect.
* `cut_json_200`: 200 with JSON that breaks off. `slow:seconds`: the right answer, that much later.
* `reset_after`: the connection is reset. `never_after`: it stays open without an answer.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import json
import math
import random
import re
import signal
import socket
import struct
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypedDict

import uvicorn
from pydantic import BaseModel, ConfigDict
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from starlette.types import Receive, Scope, Send

VIOLATIONS = {
    "wrong_path": "There is nothing at this path.",
    "wrong_method": "This path does not answer to this method.",
    "wrong_content_type": "The Content-Type is not application/json.",
    "not_json": "The body is not strict JSON in UTF-8, where NaN, Infinity and repeated keys have no place.",
    "wrong_shape": "The body is not an object of exactly shop_id, shop_secret and an array of orders.",
    "wrong_credentials": "shop_id and shop_secret are not those of a shop with order tracking.",
    "empty_orders": "orders is empty.",
    "too_many_orders": "orders holds more than one request may carry.",
    "wrong_order": "not an object of exactly id and status.",
    "id_not_text": "id is not a string of Unicode characters.",
    "id_blank": "id is blank.",
    "id_too_long": "id has more than 255 characters.",
    "id_control_character": "id holds a control character.",
    "status_not_integer": "status is not an integer.",
    "status_out_of_range": "status is none of 0, 1 and 2.",
    "status_not_text": "status is not a string of Unicode characters.",
    "status_blank": "status is blank.",
    "status_too_long": "status has more than 255 characters.",
    "duplicate_id": "id occurs twice in one request.",
}

_SUCCESS = '{"status": "success"}'
_ODD_200 = {
    "slow": (_SUCCESS, "application/json"),
    "empty_200": ("", None),
    "ok_200": ("OK", "text/plain"),
    "cut_json_200": (_SUCCESS[:15], "application/json"),
    "html_in_200": ("<!doctype html><title>Sign in</title><p>Sign in to use this network.", "text/html"),
    "error_in_200": ('{"status": "error", "payload": {"message": "Shop not found"}}', "application/json"),
}
_UNANSWERED = {"reset_before", "reset_after", "never", "never_after"}
_ACCEPTING = {"slow", "empty_200", "ok_200", "cut_json_200", "reset_after", "never_after"}
_KINDS = sorted((_ODD_200.keys() | _UNANSWERED | {"redirect"}) - {"slow"})
_FAULT = re.compile(rf"[45][0-9]{{2}}(:[0-9]+)?|429_date:[0-9]+|slow:[0-9]+(\.[0-9]+)?|{'|'.join(_KINDS)}")
_SHARE = re.compile(r"x[1-9][0-9]*|[0-9]*\.?[0-9]+")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MAX_TEXT_LENGTH = 255
_MAX_LOG_ROWS = 100_000


@dataclass(frozen=True)
class Fault:
    """One way to answer badly; `seconds` is the delay of `slow` and the Retry-After of an HTTP status."""

    kind: str
    seconds: float | None = None


@dataclass(frozen=True)
class FaultPlan:
    """
    Which request gets which fault: `first` up to a request number, `shares` below a draw from 0 to 1.

    A draw depends on the seed and the request's number alone, so concurrency does not change the plan.
    """

    first: tuple[tuple[int, Fault], ...]
    shares: tuple[tuple[float, Fault], ...]
    seed: int

    @classmethod
    def parse(cls, spec: str, seed: int = 0) -> FaultPlan:
        """Read a SPEC of the module docstring; ValueError says what is wrong with it."""
        first: list[tuple[int, Fault]] = []
        shares: list[tuple[float, Fault]] = []
        last, total = 0, Fraction()
        for part in spec.split(",") if spec.strip() else ():
            what, _, share = part.strip().partition("@")
            if not _FAULT.fullmatch(what):
                hint = f"use 400 to 599 (with :SECONDS if you like), 429_date:SECONDS, slow:SECONDS, {_KINDS}"
                raise ValueError(f"fault {part!r}: {what!r} is no kind; {hint}")
            if not _SHARE.fullmatch(share):
                raise ValueError(f"fault {part!r}: {share!r} is no share; write {what}@0.1 or {what}@x3")
            kind, _, seconds = what.partition(":")
            fault = Fault(kind, float(seconds) if seconds else None)
            if share.startswith("x"):
                last += int(share[1:])
                first.append((last, fault))
            else:
                total += Fraction(share)
                shares.append((float(total), fault))
        if total > 1:
            raise ValueError(f"fault {spec!r}: the shares add up to {float(total)}; give at most 1")
        return cls(tuple(first), tuple(shares), seed)

    def draw(self, number: int) -> Fault | None:
        """Give the fault of request `number`, counted from 1, or None."""
        for last, fault in self.first:
            if number <= last:
                return fault
        roll = random.Random(f"{self.seed}:{number}").random()  # noqa: S311  # faults have to repeat, not to surprise
        return next((fault for below, fault in self.shares if roll < below), None)


class ContractViolationError(Exception):
    """A request breaks the contract in the way `kind`, a key of `VIOLATIONS`; `position` is the order's."""

    def __init__(self, kind: str, position: int | None = None) -> None:
        where = "" if position is None else f"orders[{position}]: "
        super().__init__(where + VIOLATIONS[kind])
        self.kind = kind


Orders: TypeAlias = dict[str, int | str]
Verdict: TypeAlias = Fault | ContractViolationError | None


@dataclass(frozen=True)
class Dialect:
    """What tells one REES46 endpoint from another; `status_violation` names what is wrong with a status."""

    max_orders: int
    status_violation: Callable[[object], str | None]


def _integer_status_violation(status: object) -> str | None:
    if type(status) is not int:  # isinstance would let true and false pass
        return "status_not_integer"
    return None if status in (0, 1, 2) else "status_out_of_range"


def _text_status_violation(status: object) -> str | None:
    return _text_violation("status", status)


DIALECTS = {
    "/import/sync_orders": Dialect(max_orders=1000, status_violation=_integer_status_violation),
    "/sync/orders": Dialect(max_orders=5000, status_violation=_text_status_violation),
}


def check(body: bytes, content_type: str, dialect: Dialect, credentials: tuple[str, str]) -> Orders:
    """Give the orders of a request as id -> status, or raise the first ContractViolationError."""
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise ContractViolationError("wrong_content_type")
    try:
        request = _STRICT_JSON.decode(body.decode())
    except (ValueError, RecursionError):
        raise ContractViolationError("not_json") from None
    is_object = isinstance(request, dict) and request.keys() == {"shop_id", "shop_secret", "orders"}
    if not is_object or not isinstance(rows := request["orders"], list):
        raise ContractViolationError("wrong_shape")
    if (request["shop_id"], request["shop_secret"]) != credentials:
        raise ContractViolationError("wrong_credentials")
    if not rows:
        raise ContractViolationError("empty_orders")
    if len(rows) > dialect.max_orders:
        raise ContractViolationError("too_many_orders")
    orders: Orders = {}
    for position, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != {"id", "status"}:
            raise ContractViolationError("wrong_order", position)
        kind = _id_violation(row["id"], orders) or dialect.status_violation(row["status"])
        if kind:
            raise ContractViolationError(kind, position)
        orders[row["id"]] = row["status"]
    return orders


def _id_violation(order_id: Any, seen: Orders) -> str | None:
    if violation := _text_violation("id", order_id):
        return violation
    if _CONTROL_CHARACTER.search(order_id):
        return "id_control_character"
    return "duplicate_id" if order_id in seen else None


def _text_violation(field: str, value: object) -> str | None:
    if not isinstance(value, str) or _LONE_SURROGATE.search(value):
        return f"{field}_not_text"
    if not value.strip():
        return f"{field}_blank"
    return f"{field}_too_long" if len(value) > _MAX_TEXT_LENGTH else None


def _without_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("repeated key")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_STRICT_JSON = json.JSONDecoder(object_pairs_hook=_without_repeated_keys, parse_constant=_refuse_constant)


class RequestRow(TypedDict):
    """
    One request in the log: when it came (Unix seconds), how long the answer took, its size, its outcome.

    `seconds` is None while there is no answer, `orders` where the orders were not checked or not accepted.
    """

    at: float
    seconds: float | None
    bytes: int
    orders: int | None
    outcome: str


class Stats(TypedDict):
    """Counters since the last reset; `requests` are all POSTs to the API path, `orders` the rows accepted."""

    requests: int
    orders: int
    accepted: int
    violations: dict[str, int]
    faults: dict[str, int]


class Sandbox:
    """A shop at the local REES46: its address and credentials, the statuses it holds and how it was used."""

    def __init__(self, host: str, port: int, shop_id: str, shop_secret: str) -> None:
        self.host = host
        self.port = port
        self.url = f"http://{host}:{port}"
        self.shop_id = shop_id
        self.shop_secret = shop_secret
        self._lock = threading.Lock()  # the server's thread writes, the test's thread reads
        self.reset()

    def reset(self, fault: str = "", seed: int = 0, latency_ms: int = 0, keep_state: bool = False) -> None:
        """Start anew with these faults; each answer of the API takes `latency_ms` milliseconds more."""
        if latency_ms < 0:
            raise ValueError(f"latency_ms {latency_ms}: give 0 or more milliseconds")
        plan = FaultPlan.parse(fault, seed)
        with self._lock:
            self._plan = plan
            self.latency_s = latency_ms / 1000
            self._stats = Stats(requests=0, orders=0, accepted=0, violations={}, faults={})
            self._log: deque[RequestRow] = deque(maxlen=_MAX_LOG_ROWS)
            if not keep_state:
                self._state: Orders = {}

    def state(self) -> Orders:
        """Give the final status of each order."""
        with self._lock:
            return dict(self._state)

    def stats(self) -> Stats:
        """Give the counters."""
        with self._lock:
            return copy.deepcopy(self._stats)

    def requests(self) -> list[RequestRow]:
        """Give the log of the last 100 000 requests, in order of arrival."""
        with self._lock:
            return [row.copy() for row in self._log]

    def take(self, method: str, path: str, content_type: str, body: bytes) -> tuple[Verdict, RequestRow]:
        """Decide one request in one go, so that the state takes requests in order of arrival."""
        with self._lock:
            try:
                verdict, orders = self._decide(method, path, content_type, body)
            except ContractViolationError as violation:
                verdict, orders = violation, {}
            self._state.update(orders)
            self._stats["accepted"] += bool(orders)
            self._stats["orders"] += len(orders)
            return verdict, self._note(verdict, body, len(orders) or None)

    def _decide(self, method: str, path: str, content_type: str, body: bytes) -> tuple[Verdict, Orders]:
        if path not in DIALECTS.keys() | _CONTROLS.keys():
            raise ContractViolationError("wrong_path")
        if path not in DIALECTS or method != "POST":
            raise ContractViolationError("wrong_method")
        self._stats["requests"] += 1
        fault = self._plan.draw(self._stats["requests"])
        if fault and fault.kind not in _ACCEPTING:
            return fault, {}
        return fault, check(body, content_type, DIALECTS[path], (self.shop_id, self.shop_secret))

    def _note(self, verdict: Verdict, body: bytes, orders: int | None) -> RequestRow:
        outcome = verdict.kind if verdict else "accepted"
        if verdict:
            counts = self._stats["faults" if isinstance(verdict, Fault) else "violations"]
            counts[outcome] = counts.get(outcome, 0) + 1
        row = RequestRow(at=time.time(), seconds=None, bytes=len(body), orders=orders, outcome=outcome)
        self._log.append(row)
        return row


def _error(http_status: int, message: str, retry_after: str | None = None) -> Response:
    headers = {"Retry-After": retry_after} if retry_after else None
    return JSONResponse({"status": "error", "payload": {"message": message}}, http_status, headers)


def _response(verdict: Verdict) -> Response | None:
    match verdict:
        case None:
            return Response(_SUCCESS, media_type="application/json")
        case ContractViolationError(kind=kind):
            by_kind = {"wrong_path": 404, "wrong_method": 405, "wrong_credentials": 403}
            return _error(by_kind.get(kind, 400), str(verdict))
        case Fault(kind) if kind in _UNANSWERED:
            return None
        case Fault(kind) if kind in _ODD_200:
            content, media_type = _ODD_200[kind]
            return Response(content, media_type=media_type)
        case Fault("redirect"):
            return RedirectResponse("/elsewhere", status_code=302)
        case Fault("429_date", float(seconds)):
            # a date has whole seconds: rounded up, so that who obeys it never comes early
            return _error(429, "Sandbox fault", formatdate(math.ceil(time.time() + seconds), usegmt=True))
        case Fault(kind, seconds):
            return _error(int(kind), "Sandbox fault", None if seconds is None else f"{seconds:.0f}")


def _wait(verdict: Verdict, latency_s: float) -> float | None:
    match verdict:
        case Fault("never" | "never_after"):
            return None
        case Fault("slow", float(seconds)):
            return latency_s + seconds
        case _:
            return latency_s


async def _client_leaves(receive: Receive, within: float | None) -> bool:
    """Wait `within` seconds (None: as long as it takes) and say whether the client left meanwhile."""
    try:
        async with asyncio.timeout(within):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


def _reset_connection(scope: Scope) -> None:
    transport: asyncio.Transport = scope["state"]["transport"]
    no_lingering = struct.pack("ii", 1, 0)  # makes the kernel send RST, not the FIN of an orderly close
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_lingering)
    transport.abort()


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    fault: str = ""
    seed: int = 0
    latency_ms: int = 0
    keep_state: bool = False


def _reset(sandbox: Sandbox, body: bytes) -> Response:
    try:
        sandbox.reset(**_Settings.model_validate_json(body or b"{}").model_dump())
    except ValueError as error:
        return _error(400, str(error))
    return Response(_SUCCESS, media_type="application/json")


_CONTROLS: dict[str, tuple[str, Callable[[Sandbox, bytes], Response]]] = {
    "/_state": ("GET", lambda sandbox, _: JSONResponse(sandbox.state())),
    "/_stats": ("GET", lambda sandbox, _: JSONResponse(sandbox.stats())),
    "/_requests": ("GET", lambda sandbox, _: JSONResponse(sandbox.requests())),
    "/_reset": ("POST", _reset),
}


@dataclass(frozen=True)
class _App:
    """Raw ASGI, because some faults must not answer at all."""

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
        verdict, row = self.sandbox.take(method, path, request.headers.get("content-type", ""), body)
        wait = _wait(verdict, self.sandbox.latency_s)
        if wait != 0 and await _client_leaves(receive, within=wait):
            return
        response = _response(verdict)
        if response is None:
            _reset_connection(scope)
            await _client_leaves(receive, within=None)  # uvicorn would answer 500 if this returned earlier
            return
        row["seconds"] = time.perf_counter() - started
        await response(scope, receive, send)


class _Protocol(H11Protocol):
    """Hands each request its own transport, so that a fault can reset the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}
        # asyncio does so only for a listener made with IPPROTO_TCP; without it answers wait 40 ms for an ACK
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class _Server(uvicorn.Server):
    """Hangs up on everyone when it stops, because `never` never ends by itself."""

    def __init__(self, sandbox: Sandbox) -> None:
        config = uvicorn.Config(
            _App(sandbox),
            http=_Protocol,
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,  # for a connection that slips in while we hang up
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)


@contextmanager
def running(
    shop_id: str, shop_secret: str, *, fault: str = "", seed: int = 0, latency_ms: int = 0, port: int = 0
) -> Iterator[Sandbox]:
    """Run a sandbox on loopback in a thread of this process; port 0 takes a free one."""
    with socket.create_server(("127.0.0.1", port)) as listener:  # listens: early clients queue up
        sandbox = Sandbox("127.0.0.1", listener.getsockname()[1], shop_id, shop_secret)
        sandbox.reset(fault, seed, latency_ms)
        server = _Server(sandbox)
        thread = threading.Thread(target=server.run, args=([listener],), name="rees46-sandbox", daemon=True)
        thread.start()
        try:
            yield sandbox
        finally:
            server.should_exit = True
            thread.join()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a sandbox until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser("python -m rees46_sync.sandbox", description="A strict local REES46.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--shop-id", required=True)
    parser.add_argument("--shop-secret", required=True)
    parser.add_argument("--fault", default="", metavar="SPEC", help="such as 503@0.1,429:2@0.05,slow:2@x3")
    parser.add_argument("--seed", type=int, default=0, help="draws the faults")
    parser.add_argument("--latency-ms", type=int, default=0, help="added to each answer of the API")
    options = parser.parse_args(arguments)
    try:
        listener = socket.create_server((options.host, options.port))
        sandbox = Sandbox(options.host, listener.getsockname()[1], options.shop_id, options.shop_secret)
        sandbox.reset(options.fault, options.seed, options.latency_ms)
    except (OSError, OverflowError, ValueError) as error:
        parser.error(str(error))
    server = _Server(sandbox)
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal once more after a clean stop; this handler lets the exit code be 0
        signal.signal(number, server.handle_exit)
    print(f"sandbox: {sandbox.url}", flush=True)
    server.run([listener])
