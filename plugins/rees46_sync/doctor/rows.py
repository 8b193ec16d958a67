"""The rows that the shop's query returns now: extracted and validated as in a run, then discarded."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rees46_sync.doctor.findings import Finding, error, ok, warning
from rees46_sync.doctor.look_alikes import (
    MAX_CHARACTERS,
    MAX_EXAMPLES,
    OddIds,
    Spellings,
    find_spellings,
    invisible_in_statuses,
    show,
)
from rees46_sync.doctor.shared_ids import find_shared_ids
from rees46_sync.shop.shares import share_of, share_text
from rees46_sync.shop.shop import STATUS_NAMES, Shop
from rees46_sync.window import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from rees46_sync.validation.expectations import UnmappedStatus
    from rees46_sync.warehouse.reader import ExtractedRows

MAX_UNMAPPED = 20
"""The number of unmapped statuses that get a finding each; more suggest that the query returns a wrong column."""

ASK_WITH_ENTITY = (
    "if the query returns orders of several stores, see whether they share ids: return a column that tells the stores "
    "apart as well, such as store_id, and add --entity store_id"
)

ALWAYS_SHOWN = ("order_id_missing", "order_id_blank", "updated_at_missing")
"""Checks of a row that are reported even if every row passes."""


@dataclass
class Sample:
    """
    Counts of the rows of a window.

    :param seconds: time that reading and sorting took.
    :param statuses: orders by the shop's status, in each order's newest version; missing statuses are not counted.
    :param unmapped: the statuses that the shop file does not map, each with an example.
    :param reasons: rows by the check that they failed.
    :param rejected: rows that failed at least one check.
    :param ambiguous: orders with different statuses at their newest time, and examples of their ids.
    :param odd_ids, spellings: order ids that look right and may not be.
    """

    window: Window
    extraction: ExtractedRows
    seconds: float
    statuses: Counter[str] = field(default_factory=Counter)
    unmapped: dict[str, UnmappedStatus] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    rejected: int = 0
    ambiguous: int = 0
    ambiguous_examples: list[str] = field(default_factory=list)
    odd_ids: OddIds = field(default_factory=OddIds)
    spellings: Spellings = field(default_factory=Spellings)

    def add_ids(self, staged: pa.Table) -> None:
        """Look at the order ids of a partition; an order that has several rows counts once."""
        import pyarrow.compute as pc

        orders = staged.filter(pc.and_(staged["order_id_exact"], pc.equal(staged["copy"], 1)))
        self.odd_ids.add(orders["order_id"])
        ambiguous = orders.filter(pc.invert(orders["order_unambiguous"]))["order_id"]
        self.ambiguous += len(ambiguous)
        self.ambiguous_examples += ambiguous.slice(0, MAX_EXAMPLES - len(self.ambiguous_examples)).to_pylist()


def read(shop: Shop, window: Window) -> Sample:
    """
    Extract the rows of a window into a temporary folder and validate them, one partition in memory at a time.

    :raises SyncError: as :func:`rees46_sync.warehouse.reader.extract` and
        :meth:`rees46_sync.validation.expectations.RowValidator.validate`.
    """
    from upath import UPath

    from rees46_sync.airflow_adapters import staging
    from rees46_sync.validation.expectations import RowValidator
    from rees46_sync.warehouse import reader as warehouse

    with tempfile.TemporaryDirectory(prefix="rees46-doctor-") as folder:
        began = time.perf_counter()
        extraction = warehouse.extract(shop, window, UPath(folder))
        sample = Sample(window, extraction, time.perf_counter() - began)
        if not extraction.partitions:
            return sample  # without starting Great Expectations, which takes seconds
        validator = RowValidator()
        for partition in extraction.partitions:
            table = staging.read(UPath(partition.path))
            sample.statuses.update(
                {count["values"]: count["counts"] for count in table["status"].drop_null().value_counts().to_pylist()}
            )
            sample.add_ids(table)
            result = validator.validate(table.to_pandas(), shop.codes, window)
            sample.reasons.update(result.reasons)
            sample.rejected += len(result.rejected)
            for unmapped in result.unmapped:
                sample.unmapped.setdefault(unmapped.status, unmapped)
        sample.spellings = find_spellings(Path(folder))
    return sample


def findings(shop: Shop, sample: Sample, entity: str | None = None) -> Iterator[Finding]:
    """
    Return the findings about a sample.

    :param entity: a column of the query that tells entities apart which may share order ids; None: do not ask.
    :raises SyncError: as :func:`rees46_sync.doctor.shared_ids.find_shared_ids`.
    """
    yield from _volume(sample, entity)
    if sample.extraction.read:
        if entity:
            yield from find_shared_ids(shop, sample.window, entity, sample.extraction.columns)
        yield from sample.odd_ids.findings()
        yield from sample.spellings.findings()
        yield from _statuses(shop, sample)
        yield from invisible_in_statuses(sample.statuses, shop.codes)
        yield from _broken_rows(sample, entity)
        yield from _limits(shop, sample)


def _volume(sample: Sample, entity: str | None) -> Iterator[Finding]:
    extraction = sample.extraction
    yield ok("query.columns", ", ".join(extraction.columns), columns=list(extraction.columns))
    if not extraction.read:
        yield warning(
            "query.rows",
            f"no rows in {sample.window}",
            "read a longer period with --days; if orders did change, correct the query's comparison with the window",
            rows=0,
        )
        return
    rate = extraction.read / max(sample.seconds, 1e-6)
    yield ok(
        "query.rows",
        f"{extraction.read:,} rows in {sample.window}, read and sorted at {rate:,.0f} rows/s",
        rows=extraction.read,
        rows_per_second=round(rate),
    )
    older = extraction.superseded
    value = f"{older:,} rows are older versions of an order that has a newer row" if older else "no older versions"
    yield ok("query.duplicate_ids", value, ASK_WITH_ENTITY if older and not entity else "", rows=older)
    if extraction.times.whole_days:
        yield warning(
            "query.whole_days",
            "updated_at holds days, not times",
            "return a time if the shop has one; else windows start a day earlier, and an order with two statuses of a "
            "day is rejected as order_ambiguous",
        )


def _statuses(shop: Shop, sample: Sample) -> Iterator[Finding]:
    from rees46_sync.shop.mapping_lines import mapping_lines

    for status, count in sample.statuses.most_common():
        if status in shop.codes:
            meaning = STATUS_NAMES[shop.codes[status]]
            value = f"{status!r}, {count:,} orders: {meaning}"
            yield ok("status.mapped", value, status=status, orders=count, meaning=meaning)
    unmapped = sorted(sample.unmapped.values(), key=lambda one: -sample.statuses[one.status])[:MAX_UNMAPPED]
    # One finding shows the lines for all of them: lines for each status by itself would exclude each other.
    to_paste = mapping_lines(shop, [one.status for one in unmapped])
    lines = [line for part in to_paste for line in part.lines]
    remedy = "\n".join(line for part in to_paste for line in (f"{part.action}{':' * bool(part.lines)}", *part.lines))
    for number, one in enumerate(unmapped):
        count = sample.statuses[one.status] or one.count
        yield error(
            "status.unmapped",
            f"{one.status!r}, {count:,} orders, for example '{one.example_id or 'without id'}': UNMAPPED",
            "see the first status that is not mapped" if number else remedy,
            status=one.status,
            orders=count,
            meaning=None,
            lines=lines,
        )
    if (others := len(sample.unmapped) - MAX_UNMAPPED) > 0:
        yield error(
            "status.unmapped",
            f"{others:,} more statuses: UNMAPPED",
            "check that the query returns the right column as status",
            status=None,
        )
    if absent := [status for status in shop.codes if status not in sample.statuses]:
        yield ok(
            "status.absent",
            f"mapped, but not in these rows: {', '.join(map(repr, absent))}",
            "a longer period (--days) shows rare ones; others may be misspelled",
            statuses=absent,
        )


def _broken_rows(sample: Sample, entity: str | None) -> Iterator[Finding]:
    from rees46_sync.validation.expectations import REASONS

    for code, words in REASONS.items():
        count = sample.reasons[code]
        if code == "status_unmapped" or not (count or code in ALWAYS_SHOWN):
            continue
        if code == "order_ambiguous":
            yield _ambiguous(sample, entity)
        elif count:
            remedy = "correct these rows, or the query; until then each run puts them into the quarantine"
            yield warning(f"rows.{code}", f"{count:,} row{'s' * (count != 1)}: {words}", remedy, rows=count)
        else:
            yield ok(f"rows.{code}", "no row", rows=0)


def _ambiguous(sample: Sample, entity: str | None) -> Finding:
    examples = [order_id[:MAX_CHARACTERS] for order_id in sample.ambiguous_examples]
    remedy = (
        "return a finer time as updated_at, or choose one of the rows by a rule in the query; until then each run puts "
        "them into the quarantine"
    )
    return warning(
        "rows.order_ambiguous",
        f"{sample.ambiguous:,} order{'s' * (sample.ambiguous != 1)} with different statuses at the newest updated_at, "
        f"for example {show(examples)}",
        remedy if entity else f"{remedy}; {ASK_WITH_ENTITY}",
        rows=sample.reasons["order_ambiguous"],
        orders=sample.ambiguous,
        examples=examples,
    )


def _limits(shop: Shop, sample: Sample) -> Iterator[Finding]:
    read, limits = sample.extraction.read, shop.limits
    share = share_of(sample.rejected, read)
    value = (
        f"{sample.rejected:,} of {read:,} rows would be rejected, {share_text(sample.rejected, read)} "
        f"(limit {limits.rejected_share})"
    )
    if share > limits.rejected_share:
        yield error(
            "limits.rejected_share",
            value,
            f"correct what is reported above, or raise limits.rejected_share in {shop.file.name}; such a run stops "
            "before it sends anything",
            share=round(share, 6),
            limit=limits.rejected_share,
        )
    else:
        yield ok("limits.rejected_share", value, share=round(share, 6), limit=limits.rejected_share)
    valid = read - sample.extraction.superseded - sample.rejected
    value = f"at most {valid:,} orders would change (limit {limits.changed_orders:,})"
    if valid > limits.changed_orders:
        yield warning(
            "limits.changed_orders",
            value,
            f"orders that REES46 already has do not count; for a first run set the param changed_orders, "
            f"or raise limits.changed_orders in {shop.file.name}",
            orders=valid,
            limit=limits.changed_orders,
        )
    else:
        yield ok("limits.changed_orders", value, orders=valid, limit=limits.changed_orders)
