"""The page in Airflow's UI, asked of Airflow's own app with Airflow's own login."""

from __future__ import annotations

import csv
import io
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from fastapi.testclient import TestClient
from starlette.routing import Mount

from rees46_sync.ledger.database import Ledger, RejectedRow, RunRef
from rees46_sync.ledger.migrations import VERSION
from rees46_sync.ledger.tables import alert_messages, schema_versions
from rees46_sync.ledger.tables import alerts as alerts_table
from rees46_sync.monitoring.alerts import Alerts, Finding
from rees46_sync.monitoring.page import queries as reports_module
from tests.conftest import PROJECT, ShopUnderTest, accept, open_request
from tests.monitoring.page.test_queries import orders_of, save_run
from tests.page_auth import USERS
from tests.whole_run import make_metadata_database

RUN_ID = "manual__2026-03-01T12:00:00+00:00/ä"
RUN = RunRef("test", "order_status_sync_test", RUN_ID, "reading-1")
HOSTILE = "<script>alert('x')</script>\" onload=\"x"
SECTIONS = ["", "/statuses", "/runs", "/quarantine", "/quarantine.csv", "/orders"]
Login = Callable[[str], TestClient]


@pytest.fixture(scope="module")
def airflow_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Airflow's app with our plugin, and with users of every kind."""
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
        answer = client.post("/auth/token", json={"username": user, "password": user})
        assert answer.status_code == 201, answer.text
        client.cookies.set("_token", answer.json()["access_token"])
        return client

    return as_user


@pytest.fixture
def anonymous(airflow_app: Any) -> TestClient:
    return TestClient(airflow_app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.fixture
def viewer(log_in: Login) -> TestClient:
    return log_in("viewer")


@pytest.fixture
def shop(shop: ShopUnderTest) -> ShopUnderTest:
    """The shop "test" beside another, "secret", whose DAG the user stranger may not read."""
    content = yaml.safe_load((shop.shops / "test.yaml").read_text())
    (shop.shops / "secret.yaml").write_text(yaml.safe_dump(content | {"shop": "secret"}))
    reports_module._counts.clear()
    return shop


@pytest.fixture
def ledger(shop: ShopUnderTest) -> Iterator[Ledger]:
    ledger = Ledger.of_connection("shop_ledger")
    ledger.create()
    yield ledger
    ledger.engine.dispose()


def text_of(client: TestClient, path: str, status: int = 200) -> str:
    answer = client.get(f"/rees46{path}")
    assert answer.status_code == status, answer.text
    return answer.text


# Who may see what


def our_routes(airflow_app: Any) -> list[Any]:
    [mount] = [route for route in airflow_app.routes if isinstance(route, Mount) and route.path == "/rees46"]
    return list(mount.routes)


def test_every_route_but_the_health_refuses_who_is_not_logged_in(
    airflow_app: Any, anonymous: TestClient, shop: ShopUnderTest
) -> None:
    answers = {}
    for route in our_routes(airflow_app):
        path = route.path.replace("{shop}", "test").replace("{name}", "page.css")
        assert "{" not in path, "this test must know what to put there"
        for method in route.methods:
            answers[path] = anonymous.request(method, f"/rees46{path}").status_code
    assert len(answers) > len(SECTIONS)
    assert {path for path, status in answers.items() if status != 401} == {"/health"}


def test_a_false_token_is_refused(anonymous: TestClient, shop: ShopUnderTest) -> None:
    anonymous.cookies.set("_token", "e30.e30.e30")
    assert anonymous.get("/rees46/").status_code == 403


def test_a_bearer_token_logs_in_as_well(log_in: Login, anonymous: TestClient, shop: ShopUnderTest) -> None:
    token = log_in("viewer").cookies["_token"]
    answer = anonymous.get("/rees46/shops/test", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


@pytest.mark.parametrize("user", ["admin", "viewer"])
@pytest.mark.parametrize("section", SECTIONS)
def test_who_may_read_a_shops_dag_sees_the_shop(log_in: Login, ledger: Ledger, user: str, section: str) -> None:
    client = log_in(user)
    assert "/shops/secret" in text_of(client, "/")
    assert text_of(client, f"/shops/secret{section}")


@pytest.mark.parametrize("section", SECTIONS)
def test_who_may_not_read_a_shops_dag_sees_nothing_of_it(log_in: Login, ledger: Ledger, section: str) -> None:
    stranger = log_in("stranger")
    ledger.quarantine("secret", "run", [RejectedRow("order-of-secret", "lost", None, "status_unmapped")])
    assert "secret" not in text_of(stranger, "/")
    assert "/shops/test" in text_of(stranger, "/")
    forbidden, unknown = (text_of(stranger, f"/shops/{shop}{section}", 404) for shop in ("secret", "no_such_shop"))
    assert re.sub(r"\d\d:\d\d:\d\d", "", forbidden) == re.sub(r"\d\d:\d\d:\d\d", "", unknown)


def test_a_broken_shop_file_is_told_of_without_what_stands_in_it(log_in: Login, shop: ShopUnderTest) -> None:
    (shop.shops / "secret.yaml").write_text("shop: secret\nwarehouse_conn_id: hidden\n")
    page = text_of(log_in("stranger"), "/")
    assert "1 shop file cannot be used" in page
    assert "secret" not in page
    assert "hidden" not in page


@pytest.mark.parametrize("path", ["/", "/shops/test", "/shops/no_such_shop", "/static/page.js", "/health"])
def test_every_answer_forbids_the_browser_what_the_page_does_not_need(
    viewer: TestClient, ledger: Ledger, path: str
) -> None:
    headers = viewer.get(f"/rees46{path}").headers
    assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_the_page_keeps_its_own_policy(viewer: TestClient, ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("1", 0)))
    for section in SECTIONS:
        page = text_of(viewer, f"/shops/test{section}")
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=\"/rees46/static/)|javascript:", page)
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)


