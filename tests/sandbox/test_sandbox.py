"""What the local REES46 promises to those who test against it, over real HTTP on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from rees46_sync.sandbox.server import (
    DIALECTS,
    VIOLATIONS,
    ContractViolationError,
    FaultPlan,
    Sandbox,
    check,
    running,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PLUGINS = Path(__file__).parents[2] / "plugins"
PATH = "/import/sync_orders"
PRESENT_DAY = "/sync/orders"
SECRET = "s3cret-that-nobody-may-see"
JSON = {"Content-Type": "application/json"}
PATIENCE_S = 1  # how long a test waits for an answer that must not come


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with running("demo", SECRET) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.reset()
    return server


def body_of(orders: object, **others: object) -> bytes:
    return json.dumps({"shop_id": "demo", "shop_secret": SECRET, "orders": orders} | others).encode()


def order(order_id: object = "1", status: object = 1) -> dict[str, object]:
    return {"id": order_id, "status": status}


GOOD = body_of([order("1", 1), order("msk2", 2), order("007", 0)])
GOOD_STATE = {"1": 1, "msk2": 2, "007": 0}
GOOD_TEXT_STATE = {"1": "delivered", "msk2": "отменён", "007": " new "}
GOOD_TEXTS = body_of([order(*pair) for pair in GOOD_TEXT_STATE.items()])
OVER_BOTH = pytest.mark.parametrize(
    ("path", "good", "good_state"),
    [
        pytest.param(PATH, GOOD, GOOD_STATE, id="import_sync_orders"),
        pytest.param(PRESENT_DAY, GOOD_TEXTS, GOOD_TEXT_STATE, id="sync_orders"),
    ],
)


def post(sandbox: Sandbox, body: bytes = GOOD, timeout: float = 60, path: str = PATH) -> requests.Response:
    url = sandbox.url + path
    return requests.post(url, data=body, headers=JSON, timeout=timeout, allow_redirects=False)


@contextmanager
def raw_request(sandbox: Sandbox, body: bytes = GOOD) -> Iterator[socket.socket]:
    """Send a request that announces the length of GOOD, and leave the answer to the caller."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection((sandbox.host, sandbox.port), timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: {len(GOOD)}\r\n\r\n".encode() + body)
        yield connection


def wait_for_requests(sandbox: Sandbox, count: int) -> None:
    deadline = time.monotonic() + 60
    while sandbox.stats()["requests"] != count:
        assert time.monotonic() < deadline, f"{sandbox.stats()['requests']} of {count} requests arrived"
        time.sleep(0.01)


def outcomes(sandbox: Sandbox) -> list[str]:
    return [row["outcome"] for row in sandbox.requests()]


def planned(plan: FaultPlan, count: int) -> list[str]:
    return [fault.kind if (fault := plan.draw(number)) else "accepted" for number in range(1, count + 1)]


@OVER_BOTH
def test_an_accepted_request_sets_the_status_of_each_order_as_it_was_sent(
    sandbox: Sandbox, path: str, good: bytes, good_state: dict[str, object]
) -> None:
    answer = post(sandbox, good, path=path)

    assert (answer.status_code, answer.json()) == (200, {"status": "success"})
    assert requests.get(sandbox.url + "/_state", timeout=60).json() == good_state == sandbox.state()


def test_the_two_dialects_are_two_ways_to_the_same_orders(sandbox: Sandbox) -> None:
    assert post(sandbox).ok
    assert post(sandbox, body_of([order("1", "cancelled")]), path=PRESENT_DAY).ok

    assert sandbox.state() == GOOD_STATE | {"1": "cancelled"}


