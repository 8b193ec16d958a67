"""Which of three things a response means: one table for both dialects."""

from __future__ import annotations

import json

import pytest

from rees46_sync.rees46.dialects import IMPORT_SYNC_ORDERS, SYNC_ORDERS, Dialect
from rees46_sync.rees46.responses import refusal_reason, speaks_of_shop
from tests.rees46.conftest import OVER_DIALECTS

ACCEPTED, REJECTED, UNKNOWN = "accepted", "rejected", "unknown"

# The body of a 200, and what it means in import_sync_orders and in sync_orders.
BODIES = [
    pytest.param(b"", ACCEPTED, UNKNOWN, id="empty"),
    pytest.param(b" \r\n", ACCEPTED, UNKNOWN, id="white-space"),
    pytest.param(b"\xef\xbb\xbf", ACCEPTED, UNKNOWN, id="byte-order-mark-alone"),
    pytest.param(b"OK", ACCEPTED, UNKNOWN, id="OK"),
    pytest.param(b"ok\n", ACCEPTED, UNKNOWN, id="ok-with-line-break"),
    pytest.param(b"\xef\xbb\xbfOK", ACCEPTED, UNKNOWN, id="OK-after-byte-order-mark"),
    pytest.param(b"{}", ACCEPTED, UNKNOWN, id="empty-object"),
    pytest.param(b'{"orders":2}', ACCEPTED, UNKNOWN, id="unknown-field"),
    pytest.param(b'{"success": true}', ACCEPTED, UNKNOWN, id="success-true"),
    pytest.param(b'{"success":"true"}', ACCEPTED, UNKNOWN, id="success-true-as-text"),
    pytest.param(b'{"status":"ok"}', ACCEPTED, UNKNOWN, id="status-ok"),
    pytest.param(b'{"status":true}', ACCEPTED, UNKNOWN, id="status-true"),
    pytest.param(b'{"status":200}', ACCEPTED, UNKNOWN, id="status-200"),
    pytest.param(b'{"status":"202"}', ACCEPTED, UNKNOWN, id="status-202-as-text"),
    pytest.param(b'{"result":"success"}', ACCEPTED, UNKNOWN, id="result-success"),
    pytest.param(b'{"code":0}', ACCEPTED, UNKNOWN, id="code-0"),
    pytest.param(b'{"code":200,"message":"Orders were queued"}', ACCEPTED, UNKNOWN, id="code-200-with-message"),
    pytest.param(b'{"payload":{"status":"success"}}', ACCEPTED, UNKNOWN, id="success-inside"),
    pytest.param(b'{"failed":[],"rejected":0}', ACCEPTED, UNKNOWN, id="none-failed"),
    pytest.param(b'{"status":"success"}', ACCEPTED, ACCEPTED, id="success"),
    pytest.param(b'{"status":"SUCCESS"}', ACCEPTED, ACCEPTED, id="success-in-capitals"),
    pytest.param(b'\xef\xbb\xbf\n{"status": "success", "payload": {}}\n', ACCEPTED, ACCEPTED, id="success-with-more"),
    pytest.param(b'{"status":"success","error":null,"errors":[]}', ACCEPTED, ACCEPTED, id="no-errors-listed"),
    pytest.param(b'{"status":"success","message":"Accepted"}', ACCEPTED, ACCEPTED, id="success-with-message"),
    pytest.param(b'{"status":"error","payload":{"message":"Shop not found"}}', REJECTED, REJECTED, id="error"),
    pytest.param(b'{"status":"ERROR"}', REJECTED, REJECTED, id="error-in-capitals"),
    pytest.param(b'{"status":"failed"}', REJECTED, REJECTED, id="failed"),
    pytest.param(b'{"status":"Fail"}', REJECTED, REJECTED, id="fail"),
    pytest.param(b'{"status":"failure"}', REJECTED, REJECTED, id="failure"),
    pytest.param(b'{"status":false}', REJECTED, REJECTED, id="status-false"),
    pytest.param(b'{"status":500}', REJECTED, REJECTED, id="status-500"),
    pytest.param(b'{"result":"error"}', REJECTED, REJECTED, id="result-error"),
    pytest.param(b'{"code":500}', REJECTED, REJECTED, id="code-500"),
    pytest.param(b'{"code":"404","message":"Shop not found"}', REJECTED, REJECTED, id="code-404-as-text"),
    pytest.param(b'{"success":false}', REJECTED, REJECTED, id="success-false"),
    pytest.param(b'{"success":"false"}', REJECTED, REJECTED, id="success-false-as-text"),
    pytest.param(b'{"error":"Shop not found"}', REJECTED, REJECTED, id="error-key"),
    pytest.param(b'{"errors":[{"id":"1"}]}', REJECTED, REJECTED, id="errors-list"),
    pytest.param(b'{"payload":{"errors":["one bad order"]}}', REJECTED, REJECTED, id="errors-inside"),
    pytest.param(b'{"message":"Shop not found"}', UNKNOWN, UNKNOWN, id="message-alone"),
    pytest.param(b'{"payload":{"message":"Shop not found"}}', UNKNOWN, UNKNOWN, id="message-inside-alone"),
    pytest.param(b'{"status":"partial"}', UNKNOWN, UNKNOWN, id="partial"),
    pytest.param(b'{"status":null}', UNKNOWN, UNKNOWN, id="status-null"),
    pytest.param(b'{"status":["success"]}', UNKNOWN, UNKNOWN, id="status-a-list"),
    pytest.param(b'{"status":0}', UNKNOWN, UNKNOWN, id="status-0"),
    pytest.param(b'{"code":7}', UNKNOWN, UNKNOWN, id="code-7"),
    pytest.param(b'{"status":"success","code":500}', UNKNOWN, UNKNOWN, id="success-and-code-500"),
    pytest.param(b'{"status":"success","success":false}', UNKNOWN, UNKNOWN, id="success-and-not-success"),
    pytest.param(b'{"status":"success","errors":["one bad order"]}', UNKNOWN, UNKNOWN, id="success-but-errors"),
    pytest.param(b'{"status":"success","failed":["A-1"]}', UNKNOWN, UNKNOWN, id="success-but-one-failed"),
    pytest.param(b'{"status":"success","payload":{"rejected":1}}', UNKNOWN, UNKNOWN, id="success-but-one-rejected"),
    pytest.param(b'{"status":"error","failed":["A-1"]}', UNKNOWN, UNKNOWN, id="error-and-one-failed"),
    pytest.param(b"<!doctype html><title>Sign in</title>", UNKNOWN, UNKNOWN, id="html"),
    pytest.param(b"<html>OK</html>", UNKNOWN, UNKNOWN, id="html-with-OK"),
    pytest.param(b"NOT OK", UNKNOWN, UNKNOWN, id="not-ok"),
    pytest.param(b'{"status":"suc', UNKNOWN, UNKNOWN, id="cut-off-json"),
    pytest.param(b'{"status":"error","payl', UNKNOWN, UNKNOWN, id="cut-off-error"),
    pytest.param(b'{"status":"success"}{"status":"error"}', UNKNOWN, UNKNOWN, id="two-documents"),
    pytest.param(b"[]", UNKNOWN, UNKNOWN, id="json-list"),
    pytest.param(b'[{"status":"success"}]', UNKNOWN, UNKNOWN, id="json-list-of-success"),
    pytest.param(b"200", UNKNOWN, UNKNOWN, id="json-number"),
    pytest.param(b'"OK"', UNKNOWN, UNKNOWN, id="json-string"),
    pytest.param(b"null", UNKNOWN, UNKNOWN, id="json-null"),
    pytest.param(b"true", UNKNOWN, UNKNOWN, id="json-true"),
    pytest.param(b"\xff\xfe\xfa", UNKNOWN, UNKNOWN, id="not-utf-8"),
    pytest.param('{"status":"success"}'.encode("utf-16"), UNKNOWN, UNKNOWN, id="utf-16"),
    pytest.param(b"[" * 100_000, UNKNOWN, UNKNOWN, id="bottomless-json"),
    pytest.param(b'{"a":' + b"9" * 5000 + b"}", UNKNOWN, UNKNOWN, id="endless-number"),
]


