"""The mappings that runs have used: a corrected one is known until it is applied to all that was sent before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rees46_sync.ledger import mappings
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.mappings import corrected_mapping, former_mappings, mapping_hash, mapping_text
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from rees46_sync.ledger.runs import Runs
from tests.conftest import accept
from tests.ledger.builders import RUN, build_orders, hour, named, regular, run_record

WRONG = {"new": 0, "returned": 1}
RIGHT = {"new": 0, "returned": 2}


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    opened = open_ledger()
    opened.migrate()
    return opened


def save(ledger: Ledger, run_id: str, mapping: dict[str, int] | None, **columns: Any) -> None:
    used = {"mapping": mapping_text(mapping), "mapping_hash": mapping_hash(mapping)} if mapping else {}
    Runs(ledger).save(**run_record(run_id, **{"finished_at": hour(999_999)} | used | columns))


def test_a_mapping_is_the_same_in_whatever_order_its_statuses_are_written() -> None:
    assert mapping_hash({"a": 1, "b": 2}) == mapping_hash({"b": 2, "a": 1}) != mapping_hash({"a": 2, "b": 1})


def test_former_mappings_are_those_of_other_runs_than_with_this_one(ledger: Ledger) -> None:
    save(ledger, "1", None)
    save(ledger, "2", WRONG, **regular(0, 1), finished_at=hour(1))
    save(ledger, "3", WRONG, **regular(1, 2), finished_at=hour(2))
    save(ledger, "4", RIGHT, **regular(2, 3), finished_at=hour(3))
    [former] = former_mappings(ledger, "test", RIGHT)
    assert (former.codes, former.until, former.window_start) == (WRONG, hour(2), hour(0))
    assert former_mappings(ledger, "other", RIGHT) == []


def test_a_correction_is_told_with_how_many_orders_it_concerns_until_it_is_applied(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 1), ("2", 1), ("3", 0)))
    save(ledger, "1", WRONG, **regular(0, 3))
    found = corrected_mapping(ledger, "test", RIGHT)
    assert found is not None
    assert (found.moved, found.orders, found.start) == ([("returned", 1, 2)], 2, hour(0))
    assert str(found) == (
        "'returned' was completed and is now cancelled: this concerns at most 2 orders sent or rejected before"
    )

    save(ledger, "2", RIGHT, **regular(1, 4))
    assert corrected_mapping(ledger, "test", RIGHT) is not None, "the first hour is not covered"
    save(ledger, "3", RIGHT, **named(0, 999_999, read_at=999_999))
    assert corrected_mapping(ledger, "test", RIGHT) is None


def test_a_status_that_was_not_mapped_concerns_the_rows_in_the_quarantine(ledger: Ledger) -> None:
    rejected = [RejectedRow(str(number), "packed", "2026-03-01", "status_unmapped") for number in range(3)]
    Quarantine(ledger).store("test", "run", rejected)
    save(ledger, "1", WRONG)
    found = corrected_mapping(ledger, "test", WRONG | {"packed": 0})
    assert found is not None
    assert (found.moved, found.orders) == ([("packed", None, 0)], 3)


@pytest.mark.parametrize("counted", [1, 2], ids=["more-than-are-counted", "as-many"])
def test_no_more_than_some_orders_are_counted(ledger: Ledger, counted: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mappings, "MAX_COUNTED", counted)
    accept(ledger, RUN, 0, build_orders(("1", 1), ("2", 1)))
    save(ledger, "1", WRONG)
    expected = "perhaps more than 1 orders" if counted == 1 else "at most 2 orders"
    assert f"this concerns {expected} sent or rejected before" in str(corrected_mapping(ledger, "test", RIGHT))


@pytest.mark.parametrize(
    "mapping",
    [
        pytest.param(WRONG, id="the-same"),
        pytest.param(WRONG | {"never seen": 0}, id="a-new-status"),
        pytest.param({"new": 0}, id="a-status-that-is-not-mapped-any-more"),
    ],
)
def test_another_change_is_no_correction(ledger: Ledger, mapping: dict[str, int]) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 1)))
    save(ledger, "1", WRONG)
    assert corrected_mapping(ledger, "test", mapping) is None
