"""Requests are recorded before they are sent; a lost answer makes their orders uncertain."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from rees46_sync.exceptions import LedgerError
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.lookup import LOOKUP_CHUNK, look_up
from rees46_sync.ledger.requests import ACCEPTED, UNKNOWN, RequestResult, Requests, request_orders
from rees46_sync.ledger.tables import accepted_statuses, deliveries, in_flight_requests, uncertain_orders
from tests.conftest import accept, open_request
from tests.ledger.builders import LATER_RUN, MAX_ORDERS, NOON, RUN, build_orders, known_statuses, select_rows


def test_the_largest_batch_of_any_dialect_is_recorded_accepted_and_uncertain_as_a_whole(ledger: Ledger) -> None:
    orders = build_orders(*((f"order-{number}", number % 3) for number in range(MAX_ORDERS)))
    other_codes = orders.assign(code=(orders["code"] + 1) % 3)
    ids = orders["order_id"].tolist()

    accept(ledger, RUN, 0, orders)
    assert known_statuses(look_up(ledger, "test", ids)) == dict(zip(ids, orders["code"], strict=True))
    open_request(ledger, LATER_RUN, other_codes)
    Requests(ledger).take_lease("test")

    assert look_up(ledger, "test", ids)["uncertain"].tolist() == [True] * len(ids)
    assert Requests(ledger).accepted_by_partition("extraction-1") == {0: len(ids)}


def test_a_lost_answer_makes_only_the_orders_of_its_shop_and_batch_uncertain(ledger: Ledger) -> None:
    ids = [f"order-{number}" for number in range(LOOKUP_CHUNK + 200)]
    accept(ledger, RUN, 0, build_orders(*((order_id, 1) for order_id in ids)), 1)
    orders = build_orders(*((order_id, 2) for order_id in ids))
    open_request(ledger, replace(RUN, shop="another-shop"), orders)
    open_request(ledger, RUN, orders[LOOKUP_CHUNK - 5 : LOOKUP_CHUNK + 5])
    Requests(ledger).take_lease("another-shop")
    Requests(ledger).take_lease("test")

    known = look_up(ledger, "test", ids)

    assert sorted(known.loc[known["uncertain"], "order_id"]) == sorted(ids[LOOKUP_CHUNK - 5 : LOOKUP_CHUNK + 5])


def test_deliveries_add_up_by_partition_and_extraction(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 1), ("2", 1)), requests=1)
    accept(ledger, RUN, 0, build_orders(("3", 1)), requests=4)
    five, seven = (build_orders(*((str(number), 1) for number in range(count))) for count in (5, 7))
    Requests(ledger).record_result(RUN, 0, RequestResult(open_request(ledger, RUN, five), 1, NOON, "rejected"))
    accept(ledger, RUN, 2, build_orders(("4", 1)), requests=2)
    Requests(ledger).record_result(
        RUN, 3, RequestResult(open_request(ledger, RUN, seven), 4, NOON, UNKNOWN, may_have_arrived=True)
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
    Requests(ledger).record_result(RUN, 3, RequestResult(nine, 1, NOON, "rejected"))

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
        Requests(ledger).record_result(RUN, 0, RequestResult(request, 1, NOON))

    assert select_rows(ledger, accepted_statuses) == []


# The lease


def test_only_the_load_with_the_latest_lease_records_requests(ledger: Ledger) -> None:
    requests, orders = Requests(ledger), request_orders(build_orders(("1", 1)))
    first, of_another_shop = requests.take_lease("test"), requests.take_lease("another-shop")
    assert len(requests.record_requests(RUN, first, orders * 2)) == 2

    second = requests.take_lease("test")

    assert requests.record_requests(RUN, first, orders) == []
    assert len(requests.record_requests(LATER_RUN, second, orders)) == 1
    assert len(requests.record_requests(replace(RUN, shop="another-shop"), of_another_shop, orders)) == 1
    assert (requests.state(RUN)[1], requests.state(replace(RUN, shop="another-shop"))[1]) == (second, of_another_shop)


@pytest.mark.parametrize("outcome", [ACCEPTED, UNKNOWN])
def test_an_answer_after_another_load_has_started_leaves_its_orders_uncertain(ledger: Ledger, outcome: str) -> None:
    requests = Requests(ledger)
    request = open_request(ledger, RUN, build_orders(("1", 1)))
    requests.take_lease("test")

    result = RequestResult(request, 1, NOON, outcome, may_have_arrived=outcome == UNKNOWN)

    assert requests.record_result(RUN, 0, result) == UNKNOWN
    assert select_rows(ledger, accepted_statuses) == []
    # When the load started, and when the answer arrived: it may have gone out in between.
    assert [row["order_id"] for row in select_rows(ledger, uncertain_orders)] == ["1", "1"]
    assert [row["outcome"] for row in select_rows(ledger, deliveries)] == [UNKNOWN]


def test_a_request_that_was_refused_after_another_load_has_started_did_nothing(ledger: Ledger) -> None:
    requests = Requests(ledger)
    request = open_request(ledger, RUN, build_orders(("1", 1)))
    requests.take_lease("test")

    assert requests.record_result(RUN, 0, RequestResult(request, 1, NOON, "rejected")) == "rejected"
    assert len(select_rows(ledger, uncertain_orders)) == 1


@pytest.mark.parametrize(
    ("outcome", "may_have_arrived", "uncertain"),
    [(ACCEPTED, False, 0), ("rejected", False, 0), ("rejected", True, 1), (UNKNOWN, True, 1)],
)
def test_a_request_is_ended_by_its_result(ledger: Ledger, outcome: str, may_have_arrived: bool, uncertain: int) -> None:
    request = open_request(ledger, RUN, build_orders(("1", 1)))

    Requests(ledger).record_result(RUN, 0, RequestResult(request, 1, NOON, outcome, may_have_arrived))

    assert select_rows(ledger, in_flight_requests) == []
    assert len(select_rows(ledger, uncertain_orders)) == uncertain
    assert len(select_rows(ledger, accepted_statuses)) == (outcome == ACCEPTED)


def test_loads_that_start_at_once_get_different_leases(ledger: Ledger, open_ledger: Callable[[], Ledger]) -> None:
    ledgers = [open_ledger() for _ in range(6)]
    with ThreadPoolExecutor(6) as threads:
        leases = list(threads.map(lambda one: Requests(one).take_lease("test"), ledgers))

    assert sorted(leases) == [1, 2, 3, 4, 5, 6]
