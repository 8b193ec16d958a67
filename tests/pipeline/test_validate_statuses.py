"""The task that validates a partition."""

from __future__ import annotations

import logging

import pytest

from rees46_sync.exceptions import RestartRunError
from rees46_sync.pipeline.validate_statuses import validate_statuses
from tests.conftest import ShopUnderTest
from tests.pipeline.steps import OLD_PARTITION, WRITTEN_BY_AN_EARLIER_VERSION, task_context
from tests.whole_run import IN_WINDOW, run_dag


def test_an_unmapped_status_is_rejected_and_never_guessed(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    shop.add_rows([("1", "on_hold", IN_WINDOW), ("2", "new", IN_WINDOW)])
    with caplog.at_level(logging.INFO):
        run = run_dag()
    assert run.state == "success"
    assert run.account["rejected"] == 1
    assert shop.sandbox.state() == {"2": 0}
    # Airflow decides at its first run in a process which of the two its tasks write to.
    assert "created: [new, paid, on_hold]" in capsys.readouterr().out + caplog.text


def test_a_row_that_stays_broken_is_counted_again_and_stored_once(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "on_hold", IN_WINDOW), (None, "new", IN_WINDOW), (None, "new", IN_WINDOW)])
    assert [run_dag().account["rejected"] for _ in range(2)] == [3, 3]
    stored = shop.ledger_rows("SELECT order_id, status, reason FROM rees46_rejected_orders ORDER BY id")
    assert sorted(stored, key=str) == [
        ("1", "on_hold", "status_unmapped"),
        (None, "new", "order_id_missing"),
        (None, "new", "order_id_missing"),
    ]


def test_a_row_with_characters_that_no_database_takes_is_rejected_like_any_other(shop: ShopUnderTest) -> None:
    shop.add_rows([("nul\x00", "st\x00", IN_WINDOW), ("x" * 100_000, "new", IN_WINDOW), ("1", "new", IN_WINDOW)])
    run = run_dag()
    assert (run.state, run.account["rejected"], run.account["sent"]) == ("success", 2, 1)
    stored = dict(shop.ledger_rows("SELECT order_id, status FROM rees46_rejected_orders"))
    assert stored["nul\\x00"] == "st\\x00"
    assert max(map(len, stored)) == 1001


def test_a_partition_of_an_earlier_version_is_not_validated_but_says_to_clear_the_run(shop: ShopUnderTest) -> None:
    with pytest.raises(RestartRunError, match=f"partition 0 {WRITTEN_BY_AN_EARLIER_VERSION}"):
        validate_statuses(str(shop.shops / "test.yaml"), OLD_PARTITION, **task_context())
