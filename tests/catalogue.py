"""
The Russian catalogue. ``make translations`` adds the texts that the package has, and removes those that it has no more.

New texts are then translated by hand in ``plugins/rees46_sync/locale/ru.po``; a test fails until none is left.
"""

from __future__ import annotations

import io
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from rees46_sync.ledger.quarantine import MEANINGS
from rees46_sync.validation.expectations import REASONS

PACKAGE = Path(__file__).parents[1] / "plugins" / "rees46_sync"
RUSSIAN = PACKAGE / "locale" / "ru.po"
WIDTH = 120

HEADER = r"""# The Russian texts; `make translations` adds what is new.
msgid ""
msgstr ""
"Language: ru\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=utf-8\n"
"Content-Transfer-Encoding: 8bit\n"
"Plural-Forms: nplurals=3; plural=(n%10==1 && n%100!=11 ? 0 : n%10>=2 && n%10<=4 && (n%100<10 || n%100>=20) ? 1 : 2);\n"

"""

METHODS = [("**.py", "python"), ("**/templates/*.html", "jinja2")]
OPTIONS = {"**/templates/*.html": {"silent": "false", "newstyle_gettext": "true"}}


def messages() -> Catalog:
    """Return the texts of the package that people read in their language."""
    catalog = Catalog()
    for file, _, message, comments, context in extract_from_dir(PACKAGE, METHODS, OPTIONS, strip_comment_tags=True):
        catalog.add(message, locations=[(file, 0)], auto_comments=comments, context=context)
    for file, text in _texts_of_reasons():
        catalog.add(text, locations=[(file, 0)])
    return catalog


def _texts_of_reasons() -> list[tuple[str, str]]:
    """Return the texts that the code translates when it shows them, because tasks use them without a translation."""
    return [
        *(("validation/expectations.py", text) for text in REASONS.values()),
        *(("ledger/quarantine.py", text) for text in MEANINGS.values()),
    ]


def russian() -> Catalog:
    """Return the Russian catalogue as it is."""
    with RUSSIAN.open("rb") as file:
        return read_po(file, locale="ru")


def update() -> list[str]:
    """Write the catalogue with the texts of the package; return those that are not translated."""
    catalog = russian()
    catalog.update(messages(), no_fuzzy_matching=True, update_creation_date=False)
    catalog.obsolete.clear()
    written = io.BytesIO()
    write_po(written, catalog, width=WIDTH, omit_header=True, include_lineno=False, sort_output=True)
    RUSSIAN.write_bytes(HEADER.encode() + written.getvalue())
    return [str(message.id) for message in catalog if message.id and not is_translated(message)]


def is_translated(message: Message) -> bool:
    """Return whether each form of a text is translated."""
    forms = message.string or ""
    return all(forms) if isinstance(forms, (tuple, list)) else bool(forms)


if __name__ == "__main__":
    for text in update():
        print(f"Not translated: {text}")
