"""The lookup returns what REES46 has, and what one extraction needs to know of it."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.lookup import LOOKUP_CHUNK, look_up
from rees46_sync.ledger.requests import Requests
from rees46_sync.ledger.runs import RunRef
from tests.conftest import accept
from tests.ledger.builders import LATER_RUN, MAX_ORDERS, NOON, RUN, build_orders, known_statuses


def test_a_ledger_without_rows_knows_nothing(ledger: Ledger) -> None:
    known = look_up(ledger, "test", ["1", "2"])

    assert Requests(ledger).high_water_mark() == 0
    assert known.empty
    assert known.dtypes.astype(str).to_dict() == {
        "order_id": "str",
        "known_id": "int64",
        "known_status": "int64",
        "known_updated_at": "datetime64[us, UTC]",
        "sent_here": "bool",
        "newest_updated_at": "datetime64[us, UTC]",
        "uncertain": "bool",
        "confirmed_at": "datetime64[us, UTC]",
    }
    assert look_up(ledger, "test", []).dtypes.equals(known.dtypes)


def test_the_latest_accepted_row_is_what_rees46_has(ledger: Ledger) -> None:
    for run, status, hours in ((RUN, 0, 0), (RUN, 2, 3), (LATER_RUN, 1, 1)):
        accept(ledger, run, 0, build_orders(("1", status), at=NOON + timedelta(hours=hours)), 1)

    known = look_up(ledger, "test", ["1", "unknown"])

    assert known[["order_id", "known_status", "known_updated_at"]].values.tolist() == [
        ["1", 1, pd.Timestamp(NOON + timedelta(hours=1))]
    ]


def test_the_high_water_mark_separates_before_from_after(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 1), ("2", 1)), 1)
    mark = Requests(ledger).high_water_mark()
    accept(ledger, LATER_RUN, 0, build_orders(("2", 2)), 1)

    since = look_up(ledger, "test", ["1", "2"]).set_index("order_id")["known_id"] > mark

    assert since.to_dict() == {"1": False, "2": True}
    assert Requests(ledger).high_water_mark() > mark


@pytest.mark.parametrize("count", [LOOKUP_CHUNK, LOOKUP_CHUNK + 1, 2 * LOOKUP_CHUNK + 345])
def test_more_orders_than_one_statement_takes_are_looked_up(ledger: Ledger, count: int) -> None:
    sent = {f"order-{number}": number % 3 for number in range(count)}
    accept(ledger, RUN, 0, build_orders(*sent.items()), 1)

    known = look_up(ledger, "test", [*sent, "unknown"], RUN.extraction_id)

    assert known_statuses(known) == sent
    assert len(known) == count
    assert known["sent_here"].all()


def test_two_shops_of_one_database_do_not_mix(ledger: Ledger) -> None:
    other = RunRef(shop="other", dag_id="dag", run_id="run-1", extraction_id="extraction-other")
    accept(ledger, RUN, 0, build_orders(("1", 1), ("2", 1)), 1)
    accept(ledger, other, 0, build_orders(("1", 2)), 1)

    assert known_statuses(look_up(ledger, "test", ["1", "2"])) == {"1": 1, "2": 1}
    assert known_statuses(look_up(ledger, "other", ["1", "2"])) == {"1": 2}


@pytest.mark.parametrize(
    ("runs", "sent_here"),
    [
        pytest.param([RUN], True, id="by-this-extraction"),
        pytest.param([LATER_RUN], False, id="by-another-extraction"),
        pytest.param([LATER_RUN, RUN], True, id="by-this-extraction-after-another"),
        pytest.param([RUN, LATER_RUN], True, id="by-this-extraction-before-another"),
    ],
)
def test_says_whether_an_extraction_sent_an_order_itself(ledger: Ledger, runs: list[RunRef], sent_here: bool) -> None:
    for run in runs:
        accept(ledger, run, 0, build_orders(("1", 1)), 1)

    assert look_up(ledger, "test", ["1"], RUN.extraction_id)["sent_here"].tolist() == [sent_here]
    assert look_up(ledger, "test", ["1"])["sent_here"].tolist() == [False]


def test_the_longest_ids_fit_into_the_largest_batch_and_the_largest_lookup(ledger: Ledger) -> None:
    ids = ["🎁" * 250 + f"{number:05}" for number in range(LOOKUP_CHUNK)]
    orders = build_orders(*((order_id, 1) for order_id in ids[:MAX_ORDERS]))

    accept(ledger, RUN, 0, orders)

    assert known_statuses(look_up(ledger, "test", ids)) == dict.fromkeys(ids[:MAX_ORDERS], 1)
    assert look_up(ledger, "test", ['"' * 255, *["\\" * 250 + order_id[-5:] for order_id in ids[1:]]]).empty
