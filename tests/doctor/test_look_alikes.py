"""Order ids and statuses that look right and are not."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rees46_sync.doctor.findings import Level
from rees46_sync.doctor.look_alikes import OddIds, find_spellings, invisible_in_statuses
from rees46_sync.warehouse import newest


def kinds_of(*ids: str) -> dict[str, list[str]]:
    """Return the kinds of these order ids, each with its examples."""
    odd = OddIds()
    for order_id in ids:
        odd.add(pa.chunked_array([[order_id]]))
    return {finding.check: finding.data["examples"] for finding in odd.findings()}


@pytest.mark.parametrize(
    ("order_id", "kinds"),
    [
        pytest.param(" 7", ["ids.blank_ends"], id="blank-first"),
        pytest.param("7 \t", ["ids.blank_ends"], id="blanks-last"),
        pytest.param("7\u2003", ["ids.blank_ends", "ids.invisible"], id="wide-blank-last"),
        pytest.param('"7"', ["ids.quoted"], id="double-quotes"),
        pytest.param("'a b'", ["ids.quoted"], id="single-quotes"),
        pytest.param("1.005e3", ["ids.exponent"], id="exponent"),
        pytest.param("1.23457E+11", ["ids.exponent"], id="exponent-of-a-spreadsheet"),
        pytest.param("1e15", ["ids.exponent"], id="exponent-of-a-double"),
        pytest.param("-1e+06", ["ids.exponent"], id="negative"),
        pytest.param("7\u200b", ["ids.invisible"], id="zero-width-space"),
        pytest.param("\ufeff7", ["ids.invisible"], id="byte-order-mark"),
        pytest.param("7\u00a08", ["ids.invisible"], id="no-break-space"),
        pytest.param("7", [], id="number"),
        pytest.param("заказ 7", [], id="words"),
        pytest.param(" ", [], id="only-blanks"),
        pytest.param('7"', [], id="one-quote"),
        pytest.param("123e4567", [], id="hexadecimal"),
        pytest.param("1.005", [], id="decimal"),
        pytest.param("e5", [], id="letter-and-digit"),
        pytest.param("late-🎁", [], id="emoji"),
    ],
)
def test_an_order_id_that_only_looks_right_is_of_a_kind(order_id: str, kinds: list[str]) -> None:
    assert sorted(kinds_of(order_id)) == kinds


def test_a_kind_has_a_count_and_at_most_ten_short_examples_of_which_everything_is_visible() -> None:
    odd = OddIds()
    for chunk in range(3):
        odd.add(pa.chunked_array([[f"{chunk}{number}\u200b" for number in range(7)], ["x" * 1000 + "\u200b", "8"]]))

    [finding] = odd.findings()

    assert finding.value.startswith("24 order ids have characters that are not visible, or look like a blank, for")
    assert finding.value.isprintable()
    assert (finding.level, finding.data["orders"], len(finding.data["examples"])) == (Level.WARNING, 24, 10)
    assert max(map(len, finding.data["examples"])) == 100


def stage(folder: Path, *partitions: list[str | None]) -> Path:
    for index, ids in enumerate(partitions):
        pq.write_table(pa.table({"order_id": pa.array(ids, pa.string())}), folder / f"partition-{index:04}.parquet")
    return folder


def test_ids_that_differ_in_case_only_are_found_across_partitions(tmp_path: Path) -> None:
    folder = stage(tmp_path, ["AB", "Ä", "cd", "7"], ["Ab", "ab", "cd", "ä", None, "7", ""])

    spellings = find_spellings(folder)

    assert (spellings.count, spellings.examples) == (2, [("AB", "ab"), ("Ä", "ä")])
    [finding] = spellings.findings()
    assert "for example 'AB' and 'ab', 'Ä' and 'ä'" in finding.value


def test_ids_without_other_spellings_are_no_finding(tmp_path: Path) -> None:
    assert list(find_spellings(stage(tmp_path, ["a", "b", "a"])).findings()) == []


@pytest.mark.parametrize("spellings", [1, 2])
def test_more_order_ids_than_fit_into_memory_are_compared_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spellings: int
) -> None:
    monkeypatch.setattr(newest, "SORT_MEMORY", "24MB")
    ids = [f"{'order' if number % spellings else 'ORDER'}-{number // spellings:060}" for number in range(400_000)]

    found = find_spellings(stage(tmp_path, ids))

    assert found.count == (200_000 if spellings == 2 else 0)


@pytest.mark.parametrize(
    "character",
    ["\u200b", "\u200d", "\ufeff", "\u00ad", "\u00a0", "\u202f", "\u200e", "\u202e", "\u2066", "\x00", "\U000e0001"],
)
def test_a_status_with_a_character_that_is_not_visible_is_shown_with_its_code(character: str) -> None:
    status = f"new{character}paid"

    [finding] = invisible_in_statuses({status: 3, "new": 5}, ["new"])

    assert (finding.level, finding.data) == (Level.WARNING, {"orders": 3, "examples": [status]})
    assert repr(status) in finding.value
    assert finding.value.isprintable()


def test_a_status_that_is_mapped_as_it_is_needs_nothing() -> None:
    [finding] = invisible_in_statuses({"on\u200chold": 1}, ["on\u200chold"])

    assert (finding.level, finding.remedy) == (Level.OK, "")


def test_visible_statuses_are_no_finding() -> None:
    assert list(invisible_in_statuses({"on hold": 1, "ждёт": 2, "🎁": 1}, [])) == []
