"""What the ledger forgets, and what it keeps however old it is: on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from rees46_sync.ledger import retention
from rees46_sync.ledger.database import Ledger, RejectedRow, RunRef
from rees46_sync.ledger.retention import remove_older
from rees46_sync.ledger.tables import (
    accepted_statuses,
    alert_messages,
    alerts,
    approvals,
    deliveries,
    open_requests,
    rejected_orders,
    sync_runs,
    unanswered_orders,
)
from rees46_sync.monitoring.alerts import Alerts
from rees46_sync.monitoring.rules import failed_windows
from tests.conftest import ShopUnderTest, accept, open_request
from tests.ledger.test_ledger import (
    LATER_RUN,
    NO_LOOKBACK,
    NOON,
    RUN,
    hour,
    named,
    orders_of,
    rows_of,
    run_record,
    statuses_in,
    widened,
)
from tests.monitoring.test_alerts import FIRING, OPS, QUIET, message_of
from tests.whole_run import EIGHT, run_dag

DAY = timedelta(days=1)
LONG_AGO = NOON - 500 * DAY
BEFORE = NOON - 400 * DAY
OTHER = RunRef(shop="other", dag_id="dag", run_id="run-1", extraction_id="reading-other")


@pytest.fixture
def ledger(empty_database: str) -> Iterator[Ledger]:
    ledger = Ledger.of_connection(empty_database)
    ledger.create()
    yield ledger
    ledger.engine.dispose()


def age(ledger: Ledger, table: sa.Table, column: str, moment: datetime = LONG_AGO) -> None:
    """Have everything that a table holds by now happen at another time."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(table).values({column: moment}))


def age_all(ledger: Ledger) -> None:
    for table in (accepted_statuses, deliveries, rejected_orders, approvals, alert_messages, sync_runs):
        column = next(c.name for c in reversed(table.columns) if c.name.endswith("_at") and c.name != "claimed_at")
        age(ledger, table, column)


def history_of(ledger: Ledger, order_id: str, shop: str = "test") -> list[int]:
    rows = rows_of(ledger, accepted_statuses)
    return [row["status"] for row in rows if (row["shop"], row["order_id"]) == (shop, order_id)]


# What REES46 has


def test_the_last_accepted_status_of_an_order_stays_however_old_it_is(ledger: Ledger) -> None:
    for status in (0, 1, 2):
        accept(ledger, RUN, 0, orders_of(("changed", status), ("changed too", status)))
    accept(ledger, RUN, 0, orders_of(("once", 1)))
    before = ledger.lookup("test", ["changed", "changed too", "once"])
    mark = ledger.mark()
    age(ledger, accepted_statuses, "accepted_at")

    removed = remove_older(ledger, "test", BEFORE)

    assert removed["rees46_accepted_statuses"] == 4
    after = ledger.lookup("test", ["changed", "changed too", "once"])
    assert after.sort_values("order_id").equals(before.sort_values("order_id"))
    assert [history_of(ledger, order_id) for order_id in ("changed", "changed too", "once")] == [[2], [2], [1]]
    assert ledger.mark() == mark


def test_an_earlier_status_stays_as_long_as_the_shop_keeps_it_and_goes_then(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("1", 0)))
    age(ledger, accepted_statuses, "accepted_at", BEFORE - DAY)
    accept(ledger, RUN, 0, orders_of(("1", 1), ("2", 0)))
    accept(ledger, RUN, 0, orders_of(("2", 2)))

    assert remove_older(ledger, "test", BEFORE - 2 * DAY) == {}
    assert history_of(ledger, "1") == [0, 1]
    assert remove_older(ledger, "test", BEFORE) == {"rees46_accepted_statuses": 1}
    assert (history_of(ledger, "1"), history_of(ledger, "2")) == ([1], [0, 2])
    age(ledger, accepted_statuses, "accepted_at")
    assert remove_older(ledger, "test", BEFORE) == {"rees46_accepted_statuses": 1}
    assert (history_of(ledger, "1"), history_of(ledger, "2")) == ([1], [2])