# What it shows


@pytest.mark.clock
def test_the_overview_shows_how_far_the_sync_got(viewer: TestClient, ledger: Ledger, frozen_now: datetime) -> None:
    ended = frozen_now - timedelta(hours=2, minutes=5)
    window = {"window_end": ended - timedelta(hours=1), "window_start": ended - timedelta(days=2)}
    save_run(ledger, "1", started_at=ended, finished_at=ended, **window)
    save_run(ledger, "2", started_at=ended, finished_at=ended + timedelta(hours=1), outcome="failed", **window)
    accept(ledger, RUN, 0, orders_of(("1", 0), ("2", 2)))

    page = text_of(viewer, "/shops/test")

    assert "2 h 5 min ago" in page
    assert "at most 3 h 5 min old" in page
    assert "1 run failed since" in page
    assert page.count("<svg") == 2
    assert "2 in the last 48 hours" in page


def test_orders_by_status_come_by_themselves(viewer: TestClient, ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("1", 0), ("2", 2)))
    assert 'data-load="/rees46/shops/test/statuses"' in text_of(viewer, "/shops/test")
    page = text_of(viewer, "/shops/test/statuses")
    assert re.search(r"created</span>\s*</dt><dd>1<", page)
    assert re.search(r"completed</span>\s*</dt><dd>0<", page)


def test_runs_show_the_closed_sum_and_lead_to_airflow(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, RUN_ID, read=12345, sent=12000, unchanged=345)
    save_run(ledger, "broken", read=1)
    page = text_of(viewer, "/shops/test/runs")
    assert "12,345" in page
    assert page.count(">closes<") == 1
    assert page.count("does not close") == 1
    path = "/dags/order_status_sync_test/runs/manual__2026-03-01T12%3A00%3A00%2B00%3A00%2F%C3%A4"
    assert f'href="{path}"' in page


def test_lists_go_on_on_older_pages(viewer: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports_module, "PAGE_ROWS", 1)
    for name in ("one", "two"):
        save_run(ledger, name)
        ledger.quarantine("test", name, [RejectedRow(name, "a&b", None, "status_unmapped")])
    for section in ("/runs", "/quarantine?q=a%26b"):
        page = text_of(viewer, f"/shops/test{section}")
        assert "two" in page
        [older] = re.findall(r'<a href="/rees46([^"]*)">Older', page)
        assert ">one<" in text_of(viewer, older.replace("&amp;", "&"))


