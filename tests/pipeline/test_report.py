"""The account of a run as text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import yaml

from rees46_sync.pipeline.closed_sum import RunResults, close_sum
from rees46_sync.pipeline.report import report
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.shop_file import load_shop
from tests.conftest import ShopUnderTest
from tests.pipeline.results import ALL_WELL, BUILT, LOADED, VALIDATED, Descriptor, extraction, loaded, validated


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
    assert lines[-1] == "! load_batches of partition 0 could not send 4 orders"


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
    assert lines[-1] == "! extract_orders did not finish: nothing was read"


def test_the_report_notes_what_was_sent_twice(definition: Shop) -> None:
    results = replace(ALL_WELL, accepted={0: 1_550, 1: 20})

    assert (
        "1,500 orders were sent twice in the same status"
        in lines_of(report(definition, results, close_sum(results)))[-1]
    )


REASONS = [
    validated(0, 55, 5, reasons={"status_unmapped": 4, "order_id_blank": 1}, unmapped=[("parked", 4, None)]),
    validated(1, 28, 2, reasons={"status_unmapped": 1_002}, unmapped=[("parked", 1_000, "order-77"), ("lost", 2, "8")]),
    validated(2, 0, 1, reasons={"status_unmapped": 1}, unmapped=[("parked", 1, "order-78")]),
]


def test_the_report_lists_reasons_and_unmapped_statuses_most_frequent_first(definition: Shop) -> None:
    results = replace(ALL_WELL, validated=REASONS)

    lines = lines_of(report(definition, results, close_sum(results)))

    assert lines[lines.index("Rejected, by reason (a row can have several):") + 1 :] == [
        "1,007 status_unmapped: the shop file does not map the status",
        "1 order_id_blank: the order id is blank",
        "Statuses that test.yaml does not map; add each to the line of what it means:",
        "1,005 'parked', for example order 'order-77'",
        "created: [new, paid, parked]",
        "completed: [delivered, parked]",
        "cancelled: [cancelled, fraud, parked]",
        "2 'lost', for example order '8'",
        "created: [new, paid, lost]",
        "completed: [delivered, lost]",
        "cancelled: [cancelled, fraud, lost]",
    ]


def test_the_report_shows_no_row_beyond_the_example_id(definition: Shop) -> None:
    results = replace(ALL_WELL, validated=REASONS)

    text = report(definition, results, close_sum(results))

    assert re.findall("order-[a-z0-9]+", text) == ["order-77"]


@pytest.mark.parametrize(
    "status",
    [
        pytest.param("parked", id="word"),
        pytest.param("on hold", id="two-words"),
        pytest.param("ждёт оплаты", id="cyrillic"),
        pytest.param("007", id="number"),
        pytest.param("no", id="no"),
        pytest.param("null", id="null"),
        pytest.param("NULL", id="null-in-capitals"),
        pytest.param("~", id="tilde"),
        pytest.param("-", id="hyphen"),
        pytest.param("state: sent", id="colon"),
        pytest.param("#1", id="hash"),
        pytest.param("sent, paid", id="comma"),
        pytest.param("[sent]", id="brackets"),
        pytest.param("it's", id="apostrophe"),
        pytest.param('the "new" one', id="quotes"),
        pytest.param("new\\old", id="backslash"),
        pytest.param("late :x: or lost", id="name-of-an-emoji"),
        pytest.param("s" * 150, id="150-characters"),
    ],
)
def test_each_of_the_three_lines_to_add_can_be_pasted_into_the_shop_file(shop: ShopUnderTest, status: str) -> None:
    definition = shop.configure(statuses={"created": ["new, or so"], "completed": ["on the way"], "cancelled": []})
    results = replace(ALL_WELL, validated=[validated(0, 55, 5, unmapped=[(status, 5, "1")]), VALIDATED[1]])

    proposed = report(definition, results, close_sum(results)).splitlines()[-3:]

    old = {"created": '["new, or so"]', "completed": "[on the way]", "cancelled": "[]"}
    for code, line in enumerate(proposed):
        name, _, listed = line.strip().partition(": ")
        lists = "".join(f"  {key}: {value}\n" for key, value in (old | {name: listed}).items())
        rest = yaml.safe_load(definition.file.read_text())
        del rest["statuses"]
        file = definition.file.with_name(f"{name}.yaml")
        file.write_text(f"{yaml.safe_dump(rest)}statuses:\n{lists}")
        assert load_shop(file).codes == {"new, or so": 0, "on the way": 1, status: code}
