"""
The closed sum of a run: every row that was read is accounted for, once.

    read = sent + unchanged + superseded + stale + reopened + rejected + held + failed

If a load was killed, the ledger says what it sent; if it was not, its own count is checked against the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rees46_sync.exceptions import AccountingError
from rees46_sync.ledger.approvals import Approval
from rees46_sync.ledger.runs import ACCOUNT_PARTS, new_account
from rees46_sync.pipeline.order_ids import ORDER_IDS_REMEDY
from rees46_sync.pipeline.run import Extraction, extracted_window
from rees46_sync.pipeline.tally import TALLY_PARTS

NEXT_RUN = (
    "see the logs of these tasks. The next run of this shop reads the same orders again and sends what is missing"
)


@dataclass
class RunResults:
    """
    What the tasks of a run left (their XComs); what is missing did not finish.

    :param extraction: of extract_orders; None if it failed.
    :param approved: of approve_changes, or of ask_approval if approval was requested; None if it failed or did not run.
    :param approval: the request for approval, or the decision; None if none was requested.
    :param accepted: accepted orders by partition, from the ledger.
    :param first_orders: how many orders the run may send, because of the param; None: all.
    :param is_of_earlier_version: whether an earlier version of the project extracted; its results cannot be read.
    """

    extraction: Extraction | None
    partitions: Sequence[Mapping[str, Any]] = ()
    validated: Sequence[Mapping[str, Any]] = ()
    built: Sequence[Mapping[str, Any]] = ()
    approved: Sequence[Mapping[str, Any]] | None = None
    approval: Approval | None = None
    loaded: Sequence[Mapping[str, Any]] = ()
    accepted: Mapping[int, int] = field(default_factory=dict)
    requests: int = 0
    first_orders: int | None = None
    is_of_earlier_version: bool = False
    dry_run: bool = False


@dataclass
class RunAccount:
    """
    The account of a run.

    :param counts: as :func:`rees46_sync.ledger.runs.new_account` describes them.
    :param would_send: what a dry run would have sent, by REES46 status; empty otherwise.
    :param unfinished: what did not finish, in words; empty for a successful run.
    :param sent_twice: orders that two attempts of a task sent at the same time (Airflow starts another attempt while
        one whose scheduler died is still alive); REES46 accepts that without harm.
    :param resent: how many of the sent orders were unchanged, in a resend because of ``resend_every``; None in others.
    :param remedy: what to do about what did not finish.
    """

    counts: Counter[str] = field(default_factory=new_account)
    would_send: Counter[str] = field(default_factory=Counter)
    unfinished: list[str] = field(default_factory=list)
    sent_twice: int = 0
    resent: int | None = None
    remedy: str = NEXT_RUN
    dry_run: bool = False

    @property
    def as_row(self) -> dict[str, int]:
        """The counts as one flat object; a dry run has the further key ``would_send``."""
        return dict(self.counts) | ({"would_send": self.would_send.total()} if self.dry_run else {})


def close_sum(results: RunResults) -> RunAccount:
    """
    Add up a run.

    :raises AccountingError: the sum does not close, or disagrees with the ledger.
    """
    account = RunAccount(dry_run=results.dry_run)
    if results.is_of_earlier_version:
        account.unfinished.append(
            "the results of extract_orders were written by an earlier version of this project, so this run has to be "
            "cleared from extract_orders"
        )
        return account
    if results.extraction is None:
        account.unfinished.append("extract_orders did not finish: nothing was read")
        return account
    counts = account.counts
    extraction = results.extraction
    counts.update({name: extraction[name] for name in ("read", "superseded", "held")}, requests=results.requests)
    validated, built = ({result["index"]: result for result in part} for part in (results.validated, results.built))
    # If the run was cleared, a load that Airflow did not start again has left the tally of an earlier extraction.
    loaded = {one["index"]: one for one in results.loaded if one["extraction_id"] == extraction["extraction_id"]}
    for partition in results.partitions:
        _add_partition(partition, validated, built, loaded, results, account)
    if results.partitions and results.approved is None and len(built) == len(results.partitions):
        not_approved = f"ask_approval let nothing through: {results.approval}"
        stopped = "approve_changes stopped the run before anything was sent"
        account.unfinished.append(not_approved if results.approval else stopped)
    if extraction["missing"]:
        _add_missing(extraction, account)
    if extraction["is_resend"]:
        account.resent = sum(
            min(one["resent"], loaded[index]["sent"] if index in loaded else results.accepted.get(index, 0))
            for index, one in built.items()
        )
    accounted = sum(counts[name] for name in ACCOUNT_PARTS) + account.would_send.total()
    if accounted != counts["read"]:
        raise AccountingError(
            f"The sum of this run does not close: read {counts['read']}, accounted for {accounted} ({dict(counts)}); "
            "rows are missing or counted twice"
        )
    return account


def _add_missing(extraction: Extraction, account: RunAccount) -> None:
    if not account.unfinished:
        account.remedy = ORDER_IDS_REMEDY
    account.unfinished.append(
        f"order_ids names {extraction['missing']}, which the query does not return for the window "
        f"{extracted_window(extraction)}"
    )


def _add_partition(
    partition: Mapping[str, Any],
    validated: Mapping[int, Mapping[str, Any]],
    built: Mapping[int, Mapping[str, Any]],
    loaded: Mapping[int, Mapping[str, Any]],
    results: RunResults,
    account: RunAccount,
) -> None:
    counts, index = account.counts, partition["index"]
    if index not in validated:
        counts["failed"] += partition["rows"]
        account.unfinished.append(f"validate_statuses of partition {index} did not finish: {partition['rows']} rows")
        return
    counts["rejected"] += validated[index]["rejected"]
    if index not in built:
        valid = validated[index]["valid"]
        counts["failed"] += valid
        account.unfinished.append(f"build_batches of partition {index} did not finish: {valid} rows")
        return
    batches = built[index]
    counts.update({name: batches[name] for name in ("unchanged", "stale", "reopened", "held")})
    if not batches["orders"]:
        return
    accepted = results.accepted.get(index, 0)
    if index in loaded:
        _add_load(index, loaded[index], accepted, account)
    elif results.dry_run and results.approved is not None:
        account.would_send.update(batches["by_status"])
    else:
        sent = min(accepted, batches["orders"])
        missing = batches["orders"] - sent
        counts.update(sent=sent, failed=missing)
        if results.approved is not None:
            account.unfinished.append(f"load_batches of partition {index} did not finish: {missing} orders not sent")


def _add_load(index: int, tally: Mapping[str, Any], accepted: int, account: RunAccount) -> None:
    if tally["sent"] > accepted:
        raise AccountingError(
            f"load_batches of partition {index} counts {tally['sent']} orders as sent, the ledger {accepted}"
        )
    account.sent_twice += accepted - tally["sent"]
    account.counts.update({name: tally.get(name, 0) for name in TALLY_PARTS})
    if tally["failed"]:
        problem = f": {tally['problem'].rstrip('.')}" if "problem" in tally else ""
        account.unfinished.append(f"load_batches of partition {index} could not send {tally['failed']} orders{problem}")


def count_reasons(validated: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Add up the reasons of all partitions."""
    return sum((Counter(result["reasons"]) for result in validated), Counter())