def test_an_unmapped_status_comes_with_the_line_for_the_shop_file(viewer: TestClient, ledger: Ledger) -> None:
    ledger.quarantine("test", "run", [RejectedRow("A-1", "on hold: no", None, "status_unmapped")])
    page = text_of(viewer, "/shops/test/quarantine")
    assert "completed: [delivered, &#34;on hold: no&#34;]" in page
    assert "for example order" in page
    assert "A-1" in page


def test_an_order_shows_what_was_sent_and_what_is_open(viewer: TestClient, ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("A 1", 0)))
    open_request(ledger, RUN, orders_of(("A 1", 1)))
    assert "under way" in text_of(viewer, "/shops/test/orders?id=A%201")
    ledger.note_unanswered("test")
    page = text_of(viewer, "/shops/test/orders?id=A%201")
    assert "Uncertain" in page
    assert "created" in page
    assert "%2F%C3%A4" in page
    assert "accepted nothing" in text_of(viewer, "/shops/test/orders?id=A-2")


@pytest.mark.parametrize("section", SECTIONS)
def test_what_a_database_holds_is_text_on_the_page(viewer: TestClient, ledger: Ledger, section: str) -> None:
    accept(ledger, RunRef("test", HOSTILE, HOSTILE, "reading"), 0, orders_of((HOSTILE, 0)))
    ledger.quarantine("test", HOSTILE, [RejectedRow(HOSTILE, HOSTILE, HOSTILE, "status_unmapped")])
    save_run(ledger, HOSTILE, dag_id=HOSTILE)
    answer = viewer.get(f"/rees46/shops/test{section}", params={"id": HOSTILE, "q": HOSTILE, "reason": ""})
    assert answer.status_code == 200
    if section == "/quarantine.csv":
        assert answer.headers["Content-Type"].startswith("text/csv")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    else:
        assert HOSTILE not in answer.text
        assert "<script>" not in answer.text
    if section in ("/runs", "/quarantine", "/orders"):
        assert "&lt;script&gt;" in answer.text


def test_the_csv_has_all_rows_that_were_searched_for_and_runs_nothing(viewer: TestClient, ledger: Ledger) -> None:
    dangerous = ["=1+1", "+1", "-1", "@A1"]
    rows = [RejectedRow(text, "lost", None, "status_unmapped") for text in [*dangerous, "плохо", 'a"b,c']]
    ledger.quarantine("test", "run", rows)
    ledger.quarantine("secret", "run", [RejectedRow("other", "lost", None, "status_unmapped")])

    answer = viewer.get("/rees46/shops/test/quarantine.csv?q=lost&reason=status_unmapped")

    assert answer.headers["Content-Disposition"] == 'attachment; filename="rees46_quarantine_test.csv"'
    table = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["order_id"] for row in reversed(table)] == [*(f"'{text}" for text in dangerous), "плохо", 'a"b,c']
    assert viewer.get("/rees46/shops/test/quarantine.csv?q=found-nowhere").text.count("\n") == 1


# Where there is nothing to show


@pytest.mark.parametrize("section", ["", "/statuses", "/runs", "/quarantine", "/orders?id=1"])
def test_before_the_first_run_the_page_says_how_to_start_one(
    viewer: TestClient, shop: ShopUnderTest, section: str
) -> None:
    assert "Unpause <code>order_status_sync_test</code>" in text_of(viewer, f"/shops/test{section}")


