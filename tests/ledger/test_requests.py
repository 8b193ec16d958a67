"""Requests are recorded before they are sent; a lost answer makes their orders uncertain."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pandas as pd
import pytest
import sqlalchemy as sa

from rees46_sync.exceptions import LedgerError
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.lookup import LOOKUP_CHUNK, look_up
from rees46_sync.ledger.requests import RequestResult, Requests
from rees46_sync.ledger.tables import accepted_statuses, deliveries, in_flight_requests
from tests.conftest import accept, open_request
from tests.ledger.builders import LATER_RUN, MAX_ORDERS, NOON, RUN, build_orders, known_statuses, select_rows

ACCEPTED, UNCERTAIN = "accepted", "uncertain"


@pytest.mark.parametrize(
    ("events", "uncertain"),
    [
        pytest.param([(ACCEPTED, "1")], [False], id="accepted"),
        pytest.param([(ACCEPTED, "1"), (UNCERTAIN, "1")], [True], id="then-uncertain"),
        pytest.param([(UNCERTAIN, "1"), (ACCEPTED, "1")], [False], id="uncertain-then-accepted"),
        pytest.param([(ACCEPTED, "1"), (UNCERTAIN, "1"), (ACCEPTED, "1")], [False], id="accepted-again"),
        pytest.param([(ACCEPTED, "1"), (UNCERTAIN, "1"), (ACCEPTED, "2")], [True], id="another-order-accepted"),
        pytest.param([(ACCEPTED, "1"), (ACCEPTED, "2"), (UNCERTAIN, "2")], [False], id="another-order-uncertain"),
        pytest.param([(UNCERTAIN, "1"), (ACCEPTED, "1"), (UNCERTAIN, "1")], [True], id="uncertain-again"),
        pytest.param([(UNCERTAIN, "1")], [True], id="never-accepted"),
        pytest.param([(UNCERTAIN, "2")], [], id="never-sent"),
    ],
)
def test_an_order_is_uncertain_from_a_lost_answer_until_it_is_accepted_again(
    ledger: Ledger, events: list[tuple[str, str]], uncertain: list[bool]
) -> None:
    for event, order_id in events:
        if event == ACCEPTED:
            accept(ledger, RUN, 0, build_orders((order_id, 1)), 1)
        else:
            open_request(ledger, RUN, build_orders((order_id, 1)))
            Requests(ledger).mark_uncertain("test")

    assert look_up(ledger, "test", ["1"])["uncertain"].tolist() == uncertain


def test_the_largest_batch_of_any_dialect_is_recorded_accepted_and_uncertain_as_a_whole(ledger: Ledger) -> None:
    orders = build_orders(*((f"order-{number}", number % 3) for number in range(MAX_ORDERS)))
    ids = orders["order_id"].tolist()

    accept(ledger, RUN, 0, orders)
    assert known_statuses(look_up(ledger, "test", ids)) == dict(zip(ids, orders["code"], strict=True))
    open_request(ledger, LATER_RUN, orders)
    Requests(ledger).mark_uncertain("test")

    assert look_up(ledger, "test", ids)["uncertain"].tolist() == [True] * len(ids)
    assert Requests(ledger).accepted_by_partition("extraction-1") == {0: len(ids)}


def test_an_in_flight_request_of_an_earlier_version_is_understood(ledger: Ledger) -> None:
    table = in_flight_requests
    with ledger.engine.begin() as connection:
        connection.execute(sa.insert(table).values(shop="test", orders=f'{{"1": "{NOON.isoformat()}"}}'))

    Requests(ledger).mark_uncertain("test")

    known = look_up(ledger, "test", ["1"])
    assert known["uncertain"].tolist() == [True]
    assert known["newest_updated_at"].tolist() == [pd.Timestamp(NOON)]


def test_a_lost_answer_makes_only_the_orders_of_its_shop_and_batch_uncertain(ledger: Ledger) -> None:
    ids = [f"order-{number}" for number in range(LOOKUP_CHUNK + 200)]
    accept(ledger, RUN, 0, build_orders(*((order_id, 1) for order_id in ids)), 1)
    orders = build_orders(*((order_id, 1) for order_id in ids))
    open_request(ledger, replace(RUN, shop="another-shop"), orders)
    open_request(ledger, RUN, orders[LOOKUP_CHUNK - 5 : LOOKUP_CHUNK + 5])
    Requests(ledger).mark_uncertain("another-shop")
    Requests(ledger).mark_uncertain("test")

    known = look_up(ledger, "test", ids)

    assert sorted(known.loc[known["uncertain"], "order_id"]) == sorted(ids[LOOKUP_CHUNK - 5 : LOOKUP_CHUNK + 5])


def test_deliveries_add_up_by_partition_and_extraction(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 1), ("2", 1)), requests=1)
    accept(ledger, RUN, 0, build_orders(("3", 1)), requests=4)
    five, seven = (build_orders(*((str(number), 1) for number in range(count))) for count in (5, 7))
    Requests(ledger).record_result(RUN, 0, RequestResult(open_request(ledger, RUN, five), 1, "rejected"))
    accept(ledger, RUN, 2, build_orders(("4", 1)), requests=2)
    Requests(ledger).record_result(
        RUN, 3, RequestResult(open_request(ledger, RUN, seven), 4, "unknown", may_have_arrived=True)
    )
    accept(ledger, LATER_RUN, 0, build_orders(("5", 1)), requests=1)

    assert Requests(ledger).accepted_by_partition(RUN.extraction_id) == {0: 3, 2: 1}
    assert Requests(ledger).count(RUN.extraction_id) == 12
    assert Requests(ledger).accepted_by_partition(LATER_RUN.extraction_id) == {0: 1}
    assert Requests(ledger).count(LATER_RUN.extraction_id) == 1
    assert Requests(ledger).accepted_by_partition("unknown") == {}
    assert Requests(ledger).count("unknown") == 0


@pytest.mark.clock
def test_a_delivery_says_which_run_sent_what_and_when(ledger: Ledger) -> None:
    before = datetime.now(UTC)
    accept(ledger, RUN, 3, build_orders(("1", 2)), requests=2)
    nine = open_request(ledger, RUN, build_orders(*((str(number), 1) for number in range(9))))
    Requests(ledger).record_result(RUN, 3, RequestResult(nine, 1, "rejected"))

    accepted, refused = select_rows(ledger, deliveries)
    status = select_rows(ledger, accepted_statuses)[0]

    origin = {"shop": "test", "dag_id": "dag", "run_id": "run-1", "extraction_id": "extraction-1"}
    assert accepted.items() >= {**origin, "partition": 3, "orders": 1, "requests": 2, "outcome": "accepted"}.items()
    assert refused.items() >= {**origin, "partition": 3, "orders": 9, "requests": 1, "outcome": "rejected"}.items()
    assert status.items() >= {**origin, "order_id": "1", "status": 2, "source_updated_at": NOON}.items()
    assert before <= status["accepted_at"] <= accepted["answered_at"] <= refused["answered_at"] <= datetime.now(UTC)


def test_a_batch_and_its_delivery_are_stored_together_or_not_at_all(ledger: Ledger) -> None:
    request = open_request(ledger, RUN, build_orders(("1", 1)))
    deliveries.drop(ledger.engine)

    with pytest.raises(LedgerError, match="rees46_deliveries"):
        Requests(ledger).record_result(RUN, 0, RequestResult(request, 1))

    assert look_up(ledger, "test", ["1"]).empty
