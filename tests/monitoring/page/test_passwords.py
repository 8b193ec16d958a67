"""The passwords of databases: a failing database leaves them nowhere that a person, or another service, looks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from rees46_sync.airflow_adapters import retry_policy
from rees46_sync.airflow_adapters.secret_forms import forms
from rees46_sync.shop.shop import Shop
from tests.conftest import ShopUnderTest
from tests.mysql8 import MySql8, running_mysql8
from tests.receivers import Webhook
from tests.whole_run import metadata_text, run_dag

PASSWORD = 'p@ss/w:ö%"x'
DAG = "order_status_sync_test"
PAGES = ("", "/shops/test", "/shops/test/runs", "/shops/test/orders?id=1", "/api/v1/shops/test")


@pytest.fixture
def mysql() -> Iterator[MySql8]:
    """A server with another password."""
    with running_mysql8(MySql8("another")) as server:
        yield server


@pytest.mark.parametrize("role", ["warehouse", "ledger"])
@pytest.mark.parametrize(
    ("kind", "host", "port", "problem"),
    [
        pytest.param("mysql", "127.0.0.1", None, "Access denied", id="mysql-wrong-password"),
        pytest.param("mysql", "no-such-host.invalid", 3306, "no-such-host.invalid", id="mysql-unknown-host"),
        pytest.param("postgres", "no-such-host.invalid", 5432, "no-such-host.invalid", id="postgresql-unknown-host"),
        pytest.param("postgres", "127.0.0.1", 1, "Connection refused", id="postgresql-nobody-there"),
    ],
)
def test_a_database_that_fails_shows_its_password_in_no_form(
    shop: ShopUnderTest,
    configured: Shop,
    webhook: Webhook,
    mysql: MySql8,
    viewer: TestClient,
    role: str,
    kind: str,
    host: str,
    port: int | None,
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(retry_policy, "MIN_DELAY", timedelta(milliseconds=1))
    login = {"login": "reader", "password": PASSWORD, "schema": "shop"}
    place = {"conn_type": kind, "host": host, "port": port or mysql.port}
    shop.connect(f"shop_{role}", json.dumps(place | login))

    assert run_dag(DAG).state == "failed"

    places = {
        "log": "".join(capsys.readouterr()),
        "log-records": caplog.text,
        "metadata": metadata_text(DAG),
        "messages": json.dumps(webhook.posts, default=str, ensure_ascii=False),
        "pages": "".join(viewer.get(f"/rees46{page}").text for page in PAGES),
    }
    if role == "warehouse":
        places["ledger"] = shop.ledger_file.read_bytes().decode(errors="replace")
    assert problem in places["log"]
    shown = {place: form for place, text in places.items() for form in forms(PASSWORD) if form in text}
    assert shown == {}
