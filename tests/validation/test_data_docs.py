"""Data Docs: a page for each validated partition, which shows no values of rows."""

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
from rees46_sync.validation.expectations import RowValidator, ValidationResult
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest
from tests.validation.test_expectations import frame_of
from tests.whole_run import dag_of, make_metadata_database, run_dag

IN_WINDOW = datetime(2026, 3, 1, 7, 30, tzinfo=UTC)
WINDOW = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
DAG_ID = "order_status_sync_test"
HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(1)>${x} {{ 7 * 7 }}"""


@pytest.fixture(scope="module")
def judge() -> RowValidator:
    return RowValidator()


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


def links_of(run_id: str) -> list[str]:
    """What the UI's button of each validate_statuses of a run leads to."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        xcoms = session.query(XComModel).filter_by(run_id=run_id, key="_link_DataDocsLink").order_by("map_index")
        return [XComModel.deserialize_value(xcom) for xcom in xcoms]


def validated(
    judge: RowValidator, *rows: tuple[Any, Any, Any], statuses: tuple[str, ...] = ("new",)
) -> ValidationResult:
    return judge.validate(frame_of(rows), statuses, WINDOW)


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
def test_pages_outlive_a_successful_run_and_are_removed_after_a_month(shop: ShopUnderTest) -> None:
    configured = shop.configure(staging=f"file://{shop.folder}/staging")
    shop.add_rows([("1", "new", IN_WINDOW)])
    run_dag()
    root = data_docs.docs_root(configured, DAG_ID)
    [kept] = root.iterdir()
    assert list(staging.shop_root(configured).iterdir()) == []

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
    assert not data_docs.docs_root(configured, DAG_ID).exists()


def test_only_validate_statuses_has_the_button(shop: ShopUnderTest) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    tasks = [task["__var"] for task in DagSerialization.to_dict(dag_of())["dag"]["tasks"]]
    links = {task["task_id"]: task["_operator_extra_links"] for task in tasks if "_operator_extra_links" in task}
    assert links == {"validate_statuses": {"Data Docs": "_link_DataDocsLink"}}


# The page itself


def test_the_page_counts_every_reason_and_shows_no_value_of_a_row(judge: RowValidator) -> None:
    result = validated(
        judge,
        ("good-1", "new", IN_WINDOW),
        ("personal@example.org", "odd status", IN_WINDOW),
        ("personal\x07id", "new", "next year"),
        (None, "another odd one", datetime(1999, 9, 9, tzinfo=UTC)),
    )
    page = data_docs.render(result, "title", {})
    text = Elements(page).text
    assert set(result.reasons) == {
        "status_unmapped", "order_id_control_character", "updated_at_unreadable", "order_id_missing",
        "updated_at_outside_window",
    }  # fmt: skip
    assert all(code in text for code in result.reasons)
    assert re.search(r"2\s*status_unmapped\s*the shop file does not map the status", text)
    for value in ("good-1", "personal", "odd", "next year", "1999"):
        assert value not in page


def test_the_page_is_one_file_that_fetches_and_runs_nothing(judge: RowValidator) -> None:
    page = Elements(data_docs.render(validated(judge, ("1", "lost", IN_WINDOW)), "title", {"fact": "value"}))
    assert page.tags.isdisjoint({"script", "link", "img", "iframe", "form", "object", "a", "base"})
    assert page.attributes.isdisjoint({"src", "href", "onclick", "onload", "onerror"})


def test_html_in_ids_and_statuses_is_text(judge: RowValidator) -> None:
    result = validated(judge, (HOSTILE, HOSTILE, IN_WINDOW), ("2", "lost", IN_WINDOW), statuses=(HOSTILE,))
    page = Elements(data_docs.render(result, HOSTILE, {HOSTILE: HOSTILE}))
    plain = Elements(data_docs.render(validated(judge, ("2", "lost", IN_WINDOW)), "title", {"fact": "value"}))
    assert (page.tags, page.attributes) == (plain.tags, plain.attributes)
    assert page.text.count(HOSTILE) == 5  # the title twice, the fact's name and value, the mapped status


def test_the_page_stays_small_however_many_rows_are_broken(judge: RowValidator) -> None:
    few, many = (
        data_docs.render(validated(judge, *[(str(n), "lost", IN_WINDOW) for n in range(rows)]), "title", {})
        for rows in (10, 20_000)
    )
    assert len(many) < len(few) + 200 < 40_000
