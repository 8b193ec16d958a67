"""When alerts fire, and that each transition is sent once: runs through Airflow, a real ledger, a real webhook."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.requests import Requests
from rees46_sync.ledger.runs import new_account
from rees46_sync.monitoring.alert_rules import FinishedRun, after_run, evaluate_run
from rees46_sync.monitoring.alerts import AlertName, Alerts
from rees46_sync.shop.shop import Shop
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest
from tests.monitoring.builders import HOUR, save_run
from tests.receivers import Webhook
from tests.whole_run import EIGHT, run_dag

WEEK = timedelta(days=7)
SYNC, HISTORY = "order_status_sync_test", "order_status_history_test"


@dataclass
class Hours:
    """Hourly runs, one after the other, each with its hour's orders."""

    shop: ShopUnderTest
    webhook: Webhook
    number: int = 0

    def run(self, *statuses: str, **params: Any) -> list[str]:
        """Run with one order for each status; return the subjects of the messages that were sent."""
        self.number += 1
        at = EIGHT + self.number * HOUR - HOUR / 2
        self.shop.clear_rows()
        self.shop.add_rows([(f"{self.number}-{n}", status, at) for n, status in enumerate(statuses)])
        before = len(self.webhook.posts)
        run_dag(logical_date=EIGHT + self.number * HOUR, **params)
        return self.webhook.subjects[before:]


def test_each_alert_of_a_run_is_sent_once_when_it_fires_and_once_when_it_is_over(
    shop: ShopUnderTest, configured: Shop, webhook: Webhook
) -> None:
    hours = Hours(shop, webhook)
    broken = ["new"] * 9 + ["lost"] * 2
    assert hours.run("new") == []
    shop.sandbox.reset(fault="403@1")
    assert hours.run("new") == ["[fired] test: a run failed"]
    assert hours.run("new") == []
    shop.sandbox.reset(fault="redirect@1")
    assert hours.run("new") == ["[changed] test: a run failed, for another cause"]
    assert hours.run("new") == []
    shop.sandbox.reset()
    assert hours.run("new") == ["[recovered] test: a run failed"]
    shop.configure(notify=[{"webhook": "/alerts"}], alerts={"rejected_share": 0.01}, limits={"rejected_share": 0.5})
    assert hours.run(*broken) == ["[fired] test: many rows are rejected"]
    shop.configure(notify=[{"webhook": "/alerts"}], alerts={"rejected_share": 0.01}, limits={"rejected_share": 0.01})
    assert hours.run(*broken) == ["[fired] test: a limit stopped the run"]
    assert hours.run(*broken) == []
    assert hours.run(*broken, ignore_limits=True) == ["[recovered] test: a limit stopped the run"]
    assert hours.run("new") == ["[recovered] test: many rows are rejected"]
    messages = [content for _, content in webhook.posts]
    assert all("lost" not in str(message) for message in messages), "a message never shows the values of a row"
    assert messages[0]["summary"].startswith("the hourly run failed: load_batches of partition 0 could not send 1 ")
    assert messages[0]["summary"].endswith("answered 403 (Sandbox fault).")
    assert messages[0]["remedy"].startswith("check login")
    assert [message["state"] for message in messages[:3]] == ["fired", "changed", "recovered"]
    assert messages[0]["since"] == messages[1]["since"] == messages[2]["since"] < messages[1]["at"]
    assert messages[4]["metrics"] == {"read": 11, "sent": 0, "rejected": 2, "failed": 9}


def test_a_channel_that_is_down_for_two_runs_gets_the_message_at_the_third(
    shop: ShopUnderTest, configured: Shop, webhook: Webhook
) -> None:
    hours = Hours(shop, webhook)
    shop.sandbox.reset(fault="403@1")
    webhook.is_down = True
    assert [hours.run("new"), hours.run("new")] == [[], []]
    assert webhook.asked == 2
    webhook.is_down = False
    assert hours.run("new") == ["[fired] test: a run failed"]
    shop.sandbox.reset()
    webhook.is_down = True
    assert hours.run("new") == []
    webhook.is_down = False
    assert hours.run("new") == ["[recovered] test: a run failed"]


