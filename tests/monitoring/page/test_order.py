"""The look-up of an order: the reason first, then what it rests on, and nothing for who may not read the shop."""

from __future__ import annotations

import html
import json
import re
import socket
from datetime import UTC, datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from rees46_sync.ledger.runs import RunRef
from tests.conftest import ShopUnderTest, accept
from tests.monitoring.builders import HOUR, orders_of, save_run
from tests.monitoring.page.conftest import Login
from tests.monitoring.page.requests import get_text

pytestmark = pytest.mark.clock

RUN = RunRef("test", "order_status_sync_test", "run-1", "extraction-1")


@pytest.fixture
def an_hour_ago() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - HOUR


def look_up(client: TestClient, order_id: str) -> str:
    """The text of the page, without its tags."""
    page = get_text(client, f"/shops/test/orders?id={order_id}")
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_the_reason_comes_first_then_the_next_run_and_the_evidence(
    viewer: TestClient, two_shops: ShopUnderTest, ledger: Ledger, an_hour_ago: datetime
) -> None:
    two_shops.add_rows([("A-1", "paid", an_hour_ago.replace(tzinfo=None))])
    cause, remedy = "REES46 answered 403: shop disabled", "ask the REES46 manager to enable Orders Tracking"
    window = {"window_start": an_hour_ago - HOUR, "window_end": an_hour_ago + HOUR, "started_at": datetime.now(UTC)}
    save_run(ledger, "run-1", outcome="failed", cause=cause, remedy=remedy, **window)

    page = look_up(viewer, "A-1")

    expected = [
        f"Order A-1 was not sent, because run run-1 failed: {cause}.",
        f"→ {remedy}",
        "sends the order as created. It fails in the same way unless the cause is mended.",
        "'paid' → created",
        "passes all 12 checks",
        "has accepted nothing of the order",
        f"): failed: {cause}",
    ]
    places = [page.find(text) for text in expected]
    assert -1 not in places
    assert places == sorted(places)


def test_what_does_not_reach_rees46_comes_with_the_command_that_sends_it(
    viewer: TestClient, two_shops: ShopUnderTest, ledger: Ledger, an_hour_ago: datetime
) -> None:
    long_ago = an_hour_ago - timedelta(days=60)
    two_shops.add_rows([("A-1", "paid", long_ago.replace(tzinfo=None))])
    save_run(ledger, "run-1", window_start=an_hour_ago - HOUR, window_end=an_hour_ago, started_at=an_hour_ago)

    page = look_up(viewer, "A-1")

    assert "no run has read it" in page
    conf = {"order_ids": ["A-1"], "window_start": long_ago.isoformat()}
    assert f"airflow dags trigger order_status_sync_test --conf '{json.dumps(conf)}'" in page


def test_if_the_warehouse_cannot_be_asked_one_line_says_so_and_the_ledger_is_shown(
    viewer: TestClient, two_shops: ShopUnderTest, ledger: Ledger
) -> None:
    two_shops.connect("shop_warehouse", "postgres://reader:p4ssw0rd@127.0.0.1:1/warehouse")
    accept(ledger, RUN, 0, orders_of(("A-1", 1)))
    Quarantine(ledger).store("test", "run-0", [RejectedRow("A-1", "lost", None, "status_unmapped")])

    page = look_up(viewer, "A-1")

    assert "The warehouse could not be asked about order A-1. By the ledger REES46 has it as completed since" in page
    assert "its own message is in the api-server's log" in page
    assert "lost, -: the shop file does not map the status" in page
    assert "127.0.0.1" not in page
    assert "reader" not in page


def test_for_who_may_not_read_the_shops_dag_nothing_is_asked(
    log_in: Login, two_shops: ShopUnderTest, ledger: Ledger
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as warehouse:
        warehouse.setblocking(False)
        port = warehouse.getsockname()[1]
        two_shops.connect("shop_warehouse", f"postgres://reader@127.0.0.1:{port}/warehouse?connect_timeout=1")

        get_text(log_in("stranger"), "/shops/secret/orders?id=A-1", 404)
        with pytest.raises(BlockingIOError):
            warehouse.accept()

        get_text(log_in("viewer"), "/shops/secret/orders?id=A-1")
        warehouse.accept()[0].close()
