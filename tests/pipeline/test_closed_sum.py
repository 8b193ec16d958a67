"""The closed sum of a run: however its tasks ended, every row that was read is accounted for once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rees46_sync.exceptions import AccountingError
from rees46_sync.ledger.runs import new_account
from rees46_sync.pipeline.causes import Cause
from rees46_sync.pipeline.closed_sum import NO_CAUSE, RunResults, close_sum, count_reasons
from tests.pipeline.results import (
    ALL_WELL,
    BUILT,
    LOADED,
    PARTITIONS,
    VALIDATED,
    Descriptor,
    built,
    cause,
    extraction,
    loaded,
    partition,
    validated,
)

READ = {"read": 100, "superseded": 10}
HELD_BACK = {"unchanged": 11, "stale": 1, "reopened": 1, "rejected": 7}
STOPPED = "approve_changes stopped the run before anything was sent"


def counts_of(**counts: int) -> dict[str, int]:
    """The counts of an account; those that are not named are 0."""
    return dict(new_account()) | counts


FINISHED = [
    pytest.param({}, {**HELD_BACK, "sent": 70, "requests": 2}, id="everything-fine"),
    pytest.param({"requests": 9}, {**HELD_BACK, "sent": 70, "requests": 9}, id="some-requests-were-repeated"),
    pytest.param(
        {"loaded": [loaded(0, 50), loaded(1, 15, unchanged=2, stale=2, reopened=1)], "accepted": {0: 50, 1: 15}},
        {"unchanged": 13, "stale": 3, "reopened": 2, "rejected": 7, "sent": 65, "requests": 2},
        id="another-run-sent-some-meanwhile",
    ),
    pytest.param(
        {"loaded": [loaded(0, 0, stale=50), loaded(1, 20)], "accepted": {1: 20}},
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
        {"validated": list(reversed(VALIDATED)), "loaded": list(reversed(LOADED))},
        {**HELD_BACK, "sent": 70, "requests": 2},
        id="results-in-another-order",
    ),
]


@pytest.mark.parametrize(("changes", "counts"), FINISHED)
def test_a_run_whose_tasks_all_finished_is_a_success(changes: Mapping[str, Any], counts: Mapping[str, int]) -> None:
    account = close_sum(replace(ALL_WELL, **changes))

    assert account.counts == counts_of(**READ, **counts)
    assert account.unfinished == []
    assert account.sent_twice == 0
    assert account.as_row == counts_of(**READ, **counts)


UNFINISHED = [
    pytest.param(
        {"validated": VALIDATED[:1], "built": BUILT[:1], "approved": None, "loaded": [], "accepted": {}, "requests": 0},
        {"unchanged": 3, "stale": 1, "reopened": 1, "rejected": 5, "failed": 80},
        ["validate_statuses of partition 1 did not finish, 30 rows"],
        id="validation-of-one-partition",
    ),
    pytest.param(
        {"validated": [], "built": [], "approved": None, "loaded": [], "accepted": {}, "requests": 0},
        {"failed": 90},
        ["validate_statuses of 2 partitions did not finish, 90 rows"],
        id="validation-of-all-partitions",
    ),
    pytest.param(
        {"built": BUILT[1:], "approved": None, "loaded": [], "accepted": {}, "requests": 0},
        {"unchanged": 8, "rejected": 7, "failed": 75},
        ["build_batches of partition 0 did not finish, 55 rows"],
        id="batches-of-one-partition",
    ),
    pytest.param(
        {"approved": None, "loaded": [], "accepted": {}, "requests": 0},
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
        {"loaded": [loaded(0, 50), loaded(1, 12, failed=8)], "accepted": {0: 50, 1: 12}},
        {**HELD_BACK, "sent": 62, "failed": 8, "requests": 2},
        ["load_batches of partition 1 could not send 8 orders"],
        id="some-orders-were-not-accepted",
    ),
    pytest.param(
        {
            "loaded": [loaded(0, 50), loaded(1, 12, failed=8)],
            "accepted": {0: 50, 1: 12},
            "causes": [cause("load_batches", 1, "REES46 answered 403 (why)")],
        },
        {**HELD_BACK, "sent": 62, "failed": 8, "requests": 2},
        ["load_batches of partition 1 could not send 8 orders: REES46 answered 403 (why)"],
        id="and-the-error-says-why",
    ),
    pytest.param(
        {
            "loaded": [loaded(0, 40, failed=10), loaded(1, 12, failed=8)],
            "accepted": {0: 40, 1: 12},
            "causes": [cause("load_batches", index, "REES46 answered 403 (why)") for index in (0, 1)],
        },
        {**HELD_BACK, "sent": 52, "failed": 18, "requests": 2},
        ["load_batches of 2 partitions could not send 18 orders: REES46 answered 403 (why)"],
        id="what-is-the-same-of-several-partitions-is-said-once",
    ),
    pytest.param(
        {
            "loaded": [loaded(0, 40, failed=10), loaded(1, 12, failed=8)],
            "accepted": {0: 40, 1: 12},
            "causes": [cause("load_batches", 0, "403"), cause("load_batches", 1, "no answer")],
        },
        {**HELD_BACK, "sent": 52, "failed": 18, "requests": 2},
        [
            "load_batches of partition 0 could not send 10 orders: 403",
            "load_batches of partition 1 could not send 8 orders: no answer",
        ],
        id="what-differs-is-said-of-each",
    ),
    pytest.param(
        {"loaded": LOADED[:1], "accepted": {0: 50, 1: 12}},
        {**HELD_BACK, "sent": 62, "failed": 8, "requests": 2},
        ["load_batches of partition 1 did not finish, 8 orders not sent"],
        id="loading-was-killed-half-way",
    ),
    pytest.param(
        {"loaded": LOADED[1:], "accepted": {1: 20}},
        {**HELD_BACK, "sent": 20, "failed": 50, "requests": 2},
        ["load_batches of partition 0 did not finish, 50 orders not sent"],
        id="loading-never-began",
    ),
    pytest.param(
        {"loaded": [loaded(0, 0, stale=50) | {"extraction_id": "extraction-0"}, LOADED[1]], "accepted": {1: 20}},
        {**HELD_BACK, "sent": 20, "failed": 50, "requests": 2},
        ["load_batches of partition 0 did not finish, 50 orders not sent"],
        id="loading-was-not-started-again-after-an-earlier-extraction",
    ),
    pytest.param(
        {"loaded": LOADED[:1]},
        {**HELD_BACK, "sent": 70, "requests": 2},
        ["load_batches of partition 1 did not finish, 0 orders not sent"],
        id="loading-was-killed-at-its-end",
    ),
    pytest.param(
        {"loaded": LOADED[:1], "accepted": {0: 50, 1: 33}},
        {**HELD_BACK, "sent": 70, "requests": 2},
        ["load_batches of partition 1 did not finish, 0 orders not sent"],
        id="two-attempts-overlapped-and-were-killed",
    ),
    pytest.param(
        {"approved": None, "loaded": [], "accepted": {}, "requests": 0, "dry_run": True},
        {**HELD_BACK, "failed": 70},
        [STOPPED],
        id="approval-of-a-dry-run-failed",
    ),
]


@pytest.mark.parametrize(("changes", "counts", "unfinished"), UNFINISHED)
def test_what_did_not_finish_is_counted_as_failed_and_named(
    changes: Mapping[str, Any], counts: Mapping[str, int], unfinished: list[str]
) -> None:
    account = close_sum(replace(ALL_WELL, **changes))

    assert account.counts == counts_of(**READ, **counts)
    assert account.unfinished == unfinished
    assert account.remedy


@pytest.mark.parametrize(
    ("causes", "remedy"),
    [
        pytest.param([], NO_CAUSE, id="none-that-a-task-left"),
        pytest.param([cause("extract_orders", None, "no column")], "remedy of no column", id="one"),
        pytest.param([cause("load_batches", 0, "403")], NO_CAUSE, id="one-of-a-task-that-an-earlier-try-reached"),
    ],
)
def test_the_remedy_of_a_run_is_that_of_what_did_not_finish(causes: Sequence[Cause], remedy: str) -> None:
    account = close_sum(RunResults(extraction=None, causes=causes))

    assert account.remedy == remedy
    assert close_sum(ALL_WELL).remedy == ""


def test_the_remedies_of_different_causes_are_all_there_each_once() -> None:
    tallies = [loaded(0, 40, failed=10), loaded(1, 12, failed=8)]
    causes = [cause("load_batches", 0, "403"), cause("load_batches", 1, "no answer")]

    account = close_sum(replace(ALL_WELL, loaded=tallies, accepted={0: 40, 1: 12}, causes=causes))

    assert account.remedy == "remedy of 403. Also: remedy of no answer"


def test_a_run_whose_extraction_failed_is_no_silent_zero() -> None:
    account = close_sum(RunResults(extraction=None))

    assert account.counts == counts_of()
    assert account.unfinished == ["extract_orders did not finish, so nothing was read"]


def test_a_run_that_an_earlier_version_began_is_unfinished() -> None:
    account = close_sum(RunResults(extraction=None, is_of_earlier_version=True))

    assert account.counts == counts_of()
    [unfinished] = account.unfinished
    assert unfinished.endswith("has to be cleared from extract_orders")


def test_a_run_that_found_no_rows_is_a_success() -> None:
    account = close_sum(RunResults(extraction=extraction(read=0, superseded=0)))

    assert account.counts == counts_of()
    assert account.unfinished == []


def test_a_dry_run_says_what_it_would_have_sent() -> None:
    dry_run = replace(ALL_WELL, approved=[], loaded=[], accepted={}, requests=0, dry_run=True)

    account = close_sum(dry_run)

    assert account.counts == counts_of(**READ, **HELD_BACK)
    assert account.would_send == Counter({"0": 0, "1": 48, "2": 22})
    assert account.as_row == dict(account.counts) | {"would_send": 70}
    assert account.unfinished == []


def test_orders_that_two_overlapping_attempts_sent_are_counted_once_and_noted() -> None:
    account = close_sum(replace(ALL_WELL, accepted={0: 53, 1: 24}))

    assert account.counts == counts_of(**READ, **HELD_BACK, sent=70, requests=2)
    assert account.sent_twice == 7
    assert account.unfinished == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"extraction": extraction(read=101)}, "read 101, accounted for 100", id="a-row-too-few"),
        pytest.param({"extraction": extraction(read=99)}, "read 99, accounted for 100", id="a-row-too-many"),
        pytest.param({"extraction": extraction(superseded=9)}, "read 100, accounted for 99", id="superseded"),
        pytest.param({"partitions": PARTITIONS[:1]}, "read 100, accounted for 70", id="a-partition-is-missing"),
        pytest.param({"validated": [VALIDATED[0], validated(1, 28, 3)]}, "accounted for 101", id="validated"),
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
        close_sum(replace(ALL_WELL, **changes))


@pytest.mark.parametrize("accepted", [{0: 49, 1: 20}, {1: 20}, {0: 20, 1: 50}])
def test_a_task_that_counts_more_as_sent_than_the_ledger_holds_is_an_error(accepted: dict[int, int]) -> None:
    words = f"load_batches of partition 0 counts 50 orders as sent, the ledger {accepted.get(0, 0)}"

    with pytest.raises(AccountingError, match=words):
        close_sum(replace(ALL_WELL, accepted=accepted))


COUNT = st.integers(0, 40)
STEPS = ["not validated", "validated", "built", "killed", "loaded"]


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
    """As in the DAG, nothing is sent unless every partition was built and the run was approved."""
    parts: dict[str, list[Descriptor]] = {"partitions": [], "validated": [], "built": [], "loaded": []}
    accepted: dict[int, int] = {}
    sends = not stopped and not dry_run and all(step not in ("not validated", "validated") for _, step in rows)
    approves = not stopped and all(step not in ("not validated", "validated") for _, step in rows)
    for index, (counts, step) in enumerate(rows):
        rejected, unchanged, stale, reopened, *tally = counts
        orders = sum(tally)
        valid = unchanged + stale + reopened + orders
        parts["partitions"].append(partition(index, valid + rejected))
        if step != "not validated":
            parts["validated"].append(validated(index, valid, rejected))
        if step not in ("not validated", "validated"):
            parts["built"].append(built(index, orders, unchanged, stale, reopened))
        if sends and orders and step in ("killed", "loaded"):
            accepted[index] = tally[0]
        if sends and orders and step == "loaded":
            parts["loaded"].append(loaded(index, *tally))
    read = superseded + sum(one["rows"] for one in parts["partitions"])
    approved = None if not approves else [] if dry_run else parts["built"]

    account = close_sum(
        RunResults(extraction(read, superseded), approved=approved, accepted=accepted, dry_run=dry_run, **parts)
    )

    row = account.as_row
    assert row.pop("read") == read
    assert row.pop("requests") == 0
    assert sum(row.values()) == read
    assert bool(account.counts["failed"]) <= bool(account.unfinished)
    assert account.counts["sent"] == sum(accepted.values())


def test_reasons_of_all_partitions_are_added_up() -> None:
    reasons = [validated(0, 1, 1, reasons={"status_unmapped": 2}), validated(1, 1, 1, reasons={"status_unmapped": 3})]

    assert count_reasons(reasons) == {"status_unmapped": 5}
    assert count_reasons([]) == {}


def test_a_few_examples_of_each_part_are_kept() -> None:
    first = built(0, 50, unchanged=3) | {"examples": {"sent": ["a"] * 4, "unchanged": ["u1", "u2"], "stale": []}}
    second = built(1, 20) | {"examples": {"sent": ["b"] * 4, "unchanged": ["u3"] * 5}}
    results = replace(ALL_WELL, validated=[validated(0, 53, 7), validated(1, 20, 10)], built=[first, second])

    assert close_sum(results).examples == {"sent": ["a"] * 4 + ["b"], "unchanged": ["u1", "u2", "u3", "u3", "u3"]}

    half = replace(results, loaded=[loaded(0, 40, failed=10), loaded(1, 0, failed=20)], accepted={0: 40})
    assert close_sum(half).examples == {"failed": ["b"] * 4, "unchanged": ["u1", "u2", "u3", "u3", "u3"]}
