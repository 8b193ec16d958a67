"""The explanation of an order for the page, and for a terminal as text or JSON."""

from __future__ import annotations

import json
import textwrap
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rees46_sync.doctor.explain import explain
from rees46_sync.doctor.explain_facts import Explanation
from rees46_sync.doctor.explain_sentences import Describer, Description
from rees46_sync.formatting import escape_unprintable

if TYPE_CHECKING:
    from rees46_sync.shop.shop import Shop

WIDTH = 60
"""Columns of a terminal that the text fits; a command is one line, so that it can be copied."""


def explain_for_page(shop: Shop, order_id: str, language: str) -> Description:
    """
    Explain an order on the page, which leaves the words of the warehouse's database to the log.

    :raises SyncError: as :func:`rees46_sync.doctor.explain.explain`.
    """
    return Describer(explain(shop, order_id, datetime.now(UTC)), language, shows_messages=False).describe()


def as_json(found: Explanation) -> str:
    """Return the facts, and the sentences in English, as one JSON document."""
    description = Describer(found).describe()
    facts = asdict(found)
    for name in ("settle", "file"):
        del facts[name]
    return json.dumps({"explanation": asdict(description), "facts": facts}, indent=2, default=str, ensure_ascii=False)


def as_text(found: Explanation) -> str:
    """Return the explanation as lines of at most :data:`WIDTH` columns, but for commands; it holds no colours."""
    text = Describer(found).describe()
    lines = _wrapped(text.sentence)
    if text.remedy:
        lines += _wrapped(f"→ {text.remedy}", "  ")
    for heading, evidence in text.evidence:
        lines += ["", heading, *(line for one in evidence for line in _wrapped(f"  {one}", "    "))]
    lines += ["", "Next run", *_wrapped(f"  {text.next_run}", "  ")]
    if text.command:
        lines.append(f"    {escape_unprintable(text.command)}")
    return "\n".join(lines) + "\n"


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(escape_unprintable(text), WIDTH, subsequent_indent=indent, break_on_hyphens=False)