def test_without_a_shop_file_the_page_says_where_to_write_one(viewer: TestClient, shop: ShopUnderTest) -> None:
    for file in shop.shops.glob("*.yaml"):
        file.unlink()
    assert "REES46_SHOPS_DIR" in text_of(viewer, "/")


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize(
    "connection",
    [
        "sqlite:////nowhere/at/all/ledger.db",
        "postgres://reader:p4ssw0rd-of-the-ledger@127.0.0.1:1/ledger",
        '{"conn_type": "http", "password": "p4ssw0rd-of-the-ledger"}',
    ],
    ids=["no-folder", "no-server", "no-database"],
)
def test_a_ledger_that_does_not_answer_is_named_by_its_connection_without_its_secret(
    viewer: TestClient, shop: ShopUnderTest, connection: str, section: str
) -> None:
    shop.connect("shop_ledger", connection)
    for page in (text_of(viewer, f"/shops/test{section}", 503), text_of(viewer, "/")):
        assert "shop_ledger" in page
        assert "p4ssw0rd" not in page
        assert "Traceback" not in page


@pytest.mark.clock
def test_a_ledger_of_a_newer_version_says_what_to_install(viewer: TestClient, shop: ShopUnderTest) -> None:
    ledger = Ledger.of_connection("shop_ledger")
    ledger.create()
    with ledger.engine.begin() as connection:
        connection.execute(sa.insert(schema_versions).values(version=VERSION + 1, since=datetime.now(UTC)))
    ledger.engine.dispose()

    for page in (text_of(viewer, "/shops/test", 503), text_of(viewer, "/")):
        assert "shop_ledger was made by a newer version of this project" in page


@pytest.mark.parametrize("query", ["before=0", "before=x", f"before={2**63}", f"reason={'x' * 1001}"])
def test_an_address_that_cannot_be_is_refused_with_a_page(viewer: TestClient, ledger: Ledger, query: str) -> None:
    assert "start anew" in text_of(viewer, f"/shops/test/quarantine?{query}", 422)


def test_only_files_of_the_page_are_given_out(viewer: TestClient, shop: ShopUnderTest) -> None:
    assert text_of(viewer, "/static/page.css").startswith(":root")
    for name in ("app.py", "..%2Fapp.py", "%2Fetc%2Fpasswd"):
        assert viewer.get(f"/rees46/static/{name}").status_code == 404


