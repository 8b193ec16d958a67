"""
Runs of the real steps on the real ledger, of which one goes on at a time.

Each attempt of a task is a greenlet. It stops before and after each transaction of the ledger, each request and each
read of the warehouse, and goes on when a *move* of the schedule lets it. So a schedule is a list of moves, and the same
list leads to the same end. What the moves must not break is in :mod:`tests.protocol.judge`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any, TypeAlias

import greenlet
import time_machine

from rees46_sync.exceptions import SyncError
from rees46_sync.ledger.extractions import Extractions
from rees46_sync.ledger.requests import RequestResult, Requests, request_orders
from rees46_sync.ledger.runs import RunRef
from rees46_sync.pipeline import comparison, delivery, diff
from rees46_sync.pipeline.diff import DiffContext
from tests.protocol import real_shop
from tests.protocol.attempts import ACCOUNT, BUILD, GREEN, LOAD, RED, RUNNING, Attempt, Killed, Run, StoppedError
from tests.protocol.judge import Judge
from tests.protocol.model import Row
from tests.protocol.real_shop import (
    ACCEPTED,
    BEGINNING,
    SETTLE,
    SHOP,
    Receiver,
    Request,
    Sender,
    SharedLedger,
    Warehouse,
)

Move: TypeAlias = tuple[Any, ...]
"""
What happens next:

* ("step", run, attempt, what becomes of it): an attempt goes on to its next stop
* ("change", order, row): the warehouse changes
* ("wait", minutes, seed): the clock moves; the seed decides the order of the requests that are processed by then
* ("process", number): REES46 processes one of its waiting requests
* ("kill", run, attempt) and ("again", run): an attempt ends for ever; the run's task is started again
"""


class RealRuns:
    """
    A shop and its runs.

    :param ledger: with current tables.
    :param clock: the clock, which stands still.
    """

    def __init__(
        self,
        ledger: SharedLedger,
        clock: time_machine.Traveller,
        *,
        is_state_table: bool = True,
        allow_reopen: bool = True,
        batch_size: int = 2,
    ) -> None:
        self.ledger, self.clock = ledger, clock
        self.now = BEGINNING
        self.allow_reopen, self.batch_size = allow_reopen, batch_size
        self.codes = [0, 1, 2, 0]
        """REES46's code of each status of the shop."""
        self.warehouse, self.receiver = Warehouse(is_state_table=is_state_table), Receiver()
        self.sender = Sender(self._receive)
        self.runs: list[Run] = []
        self.moves: list[Move] = []
        self.trace: list[str] = []
        self.has_faults = False
        self._extractions = 0
        self._main = greenlet.getcurrent()
        self._actor: Attempt | None = None
        self._fate = ACCEPTED
        self.judge = Judge(self)
        ledger.switch, ledger.seen = self.switch, self.judge.see
        clock.move_to(self.now, tick=False)

    def begin(self, rows: Mapping[str, Row]) -> None:
        """Let rows be in the warehouse and at REES46, and an earlier run have settled them."""
        for order_id, row in rows.items():
            self.warehouse.change(order_id, row)
        ref, requests = RunRef(SHOP, "dag", "earlier-run", "earlier"), Requests(self.ledger)
        extractions = Extractions(self.ledger)
        extractions.start(ref, self.now, (BEGINNING - timedelta(days=1), self.now))
        extractions.finish_reading(ref)
        [request] = requests.record_requests(
            ref, requests.take_lease(SHOP), request_orders(real_shop.frame_of(rows, self.codes))
        )
        requests.record_result(ref, 0, RequestResult(request, 1, self.now))
        extractions.close(ref)
        self.receiver.statuses = {order_id: row.status for order_id, row in rows.items()}
        self.judge.posted = [(ref.extraction_id, order_id, row.status, ACCEPTED) for order_id, row in rows.items()]
        self._wait(int(SETTLE / timedelta(minutes=1)), 0)

    # The moves

    def perform(self, move: Move) -> bool:
        """Do a move, if it is possible now; return whether it was."""
        kind, *arguments = move
        done: bool = getattr(self, f"_{kind}")(*arguments)
        if done:
            self.moves.append(move)
            if kind != "step":
                self.trace.append(repr(move))
        return done

    def _step(self, run: int, number: int, fate: str = ACCEPTED) -> bool:
        attempts = self.runs[run].attempts
        if number >= len(attempts) or not attempts[number].is_alive:
            return False
        attempt = attempts[number]
        if fate != ACCEPTED:
            self.has_faults = True
        if not attempt.place.startswith("after"):
            note = "" if fate == ACCEPTED else f": {fate}"
            self.trace.append(f"run {run}, attempt {number}: {attempt.place}{note}")
        self._actor, self._fate = attempt, fate
        try:
            assert attempt.greenlet is not None
            attempt.greenlet.switch()
        finally:
            self._actor, self._fate = None, ACCEPTED
        return True

    def _change(self, order_id: str, row: Row) -> bool:
        self.warehouse.change(order_id, Row(*row))
        self.judge.changed(order_id)
        return True

    def _wait(self, minutes: int, seed: int) -> bool:
        self.now += timedelta(minutes=minutes)
        self.clock.move_to(self.now, tick=False)
        self.receiver.process_due(self.now, Random(seed))
        return True

    def _process(self, number: int) -> bool:
        if number >= len(self.receiver.queue):
            return False
        self.receiver.process(self.receiver.queue[number])
        return True

    def _kill(self, run: int, number: int) -> bool:
        attempts = self.runs[run].attempts
        if number >= len(attempts) or not attempts[number].is_alive or attempts[number].is_late:
            return False
        attempts[number].is_dead = self.has_faults = True
        if attempts[number] is attempts[-1]:
            self.runs[run].outcome = RED
        return True

    def _again(self, index: int) -> bool:
        run = self.runs[index]
        if run.outcome == GREEN:
            return False
        if run.attempts:
            self.has_faults = True
        if run.task == ACCOUNT and run.attempts[-1].is_dead and run.due is not None and len(run.due):
            run.task = LOAD  # Airflow does not know that it ended
        attempt = Attempt(run, len(run.attempts))
        attempt.greenlet = greenlet.greenlet(lambda: self._work(attempt))
        run.attempts.append(attempt)
        run.outcome = RUNNING
        return True

    def advance(self, run: int, until: str = "the end") -> None:
        """Let the latest attempt of a run go on until it is about to do something."""
        attempt = self.runs[run].attempts[-1]
        while self.perform(("step", run, attempt.number)) and not attempt.place.endswith(f"/{until}"):
            pass

    def finish(self) -> None:
        """Let every attempt that is alive go on to its end."""
        while alive := [attempt for run in self.runs for attempt in run.attempts if attempt.is_alive]:
            self._step(alive[0].run.index, alive[0].number)

    def calm_run(self) -> Run:
        """Let everything settle, and run once over everything."""
        self._wait(int(SETTLE / timedelta(minutes=1)), 0)
        return self.run_alone(Run(len(self.runs)))

    def run_alone(self, run: Run) -> Run:
        """Run to the end; nobody else goes on meanwhile."""
        run.outcome = RUNNING
        attempt = Attempt(run, 0)
        run.attempts.append(attempt)
        self.runs.append(run)
        self._actor = attempt
        try:
            self._work(attempt)
        finally:
            self._actor = None
        return run

    def close(self) -> None:
        """End all attempts that are not over."""
        for run in self.runs:
            for attempt in run.attempts:
                attempt.is_dead = True
                if attempt.greenlet:
                    attempt.greenlet.throw(Killed)

    # What the steps of the runs call

    def switch(self, place: str) -> str:
        """Stop until the schedule lets this attempt go on; return what is to become of its next action."""
        attempt = self._actor
        if attempt is None or attempt.greenlet is None:
            return ACCEPTED
        attempt.place = place
        self._main.switch()
        if attempt.is_dead:
            raise Killed
        return self._fate

    def _receive(self, statuses: Mapping[str, int]) -> str:
        attempt = self._actor
        assert attempt
        attempt.is_late = False
        attempt.checked_at = attempt.checked_at if attempt.has_checked else self.now
        attempt.has_checked = False
        fate = self.switch("post")
        if fate not in real_shop.TRIES:
            fate = ACCEPTED
        attempt.is_late = self.now > attempt.checked_at
        self.judge.posts(attempt, statuses, fate)
        if fate not in ("lost, never", "refused"):
            request = Request(statuses, self.now + SETTLE)
            self.receiver.queue.append(request)
            if "late" not in fate:
                self.receiver.process(request)
        self.switch("after post")
        return fate

    # The steps of a run, as the tasks of the DAG do them

    def _work(self, attempt: Attempt) -> None:
        run = attempt.run
        try:
            while run.attempts[-1] is attempt and run.outcome == RUNNING:
                getattr(self, f"_{run.task}")(attempt, run)
        except Killed:
            pass
        except SyncError:
            if run.attempts[-1] is attempt:
                run.outcome = RED

    def _extract(self, attempt: Attempt, run: Run) -> None:
        self._extractions += 1
        ref = RunRef(SHOP, "dag", f"run-{run.index}", f"extraction-{self._extractions}")
        extractions = Extractions(self.ledger)
        window = (real_shop.time_of(run.window_start), real_shop.time_of(run.window_end))
        extractions.start(ref, self.now, window)
        self.switch("read")
        rows = self.warehouse.read(run.window_start, run.window_end)
        self.judge.reads(run, ref, rows)
        self.switch("after read")
        extractions.finish_reading(ref)
        if run.attempts[-1] is attempt:
            run.ref, run.rows = ref, rows
            run.task = BUILD if rows else ACCOUNT

    def _context(self, run: Run) -> DiffContext:
        return DiffContext(
            window_end=real_shop.time_of(run.window_end),
            settle=SETTLE,
            resend=run.resend,
            allow_reopen=self.allow_reopen,
        )

    def _build(self, attempt: Attempt, run: Run) -> None:
        context, orders = self._context(run), real_shop.frame_of(run.rows, self.codes)
        assert run.ref is not None
        found = comparison.compare_and_confirm(self.ledger, run.ref, orders, context)
        if run.attempts[-1] is attempt:
            self.judge.holds_back(run, orders["order_id"][found.actions == diff.REOPENED].tolist())
            run.due = orders[found.actions == diff.SEND]
            run.token = diff.comparison_token(found.token, context)
            run.task = LOAD if len(run.due) else ACCOUNT

    def _load(self, attempt: Attempt, run: Run) -> None:
        assert run.ref is not None
        assert run.due is not None
        load = delivery.Delivery(
            sender=self.sender,
            ledger=self.ledger,
            run=run.ref,
            partition=0,
            context=self._context(run),
            statuses_to_send=lambda orders: orders["code"].tolist(),
            batch_size=self.batch_size,
            concurrency=1,
        )
        load.deliver(run.due, run.token)
        if load.breaker.errors or load.breaker.stopped_by:
            raise StoppedError("not everything was sent", "run again")
        if run.attempts[-1] is attempt:
            run.task = ACCOUNT

    def _account(self, attempt: Attempt, run: Run) -> None:
        assert run.ref is not None
        Extractions(self.ledger).close(run.ref)
        if run.attempts[-1] is attempt:
            run.outcome = GREEN