@pytest.mark.parametrize(("body", "in_import", "in_sync"), BODIES)
def test_a_200_is_accepted_only_if_whatever_it_says_is_a_yes(body: bytes, in_import: str, in_sync: str) -> None:
    assert IMPORT_SYNC_ORDERS.read_response(200, body).outcome == in_import
    assert SYNC_ORDERS.read_response(200, body).outcome == in_sync


@pytest.mark.parametrize("http_status", [201, 202, 206, 299])
@pytest.mark.parametrize(("body", "in_import", "in_sync"), BODIES)
def test_another_2xx_is_no_acceptance_if_its_dialect_documents_200_alone(
    http_status: int, body: bytes, in_import: str, in_sync: str
) -> None:
    assert IMPORT_SYNC_ORDERS.read_response(http_status, body).outcome == in_import.replace(ACCEPTED, UNKNOWN)
    assert SYNC_ORDERS.read_response(http_status, body).outcome == in_sync


@pytest.mark.parametrize(
    ("dialect", "outcome"),
    [
        pytest.param(IMPORT_SYNC_ORDERS, ACCEPTED, id=IMPORT_SYNC_ORDERS.name),
        pytest.param(SYNC_ORDERS, UNKNOWN, id=SYNC_ORDERS.name),
    ],
)
def test_an_empty_204_is_a_yes_of_the_import_endpoints(dialect: Dialect, outcome: str) -> None:
    assert dialect.read_response(204, b"").outcome == outcome


