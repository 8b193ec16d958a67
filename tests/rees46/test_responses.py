"""Which of three things a response means."""

from __future__ import annotations

import json

import pytest

from rees46_sync.rees46.dialects import IMPORT_SYNC_ORDERS, SYNC_ORDERS, Dialect
from tests.rees46.conftest import OVER_DIALECTS

ACCEPTED_BY_200_ALONE = [
    pytest.param(b"", id="empty"),
    pytest.param(b" \r\n", id="white-space"),
    pytest.param(b"OK", id="OK"),
    pytest.param(b"ok\n", id="ok-with-line-break"),
    pytest.param(b'{"status":"success"}', id="success"),
    pytest.param(b'\n{"status": "success", "payload": {}}\n', id="success-with-more"),
    pytest.param(b"{}", id="empty-object"),
    pytest.param(b'{"success": true}', id="success-true"),
    pytest.param(b'{"status":"success","error":null,"errors":[]}', id="no-errors-listed"),
]


REJECTED = [
    pytest.param(b'{"status":"error","payload":{"message":"Shop not found"}}', id="error"),
    pytest.param(b'{"status":"ERROR"}', id="error-in-capitals"),
    pytest.param(b'{"status":"failed"}', id="failed"),
    pytest.param(b'{"status":"Fail"}', id="fail"),
    pytest.param(b'{"status":"failure"}', id="failure"),
    pytest.param(b'{"error":"Shop not found"}', id="error-key"),
    pytest.param(b'{"errors":[{"id":"1"}]}', id="errors-list"),
    pytest.param(b'{"success":false}', id="success-false"),
    pytest.param(b'{"status":"success","errors":["one bad order"]}', id="success-but-errors"),
]


UNKNOWN = [
    pytest.param(b"<!doctype html><title>Sign in</title>", id="html"),
    pytest.param(b"<html>OK</html>", id="html-with-OK"),
    pytest.param(b"NOT OK", id="not-ok"),
    pytest.param(b'{"status":"suc', id="cut-off-json"),
    pytest.param(b'{"status":"error","payl', id="cut-off-error"),
    pytest.param(b'{"status":"success"}{"status":"error"}', id="two-documents"),
    pytest.param(b"[]", id="json-list"),
    pytest.param(b'[{"status":"success"}]', id="json-list-of-success"),
    pytest.param(b"200", id="json-number"),
    pytest.param(b'"OK"', id="json-string"),
    pytest.param(b"null", id="json-null"),
    pytest.param(b"true", id="json-true"),
    pytest.param(b"\xff\xfe\xfa", id="not-utf-8"),
    pytest.param('{"status":"success"}'.encode("utf-16"), id="utf-16"),
    pytest.param(b"[" * 100_000, id="bottomless-json"),
    pytest.param(b'{"a":' + b"9" * 5000 + b"}", id="endless-number"),
]


@pytest.mark.parametrize("body", ACCEPTED_BY_200_ALONE)
def test_a_200_that_reports_no_error_is_accepted(body: bytes) -> None:
    assert IMPORT_SYNC_ORDERS.read_response(200, body) == ("accepted", "")


@pytest.mark.parametrize("http_status", [201, 202, 204, 206, 299])
@pytest.mark.parametrize("body", ACCEPTED_BY_200_ALONE)
def test_another_2xx_is_not_the_documented_sign_of_acceptance(http_status: int, body: bytes) -> None:
    assert IMPORT_SYNC_ORDERS.read_response(http_status, body) == ("unknown", "")


@pytest.mark.parametrize("http_status", [200, 201, 204, 299])
@pytest.mark.parametrize("body", REJECTED)
def test_an_answer_that_reports_an_error_is_rejected(http_status: int, body: bytes) -> None:
    assert IMPORT_SYNC_ORDERS.read_response(http_status, body)[0] == "rejected"


@pytest.mark.parametrize("http_status", [200, 201, 299])
@pytest.mark.parametrize("body", UNKNOWN)
@OVER_DIALECTS
def test_a_response_that_says_neither_yes_nor_no_is_unknown(dialect: Dialect, http_status: int, body: bytes) -> None:
    assert dialect.read_response(http_status, body) == ("unknown", "")


SAYS_SUCCESS = {"success", "success-with-more", "no-errors-listed"}


@pytest.mark.parametrize("http_status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("body", [row for row in ACCEPTED_BY_200_ALONE if row.id in SAYS_SUCCESS])
def test_in_the_present_day_dialect_a_success_is_accepted(http_status: int, body: bytes) -> None:
    assert SYNC_ORDERS.read_response(http_status, body) == ("accepted", "")


@pytest.mark.parametrize("http_status", [200, 201, 204, 299])
def test_in_the_present_day_dialect_an_error_is_rejected_whatever_the_2xx(http_status: int) -> None:
    body = b'{"status":"error","payload":{"message":"Shop not found"}}'

    assert SYNC_ORDERS.read_response(http_status, body) == ("rejected", "Shop not found")


@pytest.mark.parametrize("http_status", [200, 201, 204, 299])
@pytest.mark.parametrize(
    "body",
    [
        *(row for row in ACCEPTED_BY_200_ALONE if row.id not in SAYS_SUCCESS),
        *(row for row in REJECTED if row.id != "error"),
        pytest.param(b'{"status":"SUCCESS"}', id="success-in-capitals"),
        pytest.param(b'{"status":"ok"}', id="status-ok"),
        pytest.param(b'{"status":true}', id="status-true"),
        pytest.param(b'{"status":["success"]}', id="status-a-list"),
        pytest.param(b'{"payload":{"status":"success"}}', id="success-inside"),
    ],
)
def test_in_the_present_day_dialect_nothing_but_its_two_answers_is_understood(http_status: int, body: bytes) -> None:
    assert SYNC_ORDERS.read_response(http_status, body) == ("unknown", "")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param({"status": "error", "payload": {"message": "Shop not found"}}, "Shop not found", id="payload"),
        pytest.param({"status": "error", "message": "Магазин не найден"}, "Магазин не найден", id="message"),
        pytest.param({"status": "error"}, "", id="none"),
        pytest.param({"status": "error", "payload": "text"}, "", id="payload-no-object"),
        pytest.param({"status": "error", "message": 7}, "", id="no-text"),
        pytest.param({"status": "error", "message": "x" * 100}, "x" * 100, id="100-characters"),
        pytest.param({"status": "error", "message": "x" * 101}, "", id="101-characters-may-quote-the-request"),
        pytest.param({"status": "error", "message": "line\nbreak"}, "", id="line-break-would-forge-a-log-line"),
    ],
)
@OVER_DIALECTS
def test_the_reason_of_a_rejection_is_rees46s_own_short_message(
    dialect: Dialect, body: dict[str, object], reason: str
) -> None:
    assert dialect.read_response(200, json.dumps(body).encode()) == ("rejected", reason)