def test_the_last_arrival_wins(sandbox: Sandbox) -> None:
    for status in (0, 2, 1):
        assert post(sandbox, body_of([order("a", status)])).ok

    assert sandbox.state() == {"a": 1}
    assert sandbox.stats() == {"requests": 3, "orders": 3, "accepted": 3, "violations": {}, "faults": {}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param(PATH, body_of([order(f"{n}") for n in range(1000)]), id="1000-orders"),
        pytest.param(PATH, body_of([order("x" * 255)]), id="id-of-255-characters"),
        pytest.param(PATH, body_of([order("заказ № 1"), order(" 1 "), order("1"), order("01")]), id="odd-ids"),
        pytest.param(PATH, b" \n" + GOOD + b"\n", id="white-space-around"),
        pytest.param(PRESENT_DAY, body_of([order(f"{n}", "new") for n in range(5000)]), id="5000-orders"),
        pytest.param(PRESENT_DAY, body_of([order("x" * 255, "y" * 255)]), id="status-of-255-characters"),
        pytest.param(PRESENT_DAY, body_of([order(status="1")]), id="status-a-digit"),
    ],
)
def test_the_limits_of_the_contract_are_inside_it(sandbox: Sandbox, path: str, body: bytes) -> None:
    assert post(sandbox, body, path=path).status_code == 200
    assert sandbox.stats()["violations"] == {}


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON;charset=x"])
def test_parameters_of_the_content_type_are_fine(sandbox: Sandbox, content_type: str) -> None:
    answer = requests.post(sandbox.url + PATH, data=GOOD, headers={"Content-Type": content_type}, timeout=60)

    assert answer.status_code == 200


BAD_BODIES = [
    pytest.param("not_json", b"", id="nothing"),
    pytest.param("not_json", GOOD[:-1], id="cut-off"),
    pytest.param("not_json", GOOD + GOOD, id="two-documents"),
    pytest.param("not_json", body_of([order(status=float("nan"))]), id="nan"),
    pytest.param("not_json", body_of([order(status=float("inf"))]), id="infinity"),
    pytest.param("not_json", GOOD.replace(b'"id"', b'"id": "0", "id"', 1), id="repeated-key-in-order"),
    pytest.param("not_json", GOOD.replace(b"{", b'{"orders": [], ', 1), id="repeated-key"),
    pytest.param("not_json", GOOD.replace(b'"1"', b'"\xe9"'), id="latin-1"),
    pytest.param("not_json", b"\xef\xbb\xbf" + GOOD, id="byte-order-mark"),
    pytest.param("not_json", GOOD.decode().encode("utf-16"), id="utf-16"),
    pytest.param("not_json", GOOD.replace(b'"1"', b'"a\nb"'), id="raw-line-break-in-id"),
    pytest.param("not_json", b"[" * 100_000, id="bottomless"),
    pytest.param("wrong_shape", b"null", id="null"),
    pytest.param("wrong_shape", b"[" + GOOD + b"]", id="array"),
    pytest.param("wrong_shape", b'{"shop_id": "demo", "orders": []}', id="key-missing"),
    pytest.param("wrong_shape", body_of([order()], dry_run=True), id="key-unknown"),
    pytest.param("wrong_shape", body_of({"0": order()}), id="orders-an-object"),
    pytest.param("wrong_shape", body_of(None), id="orders-null"),
    pytest.param("wrong_credentials", body_of([order()], shop_secret="guess"), id="wrong-secret"),
    pytest.param("wrong_credentials", body_of([order()], shop_id="other"), id="wrong-shop"),
    pytest.param("wrong_credentials", body_of([order()], shop_id=None), id="shop-null"),
    pytest.param("empty_orders", body_of([]), id="no-orders"),
    pytest.param("too_many_orders", body_of([order(f"{n}") for n in range(1001)]), id="1001-orders"),
    pytest.param("wrong_order", body_of([order(), "2"]), id="order-a-string"),
    pytest.param("wrong_order", body_of([{"id": "1"}]), id="order-without-status"),
    pytest.param("wrong_order", body_of([order() | {"value": 9}]), id="order-with-more"),
    pytest.param("id_not_text", body_of([order(1)]), id="id-a-number"),
    pytest.param("id_not_text", body_of([order(None)]), id="id-null"),
    pytest.param("id_not_text", body_of([order("\ud800")]), id="id-half-a-character"),
    pytest.param("id_blank", body_of([order("")]), id="id-empty"),
    pytest.param("id_blank", body_of([order(" \t\u00a0")]), id="id-white-space"),
    pytest.param("id_too_long", body_of([order("x" * 256)]), id="id-of-256-characters"),
    pytest.param("id_control_character", body_of([order("1\n")]), id="id-with-line-break"),
    pytest.param("id_control_character", body_of([order("1\x00")]), id="id-with-nul"),
    pytest.param("id_control_character", body_of([order("1\x85")]), id="id-with-c1-control"),
    pytest.param("status_not_integer", body_of([order(status=True)]), id="status-true"),
    pytest.param("status_not_integer", body_of([order(status=1.0)]), id="status-1.0"),
    pytest.param("status_not_integer", body_of([order(status="1")]), id="status-a-string"),
    pytest.param("status_not_integer", body_of([order(status=None)]), id="status-null"),
    pytest.param("status_out_of_range", body_of([order(status=3)]), id="status-3"),
    pytest.param("status_out_of_range", body_of([order(status=-1)]), id="status-minus-1"),
    pytest.param("duplicate_id", body_of([order("1", 1), order("2"), order("1", 1)]), id="id-twice"),
]


