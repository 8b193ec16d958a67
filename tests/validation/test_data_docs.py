"""Data Docs: a page for every judged partition, which tells no row's values, and is shown to those who may see it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rees46_sync.airflow_adapters import staging
from rees46_sync.validation import data_docs
from rees46_sync.validation.expectations import Judge, Judgement
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest
from tests.validation.test_expectations import frame_of
from tests.whole_run import dag_of, make_metadata_database, run_dag

IN_WINDOW = datetime(2026, 3, 1, 7, 30, tzinfo=UTC)
WINDOW = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
DAG_ID = "order_status_sync_test"
READING = "20260301T080000-0a1b2c3d"
PAGE = f"{DAG_ID}/{READING}/0"
HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(1)>${x} {{ 7 * 7 }}"""


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="module")
def api() -> Iterator[TestClient]:
    """Airflow's own API server with the plugin in it; who asks is anonymous."""
    make_metadata_database()
    from airflow.api_fastapi.app import create_app, purge_cached_app

    purge_cached_app()
    with TestClient(create_app(apps="core")) as client:
        yield client


def token(role: str | None) -> dict[str, str]:
    """What a user of this role sends along."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    jwt = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="somebody", role=role))
    return {"Authorization": f"Bearer {jwt}"}


def stored(shop: ShopUnderTest, page: str = "<p>the page</p>", **keys: Any) -> None:
    """Keep a page of the shop under test below :data:`PAGE`."""
    configured = shop.configure(staging=f"file://{shop.folder}/staging", **keys)
    staging.write_text(page, data_docs.file_of(configured, DAG_ID, READING, 0))


def links_of(run_id: str) -> list[str]:
    """What the UI's button of each validate_statuses of a run leads to."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        xcoms = session.query(XComModel).filter_by(run_id=run_id, key="_link_DataDocsLink").order_by("map_index")
        return [XComModel.deserialize_value(xcom) for xcom in xcoms]


def judged(judge: Judge, *rows: tuple[Any, Any, Any], statuses: tuple[str, ...] = ("new",)) -> Judgement:
    return judge.judge_rows(frame_of(rows), statuses, WINDOW)


class Elements(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


# Whole runs


def test_each_partition_of_a_run_has_a_page_behind_the_button_of_its_task(shop: ShopUnderTest, api: TestClient) -> None:
    shop.configure(partition_rows=2)
    ids = ("id-of-order-1", "id-of-order-2", "id-of-order-3")
    shop.add_rows([(ids[0], "new", IN_WINDOW), (ids[1], "on_hold", IN_WINDOW), (ids[2], "delivered", IN_WINDOW)])
    run = run_dag()
    links = links_of(run.run_id)
    assert len(links) == 2
    pages = [api.get(link, headers=token("viewer")) for link in links]
    assert [page.status_code for page in pages] == [200, 200]
    texts = [Elements(page.text).text for page in pages]
    assert all(run.run_id in text and DAG_ID in text for text in texts)
    assert sum("status_unmapped" in text for text in texts) == 1
    assert not any(order_id in page.text for order_id in ids for page in pages)


@pytest.mark.clock
def test_pages_outlive_a_successful_run_and_go_after_a_month(shop: ShopUnderTest) -> None:
    configured = shop.configure(staging=f"file://{shop.folder}/staging")
    shop.add_rows([("1", "new", IN_WINDOW)])
    run_dag()
    root = data_docs.root_of(configured, DAG_ID)
    [kept] = root.iterdir()
    assert list(staging.root_of(configured).iterdir()) == []

    now = datetime.now(UTC)
    names = [staging.new_extraction_id(now - data_docs.KEEP + timedelta(minutes=age)) for age in (-1, 60)]
    for name in names:
        staging.write_text("", root / name / "0000.html")
    run_dag(logical_date=datetime(2026, 3, 1, 9, tzinfo=UTC))
    assert {folder.name for folder in root.iterdir()} >= {kept.name, names[1]}
    assert not (root / names[0]).exists()


def test_a_dry_run_keeps_no_page_and_shows_no_button(shop: ShopUnderTest) -> None:
    configured = shop.configure(staging=f"file://{shop.folder}/staging")
    shop.add_rows([("1", "new", IN_WINDOW)])
    run = run_dag(dry_run=True)
    assert links_of(run.run_id) == [""]
    assert not data_docs.root_of(configured, DAG_ID).exists()


def test_only_validate_statuses_has_the_button(shop: ShopUnderTest) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    tasks = [task["__var"] for task in DagSerialization.to_dict(dag_of())["dag"]["tasks"]]
    links = {task["task_id"]: task["_operator_extra_links"] for task in tasks if "_operator_extra_links" in task}
    assert links == {"validate_statuses": {"Data Docs": "_link_DataDocsLink"}}


# Who may see a page


@pytest.mark.parametrize(
    ("role", "status"),
    [
        pytest.param("viewer", 200, id="viewer"),
        pytest.param("admin", 200, id="admin"),
        pytest.param(None, 403, id="may-not-see-the-dag"),
    ],
)
def test_a_page_is_shown_to_whoever_may_see_the_dag(
    shop: ShopUnderTest, api: TestClient, role: str | None, status: int
) -> None:
    stored(shop)
    answer = api.get(f"/rees46_docs/{PAGE}", headers=token(role))
    assert answer.status_code == status
    assert ("the page" in answer.text) == (status == 200)


@pytest.mark.parametrize(
    "path", [PAGE, f"{DAG_ID}/{READING}/7", f"somebody_elses/{READING}/0", f"~/{READING}/0", "x/y/z", "docs", ""]
)
def test_anonymous_is_refused_and_learns_nothing(shop: ShopUnderTest, api: TestClient, path: str) -> None:
    stored(shop)
    answer = api.get(f"/rees46_docs/{path}")
    assert answer.status_code == (401 if path.count("/") == 2 else 404)
    assert "the page" not in answer.text
    assert READING not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(f"{DAG_ID}/../0", id="up-as-reading"),
        pytest.param(f"{DAG_ID}/%2e%2e/0", id="up-encoded"),
        pytest.param(f"{DAG_ID}/..%2f{DAG_ID}%2f{READING}/0", id="up-with-encoded-slashes"),
        pytest.param(f"..%2f{DAG_ID}/{READING}/0", id="up-as-dag"),
        pytest.param(f"{DAG_ID}%2f..%2f{DAG_ID}/{READING}/0", id="down-and-up-as-dag"),
        pytest.param(f"{DAG_ID}/{READING}%2f..%2f{READING}/0", id="down-and-up-as-reading"),
        pytest.param(f"{DAG_ID}/{READING}%0a/0", id="line-end"),
        pytest.param(f"{DAG_ID}/{READING}%00/0", id="null-byte"),
        pytest.param(f"{DAG_ID}/%2fetc/0", id="absolute"),
        pytest.param(f"{DAG_ID}/{READING}/0000.html", id="file-name"),
        pytest.param(f"{DAG_ID}/{READING}/-1", id="negative"),
        pytest.param(f"{DAG_ID}/{READING}/..%2f0", id="up-as-index"),
        pytest.param(f"order_status_history_test/{READING}/0", id="page-of-the-other-dag"),
        pytest.param(f"order_status_sync_other/{READING}/0", id="no-such-shop"),
        pytest.param(f"~/{READING}/0", id="all-dags"),
    ],
)
def test_an_address_names_a_page_of_its_dag_or_nothing(shop: ShopUnderTest, api: TestClient, path: str) -> None:
    stored(shop)
    answer = api.get(f"/rees46_docs/{path}", headers=token("admin"))
    assert answer.status_code in (404, 422)
    assert "the page" not in answer.text


