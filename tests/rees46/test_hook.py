"""The hook against a real REES46 over HTTP: one batch, one of three outcomes, and the secret stays secret."""

from __future__ import annotations

import base64
import json
import logging
import re
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from rees46_sync.exceptions import (
    ConnectionFieldsError,
    Rees46Error,
    Rees46RejectedError,
    Rees46UnavailableError,
    Rees46UnreadableError,
)
from rees46_sync.rees46 import hook as hook_module
from rees46_sync.rees46.hook import Rees46Hook
from rees46_sync.sandbox.server import Sandbox
from tests.conftest import SECRET, rees46_connection
from tests.rees46.conftest import ORDERS, ORDERS_OF, HookOf, chain_of

OVER_BOTH = pytest.mark.parametrize("dialect", ORDERS_OF)


PATIENCE_S = 1  # the timeout of hook_module whose request must not be answered


@OVER_BOTH
def test_an_accepted_batch_takes_one_request_and_sets_the_statuses(
    sandbox: Sandbox, hook: Rees46Hook, dialect: str
) -> None:
    assert hook.send(ORDERS_OF[dialect]).requests == 1

    assert sandbox.state() == dict(ORDERS_OF[dialect])
    assert sandbox.stats() == {"requests": 1, "orders": 2, "accepted": 1, "violations": {}, "faults": {}}


def test_an_empty_204_is_an_acceptance(server_with: Callable[[bytes], int], hook_of: HookOf) -> None:
    port = server_with(b"HTTP/1.1 204 No Content\r\n\r\n")

    assert hook_of(host="127.0.0.1", port=port, schema="http").send(ORDERS).requests == 1


@pytest.mark.parametrize("spec", ["empty_200@x1", "ok_200@x1", "slow:0.2@x1"])
def test_an_odd_but_good_response_is_an_acceptance(sandbox: Sandbox, hook: Rees46Hook, spec: str) -> None:
    sandbox.reset(fault=spec)

    assert hook.send(ORDERS).requests == 1
    assert sandbox.state() == dict(ORDERS)


@pytest.mark.parametrize("dialect", ["sync_orders"])
@pytest.mark.parametrize("spec", ["empty_200@1", "ok_200@1"])
def test_in_the_present_day_dialect_an_odd_response_is_no_acceptance(
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
    pytest.param("429", UNAVAILABLE, 429, hook_module.MAX_THROTTLED, id="rate-limited"),
    pytest.param("429:0", UNAVAILABLE, 429, hook_module.MAX_THROTTLED, id="rate-limited-for-no-time"),
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
        pytest.param(b"HTTP/1.1 201 Created\r\n\r\n", UNREADABLE, id="201"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\n\r\n", REJECTED, id="304"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK", UNAVAILABLE, id="shorter-than-announced"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nOK", UNAVAILABLE, id="no-gzip"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", UNAVAILABLE, id="no-http"),
        pytest.param(b"", UNAVAILABLE, id="closed-without-a-byte"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 100_000, UNREADABLE, id="bottomless-json"),
    ],
)
def test_every_odd_response_raises_one_of_the_errors(
    server_with: Callable[[bytes], int], hook_of: HookOf, answer: bytes, error: type[Rees46Error]
) -> None:
    hook = hook_of(host="127.0.0.1", port=server_with(answer), schema="http")

    with pytest.raises(error):
        hook.send(ORDERS)


