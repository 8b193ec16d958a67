"""The account of a run as text, for the task's log."""

from __future__ import annotations

import io
import os
from collections import Counter
from typing import TYPE_CHECKING

from rees46_sync.formatting import duration, timestamp
from rees46_sync.monitoring.alert_rules import reopened_remedy
from rees46_sync.pipeline import preview
from rees46_sync.pipeline.closed_sum import RunAccount, RunResults
from rees46_sync.pipeline.run import extracted_window
from rees46_sync.shop.mapping_lines import mapping_lines
from rees46_sync.shop.shop import STATUS_NAMES, Shop

if TYPE_CHECKING:
    from rich.table import Table

    from rees46_sync.monitoring.late_data import DataState


MAX_WIDTH = 110
"""Columns of the account in the log of a task."""


def report(shop: Shop, results: RunResults, account: RunAccount, data: DataState | None = None) -> str:
    """
    Return the account as a text that a person reads in the task's log.

    :param data: up to when the data that was read shows to be loaded; None if none was read.
    """
    from rich.console import Console

    out = io.StringIO()
    # make run and make dry-run show it on a terminal that may be narrower.
    width = min(int(os.environ.get("COLUMNS") or MAX_WIDTH), MAX_WIDTH)
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    console.print(_table(shop, results, account))
    previews = [batches["preview"] for batches in results.built if batches.get("preview")]
    for details in preview.tables(previews) if account.would_send.total() and previews else ():
        console.print(details)
    notes = [f"! {line}" for line in account.unfinished]
    notes += [f"  To do: {account.remedy}."] if account.unfinished else []
    if results.approval and results.approved is not None:
        notes.insert(0, f"Over a limit: {results.approval}")
    if account.sent_twice:
        notes.append(
            f"{account.sent_twice:,} orders were sent twice in the same status: two attempts of a task overlapped."
        )
    for line in [
        *_rejections(account),
        *_reopened(shop, results, account),
        *_unmapped(shop, results),
        *_first_orders(results, account),
        *_data(data),
        *notes,
    ]:
        console.print(line, soft_wrap=True)
    return out.getvalue().rstrip()


def _table(shop: Shop, results: RunResults, account: RunAccount) -> Table:
    from rich.table import Table

    counts = account.counts
    table = Table(title=f"Account of {shop.shop}, {_window(results)}", title_justify="left", show_header=False)
    table.add_column(justify="right")
    table.add_column()
    table.add_column(style="dim")
    table.add_row(f"{counts['read']:,}", "read", "rows that the query returned")
    table.add_section()
    if results.dry_run:
        by_status = sorted(account.would_send.items())
        detail = ", ".join(f"{count:,} {STATUS_NAMES[int(code)]}" for code, count in by_status)
        table.add_row(f"{account.would_send.total():,}", "would be sent", f"dry run: {detail or 'nothing'}")
    quarantine = "a dry run does not store them" if results.dry_run else "see rees46_rejected_orders"
    meanings = {
        "sent": f"accepted by REES46, in {counts['requests']:,} requests{_resent(account)}",
        "unchanged": "REES46 has this status already",
        "superseded": "older versions of orders that were read in a newer one",
        "stale": "REES46 has a newer version",
        "reopened": "held back: completed or cancelled would become created",
        "rejected": f"failed a check: {quarantine}",
        "held": "not sent on purpose: first_orders or order_ids",
        "failed": "not sent: a later run sends them",
    }
    for name, meaning in meanings.items():
        table.add_row(f"{counts[name]:,}", name, meaning)
    return table


def _resent(account: RunAccount) -> str:
    return "" if account.resent is None else f"; of them {account.resent:,} sent again although unchanged"


def _first_orders(results: RunResults, account: RunAccount) -> list[str]:
    """Return what to look at in REES46 after a run that sent the first orders."""
    if not (results.first_orders and results.extraction and account.counts["sent"]):
        return []
    held = sum(batches["held"] for batches in results.built)
    next_run = "The next regular run" if results.extraction["is_regular"] else "A run over this window without it"
    return [
        f"These were the first {account.counts['sent']:,} orders (first_orders). Look at them in REES46 now:",
        "  the Orders Report, the KPI, and the time of the last synchronisation;",
        "  the mailbox of the account: REES46 reports bad orders by mail only. Accepted does not mean processed.",
        *([f"{next_run} sends the other {held:,}."] if held else []),
    ]


def _reopened(shop: Shop, results: RunResults, account: RunAccount) -> list[str]:
    """Return what to look at if orders are held back as reopened."""
    count = sum(batches["reopened"] for batches in results.built)
    # They are printable already; repr() would escape them once more.
    shown = ", ".join(f"'{order_id}'" for order_id in account.examples.get("reopened", []))
    if not count:
        return []
    return [f"Held back as reopened: {count:,}, for example {shown}. {reopened_remedy(shop)}."]


def _data(data: DataState | None) -> list[str]:
    """Return up to when the warehouse's data goes."""
    if data is None:
        return []
    late = f", more than the {duration(data.usual.limit)} that may be usual" if data.is_late else ""
    hole = f"; no row is dated between then and {timestamp(data.hole[1])} UTC" if data.hole else ""
    return [f"The data goes up to {timestamp(data.until)} UTC, {duration(data.lag)} before it was read{late}{hole}."]


def _window(results: RunResults) -> str:
    if results.extraction is None:
        return "window unknown"
    return f"window {extracted_window(results.extraction)}"


def _rejections(account: RunAccount) -> list[str]:
    from rees46_sync.ledger.quarantine import MEANINGS
    from rees46_sync.validation.expectations import REASONS

    meanings = {**REASONS, **MEANINGS}
    lines = [f"  {count:>8,}  {code}: {meanings[code]}" for code, count in account.reasons.most_common()]
    return ["Rejected, by reason (a row can have several):", *lines] if lines else []


def _unmapped(shop: Shop, results: RunResults) -> list[str]:
    """Return the unmapped statuses, the most frequent first, and the lines to paste, as they stand, into the file."""
    from rees46_sync.validation.expectations import UnmappedStatus

    counts: Counter[str] = Counter()
    examples: dict[str, str | None] = {}
    for unmapped in (UnmappedStatus.unpack(packed) for one in results.validated for packed in one["unmapped"]):
        counts[unmapped.status] += unmapped.count
        examples[unmapped.status] = examples.get(unmapped.status) or unmapped.example_id
    if not counts:
        return []
    found = [f"Statuses that {shop.file.name} does not map:"]
    for status, count in counts.most_common():
        found.append(f"  {count:>8,}  {status!r}, for example order '{examples[status] or 'without id'}'")
    for to_paste in mapping_lines(shop, [status for status, _ in counts.most_common()]):
        found += [f"To map them, {to_paste.action}{':' * bool(to_paste.lines)}", *to_paste.lines]
    return found
