"""English and Russian: which one a reader gets, and that no text of a template is bare English."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from rees46_sync.ledger.database import Ledger
from rees46_sync.monitoring.page.views import age, number, templates
from tests.conftest import PROJECT, ShopUnderTest
from tests.monitoring.builders import DAY, NOON, save_run
from tests.monitoring.page.requests import SECTIONS, get_text

TEMPLATES = PROJECT / "plugins" / "rees46_sync" / "monitoring" / "page" / "templates"


def language_of(viewer: TestClient, query: str = "", accepted: str | None = None) -> str:
    headers = {} if accepted is None else {"Accept-Language": accepted}
    [language] = re.findall('<html lang="([^"]*)">', viewer.get(f"/rees46/{query}", headers=headers).text)
    return language


@pytest.mark.parametrize(
    ("query", "accepted", "language"),
    [
        pytest.param("", "", "en", id="english-is-the-default"),
        pytest.param("", "de-DE,de;q=0.9", "en", id="nothing-that-we-have"),
        pytest.param("", "ru-RU,ru;q=0.9,en;q=0.8", "ru", id="the-browsers-first"),
        pytest.param("", "en-GB,ru;q=0.9", "en", id="a-region-of-it"),
        pytest.param("", "en;q=0.5,ru;q=0.7", "ru", id="by-weight"),
        pytest.param("", "ru;q=0", "en", id="not-wanted"),
        pytest.param("", "ru;q=x,;;,en", "en", id="broken"),
        pytest.param("?lang=ru", "en", "ru", id="the-address-comes-first"),
        pytest.param("?lang=xx", "ru", "ru", id="an-address-that-names-another"),
    ],
)
def test_a_reader_gets_the_language_of_the_address_or_of_the_browser(
    viewer: TestClient, two_shops: ShopUnderTest, query: str, accepted: str, language: str
) -> None:
    assert language_of(viewer, query, accepted) == language


def test_the_language_that_an_address_asks_for_is_remembered(viewer: TestClient, two_shops: ShopUnderTest) -> None:
    response = viewer.get("/rees46/?lang=ru")
    assert (
        "rees46_language=ru; HttpOnly; Max-Age=31536000; Path=/rees46; SameSite=lax" in response.headers["Set-Cookie"]
    )
    assert language_of(viewer) == "ru"
    assert language_of(viewer, "?lang=en") == "en"
    assert language_of(viewer) == "en"


def test_the_switch_keeps_the_rest_of_the_address(viewer: TestClient, ledger: Ledger) -> None:
    page = get_text(viewer, "/shops/test/quarantine?q=a%26b&lang=en")
    assert '<a href="?q=a%26b&amp;lang=ru" lang="ru" hreflang="ru">RU</a>' in page
    assert '<a href="?q=a%26b&amp;lang=en" lang="en" hreflang="en" aria-current="true">EN</a>' in page


@pytest.mark.parametrize("section", [section for section in SECTIONS if not section.endswith(".csv")])
def test_each_page_is_shown_in_russian(viewer: TestClient, ledger: Ledger, section: str) -> None:
    save_run(ledger, "1", read=1, sent=1)
    page = get_text(viewer, f"/shops/test{section}?lang=ru")
    assert "Поиск заказа" in page
    assert "Order look-up" not in page


def test_a_page_that_cannot_be_shown_says_so_in_russian(viewer: TestClient, ledger: Ledger) -> None:
    assert "Такого магазина нет" in get_text(viewer, "/shops/no_such_shop?lang=ru", 404)


def test_numbers_and_ages_are_those_of_the_language() -> None:
    assert [number(1234567, language) for language in ("en", "ru")] == ["1,234,567", "1\u00a0234\u00a0567"]
    assert [age(NOON - DAY, NOON, language) for language in ("en", "ru")] == ["1 d 0 h", "1 д 0 ч"]


def test_a_value_is_text_in_a_translated_sentence_as_well() -> None:
    html = templates("ru").from_string("{{ _('Shop %(shop)s', shop=name) }}").render(name="<script>")
    assert "&lt;script&gt;" in html


NAMES = {"REES46", "UTC", "Data Docs", "Dags"}
"""What is called so in each language."""


@pytest.mark.parametrize("file", sorted(TEMPLATES.glob("*.html")), ids=lambda file: file.name)
def test_no_template_holds_a_text_without_a_translation(file: Path) -> None:
    assert bare_texts(file.read_text()) == []


def bare_texts(template: str) -> list[str]:
    """Return what a reader would get of a template in English, whatever the language."""
    text = re.sub("{#.*?#}", "", template, flags=re.DOTALL)
    text = re.sub(r"{%-? *trans\b.*?endtrans *-?%}", "", text, flags=re.DOTALL)
    text = re.sub("{{.*?}}|{%.*?%}", "", text, flags=re.DOTALL)
    text = re.sub("<(code|pre)[^>]*>.*?</\\1>", "", text, flags=re.DOTALL)
    attributes = re.findall(r'\s(?:aria-label|title|placeholder|alt|value)="([^"]*)"', text)
    texts = [" ".join(part.split()) for part in [*attributes, *re.split("<[^>]*>", text)]]
    words = [re.sub("&[a-z]+;", "", part) for part in texts if part not in NAMES]
    return [part for part in words if re.search("[A-Za-z]{2}", part.replace("REES46", ""))]


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("<p>Hello {{ name }}</p>", ["Hello"]),
        ("<p>{{ _('Hello') }}</p><p>{% trans %}Hello{% endtrans %}</p><code>make up</code>", []),
        ('<nav aria-label="Shops">', ["Shops"]),
        ("{% if x %}yes{% endif %}", ["yes"]),
        ("<p>&lt; 3 {# a comment #}</p>", []),
    ],
)
def test_a_bare_text_is_found(template: str, found: list[str]) -> None:
    assert bare_texts(template) == found
