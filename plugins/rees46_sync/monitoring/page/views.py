"""How values look on the page, in its reader's language."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import count
from typing import Any
from urllib.parse import quote

import jinja2

from rees46_sync.formatting import timestamp
from rees46_sync.ledger.runs import ACCOUNT_PARTS
from rees46_sync.monitoring.alert_messages import titles
from rees46_sync.shop.shop import STATUS_NAMES
from rees46_sync.translations import translator

MAX_SCALE_LABELS = 5
_FORMULA = re.compile(
    r"""((?:^|[,;|\t\r\n"])[\s"\x00-\x1f\x7f\u200b\ufeff]*)([=+\-@＝＋－＠﹦﹢﹣﹫])|^([\t\r])"""  # noqa: RUF001
)
"""
Where a spreadsheet would read a formula: at the start of a cell, also of one that begins behind a comma, a semicolon or
another separator, because which of them separates is up to the reader's locale; whatever blanks and quotes are before.
Spreadsheets take the full-width signs of a Japanese or Chinese keyboard for the others.
"""

CSV_COLUMNS = ("rejected_at", "order_id", "status", "updated_at", "reason", "run_id")


def _(text: str) -> str:
    """Mark a text for the catalogue; it is translated when it is shown."""
    return text


_PARTS = {
    "read": _("read"),
    "sent": _("sent"),
    "unchanged": _("unchanged"),
    "superseded": _("superseded"),
    "stale": _("stale"),
    "reopened": _("reopened"),
    "rejected": _("rejected"),
    "held": _("held"),
    "failed": _("failed"),
    "requests": _("requests"),
}
"""The counts of an account."""

_DECISIONS = {
    "sent": _("REES46 accepted the status in this run"),
    "unchanged": _("REES46 has this status already"),
    "superseded": _("older versions of orders that were read in a newer one"),
    "stale": _("REES46 has a newer version"),
    "reopened": _("held back, because a completed or cancelled order would become created"),
    "rejected": _("failed a check: see the quarantine"),
    "held": _("not sent on purpose, because the run was to send only some orders"),
    "failed": _("should have been validated or sent, and was not"),
}
"""What a run decided about a row."""

_STATUSES = (_("created"), _("completed"), _("cancelled"))

_OUTCOMES = {
    "success": _("success"),
    "failed": _("failed"),
    "accepted": _("accepted"),
    "rejected": _("rejected"),
    "unknown": _("unknown"),
}
"""Of a run, and of a request."""

_STATES = {"red": _("act now"), "amber": _("look at it"), "green": _("in order")}

assert _DECISIONS.keys() == set(ACCOUNT_PARTS)
assert len(_STATUSES) == len(STATUS_NAMES)


@cache
def templates(language: str = "en") -> jinja2.Environment:
    """
    Return the page's templates; values from a database are text in them, never HTML.

    :param language: one of :data:`rees46_sync.translations.LANGUAGES`.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rees46_sync.monitoring.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    texts = translator(language)
    environment.install_gettext_translations(texts, newstyle=True)  # type: ignore[attr-defined] # of the extension
    named: dict[str, Mapping[Any, str]] = {
        "part_name": _PARTS,
        "decision": _DECISIONS,
        "outcome_name": _OUTCOMES,
        "state_name": _STATES,
        "status_name": dict(enumerate(_STATUSES)),
    }
    environment.filters |= {name: partial(_name, texts.gettext, names) for name, names in named.items()}
    alerts = titles(texts.gettext)
    environment.filters |= {
        "alert_title": lambda name: alerts.get(name, name),
        "moment": partial(timestamp_or_unknown, language=language),
        "age": partial(age, language=language),
        "number": partial(number, language=language),
        "scale": scale,
        "json": json_text,
        "labels": labels,
    }
    return environment


def _name(translate: Any, names: Mapping[Any, str], value: Any) -> str:
    """Return the name of a value; one that a later version wrote is shown as it is."""
    return str(translate(names[value])) if value in names else str(value)


def timestamp_or_unknown(value: datetime | None, language: str = "en") -> str:
    """Return a timestamp to the second, in UTC."""
    _ = translator(language).gettext
    return timestamp(value) if value else _("unknown")


def age(value: datetime, now: datetime, language: str = "en") -> str:
    """Return the time that has passed since a moment, in its two largest units."""
    _ = translator(language).gettext
    passed = max(now - value, timedelta(0))
    values = {"days": passed.days, "hours": passed.seconds // 3600, "minutes": passed.seconds // 60 % 60}
    if values["days"]:
        return _("%(days)s d %(hours)s h") % values
    if values["hours"]:
        return _("%(hours)s h %(minutes)s min") % values
    return _("%(minutes)s min") % values if values["minutes"] else _("less than a minute")


def number(value: int, language: str = "en") -> str:
    """Return a number with separated thousands."""
    return f"{value:,}" if language == "en" else f"{value:,}".replace(",", "\u00a0")


def scale(highest: int) -> list[int]:
    """Return the labels of a chart's scale: 2 to 5 round numbers from 0 to at most the highest value (1 or more)."""
    steps = (digit * 10**zeros for zeros in count() for digit in (1, 2, 5))
    step = next(step for step in steps if highest // step < MAX_SCALE_LABELS)
    return list(range(0, highest + 1, step))


def labels(periods: Iterable[tuple[datetime, Any]], unit: str) -> list[tuple[str, Any]]:
    """Return the labels of a chart's hours or days, each with its value."""
    shown = "%m-%d %H:00" if unit == "hour" else "%m-%d"
    return [(f"{begin:{shown}}", value) for begin, value in periods]


def json_text(value: Any) -> str:
    """Return a value as JSON to copy, with its texts as they are."""
    return json.dumps(value, ensure_ascii=False)


def run_path(airflow: str, dag_id: str, run_id: str | None = None) -> str:
    """
    Return the address of a DAG's page in Airflow, or of a run's.

    :param airflow: the path that Airflow itself is served under, without a slash at its end.
    """
    run = "" if run_id is None else f"/runs/{quote(run_id, safe='')}"
    return f"{airflow}/dags/{quote(dag_id, safe='')}{run}"


def csv_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield quarantined rows as the lines of a CSV file, in which a spreadsheet runs nothing."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        cells = {**row, "rejected_at": row["rejected_at"].isoformat()}
        writer.writerow([_escape_formula(cells[name]) for name in CSV_COLUMNS])
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()


def _escape_formula(cell: str | None) -> str:
    """Return a cell no part of which is a formula to a spreadsheet, whichever separator it splits lines at."""
    return _FORMULA.sub(r"\1'\2\3", cell or "")
