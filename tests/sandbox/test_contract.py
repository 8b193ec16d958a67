"""What keeps the contract of REES46, what breaks it, and what only our own strictness refuses."""

from __future__ import annotations

import json

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from rees46_sync.sandbox.contract import ENDPOINTS, REFUSALS, VIOLATIONS, ContractViolationError, Shop, check
from rees46_sync.sandbox.server import Sandbox
from tests.sandbox.conftest import (
    GOOD,
    GOOD_STATE,
    JSON,
    PATH,
    PRESENT_DAY,
    SECRET,
    body_of,
    order,
    outcomes,
    post,
    succeeded,
)


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
def test_the_limits_of_the_contract_are_allowed(sandbox: Sandbox, path: str, body: bytes) -> None:
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
    pytest.param("not_json", GOOD.replace(b'"1"', b'"\xe9"'), id="latin-1"),
    pytest.param("not_json", b"\xef\xbb\xbf" + GOOD, id="byte-order-mark"),
    pytest.param("not_json", GOOD.decode().encode("utf-16"), id="utf-16"),
    pytest.param("not_json", GOOD.replace(b'"1"', b'"a\nb"'), id="raw-line-break-in-id"),
    pytest.param("not_json", b"[" * 100_000, id="bottomless"),
    pytest.param("wrong_shape", b"null", id="null"),
    pytest.param("wrong_shape", b"[" + GOOD + b"]", id="array"),
    pytest.param("wrong_shape", GOOD.replace(b'"orders"', b'"order"'), id="orders-missing"),
    pytest.param("wrong_shape", body_of({"0": order()}), id="orders-an-object"),
    pytest.param("wrong_shape", body_of(None), id="orders-null"),
    pytest.param("empty_orders", body_of([]), id="no-orders"),
    pytest.param("too_many_orders", body_of([order(f"{n}") for n in range(1001)]), id="1001-orders"),
    pytest.param("wrong_order", body_of([order(), "2"]), id="order-a-string"),
    pytest.param("wrong_order", body_of([{"id": "1"}]), id="order-without-status"),
    pytest.param("id_not_text", body_of([order(True)]), id="id-true"),
    pytest.param("id_not_text", body_of([order(1.0)]), id="id-1.0"),
    pytest.param("id_not_text", body_of([order(None)]), id="id-null"),
    pytest.param("id_not_text", body_of([order("\ud800")]), id="id-half-a-character"),
    pytest.param("status_not_integer", body_of([order(status=True)]), id="status-true"),
    pytest.param("status_not_integer", body_of([order(status=1.0)]), id="status-1.0"),
    pytest.param("status_not_integer", body_of([order(status="1")]), id="status-a-string"),
    pytest.param("status_not_integer", body_of([order(status=None)]), id="status-null"),
    pytest.param("status_out_of_range", body_of([order(status=3)]), id="status-3"),
    pytest.param("status_out_of_range", body_of([order(status=-1)]), id="status-minus-1"),
]
"""Bodies that break REES46's documents."""


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
    pytest.param("status_not_text", body_of([order(status=True)]), id="status-true"),
    pytest.param("status_not_text", body_of([order(status=1.0)]), id="status-1.0"),
    pytest.param("status_not_text", body_of([order(status=None)]), id="status-null"),
    pytest.param("status_not_text", body_of([order(status=["new"])]), id="status-a-list"),
    pytest.param("status_not_text", body_of([order(status="\ud800")]), id="status-half-a-character"),
]


EACH_BAD_BODY = [
    pytest.param(path, *row.values, id=f"{path[1:]}-{row.id}")
    for path, rows in ((PATH, BAD_BODIES), (PRESENT_DAY, BAD_TEXT_BODIES))
    for row in rows
]


OURS = [
    pytest.param(
        PATH, "repeated_key", GOOD.replace(b'"id"', b'"id": "0", "id"', 1), GOOD_STATE, id="repeated-key-in-order"
    ),
    pytest.param(PATH, "repeated_key", GOOD.replace(b"{", b'{"orders": [], ', 1), GOOD_STATE, id="repeated-key"),
    pytest.param(PATH, "unknown_key", body_of([order()], dry_run=True), {"1": 1}, id="unknown-key"),
    pytest.param(PATH, "unknown_key", body_of([order() | {"value": 9}]), {"1": 1}, id="unknown-key-in-order"),
    pytest.param(PATH, "id_integer", body_of([order(1)]), {"1": 1}, id="id-an-integer"),
    pytest.param(PATH, "id_blank", body_of([order("")]), {"": 1}, id="id-empty"),
    pytest.param(PATH, "id_blank", body_of([order(" \t\u00a0")]), {" \t\u00a0": 1}, id="id-white-space"),
    pytest.param(PATH, "id_too_long", body_of([order("x" * 256)]), {"x" * 256: 1}, id="id-of-256-characters"),
    pytest.param(PATH, "id_control_character", body_of([order("1\n")]), {"1\n": 1}, id="id-with-line-break"),
    pytest.param(PATH, "id_control_character", body_of([order("1\x00")]), {"1\x00": 1}, id="id-with-nul"),
    pytest.param(PATH, "id_control_character", body_of([order("1\x85")]), {"1\x85": 1}, id="id-with-c1-control"),
    pytest.param(
        PATH, "duplicate_id", body_of([order("1", 2), order("2"), order("1", 0)]), {"1": 0, "2": 1}, id="id-twice"
    ),
    pytest.param(PRESENT_DAY, "duplicate_id", body_of([order("1", "a"), order("1", "b")]), {"1": "b"}, id="text-twice"),
    pytest.param(PRESENT_DAY, "id_integer", body_of([order(7, "new")]), {"7": "new"}, id="id-an-integer-beside-text"),
    pytest.param(PRESENT_DAY, "status_integer", body_of([order(status=2)]), {"1": 2}, id="status-an-integer"),
    pytest.param(PRESENT_DAY, "status_blank", body_of([order(status="")]), {"1": ""}, id="status-empty"),
    pytest.param(PRESENT_DAY, "status_blank", body_of([order(status=" \t")]), {"1": " \t"}, id="status-white-space"),
    pytest.param(
        PRESENT_DAY, "status_too_long", body_of([order(status="x" * 256)]), {"1": "x" * 256}, id="status-of-256"
    ),
]
"""Bodies that only our own strictness refuses, and the state that they set in a lenient sandbox."""


