"""What alerts fire on, and that each says so once: runs through Airflow, a real ledger, a real webhook."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from time_machine import TimeMachineFixture

from rees46_sync.exceptions import FreshnessLostError, LedgerError, ShopFileError
from rees46_sync.ledger.database import Ledger
from rees46_sync.monitoring import rules as monitoring
from rees46_sync.monitoring.rules import FinishedRun, after_run, check_freshness, findings_of
from rees46_sync.pipeline import tasks
from rees46_sync.pipeline.account_for_rows import Account, Closing, Results
from rees46_sync.shop.shop import Shop
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest
from tests.monitoring.page.test_queries import save_run
from tests.receivers import Webhook, webhook_server
from tests.whole_run import EIGHT, run_dag

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
SYNC, HISTORY = "order_status_sync_test", "order_status_history_test"


@pytest.fixture
def webhook(shop: ShopUnderTest) -> Iterator[Webhook]:
    with webhook_server() as webhook:
        shop.connect("http_default", webhook.connection)
        yield webhook


@pytest.fixture
def configured(shop: ShopUnderTest) -> Shop:
    return shop.configure(notify=[{"webhook": "/alerts"}], alerts={"rejected_share": 0.1}, limits={}, lookback="0h")


@pytest.fixture
def ledger(shop: ShopUnderTest) -> Iterator[Ledger]:
    ledger = Ledger.of_connection("shop_ledger")
    ledger.create()
    yield ledger
    ledger.engine.dispose()


@dataclass
class Hours:
    """Hourly runs, one after the other, each over its hour's orders; gives what was told of each."""

    shop: ShopUnderTest
    webhook: Webhook
    number: int = 0

    def run(self, *statuses: str, **params: Any) -> list[str]:
        """Run over one order of each status."""
        self.number += 1
        at = EIGHT + self.number * HOUR - HOUR / 2
        self.shop.clear_rows()
        self.shop.add_rows([(f"{self.number}-{n}", status, at) for n, status in enumerate(statuses)])
        before = len(self.webhook.posts)
        run_dag(logical_date=EIGHT + self.number * HOUR, **params)
        return self.webhook.subjects[before:]


def test_each_alert_of_a_run_is_told_once_when_it_fires_and_once_when_it_is_over(
    shop: ShopUnderTest, configured: Shop, webhook: Webhook
) -> None:
    hours = Hours(shop, webhook)
    broken = ["new"] * 9 + ["lost"] * 2
    assert hours.run("new") == []
    shop.sandbox.reset(fault="403@1")
    assert hours.run("new") == ["[fired] test: a run failed"]
    assert hours.run("new") == []
    shop.sandbox.reset()
    assert hours.run("new") == ["[recovered] test: a run failed"]
    shop.configure(notify=[{"webhook": "/alerts"}], alerts={"rejected_share": 0.1}, limits={"rejected_share": 0.5})
    assert hours.run(*broken) == ["[fired] test: many rows are rejected"]
    shop.configure(notify=[{"webhook": "/alerts"}], alerts={"rejected_share": 0.1}, limits={"rejected_share": 0.1})
    assert hours.run(*broken) == ["[fired] test: a limit stopped the run"]
    assert hours.run(*broken) == []
    assert hours.run(*broken, ignore_limits=True) == ["[recovered] test: a limit stopped the run"]
    assert hours.run("new") == ["[recovered] test: many rows are rejected"]
    told = [content for _, content in webhook.posts]
    assert all("lost" not in str(content) for content in told), "a message never shows what is in a row"
    assert told[0]["summary"].startswith("the hourly run failed: load_batches of partition 0 ")
    assert told[3]["figures"] == {"read": 11, "sent": 0, "rejected": 2, "failed": 9}


