"""A bar chart as it stands in the page: without anything that the page's policy forbids, whatever pygal is built on."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from pygal.etree import etree

from rees46_sync.monitoring.page.charts import bars


@pytest.fixture(params=["lxml", "etree"])
def _library(request: pytest.FixtureRequest) -> Iterator[None]:
    """pygal draws with lxml where something has installed it."""
    was_lxml = etree.lxml
    getattr(etree, f"to_{request.param}")()
    yield
    getattr(etree, "to_lxml" if was_lxml else "to_etree")()


@pytest.mark.usefixtures("_library")
def test_a_chart_says_what_each_bar_is_and_brings_no_script_and_no_style() -> None:
    svg = bars("Changes <sent>", [("03-01", 3), ("03-02", 1200), ("<03>", 0)])

    titles = re.findall("<title>([^<]*)</title>", svg)
    assert [title for title in titles if ": " in title] == ["03-01: 3", "03-02: 1,200", "&lt;03&gt;: 0"]
    assert 'aria-label="Changes &lt;sent' in svg
    assert not re.search("<(script|style|defs|desc)", svg)
