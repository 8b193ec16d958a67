"""The hook against a real REES46 over HTTP: one batch, one of three outcomes, and no word of the secret."""

from __future__ import annotations

import json
import logging
import re
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tenacity import wait_none

from rees46_sync.exceptions import (
    ConnectionFieldsError,
    Rees46Error,
    Rees46RejectedError,
    Rees46UnavailableError,
    Rees46UnreadableError,
)
from rees46_sync.rees46 import hook as hooks
from rees46_sync.rees46.hook import Rees46Hook
from rees46_sync.sandbox.server import Sandbox
from tests.conftest import SECRET, rees46_connection

ORDERS = [("1", 1), ("007", 2)]
ORDERS_OF = {"import_sync_orders": ORDERS, "sync_orders": [("1", "delivered"), ("007", "отменён")]}
"""A good batch of each dialect."""

OVER_BOTH = pytest.mark.parametrize("dialect", ORDERS_OF)
PATIENCE_S = 1  # the timeout of hooks whose request must not be answered

HookOf = Callable[..., Rees46Hook]


@pytest.fixture
def hook_of(monkeypatch: pytest.MonkeyPatch) -> HookOf:
    """Make a hook of a connection that is given as a URI, as JSON or by its fields."""
    monkeypatch.setattr(hooks, "_backoff", wait_none())

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
    """A hook that waits long for an answer, and hardly between two tries."""
    return hook_of(rees46_connection(sandbox, timeout_s=20, dialect=dialect))


@pytest.fixture
def server_with() -> Iterator[Callable[[bytes], int]]:
    """Start a server on loopback that answers every request with these bytes, and say its port."""
    servers: list[socketserver.ThreadingTCPServer] = []

    def start(answer: bytes) -> int:
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


@OVER_BOTH
def test_an_accepted_batch_takes_one_request_and_sets_the_statuses(
    sandbox: Sandbox, hook: Rees46Hook, dialect: str
) -> None:
    assert hook.send(ORDERS_OF[dialect]) == 1

    assert sandbox.state() == dict(ORDERS_OF[dialect])
    assert sandbox.stats() == {"requests": 1, "orders": 2, "accepted": 1, "violations": {}, "faults": {}}


@pytest.mark.parametrize("spec", ["empty_200@x1", "ok_200@x1", "slow:0.2@x1"])
def test_an_odd_but_good_answer_is_an_acceptance(sandbox: Sandbox, hook: Rees46Hook, spec: str) -> None:
    sandbox.reset(fault=spec)

    assert hook.send(ORDERS) == 1
    assert sandbox.state() == dict(ORDERS)


@pytest.mark.parametrize("dialect", ["sync_orders"])
@pytest.mark.parametrize("spec", ["empty_200@1", "ok_200@1"])
def test_in_the_present_day_dialect_an_odd_answer_is_no_acceptance(
    sandbox: Sandbox, hook: Rees46Hook, dialect: str, spec: str
) -> None:
    sandbox.reset(fault=spec)

    with pytest.raises(Rees46UnreadableError, match="neither yes nor no"):
        hook.send(ORDERS_OF[dialect])


REJECTED, UNREADABLE, UNAVAILABLE = Rees46RejectedError, Rees46UnreadableError, Rees46UnavailableError
FAULTS = [
    pytest.param("400", REJECTED, 400, 1, id="400"),
    pytest.param("401", REJECTED, 401, 1, id="401"),
    pytest.param("403", REJECTED, 403, 1, id="403"),
    pytest.param("404", REJECTED, 404, 1, id="404"),
    pytest.param("405", REJECTED, 405, 1, id="405"),
    pytest.param("406", REJECTED, 406, 1, id="406"),
    pytest.param("422", REJECTED, 422, 1, id="422"),
    pytest.param("redirect", REJECTED, 302, 1, id="redirect"),
    pytest.param("error_in_200", REJECTED, 200, 1, id="error-inside-200"),
    pytest.param("html_in_200", UNREADABLE, 200, 1, id="page-of-a-proxy"),
    pytest.param("cut_json_200", UNREADABLE, 200, 1, id="cut-off-json"),
    pytest.param("500", UNAVAILABLE, 500, 1, id="500"),
    pytest.param("500:5", UNAVAILABLE, 500, 1, id="500-with-retry-after"),
    pytest.param("501", UNAVAILABLE, 501, 1, id="501"),
    pytest.param("521", UNAVAILABLE, 521, 1, id="unknown-to-http"),
    pytest.param("408", UNAVAILABLE, 408, 4, id="408"),
    pytest.param("429", UNAVAILABLE, 429, 4, id="rate-limited"),
    pytest.param("429:0", UNAVAILABLE, 429, 4, id="rate-limited-for-no-time"),
    pytest.param("502", UNAVAILABLE, 502, 4, id="502"),
    pytest.param("503", UNAVAILABLE, 503, 4, id="503"),
    pytest.param("504", UNAVAILABLE, 504, 4, id="504"),
    pytest.param("reset_before", UNAVAILABLE, None, 4, id="reset-before"),
    pytest.param("reset_after", UNAVAILABLE, None, 4, id="reset-after"),
    pytest.param("never", UNAVAILABLE, None, 4, id="no-answer"),
    pytest.param("never_after", UNAVAILABLE, None, 4, id="no-answer-though-accepted"),
]


