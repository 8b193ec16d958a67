"""Airflow's own app with the page in it, users of each kind, and two shops."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient

from rees46_sync.ledger.database import Ledger
from rees46_sync.monitoring.page import charts, single_flight
from tests.conftest import ShopUnderTest
from tests.page_auth import USERS
from tests.whole_run import make_metadata_database

Login = Callable[[str], TestClient]


@pytest.fixture(scope="module")
def airflow_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Airflow's app with the plugin, and with users of each kind."""
    from airflow.api_fastapi.app import create_app, purge_cached_app

    make_metadata_database()
    passwords = tmp_path_factory.mktemp("login") / "passwords.json"
    passwords.write_text(json.dumps({user: user for user in USERS}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "tests.page_auth.AuthManagerOfTests")
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", ",".join(f"{u}:{role}" for u, role in USERS.items()))
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(passwords))
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "of the tests " * 8)
        purge_cached_app()
        yield create_app()
        purge_cached_app()


@pytest.fixture
def log_in(airflow_app: Any) -> Login:
    """Log in as a browser does, with a cookie."""

    def as_user(user: str) -> TestClient:
        client = TestClient(airflow_app, base_url="http://localhost", raise_server_exceptions=False)
        response = client.post("/auth/token", json={"username": user, "password": user})
        assert response.status_code == 201, response.text
        client.cookies.set("_token", response.json()["access_token"])
        return client

    return as_user


@pytest.fixture
def anonymous(airflow_app: Any) -> TestClient:
    return TestClient(airflow_app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.fixture
def viewer(log_in: Login) -> TestClient:
    return log_in("viewer")


@pytest.fixture
def two_shops(shop: ShopUnderTest) -> ShopUnderTest:
    """The shop "test", and another one, "secret", whose DAG the user stranger may not read."""
    content = yaml.safe_load((shop.shops / "test.yaml").read_text())
    (shop.shops / "secret.yaml").write_text(yaml.safe_dump(content | {"shop": "secret"}))
    charts._reports.clear()
    return shop


@pytest.fixture
def ledger(two_shops: ShopUnderTest) -> Iterator[Ledger]:
    ledger = Ledger.from_conn_id("shop_ledger")
    ledger.migrate()
    yield ledger
    ledger.engine.dispose()


@pytest.fixture(autouse=True)
def _health_of_this_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A health that was computed for an earlier request, or an earlier test, is not used again."""
    monkeypatch.setattr(single_flight, "KEPT_S", 0)