def in_texts(body: bytes) -> bytes:
    """The same body with statuses of the present-day dialect."""
    for number, text in enumerate(("new", "delivered", "cancelled")):
        body = body.replace(f'"status": {number}}}'.encode(), f'"status": "{text}"}}'.encode())
    return body


BAD_TEXT_BODIES = [
    *(
        pytest.param(kind, in_texts(body), id=row.id)
        for row in BAD_BODIES
        for kind, body in [row.values]
        if not kind.startswith("status_") and kind != "too_many_orders"
    ),
    pytest.param("too_many_orders", body_of([order(f"{n}", "new") for n in range(5001)]), id="5001-orders"),
    pytest.param("status_not_text", body_of([order(status=1)]), id="status-a-number"),
    pytest.param("status_not_text", body_of([order(status=True)]), id="status-true"),
    pytest.param("status_not_text", body_of([order(status=None)]), id="status-null"),
    pytest.param("status_not_text", body_of([order(status=["new"])]), id="status-a-list"),
    pytest.param("status_not_text", body_of([order(status="\ud800")]), id="status-half-a-character"),
    pytest.param("status_blank", body_of([order(status="")]), id="status-empty"),
    pytest.param("status_blank", body_of([order(status=" \t\u00a0")]), id="status-white-space"),
    pytest.param("status_too_long", body_of([order(status="x" * 256)]), id="status-of-256-characters"),
]
EACH_BAD_BODY = [
    pytest.param(path, *row.values, id=f"{path[1:]}-{row.id}")
    for path, rows in ((PATH, BAD_BODIES), (PRESENT_DAY, BAD_TEXT_BODIES))
    for row in rows
]


@pytest.mark.parametrize(("path", "kind", "body"), EACH_BAD_BODY)
def test_a_violation_is_refused_counted_and_changes_nothing(
    sandbox: Sandbox, path: str, kind: str, body: bytes
) -> None:
    post(sandbox, body_of([order("kept", 2)]))

    answer = post(sandbox, body, path=path)

    assert answer.status_code == (403 if kind == "wrong_credentials" else 400)
    assert answer.json()["status"] == "error"
    assert VIOLATIONS[kind] in answer.json()["payload"]["message"]
    assert sandbox.state() == {"kept": 2}
    assert sandbox.stats() == {
        "requests": 2,
        "orders": 1,
        "accepted": 1,
        "violations": {kind: 1},
        "faults": {},
    }
    assert outcomes(sandbox) == ["accepted", kind]


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/json-patch+json", "text/json"])
def test_another_content_type_is_a_violation(sandbox: Sandbox, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}

    answer = requests.post(sandbox.url + PATH, data=GOOD, headers=headers, timeout=60)

    assert answer.status_code == 400
    assert sandbox.stats()["violations"] == {"wrong_content_type": 1}
    assert sandbox.state() == {}


@pytest.mark.parametrize(
    ("method", "path", "http_status", "kind"),
    [
        ("POST", "/sync/order", 404, "wrong_path"),
        ("GET", PRESENT_DAY, 405, "wrong_method"),
        ("POST", PATH + "/", 404, "wrong_path"),
        ("POST", "/Import/sync_orders", 404, "wrong_path"),
        ("GET", "/", 404, "wrong_path"),
        ("GET", PATH, 405, "wrong_method"),
        ("PUT", PATH, 405, "wrong_method"),
        ("POST", "/_state", 405, "wrong_method"),
        ("GET", "/_reset", 405, "wrong_method"),
    ],
)
def test_a_stray_request_is_counted_but_is_no_request_to_the_api(
    sandbox: Sandbox, method: str, path: str, http_status: int, kind: str
) -> None:
    answer = requests.request(method, sandbox.url + path, data=GOOD, headers=JSON, timeout=60)

    assert (answer.status_code, answer.json()["status"]) == (http_status, "error")
    assert sandbox.stats()["violations"] == {kind: 1}
    assert sandbox.stats()["requests"] == 0
    assert outcomes(sandbox) == [kind]
    assert sandbox.state() == {}