@pytest.mark.parametrize(("spec", "error", "http_status", "requests"), FAULTS)
@OVER_BOTH
def test_raises_the_error_that_says_what_to_do_next_and_keeps_the_secret(
    sandbox: Sandbox,
    hook_of: HookOf,
    caplog: pytest.LogCaptureFixture,
    dialect: str,
    spec: str,
    error: type[Rees46Error],
    http_status: int | None,
    requests: int,
) -> None:
    sandbox.reset(fault=f"{spec}@1")
    timeout_s = PATIENCE_S if "never" in spec else 20
    hook = hook_of(rees46_connection(sandbox, timeout_s=timeout_s, dialect=dialect))
    caplog.set_level(logging.DEBUG)

    with pytest.raises(Rees46Error) as caught:
        hook.send(ORDERS_OF[dialect])

    assert type(caught.value) is error
    assert caught.value.http_status == http_status
    assert caught.value.requests == requests == sandbox.stats()["requests"]
    assert caught.value.outcome == ("rejected" if error is Rees46RejectedError else "unknown")
    assert sandbox.stats()["violations"] == {}
    assert {"urllib3.connectionpool"} <= {record.name for record in caplog.records}
    texts = [f"{link} {link!r}" for link in chain_of(caught.value)]
    assert SECRET not in " ".join([*texts, caplog.text, *(str(vars(record)) for record in caplog.records)])


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", UNREADABLE, id="204"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\n\r\n", REJECTED, id="304"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK", UNAVAILABLE, id="shorter-than-announced"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nOK", UNAVAILABLE, id="no-gzip"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", UNAVAILABLE, id="no-http"),
        pytest.param(b"", UNAVAILABLE, id="closed-without-a-byte"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, UNREADABLE, id="bottomless-json"),
    ],
)
def test_whatever_comes_back_ends_in_one_of_the_errors(
    server_with: Callable[[bytes], int], hook_of: HookOf, answer: bytes, error: type[Rees46Error]
) -> None:
    hook = hook_of(host="127.0.0.1", port=server_with(answer), schema="http")

    with pytest.raises(error):
        hook.send(ORDERS)