def test_a_refused_connection_is_attempted_four_times(hook_of: HookOf, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    hook = hook_of(host="127.0.0.1", port=port, schema="http")

    with pytest.raises(Rees46UnavailableError, match="check host, port and schema of connection shop_rees46") as caught:
        hook.send(ORDERS)

    assert (caught.value.requests, caught.value.http_status) == (4, None)
    attempts = [record.getMessage() for record in caplog.records if record.name == hook_module.__name__]
    assert [re.findall("Attempt [0-9] in", text) for text in attempts] == [
        ["Attempt 2 in"],
        ["Attempt 3 in"],
        ["Attempt 4 in"],
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
def test_transient_errors_are_retried_inside_the_task(
    sandbox: Sandbox, hook: Rees46Hook, dialect: str, spec: str, requests: int
) -> None:
    sandbox.reset(fault=spec)

    assert hook.send(ORDERS_OF[dialect]).requests == requests == sandbox.stats()["requests"]
    assert sandbox.state() == dict(ORDERS_OF[dialect])


def test_a_batch_without_a_response_is_sent_again(
    sandbox: Sandbox, hook_of: HookOf, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.reset(fault="never@x1")

    assert hook_of(rees46_connection(sandbox, timeout_s=3)).send(ORDERS).requests == 2
    assert "did not answer within 3 s; the batch will be sent again. Attempt 2 in" in caplog.text


@pytest.mark.parametrize(
    ("spec", "error", "requests"),
    [
        pytest.param("503@x1,500@x1", Rees46UnavailableError, 2, id="500-after-503"),
        pytest.param("503@x1,401@x1", Rees46RejectedError, 2, id="401-after-503"),
        pytest.param("429@x2,html_in_200@x1", Rees46UnreadableError, 3, id="page-after-two-429"),
    ],
)
def test_after_a_transient_error_the_last_response_decides(
    sandbox: Sandbox, hook: Rees46Hook, spec: str, error: type[Rees46Error], requests: int
) -> None:
    sandbox.reset(fault=spec)

    with pytest.raises(error) as caught:
        hook.send(ORDERS)

    assert caught.value.requests == requests == sandbox.stats()["requests"]


@pytest.mark.parametrize("made", [0, 1, 2, 3])
def test_no_further_request_is_made_once_none_may_be(sandbox: Sandbox, hook: Rees46Hook, made: int) -> None:
    sandbox.reset(fault="503@1")
    answers = iter([True] * made + [False])

    if made:
        with pytest.raises(Rees46UnavailableError, match="answered 503") as caught:
            hook.send(ORDERS, lambda: next(answers))
        assert caught.value.requests == made
    else:
        assert hook.send(ORDERS, lambda: next(answers)).requests == 0
    assert sandbox.stats()["requests"] == made


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

    assert hook.send(ORDERS).requests == 2
    refused, accepted = sandbox.requests()
    assert accepted["at"] - refused["at"] >= 1


def test_without_retry_after_the_pauses_are_random_and_grow(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_REES46", rees46_connection(sandbox))
    sandbox.reset(fault="503@x1")

    assert Rees46Hook("shop_rees46").send(ORDERS).requests == 2

    announced = float(re.search(r"Attempt 2 in (\d+\.\d) s", caplog.text)[1])  # type: ignore[index]
    refused, accepted = sandbox.requests()
    assert announced <= 0.5  # drawn from 0 to 0.5 s, then 1 s, then 2 s
    assert accepted["at"] - refused["at"] >= announced - 0.06


def test_the_task_waits_for_a_retry_after_as_long_as_the_longest_pause(
    sandbox: Sandbox, hook: Rees46Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.reset(fault="429:1@x1")
    monkeypatch.setattr(hook_module, "MAX_PAUSE", timedelta(seconds=1))

    assert hook.send(ORDERS).requests == 2


@pytest.mark.parametrize(
    ("spec", "asked"),
    [
        pytest.param("429:61", timedelta(seconds=61), id="just-too-long"),
        pytest.param("503:120", timedelta(minutes=2), id="two-minutes"),
        pytest.param("503:43200", timedelta(hours=12), id="half-a-day"),
        pytest.param("503:86400", timedelta(hours=24), id="a-day"),
        pytest.param("500:5", timedelta(seconds=5), id="of-an-error-that-is-not-transient"),
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
def test_a_retry_after_that_cannot_be_used_is_ignored(
    server_with: Callable[[bytes], int], hook_of: HookOf, value: bytes, asked: timedelta | None
) -> None:
    answer = b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\nRetry-After: " + value + b"\r\n\r\n"
    hook = hook_of(host="127.0.0.1", port=server_with(answer), schema="http")

    with pytest.raises(Rees46UnavailableError) as caught:
        hook.send(ORDERS)

    assert (caught.value.retry_after, caught.value.requests) == (asked, 4)


@pytest.mark.parametrize("code", [408, 429, 500, 503])
def test_what_rees46_says_beside_not_now_is_in_the_message(
    server_with: Callable[[bytes], int], hook_of: HookOf, code: int
) -> None:
    body = b'{"status": "error", "message": "maintenance until noon, secret ' + SECRET.encode() + b'"}'
    answer = b"HTTP/1.1 %d No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (code, len(body), body)
    hook = hook_of(host="127.0.0.1", port=server_with(answer), schema="http")

    with pytest.raises(
        Rees46UnavailableError, match=rf"answered {code} \(maintenance until noon, secret \*\*\*\); the"
    ):
        hook.send(ORDERS)


@OVER_BOTH
def test_redirects_are_not_followed(sandbox: Sandbox, hook: Rees46Hook, dialect: str) -> None:
    sandbox.reset(fault="redirect@x1")

    with pytest.raises(Rees46RejectedError, match="correct host, schema and dialect of connection shop_rees46"):
        hook.send(ORDERS_OF[dialect])

    assert [row["outcome"] for row in sandbox.requests()] == ["redirect"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        pytest.param("404", "answered 404 .*; this is not the endpoint: correct host, schema and dialect", id="404"),
        pytest.param("error_in_200", r"\(Shop not found\); REES46 knows no such shop there", id="error-in-200"),
        pytest.param("html_in_200", r"neither yes nor no \([0-9]+ bytes, text/html.*\); look for a proxy", id="page"),
        pytest.param("500", r"answered 500 \(Sandbox fault\); the batch will be sent again", id="500"),
    ],
)
def test_the_message_says_what_to_do_next(sandbox: Sandbox, hook: Rees46Hook, spec: str, words: str) -> None:
    sandbox.reset(fault=f"{spec}@1")

    with pytest.raises(Rees46Error, match=words):
        hook.send(ORDERS)


def test_a_reason_that_quotes_the_secret_is_shown_without_it(
    server_with: Callable[[bytes], int], hook_of: HookOf
) -> None:
    body = json.dumps({"status": "error", "message": f"shop_secret {SECRET} is wrong"}).encode()
    hook = hook_of(host="127.0.0.1", port=server_with(b"HTTP/1.1 200 OK\r\n\r\n" + body), schema="http")

    with pytest.raises(Rees46RejectedError, match=r"\(shop_secret \*\*\* is wrong\)") as caught:
        hook.send(ORDERS)

    assert all(SECRET not in f"{error}{error!r}" for error in chain_of(caught.value))


@pytest.mark.parametrize("code", [200, 400])
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda text: "".join(f"%{byte:02x}" for byte in text.encode()), id="url"),
        pytest.param(lambda text: base64.b64encode(f"shop-key:{text}".encode()).decode(), id="login-in-base64"),
        pytest.param(lambda text: "".join(f"\\u{ord(letter):04x}" for letter in text), id="json"),
    ],
)
def test_a_reason_that_quotes_the_secret_in_another_form_is_shown_without_it(
    server_with: Callable[[bytes], int], hook_of: HookOf, code: int, form: Callable[[str], str]
) -> None:
    body = json.dumps({"status": "error", "message": f"wrong: {form(SECRET)}"}).encode()
    answer = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (code, len(body), body)
    hook = hook_of(host="127.0.0.1", port=server_with(answer), schema="http")

    with pytest.raises(Rees46RejectedError) as caught:
        hook.send(ORDERS)

    for text in (str(caught.value), caught.value.reason):
        assert "***" in text
        assert form(SECRET)[12:-4] not in text


def test_a_content_type_is_shown_without_the_secret_and_without_control_characters(
    server_with: Callable[[bytes], int], hook_of: HookOf
) -> None:
    kind = b"text/\x1b[31mred\x07\x9b; charset=" + SECRET.encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nContent-Length: 2\r\n\r\n<>"
    hook = hook_of(host="127.0.0.1", port=server_with(answer), schema="http")

    shown = r"2 bytes, text/\\x1b\[31mred\\x07\\x9b; charset=\*\*\*\)"
    with pytest.raises(Rees46UnreadableError, match=shown) as caught:
        hook.send(ORDERS)

    assert str(caught.value).isprintable()


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


def test_the_connection_is_not_read_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_as_many_connections_are_kept_as_requests_may_be_in_flight(
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
        requests = sum(threads.map(lambda number: hook.send([(f"{number}", 1)]).requests, range(4)))

    arrivals = [row["at"] for row in sandbox.requests()]
    assert len(arrivals) == requests == (6 if fault else 4)
    # The first waits as well. On a busy machine a request may arrive long after its start, but never before it.
    starts = [made_at + interval_s * number for number in range(1, requests + 1)]
    assert [early for start, at in zip(starts, arrivals, strict=True) if (early := start - at) > 0.05] == []


def test_a_receiver_on_this_machine_is_not_reached_through_a_proxy(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_REES46", rees46_connection(sandbox))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY")

    assert Rees46Hook("shop_rees46").send([("1", 0)]).requests == 1


OK_ANSWERS = [
    pytest.param("import_sync_orders", b"OK", id="import_sync_orders-ok"),
    pytest.param("import_sync_orders", b'{"status": "success"}', id="import_sync_orders-json"),
    pytest.param("sync_orders", b'{"status": "success"}', id="sync_orders"),
]


@pytest.mark.parametrize("has_length", [True, False], ids=["with-its-length", "until-the-connection-closes"])
@pytest.mark.parametrize(("dialect", "content"), OK_ANSWERS)
def test_an_answer_that_is_cut_off_at_any_byte_is_never_accepted(
    hook_of: HookOf,
    server_with: Callable[[bytes | bytearray], int],
    monkeypatch: pytest.MonkeyPatch,
    dialect: str,
    content: bytes,
    has_length: bool,
) -> None:
    monkeypatch.setattr(hook_module, "ATTEMPTS", 1)
    length = b"Content-Length: %d\r\n" % len(content) if has_length else b""
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n" + length + b"Connection: close\r\n\r\n" + content
    cut = bytearray()
    extra = {"dialect": dialect, "timeout_s": 5, "min_interval_s": 0}
    hook = hook_of(host="127.0.0.1", port=server_with(cut), schema="http", extra=extra)
    for end in range(len(answer)):
        cut[:] = answer[:end]
        with pytest.raises((Rees46UnavailableError, Rees46UnreadableError)):
            hook.send(ORDERS_OF[dialect])
    cut[:] = answer
    assert hook.send(ORDERS_OF[dialect]).requests == 1
