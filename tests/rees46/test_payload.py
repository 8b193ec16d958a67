"""What may be posted to REES46, byte by byte."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rees46_sync.rees46.dialects import Dialect
from rees46_sync.rees46.payload import staged_columns, statuses_to_send
from tests.conftest import SECRET
from tests.rees46.conftest import OVER_DIALECTS, STATUSES, body_of, in_words_of


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
@OVER_DIALECTS
def test_the_body_is_exactly_the_documented_json(dialect: Dialect, orders: list[tuple[object, int]], sent: str) -> None:
    for number, status in enumerate(STATUSES[dialect.name]):
        in_json = json.dumps(status, ensure_ascii=False)
        sent = sent.replace(f'"status":{number}', f'"status":{in_json}')

    body = body_of(in_words_of(dialect, orders), dialect)

    assert body.decode() == f'{{"shop_id":"shop-key","shop_secret":"{SECRET}","orders":[{sent}]}}'


@pytest.mark.parametrize(
    "orders",
    [
        pytest.param([("order-4711", None)], id="bad-status"),
        pytest.param([("order-4711", 1), ("order-4711", 1)], id="twice"),
        pytest.param([("order-4711\ud800", 1)], id="id-with-half-a-character"),
        pytest.param([(f"order-4711-{number}", 1) for number in range(5001)], id="too-many"),
    ],
)
@OVER_DIALECTS
def test_a_refusal_names_neither_an_order_nor_the_secret(
    dialect: Dialect, orders: list[tuple[object, int | None]]
) -> None:
    statuses = STATUSES[dialect.name]
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - each refusal has its own words
        body_of([(order_id, None if number is None else statuses[number]) for order_id, number in orders], dialect)

    assert "4711" not in f"{caught.value}{caught.value!r}"
    assert SECRET not in f"{caught.value}{caught.value!r}"


IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)


@OVER_DIALECTS
@settings(max_examples=50, database=None, deadline=None)
@given(st.dictionaries(IDS, st.sampled_from([0, 1, 2]), min_size=1, max_size=50))
def test_for_any_ids_rees46_reads_the_same_orders(dialect: Dialect, orders: dict[str, int]) -> None:
    sent = in_words_of(dialect, list(orders.items()))

    read = json.loads(body_of(sent, dialect))

    assert read.keys() == {"shop_id", "shop_secret", "orders"}
    assert read["orders"] == [{"id": order_id, "status": status} for order_id, status in sent]


@pytest.mark.parametrize(
    ("status_text", "columns", "sent"),
    [
        pytest.param(None, ["order_id", "code", "updated_at"], [1, 0, 2], id="codes"),
        pytest.param("own", ["order_id", "code", "updated_at", "status"], ["доставлен", "new", "fraud"], id="own"),
        pytest.param("mapped", ["order_id", "code", "updated_at"], ["completed", "created", "cancelled"], id="mapped"),
    ],
)
def test_a_status_is_sent_as_code_own_text_or_name_and_only_the_columns_for_it_are_read(
    status_text: str | None, columns: list[str], sent: list[object]
) -> None:
    orders = pd.DataFrame({"order_id": ["1", "2", "3"], "code": [1, 0, 2], "status": ["доставлен", "new", "fraud"]})

    assert staged_columns(status_text) == columns
    assert statuses_to_send(orders[orders.columns.intersection(columns)], status_text) == sent
    assert {type(status) for status in statuses_to_send(orders, status_text)} <= {int, str}
