"""The lookup returns what REES46 has, and what one extraction needs to know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from rees46_sync.ledger.confirmations import Confirmations
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.extractions import Extractions, OtherExtractions
from rees46_sync.ledger.lookup import LOOKUP_CHUNK, NOTHING_ACCEPTED, look_up
from rees46_sync.ledger.requests import UNKNOWN, RequestResult, Requests
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.tables import accepted_statuses, uncertain_orders
from tests.conftest import accept, open_request, start_extraction
from tests.ledger.builders import LATER_RUN, MAX_ORDERS, NOON, RUN, build_orders, known_statuses

THIRD_RUN = replace(RUN, run_id="run-3", extraction_id="extraction-3")


def test_a_ledger_without_rows_knows_nothing(ledger: Ledger) -> None:
    known = look_up(ledger, "test", ["1", "2"])

    assert known.empty
    assert known.dtypes.astype(str).to_dict() == {
        "order_id": "str",
        "known_id": "int64",
        "known_status": "int64",
        "known_updated_at": "datetime64[us, UTC]",
        "accepted_at": "datetime64[us, UTC]",
        "sent_here": "bool",
        "may_be_final": "bool",
        "newest_updated_at": "datetime64[us, UTC]",
        "sent_since": "datetime64[us, UTC]",
        "sent_since_status": "int64",
        "confirmed_since": "datetime64[us, UTC]",
        "uncertain": "bool",
        "read_later": "object",
    }
    assert look_up(ledger, "test", []).dtypes.equals(known.dtypes)


def test_the_latest_accepted_row_is_what_rees46_has(ledger: Ledger) -> None:
    for run, status, hours in ((RUN, 0, 0), (RUN, 2, 3), (LATER_RUN, 1, 1)):
        accept(ledger, run, 0, build_orders(("1", status), at=NOON + timedelta(hours=hours)), 1)

    known = look_up(ledger, "test", ["1", "unknown"])

    assert known[["order_id", "known_status", "known_updated_at"]].values.tolist() == [
        ["1", 1, pd.Timestamp(NOON + timedelta(hours=1))]
    ]


# What went out, and when: T is the settle time. Each event is a status, whether it was accepted, and when it was sent.
T = timedelta(hours=1)
SENT = NOON - timedelta(days=30)
"""Before every moment at which the tests of the clock begin: what is recorded now is recorded later."""
ACCEPTED, NO_ANSWER = True, False
SETTLES = [
    pytest.param([(1, ACCEPTED, 0)], False, True, id="accepted"),
    pytest.param([(1, NO_ANSWER, 0)], True, True, id="no-answer"),
    pytest.param([(0, NO_ANSWER, 0)], True, False, id="no-answer-to-created"),
    pytest.param([(0, ACCEPTED, 0), (1, ACCEPTED, 0.5)], True, True, id="two-statuses-within-the-settle-time"),
    pytest.param([(0, ACCEPTED, 0), (1, ACCEPTED, 1)], False, True, id="two-statuses-a-settle-time-apart"),
    pytest.param([(0, ACCEPTED, 0), (1, ACCEPTED, 0.5), (1, ACCEPTED, 1)], False, True, id="sent-again-after-it"),
    pytest.param([(1, ACCEPTED, 0), (1, ACCEPTED, 0.5)], False, True, id="the-same-status-twice"),
    pytest.param([(0, ACCEPTED, 0), (1, NO_ANSWER, 2)], True, True, id="no-answer-to-a-change"),
    pytest.param([(1, ACCEPTED, 0), (1, NO_ANSWER, 2)], False, True, id="no-answer-to-the-same-status"),
    pytest.param([(1, NO_ANSWER, 0), (1, ACCEPTED, 0.1)], False, True, id="accepted-at-the-second-try"),
    pytest.param([(1, NO_ANSWER, 0), (0, ACCEPTED, 0.5)], True, True, id="another-status-soon-after-no-answer"),
    pytest.param([(1, NO_ANSWER, 0), (0, ACCEPTED, 1)], False, False, id="another-status-long-after-no-answer"),
    pytest.param([(1, NO_ANSWER, 0), (0, ACCEPTED, 0.5), (0, ACCEPTED, 1)], False, False, id="and-once-more"),
    pytest.param([(2, ACCEPTED, 0), (1, NO_ANSWER, 1), (2, ACCEPTED, 1.5)], True, True, id="between-two-final-ones"),
    pytest.param([(0, ACCEPTED, 3), (1, NO_ANSWER, 0)], False, False, id="no-answer-long-before"),
]


@pytest.mark.clock
@pytest.mark.parametrize(("events", "uncertain", "may_be_final"), SETTLES)
def test_an_order_is_certain_if_its_status_went_out_a_settle_time_after_every_other_one(
    ledger: Ledger, events: list[tuple[int, bool, float]], uncertain: bool, may_be_final: bool
) -> None:
    requests = Requests(ledger)
    for status, is_accepted, hours in events:
        orders, sent_at = build_orders(("1", status)), SENT + hours * T
        outcome = "accepted" if is_accepted else UNKNOWN
        result = RequestResult(open_request(ledger, RUN, orders), 1, sent_at, outcome, may_have_arrived=not is_accepted)
        requests.record_result(RUN, 0, result)
        record_at(ledger, sent_at)

    known = look_up(ledger, "test", ["1"], settle=T)

    assert known[["uncertain", "may_be_final"]].values.tolist() == [[uncertain, may_be_final]]


def test_an_order_in_flight_may_have_its_status_or_not(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 0), ("2", 1), ("3", 0)))
    open_request(ledger, LATER_RUN, build_orders(("1", 1), ("2", 1), ("4", 1), at=NOON + T))

    known = look_up(ledger, "test", ["1", "2", "3", "4"], settle=T).set_index("order_id")

    assert known["known_status"].to_dict() == {"1": 0, "2": 1, "3": 0, "4": NOTHING_ACCEPTED}
    assert known["uncertain"].to_dict() == {"1": True, "2": False, "3": False, "4": True}
    assert known["may_be_final"].to_dict() == {"1": True, "2": True, "3": False, "4": True}
    assert known["newest_updated_at"].to_dict() == {"1": NOON + T, "2": NOON + T, "3": NOON, "4": NOON + T}


def test_a_request_that_went_out_long_before_it_was_answered_may_have_gone_out_at_any_time_in_between(
    ledger: Ledger,
) -> None:
    """Its worker may have been frozen between the last check and the request."""
    for status in (0, 1):
        request = open_request(ledger, RUN, build_orders(("1", status)))
        Requests(ledger).record_result(RUN, 0, RequestResult(request, 1, NOON + status * T))

    assert look_up(ledger, "test", ["1"], settle=T)["uncertain"].tolist() == [True]


def record_at(ledger: Ledger, moment: datetime) -> None:
    """Change the times at which the latest results were recorded."""
    with ledger.engine.begin() as connection:
        for column in (accepted_statuses.c.accepted_at, uncertain_orders.c.sent_at):
            now = datetime.now(UTC) - timedelta(minutes=5)
            connection.execute(sa.update(column.table).where(column > now).values({column: moment}))


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


# How the extraction of a row relates to the one that looks up


def send(ledger: Ledger, run: RunRef, at: datetime) -> None:
    accept(ledger, run, 0, build_orders(("1", 1), at=at))


def get_no_answer(ledger: Ledger, run: RunRef, at: datetime) -> None:
    open_request(ledger, run, build_orders(("1", 1), at=at))
    Requests(ledger).take_lease("test")


def be_in_flight(ledger: Ledger, run: RunRef, at: datetime) -> None:
    open_request(ledger, run, build_orders(("1", 1), at=at))


def confirm(ledger: Ledger, run: RunRef, at: datetime) -> None:
    orders = build_orders(("1", 1), at=at).assign(is_newer=True)
    assert Confirmations(ledger).confirm(run, orders, OtherExtractions()) == 1


@pytest.mark.parametrize("happens", [send, get_no_answer, be_in_flight, confirm])
@pytest.mark.parametrize(
    ("relation", "since", "read_later"),
    [
        pytest.param("earlier", False, False, id="it-had-read-everything-before"),
        pytest.param("overlapping", True, False, id="it-read-at-the-same-time"),
        pytest.param("later", True, True, id="it-read-after-this-one"),
    ],
)
def test_what_another_extraction_found_counts_by_when_it_read(
    ledger: Ledger, happens: Callable[[Ledger, RunRef, datetime], None], relation: str, since: bool, read_later: bool
) -> None:
    start, end, version = NOON - T, NOON + 2 * T, NOON + T
    send(ledger, THIRD_RUN, NOON)  # of an extraction that nobody remembers
    if relation == "overlapping":
        start_extraction(ledger, LATER_RUN, start, end, has_read=False)
    if relation == "earlier":
        start_extraction(ledger, LATER_RUN, start, end)
    start_extraction(ledger, RUN, start, end)
    if relation == "later":
        start_extraction(ledger, LATER_RUN, start, end)
    happens(ledger, LATER_RUN, version)

    others = Extractions(ledger).others(RUN)
    known = look_up(ledger, "test", ["1"], RUN.extraction_id, others).iloc[0]

    assert known["newest_updated_at"] == version
    column, other = ("confirmed_since", "sent_since") if happens is confirm else ("sent_since", "confirmed_since")
    assert pd.isna(known[other])
    assert known[column] == version if since else pd.isna(known[column])
    assert known["read_later"] == ([(start, end)] if read_later else None)


def test_an_order_that_was_only_confirmed_is_known_and_certainly_not_at_rees46(ledger: Ledger) -> None:
    start_extraction(ledger, RUN, NOON - T, NOON + 2 * T, has_read=False)
    start_extraction(ledger, LATER_RUN, NOON - T, NOON + 2 * T)
    accept(ledger, RUN, 0, build_orders(("sent", 1)))
    confirm(ledger, LATER_RUN, NOON)

    known = look_up(ledger, "test", ["1", "sent"], RUN.extraction_id, Extractions(ledger).others(RUN))

    assert known.dtypes.equals(look_up(ledger, "test", []).dtypes)
    columns = ["known_id", "known_status", "sent_since_status", "may_be_final", "uncertain", "confirmed_since"]
    known = known.set_index("order_id")
    assert known.loc["1", columns].tolist() == [0, NOTHING_ACCEPTED, -2, False, False, NOON]
    assert known.loc["sent", columns[1:5]].tolist() == [1, -2, True, False]


def test_an_unknown_extraction_such_as_that_of_a_dry_run_counts_as_the_latest(ledger: Ledger) -> None:
    start_extraction(ledger, LATER_RUN, NOON, NOON + T, has_read=False)
    send(ledger, LATER_RUN, NOON)

    assert Extractions(ledger).others(RUN) == OtherExtractions()


@pytest.mark.parametrize(
    ("sent", "newest"),
    [
        pytest.param([(1, 0)], (0, 1), id="one"),
        pytest.param([(1, 1), (2, 0)], (1, 1), id="the-newest-version"),
        pytest.param([(1, 0), (1, 0)], (0, 1), id="the-same-row-twice"),
        pytest.param([(1, 0), (2, 0)], (0, -2), id="two-statuses-of-one-version"),
    ],
)
@pytest.mark.parametrize("is_accepted", [True, False])
def test_the_newest_version_that_was_sent_meanwhile_has_its_status_unless_there_are_two(
    ledger: Ledger, is_accepted: bool, sent: list[tuple[int, int]], newest: tuple[int, int]
) -> None:
    start_extraction(ledger, LATER_RUN, NOON - T, NOON + 2 * T, has_read=False)
    start_extraction(ledger, RUN, NOON - T, NOON + 2 * T)
    *earlier, (status, hours) = sent
    for other_status, other_hours in earlier:
        open_request(ledger, LATER_RUN, build_orders(("1", other_status), at=NOON + other_hours * T))
    if is_accepted:
        accept(ledger, LATER_RUN, 0, build_orders(("1", status), at=NOON + hours * T))
    else:
        open_request(ledger, LATER_RUN, build_orders(("1", status), at=NOON + hours * T))

    known = look_up(ledger, "test", ["1"], RUN.extraction_id, Extractions(ledger).others(RUN)).iloc[0]

    assert (known["sent_since"], known["sent_since_status"]) == (NOON + newest[0] * T, newest[1])