def test_every_kind_of_violation_is_tested_here() -> None:
    elsewhere = {"wrong_path", "wrong_method", "wrong_content_type"}

    assert {str(row.values[1]) for row in EACH_BAD_BODY} | elsewhere == VIOLATIONS.keys()


@pytest.mark.parametrize("path", DIALECTS)
@settings(max_examples=50, database=None, deadline=None)
@given(st.binary() | st.recursive(st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode))
def test_whatever_is_posted_the_check_ends_in_a_named_violation(path: str, body: bytes) -> None:
    with pytest.raises(ContractViolationError) as caught:
        check(body, "application/json", DIALECTS[path], ("demo", SECRET))

    assert caught.value.kind in VIOLATIONS


def test_half_a_request_is_no_request(sandbox: Sandbox) -> None:
    with raw_request(sandbox, GOOD[:20]):
        pass

    assert post(sandbox).ok
    assert outcomes(sandbox) == ["accepted"]


ERROR = '"status":"error"'
FAULTS = [
    pytest.param("500", 500, ERROR, False, id="500"),
    pytest.param("502", 502, ERROR, False, id="502"),
    pytest.param("503", 503, ERROR, False, id="503"),
    pytest.param("504:7", 504, ERROR, False, id="504-with-retry-after"),
    pytest.param("521", 521, ERROR, False, id="unknown-to-http"),
    pytest.param("401", 401, ERROR, False, id="401"),
    pytest.param("403", 403, ERROR, False, id="403"),
    pytest.param("429:2", 429, ERROR, False, id="429"),
    pytest.param("429_date:2", 429, ERROR, False, id="429_date"),
    pytest.param("error_in_200", 200, '"status": "error"', False, id="error_in_200"),
    pytest.param("html_in_200", 200, "<!doctype html>", False, id="html_in_200"),
    pytest.param("redirect", 302, "", False, id="redirect"),
    pytest.param("reset_before", requests.ConnectionError, "", False, id="reset_before"),
    pytest.param("never", requests.ReadTimeout, "", False, id="never"),
    pytest.param("slow:0.2", 200, '"status": "success"', True, id="slow"),
    pytest.param("empty_200", 200, "", True, id="empty_200"),
    pytest.param("ok_200", 200, "OK", True, id="ok_200"),
    pytest.param("cut_json_200", 200, '{"status": "suc', True, id="cut_json_200"),
    pytest.param("reset_after", requests.ConnectionError, "", True, id="reset_after"),
    pytest.param("never_after", requests.ReadTimeout, "", True, id="never_after"),
]


@pytest.mark.parametrize(("spec", "answer", "text", "accepts"), FAULTS)
@OVER_BOTH
def test_a_fault_answers_as_its_name_says_and_is_then_over(
    sandbox: Sandbox,
    path: str,
    good: bytes,
    good_state: dict[str, object],
    spec: str,
    answer: int | type[Exception],
    text: str,
    accepts: bool,
) -> None:
    sandbox.reset(fault=f"{spec}@x1")

    if isinstance(answer, int):
        response = post(sandbox, good, path=path)
        assert response.status_code == answer
        assert text in response.text if text else not response.text
    else:
        with pytest.raises(answer):
            post(sandbox, good, timeout=PATIENCE_S if answer is requests.ReadTimeout else 60, path=path)
        wait_for_requests(sandbox, 1)

    kind = spec.partition(":")[0]
    assert sandbox.state() == (good_state if accepts else {})
    assert sandbox.stats() == {
        "requests": 1,
        "orders": 3 * accepts,
        "accepted": 1 * accepts,
        "violations": {},
        "faults": {kind: 1},
    }
    assert post(sandbox, good, path=path).json() == {"status": "success"}
    assert outcomes(sandbox) == [kind, "accepted"]


@pytest.mark.parametrize(("spec", "http_status"), [("429:2", 429), ("503:30", 503), ("404:0", 404)])
def test_retry_after_comes_in_seconds(sandbox: Sandbox, spec: str, http_status: int) -> None:
    sandbox.reset(fault=f"{spec}@1")

    answer = post(sandbox)

    assert (answer.status_code, answer.headers["Retry-After"]) == (http_status, spec.partition(":")[2])


