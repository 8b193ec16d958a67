"""Dry runs through Airflow."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from rees46_sync.ledger.tables import metadata
from tests.conftest import ShopUnderTest
from tests.whole_run import IN_WINDOW, run_dag


def test_a_dry_run_leaves_no_trace(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "on_hold", IN_WINDOW)])
    run = run_dag(dry_run=True)
    assert run.state == "success"
    assert (run.account["would_send"], run.account["sent"], run.account["rejected"]) == (1, 0, 1)
    assert shop.sandbox.stats()["requests"] == 0
    for table in metadata.tables.keys() - {"rees46_schema_versions"}:
        assert shop.ledger_rows(f"SELECT * FROM {table}") == []


def test_a_dry_run_changes_nothing_and_the_next_run_does_what_it_showed(shop: ShopUnderTest) -> None:
    staging = shop.folder / "staging" / "test"

    def everything() -> dict[str, object]:
        """All that a run can find: the ledger, staged files and REES46."""
        tables = [name for (name,) in shop.ledger_rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            **{name: shop.ledger_rows(f"SELECT * FROM {name} ORDER BY 1") for name in tables},
            "staged files": sorted(staging.rglob("*")),
            "requests": shop.sandbox.requests(),
            "statuses": shop.sandbox.state(),
        }

    shop.configure(staging=f"file://{shop.folder}/staging", partition_rows=2)
    shop.add_rows([(order_id, "delivered", IN_WINDOW) for order_id in ("refunded", "reopened", "unchanged")])
    run_dag()
    shop.add_rows([("not-accepted", "new", IN_WINDOW)])
    shop.sandbox.reset(fault="403@x1", keep_state=True)
    assert run_dag().state == "failed"
    [failed] = staging.iterdir()
    failed.rename(staging / "20260101T000000-0a1b2c3d")  # so old that the next run removes it
    later = IN_WINDOW + timedelta(minutes=1)
    shop.add_rows([("refunded", "cancelled", later), ("reopened", "new", later), ("new", "paid", later)])
    shop.add_rows([("broken", "on_hold", later), (None, "new", later)])
    before = everything()
    assert before.keys() > metadata.tables.keys()
    assert before["staged files"]

    dry = run_dag(dry_run=True)

    assert dry.state == "success"
    assert everything() == before
    run = run_dag()
    expected = dry.account | {"sent": dry.account["would_send"], "requests": 2}
    assert run.account | {"would_send": 3} == expected
    assert shop.sandbox.state() == {"refunded": 2, "reopened": 1, "unchanged": 1, "not-accepted": 0, "new": 0}
    assert list(staging.iterdir()) == []


def test_a_dry_run_with_nothing_to_send_says_so(shop: ShopUnderTest) -> None:
    assert run_dag(dry_run=True).account["would_send"] == 0


def test_a_dry_run_shows_days_and_examples_and_its_account_stays_flat(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    shop.configure(partition_rows=2)
    earlier = IN_WINDOW - timedelta(hours=8)
    shop.add_rows([("1", "paid", earlier), ("2", "paid", earlier), ("3", "paid", earlier)])
    run_dag()
    shop.add_rows([("1", "delivered", IN_WINDOW), ("3", "fraud", earlier + timedelta(minutes=1))])
    shop.add_rows([("5😀", "fraud", IN_WINDOW)])
    with caplog.at_level(logging.INFO):
        run = run_dag(dry_run=True)
    lines = [" ".join(line.split()) for line in (capsys.readouterr().out + caplog.text).splitlines()]
    for line in (
        "Would be sent, by day of updated_at",
        "2026-02-28 0 0 1",
        "2026-03-01 0 1 1",
        "1 delivered completed created 2026-03-01 07:30:00",
        "3 fraud cancelled created 2026-02-28 23:31:00",
        "5😀 fraud cancelled nothing 2026-03-01 07:30:00",
    ):
        assert line in lines
    assert list(run.account)[-2:] == ["requests", "would_send"]
    assert {type(value) for value in run.account.values()} == {int}
