"""What fails at night: the page of all shops says what it is, and what to do, without a further click."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape

import pytest
from fastapi.testclient import TestClient

from rees46_sync.airflow_adapters import retry_policy
from tests.conftest import ShopUnderTest, rees46_connection
from tests.monitoring.page.requests import get_text
from tests.whole_run import IN_WINDOW, run_dag

Break = Callable[[ShopUnderTest], object]

ALL = "WHERE updated_at >= :window_start AND updated_at < :window_end"


def answer(fault: str) -> Break:
    return lambda shop: shop.sandbox.reset(fault=fault)


def connect(conn_id: str, connection: str) -> Break:
    return lambda shop: shop.connect(conn_id, connection)


def ask(query: str) -> Break:
    return lambda shop: (shop.shops / "orders.sql").write_text(query)


def exceed_a_limit(shop: ShopUnderTest) -> None:
    shop.configure(limits={"rejected_share": 0})
    shop.add_rows([("2", "lost", IN_WINDOW)])


def fill_the_disk(shop: ShopUnderTest) -> None:
    (shop.folder / "full").write_text("a file in place of a folder: nothing can be written below it")
    shop.configure(staging=f"file://{shop.folder}/full")


def break_the_shop_file(shop: ShopUnderTest) -> None:
    (shop.shops / "test.yaml").write_text("shop: test\n")


NIGHTS = [
    pytest.param(answer("403@1"), "answered 403", "check login", id="wrong-keys"),
    pytest.param(answer("error_in_200@1"), "Shop not found", "check login (store key)", id="an-unknown-shop"),
    pytest.param(answer("503@1"), "answered 503", "the batch will be sent again", id="rees46-is-down"),
    pytest.param(answer("html_in_200@1"), "neither yes nor no", "look for a proxy", id="a-proxy-answers"),
    pytest.param(answer("redirect@1"), "answered 30", "host", id="another-address"),
    pytest.param(connect("shop_rees46", '{"conn_type": "http"}'), "shop_rees46", "login", id="no-keys"),
    pytest.param(
        connect("shop_warehouse", "sqlite:////nowhere/shop.db"), "unable to open", "check that", id="no-warehouse"
    ),
    pytest.param(
        ask(f"SELECT order_id, status FROM orders {ALL}"), "updated_at not at all", "name the col", id="a-column"
    ),
    pytest.param(ask(f"SELECT * FROM order_lines {ALL}"), "order_lines", "the query runs", id="a-table"),
    pytest.param(exceed_a_limit, "rejected_share: 0", "ignore_limits", id="a-limit"),
    pytest.param(fill_the_disk, "Staged file", "make room", id="a-full-disk"),
    pytest.param(
        connect("shop_ledger", "sqlite:////nowhere/l.db"), "The ledger does not answer", "check", id="no-ledger"
    ),
    pytest.param(break_the_shop_file, "There is no usable shop file", "broken_shop_files.py", id="a-broken-shop-file"),
]


@pytest.mark.parametrize(("break_it", "problem", "remedy"), NIGHTS)
def test_the_first_screen_says_what_is_red_and_what_to_do(
    shop: ShopUnderTest,
    viewer: TestClient,
    monkeypatch: pytest.MonkeyPatch,
    break_it: Break,
    problem: str,
    remedy: str,
) -> None:
    monkeypatch.setattr(retry_policy, "MIN_DELAY", timedelta(milliseconds=1))
    shop.connect("shop_rees46", rees46_connection(shop.sandbox, timeout_s=5))
    shop.add_rows([("1", "new", IN_WINDOW)])
    break_it(shop)
    if "broken" not in remedy:
        assert run_dag().state == "failed"

    page = unescape(re.sub("<[^>]*>", "", get_text(viewer, "/")))

    assert problem in page
    assert remedy in page
    assert "act now" in page or "no usable" in page
