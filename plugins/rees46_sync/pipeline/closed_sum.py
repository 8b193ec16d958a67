"""
The closed sum of a run: every row that was read is accounted for, once.

    read = sent + unchanged + superseded + stale + reopened + rejected + held + failed

If a load was killed, the ledger says what it sent; if it was not, its own count is checked against the ledger.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rees46_sync.exceptions import AccountingError
from rees46_sync.ledger.approvals import Approval
from rees46_sync.ledger.quarantine import REFUSED_BY_REES46
from rees46_sync.ledger.runs import ACCOUNT_PARTS, new_account
from rees46_sync.pipeline.causes import Cause, fingerprint
from rees46_sync.pipeline.order_ids import ORDER_IDS_REMEDY
from rees46_sync.pipeline.run import Extraction, extracted_window
from rees46_sync.pipeline.tally import TALLY_PARTS

NO_CAUSE = (
    "see the logs of these tasks: one that was killed, or ran for too long, leaves no cause. The next run of this shop "
    "reads the same orders again and sends what is missing"
)
"""The remedy of a task that left no cause."""


MAX_EXAMPLES = 5
"""Order ids of each part of the sum in a run's record."""


@dataclass
class RunResults:
    """
    What the tasks of a run left (their XComs); what is missing did not finish.

    :param extraction: of extract_orders; None if it failed.
    :param approved: of approve_changes, or of ask_approval if approval was requested; None if it failed or did not run.
    :param approval: the request for approval, or the decision; None if none was requested.
    :param accepted: accepted orders by partition, from the ledger.
    :param causes: why tasks failed, in the order of the flow.
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
    causes: Sequence[Cause] = ()
    first_orders: int | None = None
    is_of_earlier_version: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Unfinished:
    """
    Something of a run that did not finish.

    :param task: the id of the task.
    :param effect: what did not happen because of it, in words; ``{count}`` in it is the number of rows or orders.
    :param partition: the index of the first of the task's partitions that it is about; None if the task has none.
    :param cause: why; None if the task left none.
    """

    task: str
    effect: str
    partition: int | None = None
    partitions: int = 1
    count: int = 0
    cause: Cause | None = None

    def __str__(self) -> str:
        of = f" of {self.partitions} partitions" if self.partitions > 1 else f" of partition {self.partition}"
        effect = self.effect.format(count=self.count)
        problem = f": {self.cause['problem'].rstrip('.')}" if self.cause else ""
        return f"{self.task}{'' if self.partition is None else of} {effect}{problem}"

    def joined(self, other: Unfinished) -> Unfinished | None:
        """Return both as one if they say the same of different partitions, else None."""
        if (self.task, self.effect) != (other.task, other.effect) or not _is_same(self.cause, other.cause):
            return None
        return replace(self, partitions=self.partitions + other.partitions, count=self.count + other.count)


def _is_same(one: Cause | None, other: Cause | None) -> bool:
    return (one and one["problem"]) == (other and other["problem"])


@dataclass
class RunAccount:
    """
    The account of a run.

    :param counts: as :func:`rees46_sync.ledger.runs.new_account` describes them.
    :param reasons: the rejected rows by reason; a row can have several.
    :param would_send: what a dry run would have sent, by REES46 status; empty otherwise.
    :param unfinished: what did not finish, in words; empty for a successful run.
    :param causes: why, as far as the tasks have left it.
    :param examples: a few order ids of each part of the sum, as far as the tasks have left them.
    :param sent_twice: orders that two attempts of a task sent at the same time (Airflow starts another attempt while
        one whose scheduler died is still alive); REES46 accepts that without harm.
    :param resent: how many of the sent orders were unchanged, in a resend because of ``resend_every``; None in others.
    :param remedies: what to do about what did not finish, if no task has left a remedy.
    """

    counts: Counter[str] = field(default_factory=new_account)
    reasons: Counter[str] = field(default_factory=Counter)
    would_send: Counter[str] = field(default_factory=Counter)
    unfinished: list[str] = field(default_factory=list)
    causes: list[Cause] = field(default_factory=list)
    examples: dict[str, list[str]] = field(default_factory=dict)
    sent_twice: int = 0
    resent: int | None = None
    remedies: list[str] = field(default_factory=list)
    dry_run: bool = False

    @property
    def remedy(self) -> str:
        """What a person does about what did not finish: of each cause, the first one first."""
        if not self.unfinished:
            return ""
        remedies = dict.fromkeys([*(cause["remedy"] for cause in self.causes), *self.remedies])
        return ". Also: ".join(remedies) or NO_CAUSE

    @property
    def cause_id(self) -> str:
        """What identifies the causes, so that another failure is known as one; empty for a successful run."""
        return fingerprint(self.causes) if self.unfinished else ""

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
        account.remedies.append(
            "clear this run from extract_orders, or leave its orders to the next regular run, which reads them again"
        )
        return account
    if results.extraction is None:
        unfinished = [_unfinished(results, "extract_orders", "did not finish, so nothing was read")]
        return _add_unfinished(account, unfinished)
    counts = account.counts
    extraction = results.extraction
    counts.update({name: extraction[name] for name in ("read", "superseded", "held")}, requests=results.requests)
    account.reasons = count_reasons(results.validated)
    validated, built = ({result["index"]: result for result in part} for part in (results.validated, results.built))
    # If the run was cleared, a load that Airflow did not start again has left the tally of an earlier extraction.
    loaded = {one["index"]: one for one in results.loaded if one["extraction_id"] == extraction["extraction_id"]}
    unfinished = []
    for partition in results.partitions:
        unfinished += _add_partition(partition, validated, built, loaded, results, account)
    if results.partitions and results.approved is None and len(built) == len(results.partitions):
        task = "ask_approval" if results.approval else "approve_changes"
        unfinished.append(_unfinished(results, task, "stopped the run before anything was sent"))
    _add_unfinished(account, unfinished)
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
    account.remedies.append(ORDER_IDS_REMEDY)
    account.unfinished.append(
        f"order_ids names {extraction['missing']}, which the query does not return for the window "
        f"{extracted_window(extraction)}"
    )


def _unfinished(
    results: RunResults, task: str, effect: str, partition: int | None = None, count: int = 0
) -> Unfinished:
    causes = (cause for cause in results.causes if cause["task"] == task and cause["partition"] == partition)
    return Unfinished(task, effect, partition, count=count, cause=next(causes, None))


def _add_unfinished(account: RunAccount, unfinished: Sequence[Unfinished]) -> RunAccount:
    """Say what did not finish, and why; what is the same of several partitions, once."""
    lines: list[Unfinished] = []
    for one in unfinished:
        for number, line in enumerate(lines):
            if (both := line.joined(one)) is not None:
                lines[number] = both
                break
        else:
            lines.append(one)
    account.unfinished += [str(line) for line in lines]
    account.causes += [line.cause for line in lines if line.cause]
    return account


def _add_partition(
    partition: Mapping[str, Any],
    validated: Mapping[int, Mapping[str, Any]],
    built: Mapping[int, Mapping[str, Any]],
    loaded: Mapping[int, Mapping[str, Any]],
    results: RunResults,
    account: RunAccount,
) -> Iterator[Unfinished]:
    """Add a partition to the account; yield what of it did not finish."""
    counts, index = account.counts, partition["index"]
    if index not in validated:
        counts["failed"] += partition["rows"]
        yield _unfinished(results, "validate_statuses", "did not finish, {count} rows", index, partition["rows"])
        return
    counts["rejected"] += validated[index]["rejected"]
    if index not in built:
        valid = validated[index]["valid"]
        counts["failed"] += valid
        yield _unfinished(results, "build_batches", "did not finish, {count} rows", index, valid)
        return
    batches = built[index]
    counts.update({name: batches[name] for name in ("unchanged", "stale", "reopened", "held")})
    accepted = results.accepted.get(index, 0)
    _add_examples(batches, accepted, account)
    if not batches["orders"]:
        return
    if index in loaded:
        _add_load(index, loaded[index], accepted, account)
        if loaded[index]["failed"]:
            failed = loaded[index]["failed"]
            yield _unfinished(results, "load_batches", "could not send {count} orders", index, failed)
    elif results.dry_run and results.approved is not None:
        account.would_send.update(batches["by_status"])
    else:
        sent = min(accepted, batches["orders"])
        missing = batches["orders"] - sent
        counts.update(sent=sent, failed=missing)
        if results.approved is not None:
            yield _unfinished(results, "load_batches", "did not finish, {count} orders not sent", index, missing)


def _add_examples(batches: Mapping[str, Any], accepted: int, account: RunAccount) -> None:
    """Keep the first examples of each part. Those that were to be sent count if all were, or none was."""
    for part, order_ids in batches.get("examples", {}).items():
        name = part
        if part == "sent" and accepted < batches["orders"]:
            name = "" if accepted else "failed"
        if name and order_ids:
            known = account.examples.setdefault(name, [])
            known += order_ids[: MAX_EXAMPLES - len(known)]


def _add_load(index: int, tally: Mapping[str, Any], accepted: int, account: RunAccount) -> None:
    if tally["sent"] > accepted:
        raise AccountingError(
            f"load_batches of partition {index} counts {tally['sent']} orders as sent, the ledger {accepted}"
        )
    account.sent_twice += accepted - tally["sent"]
    account.counts.update({name: tally.get(name, 0) for name in TALLY_PARTS})
    if refused := tally.get("rejected", 0):
        account.reasons[REFUSED_BY_REES46] += refused


def count_reasons(validated: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Add up the reasons of all partitions."""
    return sum((Counter(result["reasons"]) for result in validated), Counter())
