"""The page of all shops: a line for each, the worst first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rees46_sync.ledger.database import Ledger
from rees46_sync.monitoring.alerts import AlertEvaluation, AlertName, Alerts
from tests.conftest import ShopUnderTest
from tests.monitoring.builders import DAY, HOUR, save_run, save_success
from tests.monitoring.page.requests import get_text

STATES = {"red": "act now", "amber": "look at it", "green": "in order"}


def lines(page: str) -> list[str]:
    """Return the text of each line of the table, without its head."""
    rows = re.findall("<tr>(.*?)</tr>", page, re.DOTALL)[1:]
    return [" ".join(re.sub("<[^>]*>", " ", row).split()) for row in rows]


def fire(ledger: Ledger, alert: AlertName, now: datetime, shop: str = "test") -> None:
    evaluation = AlertEvaluation(
        alert=alert, firing=True, as_of=now, summary="It fires.", remedy="Look at it.", metrics={}
    )
    Alerts(ledger, shop).record(evaluation, [], lambda _: {}, now)


@pytest.mark.clock
@pytest.mark.parametrize(
    ("age", "columns", "alert", "state"),
    [
        pytest.param(HOUR, {}, None, "green", id="fresh"),
        pytest.param(HOUR, {"held": 1, "read": 1}, None, "red", id="a-run-that-held-orders-back-and-no-success"),
        pytest.param(HOUR, {"data_late": True}, None, "amber", id="the-data-is-late"),
        pytest.param(HOUR, {}, AlertName.VOLUME, "amber", id="an-alert-says-that-something-is-unusual"),
        pytest.param(HOUR, {}, AlertName.RUN_FAILED, "red", id="an-alert-says-that-changes-do-not-arrive"),
        pytest.param(HOUR, {"outcome": "failed"}, None, "red", id="the-last-run-failed"),
        pytest.param(2 * DAY, {}, None, "red", id="not-fresh"),
    ],
)
def test_the_state_of_a_shop_says_in_a_word_what_to_do(
    viewer: TestClient,
    ledger: Ledger,
    two_shops: ShopUnderTest,
    frozen_now: datetime,
    age: timedelta,
    columns: Mapping[str, Any],
    alert: AlertName | None,
    state: str,
) -> None:
    save_success(ledger, "1", frozen_now - age, data_until=frozen_now - age, **columns)
    if alert:
        fire(ledger, alert, frozen_now)

    [line] = [line for line in lines(get_text(viewer, "/")) if " test " in line]

    assert line.startswith(f"{STATES[state]} test")


@pytest.mark.clock
def test_the_worst_shop_is_the_first(
    viewer: TestClient, ledger: Ledger, two_shops: ShopUnderTest, frozen_now: datetime
) -> None:
    save_success(ledger, "1", frozen_now)
    save_success(ledger, "2", frozen_now, shop="secret", dag_id="order_status_sync_secret")
    assert [line.split()[2] for line in lines(get_text(viewer, "/"))] == ["secret", "test"]

    save_run(ledger, "3", outcome="failed", finished_at=frozen_now)

    assert [line.split()[2] for line in lines(get_text(viewer, "/"))] == ["test", "secret"]


@pytest.mark.clock
def test_a_line_has_the_age_the_last_account_its_cause_the_gaps_and_the_alerts(
    viewer: TestClient, ledger: Ledger, frozen_now: datetime
) -> None:
    save_success(ledger, "1", frozen_now - 3 * HOUR)
    history = {"dag_id": "order_status_history_test", "window_widened": False}
    within = {"window_start": frozen_now - 5 * HOUR, "window_end": frozen_now - 4 * HOUR}
    save_run(ledger, "history", finished_at=frozen_now - 2 * HOUR, **history, **within)
    save_success(
        ledger,
        "2",
        frozen_now - HOUR,
        window_start=frozen_now - 2 * HOUR,
        outcome="failed",
        cause="answered 403 (<Shop> is inactive)",
        read=1260,
        sent=1200,
        failed=60,
    )
    fire(ledger, AlertName.RUN_FAILED, frozen_now)

    page = get_text(viewer, "/")
    [line] = [line for line in lines(page) if " test " in line]

    assert "at most 3 h 0 min old 3 h 0 min ago" in line
    assert "failed : sent 1,200 , failed 60 answered 403 (&lt;Shop&gt; is inactive)" in line
    assert line.endswith("\N{EN DASH} a run failed")  # and no gap
    assert re.search(r'href="/rees46/shops/test/runs/\d+">failed<', page)
