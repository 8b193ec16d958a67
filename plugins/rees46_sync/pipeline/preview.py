"""
What a dry run or a request for approval shows of the orders to be sent: counts by status and time, and examples.

Each partition passes on a preview, small however many orders it has; the report adds the previews up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

import pandas as pd

from rees46_sync.formatting import printable
from rees46_sync.ledger.lookup import NOTHING_ACCEPTED
from rees46_sync.shop.shop import STATUS_NAMES

if TYPE_CHECKING:
    from rich.table import Table

MAX_PERIODS = 36
"""Lines of the counts: by day if that takes no more, else by month, else by year. Three years of months fit."""

EXAMPLES = 10
TEXT_CHARACTERS = 40
"""How much is shown of an order id or a status of the shop."""

_PERIODS = {10: "day", 7: "month", 4: "year"}
"""The period that a prefix of an ISO date names, by the prefix's length."""

_COLUMNS = ("order id", "status", "to become", "REES46 has", "updated_at")


class Preview(TypedDict):
    """
    What would be sent of a partition.

    :param counts: orders by the period of their ``updated_at`` (``2026-03-01``, ``2026-03`` or ``2026``) and by REES46
        status.
    :param examples: the rows that the report shows, each with one text per column.
    """

    counts: dict[str, dict[str, int]]
    examples: list[list[str]]


def build_preview(due: pd.DataFrame, known: pd.DataFrame) -> Preview:
    """
    Return the preview of a partition.

    :param due: what would be sent: columns order_id, status, code, updated_at.
    :param known: what REES46 has, as :func:`rees46_sync.ledger.lookup.look_up` returns it.
    """
    days = due["updated_at"].dt.tz_convert(None).to_numpy("datetime64[D]").astype(str).tolist()
    rows = known[["order_id", "known_status", "uncertain"]].itertuples(index=False, name=None)
    has = {
        order_id: "not known" if uncertain else STATUS_NAMES[status]
        for order_id, status, uncertain in rows
        if uncertain or status != NOTHING_ACCEPTED
    }
    picked = _varied(due.assign(**{"REES46 has": [has.get(order_id, "nothing") for order_id in due["order_id"]]}))
    shown = [
        picked["order_id"].map(_printable),
        picked["status"].map(_printable),
        picked["code"].map(dict(enumerate(STATUS_NAMES))),
        picked["REES46 has"],
        picked["updated_at"].dt.strftime("%Y-%m-%d %H:%M:%S"),
    ]
    return Preview(
        counts=_by_period(Counter(zip(days, due["code"].map(str), strict=True))),
        examples=[list(row) for row in zip(*shown, strict=True)],
    )


def tables(previews: Sequence[Preview]) -> list[Table]:
    """Return the previews of all partitions as two tables: the counts, and examples."""
    from rich.box import SIMPLE
    from rich.table import Table

    added: Counter[tuple[str, str]] = Counter()
    for preview in previews:
        for period, by_status in preview["counts"].items():
            added.update({(period, code): count for code, count in by_status.items()})
    counts = _by_period(added)
    kind = _PERIODS[len(next(iter(counts)))]
    by_period = Table(kind, title=f"Would be sent, by {kind} of updated_at", title_justify="left", box=SIMPLE)
    for name in STATUS_NAMES:
        by_period.add_column(name, justify="right")
    for period, by_status in counts.items():
        by_period.add_row(period, *(f"{by_status.get(str(code), 0):,}" for code, _ in enumerate(STATUS_NAMES)))
    examples = Table(*_COLUMNS, title="Examples", title_justify="left", box=SIMPLE)
    rows = pd.DataFrame([row for preview in previews for row in preview["examples"]], columns=_COLUMNS)
    for row in _varied(rows).itertuples(index=False, name=None):
        examples.add_row(*row)
    return [by_period, examples]


def _by_period(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Add up counts by status and period, the shortest kind of period of which :data:`MAX_PERIODS` are enough."""
    shortest = min((len(period) for period, _ in counts), default=4)
    grouped: dict[str, dict[str, int]] = {}
    for length in (length for length in _PERIODS if length <= shortest):
        grouped = {}
        for (period, code), count in sorted(counts.items()):
            by_status = grouped.setdefault(period[:length], {})
            by_status[code] = by_status.get(code, 0) + count
        if len(grouped) <= MAX_PERIODS:
            break
    return grouped


def _varied(orders: pd.DataFrame) -> pd.DataFrame:
    """Pick examples: one of each change (a status of the shop, and what REES46 has) before a second of any."""
    nth = orders.groupby(["status", "REES46 has"]).cumcount()
    return orders.loc[nth.sort_values(kind="stable").index[:EXAMPLES]]


def _printable(text: str) -> str:
    return printable(text, TEXT_CHARACTERS) or ""
