"""The task that reads the window of a run into staged partitions."""

from __future__ import annotations

import pytest

from rees46_sync.exceptions import LedgerError
from rees46_sync.pipeline.extract_orders import extract_orders
from tests.conftest import ShopUnderTest
from tests.pipeline.steps import task_context
from tests.whole_run import IN_WINDOW, run_dag


def test_a_run_by_hand_reads_the_window_that_it_names(shop: ShopUnderTest) -> None:
    shop.add_rows([("old", "new", "2025-05-05 05:05:05"), ("new", "new", IN_WINDOW)])
    run = run_dag(window_start="2025-05-05T05:05:05Z", window_end="2025-05-05T05:05:06Z")
    assert run.account["read"] == 1
    assert shop.sandbox.state() == {"old": 0}


def test_a_window_that_ends_before_it_starts_is_refused_with_both_ends(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_dag(window_start="2026-03-02T00:00:00Z", window_end="2026-03-01T00:00:00Z")
    assert run.state == "failed"
    assert "window_start 2026-03-02T00:00:00+00:00 is not before window_end 2026-03-01" in capsys.readouterr().out


def test_more_partitions_than_airflow_maps_is_an_error_that_says_what_to_set(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.configure(partition_rows=1)
    shop.add_rows([(str(number), "new", IN_WINDOW) for number in range(1025)])
    assert run_dag().state == "failed"
    assert "set it to 2 or more" in capsys.readouterr().out


def test_while_the_ledger_does_not_answer_no_staged_file_is_removed(shop: ShopUnderTest) -> None:
    old = shop.folder / "staging" / "test" / "20260101T000000-0a1b2c3d"
    old.mkdir(parents=True)
    shop.configure(staging=f"file://{shop.folder}/staging")
    shop.connect("shop_ledger", f"sqlite:///{shop.folder}/no/such/folder/ledger.db")

    with pytest.raises(LedgerError):
        extract_orders(str(shop.shops / "test.yaml"), history=False, **task_context())

    assert old.exists()
