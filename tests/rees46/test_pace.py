"""The pace of a load: REES46's documents allow 40 requests a minute."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from rees46_sync.rees46 import hook as hook_module
from rees46_sync.rees46 import pace as pace_module
from rees46_sync.rees46.pace import Pace
from tests.rees46.conftest import ORDERS_OF, HookOf

MINUTE_S = 2.0
"""A minute of these tests: everything is this much faster than in life."""

ALLOWED = 40


class _Server(ThreadingHTTPServer):
    request_queue_size = 128


class RateLimited:
    """
    A REES46 that answers 429 beyond so many requests in a minute, and says or does not say how long to wait.

    :ivar answers: the HTTP status of each request.
    """

    def __init__(self, says_how_long: bool) -> None:
        self.answers: list[int] = []
        self.orders: set[str] = set()
        self._lock = threading.Lock()
        self._minute, self._used = -1, 0
        limited = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                code = limited.answer(body)
                self.send_response(code)
                if code == 429 and says_how_long:
                    self.send_header("Retry-After", str(int(MINUTE_S)))
                content = b'{"status":"success"}' if code == 200 else b""
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = _Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def answer(self, body: bytes) -> int:
        with self._lock:
            minute = int(time.monotonic() / MINUTE_S)
            self._used = self._used + 1 if minute == self._minute else 1
            self._minute = minute
            code = 200 if self._used <= ALLOWED else 429
            self.answers.append(code)
            if code == 200:
                self.orders.update(order["id"] for order in json.loads(body)["orders"])
            return code


@pytest.fixture(params=[True, False], ids=["says-how-long", "does-not-say-how-long"])
def rate_limited(request: pytest.FixtureRequest) -> Iterator[RateLimited]:
    limited = RateLimited(says_how_long=request.param)
    yield limited
    limited.server.shutdown()
    limited.server.server_close()


@pytest.mark.parametrize("dialect", ORDERS_OF)
def test_more_batches_than_rees46_takes_in_a_minute_all_arrive(
    rate_limited: RateLimited,
    hook_of: HookOf,
    monkeypatch: pytest.MonkeyPatch,
    dialect: str,
) -> None:
    scale = MINUTE_S / 60
    monkeypatch.setattr(pace_module, "DOCUMENTED_INTERVAL_S", 1.5 * scale)
    monkeypatch.setattr(hook_module, "_throttled_backoff", hook_module.wait_exponential(5 * scale, max=60 * scale))
    extra: dict[str, object] = {"dialect": dialect, "concurrency": "auto"}
    if dialect == "sync_orders":
        extra["min_interval_s"] = 1.5 * scale
    hook = hook_of(host="127.0.0.1", port=rate_limited.server.server_port, schema="http", extra=extra)
    _, status = ORDERS_OF[dialect][0]

    with ThreadPoolExecutor(hook.settings.max_in_flight) as threads:
        requests = list(threads.map(lambda number: hook.send([(f"order-{number}", status)]).requests, range(120)))

    assert len(rate_limited.orders) == 120
    assert sum(requests) == len(rate_limited.answers)
    # A load in a hurry is told by as many answers as it has requests in flight, and keeps to the pace from then on.
    assert rate_limited.answers.count(429) <= 3 * hook.settings.max_in_flight


def test_no_request_starts_while_rees46_asks_to_wait() -> None:
    pace = Pace()
    pace.wait_for_turn(0)
    pace.hold(0.3)
    started = time.monotonic()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: pace.wait_for_turn(0), range(4)))

    assert time.monotonic() - started >= 0.29


def test_after_too_many_requests_they_are_as_far_apart_as_the_documents_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace_module, "DOCUMENTED_INTERVAL_S", 0.1)
    pace = Pace()
    pace.slow_down()
    started = time.monotonic()

    for _ in range(5):
        pace.wait_for_turn(0)

    assert time.monotonic() - started >= 0.4