EACH_STRICT_VIOLATION = [
    *(pytest.param(*row.values, True, id=row.id) for row in EACH_BAD_BODY),
    *(pytest.param(*row.values[:3], False, id=row.id) for row in OURS),
]


@pytest.mark.parametrize(("path", "kind", "body", "is_documented"), EACH_STRICT_VIOLATION)
def test_a_violation_is_refused_counted_and_changes_nothing(
    sandbox: Sandbox, path: str, kind: str, body: bytes, is_documented: bool
) -> None:
    post(sandbox, body_of([order("kept", 2)]))

    answer = post(sandbox, body, path=path)

    assert answer.status_code == 400
    assert answer.json()["status"] == "error"
    message = answer.json()["payload"]["message"]
    assert VIOLATIONS[kind].message in message
    assert sandbox.state() == {"kept": 2}
    assert sandbox.stats() == {
        "requests": 2,
        "orders": 1,
        "accepted": 1,
        "violations": {kind: 1},
        "faults": {},
    }
    assert outcomes(sandbox) == ["accepted", kind]
    # REES46 would mail what its documents forbid; what only we forbid, it may take.
    assert [mail["text"] for mail in sandbox.mails()] == ([message] if is_documented else [])


@pytest.mark.parametrize(("path", "kind", "body", "state"), OURS)
def test_a_lenient_sandbox_accepts_what_only_we_refuse(
    sandbox: Sandbox, path: str, kind: str, body: bytes, state: dict[str, object]
) -> None:
    sandbox.reset(lenient=True)

    assert succeeded(path, post(sandbox, body, path=path))
    assert requests.get(sandbox.url + "/_state", timeout=60).json() == state
    assert (sandbox.stats()["violations"], sandbox.mails()) == ({}, []), kind


@pytest.mark.parametrize(("path", "kind", "body"), EACH_BAD_BODY)
def test_a_lenient_sandbox_still_refuses_what_the_documents_forbid(
    sandbox: Sandbox, path: str, kind: str, body: bytes
) -> None:
    sandbox.reset(lenient=True)

    assert post(sandbox, body, path=path).status_code == 400
    assert (sandbox.stats()["violations"], sandbox.state(), len(sandbox.mails())) == ({kind: 1}, {}, 1)


def test_a_lenient_sandbox_finds_a_wrong_status_behind_an_integer_id(sandbox: Sandbox) -> None:
    sandbox.reset(lenient=True)

    assert post(sandbox, body_of([order(1, 3)])).status_code == 400
    assert sandbox.stats()["violations"] == {"status_out_of_range": 1}


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
def test_a_request_to_a_wrong_path_is_a_violation_but_no_request_to_the_api(
    sandbox: Sandbox, method: str, path: str, http_status: int, kind: str
) -> None:
    answer = requests.request(method, sandbox.url + path, data=GOOD, headers=JSON, timeout=60)

    assert (answer.status_code, answer.json()["status"]) == (http_status, "error")
    assert sandbox.stats()["violations"] == {kind: 1}
    assert sandbox.stats()["requests"] == 0
    assert outcomes(sandbox) == [kind]
    assert sandbox.state() == {}


def test_every_kind_of_violation_is_tested_here_as_documented_or_as_ours() -> None:
    documented = {kind for kind, violation in VIOLATIONS.items() if violation.is_documented}

    assert {row.values[1] for row in EACH_BAD_BODY} | {"wrong_content_type"} == documented
    assert {row.values[1] for row in OURS} == VIOLATIONS.keys() - documented


@pytest.mark.parametrize("path", ENDPOINTS)
@settings(max_examples=50, database=None, deadline=None)
@given(st.binary() | st.recursive(st.integers() | st.text(), st.lists).map(json.dumps).map(str.encode))
def test_for_any_body_the_check_ends_in_a_named_violation(path: str, body: bytes) -> None:
    with pytest.raises(ContractViolationError) as caught:
        check(body, "application/json", ENDPOINTS[path], Shop("demo", SECRET))

    assert caught.value.kind in VIOLATIONS.keys() | REFUSALS.keys()
