"""What retention removes, and what stays however old it is: on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from rees46_sync.ledger import retention
from rees46_sync.ledger.approvals import Approvals
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.lookup import look_up
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from rees46_sync.ledger.requests import Requests
from rees46_sync.ledger.retention import remove_older
from rees46_sync.ledger.runs import RunRef, Runs
from rees46_sync.ledger.tables import (
    accepted_statuses,
    alert_messages,
    alerts,
    approvals,
    deliveries,
    in_flight_requests,
    rejected_orders,
    sync_runs,
    uncertain_orders,
)
from rees46_sync.monitoring.alerts import Alerts
from rees46_sync.shop.shop import MAX_RESEND_EVERY, MAX_SETTLE
from tests.conftest import ShopUnderTest, accept, open_request
from tests.ledger.builders import (
    FIRING,
    LATER_RUN,
    NO_LOOKBACK,
    NOON,
    OPS,
    QUIET,
    RUN,
    build_message,
    build_orders,
    hour,
    known_statuses,
    named,
    regular,
    run_record,
    select_rows,
)
from tests.whole_run import EIGHT, run_dag

DAY = timedelta(days=1)
LONG_AGO = NOON - 500 * DAY
BEFORE = NOON - 400 * DAY
SETTLE = timedelta(hours=1)
OTHER = RunRef(shop="other", dag_id="dag", run_id="run-1", extraction_id="extraction-other")


def age(ledger: Ledger, table: sa.Table, column: str, moment: datetime = LONG_AGO) -> None:
    """Move every row of a table to another time."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(table).values({column: moment}))


def age_all(ledger: Ledger) -> None:
    age(ledger, accepted_statuses, "sent_at")
    for table in (accepted_statuses, deliveries, rejected_orders, approvals, alert_messages, sync_runs):
        not_it = "claimed_at" if table is alert_messages else "sent_at"
        column = next(c.name for c in reversed(table.columns) if c.name.endswith("_at") and c.name != not_it)
        age(ledger, table, column)


def set_sent(ledger: Ledger, table: sa.Table, order_id: str, moment: datetime) -> None:
    """Move the requests with an order to another time."""
    with ledger.engine.begin() as connection:
        connection.execute(sa.update(table).where(table.c.order_id == order_id).values(sent_at=moment))


def history(ledger: Ledger, order_id: str, shop: str = "test") -> list[int]:
    rows = select_rows(ledger, accepted_statuses)
    return [row["status"] for row in rows if (row["shop"], row["order_id"]) == (shop, order_id)]


# What REES46 has


def test_the_last_accepted_status_of_an_order_stays_however_old_it_is(ledger: Ledger) -> None:
    for status in (0, 1, 2):
        accept(ledger, RUN, 0, build_orders(("changed", status), ("changed too", status)))
    accept(ledger, RUN, 0, build_orders(("once", 1)))
    age(ledger, accepted_statuses, "accepted_at")
    before = look_up(ledger, "test", ["changed", "changed too", "once"])

    removed = remove_older(ledger, "test", BEFORE, SETTLE)

    assert removed["rees46_accepted_statuses"] == 4
    after = look_up(ledger, "test", ["changed", "changed too", "once"])
    assert after.sort_values("order_id").equals(before.sort_values("order_id"))
    assert [history(ledger, order_id) for order_id in ("changed", "changed too", "once")] == [[2], [2], [1]]


def test_an_earlier_status_is_removed_when_it_is_older_than_the_shop_keeps_it(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 0)))
    age(ledger, accepted_statuses, "accepted_at", BEFORE - DAY)
    accept(ledger, RUN, 0, build_orders(("1", 1), ("2", 0)))
    accept(ledger, RUN, 0, build_orders(("2", 2)))

    assert remove_older(ledger, "test", BEFORE - 2 * DAY, SETTLE) == {}
    assert history(ledger, "1") == [0, 1]
    assert remove_older(ledger, "test", BEFORE, SETTLE) == {"rees46_accepted_statuses": 1}
    assert (history(ledger, "1"), history(ledger, "2")) == ([1], [0, 2])
    age(ledger, accepted_statuses, "accepted_at")
    assert remove_older(ledger, "test", BEFORE, SETTLE) == {"rees46_accepted_statuses": 1}
    assert (history(ledger, "1"), history(ledger, "2")) == ([1], [2])


