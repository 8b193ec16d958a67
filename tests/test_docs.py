"""The documentation names all that there is, its commands exist, and its links lead somewhere."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from local.up import LOCAL_SETTINGS
from rees46_sync import exceptions
from rees46_sync.ledger.quarantine import MEANINGS
from rees46_sync.ledger.tables import metadata
from rees46_sync.provider import get_provider_info
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.shop_file import load_shop
from rees46_sync.validation.expectations import REASONS
from tests.conftest import PROJECT

README = PROJECT / "README.md"
DOCS = sorted((PROJECT / "docs").glob("*.md"))
PAGES = [README, PROJECT / "CONTRIBUTING.md", PROJECT / "CHANGELOG.md", *DOCS]
CURRENT_PAGES = [page for page in PAGES if page.name != "CHANGELOG.md"]
"""Without the changelog, which also names what is gone."""

EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name if page.parent == PROJECT else page.stem)
EACH_CURRENT_PAGE = pytest.mark.parametrize(
    "page", CURRENT_PAGES, ids=lambda page: page.name if page.parent == PROJECT else page.stem
)
ABSTRACT = {exceptions.SyncError, exceptions.NonRetryableError, exceptions.Rees46Error}
ERRORS = [
    name
    for name, thing in inspect.getmembers(exceptions, inspect.isclass)
    if issubclass(thing, exceptions.SyncError) and thing not in ABSTRACT
]
EXTRAS = get_provider_info()["connection-types"][0]["conn-fields"]


def text_of(page: str) -> str:
    return (PROJECT / "docs" / page).read_text("utf-8")


def local_links(page: Path) -> list[tuple[Path, str]]:
    """Return the file and the anchor of each link to a file of the project."""
    targets = [
        target for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")) if not urlsplit(target).scheme
    ]
    parts = [target.partition("#") for target in targets]
    return [(page.parent / file if file else page, anchor) for file, _, anchor in parts]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("key", Shop.model_fields)
def test_every_key_of_a_shop_file_is_explained(key: str) -> None:
    assert re.search(rf"^\| `{key}` \|", text_of("shop-file.md"), re.MULTILINE)


@pytest.mark.parametrize("name", EXTRAS)
def test_every_extra_of_the_connection_is_explained(name: str) -> None:
    assert f"| extra `{name}` |" in text_of("shop-file.md")


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_has_a_remedy(name: str) -> None:
    assert re.search(rf"^(### .*|\| ){name}\b", text_of("errors.md"), re.MULTILINE)


def test_no_page_names_an_error_that_does_not_exist() -> None:
    """The changelog names the old names as well."""
    named = {name for page in CURRENT_PAGES for name in re.findall(r"\b[A-Z]\w+Error\b", page.read_text("utf-8"))}

    assert {name for name in named if not hasattr(exceptions, name)} == set()


@pytest.mark.parametrize("reason", [*REASONS, *MEANINGS])
def test_every_reason_of_a_rejected_row_is_explained(reason: str) -> None:
    assert f"`{reason}`" in text_of("errors.md")


def test_every_table_of_the_ledger_is_explained() -> None:
    [section] = re.findall(r"^## The ledger's tables\n(.*?)^## ", text_of("how-it-works.md"), re.DOTALL | re.MULTILINE)
    rows = re.findall(r"^\| (`rees46_.*?) \|", section, re.MULTILINE)

    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(metadata.tables)


def test_every_room_of_the_package_is_explained() -> None:
    package = PROJECT / "plugins" / "rees46_sync"
    rooms = {folder.name for folder in package.iterdir() if (folder / "__init__.py").exists()}

    assert set(re.findall(r"^\| `(\w+)/` \|", text_of("how-it-works.md"), re.MULTILINE)) == rooms


def test_the_readme_is_short() -> None:
    assert len(README.read_bytes()) <= 6000


def test_the_readme_names_the_two_commands() -> None:
    commands = re.findall(r"^    (make \w+)", README.read_text("utf-8"), re.MULTILINE)

    assert commands == ["make run", "make test"]


@pytest.mark.parametrize("index", [README, PROJECT / "docs" / "README.md"], ids=["readme", "index"])
def test_an_index_links_every_page(index: Path) -> None:
    linked = {file.resolve() for file, _ in local_links(index)}

    assert {page.name for page in DOCS if page.name != "README.md" and page.resolve() not in linked} == set()


@EACH_PAGE
def test_every_link_to_a_file_of_the_project_leads_to_one(page: Path) -> None:
    assert [str(file) for file, _ in local_links(page) if not file.exists()] == []


@EACH_PAGE
def test_every_link_to_a_part_of_a_page_leads_to_one(page: Path) -> None:
    parts = [(file, anchor) for file, anchor in local_links(page) if anchor and file.suffix == ".md"]

    assert [f"{file.name}#{anchor}" for file, anchor in parts if anchor not in anchors(file)] == []


@EACH_CURRENT_PAGE
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^    |`)make ([a-z][a-z-]*)", page.read_text("utf-8"), re.MULTILINE))

    assert named - targets == set()


@EACH_CURRENT_PAGE
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"\b((?:rees46_sync|local)(?:\.[a-z_]\w*)+)", page.read_text("utf-8")))

    assert {name for name in named if not is_module(name)} == set()


def is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_the_settings_of_workers_are_those_that_make_up_has() -> None:
    assert f"```python\n{LOCAL_SETTINGS}```" in text_of("scaling.md")


def test_the_example_of_an_own_shop_is_a_usable_shop_file(tmp_path: Path) -> None:
    """As a user has it who copies both blocks of the page."""
    query, shop_file = re.findall(r"```(?:sql|yaml)\n(.*?)```", text_of("own-shop.md"), re.DOTALL)
    path = tmp_path / "shops" / "myshop.yaml"
    for file, content in ((path, shop_file), (tmp_path / "sql" / "myshop_orders.sql", query)):
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)

    assert load_shop(path).shop == yaml.safe_load(shop_file)["shop"]


def test_what_stops_each_threat_is_tested_where_the_table_says() -> None:
    table = (PROJECT / "docs" / "security.md").read_text().partition("\n## Threats\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in table.splitlines() if ".py`" in line]
    assert len(rows) > 10
    for *_, tests in rows:
        folder = Path()
        for name in re.findall(r"`(\S+\.py)`", tests):
            folder = Path(name).parent if "/" in name else folder
            assert (PROJECT / "tests" / folder / Path(name).name).is_file(), f"{name} does not exist"
