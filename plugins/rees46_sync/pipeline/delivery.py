"""
Send a partition's orders to REES46 in batches, several at a time, and record each answer as soon as it is read.

While requests are under way, the ledger is told of the next ones, and of the answers to those before: a place among the
requests is held from a last look at the ledger to the answer, and given free before the answer is recorded. At most
:data:`UNRECORDED` answers wait for that.

The ledger is asked once more what REES46 has where that can have changed: another run may have sent newer versions
since the batches were built, and an earlier try of this task may have sent some of them. So a retry sends only what is
missing; only a batch whose answer was never read can be sent twice, which REES46 takes without harm. It is asked ahead,
for many batches at once; where another run has found out anything since, the batch is asked for again. That a request
goes out is in the ledger before it does, so that whatever kills the task, its orders are known to be uncertain.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import pandas as pd
from more_itertools import chunked, peekable
from structlog.contextvars import bind_contextvars

from rees46_sync.exceptions import Rees46Error, Rees46RejectedError
from rees46_sync.ledger.confirmations import Readings
from rees46_sync.ledger.database import ACCEPTED, Answer, Ledger, News, OpenRequest, RunRef
from rees46_sync.pipeline import diff as batches
from rees46_sync.pipeline.diff import Reading
from rees46_sync.rees46.payload import Status

log = logging.getLogger(__name__)

MOST_REJECTED = 3
"""Rejected batches after which a task stops: each costs the shop an error e-mail from REES46."""

MOST_UNANSWERED = 3
"""Batches in a row without a clear answer after which a task stops: the service is down, Airflow waits better."""

UNRECORDED = 2
"""Answers that may wait to be recorded while further requests go out; a killed task loses them as well."""

WRITTEN_AT_ONCE = 4
"""Requests that are written down together, and then go out one by one: one transaction instead of one each."""

ASKED_AT_ONCE = 20_000
"""Orders about which the ledger is asked at once, ahead of their requests."""


class Sender(Protocol):
    """What sends a batch: :class:`rees46_sync.rees46.hook.Rees46Hook`."""

    def send(self, orders: Sequence[tuple[str, Status]]) -> int:
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
class _Due:
    """
    Orders that are to be sent.

    :param news: what other readings had found out when the ledger was asked.
    """

    orders: pd.DataFrame
    news: News


class Delivery:
    """
    One partition's way to REES46.

    :param statuses_of: what is sent as the status of each of some orders; the ledger has their code all the same.
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
        statuses_of: Callable[[pd.DataFrame], Sequence[Status]],
        batch_size: int,
        concurrency: int,
    ) -> None:
        self.sender = sender
        self.ledger = ledger
        self.readings = Readings(ledger)
        self.run = run
        self.partition = partition
        self.reading = reading
        self.statuses_of = statuses_of
        self.batch_size = batch_size
        self.concurrency = concurrency
        self.tally = Tally(0)
        self.errors: list[Rees46Error] = []
        self.told_to_stop = False
        self._not_tried = 0
        self._unanswered_in_a_row = 0
        self._places = threading.BoundedSemaphore(concurrency)
        self._unrecorded = threading.BoundedSemaphore(UNRECORDED)
        self._counting = threading.Lock()

    def stop(self) -> None:
        """Start no further batch; what is under way is heard and recorded."""
        self.told_to_stop = True

    def deliver(self, orders: pd.DataFrame, compared_at: Mapping[str, int] | None = None) -> Tally:
        """
        Send the orders; every one of them ends up in the tally.

        :param orders: columns order_id, code, updated_at, and what ``statuses_of`` needs.
        :param compared_at: what the comparison of these orders with the ledger rested on,
            :func:`rees46_sync.pipeline.diff.basis_of`; trusted as long as that is the same.
        :return: the tally; what went wrong is in :attr:`errors`.
        :raises LedgerError: the ledger did not answer; what was under way has been heard, and recorded where it could.
        """
        self.tally, self._not_tried = Tally(orders=len(orders)), 0
        self._sent: list[Future[None]] = []
        self._recorded: list[Future[None]] = []
        self.ledger.note_unanswered(self.run.shop)
        # Whatever happens, leaving the block waits for what is under way, the senders first: it may be accepted, so it
        # is recorded.
        with (
            ThreadPoolExecutor(1, "rees46-record") as recorder,
            ThreadPoolExecutor(1, "rees46-ledger") as ahead,
            ThreadPoolExecutor(self.concurrency, "rees46-send") as senders,
        ):
            self._recorder = recorder
            for due in self._still_due(orders, compared_at, ahead):
                pieces = batches.in_batches(due.orders, self.batch_size)
                for some in chunked(pieces, WRITTEN_AT_ONCE):
                    self._start(senders, [_Due(batch, due.news) for batch in some])
        for ended in [*self._sent, *self._recorded]:
            ended.result()
        if self._not_tried:
            log.error(
                "%s: %d orders of partition %d were not tried.", self._why_stopped, self._not_tried, self.partition
            )
        return self.tally

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

    def _still_due(
        self, orders: pd.DataFrame, compared_at: Mapping[str, int] | None, ahead: Executor
    ) -> Iterator[_Due]:
        """Return what is to be sent, :data:`ASKED_AT_ONCE` orders at a time, of which the next are asked ahead."""
        if self.partition in self.ledger.delivered(self.run.extraction_id):
            compared_at = None  # it knows nothing of what the try before has sent
        pieces = batches.in_batches(orders, ASKED_AT_ONCE)
        asked = peekable(ahead.submit(self._take_due, piece, compared_at) for piece in pieces)
        for answer in asked:
            asked.peek(None)  # the next piece is asked while this one is sent
            yield answer.result()

    def _take_due(self, orders: pd.DataFrame, compared_at: Mapping[str, int] | None = None) -> _Due:
        """Count what need not be sent any more; return the rest: all, where all is as when they were compared."""
        news = self.ledger.news(self.run)
        if batches.basis_of(news, self.reading) == compared_at:
            return _Due(orders, news)
        known = self.ledger.lookup(self.run.shop, orders["order_id"].tolist(), self.run.extraction_id)
        found = orders[["order_id"]].merge(known[["order_id", "sent_here"]], on="order_id", how="left")
        sent_here = found["sent_here"].eq(True).set_axis(orders.index)
        open_orders = orders[~sent_here]
        verdicts = batches.compare(open_orders, known, self.reading)
        counts = batches.counts_of(verdicts)
        self._count(
            sent=int(sent_here.sum()),
            unchanged=counts[batches.UNCHANGED],
            stale=counts[batches.STALE],
            reopened=counts[batches.REOPENED],
        )
        # Not asked again as after building: another load that could have sent them meanwhile waits for the pool's slot.
        self.readings.overtake(self.run, batches.newly_unchanged(open_orders, known, verdicts))
        return _Due(open_orders[verdicts == batches.SEND], news)

    def _start(self, senders: Executor, dues: Sequence[_Due]) -> None:
        """Write requests down, and have each sent as soon as there is a place; nothing where all has stopped."""
        if self._why_stopped:
            for due in dues:
                self._leave_out(due)
            return
        for due, request in zip(dues, self._write_down(*dues), strict=True):
            self._places.acquire()
            # A thread knows nothing of what the task's log lines say of themselves, unless it is told.
            fields = copy_context()
            fields.run(bind_contextvars, batch=len(self._sent))
            self._sent.append(senders.submit(fields.run, self._send, due, request))

    def _write_down(self, *dues: _Due) -> list[OpenRequest]:
        return self.ledger.open_requests(self.run, [due.orders for due in dues])

    def _send(self, due: _Due, request: OpenRequest) -> None:
        with self._giving_free(self._places):
            self._send_what_is_still_due(due, request)

    def _send_what_is_still_due(self, due: _Due, request: OpenRequest) -> None:
        if self._why_stopped:
            self.ledger.withdraw_request(request)
            self._leave_out(due)
            return
        # Asked only now that the request is in the ledger: who overtakes one of its orders after this sees it there.
        if self.ledger.news(self.run) != due.news:
            self.ledger.withdraw_request(request)
            due = self._take_due(due.orders)
            if len(due.orders):
                [request] = self._write_down(due)
                self._send_what_is_still_due(due, request)
            return
        order_ids, statuses = due.orders["order_id"].tolist(), self.statuses_of(due.orders)
        try:
            requests = self.sender.send(list(zip(order_ids, statuses, strict=True)))
        except Rees46Error as error:
            self._note_error(error, order_ids[0], request)
            # A batch is tried again only after a try without a clear answer: that one may have reached REES46.
            refused_at_once = isinstance(error, Rees46RejectedError) and error.requests == 1
            answer = Answer(request, error.requests, error.outcome, may_have_arrived=not refused_at_once)
        else:
            self._unanswered_in_a_row = 0
            answer = Answer(request, requests)
        self._unrecorded.acquire()
        self._recorded.append(self._recorder.submit(self._record, answer))

    def _record(self, answer: Answer) -> None:
        with self._giving_free(self._unrecorded):
            self.ledger.record_answer(self.run, self.partition, answer)
            if answer.outcome == ACCEPTED:
                self._count(sent=answer.request.count)

    def _note_error(self, error: Rees46Error, first_id: str, request: OpenRequest) -> None:
        log.error("Batch of %d orders, from order %s on: %s", request.count, first_id, error)
        self.errors.append(error)
        refused = isinstance(error, Rees46RejectedError)
        self._unanswered_in_a_row = 0 if refused else self._unanswered_in_a_row + 1
        self._count(failed=request.count)

    def _leave_out(self, due: _Due) -> None:
        self._count(failed=len(due.orders))
        with self._counting:
            self._not_tried += len(due.orders)

    @contextmanager
    def _giving_free(self, place: threading.Semaphore) -> Iterator[None]:
        try:
            yield
        except BaseException:  # a defect, SystemExit too: nothing more is started, and it goes on to the task
            self.stop()
            raise
        finally:
            place.release()

    def _count(self, **counts: int) -> None:
        """Add to the tally, from whichever thread."""
        with self._counting:
            for name, count in counts.items():
                setattr(self.tally, name, getattr(self.tally, name) + count)