def test_a_run_is_successful_even_if_no_alert_can_be_sent(shop: ShopUnderTest) -> None:
    shop.configure(
        notify=[{"email": ["ops@example.com"]}, {"slack": "#orders"}, {"webhook": "/alerts"}],
        alerts={"rejected_share": 0},
    )
    shop.add_rows([("1", "lost", EIGHT - HOUR / 2), ("2", "new", EIGHT - HOUR / 2)])
    assert run_dag().state == "success"
    assert shop.ledger_rows("SELECT count(*) FROM rees46_alert_messages WHERE sent_at IS NULL") == [(3,)]


def test_a_dry_run_sends_no_alert(shop: ShopUnderTest, configured: Shop, webhook: Webhook) -> None:
    shop.add_rows([("1", "lost", EIGHT - HOUR / 2)])
    run_dag(dry_run=True)
    assert webhook.asked == 0
    assert shop.ledger_rows("SELECT count(*) FROM rees46_alerts") == [(0,)]


def test_a_run_whose_sum_does_not_close_fires_an_alert_although_it_is_not_recorded(
    shop: ShopUnderTest, configured: Shop, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add_rows([("1", "new", EIGHT - HOUR / 2)])
    monkeypatch.setattr(Requests, "accepted_by_partition", lambda *_: {})  # a ledger that lost a batch
    assert run_dag().state == "failed"
    [(_, content)] = webhook.posts
    assert content["subject"] == "[fired] test: a run failed"
    assert content["remedy"] == "this is a defect of the sync: report it with this line."
    assert shop.ledger_rows("SELECT count(*) FROM rees46_sync_runs") == [(0,)]


# Which run an alert is about


def finished(run_id: str, end: datetime, **changes: Any) -> FinishedRun:
    """A successful scheduled run of an hour of ten rows."""
    run = FinishedRun(
        dag_id=SYNC,
        run_id=run_id,
        is_history=False,
        is_scheduled=True,
        window=Window(end - HOUR, end, is_regular=True),
        counts=new_account() | {"read": 10, "sent": 10},
        unfinished=[],
        reasons=Counter(status_unmapped=1),
        is_validated=True,
        is_approved=True,
    )
    return replace(run, **changes)


def failed(run_id: str, end: datetime, **changes: Any) -> FinishedRun:
    """The same, but something did not finish."""
    counts = new_account() | {"read": 10, "failed": 10}
    return finished(run_id, end, **({"counts": counts, "unfinished": ["it did not finish"]} | changes))


def test_an_older_run_that_is_repeated_changes_nothing(configured: Shop, ledger: Ledger, webhook: Webhook) -> None:
    for run in (
        finished("9", EIGHT + HOUR),
        failed("8", EIGHT),
        failed("10", EIGHT + 2 * HOUR),
        finished("9", EIGHT + HOUR),
        failed("9", EIGHT + HOUR),
        finished("10", EIGHT + 2 * HOUR),
    ):
        after_run(configured, ledger, run)
    assert webhook.subjects == ["[fired] test: a run failed", "[recovered] test: a run failed"]
    assert [content["run_id"] for _, content in webhook.posts] == ["10", "10"]


@pytest.mark.parametrize(
    "window",
    [pytest.param(None, id="no-window"), pytest.param(Window(EIGHT - HOUR, EIGHT), id="a-window-of-its-own")],
)
def test_a_run_with_its_own_window_and_a_backfill_are_not_evaluated(
    configured: Shop, ledger: Ledger, window: Window | None
) -> None:
    assert list(evaluate_run(configured, ledger, failed("1", EIGHT, window=window))) == []


def test_a_run_that_held_orders_back_does_not_end_an_alert(configured: Shop, ledger: Ledger) -> None:
    run = finished("1", EIGHT, counts=new_account() | {"read": 10, "sent": 3, "held": 7})

    assert list(evaluate_run(configured, ledger, run)) == []


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        pytest.param(
            finished("1", EIGHT),
            {"limit_reached": False, "run_failed": False, "rejected_share": False, "reopened": False},
            id="success",
        ),
        pytest.param(
            failed("1", EIGHT, counts=new_account(), is_approved=False),
            {"run_failed": True},
            id="failed-before-it-read-anything",
        ),
        pytest.param(
            failed("1", EIGHT),
            {"limit_reached": False, "run_failed": True, "rejected_share": False, "reopened": False},
            id="failed-after-the-limits",
        ),
        pytest.param(
            failed("1", EIGHT, is_approved=False, exceeded_text="too much"),
            {"limit_reached": True, "rejected_share": False, "reopened": False},
            id="stopped-by-a-limit",
        ),
        pytest.param(
            failed("1", EIGHT, is_validated=False, is_approved=False),
            {"run_failed": True},
            id="failed-before-its-rows-were-validated",
        ),
        pytest.param(
            failed("1", EIGHT, is_approved=False),
            {"run_failed": True, "rejected_share": False},
            id="failed-before-its-rows-were-compared",
        ),
    ],
)
def test_a_run_evaluates_only_the_alerts_of_the_steps_that_it_reached(
    configured: Shop, ledger: Ledger, run: FinishedRun, expected: dict[str, bool]
) -> None:
    evaluations = evaluate_run(configured, ledger, run)
    assert {evaluation.alert: evaluation.firing for evaluation in evaluations} == expected


