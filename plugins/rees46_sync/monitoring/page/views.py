"""How values look on the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import quote

import jinja2

from rees46_sync.shop.shop import STATUS_NAMES

CSV_COLUMNS = ("rejected_at", "order_id", "status", "updated_at", "reason", "run_id")


@cache
def templates() -> jinja2.Environment:
    """Return the page's templates; whatever comes into them from a database is text, never HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rees46_sync.monitoring.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"moment": moment, "age": age, "number": number, "status_name": status_name}
    return environment


def moment(value: datetime | None) -> str:
    """Return a timestamp to the second, in UTC."""
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if value else "unknown"


def age(value: datetime, now: datetime) -> str:
    """Return how long ago something was, in its two largest units."""
    passed = max(now - value, timedelta(0))
    hours, minutes = passed.seconds // 3600, passed.seconds // 60 % 60
    if passed.days:
        return f"{passed.days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else "less than a minute"


def number(value: int) -> str:
    """Return a number with separated thousands."""
    return f"{value:,}"


def status_name(code: int) -> str:
    """Return what REES46 calls a status."""
    return STATUS_NAMES[code] if 0 <= code < len(STATUS_NAMES) else str(code)


def run_path(airflow: str, dag_id: str, run_id: str) -> str:
    """
    Return the address of a run's page in Airflow.

    :param airflow: the path that Airflow itself is served under, without a slash at its end.
    """
    return f"{airflow}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


def csv_lines(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Give quarantined rows as the lines of a CSV file that a spreadsheet can open without running anything in it."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(CSV_COLUMNS)
    for row in rows:
        cells = {**row, "rejected_at": row["rejected_at"].isoformat()}
        writer.writerow([_inert(cells[name]) for name in CSV_COLUMNS])
        yield out.getvalue()
        out.seek(0)
        out.truncate()
    yield out.getvalue()


def _inert(cell: str | None) -> str:
    """Keep a spreadsheet from taking a text for a formula."""
    return f"'{cell}" if cell and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell or ""
