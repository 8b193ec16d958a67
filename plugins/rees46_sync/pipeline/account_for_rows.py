"""
The closed sum of a run: every row that was read is accounted for, once.

    read = sent + unchanged + superseded + stale + reopened + rejected + failed

What was sent is counted from the ledger where a task could not say it itself (it was killed), and checked against the
ledger where it could.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rees46_sync.exceptions import AccountingError
from rees46_sync.ledger.database import Approval
from rees46_sync.pipeline import preview
from rees46_sync.shop.shop import STATUS_NAMES, Shop


@dataclass
class Account:
    """
    The counts of a run, in rows; ``requests`` in POSTs.

    :param sent: accepted by REES46.
    :param unchanged: REES46 has this status already.
    :param superseded: older versions of orders that were read in a newer one.
    :param stale: REES46 has a newer version.
    :param reopened: held back, because a final status would become "created".
    :param rejected: broke a check, see the quarantine.
    :param failed: should have been sent, or judged, and was not.
    """

    read: int = 0
    sent: int = 0
    unchanged: int = 0
    superseded: int = 0
    stale: int = 0
    reopened: int = 0
    rejected: int = 0
    failed: int = 0
    requests: int = 0


@dataclass
class Results:
    """
    What the tasks of a run left behind (their XComs); what is missing did not finish.

    :param reading: of extract_orders; None where it failed.
    :param approved: of approve_changes, or of ask_approval where a person was asked; None where it failed or did not
        run.
    :param approval: what became of the request for approval; None where nobody was asked.
    :param delivered: of the ledger: accepted orders by partition.
    """

    reading: Mapping[str, Any] | None
    partitions: Sequence[Mapping[str, Any]] = ()
    judged: Sequence[Mapping[str, Any]] = ()
    built: Sequence[Mapping[str, Any]] = ()
    approved: Sequence[Mapping[str, Any]] | None = None
    approval: Approval | None = None
    loaded: Sequence[Mapping[str, Any]] = ()
    delivered: Mapping[int, int] = field(default_factory=dict)
    requests: int = 0
    dry_run: bool = False


@dataclass
class Closing:
    """
    A run added up.

    :param would_send: what a dry run would have sent, by REES46 status; empty otherwise.
    :param dry_run: whether the run was one.
    :param unfinished: what did not finish, in words; empty for a successful run.
    :param sent_twice: orders that two tries of a task sent at the same time (Airflow starts a new try while one whose
        scheduler died is still alive); REES46 takes that without harm.
    """

    account: Account
    would_send: Counter[str]
    unfinished: list[str]
    sent_twice: int = 0
    dry_run: bool = False

    @property
    def as_row(self) -> dict[str, int]:
        """The account as one flat object; a dry run has the further key ``would_send``."""
        return asdict(self.account) | ({"would_send": self.would_send.total()} if self.dry_run else {})


def close(results: Results) -> Closing:
    """
    Add a run up.

    :raises AccountingError: the sum does not close, or disagrees with the ledger.
    """
    closing = Closing(Account(), Counter(), [], dry_run=results.dry_run)
    if results.reading is None:
        closing.unfinished.append("extract_orders did not finish: nothing was read")
        return closing
    account = closing.account
    account.read, account.superseded = results.reading["read"], results.reading["superseded"]
    account.requests = results.requests
    judged, built = ({result["index"]: result for result in of} for of in (results.judged, results.built))
    # A load that Airflow did not start again, after the run was cleared, has left the tally of an earlier reading.
    this_reading = results.reading["extraction_id"]
    loaded = {tally["index"]: tally for tally in results.loaded if tally["extraction_id"] == this_reading}
    for partition in results.partitions:
        _add_partition(partition, judged, built, loaded, results, closing)
    if results.partitions and results.approved is None and len(built) == len(results.partitions):
        asked = f"ask_approval let nothing go: {results.approval}"
        stopped = "approve_changes stopped the run before anything was sent"
        closing.unfinished.append(asked if results.approval else stopped)
    counted = sum(asdict(account).values()) - account.read - account.requests + closing.would_send.total()
    if counted != account.read:
        raise AccountingError(
            f"The sum of this run does not close: read {account.read}, accounted for {counted} ({asdict(account)}). "
            "Rows are missing or counted twice: this is a defect of the sync, report it with this line."
        )
    return closing


def _add_partition(
    partition: Mapping[str, Any],
    judged: Mapping[int, Mapping[str, Any]],
    built: Mapping[int, Mapping[str, Any]],
    loaded: Mapping[int, Mapping[str, Any]],
    results: Results,
    closing: Closing,
) -> None:
    account, index = closing.account, partition["index"]
    if index not in judged:
        account.failed += partition["rows"]
        closing.unfinished.append(f"validate_statuses of partition {index} did not finish: {partition['rows']} rows")
        return
    account.rejected += judged[index]["rejected"]
    if index not in built:
        account.failed += judged[index]["valid"]
        closing.unfinished.append(f"build_batches of partition {index} did not finish: {judged[index]['valid']} rows")
        return
    batches = built[index]
    for count in ("unchanged", "stale", "reopened"):
        setattr(account, count, getattr(account, count) + batches[count])
    if not batches["orders"]:
        return
    accepted = results.delivered.get(index, 0)
    if index in loaded:
        tally = loaded[index]
        if tally["sent"] > accepted:
            raise AccountingError(
                f"load_batches of partition {index} counts {tally['sent']} orders as sent, the ledger {accepted}: "
                "this is a defect of the sync, report it with this line."
            )
        closing.sent_twice += accepted - tally["sent"]
        for count in ("sent", "unchanged", "stale", "reopened", "failed"):
            setattr(account, count, getattr(account, count) + tally[count])
        if tally["failed"]:
            closing.unfinished.append(f"load_batches of partition {index} could not send {tally['failed']} orders")
    elif results.dry_run and results.approved is not None:
        closing.would_send.update(batches["by_status"])
    else:
        sent = min(accepted, batches["orders"])
        account.sent += sent
        account.failed += batches["orders"] - sent
        if results.approved is not None:
            closing.unfinished.append(
                f"load_batches of partition {index} did not finish: {batches['orders'] - sent} orders not sent"
            )


def report(shop: Shop, results: Results, closing: Closing) -> str:
    """Return the account as a text that a person reads in the task's log."""
    from rich.console import Console
    from rich.table import Table

    counts = closing.account
    table = Table(title=f"Account of {shop.shop}, {_window(results)}", title_justify="left", show_header=False)
    table.add_column(justify="right")
    table.add_column()
    table.add_column(style="dim")
    table.add_row(f"{counts.read:,}", "read", "rows that the query returned")
    table.add_section()
    if results.dry_run:
        detail = ", ".join(f"{count:,} {STATUS_NAMES[int(code)]}" for code, count in sorted(closing.would_send.items()))
        table.add_row(f"{closing.would_send.total():,}", "would be sent", f"dry run: {detail or 'nothing'}")
    table.add_row(f"{counts.sent:,}", "sent", f"accepted by REES46, in {counts.requests:,} requests")
    table.add_row(f"{counts.unchanged:,}", "unchanged", "REES46 has this status already")
    table.add_row(f"{counts.superseded:,}", "superseded", "older versions of orders that were read in a newer one")
    table.add_row(f"{counts.stale:,}", "stale", "REES46 has a newer version")
    table.add_row(f"{counts.reopened:,}", "reopened", "held back: a final status would become created")
    place = "a dry run does not store them" if results.dry_run else "see rees46_rejected_orders"
    table.add_row(f"{counts.rejected:,}", "rejected", f"broke a check: {place}")
    table.add_row(f"{counts.failed:,}", "failed", "not sent: a later run sends them")
    out = io.StringIO()
    console = Console(file=out, width=110, highlight=False, markup=False, emoji=False)
    console.print(table)
    previews = [batches["preview"] for batches in results.built if batches.get("preview")]
    for details in preview.tables(previews) if closing.would_send.total() and previews else ():
        console.print(details)
    notes = [f"! {line}" for line in closing.unfinished]
    if results.approval and results.approved is not None:
        notes.insert(0, f"Over a limit: {results.approval}")
    if closing.sent_twice:
        notes.append(
            f"{closing.sent_twice:,} orders were sent twice in the same status: two tries of a task overlapped."
        )
    for line in [*_rejections(results), *_unmapped(shop, results), *notes]:
        console.print(line, soft_wrap=True)
    return out.getvalue().rstrip()


