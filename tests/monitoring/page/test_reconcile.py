"""The comparison of a warehouse with REES46 on the page: what it shows, who may see it, and that one runs at a time."""

from __future__ import annotations

import asyncio
import html
import json
import re
import shlex
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import RunRef
from rees46_sync.monitoring.page import comparisons
from rees46_sync.monitoring.page.comparisons import ComparisonRunningError, Comparisons
from rees46_sync.shop.shop import Shop
from tests.conftest import ShopUnderTest, accept
from tests.monitoring.builders import HOUR, orders_of
from tests.monitoring.page.conftest import Login
from tests.monitoring.page.requests import get_text

pytestmark = pytest.mark.clock

RUN = RunRef("test", "order_status_sync_test", "run-1", "extraction-1")
DAY = timedelta(days=1)


def as_text(page: str) -> str:
    """The text of a page, without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


@pytest.fixture
def differing(two_shops: ShopUnderTest, ledger: Ledger) -> ShopUnderTest:
    """One order that agrees, one that is missing, and one that differs."""
    two_days_ago = datetime.now(UTC).replace(microsecond=0) - 2 * DAY
    for order_id, status in (("same", "paid"), ("<b>new</b>", "paid"), ("other", "cancelled")):
        two_shops.add_rows([(order_id, status, two_days_ago.replace(tzinfo=None))])
    accept(ledger, RUN, 0, orders_of(("same", 0), ("other", 0)))
    return two_shops


def test_what_differs_is_shown_by_day_and_status_with_examples_and_the_commands_that_mend(
    viewer: TestClient, differing: ShopUnderTest
) -> None:
    page = get_text(viewer, "/shops/test/reconcile?span=7d")

    assert "<b>new" not in page
    text = as_text(page)
    day = f"{datetime.now(UTC) - 2 * DAY:%Y-%m-%d}"
    for part in (
        "2 orders differ.",
        f"{day} created 1 1",
        f"{day} cancelled 1",
        "missing 1 in the warehouse, and REES46 has accepted nothing of them <b>new</b>: warehouse created",
        "different 1 REES46 has another status than the warehouse other: warehouse cancelled, REES46 created",
    ):
        assert part in text
    commands = [shlex.split(html.unescape(line)) for line in re.findall(r'<pre class="copy">(.*)</pre>', page)]
    assert [json.loads(command[-1]).get("dry_run") for command in commands] == [True, None]
    assert sorted(json.loads(commands[1][-1])["order_ids"]) == ["<b>new</b>", "other"]


def test_a_shorter_span_compares_less(viewer: TestClient, differing: ShopUnderTest) -> None:
    assert "Nothing differs." in as_text(get_text(viewer, "/shops/test/reconcile?span=1d"))


def test_it_is_in_the_language_of_its_reader(viewer: TestClient, differing: ShopUnderTest) -> None:
    text = as_text(get_text(viewer, "/shops/test/reconcile?span=7d&lang=ru"))

    assert "Различаются 2 заказа." in text
    assert "нет в REES46 1 есть в хранилище" in text
    assert "<b>new</b>: хранилище создан" in text
    assert "warehouse" not in text


def test_the_page_of_a_shop_leads_to_it(viewer: TestClient, differing: ShopUnderTest) -> None:
    page = get_text(viewer, "/shops/test")

    assert re.search(r'<form action="[^"]*/shops/test/reconcile">', page)
    assert re.findall(r'<option value="(\w+)"', page) == ["1d", "7d", "30d", "90d"]


def test_a_span_that_is_not_offered_is_refused(viewer: TestClient, differing: ShopUnderTest) -> None:
    assert "This address is not valid" in get_text(viewer, "/shops/test/reconcile?span=9999d", 422)


def test_for_who_may_not_read_the_shops_dag_nothing_is_asked(
    log_in: Login, two_shops: ShopUnderTest, ledger: Ledger
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as warehouse:
        warehouse.setblocking(False)
        two_shops.connect("shop_warehouse", f"postgres://r@127.0.0.1:{warehouse.getsockname()[1]}/w?connect_timeout=1")

        get_text(log_in("stranger"), "/shops/secret/reconcile", 404)

        with pytest.raises(BlockingIOError):
            warehouse.accept()


def test_a_warehouse_that_does_not_answer_is_said_without_its_own_words(
    viewer: TestClient, two_shops: ShopUnderTest, ledger: Ledger
) -> None:
    two_shops.connect("shop_warehouse", "postgres://reader:p4ssw0rd@127.0.0.1:1/warehouse")

    text = as_text(get_text(viewer, "/shops/test/reconcile?span=7d", 503))

    assert "The warehouse could not be compared; its own message is in the api-server's log." in text
    assert "make reconcile SHOP=test SPAN=7d" in text
    assert "127.0.0.1" not in text


def test_a_shop_without_a_ledger_says_that_no_run_has_been(viewer: TestClient, two_shops: ShopUnderTest) -> None:
    assert "No run yet" in get_text(viewer, "/shops/test/reconcile")


def test_a_comparison_that_takes_long_goes_on_and_the_page_says_what_to_do(
    viewer: TestClient, differing: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(comparisons, "WAIT_S", 0)
        text = as_text(get_text(viewer, "/shops/test/reconcile?span=30d", 503))
        other = as_text(get_text(viewer, "/shops/test/reconcile?span=90d", 503))

    assert "and goes on. Load this page again to see the result." in text
    assert "make reconcile SHOP=test SPAN=30d" in text
    assert "Another comparison is running here" in other
    assert "2 orders differ." in as_text(get_text(viewer, "/shops/test/reconcile?span=30d"))


# One at a time


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What the comparisons of a test wait for."""
    event = threading.Event()
    yield event
    event.set()