def test_a_refused_connection_is_tried_four_times(hook_of: HookOf, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    hook = hook_of(host="127.0.0.1", port=port, schema="http")

    with pytest.raises(Rees46UnavailableError, match="check host, port and schema of connection shop_rees46") as caught:
        hook.send(ORDERS)

    assert (caught.value.requests, caught.value.http_status) == (4, None)
    tries = [record.getMessage() for record in caplog.records if record.name == hooks.__name__]
    assert [re.findall("Try [0-9] of [0-9]", text) for text in tries] == [
        ["Try 2 of 4"],
        ["Try 3 of 4"],
        ["Try 4 of 4"],
    ]


@pytest.mark.parametrize(
    ("spec", "requests"),
    [
        pytest.param("503@x1", 2, id="503-once"),
        pytest.param("429@x2", 3, id="429-twice"),
        pytest.param("reset_before@x3", 4, id="reset-three-times"),
        pytest.param("reset_after@x1", 2, id="reset-though-accepted"),
        pytest.param("502@x1,reset_before@x1,504@x1", 4, id="three-different-ones"),
    ],
)
@OVER_BOTH
def test_hiccups_are_outlived_inside_the_task(
    sandbox: Sandbox, hook: Rees46Hook, dialect: str, spec: str, requests: int
) -> None:
    sandbox.reset(fault=spec)

    assert hook.send(ORDERS_OF[dialect]) == requests == sandbox.stats()["requests"]
    assert sandbox.state() == dict(ORDERS_OF[dialect])


def test_a_missing_answer_is_asked_for_again(
    sandbox: Sandbox, hook_of: HookOf, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.reset(fault="never@x1")

    assert hook_of(rees46_connection(sandbox, timeout_s=3)).send(ORDERS) == 2
    assert "did not answer within 3 s; the batch will be sent again. Try 2 of 4" in caplog.text


@pytest.mark.parametrize(
    ("spec", "error", "requests"),
    [
        pytest.param("503@x1,500@x1", Rees46UnavailableError, 2, id="500-after-503"),
        pytest.param("503@x1,401@x1", Rees46RejectedError, 2, id="401-after-503"),
        pytest.param("429@x2,html_in_200@x1", Rees46UnreadableError, 3, id="page-after-two-429"),
    ],
)
def test_after_a_hiccup_the_last_answer_decides(
    sandbox: Sandbox, hook: Rees46Hook, spec: str, error: type[Rees46Error], requests: int
) -> None:
    sandbox.reset(fault=spec)

    with pytest.raises(error) as caught:
        hook.send(ORDERS)

    assert caught.value.requests == requests == sandbox.stats()["requests"]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param("429:1@x1", id="seconds"),
        pytest.param("429_date:1@x1", id="date"),
        pytest.param("503:1@x1", id="seconds-of-a-503"),
    ],
)
def test_a_retry_after_is_obeyed_in_full(sandbox: Sandbox, hook: Rees46Hook, spec: str) -> None:
    sandbox.reset(fault=spec)

    assert hook.send(ORDERS) == 2
    refused, accepted = sandbox.requests()
    assert accepted["at"] - refused["at"] >= 1


def test_without_retry_after_the_pauses_are_random_and_grow(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_REES46", rees46_connection(sandbox))
    sandbox.reset(fault="503@x1")

    assert Rees46Hook("shop_rees46").send(ORDERS) == 2

    announced = float(re.search(r"Try 2 of 4 in (\d+\.\d) s", caplog.text)[1])  # type: ignore[index]
    refused, accepted = sandbox.requests()
    assert announced <= 0.5  # drawn from 0 to 0.5 s, then 1 s, then 2 s
    assert accepted["at"] - refused["at"] >= announced - 0.06


def test_a_retry_after_as_long_as_the_longest_pause_is_waited_for(
    sandbox: Sandbox, hook: Rees46Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.reset(fault="429:1@x1")
    monkeypatch.setattr(hooks, "LONGEST_PAUSE", timedelta(seconds=1))

    assert hook.send(ORDERS) == 2


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        pytest.param("429:61", timedelta(seconds=61), id="just-too-long"),
        pytest.param("503:120", timedelta(minutes=2), id="two-minutes"),
        pytest.param("503:43200", timedelta(hours=12), id="half-a-day"),
        pytest.param("503:86400", timedelta(hours=24), id="a-day"),
        pytest.param("500:5", timedelta(seconds=5), id="of-an-answer-that-is-no-hiccup"),
    ],
)
def test_a_longer_retry_after_is_left_to_airflow(
    sandbox: Sandbox, hook: Rees46Hook, spec: str, asked: timedelta
) -> None:
    sandbox.reset(fault=f"{spec}@1")

    with pytest.raises(Rees46UnavailableError) as caught:
        hook.send(ORDERS)

    assert caught.value.retry_after == asked
    assert sandbox.stats()["requests"] == 1


def test_a_longer_retry_after_can_be_a_date(sandbox: Sandbox, hook: Rees46Hook) -> None:
    sandbox.reset(fault="429_date:600@1")

    with pytest.raises(Rees46UnavailableError) as caught:
        hook.send(ORDERS)

    assert caught.value.retry_after is not None
    assert timedelta(seconds=570) < caught.value.retry_after <= timedelta(seconds=601)


