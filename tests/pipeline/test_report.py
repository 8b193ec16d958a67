"""The account of a run as text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from rees46_sync.pipeline.closed_sum import NO_CAUSE, RunResults, close_sum
from rees46_sync.pipeline.report import report
from rees46_sync.shop.shop import STATUS_NAMES, Shop
from rees46_sync.shop.shop_file import load_shop
from rees46_sync.validation.expectations import UnmappedStatus
from tests.conftest import ShopUnderTest
from tests.pipeline.results import (
    ALL_WELL,
    BUILT,
    LOADED,
    VALIDATED,
    Descriptor,
    built,
    extraction,
    loaded,
    validated,
)


@pytest.fixture
def definition(shop: ShopUnderTest) -> Shop:
    return shop.configure()


def lines_of(text: str) -> list[str]:
    """The text without frames and repeated blanks."""
    return [" ".join(re.sub("[─-╿]", " ", line).split()) for line in text.splitlines()]


def test_the_report_names_the_window_and_every_count(definition: Shop) -> None:
    results = replace(
        ALL_WELL,
        extraction=extraction(read=12_100, superseded=12_010),
        loaded=[loaded(0, 46, failed=4), LOADED[1]],
        accepted={0: 46, 1: 20},
        requests=1_234,
    )

    lines = lines_of(report(definition, results, close_sum(results)))

    assert lines[0] == "Account of test, window [2026-03-01 07:00:00, 2026-03-01 08:00:00) UTC"
    for count in (
        "12,100 read",
        "66 sent accepted by REES46, in 1,234 requests",
        "11 unchanged",
        "12,010 superseded",
        "1 stale",
        "1 reopened",
        "7 rejected failed a check: see rees46_rejected_orders",
        "4 failed",
    ):
        assert [line for line in lines if line.startswith(count)], count
    assert not [line for line in lines if "would be sent" in line]
    assert lines[-2:] == ["! load_batches of partition 0 could not send 4 orders", f"To do: {NO_CAUSE}."]


def test_the_report_of_a_dry_run_says_what_would_be_sent(definition: Shop) -> None:
    dry_run = replace(ALL_WELL, approved=[], loaded=[], accepted={}, requests=0, dry_run=True)

    lines = lines_of(report(definition, dry_run, close_sum(dry_run)))

    assert "70 would be sent dry run: 0 created, 48 completed, 22 cancelled" in lines
    assert "7 rejected failed a check: a dry run does not store them" in lines


def with_preview(batches: Descriptor, day: str, order_id: str) -> Descriptor:
    example = [order_id, "delivered", "completed", "created", f"{day} 12:00:00"]
    return batches | {"preview": {"counts": {day: batches["by_status"]}, "examples": [example]}}


def test_the_report_of_a_dry_run_shows_days_and_examples_of_all_partitions(definition: Shop) -> None:
    previewed = [with_preview(BUILT[0], "2026-02-28", "one"), with_preview(BUILT[1], "2026-03-01", "two")]
    dry_run = replace(ALL_WELL, built=previewed, approved=[], loaded=[], accepted={}, requests=0, dry_run=True)

    lines = lines_of(report(definition, dry_run, close_sum(dry_run)))

    shown = [line for line in lines if re.search("2026-0|by day|order id", line)]
    assert shown[1:] == [
        "Would be sent, by day of updated_at",
        "2026-02-28 0 34 16",
        "2026-03-01 0 14 6",
        "order id status to become REES46 has updated_at",
        "one delivered completed created 2026-02-28 12:00:00",
        "two delivered completed created 2026-03-01 12:00:00",
    ]


def test_the_report_of_a_dry_run_that_was_stopped_shows_no_orders_as_to_be_sent(definition: Shop) -> None:
    previewed = [with_preview(batches, "2026-03-01", "one") for batches in BUILT]
    stopped = replace(ALL_WELL, built=previewed, approved=None, loaded=[], accepted={}, requests=0, dry_run=True)

    assert "by day of updated_at" not in report(definition, stopped, close_sum(stopped))


def test_the_report_of_a_run_that_read_nothing_says_why(definition: Shop) -> None:
    results = RunResults(extraction=None)

    lines = lines_of(report(definition, results, close_sum(results)))

    assert lines[0] == "Account of test, window unknown"
    assert lines[-2:] == ["! extract_orders did not finish, so nothing was read", f"To do: {NO_CAUSE}."]


def test_the_report_notes_what_was_sent_twice(definition: Shop) -> None:
    results = replace(ALL_WELL, accepted={0: 1_550, 1: 20})

    assert (
        "1,500 orders were sent twice in the same status"
        in lines_of(report(definition, results, close_sum(results)))[-1]
    )


def test_the_report_says_what_to_look_at_if_orders_are_held_back_as_reopened(definition: Shop) -> None:
    held_back = [built(0, 46, unchanged=3, stale=1, reopened=5), built(1, 20, unchanged=6, reopened=2)]
    results = replace(ALL_WELL, built=held_back, loaded=[loaded(0, 46), LOADED[1]], accepted={0: 46, 1: 20})

    [line] = [line for line in lines_of(report(definition, results, close_sum(results))) if "as reopened" in line]

    assert line.startswith("Held back as reopened: 7, for example 'r0', 'r1', 'r2', 'r3', 'r4'. REES46 has")
    assert "test.yaml maps their status to created. If that mapping is wrong, correct it" in line
    assert "set allow_reopen: true" in line


def test_the_report_of_a_run_that_holds_nothing_back_does_not_speak_of_it(definition: Shop) -> None:
    results = replace(ALL_WELL, built=[built(0, 50, unchanged=4, stale=1), BUILT[1]])

    assert "as reopened" not in report(definition, results, close_sum(results))


REASONS = [
    validated(0, 55, 5, reasons={"status_unmapped": 4, "order_id_blank": 1}, unmapped=[("parked", 4, None)]),
    validated(1, 28, 2, reasons={"status_unmapped": 1_002}, unmapped=[("parked", 1_000, "order-77"), ("lost", 2, "8")]),
    validated(2, 0, 1, reasons={"status_unmapped": 1}, unmapped=[("parked", 1, "order-78")]),
]


def test_the_report_lists_reasons_and_unmapped_statuses_most_frequent_first(definition: Shop) -> None:
    results = replace(ALL_WELL, validated=REASONS)

    lines = [line for line in lines_of(report(definition, results, close_sum(results))) if "reopened:" not in line]

    assert lines[lines.index("Rejected, by reason (a row can have several):") + 1 :] == [
        "1,007 status_unmapped: the shop file does not map the status",
        "1 order_id_blank: the order id is blank",
        "Statuses that test.yaml does not map:",
        "1,005 'parked', for example order 'order-77'",
        "2 'lost', for example order '8'",
        "To map them, add to the list created, completed or cancelled in test.yaml, each line where its status "
        "belongs:",
        "- parked",
        "- lost",
    ]


def test_the_report_counts_the_orders_that_rees46_refuses_among_the_reasons(definition: Shop) -> None:
    results = replace(
        ALL_WELL,
        validated=[validated(0, 55, 5, reasons={"status_unmapped": 5}), VALIDATED[1]],
        loaded=[loaded(0, 48, rejected=2), LOADED[1]],
        accepted={0: 48, 1: 20},
    )

    lines = lines_of(report(definition, results, close_sum(results)))
    first = lines.index("Rejected, by reason (a row can have several):") + 1

    assert lines[first : first + 2] == [
        "5 status_unmapped: the shop file does not map the status",
        "2 refused_by_rees46: REES46 refuses the order even alone",
    ]


def test_the_report_shows_no_row_beyond_the_example_id(definition: Shop) -> None:
    results = replace(ALL_WELL, validated=REASONS)

    text = report(definition, results, close_sum(results))

    assert re.findall("order-[a-z0-9]+", text) == ["order-77"]


@pytest.mark.parametrize("name", STATUS_NAMES)
def test_the_lines_to_add_stand_in_the_report_as_they_are_pasted_into_the_shop_file(
    shop: ShopUnderTest, name: str
) -> None:
    definition = shop.configure(statuses={"created": ["new, or so"], "completed": ["paid"], "cancelled": ["lost"]})
    statuses = ["parked", "ждёт", "late :x: or lost", "new\u200b", "x\x00", 'the "new" one', "s" * 150]
    packed = [UnmappedStatus(status, 5, "1").packed() for status in statuses]
    results = replace(ALL_WELL, validated=[validated(0, 55, 5, unmapped=packed), VALIDATED[1]])

    text = report(definition, results, close_sum(results))

    lines = text.splitlines()[-len(statuses) :]
    content = definition.file.read_text()
    definition.file.write_text(re.sub(rf"  {name}:\n", lambda key: "\n".join([f"  {name}:", *lines, ""]), content))
    assert load_shop(definition.file).codes == definition.codes | dict.fromkeys(statuses, STATUS_NAMES.index(name))
    assert r"'new\u200b', for example order '1'" in text
