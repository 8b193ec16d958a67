"""The weekly comparison of every shop, run by Airflow with a real warehouse, ledger and webhook."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime

import pytest
from time_machine import TimeMachineFixture

from rees46_sync.doctor.scheduled_reconcile import SPAN, reconcile
from rees46_sync.exceptions import DifferencesError, ShopFileError, WarehouseError
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import RunRef
from rees46_sync.monitoring.check_freshness import ListedShop, list_shops
from tests.conftest import ShopUnderTest, accept
from tests.ledger.builders import build_orders
from tests.monitoring.builders import DAY, HOUR, save_run
from tests.receivers import Webhook, webhook_server
from tests.whole_run import run_dag

DAG_ID = "order_status_reconcile"
FIRED, RECOVERED = (f"[{state}] test: REES46 differs from the warehouse" for state in ("fired", "recovered"))
RUN = RunRef("test", "order_status_sync_test", "run-1", "extraction-1")

pytestmark = pytest.mark.clock


@pytest.fixture
def webhook(shop: ShopUnderTest) -> Iterator[Webhook]:
    with webhook_server() as webhook:
        shop.connect("http_default", webhook.connection)
        shop.configure(notify=[{"webhook": "/alerts", "events": ["differences"]}], lookback="24h")
        yield webhook


@pytest.fixture
def now(frozen_now: datetime) -> datetime:
    return frozen_now.replace(microsecond=0)


@pytest.fixture
def ledger(shop: ShopUnderTest, now: datetime) -> Iterator[Ledger]:
    """The ledger of a shop that has run every hour for a year."""
    ledger = Ledger.open("shop_ledger")
    times = dict.fromkeys(("window_end", "started_at", "finished_at"), now - HOUR)
    save_run(ledger, "1", **times, window_start=now - 365 * DAY)
    yield ledger
    ledger.engine.dispose()


def listed(shop: ShopUnderTest) -> tuple[ListedShop, str]:
    return list_shops(str(shop.shops))[0], str(shop.shops)


def add(shop: ShopUnderTest, order_id: str, status: str, updated_at: datetime) -> None:
    shop.add_rows([(order_id, status, updated_at.replace(tzinfo=None))])


def test_rows_that_came_too_late_for_every_run_are_an_error_and_one_alert_until_they_are_sent(
    shop: ShopUnderTest, ledger: Ledger, webhook: Webhook, now: datetime, time_machine: TimeMachineFixture
) -> None:
    add(shop, "late", "delivered", now - 3 * DAY)
    add(shop, "changed", "cancelled", now - 5 * DAY)
    time_machine.move_to(now - 5 * DAY, tick=False)
    accept(ledger, RUN, 0, build_orders(("changed", 0), at=now - 5 * DAY))
    time_machine.move_to(now, tick=False)

    for _ in range(2):
        with pytest.raises(DifferencesError) as caught:
            reconcile(*listed(shop))

    assert "REES46 lacks 1, has another status than the warehouse of 1, and may have another" in str(caught.value)
    assert webhook.subjects == [FIRED]
    [(_, message)] = webhook.posts
    assert message["metrics"] == {"missing": 1, "different": 1, "uncertain": 0}
    assert (message["event"], message["run_id"]) == ("differences", None)

    accept(ledger, RUN, 0, build_orders(("changed", 2), at=now - 5 * DAY))
    accept(ledger, RUN, 0, build_orders(("late", 1), at=now - 3 * DAY))
    reconcile(*listed(shop))

    assert webhook.subjects == [FIRED, RECOVERED]


def test_what_no_run_would_send_is_no_difference(
    shop: ShopUnderTest, ledger: Ledger, webhook: Webhook, now: datetime
) -> None:
    add(shop, "the next run reads it", "delivered", now - 24 * HOUR)
    add(shop, "older than the span", "delivered", now - SPAN - HOUR)
    add(shop, "rejected", "odd", now - 3 * DAY)
    add(shop, "reopened", "new", now - 3 * DAY)
    accept(ledger, RUN, 0, build_orders(("reopened", 1), ("deleted", 1), at=now - 3 * DAY))

    reconcile(*listed(shop))

    assert webhook.subjects == []


def test_what_lies_before_the_first_run_is_no_difference(shop: ShopUnderTest, webhook: Webhook, now: datetime) -> None:
    add(shop, "1", "delivered", now - 5 * DAY)
    reconcile(*listed(shop))  # no run has succeeded
    ledger = Ledger.open("shop_ledger")
    times = dict.fromkeys(("window_end", "started_at", "finished_at"), now)
    save_run(ledger, "1", **times, window_start=now - 4 * DAY)
    reconcile(*listed(shop))
    assert webhook.subjects == []

    save_run(ledger, "2", **times, window_start=now - 6 * DAY, dag_id="order_status_history_test")
    with pytest.raises(DifferencesError, match="REES46 lacks 1,"):
        reconcile(*listed(shop))
    ledger.engine.dispose()


def test_the_dag_compares_each_shop_and_is_not_stopped_by_one(
    shop: ShopUnderTest, ledger: Ledger, now: datetime
) -> None:
    text = (shop.shops / "test.yaml").read_text()
    (shop.shops / "other.yaml").write_text(text.replace("shop: test", "shop: other"))
    (shop.shops / "broken.yaml").write_text("shop: broken\n")
    add(shop, "late", "delivered", now - 3 * DAY)

    run = run_dag(DAG_ID)

    assert run.state == "failed"
    assert run.task_states == {"list_shops": {"success"}, "reconcile": {"failed", "success"}}
    assert sorted(map(str, run.task_names["reconcile"])) == ["broken.yaml", "other", "test"]
    with pytest.raises(ShopFileError, match="warehouse_conn_id is missing"):
        reconcile(list_shops(str(shop.shops))[-1], str(shop.shops))


def test_a_warehouse_that_does_not_answer_changes_no_alert(
    shop: ShopUnderTest, ledger: Ledger, webhook: Webhook, now: datetime
) -> None:
    add(shop, "late", "delivered", now - 3 * DAY)
    with pytest.raises(DifferencesError):
        reconcile(*listed(shop))
    shop.connect("shop_warehouse", "sqlite:////nowhere/at/all.db")

    with pytest.raises(WarehouseError):
        reconcile(*listed(shop))

    assert webhook.subjects == [FIRED]


def test_the_remedy_is_a_command_that_shows_them(
    shop: ShopUnderTest, ledger: Ledger, now: datetime, capsys: pytest.CaptureFixture[str]
) -> None:
    from rees46_sync.doctor.__main__ import main

    add(shop, "late", "delivered", now - 30 * DAY)
    with pytest.raises(DifferencesError) as caught:
        reconcile(*listed(shop))
    make, target, name, span = shlex.split(caught.value.remedy)[:4]

    # What the target runs, as the Makefile has it.
    code = main(["--reconcile", span.removeprefix("SPAN="), name.removeprefix("SHOP=")])

    assert (make, target, code) == ("make", "reconcile", 1)
    assert '"late"' in (said := capsys.readouterr().out) or "'late'" in said
    assert "airflow dags trigger order_status_sync_test" in said
