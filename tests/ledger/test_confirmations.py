"""Confirmations: an extraction records what it found in need of nothing, for those that may still send an older row."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pandas as pd
import pytest

from rees46_sync.ledger.confirmations import Confirmations
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.extractions import Extractions
from rees46_sync.ledger.lookup import LOOKUP_CHUNK, look_up
from rees46_sync.ledger.requests import Requests
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.tables import confirmations
from tests.conftest import FAR_FUTURE, accept, open_request, start_extraction
from tests.ledger.builders import LATER_RUN, NOON, RUN, build_orders, select_rows

HOUR = timedelta(hours=1)
WEEK_OLD = replace(RUN, run_id="run-0", extraction_id="extraction-0")
THIRD_RUN = replace(RUN, run_id="run-3", extraction_id="extraction-3")
OF_ANOTHER_SHOP = replace(RUN, shop="another", extraction_id="extraction-of-another-shop")
START, END = NOON - 24 * HOUR, NOON + HOUR


def found(*order_ids: str, at: datetime = NOON, is_newer: bool = True) -> pd.DataFrame:
    """Orders that an extraction found in need of nothing."""
    return build_orders(*((order_id, 1) for order_id in order_ids), at=at).assign(is_newer=is_newer)


def confirm(ledger: Ledger, run: RunRef, orders: pd.DataFrame) -> int:
    return Confirmations(ledger).confirm(run, orders, Extractions(ledger).others(run))


def confirmed_versions(ledger: Ledger) -> list[tuple[str, datetime, str]]:
    rows = select_rows(ledger, confirmations)
    return [(row["order_id"], row["source_updated_at"], row["extraction_id"]) for row in rows]


def test_a_newer_version_is_remembered_though_no_other_extraction_is_open(ledger: Ledger) -> None:
    accept(ledger, WEEK_OLD, 0, build_orders(("1", 1), ("2", 1), at=NOON - HOUR))
    start_extraction(ledger, RUN, START, END)

    assert confirm(ledger, RUN, found("1")) == 1

    Extractions(ledger).close(RUN)
    Extractions(ledger).remove_older("test", FAR_FUTURE + HOUR)
    newest = look_up(ledger, "test", ["1", "2"]).set_index("order_id")["newest_updated_at"]
    assert newest.to_dict() == {"1": NOON, "2": NOON - HOUR}


def test_a_version_that_is_not_newer_needs_no_record_if_nothing_older_can_follow(ledger: Ledger) -> None:
    start_extraction(ledger, RUN, START, END)
    start_extraction(ledger, OF_ANOTHER_SHOP, START, END)
    Extractions(ledger).close(RUN)
    start_extraction(ledger, LATER_RUN, START, END)

    assert confirm(ledger, LATER_RUN, found("1", is_newer=False)) == 0
    assert confirm(ledger, LATER_RUN, found()) == 0
    assert confirmed_versions(ledger) == []


def test_each_order_is_confirmed_while_an_earlier_extraction_may_still_send_something(ledger: Ledger) -> None:
    for run in (RUN, LATER_RUN):
        start_extraction(ledger, run, START, END)

    assert confirm(ledger, LATER_RUN, found("1", "2", at=NOON - HOUR, is_newer=False)) == 2

    assert confirmed_versions(ledger) == [(one, NOON - HOUR, LATER_RUN.extraction_id) for one in ("1", "2")]


def test_an_extraction_that_closed_after_the_comparison_still_counts(ledger: Ledger) -> None:
    for run in (RUN, LATER_RUN):
        start_extraction(ledger, run, START, END)
    others = Extractions(ledger).others(LATER_RUN)
    Extractions(ledger).close(RUN)

    assert Confirmations(ledger).confirm(LATER_RUN, found("1", is_newer=False), others) == 1


@pytest.mark.parametrize(
    ("window", "confirmed_again"),
    [
        pytest.param((START, END), 0, id="that-read-as-much"),
        pytest.param((START - HOUR, END), 0, id="that-read-more"),
        pytest.param((START + HOUR, END), 1, id="that-read-less"),
        pytest.param((START, END - HOUR), 1, id="that-ended-earlier"),
    ],
)
def test_an_order_is_confirmed_once_for_an_extraction_that_stays_open_for_days(
    ledger: Ledger, window: tuple[datetime, datetime], confirmed_again: int
) -> None:
    start_extraction(ledger, RUN, START, END)
    start_extraction(ledger, LATER_RUN, *window)
    confirm(ledger, LATER_RUN, found("1", is_newer=False))
    Extractions(ledger).close(LATER_RUN)
    start_extraction(ledger, THIRD_RUN, START, END)

    assert confirm(ledger, THIRD_RUN, found("1", is_newer=False)) == confirmed_again


def test_an_extraction_confirms_an_order_once_however_often_it_compares(ledger: Ledger) -> None:
    start_extraction(ledger, RUN, START, END + HOUR)
    start_extraction(ledger, LATER_RUN, START, END)
    orders = found("1", is_newer=False)

    assert [confirm(ledger, LATER_RUN, orders) for _ in range(3)] == [1, 0, 0]


def test_what_was_confirmed_before_an_extraction_read_does_not_count_for_it(ledger: Ledger) -> None:
    start_extraction(ledger, RUN, START, END)
    start_extraction(ledger, LATER_RUN, START, END)
    confirm(ledger, LATER_RUN, found("1", is_newer=False))
    start_extraction(ledger, THIRD_RUN, START, END)
    start_extraction(ledger, replace(THIRD_RUN, extraction_id="extraction-4"), START, END)

    # The third extraction is open as well, and read after that confirmation.
    assert confirm(ledger, replace(THIRD_RUN, extraction_id="extraction-4"), found("1", is_newer=False)) == 1


def test_an_order_keeps_its_newest_confirmed_version_and_those_of_the_last_week(ledger: Ledger) -> None:
    for run in (WEEK_OLD, RUN, LATER_RUN):
        start_extraction(ledger, run, START, END)
    for hours, run in enumerate((WEEK_OLD, RUN, LATER_RUN)):
        if run is LATER_RUN:
            Extractions(ledger).close(WEEK_OLD)
            with ledger.engine.begin() as connection:
                connection.exec_driver_sql("DELETE FROM rees46_extractions WHERE extraction_id = 'extraction-0'")
        confirm(ledger, run, found("1", "other" if run is WEEK_OLD else "1", at=NOON + hours * HOUR)[:1])
        if run is WEEK_OLD:
            confirm(ledger, run, found("other", at=NOON))

    assert confirmed_versions(ledger) == [
        ("other", NOON, WEEK_OLD.extraction_id),
        ("1", NOON + HOUR, RUN.extraction_id),
        ("1", NOON + 2 * HOUR, LATER_RUN.extraction_id),
    ]


def test_the_id_of_a_removed_confirmation_is_never_assigned_again(ledger: Ledger) -> None:
    """A change token contains it."""
    start_extraction(ledger, WEEK_OLD, START, END)
    confirm(ledger, WEEK_OLD, found("1"))
    [former] = select_rows(ledger, confirmations)
    Extractions(ledger).remove_older("test", FAR_FUTURE + HOUR)
    start_extraction(ledger, RUN, START, END)

    assert confirm(ledger, RUN, found("1", at=NOON + HOUR)) == 1

    [left] = select_rows(ledger, confirmations)
    assert left["id"] > former["id"]


def test_more_orders_than_one_statement_looks_up_are_all_confirmed(ledger: Ledger) -> None:
    ids = [f"{number:06}" for number in range(LOOKUP_CHUNK + 5)]
    for run in (RUN, LATER_RUN):
        start_extraction(ledger, run, START, END)

    assert confirm(ledger, LATER_RUN, found(*ids, is_newer=False)) == len(ids)
    assert confirm(ledger, LATER_RUN, found(*ids, is_newer=False)) == 0


def test_the_change_token_changes_with_what_others_sent_send_and_confirmed(ledger: Ledger) -> None:
    requests = Requests(ledger)
    for run in (RUN, LATER_RUN, OF_ANOTHER_SHOP):
        start_extraction(ledger, run, START, END)
    tokens = [requests.change_token(RUN)]
    accept(ledger, RUN, 0, build_orders(("1", 1)))
    open_request(ledger, RUN, build_orders(("1", 1)))
    accept(ledger, OF_ANOTHER_SHOP, 0, build_orders(("1", 1)))
    confirm(ledger, RUN, found("1"))
    confirm(ledger, OF_ANOTHER_SHOP, found("1"))
    assert requests.change_token(RUN) == tokens[0]

    for change in (
        lambda: confirm(ledger, LATER_RUN, found("1")),
        lambda: open_request(ledger, LATER_RUN, build_orders(("2", 1))),
        lambda: accept(ledger, LATER_RUN, 0, build_orders(("2", 1))),
        lambda: requests.take_lease("test"),
    ):
        change()
        tokens.append(requests.change_token(RUN))

    assert len(set(tokens)) == 5
