"""The report of a comparison: a table of the days that differ, examples, and the commands that mend; or JSON."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, time, timedelta
from typing import Any

from rees46_sync.doctor.reconcile import DIFFERENCES, MAX_EXAMPLES, SENDABLE, Example, Kind, Reconciliation
from rees46_sync.formatting import escape_unprintable, quoted, timestamp
from rees46_sync.shop.shop import Shop


def _(text: str) -> str:
    """Mark a text for the catalogue: the page translates it."""
    return text


MEANINGS = {
    Kind.MISSING: _("in the warehouse, and REES46 has accepted nothing of them"),
    Kind.DIFFERENT: _("REES46 has another status than the warehouse"),
    Kind.REOPENED: _("completed or cancelled at REES46, created in the warehouse: runs hold them back"),
    Kind.UNCERTAIN: _("REES46 may have another status: an answer is missing, or two statuses went out within settle"),
    Kind.EXTRA: _("at REES46, and the query does not return them any more"),
    Kind.REJECTED: _("not compared, because a check rejects the row"),
    Kind.NOT_DUE: _("changed after what the last run delivered, or while this comparison ran"),
}
REMEDIES = {
    Kind.REOPENED: _("if the shop means it, set allow_reopen: true; otherwise correct the status in the warehouse"),
    Kind.EXTRA: _(
        "nothing can be sent about them: they were deleted, or moved out of the query or out of the span, and "
        "REES46 keeps their status"
    ),
    Kind.REJECTED: _("correct these rows, the query or the shop file"),
    Kind.NOT_DUE: _("the next run sends what differs"),
}
ROW_KINDS = (Kind.AGREE, *DIFFERENCES, Kind.REJECTED, Kind.NOT_DUE)


def as_json(shop: Shop, found: Reconciliation) -> str:
    """Return the result as one JSON document; ``docs/doctor.md`` describes its keys."""
    look, send = commands(shop, found) or (None, None)
    document = {
        "shop": shop.shop,
        "differs": found.differs,
        "window": [found.window.start.isoformat(), found.window.end.isoformat()],
        "due_before": found.due_before and found.due_before.isoformat(),
        "totals": {_key(kind): found.total(kind) for kind in ROW_KINDS},
        "days": [
            {"day": day or None, "status": status or None} | {_key(kind): counts[kind] for kind in ROW_KINDS}
            for (day, status), counts in sorted(by_day(found).items())
        ],
        "examples": {_key(kind): [asdict(one) for one in found.examples.get(kind, ())] for kind in ROW_KINDS[1:]},
        "reasons": dict((+found.reasons).most_common()),
        "dry_run_command": look,
        "command": send,
    }
    return json.dumps(document, indent=2)


def as_text(shop: Shop, found: Reconciliation) -> str:
    """Return the result as plain lines."""
    rows = _rows(found)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        *_head(shop, found),
        "",
        *("  ".join(_aligned(row, widths)).rstrip() for row in rows),
        "",
        *_details(shop, found),
    ]
    return "\n".join(lines) + "\n"


def show(shop: Shop, found: Reconciliation) -> None:
    """Print the result with a table, for a person at a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    header, *rows = _rows(found)
    table = Table(box=SIMPLE_HEAD, padding=0)
    for name in header:
        table.add_column(name, justify="left" if name in ("day", "status") else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row, style="bold" if row is rows[-1] else None)
    for line in _head(shop, found):
        console.print(line)
    console.print(table)
    for line in _details(shop, found):
        console.print(line)


def commands(shop: Shop, found: Reconciliation) -> tuple[str, str] | None:
    """
    Return the command for a dry run over the orders that a run would send, and the one that sends them.

    :return: None if there are none.
    """
    if found.sendable_since is None or found.sendable_until is None:
        return None
    few = [example.order_id for kind in SENDABLE for example in found.examples.get(kind, ())]
    total = sum(found.total(kind) for kind in SENDABLE)
    # It also holds the newest version that is known of each order: a run that ended before would take it to be newer.
    end = _midnight(found.sendable_until) + timedelta(days=1)
    conf: dict[str, Any] = {
        "window_start": _midnight(found.sendable_since).isoformat(),
        "window_end": end.isoformat(),
    }
    if total == len(few):
        conf["order_ids"] = few
    elif total > shop.limits.changed_orders:
        # A run also sends what is not due yet.
        conf["changed_orders"] = total + found.total(Kind.NOT_DUE)
    return _command(shop, conf | {"dry_run": True}), _command(shop, conf)


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.date(), time(), moment.tzinfo)


