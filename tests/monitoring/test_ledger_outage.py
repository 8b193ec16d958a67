"""The alert about the ledger itself, sent without the ledger: whole runs, real databases, a real webhook."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rees46_sync.airflow_adapters import retry_policy
from rees46_sync.shop.shop import Shop
from tests.conftest import ShopUnderTest
from tests.receivers import Webhook
from tests.whole_run import EIGHT, run_dag

NOWHERE = "sqlite:////nowhere/at/all/ledger.db"
FIRED, RECOVERED = "[fired] test: the ledger cannot be used", "[recovered] test: the ledger cannot be used"


@pytest.mark.parametrize("dag_id", ["order_status_sync_test", "order_status_freshness"])
def test_an_outage_of_the_ledger_is_sent_once_and_when_it_is_over(
    shop: ShopUnderTest, configured: Shop, webhook: Webhook, monkeypatch: pytest.MonkeyPatch, dag_id: str
) -> None:
    monkeypatch.setattr(retry_policy, "MIN_DELAY", timedelta(milliseconds=1))
    with monkeypatch.context() as outage:
        outage.setenv("AIRFLOW_CONN_SHOP_LEDGER", NOWHERE)
        for _ in range(2):
            assert run_dag(dag_id, logical_date=EIGHT).state == "failed"
    assert webhook.subjects == [FIRED]
    [(_, message)] = webhook.posts
    assert message["summary"].startswith("the ledger cannot be used: ")
    assert message["remedy"].startswith("check the database of ledger_conn_id")
    assert (message["alert"], message["event"], message["state"]) == ("ledger", "ledger", "fired")

    for _ in range(2):
        run_dag(dag_id, logical_date=EIGHT)
    assert [subject for subject in webhook.subjects if "ledger" in subject] == [FIRED, RECOVERED]


def test_a_channel_that_was_down_gets_it_with_the_next_attempt(
    shop: ShopUnderTest, configured: Shop, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_LEDGER", NOWHERE)
    webhook.is_down = True
    assert run_dag("order_status_freshness", logical_date=EIGHT).state == "failed"
    assert webhook.subjects == []

    webhook.is_down = False
    assert run_dag("order_status_freshness", logical_date=EIGHT).state == "failed"
    assert webhook.subjects == [FIRED]


def test_a_channel_that_does_not_want_it_gets_nothing(
    shop: ShopUnderTest, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.configure(notify=[{"webhook": "/alerts", "events": ["volume"]}])
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_LEDGER", NOWHERE)

    run_dag("order_status_freshness", logical_date=EIGHT)

    assert webhook.asked == 0
