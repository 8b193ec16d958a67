"""Bar charts as SVG that stands in the page itself, and takes its colours from the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

LABELS = 4
"""Labels on the time axis: as many as can be read on a telephone."""


def bars(what: str, values: Sequence[tuple[str, int]]) -> str:
    """
    Draw a bar for each value.

    :param what: the chart in words, for those who do not see it.
    :param values: each with its label, which is shown at every so many bars and when the pointer is over one.
    :return: an ``svg`` element without scripts and without styles of its own (both would be barred by our policy).
    """
    import pygal

    labels = [label for label, _value in values]
    chart = pygal.Bar(
        width=520,
        height=200,
        margin=4,
        margin_left=16,
        spacing=6,
        js=[],
        css=[],
        show_legend=False,
        show_minor_x_labels=False,
        x_labels_major=labels[:: max(1, len(labels) // LABELS)],
        min_scale=2,
        max_scale=5,
        truncate_label=-1,
        order_min=0,  # whole numbers on the scale
        value_formatter=lambda value: f"{value:,.0f}",
        no_data_text="",
    )
    chart.x_labels = labels
    chart.add("", [value for _label, value in values])
    return _plain(chart.render_tree(), what)


def _plain(svg: Element, what: str) -> str:
    """
    Take out pygal's scripts, styles and notes to its own script; say instead what each bar is.

    :param svg: of ``xml.etree``, or of lxml where that is installed.
    """
    from pygal.etree import etree

    for parent in svg.iter():
        for child in list(parent):
            if child.tag in ("defs", "style", "script") or child.get("class") == "tooltip":
                parent.remove(child)
    for group in svg.iter("g"):
        notes = {note.get("class"): note for note in group.findall("desc")}
        for note in group.findall("desc"):
            group.remove(note)
        if "x_label" in notes and "value" in notes:
            etree.SubElement(group, "title").text = f"{notes['x_label'].text}: {notes['value'].text}"
    svg.set("role", "img")
    svg.set("aria-label", what)
    return str(etree.tostring(svg, encoding="unicode"))
