"""The documentation names all that there is, and its links lead somewhere."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from local.up import LOCAL_SETTINGS
from rees46_sync import exceptions
from rees46_sync.airflow_adapters.provider import get_provider_info
from rees46_sync.pipeline.diff import REOPENED
from rees46_sync.shop.shop import Shop, load_shop
from rees46_sync.validation.expectations import WHAT_TO_DO
from tests.conftest import PROJECT

PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").glob("*.md"))]
ABSTRACT = {exceptions.SyncError, exceptions.MendFirstError, exceptions.Rees46Error}
ERRORS = [
    name
    for name, thing in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(thing, exceptions.SyncError) and thing not in ABSTRACT
]
EXTRAS = get_provider_info()["connection-types"][0]["conn-fields"]


def text_of(page: str) -> str:
    return (PROJECT / "docs" / page).read_text("utf-8")


@pytest.mark.parametrize("key", Shop.model_fields)
def test_every_key_of_a_shop_file_is_explained(key: str) -> None:
    assert re.search(rf"^\| `{key}` \|", text_of("shop-file.md"), re.MULTILINE)


@pytest.mark.parametrize("name", EXTRAS)
def test_every_extra_of_the_connection_is_explained(name: str) -> None:
    assert f"| extra `{name}` |" in text_of("shop-file.md")


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_has_a_remedy(name: str) -> None:
    assert re.search(rf"^(### .*|\| ){name}\b", text_of("errors.md"), re.MULTILINE)


@pytest.mark.parametrize("reason", [*WHAT_TO_DO, REOPENED])
def test_every_reason_of_a_rejected_row_is_explained(reason: str) -> None:
    assert f"`{reason}`" in text_of("errors.md")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_of_the_project_leads_to_one(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8"))
    missing = [target for target in targets if not urlsplit(target).scheme and not (page.parent / target).exists()]

    assert not missing


def test_the_settings_of_workers_are_those_that_make_up_has() -> None:
    assert f"```python\n{LOCAL_SETTINGS}```" in text_of("scaling.md")


def test_the_example_of_an_own_shop_is_a_shop_file_that_can_be_used(tmp_path: Path) -> None:
    """As somebody has it who copies both blocks of the page."""
    query, shop_file = re.findall(r"```(?:sql|yaml)\n(.*?)```", text_of("own-shop.md"), re.DOTALL)
    path = tmp_path / "shops" / "myshop.yaml"
    for file, content in ((path, shop_file), (tmp_path / "sql" / "myshop_orders.sql", query)):
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)

    assert load_shop(path).shop == yaml.safe_load(shop_file)["shop"]