def _command(shop: Shop, conf: Mapping[str, Any]) -> str:
    return f"airflow dags trigger order_status_sync_{shop.shop} --conf {shlex.quote(json.dumps(conf))}"


def by_day(found: Reconciliation) -> dict[tuple[str, str], Counter[Kind]]:
    """Return the counts of each day and status; either is empty if it is unknown."""
    days: dict[tuple[str, str], Counter[Kind]] = {}
    for (day, status, kind), count in found.counts.items():
        days.setdefault((day, status), Counter())[kind] += count
    return days


def _rows(found: Reconciliation) -> list[tuple[str, ...]]:
    """Return the table: its header, a row for each day and status that differs, one for all others, and the sum."""
    shown, others = [], Counter[Kind]()
    days = by_day(found)
    quiet = set()
    for (day, status), counts in sorted(days.items()):
        if any(counts[kind] for kind in (*DIFFERENCES, Kind.REJECTED)):
            shown.append(_row(day or "unknown", status, counts))
        else:
            others += counts
            quiet.add(day)
    rows = [("day", "status", *ROW_KINDS), *shown]
    if quiet:
        rows.append(_row("others", f"{len(quiet)} day{'s' * (len(quiet) != 1)}", others))
    return [*rows, _row("all", "", Counter({kind: found.total(kind) for kind in ROW_KINDS}))]


def _row(day: str, status: str, counts: Counter[Kind]) -> tuple[str, ...]:
    return day, status, *(f"{counts[kind]:,}" if counts[kind] else "" for kind in ROW_KINDS)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for column, (text, width) in enumerate(zip(row, widths, strict=True)):
        yield text.ljust(width) if column < 2 else text.rjust(width)


def _head(shop: Shop, found: Reconciliation) -> Iterator[str]:
    yield f"Shop {shop.shop}: the orders of {found.window} by updated_at, in the warehouse and at REES46"
    if found.due_before:
        yield f"Runs have delivered up to {timestamp(found.due_before)} UTC; what changed later is not due"


def _details(shop: Shop, found: Reconciliation) -> Iterator[str]:
    for kind in ROW_KINDS[1:]:
        if not (total := found.total(kind)):
            continue
        yield f"{kind}, {total:,} order{'s' * (total != 1)}: {MEANINGS[kind]}"
        for example in found.examples.get(kind, ()):
            yield f"    {_example(kind, example)}"
        if total > MAX_EXAMPLES:
            yield f"    and {total - MAX_EXAMPLES:,} more"
        if kind is Kind.REJECTED:
            yield f"    reasons: {', '.join(f'{code} {count:,}' for code, count in (+found.reasons).most_common())}"
        if kind in REMEDIES:
            yield f"→ {REMEDIES[kind]}"
    if mend := commands(shop, found):
        yield f"→ to send those that are {', '.join(SENDABLE[:-1])} or {SENDABLE[-1]}, first look, then send:"
        yield from (f"    {command}" for command in mend)
        if "changed_orders" in mend[1]:
            limit = f"limits.changed_orders, {shop.limits.changed_orders:,}"
            yield f"    changed_orders, because they are more than {limit}"
    if not found.differs:
        yield "Nothing differs."


def _example(kind: Kind, example: Example) -> str:
    order_id = quoted(example.order_id, 100) if example.order_id else "(without an id)"
    if kind is Kind.REJECTED:
        status = escape_unprintable(example.warehouse or "no status")
        return f"{order_id}: {status}, {example.reason}"
    sides = (("warehouse", example.warehouse), ("REES46", example.rees46))
    return f"{order_id}: " + ", ".join(f"{side} {status}" for side, status in sides if status)


def _key(kind: Kind) -> str:
    return kind.replace(" ", "_")
