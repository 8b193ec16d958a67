"""The arithmetic of a large history, and that the documentation shows what it says."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

import pytest

from rees46_sync.doctor import estimate as plan
from tests.conftest import PROJECT

SMALL = plan.Plan(
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
"""Ten windows of 100,000 orders: four partitions of 25,000 each, 25 requests a partition."""


def test_counts_what_a_history_takes() -> None:
    assert (SMALL.partitions, SMALL.tasks, SMALL.requests) == (4, 10 * 15, 10 * 4 * 25)
    assert SMALL.sending_s == 1000 * 2 / 4
    assert SMALL.judging_s == (1_000_000 / plan.ROWS_PER_S + 150 * plan.TASK_S) / 2


def test_a_pause_between_requests_counts_where_it_is_longer_than_they_take() -> None:
    paced = replace(SMALL, min_interval_s=1)

    assert paced.sending_s - SMALL.sending_s == 1000 * (1 - 2 / 4)


def test_the_ledger_counts_where_rees46_answers_faster_than_answers_are_recorded() -> None:
    assert replace(SMALL, latency_s=0.01).sending_s == 1_000_000 / plan.LEDGER_ORDERS_PER_S


def test_more_slots_judge_faster_and_send_no_faster() -> None:
    more = replace(SMALL, slots=20)

    assert more.judging_s == SMALL.judging_s / 10
    assert more.sending_s == SMALL.sending_s


def test_more_partitions_than_airflow_maps_are_told_with_the_remedy() -> None:
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
    plan.main(shlex.split(arguments))

    assert capsys.readouterr().out == shown


def test_the_documentation_has_a_plan_for_a_hundred_million_and_one_for_a_billion_orders() -> None:
    assert [arguments.split()[1] for arguments, _ in PLANS] == ["100000000", "1000000000"]


def test_the_documentation_names_the_figures_that_it_computes_with() -> None:
    text = (PROJECT / "docs" / "scaling.md").read_text()
    for figure in (
        f" {plan.LEDGER_BYTES} bytes |",
        f" {plan.STAGED_BYTES:.0f} bytes |",
        f"orders / {plan.LEDGER_ORDERS_PER_S:,} a second)",
        f"(orders / {plan.ROWS_PER_S:,} a second + tasks",
        f" {plan.TASK_S} s) / slots |",
    ):
        assert figure in text
