"""What may be posted to REES46, byte by byte, and which of three things an answer means."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import IntEnum

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rees46_sync.rees46.payload import (
    DIALECTS,
    IMPORT_SYNC_ORDERS,
    SYNC_ORDERS,
    Dialect,
    columns_of,
    request_body,
    statuses_of,
)

SECRET = "the-secret-9f3b7c"


class Status(IntEnum):
    COMPLETED = 1


class TextOfAnotherType(str):
    __slots__ = ()


STATUSES: dict[str, tuple[object, ...]] = {
    IMPORT_SYNC_ORDERS.name: (0, 1, 2),
    SYNC_ORDERS.name: ("new", "delivered", "отменён: «передумал» 🎁"),
}
"""Good statuses of each dialect: tests that are about something else name one by its number."""

OVER_BOTH = pytest.mark.parametrize("dialect", [pytest.param(one, id=one.name) for one in DIALECTS.values()])


def body_of(orders: list[tuple[object, object]], dialect: Dialect) -> bytes:
    return request_body("shop-key", SECRET, orders, dialect)  # type: ignore[arg-type]


def in_words_of(dialect: Dialect, orders: list[tuple[object, int]]) -> list[tuple[object, object]]:
    return [(order_id, STATUSES[dialect.name][number]) for order_id, number in orders]


def numbered(count: int) -> list[tuple[object, int]]:
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
@OVER_BOTH
def test_the_body_is_exactly_the_documented_json(dialect: Dialect, orders: list[tuple[object, int]], sent: str) -> None:
    for number, status in enumerate(STATUSES[dialect.name]):
        in_json = json.dumps(status, ensure_ascii=False)
        sent = sent.replace(f'"status":{number}', f'"status":{in_json}')

    body = body_of(in_words_of(dialect, orders), dialect)

    assert body.decode() == f'{{"shop_id":"shop-key","shop_secret":"{SECRET}","orders":[{sent}]}}'


@pytest.mark.parametrize(
    ("dialect", "host", "path", "most"),
    [
        pytest.param(IMPORT_SYNC_ORDERS, "api.rees46.com", "/import/sync_orders", 1000, id="import_sync_orders"),
        pytest.param(SYNC_ORDERS, "api.rees46.ru", "/sync/orders", 5000, id="sync_orders"),
    ],
)
def test_as_many_orders_as_the_document_allows_are_taken_and_no_more(
    dialect: Dialect, host: str, path: str, most: int
) -> None:
    assert (dialect.host, dialect.path, dialect.max_orders) == (host, path, most)
    for count in (1, most - 1, most):
        assert len(json.loads(body_of(in_words_of(dialect, numbered(count)), dialect))["orders"]) == count
    for count in (0, most + 1):
        with pytest.raises(ValueError, match=f"^{count} orders in a request; {dialect.name} takes 1 to {most}$"):
            body_of(in_words_of(dialect, numbered(count)), dialect)


BAD_IDS = [
    pytest.param([("", 1)], "id is str or blank", id="id-empty"),
    pytest.param([("1", 1), (" \t\n", 1)], "id is str or blank", id="id-white-space"),
    pytest.param([("\u00a0", 1)], "id is str or blank", id="id-no-break-space"),
    pytest.param([(7, 1)], "id is int", id="id-a-number"),
    pytest.param([(7.0, 1)], "id is float", id="id-a-float"),
    pytest.param([(None, 1)], "id is NoneType", id="id-null"),
    pytest.param([(b"7", 1)], "id is bytes", id="id-bytes"),
    pytest.param([(TextOfAnotherType("7"), 1)], "id is TextOfAnotherType", id="id-a-subclass-of-text"),
    pytest.param([("1", 0), ("2", 1), ("1", 0)], "an order stands twice", id="order-twice"),
    pytest.param([("1", 0), ("1", 2)], "an order stands twice", id="order-twice-in-two-statuses"),
]
BAD_STATUSES = {
    IMPORT_SYNC_ORDERS: [
        pytest.param(True, "status is True", id="true"),
        pytest.param(False, "status is False", id="false"),
        pytest.param(1.0, "status is 1.0", id="a-float"),
        pytest.param(float("nan"), "status is nan", id="nan"),
        pytest.param("1", "status is '1'", id="a-text"),
        pytest.param("new", "status is 'new'", id="the-shops-own-text"),
        pytest.param(None, "status is None", id="null"),
        pytest.param(Decimal(1), "status is Decimal", id="a-decimal"),
        pytest.param(np.int64(1), "status is np.int64", id="a-numpy-integer"),
        pytest.param(Status.COMPLETED, "status is <Status.COMPLETED", id="an-enum"),
        pytest.param(3, "status is 3", id="3"),
        pytest.param(-1, "status is -1", id="minus-1"),
    ],
    SYNC_ORDERS: [
        pytest.param(1, "status is int", id="a-code"),
        pytest.param(True, "status is bool", id="true"),
        pytest.param(None, "status is NoneType", id="null"),
        pytest.param(float("nan"), "status is float", id="nan"),
        pytest.param(b"new", "status is bytes", id="bytes"),
        pytest.param(TextOfAnotherType("new"), "status is TextOfAnotherType", id="a-subclass-of-text"),
        pytest.param("", "status is str or blank", id="empty"),
        pytest.param(" \u00a0\t", "status is str or blank", id="white-space"),
        pytest.param("new\ud800", "is not valid Unicode", id="half-a-character"),
    ],
}


@pytest.mark.parametrize(
    ("dialect", "orders", "fault"),
    [
        *(
            pytest.param(one, in_words_of(one, row.values[0]), row.values[1], id=f"{one.name}-{row.id}")  # type: ignore[arg-type]
            for one in DIALECTS.values()
            for row in BAD_IDS
        ),
        *(
            pytest.param(one, [("1", STATUSES[one.name][0]), ("2", status)], fault, id=f"{one.name}-status-{row.id}")
            for one, rows in BAD_STATUSES.items()
            for row in rows
            for status, fault in [row.values]
        ),
        pytest.param(IMPORT_SYNC_ORDERS, [], "0 orders in a request", id="no-orders"),
    ],
)
def test_what_rees46_would_answer_with_an_error_mail_is_refused(
    dialect: Dialect, orders: list[tuple[object, object]], fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        body_of(orders, dialect)


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param([("order-4711", None)], id="bad-status"),
        pytest.param([("order-4711", 1), ("order-4711", 1)], id="twice"),
        pytest.param([("order-4711\ud800", 1)], id="id-with-half-a-character"),
        pytest.param([(f"order-4711-{number}", 1) for number in range(5001)], id="too-many"),
    ],
)
@OVER_BOTH
def test_a_refusal_names_neither_an_order_nor_the_secret(
    dialect: Dialect, orders: list[tuple[object, int | None]]
) -> None:
    statuses = STATUSES[dialect.name]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each refusal has its own words
        body_of([(order_id, None if number is None else statuses[number]) for order_id, number in orders], dialect)

    assert "4711" not in f"{caught.value}{caught.value!r}"
    assert SECRET not in f"{caught.value}{caught.value!r}"


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@OVER_BOTH
@settings(max_examples=50, database=None, deadline=None)
@given(st.dictionaries(IDS, st.sampled_from([0, 1, 2]), min_size=1, max_size=50))
def test_whatever_the_ids_are_rees46_reads_the_same_orders(dialect: Dialect, orders: dict[str, int]) -> None:
    told = in_words_of(dialect, list(orders.items()))

    read = json.loads(body_of(told, dialect))

    assert read.keys() == {"shop_id", "shop_secret", "orders"}
    assert read["orders"] == [{"id": order_id, "status": status} for order_id, status in told]


@pytest.mark.parametrize(
    ("status_text", "columns", "sent"),
    [
        pytest.param(None, ["order_id", "code", "updated_at"], [1, 0, 2], id="codes"),
        pytest.param("own", ["order_id", "code", "updated_at", "status"], ["доставлен", "new", "fraud"], id="own"),
        pytest.param("mapped", ["order_id", "code", "updated_at"], ["completed", "created", "cancelled"], id="mapped"),
    ],
)
def test_a_status_is_sent_as_code_or_own_text_or_name_and_no_more_is_read_than_that_needs(
    status_text: str | None, columns: list[str], sent: list[object]
) -> None:
    orders = pd.DataFrame({"order_id": ["1", "2", "3"], "code": [1, 0, 2], "status": ["доставлен", "new", "fraud"]})

    assert columns_of(status_text) == columns
    assert statuses_of(orders[orders.columns.intersection(columns)], status_text) == sent
    assert {type(status) for status in statuses_of(orders, status_text)} <= {int, str}


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
    assert IMPORT_SYNC_ORDERS.read_answer(200, body) == ("accepted", "")


@pytest.mark.parametrize("http_status", [201, 202, 204, 206, 299])
@pytest.mark.parametrize("body", ACCEPTED_BY_200_ALONE)
def test_another_2xx_is_not_the_documented_sign_of_acceptance(http_status: int, body: bytes) -> None:
    assert IMPORT_SYNC_ORDERS.read_answer(http_status, body) == ("unknown", "")


@pytest.mark.parametrize("http_status", [200, 201, 204, 299])
@pytest.mark.parametrize("body", REJECTED)
def test_an_answer_that_reports_an_error_is_rejected(http_status: int, body: bytes) -> None:
    assert IMPORT_SYNC_ORDERS.read_answer(http_status, body)[0] == "rejected"


@pytest.mark.parametrize("http_status", [200, 201, 299])
@pytest.mark.parametrize("body", UNKNOWN)
@OVER_BOTH
def test_an_answer_that_says_neither_yes_nor_no_is_unknown(dialect: Dialect, http_status: int, body: bytes) -> None:
    assert dialect.read_answer(http_status, body) == ("unknown", "")


SAYS_SUCCESS = {"success", "success-with-more", "no-errors-listed"}


@pytest.mark.parametrize("http_status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("body", [row for row in ACCEPTED_BY_200_ALONE if row.id in SAYS_SUCCESS])
def test_in_the_present_day_dialect_a_success_is_accepted(http_status: int, body: bytes) -> None:
    assert SYNC_ORDERS.read_answer(http_status, body) == ("accepted", "")


@pytest.mark.parametrize("http_status", [200, 201, 204, 299])
def test_in_the_present_day_dialect_an_error_is_rejected_whatever_the_2xx(http_status: int) -> None:
    body = b'{"status":"error","payload":{"message":"Shop not found"}}'

    assert SYNC_ORDERS.read_answer(http_status, body) == ("rejected", "Shop not found")


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
    assert SYNC_ORDERS.read_answer(http_status, body) == ("unknown", "")


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
@OVER_BOTH
def test_the_reason_of_a_rejection_is_rees46s_own_short_message(
    dialect: Dialect, body: dict[str, object], reason: str
) -> None:
    assert dialect.read_answer(200, json.dumps(body).encode()) == ("rejected", reason)
