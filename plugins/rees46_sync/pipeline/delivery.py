"""
Send a partition's orders to REES46 in batches, several at a time, and record each result as soon as it is known.

Three things overlap: requests are in flight, the results of earlier ones are recorded, and the ledger is asked about
the next orders. A slot is held from the final ledger check until the response arrives, and released before the result
is recorded; at most :data:`MAX_UNRECORDED` results wait to be recorded.

Orders are compared with the ledger again if its change token has moved since they were compared: another run may have
sent newer versions, or an earlier attempt of this task some of the orders. So a retry sends only what is missing; only
a batch whose response was never read can be sent twice, which REES46 accepts without harm. A request is recorded before
it is sent, so that its orders are known to be uncertain, whatever kills the task.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from typing import Protocol

import pandas as pd
from more_itertools import chunked, peekable
from structlog.contextvars import bind_contextvars

from rees46_sync.exceptions import Rees46Error, Rees46RejectedError
from rees46_sync.ledger.confirmations import Confirmations
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.lookup import look_up
from rees46_sync.ledger.requests import ACCEPTED, ChangeToken, InFlightRequest, RequestResult, Requests
from rees46_sync.ledger.runs import RunRef
from rees46_sync.pipeline import diff
from rees46_sync.pipeline.circuit_breaker import CircuitBreaker
from rees46_sync.pipeline.diff import DiffContext
from rees46_sync.pipeline.tally import Tally
from rees46_sync.rees46.dialects import Status

log = logging.getLogger(__name__)

MAX_UNRECORDED = 2
"""Results that may wait to be recorded while further requests are sent; a killed task loses them as well."""

RECORD_CHUNK = 4
"""Requests that are recorded in one transaction, and then sent one by one."""

RECHECK_CHUNK = 20_000
"""Orders that are compared with the ledger at once, ahead of their requests."""


class Sender(Protocol):
    """Sends a batch: :class:`rees46_sync.rees46.hook.Rees46Hook`."""

    def send(self, orders: Sequence[tuple[str, Status]]) -> int:
        """Send pairs of order id and status; return how many requests it took."""
        ...


@dataclass(frozen=True)
class _DueOrders:
    """Orders that are to be sent, and the change token of the ledger when they were compared with it."""

    orders: pd.DataFrame
    change_token: ChangeToken


class Delivery:
    """
    The delivery of one partition.

    :param statuses_to_send: returns the status to send for each of some orders; the ledger stores their code.
    :param batch_size: the largest number of orders in a request.
    :param concurrency: the largest number of requests in flight.
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
    ) -> None:
        self.sender = sender
        self.ledger = ledger
        self.requests = Requests(ledger)
        self.confirmations = Confirmations(ledger)
        self.run = run
        self.partition = partition
        self.context = context
        self.statuses_to_send = statuses_to_send
        self.batch_size = batch_size
        self.concurrency = concurrency
        self.breaker = CircuitBreaker()
        self.tally = Tally()
        self._skipped = Tally()
        self._slots = threading.BoundedSemaphore(concurrency)
        self._unrecorded = threading.BoundedSemaphore(MAX_UNRECORDED)

    def stop(self) -> None:
        """Send no further batch; the responses to those in flight are still received and recorded."""
        self.breaker.request_stop()

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
        self._sent: list[Future[None]] = []
        self._recorded: list[Future[None]] = []
        self.requests.mark_uncertain(self.run.shop)
        # Whatever happens, leaving the block waits for what is in flight, the senders first: it may be accepted, so it
        # has to be recorded.
        with (
            ThreadPoolExecutor(1, "rees46-record") as recorder,
            ThreadPoolExecutor(1, "rees46-ledger") as ahead,
            ThreadPoolExecutor(self.concurrency, "rees46-send") as senders,
        ):
            self._recorder = recorder
            for due in self._recheck_ahead(orders, token, ahead):
                batches = diff.split_batches(due.orders, self.batch_size)
                for chunk in chunked(batches, RECORD_CHUNK):
                    self._start(senders, [_DueOrders(batch, due.change_token) for batch in chunk])
        for ended in [*self._sent, *self._recorded]:
            ended.result()
        if skipped := self._skipped.counts["failed"]:
            log.error("%s: %d orders of partition %d were skipped.", self.breaker.stop_reason, skipped, self.partition)
        return self.tally.counts

    def _recheck_ahead(
        self, orders: pd.DataFrame, token: Mapping[str, int] | None, ahead: Executor
    ) -> Iterator[_DueOrders]:
        """Return what is to be sent, :data:`RECHECK_CHUNK` orders at a time; the next ones are compared meanwhile."""
        if self.partition in self.requests.accepted_by_partition(self.run.extraction_id):
            token = None  # an earlier attempt has sent some of them
        chunks = diff.split_batches(orders, RECHECK_CHUNK)
        rechecked = peekable(ahead.submit(self._recheck, chunk, token) for chunk in chunks)
        for due in rechecked:
            rechecked.peek(None)  # starts the next comparison
            yield due.result()

    def _recheck(self, orders: pd.DataFrame, token: Mapping[str, int] | None = None) -> _DueOrders:
        """Compare orders with the ledger, unless nothing has changed; count what need not be sent, return the rest."""
        change_token = self.requests.change_token(self.run)
        if diff.comparison_token(change_token, self.context) == token:
            return _DueOrders(orders, change_token)
        known = look_up(self.ledger, self.run.shop, orders["order_id"].tolist(), self.run.extraction_id)
        sent_here = orders[["order_id"]].merge(known[["order_id", "sent_here"]], on="order_id", how="left")["sent_here"]
        is_sent = sent_here.eq(True).set_axis(orders.index)
        remaining = orders[~is_sent]
        actions = diff.compare(remaining, known, self.context)
        counts = diff.count_actions(actions)
        self.tally.add(
            sent=int(is_sent.sum()),
            unchanged=counts[diff.UNCHANGED],
            stale=counts[diff.STALE],
            reopened=counts[diff.REOPENED],
        )
        # Not compared once more, as after building: a load that could have sent them waits for the slot of the pool.
        self.confirmations.confirm(self.run, diff.select_confirmable(remaining, known, actions))
        return _DueOrders(remaining[actions == diff.SEND], change_token)

    def _start(self, senders: Executor, batches: Sequence[_DueOrders]) -> None:
        """Record requests, and send each one as soon as a slot is free; skip them if no further batch may be sent."""
        if self.breaker.stop_reason:
            for due in batches:
                self._skip(due)
            return
        for due, request in zip(batches, self._record_requests(*batches), strict=True):
            self._slots.acquire()
            # A thread does not inherit the fields of the task's log lines.
            fields = copy_context()
            fields.run(bind_contextvars, batch=len(self._sent))
            self._sent.append(senders.submit(fields.run, self._send, due, request))

    def _record_requests(self, *batches: _DueOrders) -> list[InFlightRequest]:
        return self.requests.record_requests(self.run, [due.orders for due in batches])

    def _send(self, due: _DueOrders, request: InFlightRequest) -> None:
        with self._releasing(self._slots):
            self._send_if_due(due, request)

    def _send_if_due(self, due: _DueOrders, request: InFlightRequest) -> None:
        if self.breaker.stop_reason:
            self.requests.cancel_request(request)
            self._skip(due)
            return
        # Checked only now that the request is in the ledger: who confirms one of its orders after this sees it there.
        if self.requests.change_token(self.run) != due.change_token:
            self.requests.cancel_request(request)
            due = self._recheck(due.orders)
            if len(due.orders):
                [request] = self._record_requests(due)
                self._send_if_due(due, request)
            return
        order_ids, statuses = due.orders["order_id"].tolist(), self.statuses_to_send(due.orders)
        try:
            requests = self.sender.send(list(zip(order_ids, statuses, strict=True)))
        except Rees46Error as error:
            self._handle_error(error, order_ids[0], request)
            # A batch is retried only after an attempt without a clear answer, which may have reached REES46.
            rejected_at_once = isinstance(error, Rees46RejectedError) and error.requests == 1
            result = RequestResult(request, error.requests, error.outcome, may_have_arrived=not rejected_at_once)
        else:
            self.breaker.record_success()
            result = RequestResult(request, requests)
        self._unrecorded.acquire()
        self._recorded.append(self._recorder.submit(self._record, result))

    def _record(self, result: RequestResult) -> None:
        with self._releasing(self._unrecorded):
            self.requests.record_result(self.run, self.partition, result)
            if result.outcome == ACCEPTED:
                self.tally.add(sent=result.request.count)

    def _handle_error(self, error: Rees46Error, first_id: str, request: InFlightRequest) -> None:
        log.error("Batch of %d orders, from order %s on: %s", request.count, first_id, error)
        self.breaker.record_error(error)
        self.tally.add(failed=request.count)

    def _skip(self, due: _DueOrders) -> None:
        for tally in (self.tally, self._skipped):
            tally.add(failed=len(due.orders))

    @contextmanager
    def _releasing(self, slot: threading.Semaphore) -> Iterator[None]:
        try:
            yield
        except BaseException:  # a defect, or SystemExit: nothing more is sent, and the task raises it
            self.stop()
            raise
        finally:
            slot.release()
