"""How values look on the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import cache
from itertools import count
from typing import Any
from urllib.parse import quote

import jinja2

from rees46_sync.formatting import timestamp
from rees46_sync.shop.shop import STATUS_NAMES

MAX_SCALE_LABELS = 5
CSV_COLUMNS = ("rejected_at", "order_id", "status", "updated_at", "reason", "run_id")


@cache
def templates() -> jinja2.Environment:
    """Return the page's templates; values from a database are text in them, never HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rees46_sync.monitoring.page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "moment": timestamp_or_unknown,
        "age": age,
        "number": number,
        "scale": scale,
        "status_name": status_name,
    }
    return environment


def timestamp_or_unknown(value: datetime | None) -> str:
    """Return a timestamp to the second, in UTC."""
    return timestamp(value) if value else "unknown"


def age(value: datetime, now: datetime) -> str:
    """Return the time that has passed since a moment, in its two largest units."""
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


def scale(highest: int) -> list[int]:
    """Return the labels of a chart's scale: 2 to 5 round numbers from 0 to at most the highest value (1 or more)."""
    steps = (digit * 10**zeros for zeros in count() for digit in (1, 2, 5))
    step = next(step for step in steps if highest // step < MAX_SCALE_LABELS)
    return list(range(0, highest + 1, step))


def status_name(code: int) -> str:
    """Return REES46's name of a status."""
    return STATUS_NAMES[code] if 0 <= code < len(STATUS_NAMES) else str(code)


def run_path(airflow: str, dag_id: str, run_id: str) -> str:
    """
    Return the address of a run's page in Airflow.

    :param airflow: the path that Airflow itself is served under, without a slash at its end.
    """
    return f"{airflow}/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"


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
    """Return a cell that a spreadsheet does not read as a formula."""
    return f"'{cell}" if cell and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell or ""
