"""What each dialect accepts, and where it goes."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import IntEnum

import numpy as np
import pytest

from rees46_sync.rees46.dialects import DIALECTS, IMPORT_SYNC_ORDERS, SYNC_ORDERS, Dialect
from tests.rees46.conftest import STATUSES, body_of, in_words_of, numbered


class Status(IntEnum):
    COMPLETED = 1


class TextOfAnotherType(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("dialect", "host", "path", "most"),
    [
        pytest.param(IMPORT_SYNC_ORDERS, "api.rees46.com", "/import/sync_orders", 1000, id="import_sync_orders"),
        pytest.param(SYNC_ORDERS, "api.rees46.ru", "/sync/orders", 5000, id="sync_orders"),
    ],
)
def test_a_request_may_have_as_many_orders_as_the_document_allows(
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
    pytest.param([("1", 0), ("2", 1), ("1", 0)], "an order occurs twice", id="order-twice"),
    pytest.param([("1", 0), ("1", 2)], "an order occurs twice", id="order-twice-in-two-statuses"),
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
    ("dialect", "orders", "problem"),
    [
        *(
            pytest.param(one, in_words_of(one, row.values[0]), row.values[1], id=f"{one.name}-{row.id}")  # type: ignore[arg-type]
            for one in DIALECTS.values()
            for row in BAD_IDS
        ),
        *(
            pytest.param(one, [("1", STATUSES[one.name][0]), ("2", status)], problem, id=f"{one.name}-status-{row.id}")
            for one, rows in BAD_STATUSES.items()
            for row in rows
            for status, problem in [row.values]
        ),
        pytest.param(IMPORT_SYNC_ORDERS, [], "0 orders in a request", id="no-orders"),
    ],
)
def test_what_rees46_would_answer_with_an_error_mail_is_refused(
    dialect: Dialect, orders: list[tuple[object, object]], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        body_of(orders, dialect)