REASONS = [
    pytest.param({"payload": {"message": "Shop not found"}}, "Shop not found", id="payload"),
    pytest.param({"message": "Магазин не найден"}, "Магазин не найден", id="message"),
    pytest.param({"error": "Unknown shop"}, "Unknown shop", id="error"),
    pytest.param({"error": {"message": "Unknown shop"}}, "Unknown shop", id="message-of-error"),
    pytest.param({"message": "", "error": "Unknown shop"}, "Unknown shop", id="empty-message"),
    pytest.param({}, "", id="none"),
    pytest.param({"payload": "text"}, "", id="payload-no-object"),
    pytest.param({"message": 7}, "", id="no-text"),
    pytest.param({"message": "x" * 200}, "x" * 200, id="200-characters"),
    pytest.param({"message": "x" * 201}, "", id="201-characters-may-quote-the-request"),
    pytest.param({"message": "line\nbreak"}, "", id="line-break-would-forge-a-log-line"),
]


@pytest.mark.parametrize(("fields", "reason"), REASONS)
@OVER_DIALECTS
def test_the_reason_of_a_rejection_is_rees46s_own_short_message(
    dialect: Dialect, fields: dict[str, object], reason: str
) -> None:
    body = json.dumps({"status": "error"} | fields).encode()

    assert dialect.read_response(200, body) == (REJECTED, reason)


@pytest.mark.parametrize(("fields", "reason"), REASONS)
def test_the_reason_of_a_refusal_is_read_from_its_body(fields: dict[str, object], reason: str) -> None:
    assert refusal_reason(b"\xef\xbb\xbf" + json.dumps(fields).encode()) == reason


@OVER_DIALECTS
def test_what_an_unclear_answer_says_is_shown_too(dialect: Dialect) -> None:
    assert dialect.read_response(200, b'{"message":"Shop not found"}') == (UNKNOWN, "Shop not found")


@pytest.mark.parametrize(
    ("reason", "is_about_shop"),
    [
        ("Shop not found", True),
        ("Wrong secret key", True),
        ("Unauthorized", True),
        ("Order tracking is not enabled", True),
        ("Магазин не найден", True),
        ("orders[3]: id is blank", False),
        ("", False),
    ],
)
def test_a_message_about_the_shop_is_told_from_one_about_orders(reason: str, is_about_shop: bool) -> None:
    assert speaks_of_shop(reason) is is_about_shop