def test_a_channel_that_is_down_for_two_runs_is_told_at_the_third(
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


def test_a_run_is_green_though_nobody_can_be_told(shop: ShopUnderTest) -> None:
    shop.configure(
        notify=[{"email": ["ops@example.com"]}, {"slack": "#orders"}, {"webhook": "/alerts"}],
        alerts={"rejected_share": 0.1},
    )
    shop.add_rows([("1", "lost", EIGHT - HOUR / 2), ("2", "new", EIGHT - HOUR / 2)])
    assert run_dag().state == "success"
    assert shop.ledger_rows("SELECT count(*) FROM rees46_alert_messages WHERE told_at IS NULL") == [(3,)]


def test_a_dry_run_is_no_news(shop: ShopUnderTest, configured: Shop, webhook: Webhook) -> None:
    shop.add_rows([("1", "lost", EIGHT - HOUR / 2)])
    run_dag(dry_run=True)
    assert webhook.asked == 0
    assert shop.ledger_rows("SELECT count(*) FROM rees46_alerts") == [(0,)]


def test_a_run_whose_sum_does_not_close_is_told_though_it_is_not_recorded(
    shop: ShopUnderTest, configured: Shop, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.add_rows([("1", "new", EIGHT - HOUR / 2)])
    monkeypatch.setattr(Ledger, "delivered", lambda *_: {})  # a ledger that lost a batch
    assert run_dag().state == "failed"
    [(_, content)] = webhook.posts
    assert content["subject"] == "[fired] test: a run failed"
    assert "this is a defect of the sync" in content["summary"]
    assert shop.ledger_rows("SELECT count(*) FROM rees46_sync_runs") == [(0,)]


# Which run an alert speaks about


def finished(run_id: str, end: datetime, **changes: Any) -> FinishedRun:
    """A successful scheduled run of an hour of ten rows."""
    reading = {"extraction_id": "reading"}
    run = FinishedRun(
        dag_id=SYNC,
        run_id=run_id,
        history=False,
        scheduled=True,
        window=Window(end - HOUR, end, widened=True),
        results=Results(reading, [{"index": 0}], [{"index": 0, "reasons": {"status_unmapped": 1}}], approved=[]),
        closing=Closing(Account(read=10, sent=10), Counter(), []),
    )
    return replace(run, **changes)


def failed(run_id: str, end: datetime, **changes: Any) -> FinishedRun:
    """The same, but something did not finish."""
    closing = Closing(Account(read=10, failed=10), Counter(), ["it did not finish"])
    return finished(run_id, end, **({"closing": closing} | changes))


def test_an_older_run_that_is_run_again_changes_nothing(configured: Shop, ledger: Ledger, webhook: Webhook) -> None:
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
def test_a_run_by_hand_over_its_own_window_and_a_backfill_are_no_news(
    configured: Shop, ledger: Ledger, window: Window | None
) -> None:
    assert list(findings_of(configured, ledger, failed("1", EIGHT, window=window))) == []


@pytest.mark.parametrize(
    ("run", "found"),
    [
        pytest.param(
            finished("1", EIGHT),
            {"limit_reached": False, "run_failed": False, "rejected_share": False},
            id="success",
        ),
        pytest.param(
            failed("1", EIGHT, results=Results(None), closing=Closing(Account(), Counter(), ["nothing was read"])),
            {"run_failed": True},
            id="failed-before-it-read-anything",
        ),
        pytest.param(
            failed("1", EIGHT),
            {"limit_reached": False, "run_failed": True, "rejected_share": False},
            id="failed-after-the-limits",
        ),
        pytest.param(
            failed(
                "1",
                EIGHT,
                results=Results({"extraction_id": "reading"}, [{"index": 0}], [{"index": 0, "reasons": {}}]),
                limit={"extraction_id": "reading", "found": "too much"},
            ),
            {"limit_reached": True, "rejected_share": False},
            id="stopped-by-a-limit",
        ),
        pytest.param(
            failed(
                "1",
                EIGHT,
                results=Results({"extraction_id": "reading"}, [{"index": 0}], []),
                limit={"extraction_id": "earlier", "found": "too much"},
            ),
            {"run_failed": True},
            id="an-earlier-reading-was-stopped-by-a-limit",
        ),
    ],
)
def test_a_run_speaks_about_what_it_got_to(
    configured: Shop, ledger: Ledger, run: FinishedRun, found: dict[str, bool]
) -> None:
    findings = findings_of(configured, ledger, run)
    assert {finding.alert: finding.firing for finding in findings} == found


@pytest.mark.clock
def test_history_is_an_alert_of_its_own_until_no_interval_is_left_that_failed(
    configured: Shop, ledger: Ledger, webhook: Webhook
) -> None:
    def month(number: int, outcome: str) -> None:
        start, end = datetime(2025, number, 1, tzinfo=UTC), datetime(2025, number + 1, 1, tzinfo=UTC)
        columns = {"window_start": start, "window_end": end, "window_widened": False, "finished_at": datetime.now(UTC)}
        save_run(ledger, f"month-{number}", dag_id=HISTORY, outcome=outcome, **columns)
        after_run(configured, ledger, finished(f"month-{number}", end, history=True, dag_id=HISTORY))

    for number in range(1, 11):
        month(number, "success" if number in (1, 5) else "failed")
    for number in (3, 2, 4, 6, 7, 8, 9):
        month(number, "success")
    assert webhook.subjects == ["[fired] test: a history run failed"]
    month(10, "success")
    assert webhook.subjects[1:] == ["[recovered] test: a history run failed"]
    assert {content["event"] for _, content in webhook.posts} == {"run_failed"}


def test_many_parts_that_did_not_finish_make_no_long_message(configured: Shop, ledger: Ledger) -> None:
    lines = [f"part {number} did not finish" for number in range(1000)]
    run = failed("1", EIGHT, closing=Closing(Account(read=10, failed=10), Counter(), lines))
    [finding] = [one for one in findings_of(configured, ledger, run) if one.alert == "run_failed"]
    assert finding.summary.endswith("part 4 did not finish; and 995 more.")


def test_alerts_that_cannot_be_judged_make_no_run_fail(
    configured: Shop, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    monitoring.Alerts(ledger, "test").first_seen("run_failed", EIGHT)
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE rees46_alerts RENAME TO gone")
    with caplog.at_level(logging.ERROR):
        after_run(configured, ledger, finished("1", EIGHT))
    assert "The alerts of shop test could not be judged or told" in caplog.text


# Volume


def seed(ledger: Ledger, *sent: int) -> None:
    """Record that runs of the hour before EIGHT sent so many changes in the weeks before."""
    for week, count in enumerate(sent, start=1):
        save_run(ledger, f"week-{week}", window_end=EIGHT - week * WEEK, sent=count)


def volume_of(shop: Shop, ledger: Ledger, sent: int, **changes: Any) -> bool | None:
    """What a run that ends at EIGHT says of its volume; None where it says nothing."""
    save_run(ledger, "now", window_end=EIGHT, sent=sent)
    found = findings_of(shop, ledger, finished("now", EIGHT, **changes))
    return next((finding.firing for finding in found if finding.alert == "volume"), None)


@pytest.mark.parametrize(
    ("sent", "changes", "says"),
    [
        pytest.param(0, {}, True, id="nothing"),
        pytest.param(95, {}, False, id="as-ever"),
        pytest.param(1000, {}, True, id="ten-times"),
        pytest.param(1000, {"window": Window(EIGHT - 9 * HOUR, EIGHT, True)}, None, id="more-after-an-outage"),
        pytest.param(0, {"window": Window(EIGHT - 9 * HOUR, EIGHT, True)}, True, id="nothing-after-an-outage"),
        pytest.param(0, {"scheduled": False}, None, id="started-by-hand"),
        pytest.param(0, {"closing": Closing(Account(), Counter(), ["a part"])}, None, id="a-run-that-failed"),
    ],
)
def test_a_scheduled_run_says_whether_its_volume_is_far_off(
    configured: Shop, ledger: Ledger, sent: int, changes: dict[str, Any], says: bool | None
) -> None:
    seed(ledger, 100, 90, 110, 105)
    assert volume_of(configured, ledger, sent, **changes) is says


def test_a_shop_of_three_weeks_says_nothing_of_its_volume(configured: Shop, ledger: Ledger) -> None:
    seed(ledger, 100, 90, 110)
    assert volume_of(configured, ledger, 0) is None


# Freshness


def success(ledger: Ledger, ago: timedelta) -> None:
    moment = datetime.now(UTC) - ago
    save_run(ledger, f"ended {ago} ago", window_end=moment, started_at=moment, finished_at=moment)


@pytest.mark.clock
def test_lost_freshness_is_an_error_each_time_and_told_once_until_it_is_regained(
    shop: ShopUnderTest, ledger: Ledger, webhook: Webhook, frozen_now: datetime
) -> None:
    configured = shop.configure(notify=[{"webhook": "/alerts"}], freshness="2h")
    success(ledger, 3 * HOUR)
    for _ in range(2):
        with pytest.raises(FreshnessLostError) as caught:
            check_freshness(configured)
    assert "the last successful hourly run ended 3 h ago" in str(caught.value)
    assert "a change that is not accepted yet is at most 3 h old (more than freshness: 2 h)" in str(caught.value)
    assert "see whether order_status_sync_test is paused" in str(caught.value)
    assert webhook.subjects == ["[fired] test: REES46 is not up to date"]

    success(ledger, HOUR)
    for _ in range(2):
        check_freshness(configured)

    assert webhook.subjects[1:] == ["[recovered] test: REES46 is not up to date"]


@pytest.mark.clock
def test_a_shop_that_never_succeeded_is_given_its_time_from_when_it_was_first_seen(
    shop: ShopUnderTest, ledger: Ledger, webhook: Webhook, frozen_now: datetime, time_machine: TimeMachineFixture
) -> None:
    configured = shop.configure(notify=[{"webhook": "/alerts"}], freshness="2h")
    check_freshness(configured)
    time_machine.shift(3 * HOUR)
    with pytest.raises(
        FreshnessLostError, match="no hourly run has succeeded in the 3 h since the shop was first seen"
    ):
        check_freshness(configured)
    assert webhook.subjects == ["[fired] test: REES46 is not up to date"]


@pytest.mark.clock
def test_what_a_run_could_not_tell_is_told_by_the_freshness_check(
    configured: Shop, ledger: Ledger, webhook: Webhook
) -> None:
    webhook.is_down = True
    after_run(configured, ledger, failed("1", EIGHT))
    webhook.is_down = False
    check_freshness(configured)
    assert webhook.subjects == ["[fired] test: a run failed"]


@pytest.mark.clock
def test_a_ledger_that_does_not_answer_is_an_error_that_names_it(shop: ShopUnderTest, configured: Shop) -> None:
    shop.connect("shop_ledger", "sqlite:////nowhere/at/all/ledger.db")
    with pytest.raises(LedgerError, match="Check the database of ledger_conn_id"):
        check_freshness(configured)


@pytest.mark.clock
def test_the_freshness_dag_asks_for_each_shop_and_is_not_stopped_by_one(
    shop: ShopUnderTest, configured: Shop, ledger: Ledger
) -> None:
    (shop.shops / "other.yaml").write_text((shop.shops / "test.yaml").read_text().replace("shop: test", "shop: other"))
    success(ledger, 30 * HOUR)

    run = run_dag("order_status_freshness")

    assert run.state == "failed"
    assert run.task_states == {"list_shops": {"success"}, "check_freshness": {"failed", "success"}}
    assert sorted(map(str, run.task_names["check_freshness"])) == ["other", "test"]


def test_a_shop_file_that_cannot_be_used_is_red_and_keeps_no_other_from_being_looked_at(
    shop: ShopUnderTest, configured: Shop
) -> None:
    (shop.shops / "broken.yaml").write_text("shop: broken\n")
    run = run_dag("order_status_freshness")
    assert run.state == "failed"
    assert sorted(map(str, run.task_names["check_freshness"])) == ["broken.yaml", "test"]
    assert run.task_states["check_freshness"] == {"failed", "success"}
    with pytest.raises(ShopFileError, match="warehouse_conn_id is missing"):
        tasks.check_freshness(tasks.list_shops(str(shop.shops))[-1], str(shop.shops))


def test_without_any_shop_the_freshness_dag_is_not_green(shop: ShopUnderTest) -> None:
    Path(shop.shops / "test.yaml").unlink()
    run = run_dag("order_status_freshness")
    assert (run.state, run.task_states["list_shops"]) == ("failed", {"failed"})


def test_the_list_of_shops_holds_no_more_than_name_file_and_faults(shop: ShopUnderTest, configured: Shop) -> None:
    assert tasks.list_shops(str(shop.shops)) == [{"name": "test", "file": "test.yaml", "faults": []}]