@pytest.mark.parametrize(
    ("alert", "count", "read", "firing"),
    [
        pytest.param("rejected_share", 1, 10, False, id="one-of-ten-is-1-of-100"),
        pytest.param("rejected_share", 2, 10, True, id="two-of-ten"),
        pytest.param("rejected_share", 2, 200, False, id="at-the-threshold"),
        pytest.param("rejected_share", 3, 200, True, id="above-the-threshold"),
        pytest.param("reopened", 5, 10, False, id="five-of-ten-reopened-are-5-of-100"),
        pytest.param("reopened", 6, 10, True, id="six-of-ten-reopened"),
        pytest.param("reopened", 10, 200, False, id="reopened-at-the-threshold"),
        pytest.param("reopened", 11, 200, True, id="reopened-above-the-threshold"),
    ],
)
def test_an_alert_about_a_share_takes_it_of_at_least_a_hundred_rows(
    configured: Shop, ledger: Ledger, alert: str, count: int, read: int, firing: bool
) -> None:
    counted = {"rejected_share": "rejected", "reopened": "reopened"}[alert]
    run = finished("1", EIGHT, counts=new_account() | {"read": read, counted: count, "sent": read - count})

    [evaluation] = [one for one in evaluate_run(configured, ledger, run) if one.alert == alert]

    assert evaluation.firing is firing
    assert evaluation.summary.startswith(f"{count} of {read} rows are ")


def test_reopened_orders_fire_an_alert_until_no_run_holds_them_back(
    shop: ShopUnderTest, configured: Shop, webhook: Webhook
) -> None:
    orders, at = [str(number) for number in range(6)], EIGHT - HOUR / 2
    shop.add_rows([(order_id, "delivered", at) for order_id in orders])
    run_dag()
    shop.clear_rows()
    shop.add_rows([(order_id, "paid", at + HOUR) for order_id in orders])
    shop.configure(notify=[{"webhook": "/alerts"}])

    for hour in (1, 2):
        assert run_dag(logical_date=EIGHT + hour * HOUR).account["reopened"] == 6
        assert webhook.subjects == ["[fired] test: many orders are held back as reopened"]
    statuses = {"created": ["new"], "completed": ["delivered", "paid"], "cancelled": []}
    shop.configure(notify=[{"webhook": "/alerts"}], statuses=statuses)
    assert run_dag(logical_date=EIGHT + 3 * HOUR).account["unchanged"] == 6

    assert webhook.subjects[1:] == ["[recovered] test: many orders are held back as reopened"]
    fired = webhook.posts[0][1]
    assert fired["metrics"] == {"reopened": 6, "read": 6, "share": 0.06, "threshold": 0.05}
    assert (
        "If that mapping is wrong, correct it; if the shop does reopen orders, set allow_reopen: true"
        in fired["remedy"]
    )


@pytest.mark.clock
def test_history_has_an_alert_of_its_own_that_fires_until_no_failed_interval_remains(
    configured: Shop, ledger: Ledger, webhook: Webhook
) -> None:
    def month(number: int, outcome: str) -> None:
        start, end = datetime(2025, number, 1, tzinfo=UTC), datetime(2025, number + 1, 1, tzinfo=UTC)
        columns = {"window_start": start, "window_end": end, "window_widened": False, "finished_at": datetime.now(UTC)}
        save_run(ledger, f"month-{number}", dag_id=HISTORY, outcome=outcome, **columns)
        after_run(configured, ledger, finished(f"month-{number}", end, is_history=True, dag_id=HISTORY))

    for number in range(1, 11):
        month(number, "success" if number in (1, 5) else "failed")
    for number in (3, 2, 4, 6, 7, 8, 9):
        month(number, "success")
    assert webhook.subjects == ["[fired] test: a history run failed"]
    month(10, "success")
    assert webhook.subjects[1:] == ["[recovered] test: a history run failed"]
    assert {content["event"] for _, content in webhook.posts} == {"run_failed"}