@pytest.mark.parametrize(
    ("value", "asked"),
    [
        pytest.param(b"soon", None, id="a-word"),
        pytest.param(b"", None, id="empty"),
        pytest.param(b"-5", None, id="negative"),
        pytest.param(b"Wed, 21 Oct 2015 07:28:00 GMT", timedelta(0), id="a-date-that-is-over"),
        pytest.param(b"Wed, 21 Oct 99999 07:28:00 GMT", None, id="a-year-beyond-the-calendar"),
        pytest.param(b"9" * 5000, None, id="5000-digits"),
    ],
)
def test_a_retry_after_that_cannot_be_obeyed_is_no_further_trouble(
    server_with: Callable[[bytes], int], hook_of: HookOf, value: bytes, asked: timedelta | None
) -> None:
    answer = b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: " + value + b"\r\n\r\n"
    hook = hook_of(host="127.0.0.1", port=server_with(answer), schema="http")

    with pytest.raises(Rees46UnavailableError) as caught:
        hook.send(ORDERS)

    assert (caught.value.retry_after, caught.value.requests) == (asked, 4)


@OVER_BOTH
def test_redirects_are_not_followed(sandbox: Sandbox, hook: Rees46Hook, dialect: str) -> None:
    sandbox.reset(fault="redirect@x1")

    with pytest.raises(Rees46RejectedError, match="correct host and schema of connection shop_rees46"):
        hook.send(ORDERS_OF[dialect])

    assert [row["outcome"] for row in sandbox.requests()] == ["redirect"]


@pytest.mark.parametrize(
    ("spec", "remedy"),
    [
        pytest.param("401", 'of connection shop_rees46.*REES46 manager to enable "Orders Tracking"', id="401"),
        pytest.param("403", 'of connection shop_rees46.*REES46 manager to enable "Orders Tracking"', id="403"),
        pytest.param("404", "correct host and dialect of connection shop_rees46", id="404"),
        pytest.param("405", "correct host and dialect of connection shop_rees46", id="405"),
        pytest.param("400", "look for REES46's e-mail", id="400"),
        pytest.param(
            "error_in_200", r"\(Shop not found\); check the keys of connection shop_rees46", id="error-in-200"
        ),
        pytest.param("html_in_200", r"neither yes nor no \([0-9]+ bytes, text/html.*\); look for a proxy", id="page"),
        pytest.param("500", "answered 500; the batch will be sent again", id="500"),
    ],
)
def test_the_message_says_what_to_do(sandbox: Sandbox, hook: Rees46Hook, spec: str, remedy: str) -> None:
    sandbox.reset(fault=f"{spec}@1")

    with pytest.raises(Rees46Error, match=remedy):
        hook.send(ORDERS)


def test_a_reason_that_quotes_the_secret_is_shown_without_it(
    server_with: Callable[[bytes], int], hook_of: HookOf
) -> None:
    body = json.dumps({"status": "error", "message": f"shop_secret {SECRET} is wrong"}).encode()
    hook = hook_of(host="127.0.0.1", port=server_with(b"HTTP/1.1 200 OK\r\n\r\n" + body), schema="http")

    with pytest.raises(Rees46RejectedError, match=r"\(shop_secret \*\*\* is wrong\)") as caught:
        hook.send(ORDERS)

    assert all(SECRET not in f"{error}{error!r}" for error in chain_of(caught.value))


@pytest.mark.parametrize(
    ("dialect", "orders"),
    [
        pytest.param("import_sync_orders", [], id="none"),
        pytest.param("import_sync_orders", [(f"{number}", 1) for number in range(1001)], id="1001"),
        pytest.param("import_sync_orders", [("1", 3)], id="status-3"),
        pytest.param("import_sync_orders", [("1", "new")], id="status-a-text"),
        pytest.param("import_sync_orders", [("1", 1), ("1", 2)], id="twice"),
        pytest.param("sync_orders", [], id="sync_orders-none"),
        pytest.param("sync_orders", [(f"{number}", "new") for number in range(5001)], id="sync_orders-5001"),
        pytest.param("sync_orders", [("1", 1)], id="sync_orders-status-a-code"),
        pytest.param("sync_orders", [("1", " ")], id="sync_orders-status-blank"),
        pytest.param("sync_orders", [("1", "new"), ("1", "paid")], id="sync_orders-twice"),
    ],
)
def test_what_breaks_the_contract_never_reaches_rees46(
    sandbox: Sandbox, hook: Rees46Hook, orders: list[tuple[str, int | str]]
) -> None:
    with pytest.raises(ValueError, match=r"in a request|a status is"):
        hook.send(orders)

    assert sandbox.requests() == []


def test_the_secret_is_in_no_repr(hook_of: HookOf) -> None:
    hook = hook_of()

    assert hook.settings.shop_secret == SECRET
    assert SECRET not in f"{hook!r} {hook} {hook.settings!r} {hook.settings}"


