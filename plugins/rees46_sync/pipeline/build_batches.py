"""Task 3: compare the valid rows of a partition with the ledger; what differs is to be sent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from rees46_sync.exceptions import RestartRunError
from rees46_sync.formatting import printable
from rees46_sync.pipeline.causes import leaves_cause
from rees46_sync.pipeline.run import (
    BuiltBatches,
    Partition,
    RunContext,
    ValidatedPartition,
    get_extraction,
    stage_frame,
)

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

EXAMPLES = 5
"""How many order ids of each action a partition passes on."""

ID_CHARACTERS = 40
"""How much is shown of each."""


@leaves_cause
def build_batches(shop_file: str, partition: Partition, **context: Any) -> BuiltBatches:
    """
    Subtract what REES46 has already from a partition's valid rows; the rest is to be sent.

    :param shop_file: path of the shop file.
    :param partition: a descriptor of extract_orders; what validate_statuses returned for it is pulled.
    :return: the descriptor of the orders that are to be sent.
    :raises RestartRunError: Airflow kept the validation of an earlier extraction, the staged file is gone, or the shop
        file does not map all of its statuses any more.
    :raises LedgerError: the ledger does not answer.
    :raises StagingError: the staging root cannot be read or written.
    """
    from rees46_sync.airflow_adapters import staging
    from rees46_sync.ledger.mappings import former_mappings
    from rees46_sync.pipeline import comparison, diff
    from rees46_sync.pipeline.preview import build_preview

    run, extraction = RunContext(shop_file, context, partition), get_extraction(partition)
    validated = _validated(run, partition)
    former = former_mappings(run.ledger, run.shop.shop, run.shop.codes)
    orders = diff.add_codes(staging.read(staging.open_path(validated["path"])).to_pandas(), run.shop, former)
    diff_context = diff.DiffContext.from_extraction(
        extraction, settle=run.shop.settle, allow_reopen=run.shop.allow_reopen
    )
    ref = run.ref(extraction["extraction_id"])
    # A dry run writes nothing.
    compare = comparison.compare if run.is_dry_run else comparison.compare_and_confirm
    found = compare(run.ledger, ref, orders, diff_context)
    known, actions = found.known, found.actions
    if run.first_orders:
        # Those that an earlier attempt has sent stay the first ones; the load sees that they are sent.
        is_sent = orders["order_id"].isin(known["order_id"][known["sent_here"]])
        actions = actions.mask(is_sent, diff.SEND)
    if found.confirmed:
        log.info("Partition %d: confirmed %d orders.", partition["index"], found.confirmed)
    reopened = orders[actions == diff.REOPENED]
    newly_reopened = _quarantine_reopened(run, reopened)
    due = orders[actions == diff.SEND]
    token = diff.comparison_token(found.token, diff_context)
    path = _stage(due, partition, token)
    counts = diff.count_actions(actions)
    log.info("Partition %d: %s.", partition["index"], ", ".join(f"{count} {name}" for name, count in counts.items()))
    return BuiltBatches(
        index=partition["index"],
        name=partition["name"],
        extraction=extraction,
        path=path,
        orders=len(due),
        comparison_token=token,
        by_status={str(code): int(count) for code, count in due["code"].value_counts().items()},
        preview=build_preview(due, known) if run.is_dry_run or run.shop.on_limit == "ask" else None,
        resent=diff.count_unchanged(due, known),
        held=0,
        unchanged=counts[diff.UNCHANGED],
        stale=counts[diff.STALE],
        reopened=len(reopened),
        newly_reopened=newly_reopened,
        examples=_examples(orders, actions),
    )


def _examples(orders: pd.DataFrame, actions: pd.Series[str]) -> dict[str, list[str]]:
    """Return a few order ids of each action, as :class:`BuiltBatches` names it."""
    from rees46_sync.pipeline import diff

    parts = {"sent": diff.SEND, "unchanged": diff.UNCHANGED, "stale": diff.STALE, "reopened": diff.REOPENED}
    found = {part: orders["order_id"][actions == action][:EXAMPLES] for part, action in parts.items()}
    return {part: [printable(one, ID_CHARACTERS) or "" for one in order_ids] for part, order_ids in found.items()}


def _stage(due: pd.DataFrame, partition: Partition, token: dict[str, int]) -> str:
    """Write the orders that are to be sent into a file; return its path."""
    from rees46_sync.pipeline.diff import FORMER

    # One file per comparison: a zombie attempt may still write results based on an older state of the ledger.
    name = "-".join([f"batches-{partition['index']:04}", *map(str, token.values())])
    # With the shop's own status: the connection decides which of them is sent, and is read when it is sent.
    columns = ["order_id", "status", "code", "updated_at", *(column for column in FORMER if column in due)]
    return str(stage_frame(due[columns], partition["extraction"], f"{name}.parquet"))


def _quarantine_reopened(run: RunContext, orders: pd.DataFrame) -> int:
    """Store orders that are held back as reopened; return how many no run has let through in this version yet."""
    from rees46_sync.ledger.quarantine import REOPENED, RejectedRow

    rows = orders[["order_id", "status", "updated_at"]].itertuples(index=False, name=None)
    return run.quarantine(
        [RejectedRow(order_id, status, str(updated_at), REOPENED) for order_id, status, updated_at in rows]
    )


def _validated(run: RunContext, partition: Partition) -> ValidatedPartition:
    """Return the validation of a partition's rows. Not passed as an argument, see the DAG file."""
    validated: ValidatedPartition = run.ti.xcom_pull(task_ids="validate_statuses", map_indexes=run.ti.map_index)
    found, expected = get_extraction(validated)["extraction_id"], partition["extraction"]["extraction_id"]
    if found != expected:
        raise RestartRunError(
            f"Partition {partition['index']} was validated in extraction {found}, and this run is about extraction "
            f"{expected}"
        )
    return validated
