"""
The texts for people in English and Russian: gettext with the catalogue ``locale/ru.po``.

English is the language of the code, so it needs no catalogue. The catalogue is compiled in memory when it is used
first: nothing binary is kept beside it.
"""

from __future__ import annotations

import gettext
import io
from functools import cache
from pathlib import Path

LANGUAGES = ("en", "ru")

CATALOGUES = Path(__file__).parent / "locale"


@cache
def translator(language: str) -> gettext.NullTranslations:
    """
    Return the texts of a language; a text without a translation stays English.

    :param language: one of :data:`LANGUAGES`; any other is English.
    """
    file = CATALOGUES / f"{language}.po"
    if language not in LANGUAGES or not file.exists():
        return gettext.NullTranslations()
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    compiled = io.BytesIO()
    with file.open("rb") as text:
        write_mo(compiled, read_po(text, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
