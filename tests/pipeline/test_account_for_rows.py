"""The closed sum of a run: whatever became of its tasks, every row that was read is accounted for once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rees46_sync.exceptions import AccountingError
from rees46_sync.pipeline.account_for_rows import Account, Results, close, reasons_of, report
from rees46_sync.shop.shop import Shop, load_shop
from tests.conftest import ShopUnderTest

Descriptor = dict[str, Any]


def reading(read: int = 100, superseded: int = 10) -> Descriptor:
    window = {"window_start": "2026-03-01T07:00:00+00:00", "window_end": "2026-03-01T08:00:00+00:00"}
    return {"extraction_id": "reading-1", "read": read, "superseded": superseded, **window}


def partition(index: int, rows: int) -> Descriptor:
    return {"index": index, "rows": rows, "path": "/staging/part"}


def judged(index: int, valid: int, rejected: int, **more: Any) -> Descriptor:
    return {"index": index, "valid": valid, "rejected": rejected, "reasons": {}, "unmapped": [], **more}


def built(index: int, orders: int, unchanged: int = 0, stale: int = 0, reopened: int = 0) -> Descriptor:
    by_status = {"0": 0, "1": orders - orders // 3, "2": orders // 3}
    held_back = {"unchanged": unchanged, "stale": stale, "reopened": reopened}
    return {"index": index, "orders": orders, "by_status": by_status, **held_back}


def loaded(index: int, sent: int, unchanged: int = 0, stale: int = 0, reopened: int = 0, failed: int = 0) -> Descriptor:
    orders = sent + unchanged + stale + reopened + failed
    counts = {"sent": sent, "unchanged": unchanged, "stale": stale, "reopened": reopened, "failed": failed}
    return {"index": index, "extraction_id": "reading-1", "orders": orders, **counts}


PARTITIONS = [partition(0, 60), partition(1, 30)]
JUDGED = [judged(0, 55, 5), judged(1, 28, 2)]
BUILT = [built(0, 50, unchanged=3, stale=1, reopened=1), built(1, 20, unchanged=8)]
LOADED = [loaded(0, 50), loaded(1, 20)]
ALL_WELL = Results(
    reading=reading(),
    partitions=PARTITIONS,
    judged=JUDGED,
    built=BUILT,
    approved=BUILT,
    loaded=LOADED,
    delivered={0: 50, 1: 20},
    requests=2,
)
READ = {"read": 100, "superseded": 10}
HELD_BACK = {"unchanged": 11, "stale": 1, "reopened": 1, "rejected": 7}
STOPPED = "approve_changes stopped the run before anything was sent"

FINISHED = [
    pytest.param({}, {**HELD_BACK, "sent": 70, "requests": 2}, id="everything-fine"),
    pytest.param({"requests": 9}, {**HELD_BACK, "sent": 70, "requests": 9}, id="some-requests-were-repeated"),
    pytest.param(
        {"loaded": [loaded(0, 50), loaded(1, 15, unchanged=2, stale=2, reopened=1)], "delivered": {0: 50, 1: 15}},
        {"unchanged": 13, "stale": 3, "reopened": 2, "rejected": 7, "sent": 65, "requests": 2},
        id="another-run-sent-some-meanwhile",
    ),
    pytest.param(
        {"loaded": [loaded(0, 0, stale=50), loaded(1, 20)], "delivered": {1: 20}},
        {"unchanged": 11, "stale": 51, "reopened": 1, "rejected": 7, "sent": 20, "requests": 2},
        id="another-run-sent-a-whole-partition",
    ),
    pytest.param(
        {"built": [BUILT[0], built(1, 0, unchanged=28)], "approved": BUILT[:1], "loaded": LOADED[:1]},
        {"unchanged": 31, "stale": 1, "reopened": 1, "rejected": 7, "sent": 50, "requests": 2},
        id="a-partition-with-nothing-to-send",
    ),
    pytest.param(
        {"built": [built(0, 0, unchanged=55), built(1, 0, unchanged=28)], "approved": [], "loaded": [], "requests": 0},
        {"unchanged": 83, "rejected": 7},
        id="nothing-to-send-at-all",
    ),
    pytest.param(
        {"judged": list(reversed(JUDGED)), "loaded": list(reversed(LOADED))},
        {**HELD_BACK, "sent": 70, "requests": 2},
        id="results-in-another-order",
    ),
]


@pytest.mark.parametrize(("changes", "account"), FINISHED)
def test_a_run_whose_tasks_all_finished_is_a_success(changes: Mapping[str, Any], account: Mapping[str, int]) -> None:
    closing = close(replace(ALL_WELL, **changes))

    assert closing.account == Account(**READ, **account)
    assert closing.unfinished == []
    assert closing.sent_twice == 0
    assert closing.as_row == asdict(Account(**READ, **account))


UNFINISHED = [
    pytest.param(
        {"judged": JUDGED[:1], "built": BUILT[:1], "approved": None, "loaded": [], "delivered": {}, "requests": 0},
        {"unchanged": 3, "stale": 1, "reopened": 1, "rejected": 5, "failed": 80},
        ["validate_statuses of partition 1 did not finish: 30 rows"],
        id="validation-of-one-partition",
    ),
    pytest.param(
        {"judged": [], "built": [], "approved": None, "loaded": [], "delivered": {}, "requests": 0},
        {"failed": 90},
        [
            "validate_statuses of partition 0 did not finish: 60 rows",
            "validate_statuses of partition 1 did not finish: 30 rows",
        ],
        id="validation-of-all-partitions",
    ),
    pytest.param(
        {"built": BUILT[1:], "approved": None, "loaded": [], "delivered": {}, "requests": 0},
        {"unchanged": 8, "rejected": 7, "failed": 75},
        ["build_batches of partition 0 did not finish: 55 rows"],
        id="batches-of-one-partition",
    ),
    pytest.param(
        {"approved": None, "loaded": [], "delivered": {}, "requests": 0},
        {**HELD_BACK, "failed": 70},
        [STOPPED],
        id="a-limit-stopped-the-run",
    ),
    pytest.param(
        {"built": [built(0, 0, unchanged=55), built(1, 0, unchanged=28)], "approved": None, "loaded": []},
        {"unchanged": 83, "rejected": 7, "requests": 2},
        [STOPPED],
        id="a-limit-stopped-a-run-with-nothing-to-send",
    ),
    pytest.param(
        {"loaded": [loaded(0, 50), loaded(1, 12, failed=8)], "delivered": {0: 50, 1: 12}},
        {**HELD_BACK, "sent": 62, "failed": 8, "requests": 2},
        ["load_batches of partition 1 could not send 8 orders"],
        id="some-orders-were-not-accepted",
    ),
    pytest.param(
        {"loaded": LOADED[:1], "delivered": {0: 50, 1: 12}},
        {**HELD_BACK, "sent": 62, "failed": 8, "requests": 2},
        ["load_batches of partition 1 did not finish: 8 orders not sent"],
        id="loading-was-killed-half-way",
    ),
    pytest.param(
        {"loaded": LOADED[1:], "delivered": {1: 20}},
        {**HELD_BACK, "sent": 20, "failed": 50, "requests": 2},
        ["load_batches of partition 0 did not finish: 50 orders not sent"],
        id="loading-never-began",
    ),
    pytest.param(
        {"loaded": [loaded(0, 0, stale=50) | {"extraction_id": "reading-0"}, LOADED[1]], "delivered": {1: 20}},
        {**HELD_BACK, "sent": 20, "failed": 50, "requests": 2},
        ["load_batches of partition 0 did not finish: 50 orders not sent"],
        id="loading-was-not-started-again-after-an-earlier-reading",
    ),
    pytest.param(
        {"loaded": LOADED[:1]},
        {**HELD_BACK, "sent": 70, "requests": 2},
        ["load_batches of partition 1 did not finish: 0 orders not sent"],
        id="loading-was-killed-at-its-end",
    ),
    pytest.param(
        {"loaded": LOADED[:1], "delivered": {0: 50, 1: 33}},
        {**HELD_BACK, "sent": 70, "requests": 2},
        ["load_batches of partition 1 did not finish: 0 orders not sent"],
        id="two-tries-overlapped-and-were-killed",
    ),
    pytest.param(
        {"approved": None, "loaded": [], "delivered": {}, "requests": 0, "dry_run": True},
        {**HELD_BACK, "failed": 70},
        [STOPPED],
        id="approval-of-a-dry-run-failed",
    ),
]


@pytest.mark.parametrize(("changes", "account", "unfinished"), UNFINISHED)
def test_what_did_not_finish_is_counted_as_failed_and_named(
    changes: Mapping[str, Any], account: Mapping[str, int], unfinished: list[str]
) -> None:
    closing = close(replace(ALL_WELL, **changes))

    assert closing.account == Account(**READ, **account)
    assert closing.unfinished == unfinished


def test_a_run_that_read_nothing_because_extract_failed_is_no_quiet_zero() -> None:
    closing = close(Results(reading=None))

    assert closing.account == Account()
    assert closing.unfinished == ["extract_orders did not finish: nothing was read"]


def test_a_run_that_found_no_rows_is_a_success() -> None:
    closing = close(Results(reading=reading(read=0, superseded=0)))

    assert closing.account == Account()
    assert closing.unfinished == []


def test_a_dry_run_says_what_it_would_have_sent() -> None:
    dry_run = replace(ALL_WELL, approved=[], loaded=[], delivered={}, requests=0, dry_run=True)

    closing = close(dry_run)

    assert closing.account == Account(**READ, **HELD_BACK)
    assert closing.would_send == Counter({"0": 0, "1": 48, "2": 22})
    assert closing.as_row == asdict(closing.account) | {"would_send": 70}
    assert closing.unfinished == []


def test_what_two_overlapping_tries_sent_twice_is_counted_once_and_noted() -> None:
    closing = close(replace(ALL_WELL, delivered={0: 53, 1: 24}))

    assert closing.account == Account(**READ, **HELD_BACK, sent=70, requests=2)
    assert closing.sent_twice == 7
    assert closing.unfinished == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"reading": reading(read=101)}, "read 101, accounted for 100", id="a-row-too-few"),
        pytest.param({"reading": reading(read=99)}, "read 99, accounted for 100", id="a-row-too-many"),
        pytest.param({"reading": reading(superseded=9)}, "read 100, accounted for 99", id="superseded"),
        pytest.param({"partitions": PARTITIONS[:1]}, "read 100, accounted for 70", id="a-partition-is-missing"),
        pytest.param({"judged": [JUDGED[0], judged(1, 28, 3)]}, "accounted for 101", id="judged"),
        pytest.param({"built": [BUILT[0], built(1, 20, unchanged=7)]}, "accounted for 99", id="built"),
        pytest.param({"loaded": [LOADED[0], loaded(1, 19)]}, "accounted for 99", id="loaded"),
        pytest.param(
            {"built": [BUILT[0], BUILT[1] | {"by_status": {"1": 19}}], "loaded": [], "approved": [], "dry_run": True},
            "accounted for 99",
            id="would-be-sent",
        ),
    ],
)
def test_a_sum_that_does_not_close_is_an_error(changes: Mapping[str, Any], words: str) -> None:
    with pytest.raises(AccountingError, match=f"The sum of this run does not close: .*{words}.*report it"):
        close(replace(ALL_WELL, **changes))


@pytest.mark.parametrize("delivered", [{0: 49, 1: 20}, {1: 20}, {0: 20, 1: 50}])
def test_a_task_that_counts_more_as_sent_than_the_ledger_holds_is_an_error(delivered: dict[int, int]) -> None:
    words = f"load_batches of partition 0 counts 50 orders as sent, the ledger {delivered.get(0, 0)}"

    with pytest.raises(AccountingError, match=words):
        close(replace(ALL_WELL, delivered=delivered))


COUNT = st.integers(0, 40)
STEPS = ["not judged", "judged", "built", "killed", "loaded"]


@settings(max_examples=200, database=None, deadline=None)
@given(
    rows=st.lists(st.tuples(st.lists(COUNT, min_size=9, max_size=9), st.sampled_from(STEPS)), max_size=5),
    superseded=COUNT,
    stopped=st.booleans(),
    dry_run=st.booleans(),
)
def test_whatever_task_fails_the_sum_closes_and_no_failed_row_is_passed_over(
    rows: Sequence[tuple[list[int], str]], superseded: int, stopped: bool, dry_run: bool
) -> None:
    """Nothing is sent unless every partition was built and the run was approved, as in the DAG."""
    parts: dict[str, list[Descriptor]] = {"partitions": [], "judged": [], "built": [], "loaded": []}
    delivered: dict[int, int] = {}
    sends = not stopped and not dry_run and all(step not in ("not judged", "judged") for _, step in rows)
    approves = not stopped and all(step not in ("not judged", "judged") for _, step in rows)
    for index, (counts, step) in enumerate(rows):
        rejected, unchanged, stale, reopened, *tally = counts
        orders = sum(tally)
        valid = unchanged + stale + reopened + orders
        parts["partitions"].append(partition(index, valid + rejected))
        if step != "not judged":
            parts["judged"].append(judged(index, valid, rejected))
        if step not in ("not judged", "judged"):
            parts["built"].append(built(index, orders, unchanged, stale, reopened))
        if sends and orders and step in ("killed", "loaded"):
            delivered[index] = tally[0]
        if sends and orders and step == "loaded":
            parts["loaded"].append(loaded(index, *tally))
    read = superseded + sum(one["rows"] for one in parts["partitions"])
    approved = None if not approves else [] if dry_run else parts["built"]

    closing = close(
        Results(reading(read, superseded), approved=approved, delivered=delivered, dry_run=dry_run, **parts)
    )

    row = closing.as_row
    assert row.pop("read") == read
    assert row.pop("requests") == 0
    assert sum(row.values()) == read
    assert bool(closing.account.failed) <= bool(closing.unfinished)
    assert closing.account.sent == sum(delivered.values())


def test_reasons_of_all_partitions_are_added_up() -> None:
    reasons = [judged(0, 1, 1, reasons={"status_unmapped": 2}), judged(1, 1, 1, reasons={"status_unmapped": 3})]

    assert reasons_of(reasons) == {"status_unmapped": 5}
    assert reasons_of([]) == {}


# The report


@pytest.fixture
def definition(shop: ShopUnderTest) -> Shop:
    return shop.configure()


def lines_of(text: str) -> list[str]:
    """The text without frames and repeated blanks."""
    return [" ".join(re.sub("[─-╿]", " ", line).split()) for line in text.splitlines()]


def test_the_report_names_the_window_and_every_count(definition: Shop) -> None:
    results = replace(
        ALL_WELL,
        reading=reading(read=12_100, superseded=12_010),
        loaded=[loaded(0, 46, failed=4), LOADED[1]],
        delivered={0: 46, 1: 20},
        requests=1_234,
    )

    lines = lines_of(report(definition, results, close(results)))

    assert lines[0] == "Account of test, window [2026-03-01 07:00:00, 2026-03-01 08:00:00) UTC"
    for count in (
        "12,100 read",
        "66 sent accepted by REES46, in 1,234 requests",
        "11 unchanged",
        "12,010 superseded",
        "1 stale",
        "1 reopened",
        "7 rejected broke a check: see rees46_rejected_orders",
        "4 failed",
    ):
        assert [line for line in lines if line.startswith(count)], count
    assert not [line for line in lines if "would be sent" in line]
    assert lines[-1] == "! load_batches of partition 0 could not send 4 orders"


def test_the_report_of_a_dry_run_says_what_would_be_sent(definition: Shop) -> None:
    dry_run = replace(ALL_WELL, approved=[], loaded=[], delivered={}, requests=0, dry_run=True)

    lines = lines_of(report(definition, dry_run, close(dry_run)))

    assert "70 would be sent dry run: 0 created, 48 completed, 22 cancelled" in lines
    assert "7 rejected broke a check: a dry run does not store them" in lines


def with_preview(batches: Descriptor, day: str, order_id: str) -> Descriptor:
    example = [order_id, "delivered", "completed", "created", f"{day} 12:00:00"]
    return batches | {"preview": {"counts": {day: batches["by_status"]}, "examples": [example]}}


def test_the_report_of_a_dry_run_shows_days_and_examples_of_all_partitions(definition: Shop) -> None:
    previewed = [with_preview(BUILT[0], "2026-02-28", "one"), with_preview(BUILT[1], "2026-03-01", "two")]
    dry_run = replace(ALL_WELL, built=previewed, approved=[], loaded=[], delivered={}, requests=0, dry_run=True)

    lines = lines_of(report(definition, dry_run, close(dry_run)))

    shown = [line for line in lines if re.search("2026-0|by day|order id", line)]
    assert shown[1:] == [
        "Would be sent, by day of updated_at",
        "2026-02-28 0 34 16",
        "2026-03-01 0 14 6",
        "order id status to become REES46 has updated_at",
        "one delivered completed created 2026-02-28 12:00:00",
        "two delivered completed created 2026-03-01 12:00:00",
    ]


def test_the_report_of_a_dry_run_that_was_stopped_shows_nothing_as_if_it_would_be_sent(definition: Shop) -> None:
    previewed = [with_preview(batches, "2026-03-01", "one") for batches in BUILT]
    stopped = replace(ALL_WELL, built=previewed, approved=None, loaded=[], delivered={}, requests=0, dry_run=True)

    assert "by day of updated_at" not in report(definition, stopped, close(stopped))


def test_the_report_of_a_run_that_read_nothing_says_why(definition: Shop) -> None:
    results = Results(reading=None)

    lines = lines_of(report(definition, results, close(results)))

    assert lines[0] == "Account of test, window unknown"
    assert lines[-1] == "! extract_orders did not finish: nothing was read"


def test_the_report_notes_what_was_sent_twice(definition: Shop) -> None:
    results = replace(ALL_WELL, delivered={0: 1_550, 1: 20})

    assert (
        "1,500 orders were sent twice in the same status" in lines_of(report(definition, results, close(results)))[-1]
    )


REASONS = [
    judged(0, 55, 5, reasons={"status_unmapped": 4, "order_id_blank": 1}, unmapped=[("parked", 4, None)]),
    judged(1, 28, 2, reasons={"status_unmapped": 1_002}, unmapped=[("parked", 1_000, "order-77"), ("lost", 2, "8")]),
    judged(2, 0, 1, reasons={"status_unmapped": 1}, unmapped=[("parked", 1, "order-78")]),
]


def test_the_report_lists_reasons_and_unmapped_statuses_most_frequent_first(definition: Shop) -> None:
    results = replace(ALL_WELL, judged=REASONS)

    lines = lines_of(report(definition, results, close(results)))

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
    results = replace(ALL_WELL, judged=REASONS)

    text = report(definition, results, close(results))

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
def test_each_of_the_three_lines_to_add_works_as_it_stands(shop: ShopUnderTest, status: str) -> None:
    definition = shop.configure(statuses={"created": ["new, or so"], "completed": ["on the way"], "cancelled": []})
    results = replace(ALL_WELL, judged=[judged(0, 55, 5, unmapped=[(status, 5, "1")]), JUDGED[1]])

    proposed = report(definition, results, close(results)).splitlines()[-3:]

    old = {"created": '["new, or so"]', "completed": "[on the way]", "cancelled": "[]"}
    for code, line in enumerate(proposed):
        name, _, listed = line.strip().partition(": ")
        lists = "".join(f"  {key}: {value}\n" for key, value in (old | {name: listed}).items())
        rest = yaml.safe_load(definition.file.read_text())
        del rest["statuses"]
        file = definition.file.with_name(f"{name}.yaml")
        file.write_text(f"{yaml.safe_dump(rest)}statuses:\n{lists}")
        assert load_shop(file).codes == {"new, or so": 0, "on the way": 1, status: code}