def test_nothing_is_asked_of_airflow_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_SHOP_REES46", raising=False)
    hook = Rees46Hook("shop_rees46")

    with pytest.raises(ConnectionFieldsError, match="Connection shop_rees46: does not exist; create it in Airflow"):
        hook.get_conn()


def test_one_connection_is_kept_alive_for_all_batches(hook: Rees46Hook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    for number in range(3):
        hook.send([(f"{number}", 1)])

    assert caplog.text.count("Starting new HTTP connection") == 1
    assert hook.get_conn() is hook.get_conn()


def test_as_many_connections_are_kept_as_requests_may_be_under_way(
    sandbox: Sandbox, hook_of: HookOf, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.reset(latency_ms=20)
    hook = hook_of(rees46_connection(sandbox, concurrency=12))
    assert hook.settings.concurrency == 12
    caplog.set_level(logging.DEBUG)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(lambda number: hook.send([(f"{number}", 1)]), range(48)))

    assert sandbox.stats()["accepted"] == 48
    assert 1 < caplog.text.count("Starting new HTTP connection") <= 12
    assert "Connection pool is full" not in caplog.text


@pytest.mark.parametrize("fault", ["", "503@x1,reset_after@x1"])
def test_requests_start_as_far_apart_as_the_connection_asks(sandbox: Sandbox, hook_of: HookOf, fault: str) -> None:
    sandbox.reset(fault=fault)
    interval_s = 1.0
    hook = hook_of(rees46_connection(sandbox, min_interval_s=interval_s, concurrency=4))
    made_at = time.time()

    with ThreadPoolExecutor(4) as threads:
        requests = sum(threads.map(lambda number: hook.send([(f"{number}", 1)]), range(4)))

    arrivals = [row["at"] for row in sandbox.requests()]
    assert len(arrivals) == requests == (6 if fault else 4)
    # The first waits as well. On a busy machine a request may arrive long after its start, but none before it.
    starts = [made_at + interval_s * number for number in range(1, requests + 1)]
    assert [early for start, at in zip(starts, arrivals, strict=True) if (early := start - at) > 0.05] == []


@pytest.mark.parametrize("extra", [{}, {"min_interval_s": 0}, {"min_interval_s": "0"}])
def test_requests_need_not_wait_for_each_other_otherwise(hook_of: HookOf, extra: dict[str, object]) -> None:
    assert hook_of(extra=extra).settings.min_interval_s == 0


PATH = "/import/sync_orders"


@pytest.mark.parametrize(
    ("connection", "url", "timeout_s", "concurrency"),
    [
        pytest.param({}, f"https://api.rees46.com{PATH}", 30, 8, id="keys-alone"),
        pytest.param({"conn_type": "rees46"}, f"https://api.rees46.com{PATH}", 30, 8, id="type-rees46"),
        pytest.param(
            {"extra": {"timeout_s": 5, "concurrency": 2, "dialect": "import_sync_orders"}},
            f"https://api.rees46.com{PATH}",
            5,
            2,
            id="extra",
        ),
        pytest.param({"extra": '{"timeout_s": "5"}'}, f"https://api.rees46.com{PATH}", 5, 8, id="extra-as-text"),
        pytest.param(
            {"extra": {"timeout_s": None, "concurrency": "", "dialect": None, "min_interval_s": None}},
            f"https://api.rees46.com{PATH}",
            30,
            8,
            id="extra-left-empty-in-the-form",
        ),
        pytest.param({"extra": {"other": 1}}, f"https://api.rees46.com{PATH}", 30, 8, id="unknown-extra"),
        pytest.param({"host": "rees46.test", "port": 8443}, f"https://rees46.test:8443{PATH}", 30, 8, id="port"),
        pytest.param({"host": "rees46.test:8443"}, f"https://rees46.test:8443{PATH}", 30, 8, id="port-in-host"),
        pytest.param({"host": "rees46.test", "schema": "HTTPS"}, f"https://rees46.test{PATH}", 30, 8, id="capitals"),
        pytest.param({"host": "https://rees46.test"}, f"https://rees46.test{PATH}", 30, 8, id="host-with-scheme"),
        pytest.param({"host": "http://127.0.0.1:80/"}, f"http://127.0.0.1:80{PATH}", 30, 8, id="host-with-http"),
        pytest.param({"host": "127.0.0.1", "schema": "http"}, f"http://127.0.0.1{PATH}", 30, 8, id="schema-http"),
        pytest.param({"host": "::1", "port": 80, "schema": "http"}, f"http://[::1]:80{PATH}", 30, 8, id="ipv6"),
        pytest.param({"host": "[::1]", "schema": "http"}, f"http://[::1]{PATH}", 30, 8, id="ipv6-in-brackets"),
        pytest.param(f"rees46://shop-key:{SECRET}@", f"https://api.rees46.com{PATH}", 30, 8, id="uri-keys-alone"),
        pytest.param(f"http://shop-key:{SECRET}@127.0.0.1:80", f"https://127.0.0.1:80{PATH}", 30, 8, id="uri"),
        pytest.param(
            f"rees46://shop-key:{SECRET}@127.0.0.1:80/http?timeout_s=0.5&concurrency=3",
            f"http://127.0.0.1:80{PATH}",
            0.5,
            3,
            id="uri-with-everything",
        ),
        pytest.param(f"http://shop-key:{SECRET}@[::1]:80/http", f"http://[::1]:80{PATH}", 30, 8, id="uri-ipv6"),
    ],
)
def test_a_connection_is_read_without_any_request(
    hook_of: HookOf, connection: dict[str, Any] | str, url: str, timeout_s: float, concurrency: int
) -> None:
    hook = hook_of(connection) if isinstance(connection, str) else hook_of(**connection)

    settings = hook.settings

    assert (settings.url, settings.timeout_s, settings.concurrency) == (url, timeout_s, concurrency)
    assert (settings.shop_id, settings.shop_secret) == ("shop-key", SECRET)
    assert settings.dialect.max_orders == 1000


@pytest.mark.parametrize(
    ("fields", "url", "status_text"),
    [
        pytest.param({"extra": {}}, "https://api.rees46.com/import/sync_orders", None, id="default"),
        pytest.param(
            {"extra": {"dialect": "import_sync_orders", "status_text": ""}},
            "https://api.rees46.com/import/sync_orders",
            None,
            id="import_sync_orders-and-a-field-left-empty-in-the-form",
        ),
        pytest.param(
            {"extra": {"dialect": "sync_orders"}}, "https://api.rees46.ru/sync/orders", "own", id="sync_orders"
        ),
        pytest.param(
            {"extra": {"dialect": "sync_orders", "status_text": None}},
            "https://api.rees46.ru/sync/orders",
            "own",
            id="sync_orders-and-a-field-left-empty-in-the-form",
        ),
        pytest.param(
            {"host": "rees46.test", "port": 8443, "extra": {"dialect": "sync_orders", "status_text": "mapped"}},
            "https://rees46.test:8443/sync/orders",
            "mapped",
            id="sync_orders-elsewhere-mapped",
        ),
    ],
)
def test_the_dialect_says_where_to_and_what_a_status_is(
    hook_of: HookOf, fields: dict[str, Any], url: str, status_text: str | None
) -> None:
    settings = hook_of(**fields).settings

    assert (settings.url, settings.status_text) == (url, status_text)
    assert settings.dialect.name == fields["extra"].get("dialect", "import_sync_orders")


@pytest.mark.parametrize(
    ("fields", "warned_of"),
    [
        pytest.param({"host": "api.rees46.com", "schema": "http"}, "api.rees46.com", id="http-in-public"),
        pytest.param({"host": "http://api.rees46.com"}, "api.rees46.com", id="http-in-host"),
        pytest.param({"host": "10.0.0.1", "schema": "http"}, "10.0.0.1", id="http-in-a-private-network"),
        pytest.param({"host": "localhost.test", "schema": "http"}, "localhost.test", id="not-quite-localhost"),
        pytest.param({"host": "api.rees46.com"}, None, id="https"),
        pytest.param({"host": "127.0.0.1", "schema": "http"}, None, id="http-to-loopback"),
        pytest.param({"host": "127.8.8.8", "schema": "http"}, None, id="http-to-another-loopback"),
        pytest.param({"host": "LOCALHOST", "schema": "http"}, None, id="http-to-localhost"),
        pytest.param({"host": "[::1]", "schema": "http"}, None, id="http-to-ipv6-loopback"),
    ],
)
def test_a_secret_that_would_travel_unencrypted_is_warned_of(
    hook_of: HookOf, caplog: pytest.LogCaptureFixture, fields: dict[str, Any], warned_of: str | None
) -> None:
    hook_of(**fields).settings  # noqa: B018 - it warns when it is read

    warnings = [record.getMessage() for record in caplog.records if record.name == hooks.__name__]
    expected = f"Connection shop_rees46 sends the shop's secret unencrypted to {warned_of}: remove schema http"
    assert [text[: len(expected)] for text in warnings] == ([expected] if warned_of else [])


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        pytest.param({"login": None}, "login is empty; set it to the shop's store key", id="no-login"),
        pytest.param({"login": ""}, "login is empty", id="empty-login"),
        pytest.param({"password": None}, "password is empty; set it to the shop's secret key", id="no-password"),
        pytest.param({"schema": "ftp"}, "schema is 'ftp'; use https", id="ftp"),
        pytest.param({"host": "ftp://rees46.test"}, "ftp.*; use https", id="ftp-in-host"),
        pytest.param({"host": "https://api.rees46.com/import"}, "give a host name alone", id="host-with-a-path"),
        pytest.param({"host": "api.rees46.com?shop=1"}, "give a host name alone", id="host-with-a-query"),
        pytest.param({"host": "https://"}, "give a host name alone", id="scheme-without-a-host"),
        pytest.param({"host": "api rees46.com"}, "give a host name alone", id="host-with-a-space"),
        pytest.param({"host": "rees46..test"}, "give a host name alone", id="host-with-an-empty-label"),
        pytest.param({"host": f"{'a' * 70}.test"}, "give a host name alone", id="host-with-an-overlong-label"),
        pytest.param({"host": "rees46.test:99999"}, "99999", id="port-in-host-too-large"),
        pytest.param({"host": "rees46.test:https"}, "rees46.test:https", id="port-in-host-no-number"),
        pytest.param({"host": "[::1"}, "::1", id="half-an-ipv6-address"),
        pytest.param({"port": 70000}, "port.*70000", id="port-too-large"),
        pytest.param({"extra": {"dialect": "sync_order"}}, "dialect is 'sync_order'; use one of", id="bad-dialect"),
        pytest.param(
            {"extra": {"status_text": "own"}},
            "status_text is 'own', and dialect import_sync_orders sends no text .*; remove status_text, or set dialect",
            id="status-text-of-the-other-dialect",
        ),
        pytest.param(
            {"extra": {"dialect": "sync_orders", "status_text": "name"}},
            "status_text is 'name'; use one of own, mapped",
            id="bad-status-text",
        ),
        pytest.param({"extra": {"timeout_s": "soon"}}, "timeout_s is 'soon'; give a number", id="timeout-a-word"),
        pytest.param({"extra": {"timeout_s": 0}}, "timeout_s is 0; give a number above 0", id="timeout-0"),
        pytest.param({"extra": {"timeout_s": -1}}, "timeout_s is -1", id="timeout-negative"),
        pytest.param({"extra": {"timeout_s": "nan"}}, "timeout_s is 'nan'", id="timeout-nan"),
        pytest.param({"extra": {"timeout_s": "inf"}}, "timeout_s is 'inf'", id="timeout-endless"),
        pytest.param({"extra": {"concurrency": 0}}, "concurrency is 0; give a number above 0", id="concurrency-0"),
        pytest.param({"extra": {"min_interval_s": -1}}, "min_interval_s is -1; give 0 or", id="interval-negative"),
        pytest.param({"extra": {"min_interval_s": "5 s"}}, "min_interval_s is '5 s'; give 0 or", id="interval-a-word"),
        pytest.param({"extra": {"min_interval_s": "inf"}}, "min_interval_s is 'inf'", id="interval-endless"),
        pytest.param({"extra": [1]}, "extra", id="extra-a-list"),
    ],
)
def test_a_connection_that_cannot_be_used_says_which_field_to_mend(
    hook_of: HookOf, fields: dict[str, Any], fault: str
) -> None:
    with pytest.raises(ConnectionFieldsError, match=f"Connection shop_rees46: .*{fault}") as caught:
        hook_of(**fields).send(ORDERS)

    assert SECRET not in "".join(f"{error}{error!r}" for error in chain_of(caught.value))


