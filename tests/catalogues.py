"""A catalogue of a test's own, so that no test depends on the wording of the Russian one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from rees46_sync import translations


@contextmanager
def russian(folder: Path, texts: Mapping[str, str]) -> Iterator[None]:
    """
    Translate by these texts alone.

    :param folder: where the catalogue is written.
    :param texts: the Russian text of each English one.
    """
    header = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n'
    entries = [f'msgid "{english}"\nmsgstr "{text}"\n' for english, text in texts.items()]
    (folder / "ru.po").write_text("\n".join([header, *entries]), "utf-8")
    with patch.object(translations, "CATALOGUES", folder):
        translations.translator.cache_clear()
        yield
    translations.translator.cache_clear()