@pytest.mark.clock
def test_the_page_of_a_shop_says_what_alert_fires_and_since_when(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", finished_at=datetime.now(UTC))
    assert "run_failed" not in text_of(viewer, "/shops/test")
    finding = Finding(
        alert="run_failed",
        event="run_failed",
        firing=True,
        about=datetime.now(UTC),
        summary="the hourly run failed: <nobody> knows.",
        to_do="",
        figures={},
    )
    alerts = Alerts(ledger, "test")
    alerts.record(finding, [], lambda change: {}, datetime(2026, 3, 1, 12, tzinfo=UTC))
    page = text_of(viewer, "/shops/test")
    assert "Alert <code>run_failed</code> since 2026-03-01 12:00:00" in page
    assert "&lt;nobody&gt;" in page


@pytest.mark.clock
def test_the_page_takes_a_ledger_that_is_older_than_the_alerts(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", finished_at=datetime.now(UTC))
    for table in (alert_messages, alerts_table):
        table.drop(ledger.engine)
    assert "Last successful sync" in text_of(viewer, "/shops/test")


# The health


HEALTH_KEYS = {"shop", "fresh", "age_seconds", "change_age_seconds", "freshness_seconds"}


def health_of(client: TestClient) -> tuple[int, dict[str, int | None]]:
    answer = client.get("/rees46/health")
    content = answer.json()
    assert content.keys() == {"healthy", "shops"}
    assert content["healthy"] == (answer.status_code == 200)
    assert all(shop.keys() == HEALTH_KEYS for shop in content["shops"])
    return answer.status_code, {shop["shop"]: shop["age_seconds"] for shop in content["shops"]}


def save_success(ledger: Ledger, run_id: str, ended_at: datetime, **columns: Any) -> None:
    """Record a run that read up to the moment in which it ended."""
    times = dict.fromkeys(("window_end", "started_at", "finished_at"), ended_at)
    save_run(ledger, run_id, **(times | columns))


@pytest.mark.clock
@pytest.mark.parametrize(
    ("age", "status"),
    [
        pytest.param(timedelta(minutes=1), 200, id="fresh"),
        pytest.param(timedelta(hours=23, minutes=59), 200, id="almost-a-day"),
        pytest.param(timedelta(hours=24, minutes=1), 503, id="more-than-a-day"),
    ],
)
def test_the_health_is_the_age_of_the_last_success_of_each_shop(
    anonymous: TestClient, ledger: Ledger, frozen_now: datetime, age: timedelta, status: int
) -> None:
    save_success(ledger, "1", frozen_now - age)
    save_success(ledger, "2", frozen_now, shop="secret", dag_id="order_status_sync_secret")

    answered, ages = health_of(anonymous)

    assert answered == status
    assert ages == {"test": age.total_seconds(), "secret": 0}


@pytest.mark.clock
def test_the_health_goes_by_each_shops_own_freshness(
    anonymous: TestClient, ledger: Ledger, shop: ShopUnderTest, frozen_now: datetime
) -> None:
    save_success(ledger, "1", frozen_now - timedelta(hours=3))
    save_success(ledger, "2", frozen_now - timedelta(hours=3), shop="secret", dag_id="order_status_sync_secret")
    shop.configure(freshness="2h")

    shops = {one["shop"]: one for one in anonymous.get("/rees46/health").json()["shops"]}

    assert {name: one["fresh"] for name, one in shops.items()} == {"test": False, "secret": True}
    assert {name: one["freshness_seconds"] for name, one in shops.items()} == {"test": 7200, "secret": 86400}


@pytest.mark.clock
def test_a_shop_whose_newest_changes_wait_is_not_healthy_though_a_run_succeeded_just_now(
    anonymous: TestClient, ledger: Ledger, frozen_now: datetime
) -> None:
    save_success(ledger, "1", frozen_now, window_end=frozen_now - timedelta(hours=30))
    save_success(ledger, "2", frozen_now, shop="secret", dag_id="order_status_sync_secret")

    status, ages = health_of(anonymous)

    assert (status, ages["test"]) == (503, 0)


@pytest.mark.clock
def test_a_shop_without_a_success_is_not_healthy(anonymous: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", finished_at=datetime.now(UTC), outcome="failed")
    assert health_of(anonymous) == (503, {"test": None, "secret": None})


@pytest.mark.parametrize("connection", ["sqlite:////nowhere/at/all/ledger.db", "postgres://x:y@127.0.0.1:1/z"])
def test_a_ledger_that_does_not_answer_is_not_healthy(
    anonymous: TestClient, shop: ShopUnderTest, connection: str
) -> None:
    shop.connect("shop_ledger", connection)
    assert health_of(anonymous) == (503, {"test": None, "secret": None})


@pytest.mark.clock
def test_a_shop_file_that_cannot_be_used_is_not_healthy(anonymous: TestClient, ledger: Ledger) -> None:
    save_success(ledger, "1", datetime.now(UTC))
    (Path(ledger.engine.url.database or "").parent / "shops" / "secret.yaml").write_text("shop: [")
    status, ages = health_of(anonymous)
    assert (status, list(ages)) == (503, ["test"])


def test_an_api_server_that_sees_no_shop_is_not_healthy(anonymous: TestClient, shop: ShopUnderTest) -> None:
    for file in shop.shops.glob("*.yaml"):
        file.unlink()
    assert health_of(anonymous) == (503, {})


# In Airflow


def test_airflow_shows_the_page_in_its_navigation(viewer: TestClient) -> None:
    plugins = viewer.get("/api/v2/plugins").json()["plugins"]
    [ours] = [plugin for plugin in plugins if plugin["name"] == "rees46"]
    [view] = ours["external_views"]
    assert (view["name"], view["destination"], view["url_route"]) == ("REES46 order sync", "nav", "rees46")
    assert viewer.get(f"/{view['href']}").status_code == 200


def test_the_package_holds_what_the_browser_gets() -> None:
    data = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    folder = PROJECT / "plugins" / "rees46_sync" / "monitoring" / "page"
    shipped = {file for pattern in data["rees46_sync.monitoring.page"] for file in folder.glob(pattern)}
    assert shipped == {file for name in ("templates", "static") for file in (folder / name).rglob("*")}
    assert len(shipped) > 5