def test_what_is_not_done_at_once_is_done_by_the_next_runs(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for status in (0, 1, 2):
        accept(ledger, RUN, 0, orders_of(*((f"{number}", status) for number in range(25))))
        accept(ledger, OTHER, 0, orders_of(*((f"{number}", status) for number in range(5))))
    age(ledger, accepted_statuses, "accepted_at")
    monkeypatch.setattr(retention, "CHUNK", 10)
    assert remove_older(ledger, "test", BEFORE)["rees46_accepted_statuses"] == 50

    monkeypatch.setattr(retention, "BUDGET_S", 0)
    assert remove_older(ledger, "other", BEFORE) == {}
    monkeypatch.setattr(retention, "BUDGET_S", 10)
    assert remove_older(ledger, "other", BEFORE)["rees46_accepted_statuses"] == 10
    ids = [f"{number}" for number in range(25)]
    assert statuses_in(ledger.lookup("test", ids)) == dict.fromkeys(ids, 2)


def test_what_may_have_reached_rees46_is_not_forgotten(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("heard", 1), ("unheard", 1), at=LONG_AGO))
    for orders in (orders_of(("heard", 2), ("unheard", 2), at=LONG_AGO), orders_of(("never", 1), at=LONG_AGO)):
        open_request(ledger, RUN, orders)
    ledger.note_unanswered("test")
    accept(ledger, LATER_RUN, 0, orders_of(("heard", 2), at=LONG_AGO))
    under_way = open_request(ledger, RUN, orders_of(("open", 1), at=LONG_AGO))
    age_all(ledger)
    before = ledger.lookup("test", ["heard", "unheard", "never", "open"])

    removed = remove_older(ledger, "test", BEFORE)

    assert removed["rees46_unanswered_orders"] == 1
    assert {row["order_id"] for row in rows_of(ledger, unanswered_orders)} == {"unheard", "never"}
    assert [row["id"] for row in rows_of(ledger, open_requests)] == [under_way.number]
    after = ledger.lookup("test", ["heard", "unheard", "never", "open"])
    assert (
        after.sort_values("order_id")
        .reset_index(drop=True)
        .equals(before.sort_values("order_id").reset_index(drop=True))
    )


def test_the_latest_order_without_an_answer_stays_so_that_no_other_gets_its_number(ledger: Ledger) -> None:
    for order_id in ("1", "2"):
        open_request(ledger, RUN, orders_of((order_id, 1), at=LONG_AGO))
        ledger.note_unanswered("test")
    accept(ledger, LATER_RUN, 0, orders_of(("1", 1), ("2", 1), at=LONG_AGO))
    age_all(ledger)
    before = ledger.news(OTHER).latest_unanswered

    assert remove_older(ledger, "test", BEFORE)["rees46_unanswered_orders"] == 1

    assert ledger.news(OTHER).latest_unanswered == before
    open_request(ledger, RUN, orders_of(("3", 1)))
    ledger.note_unanswered("test")
    assert ledger.news(OTHER).latest_unanswered > before


# Batches, the quarantine, approvals


def test_old_batches_go_and_the_latest_one_stays(ledger: Ledger) -> None:
    """A load compares its number before and after, and SQLite would give it to the next one."""
    for run in (RUN, LATER_RUN, OTHER):
        accept(ledger, run, 0, orders_of(("1", 1)))
    age(ledger, deliveries, "answered_at")

    assert remove_older(ledger, "test", BEFORE)["rees46_deliveries"] == 1

    left = [(row["shop"], row["extraction_id"]) for row in rows_of(ledger, deliveries)]
    assert left == [("test", "reading-2"), ("other", "reading-other")]


