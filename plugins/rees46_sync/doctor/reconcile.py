"""
Is REES46 what the warehouse says? What the shop's query returns now is compared with the ledger, order by order.

A run compares only what changed lately. This compares a long span, so it also finds an order whose status changed
while its ``updated_at`` did not, and one that the query no longer returns. It reads only. One partition is in memory at
a time; the rest is in a temporary folder.
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rees46_sync.doctor import connections
from rees46_sync.exceptions import LedgerError
from rees46_sync.formatting import printable
from rees46_sync.shop.shop import CREATED, STATUS_NAMES, Shop
from rees46_sync.window import Window

if TYPE_CHECKING:
    import pandas as pd

    from rees46_sync.ledger.database import Ledger
    from rees46_sync.validation.expectations import ValidationResult

MAX_EXAMPLES = 10
PAGE_IDS = 50_000
"""Ids of accepted rows that one statement looks at."""

AHEAD = timedelta(days=1)
"""How far beyond now is read: an order that changes meanwhile, or by a clock that is ahead, is not missing."""

SORT_MEMORY = "96MB"
"""Memory that DuckDB may use to compare ids; the rest goes to the temporary folder."""


class Kind(StrEnum):
    """What the comparison says about an order."""

    AGREE = "agree"
    MISSING = "missing"
    DIFFERENT = "different"
    REOPENED = "reopened"
    UNCERTAIN = "uncertain"
    EXTRA = "extra"
    REJECTED = "rejected"
    NOT_DUE = "not due"


DIFFERENCES = (Kind.MISSING, Kind.DIFFERENT, Kind.REOPENED, Kind.UNCERTAIN, Kind.EXTRA)
SENDABLE = (Kind.MISSING, Kind.DIFFERENT, Kind.UNCERTAIN)
"""What a run would send."""


@dataclass(frozen=True)
class Example:
    """
    An order of a kind.

    :param order_id: empty for a rejected row without one.
    :param warehouse: what it is according to the warehouse: REES46's name of the status; for a rejected row the shop's
        own status; None if there is no row.
    :param rees46: what REES46 has; None if nothing.
    :param reason: why the row is rejected.
    """

    order_id: str
    warehouse: str | None = None
    rees46: str | None = None
    reason: str = ""


@dataclass
class Reconciliation:
    """
    The result of a comparison.

    :param window: the span, up to when the comparison began.
    :param due_before: up to when runs have delivered; what changed later may still differ. None before the first
        success: then everything is due.
    :param counts: orders by day (UTC, ISO; empty if unknown), REES46 status (empty if unknown) and kind.
    :param examples: up to :data:`MAX_EXAMPLES` of each kind but agree.
    :param reasons: rejected rows by the check that they failed.
    :param sendable_since, sendable_until: the oldest ``updated_at`` of the orders that a run would send, and the newest
        time that is known of them.
    """

    window: Window
    due_before: datetime | None
    counts: Counter[tuple[str, str, Kind]] = field(default_factory=Counter)
    examples: dict[Kind, list[Example]] = field(default_factory=lambda: defaultdict(list))
    reasons: Counter[str] = field(default_factory=Counter)
    sendable_since: datetime | None = None
    sendable_until: datetime | None = None

    def total(self, kind: Kind) -> int:
        """Return the number of orders of a kind."""
        return sum(count for (_, _, one), count in self.counts.items() if one is kind)

    @property
    def differs(self) -> bool:
        """Whether any order differs; rejected ones, and those that are not due, do not count."""
        return any(self.total(kind) for kind in DIFFERENCES)


def compare(shop: Shop, span: timedelta, now: datetime, *, not_due: timedelta = timedelta(0)) -> Reconciliation:
    """
    Compare the warehouse with the ledger.

    :param span: how far back, by ``updated_at``.
    :param not_due: how much of what runs have delivered is not due yet: within ``lookback`` the next run reads again.
    :raises LedgerError: the ledger does not answer, or has no tables yet.
    :raises SyncError: as :func:`rees46_sync.warehouse.reader.extract` and
        :meth:`rees46_sync.validation.expectations.RowValidator.validate`.
    """
    import sqlalchemy as sa
    from upath import UPath

    from rees46_sync.ledger.database import Ledger
    from rees46_sync.ledger.tables import accepted_statuses
    from rees46_sync.monitoring.freshness import sync_progress
    from rees46_sync.warehouse import reader as warehouse

    check_tables(shop)
    ledger = Ledger.from_conn_id(shop.ledger_conn_id)
    try:
        delivered = sync_progress(ledger, shop.shop, shop.lookback).watermark
        found = Reconciliation(Window(now - span, now), due_before=delivered and delivered - not_due)
        with ledger.transaction() as connection:
            # Before the warehouse is read: what is accepted later may be of rows that were not read.
            latest_id = connection.scalar(sa.select(sa.func.max(accepted_statuses.c.id))) or 0
        with tempfile.TemporaryDirectory(prefix="rees46-reconcile-") as name:
            folder = Path(name)
            window = Window(found.window.start, now + AHEAD)
            extraction = warehouse.extract(shop, window, UPath(folder))
            paths = [partition.path for partition in extraction.partitions]
            if paths:
                _compare_rows(ledger, shop, window, paths, latest_id, found)
            _find_extra(ledger, shop, window, paths, latest_id, folder, found)
    finally:
        ledger.engine.dispose()
    return found


def check_tables(shop: Shop) -> None:
    """
    Refuse a ledger without tables; opening it as a ledger would prepare a SQLite file for writing.

    :raises LedgerError: it has none yet.
    """
    from rees46_sync.airflow_adapters.connections import get_database_hook
    from rees46_sync.doctor.ledger import missing_tables

    hook = get_database_hook(shop.ledger_conn_id)
    if connections.missing_file(hook) or missing_tables(hook):
        raise LedgerError(
            f"The ledger of connection {shop.ledger_conn_id} has no tables yet, or those of an earlier version",
            "let a run of the shop end first: it creates or migrates them",
        )


def _compare_rows(
    ledger: Ledger, shop: Shop, window: Window, paths: Sequence[str], latest_id: int, found: Reconciliation
) -> None:
    from upath import UPath

    from rees46_sync.airflow_adapters import staging
    from rees46_sync.ledger.mappings import former_mappings
    from rees46_sync.pipeline.diff import add_codes
    from rees46_sync.validation.expectations import RowValidator

    validator, former = RowValidator(), former_mappings(ledger, shop.shop, shop.codes)
    for path in paths:
        rows = staging.read(UPath(path)).to_pandas()
        result = validator.validate(rows, shop.codes, window)
        _add_rejected(rows, result, found)
        orders = _look_up(ledger, shop, add_codes(result.valid, shop, former))
        orders = orders.assign(kind=_kinds(orders, shop, latest_id, found.due_before))
        _add_orders(orders, found)


def _look_up(ledger: Ledger, shop: Shop, orders: pd.DataFrame) -> pd.DataFrame:
    """Add what REES46 has of the orders, and refused: whether it refuses them even alone."""
    from rees46_sync.ledger.lookup import look_up
    from rees46_sync.ledger.refused_orders import RefusedOrders

    ids = orders["order_id"].tolist()
    known = look_up(ledger, shop.shop, ids, settle=shop.settle)
    refused = RefusedOrders(ledger).look_up(shop.shop, ids)
    alone = refused[refused["batch_size"] == 1][["order_id", "code"]].astype({"code": "int64"}).assign(refused=True)
    return orders.merge(known, on="order_id", how="left").merge(alone, on=["order_id", "code"], how="left")


def _kinds(orders: pd.DataFrame, shop: Shop, latest_id: int, due_before: datetime | None) -> Any:
    """Return the kind of each order; of several that apply, the first of these."""
    import numpy as np

    from rees46_sync.pipeline.diff import is_correction

    is_due = (orders["updated_at"] < due_before) if due_before else np.full(len(orders), fill_value=True)
    is_held = (orders["code"] == CREATED) & (orders["may_be_final"] == True) & (not shop.allow_reopen)  # noqa: E712 - NaN
    is_held &= ~is_correction(orders)
    return np.select(
        [
            orders["known_id"] > latest_id,  # a run sent it meanwhile
            (orders["known_status"] == orders["code"]) & (orders["uncertain"] == False),  # noqa: E712
            ~is_due,
            orders["refused"] == True,  # noqa: E712
            is_held,
            orders["uncertain"] == True,  # noqa: E712
            ~(orders["known_status"] >= CREATED),
        ],
        [Kind.NOT_DUE, Kind.AGREE, Kind.NOT_DUE, Kind.REJECTED, Kind.REOPENED, Kind.UNCERTAIN, Kind.MISSING],
        default=Kind.DIFFERENT,
    )


def _add_orders(orders: pd.DataFrame, found: Reconciliation) -> None:
    from rees46_sync.ledger.quarantine import REFUSED_BY_REES46

    days = orders["updated_at"].dt.strftime("%Y-%m-%d")
    sizes: dict[Any, int] = orders.groupby([days, "code", "kind"]).size().to_dict()
    for (day, code, kind), count in sizes.items():
        found.counts[day, STATUS_NAMES[code], Kind(kind)] += int(count)
    found.reasons[REFUSED_BY_REES46] += int((orders["kind"] == Kind.REJECTED).sum())
    for kind in set(Kind) - {Kind.AGREE}:
        some = orders[orders["kind"] == kind].head(MAX_EXAMPLES - len(found.examples[kind]))
        reason = REFUSED_BY_REES46 if kind is Kind.REJECTED else ""
        found.examples[kind] += [
            Example(order_id, STATUS_NAMES[code], _status(known), reason)
            for order_id, code, known in zip(some["order_id"], some["code"], some["known_status"], strict=True)
        ]
    sendable = orders[orders["kind"].isin(SENDABLE)]
    if len(sendable):
        since = sendable["updated_at"].min().to_pydatetime()
        until = sendable[["updated_at", "newest_updated_at"]].max().max().to_pydatetime()
        found.sendable_since = min(found.sendable_since or since, since)
        found.sendable_until = max(found.sendable_until or until, until)


def _status(known: float) -> str | None:
    """Return the name of what REES46 has; None if it has nothing, or nothing for certain."""
    return STATUS_NAMES[int(known)] if known >= 0 else None


def _add_rejected(rows: pd.DataFrame, result: ValidationResult, found: Reconciliation) -> None:
    rejected = rows.drop(index=result.valid.index)
    days = rejected["updated_at"].dt.strftime("%Y-%m-%d").fillna("")
    for day, count in days.value_counts().items():
        found.counts[str(day), "", Kind.REJECTED] += int(count)
    found.reasons.update(result.reasons)
    room = MAX_EXAMPLES - len(found.examples[Kind.REJECTED])
    found.examples[Kind.REJECTED] += [
        Example(printable(row.order_id, 255) or "", printable(row.status, 100), None, row.reason)
        for row in result.rejected[:room]
    ]


def _find_extra(
    ledger: Ledger,
    shop: Shop,
    window: Window,
    paths: Sequence[str],
    latest_id: int,
    folder: Path,
    found: Reconciliation,
) -> None:
    """Find the orders that REES46 has from the span, and that the query does not return."""
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema({"order_id": pa.string(), "status": pa.int64(), "updated_at": pa.timestamp("us")})
    with pq.ParquetWriter(folder / "ledger.parquet", schema, compression="zstd") as writer:
        for rows in _latest_rows(ledger, shop.shop, window, latest_id):
            columns = [list(column) for column in zip(*rows, strict=True)]
            columns[2] = [at.astimezone(UTC).replace(tzinfo=None) for at in columns[2]]
            writer.write_table(pa.table(columns, schema=schema))
    with closing(duckdb.connect()) as db:
        db.execute("SET enable_progress_bar = false")
        db.execute(f"SET memory_limit = '{SORT_MEMORY}'")
        db.execute("SET threads = 1")
        db.execute(f"SET temp_directory = '{folder}'")
        extra = db.read_parquet(str(folder / "ledger.parquet"))
        if paths:
            extra = extra.join(db.read_parquet(list(paths)), "order_id", how="anti")
        extra.create("extra")
        by_day = db.execute("SELECT strftime(updated_at, '%Y-%m-%d'), status, count(*) FROM extra GROUP BY ALL")
        for day, code, count in by_day.fetchall():
            found.counts[day, STATUS_NAMES[code], Kind.EXTRA] += count
        some = db.execute(f"SELECT order_id, status FROM extra ORDER BY order_id LIMIT {MAX_EXAMPLES}").fetchall()
    found.examples[Kind.EXTRA] += [Example(order_id, None, STATUS_NAMES[code]) for order_id, code in some]


def _latest_rows(ledger: Ledger, shop: str, window: Window, latest_id: int) -> Iterator[Sequence[Any]]:
    """Return each order's latest accepted row if its version lies in the window, a page of ids at a time."""
    import sqlalchemy as sa

    from rees46_sync.ledger.tables import accepted_statuses

    accepted, newer = accepted_statuses.c, accepted_statuses.alias("newer").c
    superseded = sa.exists().where(
        newer.shop == accepted.shop, newer.order_id == accepted.order_id, newer.id > accepted.id
    )
    query = sa.select(accepted.order_id, accepted.status, accepted.source_updated_at).where(
        accepted.shop == shop,
        accepted.source_updated_at >= window.start,
        accepted.source_updated_at < window.end,
        ~superseded,
    )
    with ledger.transaction() as connection:
        start = (connection.scalar(sa.select(sa.func.min(accepted.id))) or 1) - 1
    while start < latest_id:
        end = min(start + PAGE_IDS, latest_id)
        # A transaction for each page: a long one would keep PostgreSQL from cleaning up.
        with ledger.transaction() as connection:
            rows = connection.execute(query.where(accepted.id > start, accepted.id <= end)).all()
        if rows:
            yield rows
        start = end
