"""
Send a partition's orders to REES46 in batches, several at a time, and record each result as soon as it is known.

Three things overlap: requests are in flight, the results of earlier ones are recorded, and the ledger is asked about
the next orders. A slot is held from the final ledger check until the response arrives, and released before the result
is recorded; at most :data:`MAX_UNRECORDED` results wait to be recorded.

A load takes the shop's lease when it starts, and stops when another load has taken the next one. Right before each POST
it checks the lease and the ledger's change token. If the token has moved since the orders were compared, they are
compared again: another run may have sent or confirmed newer versions, or an earlier attempt of this task have sent some
of the orders. So a retry sends only what is missing; only a batch whose response was never read can be sent twice,
which REES46 accepts without harm. A request is recorded before it is sent, so that its orders are known to be
uncertain, whatever kills the task.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Protocol

import pandas as pd
from more_itertools import chunked, peekable
from structlog.contextvars import bind_contextvars

from rees46_sync.exceptions import Rees46Error, Rees46RejectedError
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.refused_orders import RefusedOrders
from rees46_sync.ledger.requests import (
    ACCEPTED,
    ChangeToken,
    InFlightRequest,
    RequestOrders,
    RequestResult,
    Requests,
    request_orders,
)
from rees46_sync.ledger.runs import RunRef
from rees46_sync.pipeline import diff
from rees46_sync.pipeline.bad_orders import BadOrderSearch
from rees46_sync.pipeline.circuit_breaker import CircuitBreaker
from rees46_sync.pipeline.comparison import compare_and_confirm
from rees46_sync.pipeline.diff import DiffContext
from rees46_sync.pipeline.tally import Tally
from rees46_sync.rees46.dialects import Status

if TYPE_CHECKING:
    from rees46_sync.rees46.hook import SendResult

log = logging.getLogger(__name__)

MAX_UNRECORDED = 2
"""Results that may wait to be recorded while further requests are sent; a killed task loses them as well."""

RECORD_CHUNK = 4
"""Requests that are recorded in one transaction, and then sent one by one."""

ANOTHER_LOAD = "another load of this shop, which started later"

RECHECK_CHUNK = 20_000
"""Orders that are compared with the ledger at once, ahead of their requests."""


class Sender(Protocol):
    """Sends a batch: :class:`rees46_sync.rees46.hook.Rees46Hook`."""

    def send(self, orders: Sequence[tuple[str, Status]], may_post: Callable[[], bool]) -> SendResult:
        """Send pairs of order id and status; ask before each request. Without a request if none was allowed."""
        ...

    def stop_waiting(self) -> None:
        """End all waits between requests."""
        ...


class Slots(Protocol):
    """Limits what is under way: a semaphore, or :class:`rees46_sync.rees46.adaptive_slots.AdaptiveSlots`."""

    def acquire(self) -> object:
        """Wait for a slot."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


@dataclass(frozen=True)
class _DueOrders:
    """Orders that are to be sent, and the change token of the ledger when they were compared with it."""

    orders: pd.DataFrame
    change_token: ChangeToken


@dataclass(frozen=True)
class _Batch:
    """
    Due orders that make one request.

    What each request needs is converted for many at once: pandas takes almost as long for 1000 orders as for 20,000.

    :param all_due: orders sorted by id, of which those of the batch begin at ``start``.
    :param recorded: them as the ledger keeps them.
    """

    all_due: pd.DataFrame
    start: int
    order_ids: Sequence[str]
    statuses: Sequence[Status]
    recorded: RequestOrders
    change_token: ChangeToken

    @property
    def orders(self) -> pd.DataFrame:
        """The orders of the batch."""
        return self.all_due.iloc[self.start : self.start + len(self)]

    def __len__(self) -> int:
        """Return the number of orders."""
        return self.recorded.count