def test_a_receiver_on_this_machine_is_not_looked_for_behind_a_proxy(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_REES46", rees46_connection(sandbox))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY")

    assert Rees46Hook("shop_rees46").send([("1", 0)]) == 1


# The test of a connection


NOT_CHECKED = "the keys, and whether order synchronisation is enabled: REES46 says so only in answer to a real batch."


class TlsServer:
    """A server on loopback with a certificate for ``127.1``, another way to write 127.0.0.1; it notes what it hears."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "certificate.pem"
        self.heard: list[bytes] = []
        key_file = folder / "key.pem"
        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("127.1")]), critical=True)
            .sign(key, hashes.SHA256())
        )
        form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, key_file)
        heard = self.heard

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError), context.wrap_socket(self.request, server_side=True) as stream:
                    heard.append(stream.recv(1))

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Stop after all that connected was heard."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def tls_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    server = TlsServer(tmp_path)
    yield server
    server.stop()


def test_testing_a_connection_posts_nothing_and_says_what_is_not_checked(sandbox: Sandbox, hook: Rees46Hook) -> None:
    place = f"127.0.0.1:{sandbox.port}"

    assert hook.test_connection() == (True, f"{place} answers. Not checked: {NOT_CHECKED}")
    assert sandbox.requests() == []


@pytest.mark.parametrize("trusted", ["file", "folder"])
def test_with_https_the_certificate_is_checked_and_no_byte_is_sent(
    tls_server: TlsServer, hook_of: HookOf, monkeypatch: pytest.MonkeyPatch, trusted: str
) -> None:
    file = tls_server.certificate
    if trusted == "folder":  # in which OpenSSL finds a certificate by the hash of its (here empty) name
        file.with_name("eea339da.0").symlink_to(file)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file if trusted == "file" else file.parent))

    reached, message = hook_of(host="127.1", port=tls_server.port).test_connection()

    assert (reached, message) == (
        True,
        f"127.1:{tls_server.port} answers with a valid certificate. Not checked: {NOT_CHECKED}",
    )
    tls_server.stop()
    assert tls_server.heard == [b""]


@pytest.mark.parametrize(
    ("host", "is_trusted", "cause"),
    [
        pytest.param("127.1", False, "self-signed certificate", id="nobody-vouches-for-it"),
        pytest.param("127.0.1", True, "Hostname mismatch", id="of-another-host"),
    ],
)
def test_a_certificate_that_is_not_valid_is_a_failure_that_says_why(
    tls_server: TlsServer, hook_of: HookOf, monkeypatch: pytest.MonkeyPatch, host: str, is_trusted: bool, cause: str
) -> None:
    if is_trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls_server.certificate))

    reached, message = hook_of(host=host, port=tls_server.port).test_connection()

    assert not reached
    assert f"{host}:{tls_server.port} answers, but not with TLS and a certificate to trust ({cause}" in message
    assert tls_server.heard == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"login": ""}, "Connection shop_rees46: login is empty; set it to", id="no-login"),
        pytest.param({"schema": "ftp"}, "Connection shop_rees46: schema is 'ftp'; use https", id="ftp"),
        pytest.param(
            {"schema": "https"}, "not with TLS and a certificate to trust (WRONG_VERSION_NUMBER)", id="no-tls"
        ),
        pytest.param({"port": 1}, ":1 cannot be reached from here (Connection refused); correct host and", id="closed"),
    ],
)
def test_testing_a_connection_that_fails_says_what_to_mend_and_posts_nothing(
    sandbox: Sandbox, hook_of: HookOf, fields: dict[str, Any], words: str
) -> None:
    hook = hook_of(**{"host": sandbox.host, "port": sandbox.port, "schema": "http"} | fields)

    reached, message = hook.test_connection()

    assert not reached
    assert words in message
    assert SECRET not in message
    assert sandbox.requests() == []


def test_behind_a_proxy_the_proxy_is_tested_and_its_password_not_shown(
    sandbox: Sandbox, hook_of: HookOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:private@127.0.0.1:{sandbox.port}")

    assert hook_of(host="rees46.test").test_connection() == (
        True,
        f"127.0.0.1:{sandbox.port} answers. Not checked: rees46.test:443 behind this proxy, {NOT_CHECKED}",
    )
    assert sandbox.requests() == []


def test_airflow_finds_the_test_of_a_connection_by_its_type(sandbox: Sandbox) -> None:
    connection = Connection(
        conn_id="in_memory",
        conn_type="rees46",
        host=sandbox.host,
        port=sandbox.port,
        schema="http",
        login="shop-key",
        password=SECRET,
    )

    assert connection.test_connection() == (True, f"127.0.0.1:{sandbox.port} answers. Not checked: {NOT_CHECKED}")