@pytest.mark.clock
def test_retry_after_as_a_date_is_never_too_early(sandbox: Sandbox) -> None:
    sandbox.reset(fault="429_date:5@1")
    asked = time.time()

    moment = parsedate_to_datetime(post(sandbox).headers["Retry-After"]).timestamp()

    assert asked + 5 <= moment <= time.time() + 6


def test_an_error_without_seconds_has_no_retry_after(sandbox: Sandbox) -> None:
    sandbox.reset(fault="503@1")

    assert "Retry-After" not in post(sandbox).headers


def test_a_reset_is_a_tcp_reset(sandbox: Sandbox) -> None:
    sandbox.reset(fault="reset_after@1")

    with raw_request(sandbox) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)

    assert sandbox.state() == GOOD_STATE


def test_a_connection_kept_alive_is_reset_in_its_second_request(sandbox: Sandbox) -> None:
    with requests.Session() as session:
        assert session.post(sandbox.url + PATH, data=GOOD, headers=JSON, timeout=60).ok
        sandbox.reset(fault="reset_before@x1")
        with pytest.raises(requests.ConnectionError):
            session.post(sandbox.url + PATH, data=GOOD, headers=JSON, timeout=60)


def test_a_slow_answer_takes_its_time_but_the_orders_count_at_once(sandbox: Sandbox) -> None:
    sandbox.reset(fault="slow:3@1", latency_ms=100)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, sandbox)
        wait_for_requests(sandbox, 1)
        assert sandbox.state() == GOOD_STATE
        assert not answer.done()
        assert answer.result().elapsed.total_seconds() >= 3.1

    (row,) = sandbox.requests()
    assert row["seconds"] is not None
    assert row["seconds"] >= 3.1


def test_whoever_follows_the_redirect_is_caught(sandbox: Sandbox) -> None:
    sandbox.reset(fault="redirect@1")

    answer = requests.post(sandbox.url + PATH, data=GOOD, headers=JSON, timeout=60)

    assert answer.status_code == 404
    assert sandbox.stats()["violations"] == {"wrong_path": 1}


@pytest.mark.parametrize(
    "spec",
    ["empty_200", "ok_200", "cut_json_200", "slow:0", "reset_after", "never_after"],
)
def test_a_violation_wins_over_a_fault_that_accepts(sandbox: Sandbox, spec: str) -> None:
    sandbox.reset(fault=f"{spec}@1")

    assert post(sandbox, body_of([])).status_code == 400
    assert sandbox.stats()["violations"] == {"empty_orders": 1}
    assert sandbox.stats()["faults"] == {}


def test_a_fault_that_refuses_does_not_look_at_the_request(sandbox: Sandbox) -> None:
    sandbox.reset(fault="503@1")

    assert post(sandbox, body_of([])).status_code == 503
    assert sandbox.stats()["violations"] == {}


MIX = "503@0.2,429:0@0.1,empty_200@0.15,reset_after@0.05"


def test_the_same_seed_faults_the_same_requests(sandbox: Sandbox) -> None:
    runs = []
    for seed in (7, 7, 8):
        sandbox.reset(fault="503@0.3,ok_200@0.3", seed=seed)
        for _ in range(40):
            post(sandbox)
        runs.append(outcomes(sandbox))

    assert runs[0] == runs[1] == planned(FaultPlan.parse("503@0.3,ok_200@0.3", seed=7), 40)
    assert runs[0] != runs[2]


def test_concurrency_does_not_change_which_requests_are_faulted(sandbox: Sandbox) -> None:
    sandbox.reset(fault=f"502@x5,{MIX}", seed=3)

    def attempt(_: int) -> str:
        try:
            return str(post(sandbox).status_code)
        except requests.ConnectionError:
            return "reset"

    with ThreadPoolExecutor(16) as pool:
        seen = Counter(pool.map(attempt, range(400)))

    expected = planned(FaultPlan.parse(f"502@x5,{MIX}", seed=3), 400)
    assert outcomes(sandbox) == expected
    by_kind = Counter(expected)
    assert seen == {
        "502": 5,
        "503": by_kind["503"],
        "429": by_kind["429"],
        "reset": by_kind["reset_after"],
        "200": by_kind["accepted"] + by_kind["empty_200"],
    }
    assert sandbox.stats()["faults"] == {kind: n for kind, n in by_kind.items() if kind != "accepted"}


