"""
What the tasks of a run share: the descriptors that they pass on as XComs, and what each of them opens.

Rows are in staged files; a descriptor is small and holds no credentials. Airflow imports this module at each parsing of
the DAG file, so every import that takes time is inside a function.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from structlog.contextvars import bind_contextvars

from rees46_sync.exceptions import RestartRunError, WindowError
from rees46_sync.shop.shop_file import load_shop
from rees46_sync.window import Window, compute_window

if TYPE_CHECKING:
    from collections.abc import Mapping

    from upath import UPath

    from rees46_sync.ledger.database import Ledger
    from rees46_sync.ledger.quarantine import RejectedRow
    from rees46_sync.ledger.runs import RunRef
    from rees46_sync.pipeline.preview import Preview
    from rees46_sync.shop.shop import Limits, Shop

log = logging.getLogger(__name__)


class Extraction(TypedDict):
    """
    One extraction from the warehouse.

    :param folder: where its files are staged.
    :param started_at, window_start, window_end: ISO 8601, UTC.
    :param is_regular: whether its window continues that of the last successful run.
    :param is_resend: whether what it read is sent again although unchanged, because of ``resend_every``.
    :param held: rows that it read and left out, because ``order_ids`` does not name their orders.
    :param missing: the orders of ``order_ids`` that it did not find, in words; empty if it found all.
    :param newest, empty_spans, whole_days: see :class:`rees46_sync.warehouse.times.DataTimes`; times are ISO 8601, UTC.
    :param loaded_until: the answer of the shop's query ``loaded_until``; None if it has none.
    """

    extraction_id: str
    folder: str
    resend: bool
    started_at: str
    window_start: str
    window_end: str
    is_regular: bool
    is_resend: bool
    read: int
    superseded: int
    held: int
    missing: str
    newest: str | None
    empty_spans: list[tuple[str, str]]
    whole_days: bool
    loaded_until: str | None


class Partition(TypedDict):
    """Staged rows of an extraction; ``name`` is shown in Airflow's UI for each task of the partition."""

    index: int
    name: str
    extraction: Extraction
    path: str
    rows: int


class ValidatedPartition(TypedDict):
    """
    A partition after validation; ``path`` is the file of its valid rows.

    :param newly_rejected: how many of the rejected rows no run has let through yet.
    :param unmapped: what :meth:`rees46_sync.validation.expectations.UnmappedStatus.packed` returns of each one.
    :param data_docs: the address of its Data Docs, relative to Airflow's; None in a dry run.
    """

    index: int
    extraction: Extraction
    path: str
    valid: int
    rejected: int
    newly_rejected: int
    reasons: dict[str, int]
    unmapped: list[tuple[str, int, str | None]]
    data_docs: str | None


class BuiltBatches(TypedDict):
    """
    The orders of a partition that are to be sent; ``path`` is their file, ``by_status`` counts them by REES46 status.

    :param comparison_token: what the comparison rested on, see :func:`rees46_sync.pipeline.diff.comparison_token`.
    :param preview: what a dry run, or a request for approval, shows of them; None in other runs.
    :param resent: how many of them are sent although REES46 has their status.
    :param held: how many more were to be sent, and are left out because of ``first_orders``.
    :param newly_reopened: how many of the reopened orders no run has let through in this version yet.
    :param examples: a few order ids for each action: ``sent`` (to be sent), ``unchanged``, ``stale``, ``reopened``.
    """

    index: int
    name: str
    extraction: Extraction
    path: str
    orders: int
    comparison_token: dict[str, int]
    by_status: dict[str, int]
    preview: Preview | None
    resent: int
    held: int
    unchanged: int
    stale: int
    reopened: int
    newly_reopened: int
    examples: dict[str, list[str]]


