"""The facts of the page as JSON, with Airflow's own login."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.tables import deliveries
from rees46_sync.monitoring.alerts import AlertName
from tests.conftest import ShopUnderTest, accept
from tests.monitoring.builders import HOUR, NOON, orders_of, save_run, save_success
from tests.monitoring.page.conftest import Login
from tests.monitoring.page.test_index import fire

RUN = RunRef("test", "order_status_sync_test", "1", "extraction-1")
PATHS = ["/shops/{}", "/shops/{}/runs", "/shops/{}/runs/1", "/shops/{}/orders?id=1"]


def get_json(client: TestClient, path: str, status: int = 200) -> Any:
    response = client.get(f"/rees46/api{path}")
    assert response.status_code == status, response.text
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return response.json()


def is_flat(one: dict[str, Any]) -> bool:
    return not any(isinstance(value, (dict, list)) for value in one.values())


@pytest.mark.clock
def test_the_shops_are_a_list_of_flat_objects_the_worst_first(
    viewer: TestClient, ledger: Ledger, frozen_now: datetime
) -> None:
    save_success(ledger, "1", frozen_now - HOUR)
    save_run(ledger, "2", outcome="failed", cause="answered 403", finished_at=frozen_now, read=3, sent=1, failed=2)
    save_success(ledger, "3", frozen_now, shop="secret", dag_id="order_status_sync_secret")
    fire(ledger, AlertName.RUN_FAILED, frozen_now)

    test, secret = get_json(viewer, "/shops")

    assert is_flat(test)
    assert test.keys() == secret.keys()
    assert (
        test
        | {
            "shop": "test",
            "state": "red",
            "problem": None,
            "last_success": (frozen_now - HOUR).isoformat(),
            "age_seconds": 3600,
            "change_age_seconds": 3600,
            "freshness_seconds": 86400,
            "failed_since": 1,
            "gaps": 0,
            "alerts": 1,
            "alert_names": "run_failed",
            "last_run_outcome": "failed",
            "last_run_cause": "answered 403",
            "last_run_read": 3,
            "last_run_sent": 1,
            "last_run_failed": 2,
        }
        == test
    )
    assert (secret["shop"], secret["state"]) == ("secret", "green")


@pytest.mark.clock
def test_a_shop_has_the_alerts_that_fire(viewer: TestClient, ledger: Ledger, frozen_now: datetime) -> None:
    save_success(ledger, "1", frozen_now)
    fire(ledger, AlertName.VOLUME, frozen_now)

    shop = get_json(viewer, "/shops/test")

    assert shop["state"] == "amber"
    assert shop["firing"] == [{"alert": "volume", "since": frozen_now.isoformat(), "summary": "It fires."}]


def test_runs_are_flat_and_come_a_page_at_a_time(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", read=1, sent=1)
    save_run(ledger, "2", read=2, sent=1)

    latest, first = get_json(viewer, "/shops/test/runs")

    assert is_flat(latest)
    assert (latest["run_id"], latest["closes"], first["closes"]) == ("2", False, True)
    assert (latest["window_end"], latest["seconds"]) == (NOON.isoformat(), 0)
    assert get_json(viewer, f"/shops/test/runs?before={latest['run']}") == [first]


def test_a_run_has_examples_and_its_requests(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", read=1, sent=1, examples=json.dumps({"sent": ["1"]}))
    accept(ledger, RUN, 0, orders_of(("1", 0)))
    with ledger.engine.begin() as connection:
        answer = {"http_status": 200, "milliseconds": 345, "answered_at": NOON}
        connection.execute(sa.update(deliveries).values(**answer))
    number = get_json(viewer, "/shops/test/runs")[0]["run"]

    run = get_json(viewer, f"/shops/test/runs/{number}")

    assert run["examples"]["sent"] == ["1"]
    assert run["latest_requests"] == [
        {
            "answered_at": NOON.isoformat(),
            "partition": 0,
            "orders": 1,
            "requests": 1,
            "outcome": "accepted",
            "http_status": 200,
            "milliseconds": 345,
        }
    ]


def test_an_order_has_the_status_at_rees46_and_what_is_not_sure_of_it(viewer: TestClient, ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("1", 1)))
    Quarantine(ledger).store("test", "2", [RejectedRow("1", "lost", None, "status_unmapped")])

    order = get_json(viewer, "/shops/test/orders?id=1")

    assert (order["status"], order["status_name"], order["run_id"]) == (1, "completed", "1")
    assert (order["uncertain"], order["in_flight"], order["rejected"], order["reason"]) == (
        False,
        False,
        1,
        "status_unmapped",
    )
    assert get_json(viewer, "/shops/test/orders?id=2")["status"] is None


def test_an_order_is_explained_if_that_is_asked_for(
    viewer: TestClient, ledger: Ledger, two_shops: ShopUnderTest
) -> None:
    two_shops.add_rows([("1", "delivered", NOON)])
    accept(ledger, RUN, 0, orders_of(("1", 1)))
    assert get_json(viewer, "/shops/test/orders?id=1")["explanation"] is None
    explanation = get_json(viewer, "/shops/test/orders?id=1&explain=true")["explanation"]
    assert explanation["sentence"].startswith("REES46 has order 1 as completed, as the warehouse has it")
    assert explanation["next_run"]


@pytest.mark.parametrize("path", PATHS)
def test_who_may_not_read_a_shops_dag_is_answered_as_if_there_was_no_shop(
    log_in: Login, ledger: Ledger, path: str
) -> None:
    save_run(ledger, "1", shop="secret", dag_id="order_status_sync_secret")
    stranger = log_in("stranger")
    forbidden, unknown = (get_json(stranger, path.format(shop), 404) for shop in ("secret", "no_such_shop"))
    assert forbidden == unknown == {"error": "There is no such shop, or you may not read its DAG in Airflow."}
    assert [one["shop"] for one in get_json(stranger, "/shops")] == ["test"]
    assert get_json(log_in("viewer"), path.format("secret"))


@pytest.mark.parametrize("path", ["/shops/test", "/shops/test/runs", "/shops/test/runs/1", "/shops/test/orders?id=1"])
def test_a_ledger_that_does_not_answer_is_an_error_as_json_without_its_secret(
    viewer: TestClient, two_shops: ShopUnderTest, path: str
) -> None:
    two_shops.connect("shop_ledger", "postgres://reader:p4ssw0rd@127.0.0.1:1/ledger")
    error = get_json(viewer, path, 503)["error"]
    assert "check connection shop_ledger" in error
    assert "p4ssw0rd" not in error
    assert {one["state"] for one in get_json(viewer, "/shops")} == {"red"}
    assert all("check connection shop_ledger" in one["problem"] for one in get_json(viewer, "/shops"))


def test_before_the_first_run_there_is_nothing(viewer: TestClient, two_shops: ShopUnderTest) -> None:
    assert get_json(viewer, "/shops/test")["last_run"] is None
    assert get_json(viewer, "/shops/test/runs") == []
    assert "no such run" in get_json(viewer, "/shops/test/runs/1", 404)["error"]


def test_an_invalid_address_is_an_error_as_json(viewer: TestClient, ledger: Ledger) -> None:
    assert "not valid" in get_json(viewer, "/shops/test/orders", 422)["error"]