def test_a_rejected_row_goes_after_its_time_and_is_stored_again_where_it_is_still_met(ledger: Ledger) -> None:
    old, new = (RejectedRow(order_id, "sent back", "2026-03-01", "status_unmapped") for order_id in ("1", "2"))
    ledger.quarantine("test", "run-1", [old])
    ledger.quarantine("other", "run-1", [old])
    age(ledger, rejected_orders, "rejected_at")
    ledger.quarantine("test", "run-2", [old, new])

    assert remove_older(ledger, "test", BEFORE) == {"rees46_rejected_orders": 1}

    left = [(row["shop"], row["order_id"]) for row in rows_of(ledger, rejected_orders)]
    assert left == [("other", "1"), ("test", "2")]
    assert ledger.quarantine("test", "run-3", [old, new]) == 1


def test_more_rows_than_one_transaction_takes_go_all(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK", 10)
    rows = [RejectedRow(str(number), "sent back", "", "status_unmapped") for number in range(35)]
    ledger.quarantine("test", "run-1", rows)
    age(ledger, rejected_orders, "rejected_at")
    ledger.quarantine("test", "run-2", [RejectedRow("new", "sent back", "", "status_unmapped")])

    assert remove_older(ledger, "test", BEFORE) == {"rees46_rejected_orders": 35}
    assert [row["order_id"] for row in rows_of(ledger, rejected_orders)] == ["new"]


def test_old_approvals_go(ledger: Ledger) -> None:
    ledger.record_approval(RUN, "asked", "2 orders would change")
    age(ledger, approvals, "recorded_at")
    ledger.record_approval(LATER_RUN, "asked", "3 orders would change")

    assert remove_older(ledger, "test", BEFORE) == {"rees46_approvals": 1}
    assert [row["question"] for row in rows_of(ledger, approvals)] == ["3 orders would change"]


def test_an_alert_and_what_is_not_told_of_it_stay(ledger: Ledger) -> None:
    known = Alerts(ledger, "test")
    known.record(FIRING, (OPS,), message_of, LONG_AGO)
    [(number, _)] = known.untold(OPS)
    known.claim(number, LONG_AGO)
    known.told(number, LONG_AGO)
    known.record(QUIET, (OPS,), message_of, LONG_AGO)

    assert remove_older(ledger, "test", BEFORE) == {"rees46_alert_messages": 1}

    assert [message["subject"] for _, message in known.untold(OPS)] == [f"recovered {LONG_AGO:%H:%M}"]
    assert [row["since"] for row in rows_of(ledger, alerts)] == [LONG_AGO]
    assert len(rows_of(ledger, alert_messages)) == 1


# The runs


def save_runs(ledger: Ledger, runs: list[dict[str, Any]]) -> None:
    for number, run in enumerate(runs):
        finished = run.get("started_at", NOON) + timedelta(minutes=1)
        ledger.save_run(**run_record(f"run-{number}", **({"finished_at": finished} | run)))


@pytest.mark.parametrize(
    ("runs", "stay"),
    [
        pytest.param([widened(0, 1, read_at=1)], ["run-0"], id="the-only-success"),
        pytest.param([widened(0, 1, read_at=1), widened(0, 2, read_at=2)], ["run-1"], id="the-latest-success"),
        pytest.param(
            [widened(0, 1, read_at=1), widened(0, 2, read_at=2, outcome="failed")],
            ["run-0", "run-1"],
            id="what-failed-since",
        ),
        pytest.param([widened(0, 9, read_at=2), named(1, 4, read_at=5)], ["run-0", "run-1"], id="what-continues-it"),
        pytest.param([named(0, 1, read_at=1), widened(0, 2, read_at=2)], ["run-1"], id="a-window-of-its-own"),
        pytest.param(
            [widened(0, 1, read_at=1, outcome="failed"), named(0, 1, read_at=2)],
            ["run-0", "run-1"],
            id="all-before-the-first-success",
        ),
        pytest.param(
            [widened(0, 1, read_at=1, outcome="failed"), widened(0, 2, read_at=2), widened(0, 3, read_at=3)],
            ["run-2"],
            id="a-failure-that-was-made-good",
        ),
        pytest.param(
            [named(-9, -8, read_at=1, outcome="failed"), widened(0, 2, read_at=2), widened(0, 3, read_at=3)],
            ["run-0", "run-2"],
            id="a-failure-that-nobody-made-good",
        ),
    ],
)
def test_the_runs_that_count_for_the_next_window_and_for_alerts_stay(
    ledger: Ledger, runs: list[dict[str, Any]], stay: list[str]
) -> None:
    save_runs(ledger, runs)
    ledger.save_run(**run_record("run-0", shop="other", dag_id="other", **widened(0, 1, read_at=1)))
    before = (
        ledger.covered_until("test", NO_LOOKBACK),
        ledger.covered_until("test", timedelta(hours=2)),
        failed_windows(ledger, "test", "dag"),
    )

    remove_older(ledger, "test", hour(1000))

    assert [row["run_id"] for row in rows_of(ledger, sync_runs) if row["shop"] == "test"] == stay
    assert [row["run_id"] for row in rows_of(ledger, sync_runs) if row["shop"] == "other"] == ["run-0"]
    after = (
        ledger.covered_until("test", NO_LOOKBACK),
        ledger.covered_until("test", timedelta(hours=2)),
        failed_windows(ledger, "test", "dag"),
    )
    assert after == before


def test_runs_that_are_not_old_stay(ledger: Ledger) -> None:
    save_runs(ledger, [widened(0, end, read_at=end) for end in range(1, 6)])

    assert remove_older(ledger, "test", hour(3)) == {"rees46_sync_runs": 2}
    assert [row["run_id"] for row in rows_of(ledger, sync_runs)] == ["run-2", "run-3", "run-4"]


# Beside the runs


def test_several_that_forget_at_once_while_others_write_lose_nothing_that_counts(
    ledger: Ledger, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 50)
    ids = [f"{number}" for number in range(200)]
    for status in (0, 1):
        accept(ledger, RUN, 0, orders_of(*((order_id, status) for order_id in ids)))
    age(ledger, accepted_statuses, "accepted_at")
    others = [Ledger.of_connection(empty_database) for _ in range(4)]

    with ThreadPoolExecutor(4) as threads:
        forget = [threads.submit(remove_older, one, "test", BEFORE) for one in others[:3]]
        for batch in range(10):
            accept(others[3], LATER_RUN, 0, orders_of(*((order_id, 2) for order_id in ids[batch::10])))
        for done in forget:
            done.result()
    remove_older(ledger, "test", BEFORE)

    assert statuses_in(ledger.lookup("test", ids)) == dict.fromkeys(ids, 2)
    assert not any(0 in history_of(ledger, order_id) for order_id in ids[:5])
    for one in others:
        one.engine.dispose()


@pytest.mark.parametrize(
    ("keep_days", "params", "left"),
    [
        pytest.param(60, {}, 0, id="days"),
        pytest.param(None, {}, 1, id="for-ever"),
        pytest.param(60, {"dry_run": True}, 1, id="a-dry-run-leaves-no-trace"),
    ],
)
def test_a_run_forgets_what_its_shop_need_not_keep(
    shop: ShopUnderTest, keep_days: int | None, params: dict[str, Any], left: int
) -> None:
    shop.configure(keep_days=keep_days)
    shop.add_rows([("1", "paid", EIGHT - timedelta(minutes=30))])
    ledger = Ledger.of_connection("shop_ledger")
    ledger.create()
    ledger.quarantine("test", "run-1", [RejectedRow("2", "sent back", "", "status_unmapped")])
    age(ledger, rejected_orders, "rejected_at")

    assert run_dag(**params).state == "success"

    assert len(rows_of(ledger, rejected_orders)) == left
    ledger.engine.dispose()


def test_a_run_succeeds_though_nothing_can_be_forgotten(shop: ShopUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    configured = shop.configure(keep_days=60)
    ledger = Ledger.of_connection("shop_ledger")
    ledger.create()
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE rees46_approvals RENAME TO hidden"))

    with caplog.at_level(logging.ERROR):
        retention.after_run(configured, ledger)

    assert "the next run tries again" in caplog.text
    ledger.engine.dispose()
