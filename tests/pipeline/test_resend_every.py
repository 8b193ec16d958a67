"""A shop with ``resend_every``: what another writer changed at REES46, or a lost mail was about, is put right."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rees46_sync.pipeline.run import RunContext
from tests.conftest import ShopUnderTest
from tests.pipeline.steps import task_context
from tests.whole_run import EIGHT, IN_WINDOW, Run, run_dag

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
CHANGED = IN_WINDOW + HOUR
"""Between the end of the first window and that of the second."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first test leaves the databases of its shop for the others."""
    return tmp_path_factory.mktemp("prepared")


@pytest.fixture
def shop_with_resend(shop: ShopUnderTest, prepared: Path) -> ShopUnderTest:
    """A shop whose only order was sent a week ago, and in which everything went well since."""
    shop.configure(resend_every="7d", lookback="2h")
    databases = (shop.warehouse, shop.ledger_file)
    if any(prepared.iterdir()):
        for database in databases:
            copy_database(prepared / database.name, database)
    else:
        run_dag()
        shop.add_rows([("1", "delivered", CHANGED)])
        assert run_dag(logical_date=EIGHT + HOUR).account["sent"] == 1
        assert run_dag(logical_date=EIGHT + 7 * DAY - HOUR).account["read"] == 1
        for database in databases:
            copy_database(database, prepared / database.name)
    shop.sandbox.reset()  # another writer has the order otherwise
    return shop


def copy_database(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def resents(shop: ShopUnderTest) -> list[Any]:
    return [row[0] for row in shop.ledger_rows("SELECT resent FROM rees46_sync_runs ORDER BY window_end, id")]


def run_at(at: datetime = EIGHT + 7 * DAY, **params: Any) -> Run:
    return run_dag(logical_date=at, **params)


def test_after_that_time_a_run_sends_again_what_changed_in_it_and_the_next_one_does_not(
    shop_with_resend: ShopUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        run = run_at()

    assert (run.account["read"], run.account["sent"], run.account["unchanged"]) == (1, 1, 0)
    assert shop_with_resend.sandbox.state() == {"1": 1}
    assert "of them 1 sent again although unchanged" in caplog.text
    assert run_at(EIGHT + 7 * DAY + HOUR).account["requests"] == 0
    assert run_at(EIGHT + 14 * DAY - HOUR).account["requests"] == 0
    assert resents(shop_with_resend) == [None, None, None, 1, None, None]
    shop_with_resend.add_rows([("1", "delivered", CHANGED + 8 * DAY)])
    assert run_at(EIGHT + 14 * DAY).account["sent"] == 1
    assert resents(shop_with_resend)[-1] == 1


def test_a_change_is_not_counted_as_sent_again(shop_with_resend: ShopUnderTest) -> None:
    shop_with_resend.add_rows([("2", "new", CHANGED + DAY)])

    assert run_at().account["sent"] == 2

    assert resents(shop_with_resend)[-1] == 1


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"dry_run": True}, id="dry-run"),
        pytest.param({"first_orders": 5}, id="first-orders"),
        pytest.param({"window_start": "2026-03-01T08:00:00Z"}, id="window-of-its-own"),
        pytest.param({"order_ids": ["1"]}, id="order-ids"),
    ],
)
def test_a_run_by_hand_that_is_not_about_everything_is_no_resend(
    shop_with_resend: ShopUnderTest, params: dict[str, Any]
) -> None:
    before = resents(shop_with_resend)

    run_at(**params)

    assert set(resents(shop_with_resend)) == {None}
    assert run_at().account["sent"] == 1
    assert len(resents(shop_with_resend)) > len(before)
    assert resents(shop_with_resend)[-1] == 1


def test_a_history_run_is_no_resend(shop_with_resend: ShopUnderTest) -> None:
    run = run_dag("order_status_history_test", logical_date=datetime.fromisoformat("2026-04-01T00:00:00+00:00"))

    assert (run.account["unchanged"], run.account["sent"]) == (1, 0)


def test_a_resend_that_failed_is_repeated_by_the_next_run(shop_with_resend: ShopUnderTest) -> None:
    shop_with_resend.sandbox.reset(fault="403@x1")
    assert run_at().state == "failed"
    shop_with_resend.sandbox.reset()

    assert run_at(EIGHT + 7 * DAY + HOUR).account["sent"] == 1

    assert shop_with_resend.sandbox.state() == {"1": 1}


def test_a_resend_that_is_cleared_is_a_resend_again_and_no_other_run_is(shop_with_resend: ShopUnderTest) -> None:
    run = run_at()
    context = task_context()
    context["dag_run"].run_after = EIGHT + 7 * DAY

    def is_resend(run_id: str) -> bool:
        context["ti"].run_id = run_id
        file = str(shop_with_resend.shops / "test.yaml")
        return RunContext(file, context).window(is_history=False).is_resend

    assert is_resend(run.run_id)
    assert not is_resend("another-run")


def test_a_resend_keeps_to_the_limits_and_says_how_to_go_on(
    shop_with_resend: ShopUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    shop_with_resend.configure(resend_every="7d", lookback="2h", limits={"rejected_share": 1, "changed_orders": 0})

    assert run_at().state == "failed"

    log = capsys.readouterr().out
    assert "1 orders would be sent, 1 of them again although unchanged (limit changed_orders: 0)" in log
    assert "with changed_orders: 1 and no window, or set resend_every to less or limits.changed_orders to more" in log
    assert shop_with_resend.sandbox.stats()["requests"] == 0
    assert run_at(EIGHT + 7 * DAY + HOUR, changed_orders=1).account["sent"] == 1
    assert resents(shop_with_resend)[-1] == 1


def test_a_shop_without_resend_every_sends_nothing_again(shop_with_resend: ShopUnderTest) -> None:
    shop_with_resend.configure(lookback="2h")

    assert run_at().account["requests"] == 0


def test_an_order_that_rees46_refused_alone_is_not_sent_again(shop_with_resend: ShopUnderTest) -> None:
    shop_with_resend.sandbox.reset(refuse=["bad"])
    shop_with_resend.add_rows([("bad", "new", CHANGED + DAY), *((f"2{n}", "new", CHANGED + DAY) for n in range(9))])
    by_hand = {"window_start": "2026-03-02T00:00:00Z", "window_end": "2026-03-03T00:00:00Z"}
    while (run := run_at(**by_hand)).state == "failed":
        assert run.account["sent"]
    refused = shop_with_resend.sandbox.stats()["faults"]

    run = run_at()

    assert (run.state, run.account["rejected"], run.account["sent"]) == ("success", 1, 10)
    assert shop_with_resend.sandbox.stats()["faults"] == refused
