"""What may be posted to REES46, byte by byte, and which of three things an answer means."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import IntEnum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rees46_sync.payload import IMPORT_SYNC_ORDERS, read_answer, request_body

SECRET = "the-secret-9f3b7c"


class Status(IntEnum):
    COMPLETED = 1


class TextOfAnotherType(str):
    __slots__ = ()


def body_of(orders: list[tuple[object, object]]) -> bytes:
    return request_body("shop-key", SECRET, orders, IMPORT_SYNC_ORDERS)  # type: ignore[arg-type]


def numbered(count: int) -> list[tuple[object, object]]:
    return [(str(number), number % 3) for number in range(count)]


@pytest.mark.parametrize(
    ("orders", "sent"),
    [
        pytest.param([("msk2", 1), ("IDDQD", 0)], '{"id":"msk2","status":1},{"id":"IDDQD","status":0}', id="documents"),
        pytest.param([("007", 1), ("7", 2)], '{"id":"007","status":1},{"id":"7","status":2}', id="leading-zeros"),
        pytest.param([("заказ-🎁", 1)], '{"id":"заказ-🎁","status":1}', id="cyrillic-and-emoji"),
        pytest.param([('a"b\\c/d', 1)], r'{"id":"a\"b\\c/d","status":1}', id="quotes-and-backslashes"),
        pytest.param([(" 1 ", 0), ("1", 1)], '{"id":" 1 ","status":0},{"id":"1","status":1}', id="spaces-count"),
        pytest.param([("a", 0), ("A", 1)], '{"id":"a","status":0},{"id":"A","status":1}', id="case-counts"),
    ],
)
def test_the_body_is_exactly_the_documented_json(orders: list[tuple[object, object]], sent: str) -> None:
    expected = f'{{"shop_id":"shop-key","shop_secret":"{SECRET}","orders":[{sent}]}}'

    assert body_of(orders).decode() == expected


@pytest.mark.parametrize("count", [1, 999, 1000])
def test_as_many_orders_as_the_document_allows_are_taken(count: int) -> None:
    assert len(json.loads(body_of(numbered(count)))["orders"]) == count


@pytest.mark.parametrize(
    ("orders", "fault"),
    [
        pytest.param([], "0 orders in a request; import_sync_orders takes 1 to 1000", id="no-orders"),
        pytest.param(numbered(1001), "1001 orders in a request", id="1001-orders"),
        pytest.param([("", 1)], "id is str or blank", id="id-empty"),
        pytest.param([("1", 1), (" \t\n", 1)], "id is str or blank", id="id-white-space"),
        pytest.param([("\u00a0", 1)], "id is str or blank", id="id-no-break-space"),
        pytest.param([(7, 1)], "id is int", id="id-a-number"),
        pytest.param([(7.0, 1)], "id is float", id="id-a-float"),
        pytest.param([(None, 1)], "id is NoneType", id="id-null"),
        pytest.param([(b"7", 1)], "id is bytes", id="id-bytes"),
        pytest.param([(TextOfAnotherType("7"), 1)], "id is TextOfAnotherType", id="id-a-subclass-of-text"),
        pytest.param([("1", True)], "status is True", id="status-true"),
        pytest.param([("1", False)], "status is False", id="status-false"),
        pytest.param([("1", 1.0)], "status is 1.0", id="status-a-float"),
        pytest.param([("1", float("nan"))], "status is nan", id="status-nan"),
        pytest.param([("1", "1")], "status is '1'", id="status-a-text"),
        pytest.param([("1", None)], "status is None", id="status-null"),
        pytest.param([("1", Decimal(1))], "status is Decimal", id="status-a-decimal"),
        pytest.param([("1", np.int64(1))], "status is np.int64", id="status-a-numpy-integer"),
        pytest.param([("1", Status.COMPLETED)], "status is <Status.COMPLETED", id="status-an-enum"),
        pytest.param([("1", 3)], "status is 3", id="status-3"),
        pytest.param([("1", -1)], "status is -1", id="status-minus-1"),
        pytest.param([("1", 0), ("2", 1), ("1", 0)], "an order stands twice", id="order-twice"),
        pytest.param([("1", 0), ("1", 2)], "an order stands twice", id="order-twice-in-two-statuses"),
    ],
)
def test_what_rees46_would_answer_with_an_error_mail_is_refused(
    orders: list[tuple[object, object]], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        body_of(orders)


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param([("order-4711", 7)], id="bad-status"),
        pytest.param([("order-4711", 1), ("order-4711", 1)], id="twice"),
        pytest.param([("order-4711\ud800", 1)], id="id-with-half-a-character"),
        pytest.param([(f"order-4711-{number}", 1) for number in range(1001)], id="too-many"),
    ],
)
def test_a_refusal_names_neither_an_order_nor_the_secret(orders: list[tuple[object, object]]) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each refusal has its own words
        body_of(orders)

    assert "4711" not in f"{caught.value}{caught.value!r}"
    assert SECRET not in f"{caught.value}{caught.value!r}"


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@settings(max_examples=50, database=None, deadline=None)
@given(st.dictionaries(IDS, st.sampled_from([0, 1, 2]), min_size=1, max_size=50))
def test_whatever_the_ids_are_rees46_reads_the_same_orders(orders: dict[str, int]) -> None:
    read = json.loads(body_of(list(orders.items())))

    assert read.keys() == {"shop_id", "shop_secret", "orders"}
    assert read["orders"] == [{"id": order_id, "status": status} for order_id, status in orders.items()]


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
    assert read_answer(200, body) == ("accepted", "")


@pytest.mark.parametrize("http_status", [201, 202, 204, 206, 299])
@pytest.mark.parametrize("body", ACCEPTED_BY_200_ALONE)
def test_another_2xx_is_not_the_documented_sign_of_acceptance(http_status: int, body: bytes) -> None:
    assert read_answer(http_status, body) == ("unknown", "")


@pytest.mark.parametrize("http_status", [200, 201, 204, 299])
@pytest.mark.parametrize("body", REJECTED)
def test_an_answer_that_reports_an_error_is_rejected(http_status: int, body: bytes) -> None:
    assert read_answer(http_status, body)[0] == "rejected"


@pytest.mark.parametrize("http_status", [200, 201, 299])
@pytest.mark.parametrize("body", UNKNOWN)
def test_an_answer_that_says_neither_yes_nor_no_is_unknown(http_status: int, body: bytes) -> None:
    assert read_answer(http_status, body) == ("unknown", "")


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
def test_the_reason_of_a_rejection_is_rees46s_own_short_message(body: dict[str, object], reason: str) -> None:
    assert read_answer(200, json.dumps(body).encode()) == ("rejected", reason)
