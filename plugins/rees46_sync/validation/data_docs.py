"""
Data Docs: a page with the result of Great Expectations for each partition of a run.

A page is one file that has no scripts and fetches nothing. Great Expectations renders the sections; the page around
them is ours. It shows checks and counts, and no values of rows: values may be personal, and belong in the quarantine.
A cleared run reads the warehouse again, so its new pages are stored beside the old ones. Pages outlive the staged files
of a successful run. A dry run stores none.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from rees46_sync.airflow_adapters import staging
from rees46_sync.shop.shop import Shop

if TYPE_CHECKING:
    from upath import UPath

    from rees46_sync.validation.expectations import ValidationResult

KEEP = timedelta(days=30)
"""How long pages are kept: long enough to look at last month's runs. A page takes some 20 kB."""

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


def store(shop: Shop, dag_id: str, run_id: str, partition: Mapping[str, Any], result: ValidationResult) -> str:
    """
    Store the page of a partition, in place of the one of an earlier attempt.

    :param partition: as ``extract_orders`` returns it.
    :return: the page's address, see :func:`docs_url`.
    :raises StagingError: the staging root cannot be written.
    """
    extraction, index = partition["extraction"], partition["index"]
    start, end = (extraction[name][:19].replace("T", " ") for name in ("window_start", "window_end"))
    facts = {
        "DAG": dag_id,
        "Run": run_id,
        "Partition": f"{index}",  # its name holds order ids
        "Window": f"[{start}, {end}) UTC",
        "Rows": f"{partition['rows']:,} validated, {len(result.rejected):,} rejected",
    }
    page = render(result, f"Data Docs of {shop.shop}", facts)
    staging.write_text(page, docs_file(shop, dag_id, extraction["extraction_id"], index))
    return docs_url(dag_id, extraction["extraction_id"], index)


def render(result: ValidationResult, title: str, facts: Mapping[str, str]) -> str:
    """
    Return the page of a validation as HTML.

    :param title, facts: the heading, and the table below it; they may be any text, which is escaped.
    """
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    from rees46_sync.validation.expectations import REASONS

    document = ValidationResultsPageRenderer().render(result.result)
    document.sections = document.sections[1:]  # the overview has a broken link, and counts no rows
    counts = sorted(result.reasons.items(), key=lambda item: -item[1])
    # Great Expectations' own page fetches styles and scripts from other servers.
    return (
        DefaultJinjaPageView()
        .env.from_string(_PAGE)
        .render(
            document.to_json_dict(),
            title=title,
            facts=facts,
            reasons=[(code, count, REASONS[code]) for code, count in counts],
        )
    )


def docs_root(shop: Shop, dag_id: str) -> UPath:
    """Return the folder of a DAG's pages. It is beside the shops' folders, whose names have no hyphen."""
    return staging.shop_root(shop).parent / "data-docs" / dag_id


def docs_file(shop: Shop, dag_id: str, extraction_id: str, index: int) -> UPath:
    """Return the path of a partition's page; the ids are the sync's own, see :func:`docs_url`."""
    return docs_root(shop, dag_id) / extraction_id / f"{index:04}.html"


def docs_url(dag_id: str, extraction_id: str, index: int) -> str:
    """Return a page's address, relative to Airflow's, which may be below a path of a proxy."""
    return f"{URL_PREFIX.lstrip('/')}/{dag_id}/{extraction_id}/{index}"


def remove_expired(shop: Shop, dag_id: str, now: datetime) -> list[str]:
    """Remove the pages of extractions that are older than :data:`KEEP`; return the ids of these extractions."""
    return staging.remove_older(docs_root(shop, dag_id), now, KEEP)
