"""The Russian catalogue: everything that people read in their language, and nothing else."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from babel.messages.catalog import Message

from rees46_sync.translations import translator
from tests.catalogue import HEADER, RUSSIAN, is_translated, messages, russian

PLACEHOLDER = re.compile(r"%(?:\(\w+\))?(?:\.\d+)?[sdf]")
TAG = re.compile(r"</?\w+[^>]*>")


@pytest.fixture(scope="module")
def translated() -> list[Message]:
    return [message for message in russian() if message.id]


def forms(texts: str | tuple[str, ...] | list[str]) -> list[str]:
    """Return each form of a text: one, or those for several numbers."""
    return [texts] if isinstance(texts, str) else list(texts)


def test_each_text_has_a_translation_and_each_translation_a_text(translated: list[Message]) -> None:
    in_code = {str(message.id) for message in messages() if message.id}
    in_catalogue = {str(message.id) for message in translated}
    assert in_code - in_catalogue == set(), "new: make translations"
    assert in_catalogue - in_code == set(), "gone: make translations"
    assert [message.id for message in translated if not is_translated(message) or message.fuzzy] == []
    assert len(in_code) > 300


def test_a_translation_has_the_placeholders_of_its_text(translated: list[Message]) -> None:
    wrong = [
        message.id
        for message in translated
        for form in forms(message.string)
        if Counter(PLACEHOLDER.findall(form)) != Counter(PLACEHOLDER.findall(forms(message.id)[-1]))
    ]
    assert wrong == []


def test_a_translation_has_the_tags_of_its_text(translated: list[Message]) -> None:
    wrong = [
        message.id
        for message in translated
        for form in forms(message.string)
        if Counter(TAG.findall(form)) != Counter(TAG.findall(forms(message.id)[-1]))
    ]
    assert wrong == []


def test_a_translation_begins_and_ends_with_the_blanks_of_its_text(translated: list[Message]) -> None:
    def blanks(text: str) -> tuple[bool, bool]:
        return text.startswith(" "), text.endswith(" ")

    wrong = [message.id for message in translated if blanks(forms(message.string)[0]) != blanks(forms(message.id)[0])]
    assert wrong == []


@pytest.mark.parametrize(
    ("count", "text"),
    [(1, "1 строка"), (2, "2 строки"), (5, "5 строк"), (11, "11 строк"), (21, "21 строка"), (112, "112 строк")],
)
def test_a_number_has_its_form(count: int, text: str) -> None:
    assert translator("ru").ngettext("%(rows)s row", "%(rows)s rows", count) % {"rows": count} == text


def test_the_catalogue_is_written_as_make_translations_writes_it() -> None:
    assert RUSSIAN.read_text().startswith(HEADER)