def test_a_page_that_is_gone_says_how_long_they_are_kept(shop: ShopUnderTest, api: TestClient) -> None:
    stored(shop)
    answer = api.get(f"/rees46_docs/{DAG_ID}/{READING}/1", headers=token("viewer"))
    assert answer.status_code == 404
    assert "kept for 30 days" in answer.json()["detail"]


def test_whatever_stands_in_a_page_the_browser_runs_and_fetches_nothing(shop: ShopUnderTest, api: TestClient) -> None:
    stored(shop, HOSTILE)
    answer = api.get(f"/rees46_docs/{PAGE}", headers=token("viewer"))
    policy = {part.split()[0]: part.split()[1:] for part in answer.headers["content-security-policy"].split(";")}
    assert policy.pop("style-src") == ["'unsafe-inline'"]
    assert policy.pop("frame-ancestors") == ["'self'"]
    assert policy == {"default-src": ["'none'"], "sandbox": [], "base-uri": ["'none'"], "form-action": ["'none'"]}
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in answer.headers["cache-control"]


# The page itself


def test_the_page_counts_every_reason_and_shows_no_value_of_a_row(judge: Judge) -> None:
    judgement = judged(
        judge,
        ("good-1", "new", IN_WINDOW),
        ("personal@example.org", "odd status", IN_WINDOW),
        ("personal\x07id", "new", "next year"),
        (None, "another odd one", datetime(1999, 9, 9, tzinfo=UTC)),
    )
    page = data_docs.render(judgement, "title", {})
    text = Elements(page).text
    assert set(judgement.reasons) == {
        "status_unmapped", "order_id_control_character", "updated_at_unreadable", "order_id_missing",
        "updated_at_outside_window",
    }  # fmt: skip
    assert all(code in text for code in judgement.reasons)
    assert re.search(r"2\s*status_unmapped\s*the shop file does not map the status", text)
    for value in ("good-1", "personal", "odd", "next year", "1999"):
        assert value not in page


def test_the_page_is_one_file_that_fetches_and_runs_nothing(judge: Judge) -> None:
    page = Elements(data_docs.render(judged(judge, ("1", "lost", IN_WINDOW)), "title", {"fact": "value"}))
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "form", "object", "a", "base"})
    assert page.attributes.isdisjoint({"src", "href", "onclick", "onload", "onerror"})


def test_html_in_ids_and_statuses_is_text(judge: Judge) -> None:
    judgement = judged(judge, (HOSTILE, HOSTILE, IN_WINDOW), ("2", "lost", IN_WINDOW), statuses=(HOSTILE,))
    page = Elements(data_docs.render(judgement, HOSTILE, {HOSTILE: HOSTILE}))
    plain = Elements(data_docs.render(judged(judge, ("2", "lost", IN_WINDOW)), "title", {"fact": "value"}))
    assert (page.tags, page.attributes) == (plain.tags, plain.attributes)
    assert page.text.count(HOSTILE) == 5  # the title twice, the fact's name and value, the mapped status


def test_the_page_stays_small_however_many_rows_are_broken(judge: Judge) -> None:
    few, many = (
        data_docs.render(judged(judge, *[(str(n), "lost", IN_WINDOW) for n in range(rows)]), "title", {})
        for rows in (10, 20_000)
    )
    assert len(many) < len(few) + 200 < 40_000
