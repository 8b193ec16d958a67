"""Task 6: account for every row of the run, however it ended; record the account, log it, and update the alerts."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from rees46_sync.exceptions import AccountingError, RunFailedError, WindowError
from rees46_sync.pipeline.causes import KEY, Cause, leaves_cause
from rees46_sync.pipeline.run import BuiltBatches, Extraction, RunContext, ValidatedPartition, extracted_window

if TYPE_CHECKING:
    from rees46_sync.ledger.mappings import CorrectedMapping
    from rees46_sync.monitoring.late_data import DataState
    from rees46_sync.pipeline.closed_sum import RunAccount, RunResults
    from rees46_sync.window import Window

log = logging.getLogger(__name__)

MAX_CAUSE = 2000
"""Characters of the cause, and of the remedy, in a run's record: each of a thousand partitions may have one."""

FLOW = ("extract_orders", "validate_statuses", "build_batches", "approve_changes", "ask_approval", "load_batches")
"""The tasks before this one, whose causes it collects."""


@leaves_cause
def account_for_rows(
    shop_file: str,
    validated: Sequence[ValidatedPartition],
    built: Sequence[BuiltBatches],
    loaded: Sequence[dict[str, Any]],
    *,
    history: bool,
    **context: Any,
) -> dict[str, int]:
    """
    Close the sum of the run, and record it.

    The alerts are updated here, in the task that always runs, right after the record that they are evaluated from: an
    Airflow callback would be lost with its process, and could not be retried.

    :return: the account as one flat object.
    :raises RunFailedError: something did not finish, or was not sent.
    :raises AccountingError: a row is unaccounted for.
    """
    from rees46_sync.airflow_adapters.assets import announce_delivery, delivery_asset
    from rees46_sync.monitoring.ledger_outage import reporting_outage

    run = RunContext(shop_file, context)
    with reporting_outage(run.shop):
        row = _account(run, _collect_results(run, validated, built, loaded), history)
    if not (run.is_dry_run or row["held"]):
        announce_delivery(context, delivery_asset(run.shop.shop, history=history), row)
    return row


def _account(run: RunContext, results: RunResults, history: bool) -> dict[str, int]:
    from rees46_sync.ledger import retention
    from rees46_sync.pipeline.closed_sum import RunAccount, close_sum
    from rees46_sync.pipeline.report import report

    window = extracted_window(results.extraction) if results.extraction else _intended_window(run, history)
    try:
        account = close_sum(results)
    except AccountingError as error:
        defect = RunAccount(unfinished=[error.problem], remedies=[error.remedy])
        _update_alerts(run, results, window, defect, history, None)
        raise
    data = _data_state(run, results.extraction, window) if results.extraction and window else None
    log.info("%s", report(run.shop, results, account, data))
    if corrected := _corrected_mapping(run):
        log.warning(
            "The mapping was corrected since the last run: %s. make remap SHOP=%s shows what a run would send, and how "
            "to start it.",
            corrected,
            run.shop.shop,
        )
    if not run.is_dry_run:
        _record(run, results.extraction, window, account, data)
        _emit_metrics(run, results.extraction, account)
    _update_alerts(run, results, window, account, history, data)
    if not run.is_dry_run:
        retention.after_run(run.shop, run.ledger)
    if account.unfinished:
        run.ti.xcom_push(key="return_value", value=account.as_row)
        raise RunFailedError(
            f"Shop {run.shop.shop}: {'; '.join(account.unfinished)}",
            account.remedy,
        )
    if results.extraction:
        _finish_extraction(run, results.extraction)
    return account.as_row


def _collect_results(
    run: RunContext,
    validated: Sequence[ValidatedPartition],
    built: Sequence[BuiltBatches],
    loaded: Sequence[dict[str, Any]],
) -> RunResults:
    from rees46_sync.ledger.approvals import Approvals
    from rees46_sync.ledger.requests import Requests
    from rees46_sync.pipeline.closed_sum import RunResults

    # Pulled, not passed: a task that failed or was skipped left nothing, and pulling that logs no error.
    pull = run.ti.xcom_pull
    extraction: Extraction | None = pull(task_ids="extract_orders", key="extraction")
    partitions = pull(task_ids="extract_orders")
    # "loaded_until" is the newest key of an extraction.
    if (extraction is None and partitions is not None) or (extraction is not None and "loaded_until" not in extraction):
        return RunResults(None, is_of_earlier_version=True, dry_run=run.is_dry_run)
    extraction_id = extraction["extraction_id"] if extraction else ""
    is_requested = bool(pull(task_ids="approve_changes", key="approval_request"))
    approval = Approvals(run.ledger).latest(run.ti.dag_id, run.ti.run_id) if is_requested else None
    requests = Requests(run.ledger)
    return RunResults(
        extraction=extraction,
        partitions=partitions or [],
        validated=validated[:],
        built=_with_first_orders(built[:], pull(task_ids="approve_changes", key="first_orders")),
        approved=pull(task_ids="ask_approval" if is_requested else "approve_changes"),
        approval=approval if approval and approval.extraction_id == extraction_id else None,
        loaded=loaded[:],
        accepted=requests.accepted_by_partition(extraction_id) if extraction else {},
        requests=requests.count(extraction_id) if extraction else 0,
        causes=_collect_causes(run),
        first_orders=run.first_orders,
        dry_run=run.is_dry_run,
    )


def _collect_causes(run: RunContext) -> list[Cause]:
    """Return why tasks failed, in the order of the flow."""
    causes: list[Cause] = []
    for task in FLOW:
        left: Any = run.ti.xcom_pull(task_ids=task, key=KEY)
        # Of a mapped task it is a sequence: one of each instance that left one.
        causes += cast("list[Cause]", [left] if isinstance(left, dict) else list(left or ()))
    return causes


