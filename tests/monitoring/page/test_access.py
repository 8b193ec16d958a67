"""Who may see what on the page: Airflow's own login and permissions."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.routing import Mount

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from tests.conftest import ShopUnderTest
from tests.monitoring.builders import save_run, save_success
from tests.monitoring.page.conftest import Login
from tests.monitoring.page.requests import SECTIONS, get_text


def page_routes(airflow_app: Any) -> list[Any]:
    [mount] = [route for route in airflow_app.routes if isinstance(route, Mount) and route.path == "/rees46"]
    return list(mount.routes)


def test_each_route_but_the_health_needs_a_login(
    airflow_app: Any, anonymous: TestClient, two_shops: ShopUnderTest
) -> None:
    statuses = {}
    for route in page_routes(airflow_app):
        path = route.path.replace("{shop}", "test").replace("{name}", "page.css").replace("{number}", "1")
        path = path.replace("{dag_id}", "order_status_sync_test").replace("{run_id:path}", "run")
        assert "{" not in path, "this test must know a value for it"
        for method in route.methods:
            statuses[path] = anonymous.request(method, f"/rees46{path}").status_code
    assert len(statuses) > len(SECTIONS)
    assert {path for path, status in statuses.items() if status != 401} == {"/health"}


def test_an_invalid_token_is_refused(anonymous: TestClient, two_shops: ShopUnderTest) -> None:
    anonymous.cookies.set("_token", "e30.e30.e30")
    assert anonymous.get("/rees46/").status_code == 403


def test_a_bearer_token_logs_in_as_well(log_in: Login, anonymous: TestClient, two_shops: ShopUnderTest) -> None:
    token = log_in("viewer").cookies["_token"]
    response = anonymous.get("/rees46/shops/test", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200


@pytest.mark.parametrize("user", ["admin", "viewer"])
@pytest.mark.parametrize("section", SECTIONS)
def test_a_user_who_may_read_a_shops_dag_sees_the_shop(log_in: Login, ledger: Ledger, user: str, section: str) -> None:
    save_run(ledger, "1", shop="secret", dag_id="order_status_sync_secret")
    client = log_in(user)
    assert "/shops/secret" in get_text(client, "/")
    assert get_text(client, f"/shops/secret{section}")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_user_who_may_not_read_a_shops_dag_sees_nothing_of_it(log_in: Login, ledger: Ledger, section: str) -> None:
    stranger = log_in("stranger")
    save_run(ledger, "1", shop="secret", dag_id="order_status_sync_secret")
    Quarantine(ledger).store("secret", "run", [RejectedRow("order-of-secret", "lost", None, "status_unmapped")])
    assert "secret" not in get_text(stranger, "/")
    assert "/shops/test" in get_text(stranger, "/")
    forbidden, unknown = (get_text(stranger, f"/shops/{shop}{section}", 404) for shop in ("secret", "no_such_shop"))
    assert re.sub(r"\d\d:\d\d:\d\d", "", forbidden) == re.sub(r"\d\d:\d\d:\d\d", "", unknown)


def test_an_unusable_shop_file_is_counted_without_showing_its_content(log_in: Login, two_shops: ShopUnderTest) -> None:
    (two_shops.shops / "secret.yaml").write_text("shop: secret\nwarehouse_conn_id: hidden\n")
    page = get_text(log_in("stranger"), "/")
    assert "1 shop file cannot be used" in page
    assert "secret" not in page
    assert "hidden" not in page


@pytest.mark.clock
def test_a_shop_that_vanished_is_as_hidden_as_before(
    log_in: Login, ledger: Ledger, two_shops: ShopUnderTest, frozen_now: datetime
) -> None:
    save_success(ledger, "1", frozen_now, shop="secret", dag_id="order_status_sync_secret")
    duplicate = (two_shops.shops / "secret.yaml").read_text()
    (two_shops.shops / "zz.yaml").write_text(duplicate)
    assert "zz.yaml" not in get_text(log_in("stranger"), "/")
    for name in ("secret", "zz"):
        (two_shops.shops / f"{name}.yaml").unlink()

    assert "secret" not in get_text(log_in("stranger"), "/")
    assert "<strong>secret</strong> has no shop file" in get_text(log_in("viewer"), "/")
