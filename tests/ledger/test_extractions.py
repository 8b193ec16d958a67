"""Extractions: which of two read the warehouse later."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.extractions import Extractions, OtherExtractions
from rees46_sync.ledger.tables import extractions
from tests.conftest import FAR_FUTURE, start_extraction
from tests.ledger.builders import LATER_RUN, NOON, RUN, select_rows

HOUR = timedelta(hours=1)
OF_ANOTHER_SHOP = replace(RUN, shop="another", extraction_id="extraction-of-another-shop")


def start(ledger: Ledger, name: str) -> None:
    run = LATER_RUN if name == "other" else RUN
    start_extraction(ledger, run, NOON - HOUR, NOON, has_read=False)


def finish(ledger: Ledger, name: str) -> None:
    Extractions(ledger).finish_reading(LATER_RUN if name == "other" else RUN)


@pytest.mark.parametrize(
    ("steps", "is_earlier", "is_later"),
    [
        pytest.param("start own, finish own", None, None, id="alone"),
        pytest.param("start other, finish other, start own, finish own", True, False, id="before"),
        pytest.param("start own, finish own, start other, finish other", False, True, id="after"),
        pytest.param("start own, finish own, start other", False, True, id="after-and-still-reading"),
        pytest.param("start other, start own, finish other, finish own", False, False, id="overlapping-first"),
        pytest.param("start own, start other, finish own, finish other", False, False, id="overlapping-second"),
        pytest.param("start other, start own, finish own, finish other", False, False, id="around"),
        pytest.param("start own, start other, finish other, finish own", False, False, id="inside"),
        pytest.param("start other, start own, finish own", False, False, id="never-finished"),
    ],
)
def test_two_extractions_follow_each_other_or_overlap(
    ledger: Ledger, steps: str, is_earlier: bool | None, is_later: bool | None
) -> None:
    start_extraction(ledger, OF_ANOTHER_SHOP, NOON - HOUR, NOON)
    for step in steps.split(", "):
        action, name = step.split()
        {"start": start, "finish": finish}[action](ledger, name)

    others = Extractions(ledger).others(RUN)

    other = LATER_RUN.extraction_id
    assert others.not_earlier == (frozenset({other}) if is_earlier is False else frozenset())
    assert dict(others.later) == ({other: (NOON - HOUR, NOON)} if is_later else {})
    assert len(others.open_earlier) == (1 if is_earlier else 0)


def test_an_earlier_extraction_is_open_until_its_run_ends(ledger: Ledger) -> None:
    start_extraction(ledger, RUN, NOON - HOUR, NOON)
    start_extraction(ledger, LATER_RUN, NOON - HOUR, NOON)
    [(mark, window_end)] = Extractions(ledger).others(LATER_RUN).open_earlier
    assert (mark, window_end) == (select_rows(ledger, extractions)[0]["id"], NOON)

    Extractions(ledger).close(RUN)

    assert Extractions(ledger).others(LATER_RUN) == OtherExtractions()


def test_extractions_are_removed_by_age_as_their_staged_files_are_for_each_shop(ledger: Ledger) -> None:
    for run, days in ((RUN, 8), (LATER_RUN, 6), (OF_ANOTHER_SHOP, 8)):
        Extractions(ledger).start(run, NOON - timedelta(days=days), (NOON - HOUR, NOON))

    Extractions(ledger).remove_older("test", NOON - timedelta(days=7))

    left = {row["extraction_id"] for row in select_rows(ledger, extractions)}
    assert left == {LATER_RUN.extraction_id, OF_ANOTHER_SHOP.extraction_id}


def test_the_number_of_a_removed_extraction_is_never_assigned_again(ledger: Ledger) -> None:
    start_extraction(ledger, RUN, NOON - HOUR, NOON)
    number = select_rows(ledger, extractions)[0]["id"]
    Extractions(ledger).remove_older("test", FAR_FUTURE + HOUR)

    start_extraction(ledger, LATER_RUN, NOON - HOUR, NOON)

    assert select_rows(ledger, extractions)[0]["id"] > number
