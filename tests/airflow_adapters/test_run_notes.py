"""Notes of runs are Markdown in Airflow's UI; what a cause quotes is text there."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from rees46_sync.airflow_adapters.run_notes import as_text


@pytest.mark.parametrize(
    "words",
    [
        "![](http://example.com/seen.png)",
        "[your keys](http://example.com)",
        "\\![](http://example.com/seen.png)",
        "\\\\[x](http://example.com)",
        "[x][y]\n\n[y]: http://example.com",
        "<http://example.com>",
        "<img src=http://example.com/seen.png>",
    ],
)
def test_what_a_cause_quotes_becomes_no_link_picture_or_html(words: str) -> None:
    html = MarkdownIt("commonmark").render(f"REES46: answered 403 ({as_text(words)}). To do: ask.")

    assert not any(tag in html for tag in ("<a", "<img"))


def test_a_text_without_such_characters_stays_as_it_is() -> None:
    assert as_text("Shop demo: 5 of 10 rows (50 %) are rejected") == "Shop demo: 5 of 10 rows (50 %) are rejected"
