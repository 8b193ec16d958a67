"""Task 4: stop the run before anything is sent if it would reject, change or hold back more than the shop allows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from rees46_sync.exceptions import LimitExceededError
from rees46_sync.pipeline.causes import leaves_cause
from rees46_sync.pipeline.first_orders import keep_first
from rees46_sync.pipeline.limits import LimitCheck
from rees46_sync.pipeline.run import (
    BuiltBatches,
    RunContext,
    ValidatedPartition,
    extracted_window,
    get_extraction,
    require_keys,
)
from rees46_sync.translations import translator

log = logging.getLogger(__name__)


@leaves_cause
def approve_changes(
    shop_file: str, validated: Sequence[ValidatedPartition], built: Sequence[BuiltBatches], **context: Any
) -> list[BuiltBatches]:
    """
    Compare the run with the shop's limits, and with its own, if it has one.

    :param shop_file: path of the shop file.
    :param validated, built: what validate_statuses and build_batches returned, of all partitions.
    :return: the partitions that have something to send. None in a dry run, and none if a person has to approve: then
        the XCom ``approval_request`` holds them. With ``first_orders`` they are cut to that many orders, and the XCom
        ``first_orders`` holds all of them.
    :raises RestartRunError: an earlier version of the project began this run.
    :raises StagingError, LedgerError: only with ``first_orders``, see ``first_orders.py``.
    :raises LimitExceededError: a limit is exceeded, ``ignore_limits`` is not set, and the shop file says to fail.
    """
    run = RunContext(shop_file, context)
    # A slice takes one request to Airflow; iterating over the results of a mapped task takes one for each.
    validated, built = validated[:], built[:]
    for part in validated:
        require_keys(part, "extraction", "newly_rejected")
    for batches in built:
        require_keys(batches, "extraction", "newly_reopened")
    if run.first_orders:
        built = keep_first(run, built, run.first_orders)
        run.ti.xcom_push(key="first_orders", value=built)
    check = LimitCheck.from_run(get_extraction(validated[0]), validated, built, run.limits)
    if check.exceeded and not (run.params["ignore_limits"] or run.is_dry_run):
        _stop(run, check, validated, built)
        return []
    if check.exceeded:
        reason = "nothing is sent in a dry run" if run.is_dry_run else "ignore_limits is set"
        log.warning("Shop %s: %s. Going on, because %s.", run.shop.shop, check.exceeded_text(), reason)
    else:
        log.info("Within the limits: %s.", "; ".join(check.texts().values()))
    if run.is_dry_run:
        log.info("Dry run: nothing is sent.")
        return []
    return [BuiltBatches(**{**batches, "preview": None}) for batches in built if batches["orders"]]


def _stop(
    run: RunContext, check: LimitCheck, validated: Sequence[ValidatedPartition], built: Sequence[BuiltBatches]
) -> None:
    """Ask a person for approval, or raise, as the shop file says."""
    from rees46_sync.monitoring import alert_rules
    from rees46_sync.pipeline.closed_sum import count_reasons

    shop, extraction, text = run.shop, check.extraction, check.exceeded_text()
    # For the alert: account_for_rows cannot see why a task failed.
    for_alerts = check.exceeded_text(translator(shop.language).gettext)
    limit = {"extraction_id": extraction["extraction_id"], "exceeded_text": for_alerts}
    run.ti.xcom_push(key="limit", value=limit)
    if shop.on_limit == "ask":
        from rees46_sync.pipeline.approval_request import build_approval_request

        # The caller returns nothing: without approval nothing may be sent, even by a DAG version that has no task
        # ask_approval yet.
        request = build_approval_request(shop, check, validated, built)
        run.ti.xcom_push(key="approval_request", value=request)
        alert_rules.approval_requested(
            shop, run.ledger, extracted_window(extraction), for_alerts, run.ti.dag_id, run.ti.run_id
        )
        log.warning("Shop %s: %s. Approval is requested.", shop.shop, text)
        return
    window = f", window_start {extraction['window_start']} and window_end {extraction['window_end']}"
    if extraction["is_resend"]:  # a run with a window of its own is no resend, so the next hourly one would be again
        window = " and no window, or set resend_every to less or limits.changed_orders to more"
    # The narrower one of the two, if it is enough.
    param = f"changed_orders: {check.counts['changed']}" if check.exceeded == ["changed_orders"] else "ignore_limits"
    largest = ", ".join(f"{code} {count}" for code, count in count_reasons(validated).most_common(3))
    raise LimitExceededError(
        f"Shop {shop.shop}: {text}. Nothing was sent. Most frequent reasons: {largest or 'no row is rejected'}",
        f"if this is right, start a run by hand with {param}{window}; if not, correct the rows or "
        f"{shop.file.name}, and the next run sends them. dry_run shows what would be sent"
        + (f". {alert_rules.reopened_remedy(shop)}" if "reopened_orders" in check.exceeded else ""),
    )
