"""
Send a partition's orders to REES46 in batches, several at a time, and record each answer as soon as it is read.

Right before a batch goes out the ledger is asked once more what REES46 has: another run may have sent newer versions
since the batch was built, and an earlier try of this task may have sent some of it. So a retry sends only what is
missing; only a batch whose answer was never read can be sent twice, which REES46 takes without harm. That a request
goes out is in the ledger before it does, so that whatever kills the task, its orders are known to be uncertain.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import pandas as pd

from rees46_sync import batches
from rees46_sync.batches import Reading
from rees46_sync.exceptions import LedgerError, Rees46Error, Rees46RejectedError
from rees46_sync.ledger import Ledger, RunRef

log = logging.getLogger(__name__)

MOST_REJECTED = 3
"""Rejected batches after which a task stops: each costs the shop an error e-mail from REES46."""

MOST_UNANSWERED = 3
"""Batches in a row without a clear answer after which a task stops: the service is down, Airflow waits better."""


class Sender(Protocol):
    """What sends a batch: :class:`rees46_sync.hooks.Rees46Hook`."""

    def send(self, orders: Sequence[tuple[str, int]]) -> int:
        """Send pairs of order id and status; return how many requests it took."""
        ...


@dataclass
class Tally:
    """
    What became of the orders of one partition.

    :param sent: accepted by REES46, in this try of the task or an earlier one.
    :param failed: refused, without a clear answer, or not tried after too many of these.
    """

    orders: int
    sent: int = 0
    unchanged: int = 0
    stale: int = 0
    reopened: int = 0
    failed: int = 0


@dataclass(frozen=True)
class _Sent:
    """A batch that is under way: its orders, and its number among the ledger's open requests."""

    orders: pd.DataFrame
    number: int


class Delivery:
    """
    One partition's way to REES46.

    :param batch_size: the largest number of orders in a request.
    :param concurrency: requests under way at the same time.
    """

    def __init__(
        self,
        *,
        sender: Sender,
        ledger: Ledger,
        run: RunRef,
        partition: int,
        reading: Reading,
        batch_size: int,
        concurrency: int,
    ) -> None:
        self.sender = sender
        self.ledger = ledger
        self.run = run
        self.partition = partition
        self.reading = reading
        self.batch_size = batch_size
        self.concurrency = concurrency
        self.tally = Tally(0)
        self.errors: list[Rees46Error] = []
        self.told_to_stop = False
        self._unanswered_in_a_row = 0

    def stop(self) -> None:
        """Start no further batch; what is under way is heard and recorded."""
        self.told_to_stop = True

    def deliver(self, orders: pd.DataFrame) -> Tally:
        """
        Send the orders; every one of them ends up in the tally.

        :param orders: columns order_id, code, updated_at.
        :return: the tally; what went wrong is in :attr:`errors`.
        """
        self.tally = Tally(orders=len(orders))
        self.ledger.note_unanswered(self.run.shop)
        waiting = batches.in_batches(orders, self.batch_size)
        under_way: dict[Future[int], _Sent] = {}
        with ThreadPoolExecutor(self.concurrency, thread_name_prefix="rees46") as threads:
            try:
                while self._start(threads, waiting, under_way) or under_way:
                    for answered in wait(under_way, return_when=FIRST_COMPLETED).done:
                        self._record(answered, under_way.pop(answered))
            except BaseException:  # whatever it is: what is under way may be accepted, so hear and record it
                for answered in wait(under_way).done:
                    with suppress(LedgerError):
                        self._record(answered, under_way.pop(answered))
                raise
        if left := sum(len(self._due(batch)) for batch in waiting):
            self.tally.failed += left
            log.error("%s: %d orders of partition %d were not tried.", self._why_stopped, left, self.partition)
        return self.tally

    def _start(
        self,
        threads: ThreadPoolExecutor,
        waiting: Iterator[pd.DataFrame],
        under_way: dict[Future[int], _Sent],
    ) -> bool:
        """Fill the free places with the next batches; return whether any was started."""
        started = False
        while (
            len(under_way) < self.concurrency and not self._why_stopped and (batch := next(waiting, None)) is not None
        ):
            due = self._due(batch)
            if len(due):
                pairs = list(zip(due["order_id"].tolist(), due["code"].tolist(), strict=True))
                number = self.ledger.open_request(self.run.shop, due)
                under_way[threads.submit(self.sender.send, pairs)] = _Sent(due, number)
                started = True
        return started

    @property
    def worst_error(self) -> Rees46Error:
        """The error that decides about a retry: one that waiting can mend, the longest wait first; else a refusal."""

        def wait_asked_for(error: Rees46Error) -> tuple[bool, timedelta]:
            asked = getattr(error, "retry_after", None)
            return not isinstance(error, Rees46RejectedError), asked or timedelta(0)

        return max(self.errors, key=wait_asked_for)

    @property
    def _why_stopped(self) -> str:
        """Why no further batch is started; empty while there is no reason."""
        rejected = sum(isinstance(error, Rees46RejectedError) for error in self.errors)
        if self.told_to_stop:
            return "Stopped, because Airflow says so"
        if rejected >= MOST_REJECTED:
            return f"Stopped after {rejected} refused batches"
        if self._unanswered_in_a_row >= MOST_UNANSWERED:
            return f"Stopped after {self._unanswered_in_a_row} batches in a row without a clear answer"
        return ""

    def _due(self, batch: pd.DataFrame) -> pd.DataFrame:
        """Count what need not be sent any more; return the rest."""
        known = self.ledger.lookup(self.run.shop, batch["order_id"].tolist(), self.run.extraction_id)
        sent_here = batch["order_id"].isin(known.loc[known["sent_here"], "order_id"])
        open_orders = batch[~sent_here]
        verdicts = batches.compare(open_orders, known, self.reading)
        counts = batches.counts_of(verdicts)
        self.tally.sent += int(sent_here.sum())
        self.tally.unchanged += counts[batches.UNCHANGED]
        self.tally.stale += counts[batches.STALE]
        self.tally.reopened += counts[batches.REOPENED]
        return open_orders[verdicts == batches.SEND]

    def _record(self, answered: Future[int], sent: _Sent) -> None:
        """Read one answer and write it to the ledger in the same breath."""
        batch = sent.orders
        try:
            requests = answered.result()
        except Rees46Error as error:
            log.error("Batch of %d orders, from order %s on: %s", len(batch), batch["order_id"].iloc[0], error)
            self.errors.append(error)
            is_answer = isinstance(error, Rees46RejectedError)
            self._unanswered_in_a_row = 0 if is_answer else self._unanswered_in_a_row + 1
            self.tally.failed += len(batch)
            # A batch is tried again only after a try without a clear answer: that one may have reached REES46.
            is_answered = is_answer and error.requests == 1
            self.ledger.record_not_accepted(
                self.run,
                self.partition,
                len(batch),
                error.requests,
                error.outcome,
                sent.number if is_answered else None,
            )
        else:
            self._unanswered_in_a_row = 0
            self.ledger.record_accepted(self.run, self.partition, batch, requests, sent.number)
            self.tally.sent += len(batch)
