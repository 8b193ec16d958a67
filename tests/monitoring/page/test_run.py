"""The page of one run: its sum, its cause, its requests, and its rows by decision."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from rees46_sync.ledger.runs import ACCOUNT_PARTS
from rees46_sync.ledger.tables import deliveries, sync_runs
from rees46_sync.monitoring.page import queries as queries_module
from rees46_sync.monitoring.page.views import templates
from tests.conftest import PROJECT, ShopUnderTest
from tests.monitoring.builders import NOON, save_run
from tests.monitoring.page.requests import get_text

NONE = "\N{EN DASH}"
DAG = "order_status_sync_test"


def add_request(ledger: Ledger, **columns: object) -> None:
    """Record a request of the run "1", answered at noon."""
    row = {"shop": "test", "extraction_id": "extraction", "dag_id": DAG, "run_id": "1", "partition": 0, "orders": 100}
    answer = {"requests": 1, "outcome": "accepted", "http_status": 200, "milliseconds": 345, "answered_at": NOON}
    with ledger.engine.begin() as connection:
        connection.execute(sa.insert(deliveries).values(**(row | answer | columns)))


def number_of(ledger: Ledger, run_id: str) -> int:
    with ledger.engine.begin() as connection:
        return int(connection.scalar(sa.select(sync_runs.c.id).where(sync_runs.c.run_id == run_id)) or 0)


def page_of(viewer: TestClient, ledger: Ledger, run_id: str = "1", query: str = "") -> str:
    return get_text(viewer, f"/shops/test/runs/{number_of(ledger, run_id)}{query}")


def text_of(page: str) -> str:
    return " ".join(re.sub("<[^>]*>", " ", page).split())


def test_a_failed_run_says_first_why_and_what_to_do(viewer: TestClient, ledger: Ledger) -> None:
    causes = {"cause": "answered 403 (<Shop> is inactive)", "remedy": "ask the manager"}
    save_run(ledger, "1", outcome="failed", read=2, failed=2, **causes)

    page = page_of(viewer, ledger)

    text = text_of(page)
    assert "Run 1 failed answered 403 (&lt;Shop&gt; is inactive) To do: ask the manager" in text
    assert f'href="/dags/{DAG}/runs/1"' in page


def test_the_sum_is_a_bar_whose_parts_are_as_wide_as_they_are_large() -> None:
    class Run(dict[str, int]):
        read = 1000

    macro = templates().get_template("macros.html").module.sum_bar  # type: ignore[attr-defined] # a macro
    svg = str(
        macro(Run(dict.fromkeys(ACCOUNT_PARTS, 0) | {"sent": 250, "unchanged": 700, "failed": 50}), ACCOUNT_PARTS)
    )

    parts = re.findall('class="part p-([a-z]+)" x="([^"]*)" y="0" width="([^"]*)"', svg)
    assert [(name, float(x), float(width)) for name, x, width in parts] == [
        ("sent", 0, 250),
        ("unchanged", 250, 700),
        ("failed", 950, 50),
    ]
    assert re.findall("<title>([^<]*)</title>", svg) == ["sent: 250", "unchanged: 700", "failed: 50"]


def test_each_decision_has_its_rows_its_meaning_and_a_few_orders(viewer: TestClient, ledger: Ledger) -> None:
    examples = {"sent": ["A 1", "<A-2>"], "failed": []}
    save_run(ledger, "1", read=12, sent=11, failed=1, examples=json.dumps(examples))

    page = page_of(viewer, ledger)

    assert "sent 11 REES46 accepted the status in this run A 1 , &lt;A-2&gt;" in text_of(page)
    assert 'href="/rees46/shops/test/orders?id=A%201"' in page
    assert "failed 1 should have been validated or sent, and was not \N{EN DASH}" in text_of(page)
    assert "12 rows were read, and each is accounted for." in page
    assert "unchanged" not in page


def test_a_sum_that_does_not_close_says_so(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", read=2, sent=1)
    assert "does not close" in page_of(viewer, ledger)


def test_a_run_shows_its_own_requests_with_status_and_time(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", requests=5)
    add_request(ledger)
    add_request(ledger, requests=3, outcome="rejected", http_status=403, milliseconds=1234)
    add_request(ledger, outcome="unknown", http_status=None, milliseconds=None)
    for other in ({"run_id": "2"}, {"shop": "secret"}, {"dag_id": "order_status_history_test"}):
        add_request(ledger, orders=77, **other)

    text = text_of(page_of(viewer, ledger))

    assert "5 POSTs in all" in text
    noon = "2026-03-01 12:00:00 0 100"
    assert f"{noon} 1 {NONE} {NONE} unknown {noon} 3 403 1,234 rejected {noon} 1 200 345 accepted" in text
    assert " 77 " not in text


def test_requests_come_a_page_at_a_time(viewer: TestClient, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries_module, "PAGE_ROWS", 2)
    save_run(ledger, "1")
    for orders in (111, 222, 333):
        add_request(ledger, orders=orders)
    add_request(ledger, orders=444, run_id="later", answered_at=NOON + timedelta(days=1))

    page = page_of(viewer, ledger)
    assert re.findall(r">(\d\d\d)<", page) == ["333", "200", "345", "222", "200", "345"]

    [older] = re.findall(r'<a href="/rees46([^"]*)">Older', page)
    assert re.findall(r">(\d\d\d)<", get_text(viewer, older)) == ["111", "200", "345"]


def test_a_run_shows_the_rows_that_it_rejected_first(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", read=1, rejected=1)
    for run, order in (("1", "A-1"), ("2", "A-2")):
        Quarantine(ledger).store("test", run, [RejectedRow(order, "lost", None, "status_unmapped")])

    page = page_of(viewer, ledger)

    assert ">A-1<" in page
    assert ">A-2<" not in page


def test_a_window_is_read_again_by_a_configuration_to_copy_dry_run_first(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1")

    page = page_of(viewer, ledger)

    confs = [json.loads(conf.replace("&#34;", '"')) for conf in re.findall('<code class="copy">([^<]*)<', page)]
    window = {"window_start": "2026-02-28T12:00:00Z", "window_end": "2026-03-01T12:00:00Z"}
    assert confs == [window | {"dry_run": True}, window]
    assert f'href="/dags/{DAG}" data-airflow' in page


def test_an_order_is_sent_again_by_a_configuration_to_copy(viewer: TestClient, ledger: Ledger) -> None:
    page = get_text(viewer, "/shops/test/orders?id=A%221")
    confs = [json.loads(conf.replace("&#34;", '"')) for conf in re.findall('<code class="copy">([^<]*)<', page)]
    assert confs == [{"order_ids": ['A"1'], "dry_run": True}, {"order_ids": ['A"1']}]


@pytest.mark.parametrize("number", ["0", "x", "99999999999999999999"])
def test_an_address_of_no_run_is_not_valid(viewer: TestClient, ledger: Ledger, number: str) -> None:
    assert "This address is not valid" in get_text(viewer, f"/shops/test/runs/{number}", 422)


def test_the_run_of_another_shop_is_not_found(viewer: TestClient, ledger: Ledger) -> None:
    save_run(ledger, "1", shop="secret", dag_id="order_status_sync_secret")
    assert "no such run" in get_text(viewer, f"/shops/test/runs/{number_of(ledger, '1')}", 404)


@pytest.mark.parametrize("version", [4, 5])
def test_the_page_reads_a_former_ledger_before_a_run_has_migrated_it(
    viewer: TestClient, two_shops: ShopUnderTest, version: int
) -> None:
    dump = (PROJECT / "tests" / "ledgers" / f"version-{version}.sqlite.sql").read_text("utf-8")
    with closing(sqlite3.connect(two_shops.ledger_file)) as database:
        database.executescript(dump)
        database.execute("UPDATE rees46_alerts SET firing = 1, summary = 'It failed.'")
        database.execute("UPDATE rees46_sync_runs SET dag_id = ? WHERE shop = 'test'", [DAG])
        [[number]] = database.execute("SELECT id FROM rees46_sync_runs WHERE run_id = 'run-2' AND shop = 'test'")
        database.commit()

    assert "could not send 3 orders" in text_of(get_text(viewer, f"/shops/test/runs/{number}"))
    for section in ("", "/runs", "/orders?id=1", "/quarantine"):
        assert get_text(viewer, f"/shops/test{section}")
    assert "It failed." in get_text(viewer, "/shops/test")
    assert "could not send 3 orders" in get_text(viewer, "/")
    with closing(sqlite3.connect(two_shops.ledger_file)) as database:
        assert database.execute("SELECT max(version) FROM rees46_schema_versions").fetchone() == (version,)


# From Airflow's tabs


def test_the_tab_of_a_dag_leads_to_its_shop_and_that_of_a_run_to_the_run(viewer: TestClient, ledger: Ledger) -> None:
    run_id = "manual__2026-03-01T12:00:00+00:00/ä"
    save_run(ledger, run_id)
    encoded = "manual__2026-03-01T12%3A00%3A00%2B00%3A00%2F%C3%A4"

    for path, target in {
        f"/dags/{DAG}": "/rees46/shops/test",
        "/dags/order_status_history_test": "/rees46/shops/test",
        f"/dags/{DAG}/runs/{encoded}": f"/rees46/shops/test/runs/{number_of(ledger, run_id)}",
    }.items():
        response = viewer.get(f"/rees46{path}", follow_redirects=False)
        assert (response.status_code, response.headers["Location"]) == (307, target)


@pytest.mark.parametrize("run_id", ["under_way", "%3Cscript%3Ealert(1)"])
def test_the_tab_of_a_run_without_a_record_says_why_there_is_none(
    viewer: TestClient, ledger: Ledger, run_id: str
) -> None:
    page = get_text(viewer, f"/dags/{DAG}/runs/{run_id}")
    assert "is not recorded. Perhaps it is still under way" in page
    assert "<script>" not in page


@pytest.mark.parametrize("path", ["", "/runs/1"])
def test_the_tab_of_a_dag_of_another_kind_says_that_it_is_none_of_a_shop(
    viewer: TestClient, ledger: Ledger, path: str
) -> None:
    assert "not one of a REES46 shop" in get_text(viewer, f"/dags/etl_of_someone{path}", 404)