def _with_first_orders(built: Sequence[BuiltBatches], first: Sequence[BuiltBatches] | None) -> list[BuiltBatches]:
    """Return what approve_changes made of the batches of a run with ``first_orders``, unless they were built anew."""
    cut = {batches["path"]: batches for batches in first or ()}
    return [cut.get(batches["path"], batches) for batches in built] if cut else list(built)


def _intended_window(run: RunContext, history: bool) -> Window | None:
    """Return the window that a failed extraction should have read; None if the window itself was the problem."""
    try:
        return run.window(is_history=history)
    except WindowError:
        return None


def _data_state(run: RunContext, extraction: Extraction, window: Window) -> DataState:
    """Return up to when the data that was read shows to be loaded."""
    from rees46_sync.monitoring.late_data import DataRead, data_state

    def moment(text: str | None) -> datetime | None:
        return datetime.fromisoformat(text) if text else None

    read = DataRead(
        window=window,
        read_until=min(window.end, datetime.fromisoformat(extraction["started_at"])),
        newest=moment(extraction["newest"]),
        empty_spans=[
            (datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in extraction["empty_spans"]
        ],
        whole_days=extraction["whole_days"],
        loaded_until=moment(extraction["loaded_until"]),
    )
    return data_state(run.ledger, run.shop, read)


def _corrected_mapping(run: RunContext) -> CorrectedMapping | None:
    """Return the correction of the mapping, if this is the first run that uses it."""
    from rees46_sync.ledger.mappings import corrected_mapping, is_new_mapping

    shop = run.shop
    is_new = is_new_mapping(run.ledger, shop.shop, shop.codes)
    return corrected_mapping(run.ledger, shop.shop, shop.codes) if is_new else None


def _record(
    run: RunContext,
    extraction: Extraction | None,
    window: Window | None,
    account: RunAccount,
    data: DataState | None,
) -> None:
    """Store the run's row in ``rees46_sync_runs``."""
    from rees46_sync.ledger.mappings import mapping_hash, mapping_text
    from rees46_sync.ledger.runs import Runs

    now = datetime.now(UTC)
    Runs(run.ledger).save(
        shop=run.shop.shop,
        dag_id=run.ti.dag_id,
        run_id=run.ti.run_id,
        window_start=window and window.start,
        window_end=window and window.end,
        window_widened=bool(window and window.is_regular),
        outcome="failed" if account.unfinished else "success",
        cause="; ".join(account.unfinished)[:MAX_CAUSE] or None,
        remedy=account.remedy[:MAX_CAUSE] or None,
        examples=json.dumps(account.examples, ensure_ascii=False) if account.examples else None,
        started_at=datetime.fromisoformat(extraction["started_at"]) if extraction else now,
        finished_at=now,
        resent=account.resent,
        newest_updated_at=datetime.fromisoformat(extraction["newest"]) if extraction and extraction["newest"] else None,
        data_until=data and data.until,
        data_late=data and data.is_late,
        whole_days=extraction and extraction["whole_days"],
        mapping_hash=mapping_hash(run.shop.codes),
        mapping=mapping_text(run.shop.codes),
        **account.counts,
    )


def _emit_metrics(run: RunContext, extraction: Extraction | None, account: RunAccount) -> None:
    """Send the run's numbers to Airflow's metrics."""
    from rees46_sync.airflow_adapters.metrics import Metrics
    from rees46_sync.monitoring.freshness import sync_progress

    now = datetime.now(UTC)
    oldest_due = sync_progress(run.ledger, run.shop.shop, run.shop.lookback).oldest_due
    Metrics(run.shop.shop, run.ti.dag_id).run(
        account.counts,
        succeeded=not account.unfinished,
        duration=now - datetime.fromisoformat(extraction["started_at"]) if extraction else None,
        age=now - oldest_due if oldest_due else None,
    )


def _update_alerts(
    run: RunContext,
    results: RunResults,
    window: Window | None,
    account: RunAccount,
    history: bool,
    data: DataState | None,
) -> None:
    """Evaluate the alerts of the run, and send what is pending; a dry run has none."""
    from rees46_sync.monitoring import alert_rules

    if results.dry_run:
        return
    limit = run.ti.xcom_pull(task_ids="approve_changes", key="limit")
    # If the run was cleared, the limit may be one that an earlier extraction exceeded.
    is_current = limit and results.extraction and limit["extraction_id"] == results.extraction["extraction_id"]
    alert_rules.after_run(
        run.shop,
        run.ledger,
        alert_rules.FinishedRun(
            dag_id=run.ti.dag_id,
            run_id=run.ti.run_id,
            is_history=history,
            is_scheduled=run.dag_run.run_type == "scheduled",
            window=window,
            counts=account.counts,
            unfinished=account.unfinished,
            remedy=account.remedy,
            cause_id=account.cause_id,
            reasons=account.reasons,
            is_validated=len(results.validated) == len(results.partitions),
            is_approved=results.approved is not None,
            data=data,
            exceeded_text=limit["exceeded_text"] if is_current and results.approved is None else "",
        ),
    )


def _finish_extraction(run: RunContext, extraction: Extraction) -> None:
    """Remove the staged files of a run that sent everything: it needs no clearing."""
    from rees46_sync.airflow_adapters import staging
    from rees46_sync.ledger.extractions import Extractions

    staging.remove(staging.open_path(extraction["folder"]))
    Extractions(run.ledger).close(run.ref(extraction["extraction_id"]))