def results(subject: Comparisons, *asked: tuple[Shop, timedelta]) -> list[Any]:
    """Ask at the same time; return the results and errors."""

    async def ask() -> list[Any]:
        return await asyncio.gather(*(subject.result(*one) for one in asked), return_exceptions=True)

    return asyncio.run(ask())


def test_who_asks_for_the_same_gets_the_same_and_for_another_nothing_is_started(
    shop: ShopUnderTest, gate: threading.Event
) -> None:
    begun: list[timedelta] = []

    def compare(_: Shop, span: timedelta) -> timedelta:
        begun.append(span)
        gate.wait()
        return span

    threading.Timer(0.2, gate.set).start()
    definition = shop.configure()

    first, second, other = results(Comparisons(compare), (definition, DAY), (definition, DAY), (definition, HOUR))

    assert (first, second, begun) == (DAY, DAY, [DAY])
    assert isinstance(other, ComparisonRunningError)
    assert other.is_another


def test_a_comparison_that_never_ends_keeps_others_waiting_for_an_hour_only(
    shop: ShopUnderTest, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare(_: Shop, span: timedelta) -> timedelta:
        if span == DAY:
            gate.wait()
        return span

    monkeypatch.setattr(comparisons, "WAIT_S", 0.1)
    subject, definition = Comparisons(compare), shop.configure()
    hanging, *_ = results(subject, (definition, DAY))
    assert isinstance(hanging, ComparisonRunningError)
    assert isinstance(results(subject, (definition, HOUR))[0], ComparisonRunningError)

    monkeypatch.setattr(comparisons, "GIVEN_UP_S", 0)

    monkeypatch.setattr(comparisons, "WAIT_S", 30)
    assert results(subject, (definition, HOUR)) == [HOUR]


@pytest.mark.parametrize(("kept_s", "computed"), [(300, [1, 1]), (0, [1, 2])], ids=["kept", "too-old"])
def test_a_result_is_used_again_for_some_minutes(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch, kept_s: float, computed: list[int]
) -> None:
    monkeypatch.setattr(comparisons, "KEPT_S", kept_s)
    numbers = iter([1, 2])
    subject, definition = Comparisons(lambda *_: next(numbers)), shop.configure()

    assert [results(subject, (definition, DAY))[0] for _ in range(2)] == computed


def test_an_error_is_not_kept(shop: ShopUnderTest) -> None:
    outcomes = iter([OSError("gone"), 1])

    def compare(*_: Any) -> int:
        outcome = next(outcomes)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome

    subject, definition = Comparisons(compare), shop.configure()

    assert [repr(results(subject, (definition, DAY))[0]) for _ in range(2)] == ["OSError('gone')", "1"]