class RunContext:
    """
    What a task of a run opens, each once: the shop file, the ledger, and the run's references.

    :param shop_file: path of the shop file.
    :param context: Airflow's context of the task.
    :param partition: the descriptor of the task's partition, if it has one.
    """

    def __init__(self, shop_file: str, context: dict[str, Any], partition: Mapping[str, Any] | None = None) -> None:
        self.shop = load_shop(Path(shop_file))
        self.params: Mapping[str, Any] = context["params"]
        self.ti = context["ti"]
        self.dag_run = context["dag_run"]
        # From here on, each line of the task's log names the shop and the partition.
        bind_contextvars(shop=self.shop.shop, **({"partition": partition["index"]} if partition else {}))

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing is sent and nothing of this run is recorded."""
        return bool(self.params["dry_run"])

    @property
    def first_orders(self) -> int | None:
        """How many orders the run may send; None: all that it finds."""
        return self.params.get("first_orders")

    @property
    def limits(self) -> Limits:
        """The shop's limits; the run may have one of its own for changed orders."""
        own = self.params.get("changed_orders")
        return self.shop.limits if own is None else self.shop.limits.model_copy(update={"changed_orders": int(own)})

    @cached_property
    def order_ids(self) -> tuple[str, ...]:
        """
        The orders that the run is about; empty: all that it reads.

        :raises WindowError: the param holds nothing but empty lines.
        """
        lines = self.params.get("order_ids") or ()
        order_ids = tuple(dict.fromkeys(line for line in lines if line.strip()))
        if lines and not order_ids:
            raise WindowError("order_ids names no order; nothing was read", "name one per line, or leave it out")
        return order_ids

    @cached_property
    def ledger(self) -> Ledger:
        """The shop's ledger, with current tables."""
        from rees46_sync.ledger.database import Ledger

        return Ledger.open(self.shop.ledger_conn_id)

    def ref(self, extraction_id: str) -> RunRef:
        """Return the reference of this run for rows of the ledger."""
        from rees46_sync.ledger.runs import RunRef

        return RunRef(self.shop.shop, self.ti.dag_id, self.ti.run_id, extraction_id)

    def window(self, *, is_history: bool) -> Window:
        """
        Return the window that this run has to read.

        :raises WindowError: the params name a window that does not exist, or an order that the ledger does not know.
        """
        from rees46_sync.pipeline.order_ids import oldest_update

        run, shop = self.dag_run, self.shop
        named_start = self.params["window_start"]
        if self.order_ids and not named_start:
            named_start = oldest_update(self.ledger, shop.shop, self.order_ids).isoformat()
        return window_of(
            shop,
            self.ledger,
            (self.ti.dag_id, self.ti.run_id),
            may_resend=not (self.is_dry_run or self.first_orders),
            interval=(run.data_interval_start, run.data_interval_end) if run.data_interval_start else None,
            requested_at=run.run_after,
            is_history=is_history or run.run_type == "backfill",
            named_start=named_start,
            named_end=self.params["window_end"],
        )

    def quarantine(self, rows: Sequence[RejectedRow]) -> int:
        """
        Store rejected rows; a dry run stores none.

        :return: how many of them no run has let through yet.
        """
        from rees46_sync.ledger.quarantine import Quarantine

        if not rows:
            return 0
        quarantine = Quarantine(self.ledger)
        new = quarantine.count_new(self.shop.shop, rows)
        if not self.is_dry_run:
            stored = quarantine.store(self.shop.shop, self.ti.run_id, rows)
            log.info("Quarantine: %d rows, %d of them new.", len(rows), stored)
        return new


def window_of(shop: Shop, ledger: Ledger, run: tuple[str, str], *, may_resend: bool = True, **requested: Any) -> Window:
    """
    Return the window of a run of a shop, by what its earlier runs have recorded.

    :param run: the ids of its DAG and of the run itself.
    :param may_resend: whether it may be a resend because of ``resend_every``.
    :param requested: what :func:`rees46_sync.window.compute_window` takes besides.
    :raises WindowError: as there.
    """
    from rees46_sync.ledger.runs import Runs

    runs = Runs(ledger)
    latest = runs.latest_regular(shop.shop)
    may_resend = may_resend and shop.resend_every is not None
    return compute_window(
        watermark=runs.watermark(shop.shop, shop.lookback),
        lookback=shop.lookback,
        whole_days=bool(latest and latest.whole_days),
        resend_every=shop.resend_every if may_resend else None,
        last_resend=runs.last_resend(shop.shop, *run) if may_resend else None,
        **requested,
    )


def get_extraction(descriptor: Mapping[str, Any]) -> Extraction:
    """
    Return the extraction of a partition's descriptor.

    :raises RestartRunError: an earlier version of the project wrote the descriptor.
    """
    require_keys(descriptor, "extraction")
    extraction: Extraction = descriptor["extraction"]
    return extraction


def require_keys(descriptor: Mapping[str, Any], *keys: str) -> None:
    """
    Check that a partition's descriptor has what this version of the project reads of it.

    :raises RestartRunError: an earlier version of the project wrote the descriptor.
    """
    if any(key not in descriptor for key in keys):
        raise RestartRunError(
            f"The results of partition {descriptor['index']} were written by an earlier version of this project"
        )


def extracted_window(extraction: Extraction) -> Window:
    """Return the window that an extraction has read."""
    start, end = datetime.fromisoformat(extraction["window_start"]), datetime.fromisoformat(extraction["window_end"])
    return Window(start, end, extraction["is_regular"], extraction["is_resend"])


def stage_frame(frame: Any, extraction: Extraction, name: str) -> UPath:
    """Write a data frame as a Parquet file beside the partitions of its extraction; return its path."""
    import pyarrow as pa

    from rees46_sync.airflow_adapters import staging

    path = staging.open_path(extraction["folder"]) / name
    staging.write(pa.Table.from_pandas(frame, preserve_index=False), path)
    return path