def test_shares_are_met_over_many_requests() -> None:
    drawn = Counter(planned(FaultPlan.parse(MIX, seed=1), 10_000))

    shares = {kind: count / 10_000 for kind, count in drawn.items()}
    expected = {"503": 0.2, "429": 0.1, "empty_200": 0.15, "reset_after": 0.05, "accepted": 0.5}
    assert shares == pytest.approx(expected, abs=0.015)


def test_counted_faults_come_first_one_after_the_other_and_exactly_so_often(sandbox: Sandbox) -> None:
    sandbox.reset(fault="503@x3,ok_200@1,504@x2")

    for _ in range(8):
        post(sandbox)

    assert outcomes(sandbox) == ["503"] * 3 + ["504"] * 2 + ["ok_200"] * 3


@pytest.mark.parametrize(
    ("spec", "kinds"),
    [
        ("", {"accepted"}),
        (" ", {"accepted"}),
        ("503@0", {"accepted"}),
        ("503@1", {"503"}),
        ("503@1.0", {"503"}),
        ("503@.5, 502@0.50", {"503", "502"}),
        ("503@0.7,502@0.2,504@0.1", {"503", "502", "504"}),  # 0.7 + 0.2 + 0.1 is not 1 in floats
        ("500@x9,503@1", {"500", "503"}),
    ],
)
def test_a_plan_may_use_all_shares_up_to_one(spec: str, kinds: set[str]) -> None:
    assert set(planned(FaultPlan.parse(spec), 200)) == kinds


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("503", "'' is no share"),
        ("503@", "'' is no share"),
        ("503@x0", "'x0' is no share"),
        ("503@-0.1", "'-0.1' is no share"),
        ("503@10%", "'10%' is no share"),
        ("503@nan", "'nan' is no share"),
        ("503@0.1,", "'' is no kind"),
        ("503@1.5", "add up to 1.5"),
        ("503@0.6,502@0.5", "add up to 1.1"),
        ("200@1", "'200' is no kind"),
        ("nonsense@1", "'nonsense' is no kind"),
        ("slow@1", "'slow' is no kind"),
        ("slow:soon@1", "'slow:soon' is no kind"),
        ("429:1.5@1", "'429:1.5' is no kind"),
        ("429_date@1", "'429_date' is no kind"),
        ("never:3@1", "'never:3' is no kind"),
    ],
)
def test_a_faulty_spec_is_explained(spec: str, complaint: str) -> None:
    with pytest.raises(ValueError, match="fault") as caught:
        FaultPlan.parse(spec)

    assert complaint in str(caught.value)


def test_thousands_could_wait_for_their_latency_at_once(sandbox: Sandbox) -> None:
    sandbox.reset(latency_ms=400)
    started = time.perf_counter()

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: post(sandbox), range(40)))

    assert all(answer.elapsed.total_seconds() >= 0.4 for answer in answers)
    assert time.perf_counter() - started < 12  # one after the other they would take 16 s


@pytest.mark.parametrize("kind", ["never", "never_after", "slow:60"])
def test_those_who_wait_for_ever_hold_up_neither_others_nor_the_end(kind: str) -> None:
    with ExitStack() as clients:
        with running("demo", SECRET, fault=f"{kind}@x50") as sandbox:
            hanging = [clients.enter_context(raw_request(sandbox)) for _ in range(50)]
            wait_for_requests(sandbox, 50)
            assert post(sandbox).elapsed.total_seconds() < 30
            assert [row["seconds"] for row in sandbox.requests()[:50]] == [None] * 50
            stopping = time.perf_counter()
        assert time.perf_counter() - stopping < 30
        for connection in hanging:
            assert connection.recv(1) == b""


def test_a_client_that_leaves_ends_its_own_waiting(sandbox: Sandbox) -> None:
    sandbox.reset(fault="never@x1,slow:3@x1")
    for number in (1, 2):
        with raw_request(sandbox):
            wait_for_requests(sandbox, number)

    assert post(sandbox).ok
    time.sleep(3.3)
    assert [row["seconds"] is None for row in sandbox.requests()] == [True, True, False]


@pytest.mark.clock
def test_the_log_tells_sizes_times_and_outcomes_but_no_secret_and_no_order(sandbox: Sandbox) -> None:
    sandbox.reset(fault="503@x1")
    before = time.time()
    answers = [post(sandbox), post(sandbox), post(sandbox, body_of([order("a-telling-id", 9)]))]

    after = time.time()
    log = requests.get(sandbox.url + "/_requests", timeout=60)

    assert log.json() == sandbox.requests()
    assert [(row["outcome"], row["orders"]) for row in log.json()] == [
        ("503", None),
        ("accepted", 3),
        ("status_out_of_range", None),
    ]
    assert [row["bytes"] for row in log.json()[:2]] == [len(GOOD)] * 2
    assert all(before <= row["at"] <= after and 0 <= row["seconds"] <= after - before for row in log.json())
    told = log.text + json.dumps(sandbox.stats()) + "".join(answer.text for answer in answers)
    assert not [word for word in (SECRET, "a-telling-id", "msk2") if word in told]