def test_a_message_about_many_unfinished_parts_stays_short(configured: Shop, ledger: Ledger) -> None:
    lines = [f"part {number} did not finish" for number in range(1000)]
    run = failed("1", EIGHT, unfinished=lines)
    [evaluation] = [one for one in evaluate_run(configured, ledger, run) if one.alert == AlertName.RUN_FAILED]
    assert evaluation.summary.endswith("part 4 did not finish; and 995 more.")


def test_a_run_does_not_fail_because_its_alerts_cannot_be_evaluated(
    configured: Shop, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    Alerts(ledger, "test").first_seen(AlertName.RUN_FAILED, EIGHT)
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE rees46_alerts RENAME TO gone")
    with caplog.at_level(logging.ERROR):
        after_run(configured, ledger, finished("1", EIGHT))
    assert "The alerts of shop test could not be evaluated or sent" in caplog.text


# Volume


def seed(ledger: Ledger, *sent: int) -> None:
    """Record how many changes the runs of the hour before EIGHT sent in the weeks before."""
    for week, count in enumerate(sent, start=1):
        save_run(ledger, f"week-{week}", window_end=EIGHT - week * WEEK, sent=count)


def volume_alert(shop: Shop, ledger: Ledger, sent: int, **changes: Any) -> bool | None:
    """Return whether the volume alert fires after a run that ends at EIGHT; None if it is not evaluated."""
    save_run(ledger, "now", window_end=EIGHT, sent=sent)
    evaluations = evaluate_run(shop, ledger, finished("now", EIGHT, **changes))
    return next((one.firing for one in evaluations if one.alert == AlertName.VOLUME), None)


@pytest.mark.parametrize(
    ("sent", "changes", "firing"),
    [
        pytest.param(0, {}, True, id="nothing"),
        pytest.param(95, {}, False, id="as-usual"),
        pytest.param(1000, {}, True, id="ten-times"),
        pytest.param(1000, {"window": Window(EIGHT - 9 * HOUR, EIGHT, True)}, None, id="more-after-an-outage"),
        pytest.param(0, {"window": Window(EIGHT - 9 * HOUR, EIGHT, True)}, True, id="nothing-after-an-outage"),
        pytest.param(0, {"is_scheduled": False}, None, id="started-by-hand"),
        pytest.param(0, {"unfinished": ["a part"]}, None, id="a-run-that-failed"),
    ],
)
def test_a_scheduled_run_evaluates_whether_its_volume_is_unusual(
    configured: Shop, ledger: Ledger, sent: int, changes: dict[str, Any], firing: bool | None
) -> None:
    seed(ledger, 100, 90, 110, 105)
    assert volume_alert(configured, ledger, sent, **changes) is firing


def test_the_volume_of_a_shop_with_three_weeks_is_not_evaluated(configured: Shop, ledger: Ledger) -> None:
    seed(ledger, 100, 90, 110)
    assert volume_alert(configured, ledger, 0) is None


def test_a_history_run_that_succeeds_sends_nothing_while_another_interval_remains_failed(
    configured: Shop, ledger: Ledger, webhook: Webhook
) -> None:
    history = {"dag_id": HISTORY, "is_history": True}
    save_run(ledger, "1", dag_id=HISTORY, outcome="failed", window_widened=False)
    after_run(configured, ledger, failed("1", EIGHT, cause_id="403", **history))
    assert webhook.subjects == ["[fired] test: a history run failed"]

    after_run(configured, ledger, finished("2", EIGHT - WEEK, **history))
    after_run(configured, ledger, failed("1", EIGHT, cause_id="403", **history))
    assert webhook.subjects == ["[fired] test: a history run failed"]

    after_run(configured, ledger, failed("1", EIGHT, cause_id="no column", **history))
    assert webhook.subjects[1:] == ["[changed] test: a history run failed, for another cause"]
