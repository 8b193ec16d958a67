"""The page in Airflow's UI, requested from Airflow's own app with Airflow's own login."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml
from fastapi.testclient import TestClient

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.mappings import mapping_text
from rees46_sync.ledger.migrations import VERSION
from rees46_sync.ledger.quarantine import MEANINGS, REOPENED, Quarantine, RejectedRow
from rees46_sync.ledger.requests import Requests
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.shop_names import retire
from rees46_sync.ledger.tables import alert_messages, in_flight_requests, schema_versions
from rees46_sync.ledger.tables import alerts as alerts_table
from rees46_sync.monitoring.alerts import AlertEvaluation, AlertName, Alerts
from rees46_sync.monitoring.page import queries as queries_module
from tests.conftest import ShopUnderTest, accept, open_request
from tests.monitoring.builders import NOON, orders_of, save_run, save_success
from tests.monitoring.page.requests import SECTIONS, get_text
from tests.whole_run import CODES

RUN_ID = "manual__2026-03-01T12:00:00+00:00/ä"
RUN = RunRef("test", "order_status_sync_test", RUN_ID, "extraction-1")
HOSTILE = "<script>alert('x')</script>\" onload=\"x"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/", 200, id="page"),
        pytest.param("GET", "/shops/no_such_shop", 404, id="no-such-shop"),
        pytest.param("GET", "/no/such/address", 404, id="no-such-address"),
        pytest.param("POST", "/shops/test", 405, id="method"),
        pytest.param("GET", "/shops/test/quarantine?before=x", 422, id="invalid"),
        pytest.param("GET", "/static/page.js", 200, id="static"),
        pytest.param("GET", "/static/page.py", 404, id="no-such-file"),
        pytest.param("GET", "/dags/order_status_sync_test", 307, id="redirect"),
        pytest.param("GET", "/shops/test/", 404, id="slash"),
        pytest.param("GET", "/shops/test/quarantine.csv", 200, id="file"),
        pytest.param("GET", "/api/shops", 200, id="json"),
        pytest.param("GET", "/health", 503, id="health"),
    ],
)
def test_each_response_forbids_the_browser_what_the_page_does_not_need(
    viewer: TestClient, ledger: Ledger, method: str, path: str, status: int
) -> None:
    response = viewer.request(method, f"/rees46{path}", follow_redirects=False)
    assert response.status_code == status
    assert_headers(response.headers)


def test_so_does_the_response_to_an_error_that_nobody_expected(
    viewer: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries_module.ShopQueries, "runs", None)
    response = viewer.get("/rees46/shops/test/runs")
    assert (response.status_code, response.text) == (500, "Internal Server Error")
    assert_headers(response.headers)


def assert_headers(headers: Mapping[str, str]) -> None:
    assert headers["Content-Security-Policy"].startswith("default-src 'self'; ")
    assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["", "/", "/shops/test", "/shops/test/", "//shops/test", "/dags/order_status_sync_test"]
)
def test_no_redirect_follows_the_host_that_a_request_names(viewer: TestClient, ledger: Ledger, path: str) -> None:
    response = viewer.get(f"/rees46{path}", headers={"Host": "evil.example"}, follow_redirects=False)
    assert "evil.example" not in response.headers.get("Location", "")


def test_the_page_follows_its_own_policy(viewer: TestClient, ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("1", 0)))
    save_run(ledger, "1", read=1, sent=1)
    for section in SECTIONS:
        page = get_text(viewer, f"/shops/test{section}")
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! src=\"/rees46/static/)|javascript:", page)
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", page)


def health_of_test(viewer: TestClient) -> dict[str, Any]:
    [found] = [one for one in viewer.get("/rees46/health").json()["shops"] if one["shop"] == "test"]
    return dict(found)


# What it shows


@pytest.mark.clock
def test_the_overview_shows_the_progress_of_the_sync(viewer: TestClient, ledger: Ledger, frozen_now: datetime) -> None:
    ended = frozen_now - timedelta(hours=2, minutes=5)
    window = {"window_end": ended - timedelta(hours=1), "window_start": ended - timedelta(days=2)}
    save_run(ledger, "1", started_at=ended, finished_at=ended, **window)
    save_run(ledger, "2", started_at=ended, finished_at=ended + timedelta(hours=1), outcome="failed", **window)
    accept(ledger, RUN, 0, orders_of(("1", 0), ("2", 2)))

    page = get_text(viewer, "/shops/test")

    assert "2 h 5 min ago" in page
    assert "at most 3 h 5 min old" in page
    assert "1 run failed since" in page
    assert page.count("<svg") == 2
    assert "2 in the last 48 hours" in page


def test_the_overview_says_what_was_read_and_how_a_gap_is_closed(viewer: TestClient, ledger: Ledger) -> None:
    day = NOON - timedelta(days=2)
    save_run(ledger, "1")
    save_run(ledger, "2", window_start=day - timedelta(hours=1), window_end=day, window_widened=False)
    page = get_text(viewer, "/shops/test")
    assert "Orders that changed from 2026-02-27 11:00:00 to 2026-03-01 12:00:00 UTC, except in 1 gap." in page
    assert "2026-02-27 12:00:00 to 2026-02-28 12:00:00" in page
    assert "goes up to 2026-03-01 12:00:00 UTC. Earlier orders" in " ".join(page.split())
    assert "&#34;window_start&#34;: &#34;2026-02-27T12:00:00+00:00&#34;" in page
    assert health_of_test(viewer)["gaps"] == 1


@pytest.mark.clock
def test_data_that_ends_early_is_said_and_counts_as_old(viewer: TestClient, ledger: Ledger) -> None:
    now = datetime.now(UTC)
    times = {"window_end": now, "started_at": now, "finished_at": now}
    save_run(ledger, "1", **times, data_until=now - timedelta(days=3), data_late=True)
    page = get_text(viewer, "/shops/test")
    assert "The warehouse's data ends there, earlier than usual." in page
    assert "at most 3 d 0 h old" in page
    health = health_of_test(viewer)
    assert (health["fresh"], health["data_late"]) == (False, True)


@pytest.mark.clock
def test_a_corrected_mapping_is_said_until_it_is_applied(viewer: TestClient, ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("1", 1)))
    mapping = mapping_text(CODES | {"new": 1})
    save_run(ledger, "1", mapping=mapping, mapping_hash="of another shop file", finished_at=datetime.now(UTC))
    page = get_text(viewer, "/shops/test")
    assert "'new' was completed and is now created: this concerns at most 1 orders" in page
    assert "make remap SHOP=test" in page


def test_orders_by_status_are_loaded_after_the_page(viewer: TestClient, ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("1", 0), ("2", 2)))
    assert 'data-load="/rees46/shops/test/statuses"' in get_text(viewer, "/shops/test")
    page = get_text(viewer, "/shops/test/statuses")
    assert re.search(r"created</span>\s*</dt><dd>1<", page)
    assert re.search(r"completed</span>\s*</dt><dd>0<", page)


def test_a_failed_run_says_why(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", outcome="failed", cause="load_batches: answered 403 (<Shop> is inactive)")

    assert "answered 403 (&lt;Shop&gt; is inactive)" in get_text(viewer, "/shops/test/runs")


def test_runs_show_the_closed_sum_and_link_to_airflow(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, RUN_ID, read=12345, sent=12000, unchanged=345)
    save_run(ledger, "broken", read=1)
    page = get_text(viewer, "/shops/test/runs")
    assert "12,345" in page
    assert page.count(">closes<") == 1
    assert page.count("does not close") == 1
    path = "/dags/order_status_sync_test/runs/manual__2026-03-01T12%3A00%3A00%2B00%3A00%2F%C3%A4"
    assert f'href="{path}"' in page


def test_lists_continue_on_older_pages(viewer: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries_module, "PAGE_ROWS", 1)
    for name in ("one", "two"):
        save_run(ledger, name)
        Quarantine(ledger).store("test", name, [RejectedRow(name, "a&b", None, "status_unmapped")])
    for section in ("/runs", "/quarantine?q=a%26b"):
        page = get_text(viewer, f"/shops/test{section}")
        assert "two" in page
        [older] = re.findall(r'<a href="/rees46([^"]*)">Older', page)
        assert ">one<" in get_text(viewer, older.replace("&amp;", "&"))


@pytest.mark.parametrize("reason", MEANINGS)
def test_a_reason_that_is_no_failed_check_has_a_meaning(viewer: TestClient, ledger: Ledger, reason: str) -> None:
    Quarantine(ledger).store("test", "run", [RejectedRow("A-1", "paid", None, reason)])

    assert f"<td>{MEANINGS[reason]}</td>" in get_text(viewer, "/shops/test/quarantine")


def test_the_overview_counts_the_orders_that_are_held_back_as_reopened(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "run")
    assert "reopened</a>" not in get_text(viewer, "/shops/test")

    Quarantine(ledger).store("test", "run", [RejectedRow(one, "paid", None, REOPENED) for one in ("A-1", "A-2")])

    assert 'quarantine?reason=reopened">2 reopened</a>' in get_text(viewer, "/shops/test")
    assert 'quarantine?reason=reopened">held back</a>' in get_text(viewer, "/shops/test/runs")


def test_unmapped_statuses_are_shown_with_the_lines_for_the_shop_file(viewer: TestClient, ledger: Ledger) -> None:
    statuses = ["on hold: no", "new\u200b", "x\x00"]
    Quarantine(ledger).store(
        "test", "run", [RejectedRow(f"A-{status}", status, None, "status_unmapped") for status in statuses]
    )
    page = get_text(viewer, "/shops/test/quarantine")
    assert "for example order" in page
    assert "A-on hold" in page
    lines = [html.unescape(line) for line in re.findall('<code class="copy text">(.*?)</code>', page)]
    # Of a status that is stored with an escape, it is not known whether the warehouse has the escape itself.
    assert {yaml.safe_load(line)[0] for line in lines} == {*statuses, r"new\u200b", r"x\x00"}
    assert all(line.startswith("  - ") for line in lines)


def test_a_status_that_is_mapped_by_now_is_no_longer_shown_as_unmapped(
    shop: ShopUnderTest, viewer: TestClient, ledger: Ledger
) -> None:
    Quarantine(ledger).store("test", "run", [RejectedRow("A-1", "new\u200b", None, "status_unmapped")])
    shop.configure(statuses={"created": ["new", "new\u200b"], "completed": ["delivered"], "cancelled": []})
    assert "Unmapped statuses" not in get_text(viewer, "/shops/test/quarantine")


def test_an_order_shows_its_statuses_and_whether_one_is_in_flight_or_uncertain(
    viewer: TestClient, ledger: Ledger
) -> None:
    accept(ledger, RUN, 0, orders_of(("A 1", 0)))
    open_request(ledger, RUN, orders_of(("A 1", 1)))
    assert "in flight: a request with the order has no answer yet" in get_text(viewer, "/shops/test/orders?id=A%201")
    Requests(ledger).take_lease("test")
    page = get_text(viewer, "/shops/test/orders?id=A%201")
    assert "uncertain: it may have another status" in page
    assert "created" in page
    assert "%2F%C3%A4" in page
    assert "accepted nothing" in get_text(viewer, "/shops/test/orders?id=A-2")


@pytest.mark.parametrize("section", SECTIONS)
def test_values_from_a_database_are_text_on_the_page(viewer: TestClient, ledger: Ledger, section: str) -> None:
    accept(ledger, RunRef("test", HOSTILE, HOSTILE, "extraction"), 0, orders_of((HOSTILE, 0)))
    Quarantine(ledger).store("test", HOSTILE, [RejectedRow(HOSTILE, HOSTILE, HOSTILE, "status_unmapped")])
    save_run(ledger, HOSTILE, dag_id=HOSTILE)
    response = viewer.get(f"/rees46/shops/test{section}", params={"id": HOSTILE, "q": HOSTILE, "reason": ""})
    assert response.status_code == 200
    if section == "/quarantine.csv":
        assert response.headers["Content-Type"].startswith("text/csv")
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    else:
        assert HOSTILE not in response.text
        assert "<script>" not in response.text
    if section in ("/runs", "/quarantine", "/orders"):
        assert "&lt;script&gt;" in response.text


def test_the_csv_has_all_rows_of_the_search_and_no_formulas(viewer: TestClient, ledger: Ledger) -> None:
    dangerous = ["=1+1", "+1", "-1", "@A1"]
    rows = [RejectedRow(text, "lost", None, "status_unmapped") for text in [*dangerous, "плохо", 'a"b,c']]
    Quarantine(ledger).store("test", "run", rows)
    Quarantine(ledger).store("secret", "run", [RejectedRow("other", "lost", None, "status_unmapped")])

    response = viewer.get("/rees46/shops/test/quarantine.csv?q=lost&reason=status_unmapped")

    assert response.headers["Content-Disposition"] == 'attachment; filename="rees46_quarantine_test.csv"'
    table = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert [row["order_id"] for row in reversed(table)] == [*(f"'{text}" for text in dangerous), "плохо", 'a"b,c']
    assert viewer.get("/rees46/shops/test/quarantine.csv?q=found-nowhere").text.count("\n") == 1


# If there is nothing to show


@pytest.mark.parametrize("section", ["", "/statuses", "/runs", "/quarantine", "/orders?id=1"])
def test_before_the_first_run_the_page_says_how_to_start_one(
    viewer: TestClient, two_shops: ShopUnderTest, section: str
) -> None:
    assert "Unpause <code>order_status_sync_test</code>" in get_text(viewer, f"/shops/test{section}")


def test_without_a_shop_file_the_page_says_where_to_write_one(viewer: TestClient, two_shops: ShopUnderTest) -> None:
    for file in two_shops.shops.glob("*.yaml"):
        file.unlink()
    assert "REES46_SHOPS_DIR" in get_text(viewer, "/")


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
    viewer: TestClient, two_shops: ShopUnderTest, connection: str, section: str
) -> None:
    two_shops.connect("shop_ledger", connection)
    for page in (get_text(viewer, f"/shops/test{section}", 503), get_text(viewer, "/")):
        assert "shop_ledger" in page
        assert "p4ssw0rd" not in page
        assert "Traceback" not in page


@pytest.mark.clock
def test_a_ledger_of_a_newer_version_says_what_to_install(viewer: TestClient, two_shops: ShopUnderTest) -> None:
    ledger = Ledger.from_conn_id("shop_ledger")
    ledger.migrate()
    with ledger.engine.begin() as connection:
        connection.execute(sa.insert(schema_versions).values(version=VERSION + 1, since=datetime.now(UTC)))
    ledger.engine.dispose()

    for page in (get_text(viewer, "/shops/test", 503), get_text(viewer, "/")):
        assert f"shop_ledger: its schema is version {VERSION + 1}" in page
        assert "install that version here" in page
        assert str(two_shops.ledger_file) not in page


@pytest.mark.parametrize("query", ["before=0", "before=x", f"before={2**63}", f"reason={'x' * 1001}"])
def test_an_invalid_address_gets_a_page_that_says_so(viewer: TestClient, ledger: Ledger, query: str) -> None:
    assert "This address is not valid" in get_text(viewer, f"/shops/test/quarantine?{query}", 422)


def test_only_files_of_the_page_are_served(viewer: TestClient, two_shops: ShopUnderTest) -> None:
    assert get_text(viewer, "/static/page.css").startswith(":root")
    for name in ("app.py", "..%2Fapp.py", "%2Fetc%2Fpasswd"):
        assert viewer.get(f"/rees46/static/{name}").status_code == 404


@pytest.mark.clock
def test_the_page_of_a_shop_shows_which_alert_fires_and_since_when(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", finished_at=datetime.now(UTC))
    assert "run_failed" not in get_text(viewer, "/shops/test")
    evaluation = AlertEvaluation(
        alert=AlertName.RUN_FAILED,
        firing=True,
        as_of=datetime.now(UTC),
        summary="the hourly run failed: <nobody> knows.",
        remedy="",
        metrics={},
    )
    Alerts(ledger, "test").record(evaluation, [], lambda _: {}, datetime(2026, 3, 1, 12, tzinfo=UTC))
    page = get_text(viewer, "/shops/test")
    assert "Alert <code>run_failed</code> since 2026-03-01 12:00:00" in page
    assert "&lt;nobody&gt;" in page


@pytest.mark.clock
def test_the_page_works_with_a_ledger_that_is_older_than_the_alerts(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", finished_at=datetime.now(UTC))
    for table in (alert_messages, alerts_table):
        table.drop(ledger.engine)
    assert "Last successful sync" in get_text(viewer, "/shops/test")


@pytest.mark.clock
def test_a_ledger_that_no_run_has_migrated_yet_is_no_new_one(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", finished_at=datetime.now(UTC))
    in_flight_requests.drop(ledger.engine)  # an older schema has this table under another name
    assert "less than a minute ago" in get_text(viewer, "/")
    assert "wait for the next run, which migrates it" in get_text(viewer, "/shops/test", 503)


# The health


HEALTH_KEYS = {"shop", "fresh", "age_seconds", "change_age_seconds", "data_late", "gaps", "freshness_seconds"}


def get_health(client: TestClient) -> tuple[int, dict[str, int | None]]:
    response = client.get("/rees46/health")
    content = response.json()
    assert content.keys() == {"healthy", "shops", "vanished"}
    assert content["healthy"] == (response.status_code == 200)
    assert all(shop.keys() == HEALTH_KEYS for shop in content["shops"])
    return response.status_code, {shop["shop"]: shop["age_seconds"] for shop in content["shops"]}


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

    response_status, ages = get_health(anonymous)

    assert response_status == status
    assert ages["test"] == age.total_seconds()
    assert ages["secret"] == 0


@pytest.mark.clock
def test_the_health_uses_each_shops_own_freshness(
    anonymous: TestClient, ledger: Ledger, frozen_now: datetime, two_shops: ShopUnderTest
) -> None:
    save_success(ledger, "1", frozen_now - timedelta(hours=3))
    save_success(ledger, "2", frozen_now - timedelta(hours=3), shop="secret", dag_id="order_status_sync_secret")
    two_shops.configure(freshness="2h")

    shops = {one["shop"]: one for one in anonymous.get("/rees46/health").json()["shops"]}

    assert {name: one["fresh"] for name, one in shops.items()} == {"test": False, "secret": True}
    assert {name: one["freshness_seconds"] for name, one in shops.items()} == {"test": 7200, "secret": 86400}


@pytest.mark.clock
def test_a_shop_whose_changes_wait_too_long_is_not_healthy_although_a_run_just_succeeded(
    anonymous: TestClient, ledger: Ledger, frozen_now: datetime
) -> None:
    save_success(ledger, "1", frozen_now, window_end=frozen_now - timedelta(hours=30))
    save_success(ledger, "2", frozen_now, shop="secret", dag_id="order_status_sync_secret")

    status, ages = get_health(anonymous)

    assert (status, ages["test"]) == (503, 0)


@pytest.mark.clock
def test_a_shop_without_a_success_is_not_healthy(anonymous: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", finished_at=datetime.now(UTC), outcome="failed")
    assert get_health(anonymous) == (503, {"test": None, "secret": None})


@pytest.mark.parametrize("connection", ["sqlite:////nowhere/at/all/ledger.db", "postgres://x:y@127.0.0.1:1/z"])
def test_a_ledger_that_does_not_answer_is_not_healthy(
    anonymous: TestClient, two_shops: ShopUnderTest, connection: str
) -> None:
    two_shops.connect("shop_ledger", connection)
    assert get_health(anonymous) == (503, {"test": None, "secret": None})


@pytest.mark.clock
def test_an_unusable_shop_file_is_not_healthy(anonymous: TestClient, ledger: Ledger) -> None:
    save_success(ledger, "1", datetime.now(UTC))
    (Path(ledger.engine.url.database or "").parent / "shops" / "secret.yaml").write_text("shop: [")
    status, ages = get_health(anonymous)
    assert (status, list(ages)) == (503, ["test"])


def test_an_api_server_without_shop_files_is_not_healthy(anonymous: TestClient, two_shops: ShopUnderTest) -> None:
    for file in two_shops.shops.glob("*.yaml"):
        file.unlink()
    assert get_health(anonymous) == (503, {})


# Shops without a file


def vanish(shop: ShopUnderTest, name: str) -> None:
    (shop.shops / f"{name}.yaml").unlink()


@pytest.mark.clock
def test_a_shop_whose_file_is_gone_is_missed_until_it_is_taken_out(
    anonymous: TestClient, viewer: TestClient, ledger: Ledger, two_shops: ShopUnderTest, frozen_now: datetime
) -> None:
    save_success(ledger, "1", frozen_now)
    save_success(ledger, "2", frozen_now, shop="secret", dag_id="order_status_sync_secret")
    assert get_health(anonymous)[0] == 200
    assert "has no shop file" not in get_text(viewer, "/")

    vanish(two_shops, "secret")

    assert get_health(anonymous) == (503, {"test": 0})
    assert anonymous.get("/rees46/health").json()["vanished"] == ["secret"]
    page = get_text(viewer, "/")
    assert "<strong>secret</strong> has no shop file" in page
    assert f"<code>shop_ledger</code> knows it: its last run ended at {frozen_now:%Y-%m-%d %H:%M:%S}" in page
    assert "make rename-shop FROM=secret TO=" in page
    assert "make retire-shop SHOP=secret" in page

    retire(ledger, "secret")

    assert get_health(anonymous) == (200, {"test": 0})
    assert "secret" not in get_text(viewer, "/")


@pytest.mark.clock
def test_a_shop_whose_file_cannot_be_used_has_not_vanished(
    anonymous: TestClient, viewer: TestClient, ledger: Ledger, two_shops: ShopUnderTest
) -> None:
    save_success(ledger, "1", datetime.now(UTC))
    save_success(ledger, "2", datetime.now(UTC), shop="secret", dag_id="order_status_sync_secret")
    vanish(two_shops, "secret")
    (two_shops.shops / "another_name.yaml").write_text("shop: secret # as before\nquery: nowhere.sql\n")

    assert get_health(anonymous)[0] == 503
    assert anonymous.get("/rees46/health").json()["vanished"] == []
    assert "has no shop file" not in get_text(viewer, "/")


@pytest.mark.clock
def test_a_ledger_that_does_not_answer_hides_no_other_shop(
    anonymous: TestClient, viewer: TestClient, ledger: Ledger, two_shops: ShopUnderTest
) -> None:
    save_success(ledger, "1", datetime.now(UTC))
    save_success(ledger, "2", datetime.now(UTC), shop="gone", dag_id="order_status_sync_gone")
    two_shops.connect("ledger_of_test", "sqlite:////nowhere/at/all/ledger.db")
    two_shops.configure(ledger_conn_id="ledger_of_test")

    assert anonymous.get("/rees46/health").json()["vanished"] == ["gone"]
    assert "<strong>gone</strong> has no shop file" in get_text(viewer, "/")


def test_of_two_files_of_one_shop_the_page_says_which_is_in_force(viewer: TestClient, two_shops: ShopUnderTest) -> None:
    (two_shops.shops / "zz.yaml").write_text((two_shops.shops / "test.yaml").read_text())

    page = get_text(viewer, "/")

    assert "Two files are about shop <strong>test</strong>: <code>test.yaml</code> is in force" in page
    assert "<code>zz.yaml</code> is not used" in page


# In Airflow


def test_airflow_shows_the_page_in_its_navigation(viewer: TestClient) -> None:
    plugins = viewer.get("/api/v2/plugins").json()["plugins"]
    [plugin] = [plugin for plugin in plugins if plugin["name"] == "rees46"]
    views = {view["destination"]: view for view in plugin["external_views"]}
    assert {view["name"] for view in views.values()} == {"REES46"}  # a longer one would be cut off
    assert viewer.get(f"/{views['nav']['href']}").status_code == 200
    assert {view["url_route"] for view in views.values()} == {"rees46", "rees46-dag", "rees46-dag_run"}