def test_statistics_over_http_are_those_of_the_object(sandbox: Sandbox) -> None:
    sandbox.reset(fault="503@x1")
    post(sandbox)
    post(sandbox)

    over_http = requests.get(sandbox.url + "/_stats", timeout=60).json()

    assert over_http == sandbox.stats()
    assert over_http == {"requests": 2, "orders": 3, "accepted": 1, "violations": {}, "faults": {"503": 1}}


def test_a_reset_clears_everything_and_sets_the_faults(sandbox: Sandbox) -> None:
    post(sandbox)
    settings = {"fault": "503@x1", "seed": 5, "latency_ms": 200}

    assert requests.post(sandbox.url + "/_reset", json=settings, timeout=60).json() == {"status": "success"}

    assert (sandbox.state(), sandbox.requests(), sandbox.stats()["requests"]) == ({}, [], 0)
    answer = post(sandbox)
    assert answer.status_code == 503
    assert answer.elapsed.total_seconds() >= 0.2


def test_a_reset_without_a_body_ends_all_faults(sandbox: Sandbox) -> None:
    sandbox.reset(fault="503@1", latency_ms=100)

    assert requests.post(sandbox.url + "/_reset", timeout=60).ok
    assert post(sandbox).ok


def test_a_reset_can_keep_the_state(sandbox: Sandbox) -> None:
    post(sandbox)

    assert requests.post(sandbox.url + "/_reset", json={"keep_state": True}, timeout=60).ok
    assert sandbox.state() == GOOD_STATE
    assert sandbox.stats()["accepted"] == 0


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"fault": "503"}',
        b'{"fault": 503}',
        b'{"seed": "x"}',
        b'{"latency_ms": -1}',
        b'{"faults": ""}',
    ],
)
def test_a_reset_that_is_not_understood_changes_nothing(sandbox: Sandbox, body: bytes) -> None:
    post(sandbox)
    before = sandbox.stats()

    answer = requests.post(sandbox.url + "/_reset", data=body, timeout=60)

    assert (answer.status_code, answer.json()["status"]) == (400, "error")
    assert (sandbox.state(), sandbox.stats()) == (GOOD_STATE, before)


def test_a_port_can_be_chosen_and_is_free_again_afterwards() -> None:
    with running("demo", SECRET) as first:
        pass
    with running("other", SECRET, port=first.port, fault="503@1", seed=1) as second:
        assert second.url == f"http://127.0.0.1:{first.port}"
        assert post(second).status_code == 503


def start_process(*arguments: str) -> subprocess.Popen[str]:
    credentials = ["--port", "0", "--shop-id", "demo", "--shop-secret", SECRET]
    return subprocess.Popen(
        [sys.executable, "-m", "rees46_sync.sandbox", *credentials, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PLUGINS)},
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_says_where_it_listens_and_stops_without_a_word(number: signal.Signals) -> None:
    with start_process("--fault", "reset_after@x1,never@x1", "--seed", "1", "--latency-ms", "1") as process:
        try:
            assert process.stdout is not None
            name, url = process.stdout.readline().split()
            assert name == "sandbox:"
            for error, timeout in ((requests.ConnectionError, 60), (requests.ReadTimeout, PATIENCE_S)):
                with pytest.raises(error):
                    requests.post(url + PATH, data=GOOD, headers=JSON, timeout=timeout)
            assert requests.post(url + PATH, data=GOOD, headers=JSON, timeout=60).ok
            assert requests.get(url + "/_state", timeout=60).json() == GOOD_STATE

            process.send_signal(number)
            assert process.communicate(timeout=60) == ("", "")
            assert process.returncode == 0
        finally:
            process.kill()


@pytest.mark.timeout(120)
def test_the_process_explains_a_faulty_spec() -> None:
    with start_process("--fault", "503") as process:
        _, complaint = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "write 503@0.1 or 503@x3" in complaint
    assert SECRET not in complaint