def test_an_order_that_was_sent_in_two_statuses_within_the_settle_time_stays_uncertain(ledger: Ledger) -> None:
    for status, hours in ((0, 0), (1, 0.5)):
        accept(ledger, RUN, 0, build_orders(("soon", status), (f"later-{status}", 0)))
        accept(ledger, RUN, 0, build_orders(("later", status)))
        with ledger.engine.begin() as connection:
            for order_id, at in (("soon", hours), ("later", 3 * hours)):
                moment = BEFORE - DAY + timedelta(hours=at)
                rows = sa.update(accepted_statuses).where(accepted_statuses.c.order_id == order_id)
                is_new = accepted_statuses.c.accepted_at > BEFORE
                connection.execute(rows.where(is_new).values(accepted_at=moment, sent_at=moment))

    assert remove_older(ledger, "test", BEFORE, SETTLE) == {"rees46_accepted_statuses": 1}

    known = look_up(ledger, "test", ["soon", "later"], settle=SETTLE).set_index("order_id")
    assert known["uncertain"].to_dict() == {"soon": True, "later": False}


def test_what_one_run_has_no_time_for_is_left_to_the_next_ones(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    for status in (0, 1, 2):
        accept(ledger, RUN, 0, build_orders(*((f"{number}", status) for number in range(25))))
        accept(ledger, OTHER, 0, build_orders(*((f"{number}", status) for number in range(5))))
    age(ledger, accepted_statuses, "accepted_at")
    monkeypatch.setattr(retention, "CHUNK", 10)
    assert remove_older(ledger, "test", BEFORE, SETTLE)["rees46_accepted_statuses"] == 50

    monkeypatch.setattr(retention, "BUDGET_S", 0)
    assert remove_older(ledger, "other", BEFORE, SETTLE) == {}
    monkeypatch.setattr(retention, "BUDGET_S", 10)
    assert remove_older(ledger, "other", BEFORE, SETTLE)["rees46_accepted_statuses"] == 10
    ids = [f"{number}" for number in range(25)]
    assert known_statuses(look_up(ledger, "test", ids)) == dict.fromkeys(ids, 2)


def test_in_flight_requests_and_uncertain_orders_stay(ledger: Ledger) -> None:
    """An order is uncertain until it is accepted longer after than any shop lets REES46 take."""
    accepted_after = {"settled": MAX_SETTLE, "too early": MAX_SETTLE - timedelta(seconds=1), "before": -DAY}
    recent = {"recent": MAX_SETTLE}
    ids = [*accepted_after, "never accepted", *recent, "in flight"]
    accept(ledger, RUN, 0, build_orders(("before", 1), at=LONG_AGO))
    open_request(ledger, RUN, build_orders(*((order_id, 2) for order_id in ids[:-1]), at=LONG_AGO))
    Requests(ledger).take_lease("test")
    accept(ledger, LATER_RUN, 0, build_orders(("settled", 2), ("too early", 2), ("recent", 2), at=LONG_AGO))
    in_flight = open_request(ledger, RUN, build_orders(("in flight", 1), at=LONG_AGO))
    age_all(ledger)
    age(ledger, uncertain_orders, "sent_at", BEFORE - DAY)
    set_sent(ledger, uncertain_orders, "recent", BEFORE)
    for order_id, after in accepted_after.items():
        set_sent(ledger, accepted_statuses, order_id, BEFORE - DAY + after)
    set_sent(ledger, accepted_statuses, "recent", BEFORE + MAX_SETTLE)
    before = look_up(ledger, "test", ids, settle=MAX_SETTLE).sort_values("order_id", ignore_index=True)
    assert set(before["order_id"][~before["uncertain"]]) == {"settled", "too early", "recent"}

    removed = remove_older(ledger, "test", BEFORE, SETTLE)

    assert removed["rees46_uncertain_orders"] == 1
    left = {row["order_id"] for row in select_rows(ledger, uncertain_orders)}
    assert left == {"too early", "before", "never accepted", "recent"}
    assert [row["id"] for row in select_rows(ledger, in_flight_requests)] == [in_flight.number]
    after_removal = look_up(ledger, "test", ids, settle=MAX_SETTLE).sort_values("order_id", ignore_index=True)
    assert after_removal.equals(before)


def test_the_latest_uncertain_order_stays_so_that_its_id_is_not_reused(ledger: Ledger) -> None:
    for order_id in ("1", "2"):
        open_request(ledger, RUN, build_orders((order_id, 1), at=LONG_AGO))
        Requests(ledger).take_lease("test")
    accept(ledger, LATER_RUN, 0, build_orders(("1", 1), ("2", 1), at=LONG_AGO))
    age_all(ledger)
    age(ledger, uncertain_orders, "sent_at", LONG_AGO - MAX_SETTLE)
    before = Requests(ledger).change_token(LATER_RUN).latest_uncertain

    assert remove_older(ledger, "test", BEFORE, SETTLE)["rees46_uncertain_orders"] == 1

    assert Requests(ledger).change_token(LATER_RUN).latest_uncertain == before
    open_request(ledger, RUN, build_orders(("3", 1)))
    Requests(ledger).take_lease("test")
    assert Requests(ledger).change_token(LATER_RUN).latest_uncertain > before


# Batches, the quarantine, approvals


def test_old_batches_are_removed_except_the_latest(ledger: Ledger) -> None:
    """A change token contains its id."""
    for run in (RUN, LATER_RUN, OTHER):
        accept(ledger, run, 0, build_orders(("1", 1)))
    age(ledger, deliveries, "answered_at")

    assert remove_older(ledger, "test", BEFORE, SETTLE)["rees46_deliveries"] == 1

    left = [(row["shop"], row["extraction_id"]) for row in select_rows(ledger, deliveries)]
    assert left == [("test", "extraction-2"), ("other", "extraction-other")]


def test_an_old_rejected_row_is_removed_and_stored_again_if_it_is_still_read(ledger: Ledger) -> None:
    old, new = (RejectedRow(order_id, "sent back", "2026-03-01", "status_unmapped") for order_id in ("1", "2"))
    Quarantine(ledger).store("test", "run-1", [old])
    Quarantine(ledger).store("other", "run-1", [old])
    age(ledger, rejected_orders, "rejected_at")
    Quarantine(ledger).store("test", "run-2", [old, new])

    assert remove_older(ledger, "test", BEFORE, SETTLE) == {"rees46_rejected_orders": 1}

    left = [(row["shop"], row["order_id"]) for row in select_rows(ledger, rejected_orders)]
    assert left == [("other", "1"), ("test", "2")]
    assert Quarantine(ledger).store("test", "run-3", [old, new]) == 1


def test_more_rows_than_fit_into_a_transaction_are_all_removed(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK", 10)
    rows = [RejectedRow(str(number), "sent back", "", "status_unmapped") for number in range(35)]
    Quarantine(ledger).store("test", "run-1", rows)
    age(ledger, rejected_orders, "rejected_at")
    Quarantine(ledger).store("test", "run-2", [RejectedRow("new", "sent back", "", "status_unmapped")])

    assert remove_older(ledger, "test", BEFORE, SETTLE) == {"rees46_rejected_orders": 35}
    assert [row["order_id"] for row in select_rows(ledger, rejected_orders)] == ["new"]


def test_old_approvals_are_removed(ledger: Ledger) -> None:
    Approvals(ledger).record(RUN, "asked", "2 orders would change")
    age(ledger, approvals, "recorded_at")
    Approvals(ledger).record(LATER_RUN, "asked", "3 orders would change")

    assert remove_older(ledger, "test", BEFORE, SETTLE) == {"rees46_approvals": 1}
    assert [row["exceeded_text"] for row in select_rows(ledger, approvals)] == ["3 orders would change"]


def test_an_alert_and_its_pending_messages_stay(ledger: Ledger) -> None:
    known = Alerts(ledger, "test")
    known.record(FIRING, (OPS,), build_message, LONG_AGO)
    [(number, _)] = known.pending(OPS)
    known.claim(number, LONG_AGO)
    known.mark_sent(number, LONG_AGO)
    known.record(QUIET, (OPS,), build_message, LONG_AGO)

    assert remove_older(ledger, "test", BEFORE, SETTLE) == {"rees46_alert_messages": 1}

    assert [message["subject"] for _, message in known.pending(OPS)] == [f"recovered {LONG_AGO:%H:%M}"]
    assert [row["since"] for row in select_rows(ledger, alerts)] == [LONG_AGO]
    assert len(select_rows(ledger, alert_messages)) == 1


# The runs


def save_runs(ledger: Ledger, runs: list[dict[str, Any]]) -> None:
    for number, run in enumerate(runs):
        finished = run.get("started_at", NOON) + timedelta(minutes=1)
        Runs(ledger).save(**run_record(f"run-{number}", **({"finished_at": finished} | run)))


@pytest.mark.parametrize(
    ("runs", "stay"),
    [
        pytest.param([regular(0, 1, read_at=1)], ["run-0"], id="the-only-success"),
        pytest.param([regular(0, 1, read_at=1), regular(0, 2, read_at=2)], ["run-1"], id="the-latest-success"),
        pytest.param(
            [regular(0, 1, read_at=1), regular(0, 2, read_at=2, outcome="failed")],
            ["run-0", "run-1"],
            id="a-later-failure",
        ),
        pytest.param(
            [regular(0, 9, read_at=2), named(1, 4, read_at=5)],
            ["run-0", "run-1"],
            id="a-named-window-that-continues-it",
        ),
        pytest.param([named(0, 1, read_at=1), regular(0, 2, read_at=2)], ["run-1"], id="a-window-of-its-own"),
        pytest.param(
            [regular(0, 1, read_at=1, outcome="failed"), named(0, 1, read_at=2)],
            ["run-0", "run-1"],
            id="all-before-the-first-success",
        ),
        pytest.param(
            [regular(0, 1, read_at=1, outcome="failed"), regular(0, 2, read_at=2), regular(0, 3, read_at=3)],
            ["run-2"],
            id="a-failure-that-a-later-run-covers",
        ),
        pytest.param(
            [named(-9, -8, read_at=1, outcome="failed"), regular(0, 2, read_at=2), regular(0, 3, read_at=3)],
            ["run-0", "run-2"],
            id="a-failure-that-no-run-covers",
        ),
    ],
)
def test_runs_that_the_next_window_or_an_alert_needs_stay(
    ledger: Ledger, runs: list[dict[str, Any]], stay: list[str]
) -> None:
    save_runs(ledger, runs)
    Runs(ledger).save(**run_record("run-0", shop="other", dag_id="other", **regular(0, 1, read_at=1)))
    before = (
        Runs(ledger).watermark("test", NO_LOOKBACK),
        Runs(ledger).watermark("test", timedelta(hours=2)),
        Runs(ledger).failed_windows("test", "dag"),
    )

    remove_older(ledger, "test", hour(1000), SETTLE)

    assert [row["run_id"] for row in select_rows(ledger, sync_runs) if row["shop"] == "test"] == stay
    assert [row["run_id"] for row in select_rows(ledger, sync_runs) if row["shop"] == "other"] == ["run-0"]
    after = (
        Runs(ledger).watermark("test", NO_LOOKBACK),
        Runs(ledger).watermark("test", timedelta(hours=2)),
        Runs(ledger).failed_windows("test", "dag"),
    )
    assert after == before


def test_runs_that_are_not_old_stay(ledger: Ledger) -> None:
    save_runs(ledger, [regular(0, end, read_at=end) for end in range(1, 6)])

    assert remove_older(ledger, "test", hour(3), SETTLE) == {"rees46_sync_runs": 2}
    assert [row["run_id"] for row in select_rows(ledger, sync_runs)] == ["run-2", "run-3", "run-4"]


def test_the_last_resend_is_known_for_as_long_as_it_counts(ledger: Ledger) -> None:
    shortest_kept = 60
    save_runs(ledger, [regular(24 * day, 24 * day + 24, read_at=24 * day + 24) for day in range(90)])
    for day in (5, 45):
        run = regular(24 * day, 24 * day + 24, read_at=24 * day + 24) | {"resent": 9}
        Runs(ledger).save(**run_record(f"run-{day}", **run, finished_at=hour(24 * day + 24)))

    found = {}
    for today in (70, 89):
        remove_older(ledger, "test", hour(24 * (today - shortest_kept)), SETTLE)
        found[today] = Runs(ledger).last_resend("test", "dag", "own")

    assert found == {70: hour(24 * 46), 89: hour(24 * 46)}
    Runs(ledger).save(**run_record("run-45", **regular(0, 24 * 46, read_at=24 * 46)))
    # Without a record of one it is due: what is left of the runs goes back further than the longest resend_every.
    first = Runs(ledger).last_resend("test", "dag", "own")
    assert first is not None
    assert first <= hour(24 * 89) - MAX_RESEND_EVERY


# Beside the runs


def test_concurrent_removals_beside_a_writer_lose_no_latest_status(
    ledger: Ledger, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 50)
    ids = [f"{number}" for number in range(200)]
    for status in (0, 1):
        accept(ledger, RUN, 0, build_orders(*((order_id, status) for order_id in ids)))
    age(ledger, accepted_statuses, "accepted_at")
    others = [Ledger.from_conn_id(empty_database) for _ in range(4)]

    with ThreadPoolExecutor(4) as threads:
        removals = [threads.submit(remove_older, one, "test", BEFORE, SETTLE) for one in others[:3]]
        for batch in range(10):
            accept(others[3], LATER_RUN, 0, build_orders(*((order_id, 2) for order_id in ids[batch::10])))
        for done in removals:
            done.result()
    remove_older(ledger, "test", BEFORE, SETTLE)

    assert known_statuses(look_up(ledger, "test", ids)) == dict.fromkeys(ids, 2)
    assert not any(0 in history(ledger, order_id) for order_id in ids[:5])
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
def test_a_run_removes_what_its_shop_does_not_keep(
    shop: ShopUnderTest, keep_days: int | None, params: dict[str, Any], left: int
) -> None:
    shop.configure(keep_days=keep_days)
    shop.add_rows([("1", "paid", EIGHT - timedelta(minutes=30))])
    ledger = Ledger.from_conn_id("shop_ledger")
    ledger.migrate()
    Quarantine(ledger).store("test", "run-1", [RejectedRow("2", "sent back", "", "status_unmapped")])
    age(ledger, rejected_orders, "rejected_at")

    assert run_dag(**params).state == "success"

    assert len(select_rows(ledger, rejected_orders)) == left
    ledger.engine.dispose()


def test_a_run_succeeds_even_if_the_removal_fails(shop: ShopUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    configured = shop.configure(keep_days=60)
    ledger = Ledger.from_conn_id("shop_ledger")
    ledger.migrate()
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE rees46_approvals RENAME TO hidden"))

    with caplog.at_level(logging.ERROR):
        retention.after_run(configured, ledger)

    assert "the next run tries again" in caplog.text
    ledger.engine.dispose()