def _window(results: Results) -> str:
    if results.reading is None:
        return "window unknown"
    start, end = (results.reading[name][:19].replace("T", " ") for name in ("window_start", "window_end"))
    return f"window [{start}, {end}) UTC"


def _rejections(results: Results) -> list[str]:
    from rees46_sync.validation.expectations import WHAT_TO_DO

    reasons = reasons_of(results.judged)
    lines = [f"  {count:>8,}  {code}: {WHAT_TO_DO[code]}" for code, count in reasons.most_common()]
    return ["Rejected, by reason (a row can have several):", *lines] if lines else []


def _unmapped(shop: Shop, results: Results) -> list[str]:
    found: dict[str, tuple[int, str | None]] = {}
    for judged in results.judged:
        for status, count, example in judged["unmapped"]:
            seen, known_example = found.get(status, (0, None))
            found[status] = (seen + count, known_example or example)
    if not found:
        return []
    lines = [f"Statuses that {shop.file.name} does not map; add each to the line of what it means:"]
    for status, (count, example) in sorted(found.items(), key=lambda item: -item[1][0]):
        lines.append(f"  {count:>8,}  {status!r}, for example order {example or 'without id'!r}")
        lines += [f"                {line}" for line in mapping_lines(shop, status)]
    return lines


def mapping_lines(shop: Shop, status: str) -> list[str]:
    """Return the lines of the shop file as they would map one status more: one for each meaning it may have."""
    return [
        f"{name}: [{', '.join([*map(_yaml, getattr(shop.statuses, name)), _yaml(status)])}]" for name in STATUS_NAMES
    ]


def _yaml(text: str) -> str:
    """Return a text as it stands in a YAML list: in quotes where it is more than plain words."""
    is_plain = re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9 _-]*[A-Za-z0-9_-])?", text) and text.lower() != "null"
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def reasons_of(judged: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Add the reasons of all partitions up."""
    return sum((Counter(result["reasons"]) for result in judged), Counter())
