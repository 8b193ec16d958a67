"""
Data Docs: the page on which Great Expectations says what it found in a partition, kept for each run.

A page is one file without scripts that fetches nothing: the sections are rendered by Great Expectations, the frame
around them is ours. It tells checks and counts, and no value of any row: those may be personal, and belong into the
quarantine. A cleared run reads again, so its pages are new ones beside the old. Pages outlive the staged files of a
successful run. A dry run, which leaves no trace, has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from rees46_sync.airflow_adapters import staging
from rees46_sync.shop.shop import Shop

if TYPE_CHECKING:
    from upath import UPath

    from rees46_sync.validation.expectations import Judgement

KEEP = timedelta(days=30)
"""Long enough for last month's runs to be looked at; a page has some 20 kB."""

URL_PREFIX = "/rees46_docs"
"""Where the API server serves the pages."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2, h5 { font-size: 1.1rem; margin: 2rem 0 .3rem }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .35rem .8rem .35rem 0 }
th { font-weight: 600 } tr { border-bottom: 1px solid #ddd } td { vertical-align: top; overflow-wrap: anywhere }
.facts { width: auto } .facts tr { border: 0 } .facts th, .facts td { padding-bottom: 0 }
.number { text-align: right } .note { color: #666 } .badge { background: #eee; border-radius: .2rem; padding: 0 .3rem }
.ge-section th:first-child { width: 4rem } .ge-section th:last-child { width: 10rem }
.fa-check-circle::before { content: "✓"; color: #187a3c } .fa-times::before { content: "✗"; color: #b3261e }
.fa-exclamation-triangle::before { content: "!"; color: #b3261e }
"""

_PAGE = (
    """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{ title }}</title>
<style>"""
    + _STYLE
    + """</style></head>
<body>
<h1>{{ title }}</h1>
<table class="facts">
{% for name, value in facts.items() %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>
{% endfor %}</table>
{% if reasons %}<h2>Rejected rows</h2>
<table><tr><th class="number">Rows</th><th>Reason</th><th>Meaning</th></tr>
{% for code, count, words in reasons %}<tr><td class="number">{{ "{:,}".format(count) }}</td><td>{{ code }}</td>
<td>{{ words }}</td></tr>
{% endfor %}</table>
<p class="note">A row can have several reasons. The rows themselves are in the ledger's table rees46_rejected_orders;
no value of a row is shown here.</p>{% endif %}
{% for section in sections %}{% set section_loop = loop %}{% include "section.j2" %}{% endfor %}
<p class="note">Rendered by Great Expectations {{ ge_version }}.</p>
</body>
</html>
"""
)


def keep(shop: Shop, dag_id: str, run_id: str, partition: Mapping[str, Any], judgement: Judgement) -> str:
    """
    Store the page of a partition, in place of an earlier try's.

    :param partition: as ``extract_orders`` returns it.
    :return: the page's address, see :func:`url_of`.
    :raises StagingError: the staging root cannot be written.
    """
    reading, index = partition["reading"], partition["index"]
    start, end = (reading[name][:19].replace("T", " ") for name in ("window_start", "window_end"))
    facts = {
        "DAG": dag_id,
        "Run": run_id,
        "Partition": f"{index}",  # its name holds order ids
        "Window": f"[{start}, {end}) UTC",
        "Rows": f"{partition['rows']:,} judged, {len(judgement.rejected):,} rejected",
    }
    page = render(judgement, f"Data Docs of {shop.shop}", facts)
    staging.write_text(page, file_of(shop, dag_id, reading["extraction_id"], index))
    return url_of(dag_id, reading["extraction_id"], index)


def render(judgement: Judgement, title: str, facts: Mapping[str, str]) -> str:
    """
    Return the page of a judgement.

    :param title, facts: what the page begins with; any text, it is shown as it is.
    """
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    from rees46_sync.validation.expectations import WHAT_TO_DO

    document = ValidationResultsPageRenderer().render(judgement.result)
    document.sections = document.sections[1:]  # its overview has a link that leads nowhere, and counts no rows
    counts = sorted(judgement.reasons.items(), key=lambda item: -item[1])
    # Its own page fetches styles and scripts from elsewhere.
    return (
        DefaultJinjaPageView()
        .env.from_string(_PAGE)
        .render(
            document.to_json_dict(),
            title=title,
            facts=facts,
            reasons=[(code, count, WHAT_TO_DO[code]) for code, count in counts],
        )
    )


def root_of(shop: Shop, dag_id: str) -> UPath:
    """Return the folder of a DAG's pages, beside the shops' staged files: a shop's name has no hyphen."""
    return staging.root_of(shop).parent / "data-docs" / dag_id


def file_of(shop: Shop, dag_id: str, extraction_id: str, index: int) -> UPath:
    """Return where a partition's page is; the ids are the sync's own, see :func:`url_of`."""
    return root_of(shop, dag_id) / extraction_id / f"{index:04}.html"


def url_of(dag_id: str, extraction_id: str, index: int) -> str:
    """Return a page's address, relative to Airflow's own: it may be below a path of a proxy."""
    return f"{URL_PREFIX.lstrip('/')}/{dag_id}/{extraction_id}/{index}"


def remove_older(shop: Shop, dag_id: str, now: datetime) -> list[str]:
    """Remove the pages of readings that are older than :data:`KEEP`; return the readings' names."""
    return staging.remove_older(root_of(shop, dag_id), now, KEEP)
