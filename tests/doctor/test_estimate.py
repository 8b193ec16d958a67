"""The arithmetic of a large history, and that the documentation shows its output."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import pytest

from rees46_sync.doctor import estimate
from tests.conftest import PROJECT

SMALL = estimate.Estimate(
    orders=1_000_000,
    windows=10,
    partition_rows=30_000,
    batch=1000,
    concurrency=4,
    latency_s=2,
    min_interval_s=0,
    slots=2,
    windows_at_once=1,
)
"""Ten windows of 100,000 orders: four partitions of 25,000 each, 25 requests for each partition."""


def test_counts_what_a_history_takes() -> None:
    assert (SMALL.partitions, SMALL.tasks, SMALL.requests) == (4, 10 * 15, 10 * 4 * 25)
    assert SMALL.sending_s == 1000 * 2 / 4
    assert SMALL.validating_s == (1_000_000 / estimate.ROWS_PER_S + 150 * estimate.TASK_S) / 2


def test_a_pause_between_requests_counts_if_it_is_longer_than_a_request() -> None:
    paced = replace(SMALL, min_interval_s=1)

    assert paced.sending_s - SMALL.sending_s == 1000 * (1 - 2 / 4)


def test_the_ledger_counts_if_rees46_responds_faster_than_results_are_recorded() -> None:
    assert replace(SMALL, latency_s=0.01).sending_s == 1_000_000 / estimate.LEDGER_ORDERS_PER_S


def test_more_slots_validate_faster_and_do_not_send_faster() -> None:
    more = replace(SMALL, slots=20)

    assert more.validating_s == SMALL.validating_s / 10
    assert more.sending_s == SMALL.sending_s


def test_more_partitions_than_airflow_maps_are_named_with_the_remedy() -> None:
    assert "raise partition_rows" in replace(SMALL, partition_rows=90).lines["partitions of a window"]
    assert "raise" not in replace(SMALL, partition_rows=100).lines["partitions of a window"]


PLANS = re.findall(
    r"python -m rees46_sync\.doctor\.estimate ([^\n]+)\n\n```\n(.*?)```",
    (PROJECT / "docs" / "scaling.md").read_text(),
    re.DOTALL,
)


@pytest.mark.parametrize(("arguments", "shown"), PLANS)
def test_the_documentation_shows_what_the_command_prints(
    capsys: pytest.CaptureFixture[str], arguments: str, shown: str
) -> None:
    estimate.main(shlex.split(arguments))

    assert capsys.readouterr().out == shown


def test_the_documentation_has_a_plan_for_a_hundred_million_and_one_for_a_billion_orders() -> None:
    assert [arguments.split()[1] for arguments, _ in PLANS] == ["100000000", "1000000000"]


def test_the_documentation_has_the_figures_of_the_estimate() -> None:
    text = (PROJECT / "docs" / "scaling.md").read_text()
    for figure in (
        f" {estimate.LEDGER_BYTES} bytes |",
        f" {estimate.STAGED_BYTES:.0f} bytes |",
        f"orders / {estimate.LEDGER_ORDERS_PER_S:,} a second)",
        f"(orders / {estimate.ROWS_PER_S:,} a second + tasks",
        f" {estimate.TASK_S} s) / slots |",
    ):
        assert figure in text