class Delivery:
    """
    The delivery of one partition.

    :param statuses_to_send: returns the status to send for each of some orders; the ledger stores their code.
    :param batch_size: the largest number of orders in a request.
    :param concurrency: the largest number of requests in flight.
    :param slots: limits them further; by default nothing does.
    """

    def __init__(
        self,
        *,
        sender: Sender,
        ledger: Ledger,
        run: RunRef,
        partition: int,
        context: DiffContext,
        statuses_to_send: Callable[[pd.DataFrame], Sequence[Status]],
        batch_size: int,
        concurrency: int,
        slots: Slots | None = None,
    ) -> None:
        self.sender = sender
        self.ledger = ledger
        self.requests = Requests(ledger)
        self.run = run
        self.partition = partition
        self.context = context
        self.statuses_to_send = statuses_to_send
        self.batch_size = batch_size
        self.concurrency = concurrency
        self.breaker = CircuitBreaker()
        self.tally = Tally()
        self._skipped = Tally()
        self._slots: Slots = slots or threading.BoundedSemaphore(concurrency)
        self._unrecorded = threading.BoundedSemaphore(MAX_UNRECORDED)

    def stop(self, stopped_by: str = "Airflow") -> None:
        """Send no further batch; the responses to those in flight are still received and recorded."""
        self.breaker.request_stop(stopped_by)
        self.sender.stop_waiting()

    def deliver(self, orders: pd.DataFrame, token: Mapping[str, int] | None = None) -> dict[str, int]:
        """
        Send the orders.

        :param orders: columns order_id, code, updated_at, and what ``statuses_to_send`` needs.
        :param token: :func:`rees46_sync.pipeline.diff.comparison_token` of the comparison that found these orders; they
            are not compared again while it is unchanged.
        :return: the tally, in which each order is counted once; the errors are in :attr:`breaker`.
        :raises LedgerError: the ledger did not answer; the responses in flight were received, and recorded if possible.
        """
        self.tally, self._skipped = Tally(len(orders)), Tally()
        self.search = BadOrderSearch(RefusedOrders(self.ledger), self.run.shop, resend=self.context.resend)
        self._refusal: Rees46RejectedError | None = None
        self._numbers = count()
        self._sent: list[Future[None]] = []
        self._recorded: list[Future[None]] = []
        self._lease = self.requests.take_lease(self.run.shop)
        # Whatever happens, leaving the block waits for what is in flight, the senders first: it may be accepted, so it
        # has to be recorded.
        with (
            ThreadPoolExecutor(1, "rees46-record") as recorder,
            ThreadPoolExecutor(1, "rees46-ledger") as ahead,
            ThreadPoolExecutor(self.concurrency, "rees46-send") as senders,
        ):
            self._recorder = recorder
            for batches in self._recheck_ahead(self.search.set_aside(orders), token, ahead):
                for chunk in chunked(batches, RECORD_CHUNK):
                    self._start(senders, chunk)
            self._wait()
            for smaller in self.search.batches():
                # One at a time: each one that is refused is a mail.
                if batches := self._batches(self._recheck(smaller)):
                    self._start(senders, batches)
                    self._wait()
        self._account_for_bad_orders()
        if skipped := self._skipped.counts["failed"]:
            log.error("%s: %d orders of partition %d were skipped.", self.breaker.stop_reason, skipped, self.partition)
        return self.tally.counts

    def _wait(self) -> None:
        """Wait until everything that was started is sent and recorded."""
        for pending in (self._sent, self._recorded):
            while pending:
                pending.pop().result()

    def _account_for_bad_orders(self) -> None:
        """Count the orders that were refused alone; without a sign that the shop's keys are right they have failed."""
        search = self.search
        search.record()
        self.tally.add(rejected=len(self.bad_orders))
        self.tally.add(failed=len(search.known_bad) + len(search.bad) - len(self.bad_orders))
        if self._refusal and self.tally.counts["failed"]:
            self.breaker.record_error(self._refusal)

    @property
    def bad_orders(self) -> pd.DataFrame:
        """The orders that count as rejected."""
        found = self.search.bad if self.search.is_accepting else self.search.bad[:0]
        return pd.concat([self.search.known_bad, found])

    def _recheck_ahead(
        self, orders: pd.DataFrame, token: Mapping[str, int] | None, ahead: Executor
    ) -> Iterator[list[_Batch]]:
        """Return what is to be sent, :data:`RECHECK_CHUNK` orders at a time; the next ones are compared meanwhile."""
        if self.partition in self.requests.accepted_by_partition(self.run.extraction_id):
            token = None  # an earlier attempt has sent some of them
        chunks = diff.split_batches(orders, RECHECK_CHUNK)
        rechecked = peekable(ahead.submit(lambda due: self._batches(self._recheck(due, token)), one) for one in chunks)
        for batches in rechecked:
            rechecked.peek(None)  # starts the next comparison
            yield batches.result()

    def _recheck(self, orders: pd.DataFrame, token: Mapping[str, int] | None = None) -> _DueOrders:
        """Compare orders with the ledger, unless nothing has changed; count what need not be sent, return the rest."""
        change_token = self.requests.change_token(self.run)
        if diff.comparison_token(change_token, self.context) == token:
            return _DueOrders(orders, change_token)
        found = compare_and_confirm(self.ledger, self.run, orders, self.context)
        sent_here = orders["order_id"].isin(found.known["order_id"][found.known["sent_here"]])
        actions = found.actions.mask(sent_here, diff.UNCHANGED)
        counts = diff.count_actions(actions)
        self.tally.add(
            sent=int(sent_here.sum()),
            unchanged=counts[diff.UNCHANGED] - int(sent_here.sum()),
            stale=counts[diff.STALE],
            reopened=counts[diff.REOPENED],
        )
        return _DueOrders(orders[actions == diff.SEND], found.token)

    def _batches(self, due: _DueOrders) -> list[_Batch]:
        """Split due orders into batches, in the order of their ids."""
        size, ordered = self.batch_size, due.orders.sort_values("order_id")
        order_ids, statuses = ordered["order_id"].tolist(), self.statuses_to_send(ordered)
        return [
            _Batch(
                ordered, start, order_ids[start : start + size], statuses[start : start + size], part, due.change_token
            )
            for start, part in zip(range(0, len(ordered), size), request_orders(ordered, size), strict=True)
        ]

    def _start(self, senders: Executor, batches: Sequence[_Batch]) -> None:
        """Record requests, and send each one as soon as a slot is free; skip them if no further batch may be sent."""
        requests = [] if self.breaker.stop_reason else self._record_requests(*batches)
        if not requests:
            for batch in batches:
                self._skip(batch)
            return
        for batch, request in zip(batches, requests, strict=True):
            self._slots.acquire()
            # A thread does not inherit the fields of the task's log lines.
            fields = copy_context()
            fields.run(bind_contextvars, batch=next(self._numbers))
            self._sent.append(senders.submit(fields.run, self._send, batch, request))

    def _record_requests(self, *batches: _Batch) -> list[InFlightRequest]:
        """Record requests; none, and the load stops, if another load has taken the lease."""
        requests = self.requests.record_requests(self.run, self._lease, [batch.recorded for batch in batches])
        if not requests:
            self.stop(ANOTHER_LOAD)
        return requests

    def _send(self, batch: _Batch, request: InFlightRequest) -> None:
        with self._releasing(self._slots):
            while not self._was_sent(batch, request):
                self.requests.cancel_request(request)
                if not self.breaker.stop_reason:
                    batches = self._batches(self._recheck(batch.orders))
                    if not batches:
                        return
                    [batch] = batches
                requests = [] if self.breaker.stop_reason else self._record_requests(batch)
                if not requests:
                    self._skip(batch)
                    return
                [request] = requests

    def _was_sent(self, batch: _Batch, request: InFlightRequest) -> bool:
        """Send a request, unless the load is to stop or something has changed since its orders were compared."""
        sent_at = datetime.now(UTC)

        # Called only now that the request is in the ledger: who confirms one of its orders after this sees it there.
        def may_post() -> bool:
            nonlocal sent_at
            change_token, lease = self.requests.state(self.run)
            if lease != self._lease:
                self.stop(ANOTHER_LOAD)
            sent_at = datetime.now(UTC)
            return not self.breaker.stop_reason and change_token == batch.change_token

        started = time.monotonic()
        try:
            sent = self.sender.send(list(zip(batch.order_ids, batch.statuses, strict=True)), may_post)
        except Rees46Error as error:
            # A batch is retried only after an attempt without a clear answer, which may have reached REES46.
            arrived = not isinstance(error, Rees46RejectedError) or error.requests > 1
            self._handle_error(error, batch.orders, arrived=arrived)
            result = RequestResult(request, error.requests, sent_at, error.outcome, arrived, error.http_status)
        else:
            if not sent.requests:
                return False
            self.breaker.record_success()
            self.search.accept(batch.order_ids)
            result = RequestResult(request, sent.requests, sent_at, http_status=sent.http_status)
        passed = round((time.monotonic() - started) * 1000)
        self._unrecorded.acquire()
        self._recorded.append(self._recorder.submit(self._record, replace(result, milliseconds=passed)))
        return True

    def _record(self, result: RequestResult) -> None:
        with self._releasing(self._unrecorded):
            outcome = self.requests.record_result(self.run, self.partition, result)
            if outcome == ACCEPTED:
                self.tally.add(sent=result.request.count)
            elif result.outcome == ACCEPTED:
                self.stop(ANOTHER_LOAD)
                self.tally.add(failed=result.request.count)

    def _handle_error(self, error: Rees46Error, orders: pd.DataFrame, *, arrived: bool) -> None:
        log.error("Batch of %d orders, from order %s on: %s", len(orders), orders["order_id"].iloc[0], error)
        if isinstance(error, Rees46RejectedError) and error.is_about_orders and not arrived:
            self._refusal = error
            self.breaker.record_refusal()
            self.search.refuse(orders, error)
            return
        self.breaker.record_error(error)
        self.tally.add(failed=len(orders))

    def _skip(self, batch: _Batch) -> None:
        for tally in (self.tally, self._skipped):
            tally.add(failed=len(batch))

    @contextmanager
    def _releasing(self, slot: Slots) -> Iterator[None]:
        try:
            yield
        except BaseException:  # a defect, or SystemExit: nothing more is sent, and the task raises it
            self.stop()
            raise
        finally:
            slot.release()
