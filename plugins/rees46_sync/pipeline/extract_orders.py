"""Task 1: extract the orders of the run's window from the warehouse into staged partitions."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rees46_sync.exceptions import Problem, ShopFileError, UnknownParamError
from rees46_sync.pipeline.causes import leaves_cause
from rees46_sync.pipeline.order_ids import MAX_SHOWN, listed
from rees46_sync.pipeline.run import Extraction, Partition, RunContext
from rees46_sync.shop.shop import Shop
from rees46_sync.window import Window

if TYPE_CHECKING:
    from upath import UPath

    from rees46_sync.warehouse.reader import ExtractedRows

log = logging.getLogger(__name__)


@leaves_cause
def extract_orders(shop_file: str, *, history: bool, **context: Any) -> list[Partition]:
    """
    Read the run's window from the warehouse into staged partitions.

    :param shop_file: path of the shop file.
    :param history: whether the run takes its data interval as its window.
    :return: a descriptor for each partition; the extraction itself is the XCom ``extraction``.
    :raises UnknownParamError: the run's conf has a key that is no param.
    :raises WindowError: the params name a window that does not exist, or an order that the ledger does not know.
    :raises QueryColumnsError: the query does not return the columns that the sync needs, or ``loaded_until`` not one
        time.
    :raises WarehouseError: the warehouse does not answer, or the query fails.
    :raises LedgerError: the ledger does not answer.
    :raises StagingError: the staging root cannot be written.
    """
    from rees46_sync.airflow_adapters import staging
    from rees46_sync.ledger.extractions import Extractions
    from rees46_sync.warehouse.reader import extract, read_loaded_until

    run = RunContext(shop_file, context)
    _check_conf(run, sorted(context["task"].dag.params))
    shop, now = run.shop, datetime.now(UTC)
    staging.check_shared(shop, [task.executor for task in context["task"].dag.tasks])
    root = staging.shop_root(shop)
    if not run.is_dry_run:
        _remove_expired(run, root, now)
    window = run.window(is_history=history)
    log.info("Shop %s: reading %s, window %s.", shop.shop, shop.query.name, window)
    if window.is_resend:
        log.info("It is a resend, because of resend_every: what it reads is sent again although unchanged.")
    extraction_id = staging.new_extraction_id(now)
    # Before the first row is read, and after the last: so it is known which of two extractions read later.
    extractions, ref = Extractions(run.ledger), run.ref(extraction_id)
    if not run.is_dry_run:
        extractions.start(ref, now, (window.start, window.end))
    # Before the rows: what is loaded meanwhile is not promised.
    loaded_until = read_loaded_until(shop) if shop.loaded_until else None
    rows = extract(shop, window, root / extraction_id, run.order_ids)
    if not run.is_dry_run:
        extractions.finish_reading(ref)
    log.info(
        "Read %d rows, %d of them older versions of an order, %d not named in order_ids; staged %d partitions.",
        rows.read,
        rows.superseded,
        rows.held,
        len(rows.partitions),
    )
    _check_mappable(shop, rows)
    if rows.times.whole_days and window.is_regular:
        log.warning(
            "updated_at of %s holds days, not times: windows start a day earlier, and the order of two changes of a "
            "day is not known. Return a time if the shop has one.",
            shop.query.name,
        )
    extraction = _descriptor(run, window, rows, root / extraction_id, now, loaded_until)
    run.ti.xcom_push(key="extraction", value=extraction)
    return [
        Partition(index=staged.index, name=staged.name, extraction=extraction, path=staged.path, rows=staged.rows)
        for staged in rows.partitions
    ]


def _check_conf(run: RunContext, params: Sequence[str]) -> None:
    """Refuse a key of the run's conf that is no param: Airflow ignores it, and a misspelt dry_run would send."""
    from difflib import get_close_matches

    unknown = [key for key in run.dag_run.conf or {} if key not in params]
    if not unknown:
        return
    nearest = {key: get_close_matches(key.lower(), params, n=1, cutoff=0.5) for key in unknown[:MAX_SHOWN]}
    meant = [f"write {found[0]} instead of {listed([key])}" for key, found in nearest.items() if found]
    raise UnknownParamError(
        f"The conf of this run has {listed(unknown)}, and the DAG has no such param; nothing was read",
        "; ".join([*(meant or ["remove it"]), f"the params are {', '.join(params)}"]),
    )


def _descriptor(
    run: RunContext,
    window: Window,
    rows: ExtractedRows,
    folder: UPath,
    now: datetime,
    loaded_until: datetime | None,
) -> Extraction:
    return Extraction(
        extraction_id=folder.name,
        folder=str(folder),
        resend=bool(run.params["resend"] or run.order_ids),
        started_at=now.isoformat(),
        window_start=window.start.isoformat(),
        window_end=window.end.isoformat(),
        is_regular=window.is_regular,
        is_resend=window.is_resend,
        read=rows.read,
        superseded=rows.superseded,
        held=rows.held,
        missing=listed(rows.missing),
        newest=rows.times.newest.isoformat() if rows.times.newest else None,
        empty_spans=[(start.isoformat(), end.isoformat()) for start, end in rows.times.empty_spans],
        whole_days=rows.times.whole_days,
        loaded_until=loaded_until.isoformat() if loaded_until else None,
    )


def _remove_expired(run: RunContext, root: UPath, now: datetime) -> None:
    """Remove what earlier runs of the shop left, once it is too old for them to be cleared."""
    from rees46_sync.airflow_adapters import staging
    from rees46_sync.ledger.extractions import Extractions
    from rees46_sync.validation import data_docs

    extractions = Extractions(run.ledger)  # opened first: without a ledger nothing is removed
    for name in staging.remove_older(root, now):
        log.info("Removed the staged files of %s: older than %s.", name, staging.KEEP)
    for name in data_docs.remove_expired(run.shop, run.ti.dag_id, now):
        log.info("Removed the Data Docs of %s: older than %s.", name, data_docs.KEEP)
    extractions.remove_older(run.shop.shop, now - staging.KEEP)


def _check_mappable(shop: Shop, rows: ExtractedRows) -> None:
    """Refuse more partitions than Airflow maps tasks over: Airflow's own error would be less clear."""
    from airflow.sdk.configuration import conf

    limit = conf.getint("core", "max_map_length", fallback=1024)
    if len(rows.partitions) > limit:
        raise ShopFileError(
            shop.file.name,
            Problem(
                f"partition_rows is {shop.partition_rows}, which makes {len(rows.partitions)} partitions of this "
                f"window, and Airflow maps at most {limit} tasks (core.max_map_length)",
                f"set it to {-(-rows.read // limit)} or more, or name a shorter window",
            ),
        )
