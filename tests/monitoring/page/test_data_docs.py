"""Data Docs in the API server: who may see a page, which addresses exist, and what the browser may do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rees46_sync.airflow_adapters import staging
from rees46_sync.monitoring.page.data_docs import HEADERS, make_app
from rees46_sync.validation import data_docs
from tests.conftest import ShopUnderTest
from tests.whole_run import make_metadata_database

DAG_ID = "order_status_sync_test"
EXTRACTION = "20260301T080000-0a1b2c3d"
PAGE = f"{DAG_ID}/{EXTRACTION}/0"
HOSTILE = """<script>alert(1)</script>"'><img src=x onerror=alert(1)>${x} {{ 7 * 7 }}"""


@pytest.fixture(scope="module")
def api() -> Iterator[TestClient]:
    """Airflow's own API server with the plugin in it; requests have no login."""
    make_metadata_database()
    from airflow.api_fastapi.app import create_app, purge_cached_app

    purge_cached_app()
    with TestClient(create_app(apps="core")) as client:
        yield client
    purge_cached_app()


def token(role: str | None) -> dict[str, str]:
    """Return the headers of a request of a user with this role."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    jwt = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="somebody", role=role))
    return {"Authorization": f"Bearer {jwt}"}


def store_page(shop: ShopUnderTest, page: str = "<p>the page</p>") -> None:
    """Store a page of the shop "test" as :data:`PAGE`."""
    configured = shop.configure(staging=f"file://{shop.folder}/staging")
    staging.write_text(page, data_docs.docs_file(configured, DAG_ID, EXTRACTION, 0))


@pytest.mark.parametrize(
    ("role", "status"),
    [
        pytest.param("viewer", 200, id="viewer"),
        pytest.param("admin", 200, id="admin"),
        pytest.param(None, 404, id="may-not-read-the-dag"),
    ],
)
def test_a_page_is_shown_to_users_who_may_read_the_dag(
    shop: ShopUnderTest, api: TestClient, role: str | None, status: int
) -> None:
    store_page(shop)
    response = api.get(f"/rees46_docs/{PAGE}", headers=token(role))
    assert response.status_code == status
    assert ("the page" in response.text) == (status == 200)


@pytest.mark.parametrize(
    "path",
    [PAGE, f"{DAG_ID}/{EXTRACTION}/7", f"somebody_elses/{EXTRACTION}/0", f"~/{EXTRACTION}/0", "x/y/z", "docs", ""],
)
def test_a_request_without_a_login_learns_nothing(shop: ShopUnderTest, api: TestClient, path: str) -> None:
    store_page(shop)
    response = api.get(f"/rees46_docs/{path}")
    assert response.status_code == (401 if path.count("/") == 2 else 404)
    assert "the page" not in response.text
    assert EXTRACTION not in response.text


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(f"{DAG_ID}/../0", id="up-as-extraction"),
        pytest.param(f"{DAG_ID}/%2e%2e/0", id="up-encoded"),
        pytest.param(f"{DAG_ID}/..%2f{DAG_ID}%2f{EXTRACTION}/0", id="up-with-encoded-slashes"),
        pytest.param(f"..%2f{DAG_ID}/{EXTRACTION}/0", id="up-as-dag"),
        pytest.param(f"{DAG_ID}%2f..%2f{DAG_ID}/{EXTRACTION}/0", id="down-and-up-as-dag"),
        pytest.param(f"{DAG_ID}/{EXTRACTION}%2f..%2f{EXTRACTION}/0", id="down-and-up-as-extraction"),
        pytest.param(f"{DAG_ID}/{EXTRACTION}%0a/0", id="line-end"),
        pytest.param(f"{DAG_ID}/{EXTRACTION}%00/0", id="null-byte"),
        pytest.param(f"{DAG_ID}/%2fetc/0", id="absolute"),
        pytest.param(f"{DAG_ID}/{EXTRACTION}/0000.html", id="file-name"),
        pytest.param(f"{DAG_ID}/{EXTRACTION}/-1", id="negative"),
        pytest.param(f"{DAG_ID}/{EXTRACTION}/..%2f0", id="up-as-index"),
        pytest.param(f"order_status_history_test/{EXTRACTION}/0", id="page-of-the-other-dag"),
        pytest.param(f"order_status_sync_other/{EXTRACTION}/0", id="no-such-shop"),
        pytest.param(f"~/{EXTRACTION}/0", id="all-dags"),
    ],
)
def test_an_address_names_a_page_of_its_dag_or_nothing(shop: ShopUnderTest, api: TestClient, path: str) -> None:
    store_page(shop)
    response = api.get(f"/rees46_docs/{path}", headers=token("admin"))
    assert response.status_code in (404, 422)
    assert "the page" not in response.text


def test_the_response_for_a_removed_page_says_how_long_pages_are_kept(shop: ShopUnderTest, api: TestClient) -> None:
    store_page(shop)
    response = api.get(f"/rees46_docs/{DAG_ID}/{EXTRACTION}/1", headers=token("viewer"))
    assert response.status_code == 404
    assert "kept for 30 days" in response.json()["detail"]


def test_the_browser_may_run_and_fetch_nothing_whatever_is_in_a_page(shop: ShopUnderTest, api: TestClient) -> None:
    store_page(shop, HOSTILE)
    response = api.get(f"/rees46_docs/{PAGE}", headers=token("viewer"))
    policy = {part.split()[0]: part.split()[1:] for part in response.headers["content-security-policy"].split(";")}
    assert policy.pop("style-src") == ["'unsafe-inline'"]
    assert policy.pop("frame-ancestors") == ["'self'"]
    assert policy == {"default-src": ["'none'"], "sandbox": [], "base-uri": ["'none'"], "form-action": ["'none'"]}
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in response.headers["cache-control"]


def test_who_may_not_read_a_shops_dag_does_not_learn_that_the_shop_exists(shop: ShopUnderTest, api: TestClient) -> None:
    store_page(shop)
    answers = {
        (response.status_code, response.text)
        for response in (
            api.get(f"/rees46_docs/{PAGE}", headers=token(None)),
            api.get(f"/rees46_docs/order_status_sync_other/{EXTRACTION}/0", headers=token(None)),
            api.get(f"/rees46_docs/order_status_sync_other/{EXTRACTION}/0", headers=token("admin")),
        )
    }
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", PAGE, 200, id="page"),
        pytest.param("GET", f"{DAG_ID}/{EXTRACTION}/7", 404, id="removed"),
        pytest.param("GET", "x", 404, id="no-such-address"),
        pytest.param("GET", f"{PAGE}/", 404, id="slash"),
        pytest.param("POST", PAGE, 405, id="method"),
        pytest.param("GET", f"{DAG_ID}/{EXTRACTION}/x", 422, id="invalid"),
    ],
)
def test_each_response_has_the_headers_of_a_page(
    shop: ShopUnderTest, api: TestClient, method: str, path: str, status: int
) -> None:
    store_page(shop)
    response = api.request(method, f"/rees46_docs/{path}", headers=token("admin"), follow_redirects=False)
    assert response.status_code == status
    assert {name: response.headers[name] for name in HEADERS} == HEADERS


def test_without_a_folder_in_the_environment_the_shops_of_the_project_are_used(
    shop: ShopUnderTest, api: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_page(shop)
    monkeypatch.delenv("REES46_SHOPS_DIR")
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "shops").symlink_to(shop.shops)

    with TestClient(make_app(tmp_path)) as client:
        response = client.get(f"/{PAGE}", headers=token("viewer"))

    assert "the page" in response.text
