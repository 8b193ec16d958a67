"""
The protocol of the synchronisation as a small pure model: a specification, independent of the project's code.

It knows one order. Runs read it from a warehouse that changes at any moment, compare it with a ledger, and send it to a
receiver. Each step of a run is one transition; anything may happen between two of them, and an actor that does not move
is a frozen worker. :meth:`Model.successors` returns all that may happen next, and :meth:`Model.find_violation` judges a
state. What is promised:

* P1: after the faults, the settle time and one calm regular run, the receiver holds the status that the warehouse has.
  The exception is `created` where a final status may have arrived and the shop does not allow that.
* P2: without faults, if all runs are green and a regular one has read the warehouse after its last change, the receiver
  holds that status without a further run. The exception is :meth:`Model._is_ambiguous`.
* P3: each request ends once in the ledger, and none is in flight under an old lease.
* P4: a calm run does not send `created` where a final status may have arrived, unless the shop allows that.
* P5: a run does not send again what was accepted from it.
* P6: an older version does not go out after a newer one that went out, or was held back by a run that is green; unless
  the newer one was read before the older one (the clocks of two writers disagree).

Some things are kept smaller than they are, without losing a schedule:

* **The receiver** is the set of statuses that it may hold once its queue is empty. Nobody reads the receiver, and any
  queued request may be processed at any moment, so which one comes last is open until the end anyway: it is any request
  after which no other went out at least the settle time later.
* **The clock** ticks, and the settle time is one tick, or more. Only times of the ledger are compared, so ticks are
  enough. That the receiver has processed what is older than the settle time is what the protocol rests on.
* **The warehouse** is looked at only when a run reads it, so its changes come right before a run reads, or at the end.
* **A change token** is a mark at the one who holds it: the ledger has moved since. A token never moves back.
* **A kill** is an actor that does not move any more: a schedule may end with as many such actors as may be killed.
* **Runs that are alike** start in the order of their numbers.
* **A step that nobody else sees**, and whose result is certain, is taken at once: :meth:`Model._is_alone`.

Left out: several orders and batches, the limits of the registry (extractions are never forgotten), dry runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, TypeAlias, TypeVar

T = TypeVar("T")

CREATED, COMPLETED, CANCELLED = 0, 1, 2
STATUS_NAMES = {None: "nothing", CREATED: "created", COMPLETED: "completed", CANCELLED: "cancelled"}

ENDLESS = 1_000
"""The end of a window that holds everything."""

SEND, UNCHANGED, STALE, REOPENED, SENT = "send", "unchanged", "stale", "reopened", "sent"


@dataclass(frozen=True)
class Protocol:
    """The safeguards of the protocol; each can be taken away, to see what it is for."""

    lease: bool = True
    """A load stops when another one has taken the lease."""
    fence: bool = True
    """A result whose request is not in flight any more leaves the order uncertain, and the load fails."""
    mark_uncertain: bool = True
    """A load that takes the lease marks what is in flight as uncertain."""
    record_before_request: bool = True
    unknown_is_uncertain: bool = True
    """A request without a clear answer leaves the order uncertain."""
    settle: bool = True
    """Requests that went out within the settle time may be processed in any order."""
    two_times: bool = True
    """
    An accepted request has two times: before it went out, and when its result was recorded.

    It outweighs another one by the first, and is outweighed by the second: a frozen worker may have sent it in between.
    """
    check_before_request: bool = True
    """The token and the lease are checked between recording a request and sending it."""
    check_before_further_try: bool = True
    compare_again_before_sending: bool = True
    """A load compares again if the ledger has moved since the comparison that it rests on."""
    compare_again_after_confirming: bool = True
    """A run that has confirmed an order compares again if the ledger has moved since it compared."""
    open_when_compared: bool = True
    """Which extractions may still send something is decided before the comparison, not when it is confirmed."""
    retry_compares: bool = True
    """A load whose extraction has sent something does not rely on the token."""
    versions_of_others: bool = True
    """What is known counts as newer if its version is at least as high."""
    same_row_is_not_newer: bool = True
    """The same row does not, nor a confirmation of the same version: two runs that read it would rely on each other."""
    order_of_extractions: bool = True
    """It does not count as newer if its extraction was over before this one started."""
    uncertain_versions: bool = True
    """What is uncertain or in flight counts as newer, as what was accepted does."""
    later_confirmations: bool = True
    """What an extraction confirmed that started after this one was over counts as newer, whatever its version is."""
    later_requests: bool = True
    """So does what it sent."""
    lasting_confirmations: bool = True
    """A newer version than any known one is confirmed even if no other extraction is open."""
    reopened_confirms: bool = True
    """An order that is held back as reopened is confirmed, as an unchanged one is."""
    uncertain_final: bool = True
    """A final status that may have arrived holds back `created`."""

    def without(self, switch: str) -> Protocol:
        """Return the protocol without one of its safeguards."""
        return replace(self, **{switch: False})


SWITCHES = tuple(field.name for field in fields(Protocol))


class Row(NamedTuple):
    """What the warehouse says of the order."""

    status: int
    version: int

    def __str__(self) -> str:
        return f"{STATUS_NAMES[self.status]}, version {self.version}"


FIRST = Row(CREATED, 1)


@dataclass(frozen=True)
class Scenario:
    """What exists at the start, what may happen, and how many faults."""

    name: str
    changes: tuple[Row, ...]
    """What is written to the warehouse, one after the other, each at any moment."""
    window_ends: tuple[int, ...] = (ENDLESS, ENDLESS)
    """One run each; the window of a history run ends before later versions."""
    is_state_table: bool = True
    """The table holds the current row only; otherwise it holds all of them, and the newest version counts."""
    before: Row | None = FIRST
    """The warehouse's row at the start."""
    known: Row | None = FIRST
    """What the receiver has at the start, and the ledger knows; settled long ago."""
    resend: tuple[int, ...] = ()
    """The runs that send again what the receiver has already."""
    allow_reopen: bool = False
    late_processing: bool = False
    ticks: int = 1
    """How often the clock may tick."""
    settle: int = 1
    """The ticks after which the receiver has processed a request."""
    kills: int = 0
    """How many actors may stop at any step, for ever; a load may be tried again after it."""
    taken_for_dead: int = 0
    """How often a load may be tried again while the first attempt lives on."""
    retries: int = 0
    """How often a load that ended red may be tried again."""
    lost: int = 0
    """How many answers may be lost; the request may have arrived or not."""
    refused: int = 0
    tries: int = 2
    """How often a request may be tried."""
    begun: int = 0
    """The runs that have read the warehouse, one after the other, before anything else happens."""


# The phases of a run, each named by the step that comes next.
START, READ, COMPLETE, COMPARE, CONFIRM, CONFIRM_CHECK, LOADING, ACCOUNT, GREEN, RED = range(10)
# Those of an attempt of its load.
LEASE, TRUST, RECORD, CHECK, POST, CHECK_AGAIN, RESULT = range(20, 27)
STEP_NAMES = {
    START: "start",
    READ: "read",
    COMPLETE: "complete",
    COMPARE: "compare",
    CONFIRM: "confirm",
    CONFIRM_CHECK: "check after confirming",
    ACCOUNT: "account",
    LEASE: "take the lease",
    TRUST: "compare again unless nothing moved",
    RECORD: "record the request",
    CHECK: "check before the request",
    POST: "send the request",
    CHECK_AGAIN: "check before a further try",
    RESULT: "record the result",
}

# Answers to a request.
NO_ANSWER, ACCEPTED, REFUSED, UNKNOWN = range(4)


class Run(NamedTuple):
    """A run with its extraction."""

    phase: int = START
    number: int = 0
    """The extraction's number in the registry."""
    read_mark: int | None = None
    row: Row | None = None
    is_fresh: bool = False
    """It read the row after the last change of the warehouse."""
    is_clean: bool = False
    """The change token is still that of the comparison."""
    attempts: int = 0
    has_sent: bool = False
    """An accepted row of this extraction is in the ledger."""
    has_posted: bool = False
    """A request of this extraction may have arrived."""
    holds_back: bool = False
    """Its order was found to be reopened."""
    open_earlier: tuple[int, ...] = ()
    """While it confirms: the runs that had read everything before it started, and may still send something."""


class Load(NamedTuple):
    """An attempt of a run's load that is alive."""

    run: int
    attempt: int
    phase: int = LEASE
    is_clean: bool = False
    checked_at: int = 0
    lost: int = 0
    """Tries whose answers were lost."""
    answer: int = NO_ANSWER
    open_earlier: tuple[int, ...] = ()
    """As that of the run."""
    is_late: bool = False
    """
    The clock ticked between the last check and the request.

    The protocol assumes that what a worker sends that is killed afterwards takes effect within the settle time after
    the check, not only after the request. So one that was frozen in between is not killed before it records the result.
    """


class InFlight(NamedTuple):
    """A request that was recorded before it goes out."""

    run: int
    attempt: int
    status: int
    version: int


class Uncertain(NamedTuple):
    """A request without a clear answer; of several alike only the latest is kept."""

    status: int
    version: int
    run: int
    sent_at: int


class Sent(NamedTuple):
    """A request: the latest accepted one, or one that may have arrived."""

    status: int
    version: int
    run: int


class Ledger(NamedTuple):
    """All that the runs know of each other, besides the registry of extractions."""

    known: Sent | None
    went_out: tuple[int, ...]
    """Of each status the time after which the latest accepted request with it went out."""
    was_out: tuple[int, ...]
    """Of each status the time before which the latest accepted request with it went out."""
    uncertain: tuple[Uncertain, ...] = ()
    in_flight: tuple[InFlight, ...] = ()
    confirmations: tuple[tuple[int, int], ...] = ()
    """Version and run of each."""
    holder: tuple[int, int] | None = None
    """The run and the attempt that have the latest lease."""


NEVER = -9
BEFORE = -1
"""In place of a run: an extraction that was over before the first one here started."""


class Candidate(NamedTuple):
    """A status that the receiver may hold, and when the latest such request went out."""

    status: int | None
    posted_at: int


class Budget(NamedTuple):
    """Faults that may still happen."""

    kills: int
    taken_for_dead: int
    retries: int
    lost: int
    refused: int


class State(NamedTuple):
    """Everything, at one moment."""

    changes: int
    clock: int
    registered: int
    runs: tuple[Run, ...]
    loads: tuple[Load, ...]
    ledger: Ledger
    receiver: tuple[Candidate, ...]
    budget: Budget
    broken: str | None = None
    """A promise that the last step has broken."""


Registry: TypeAlias = tuple[tuple[int, int | None], ...]
"""The number and the read mark of each run's extraction."""

Steps: TypeAlias = list[tuple[str, State]]
"""What may happen next: what it is, and the state after it."""


class Model:
    """A scenario under a protocol."""

    def __init__(self, scenario: Scenario, protocol: Protocol) -> None:
        self.scenario = scenario
        self.protocol = protocol
        self.runs = range(len(scenario.window_ends))
        self.window_ends = (*scenario.window_ends, ENDLESS)
        """Those of the runs, and that of the calm run."""
        self.budget = Budget(scenario.kills, scenario.taken_for_dead, scenario.retries, scenario.lost, scenario.refused)
        self.has_faults = scenario.late_processing or any(self.budget)
        rows = [scenario.known, scenario.before, *scenario.changes]
        self._may_have_been_final = any(row and row.status != CREATED for row in rows)
        self._rows = tuple(
            tuple(self._row(changes, window_end) for window_end in self.window_ends)
            for changes in range(len(scenario.changes) + 1)
        )
        self._steps_of_runs: dict[int, Callable[[State, int, Run], Steps]] = {
            START: self._start,
            READ: self._read,
            COMPLETE: self._complete,
            COMPARE: self._compare,
            CONFIRM: self._confirm,
            CONFIRM_CHECK: self._check_after_confirming,
            ACCOUNT: self._account,
        }
        self._steps_of_loads: dict[int, Callable[[State, Load], Steps]] = {
            LEASE: self._take_lease,
            TRUST: self._trust,
            COMPARE: self._compare_again,
            CONFIRM: self._confirm_in_load,
            CONFIRM_CHECK: self._check_after_confirming_in_load,
            RECORD: self._record,
            CHECK: self._check,
            POST: self._post,
            CHECK_AGAIN: self._check_again,
            RESULT: self._record_result,
        }

    def start(self) -> State:
        """Return the state in which every schedule starts."""
        scenario = self.scenario
        known = scenario.known
        times = [NEVER] * 3
        if known:
            times[known.status] = -scenario.settle
        ledger = Ledger(Sent(*known, BEFORE) if known else None, tuple(times), tuple(times))
        state = State(
            changes=0,
            clock=0,
            registered=0,
            runs=tuple(Run() for _ in self.runs),
            loads=(),
            ledger=ledger,
            receiver=(Candidate(known.status if known else None, -scenario.settle),),
            budget=self.budget,
        )
        for index in range(scenario.begun):
            for step in (self._start, self._read, self._complete):
                [(_, state), *_] = step(state, index, state.runs[index])
        return state

    # The warehouse

    def _row(self, changes: int, window_end: int) -> Row | None:
        """Return the order's row in a window after so many changes."""
        rows = [self.scenario.before, *self.scenario.changes[:changes]]
        if self.scenario.is_state_table:
            rows = rows[-1:]
        in_window = [row for row in rows if row and row.version < window_end]
        return max(in_window, key=lambda row: row.version, default=None)

    # The comparison

    def _is_settled(self, ledger: Ledger, sent_at: int) -> bool:
        """Whether the receiver has processed a request before the latest accepted one with the known status."""
        return ledger.known is not None and ledger.went_out[ledger.known.status] >= sent_at + self.scenario.settle

    def compare(self, ledger: Ledger, registry: Registry, clock: int, run: int, row: Row) -> str:
        """Decide what a run does with its row."""
        protocol, scenario, known = self.protocol, self.scenario, ledger.known
        known_status = known.status if known else None
        unclear: list[Sent] = []
        unsettled: list[int] = []
        if protocol.settle:
            unsettled += [
                status
                for status, at in enumerate(ledger.was_out)
                if status != known_status and at != NEVER and not self._is_settled(ledger, at)
            ]
        for status, version, other, sent_at in ledger.uncertain:
            if not self._is_settled(ledger, sent_at):
                unclear.append(Sent(status, version, other))
                if status != known_status:
                    unsettled.append(status)
        for other, _, status, version in ledger.in_flight:
            unclear.append(Sent(status, version, other))
            if status != known_status:
                unsettled.append(status)

        is_same = known_status == row.status and not unsettled
        may_be_final = bool(known_status) or (protocol.uncertain_final and any(unsettled))
        is_newer = self._is_any_newer(ledger, unclear, registry, run, row)
        if is_same and (run not in scenario.resend or is_newer):
            return UNCHANGED
        if is_newer:
            return STALE
        if may_be_final and row.status == CREATED and not scenario.allow_reopen:
            return REOPENED
        return SEND

    def _is_any_newer(self, ledger: Ledger, unclear: list[Sent], registry: Registry, run: int, row: Row) -> bool:
        """
        Whether the ledger knows of anything newer than the row that a run has read.

        :param unclear: what is uncertain or in flight.
        """
        protocol, confirmations, version = self.protocol, ledger.confirmations, row.version
        requests = [ledger.known, *unclear] if ledger.known else unclear
        infos = [(request.version, request.run) for request in requests]
        if any(other_version >= self.window_ends[run] for other_version, _ in (*infos, *confirmations)):
            return True

        number, read_mark = registry[run]
        later = [*(infos if protocol.later_requests else ()), *(confirmations if protocol.later_confirmations else ())]
        if read_mark is not None and any(
            other not in (run, BEFORE) and registry[other][0] > read_mark and version < self.window_ends[other]
            for _, other in later
        ):
            return True

        if not protocol.versions_of_others:
            return False
        if not protocol.uncertain_versions:
            requests = requests[: bool(ledger.known)]
        is_strict = protocol.same_row_is_not_newer
        candidates = [request[1:] for request in requests if not (is_strict and request[:2] == row)]
        candidates += [info for info in confirmations if not (is_strict and info[0] == version)]
        for other_version, other in candidates:
            if other_version >= version and other != run:
                mark = 0 if other == BEFORE else registry[other][1]
                if mark is None or mark >= number or not protocol.order_of_extractions:
                    return True
        return False

    @staticmethod
    def open_earlier(runs: tuple[Run, ...], run: int) -> tuple[int, ...]:
        """Return the runs that had read everything before this one started, and may still send something."""
        return tuple(
            other
            for other, (phase, number, read_mark, *_) in enumerate(runs)
            if other != run and number and phase != GREEN and read_mark is not None and read_mark < runs[run].number
        )

    def is_confirmation_due(
        self, ledger: Ledger, runs: tuple[Run, ...], run: int, open_earlier: tuple[int, ...]
    ) -> bool:
        """Whether a run that has nothing to send records that it found the order so."""
        row = runs[run].row
        assert row
        version, confirmations = row.version, ledger.confirmations
        if (version, run) in confirmations:
            return False
        if self.protocol.lasting_confirmations and (
            (not ledger.known or version > ledger.known.version)
            and all(version > other_version for other_version, _ in confirmations)
        ):
            return True
        if not self.protocol.open_when_compared:
            open_earlier = self.open_earlier(runs, run)
        marks = [runs[other].read_mark or 0 for other in open_earlier]
        return any(not any(runs[by].number > mark for _, by in confirmations) for mark in marks)

    # What may happen next

    def successors(self, state: State) -> Steps:
        """Return all that may happen next: what it is, and the state after it."""
        result: Steps = []
        scenario, budget = self.scenario, state.budget
        for load in state.loads:
            if self._is_alone(state, load):
                return self._steps_of_load_named(state, load)
        if state.clock < scenario.ticks and self._may_tick(state):
            result.append(("the clock ticks", state._replace(clock=state.clock + 1)))
        for index, run in enumerate(state.runs):
            if step := self._steps_of_runs.get(run.phase):
                if run.phase == START and index and self._is_like_the_one_before(state, index):
                    continue
                name = f"run {index + 1}: {STEP_NAMES[run.phase]}"
                result += [(name + note, after) for note, after in step(state, index, run)]
                if run.phase == ACCOUNT and run.attempts and budget.kills:
                    after = self._start_attempt(state, index, budget._replace(kills=budget.kills - 1))
                    result.append((f"run {index + 1}: the load is killed after its last step, and tried again", after))
            elif run.phase == RED and budget.retries:
                after = self._start_attempt(state, index, budget._replace(retries=budget.retries - 1))
                result.append((f"run {index + 1}: the load is tried again", after))
        for load in state.loads:
            result += self._steps_of_load_named(state, load)
            if load.attempt == state.runs[load.run].attempts:
                result += self._further_attempts(state, load)
        return result

    def _steps_of_load_named(self, state: State, load: Load) -> Steps:
        name = f"run {load.run + 1}, attempt {load.attempt}: {STEP_NAMES[load.phase]}"
        return [(name + note, after) for note, after in self._steps_of_loads[load.phase](state, load)]

    def _is_alone(self, state: State, load: Load) -> bool:
        """
        Whether the next step of a load depends on nothing that others do, and the other way round.

        A lost lease never comes back, nor does a token that has moved: what the step does is certain, and others do not
        see it. So it makes no difference when it happens.
        """
        phase, has_lease = load.phase, self._has_lease(state, load)
        if phase == RECORD:
            return not has_lease
        if phase == CHECK:
            return not has_lease and self.protocol.check_before_request and self.protocol.mark_uncertain
        if phase == CHECK_AGAIN:
            return not (has_lease and load.is_clean) and self.protocol.check_before_further_try
        return phase == CONFIRM_CHECK and not load.is_clean

    def _is_like_the_one_before(self, state: State, index: int) -> bool:
        """Whether a run might change places with one that has not started either: then the first one starts first."""
        scenario = self.scenario
        return (
            state.runs[index - 1].phase == START
            and scenario.window_ends[index - 1] == scenario.window_ends[index]
            and (index - 1 in scenario.resend) == (index in scenario.resend)
        )

    def _may_tick(self, state: State) -> bool:
        """Whether it makes a difference that time passes: something is younger than the settle time."""
        ledger = state.ledger
        latest = max(
            *(candidate.posted_at for candidate in state.receiver),
            *(uncertain.sent_at for uncertain in ledger.uncertain),
            *(load.checked_at for load in state.loads if load.phase == POST),
            *ledger.was_out,
            NEVER,
        )
        return latest > state.clock - self.scenario.settle

    def _start_attempt(self, state: State, index: int, budget: Budget, without: Load | None = None) -> State:
        run = state.runs[index]
        run = run._replace(phase=LOADING, attempts=run.attempts + 1)
        loads = (*(load for load in state.loads if load is not without), Load(index, run.attempts))
        return state._replace(runs=put(state.runs, index, run), loads=loads, budget=budget)

    def _further_attempts(self, state: State, load: Load) -> Steps:
        """A load is tried again that has not ended."""
        budget, result, name = state.budget, [], f"run {load.run + 1}: the load is"
        if budget.taken_for_dead:
            after = budget._replace(taken_for_dead=budget.taken_for_dead - 1)
            result.append((f"{name} taken for dead, and tried again", self._start_attempt(state, load.run, after)))
        if budget.kills and not load.is_late:
            after = budget._replace(kills=budget.kills - 1)
            result.append((f"{name} killed, and tried again", self._start_attempt(state, load.run, after, load)))
        return result

    # The steps of a run

    def _start(self, state: State, index: int, run: Run) -> Steps:
        number = state.registered + 1
        run = run._replace(phase=READ, number=number)
        return [("", state._replace(registered=number, runs=put(state.runs, index, run)))]

    def _read(self, state: State, index: int, run: Run) -> Steps:
        result = []
        for changes in range(state.changes, len(self.scenario.changes) + 1):
            row = self._rows[changes][index]
            after = run._replace(phase=COMPLETE, row=row, is_fresh=not self.has_faults)
            runs = state.runs
            if changes > state.changes:
                runs = tuple(run._replace(is_fresh=False) if run.is_fresh else run for run in runs)
            note = f": {row or 'nothing'}"
            if changes > state.changes:
                note += f" (the warehouse changed to: {self.scenario.changes[changes - 1]})"
            result.append((note, state._replace(changes=changes, runs=put(runs, index, after))))
        return result

    def _complete(self, state: State, index: int, run: Run) -> Steps:
        run = run._replace(phase=COMPARE if run.row else ACCOUNT, read_mark=state.registered)
        return [("", state._replace(runs=put(state.runs, index, run)))]

    def _compare(self, state: State, index: int, run: Run) -> Steps:
        assert run.row
        loads = state.loads
        action = self.compare(state.ledger, registry_of(state.runs), state.clock, index, run.row)
        if action == SEND:
            run = run._replace(phase=LOADING, is_clean=True, attempts=1)
            loads = (*loads, Load(index, 1))
        elif self._confirms(action):
            run = run._replace(phase=CONFIRM, is_clean=True, open_earlier=self.open_earlier(state.runs, index))
        else:
            run = run._replace(phase=ACCOUNT)
        run = run._replace(holds_back=action == REOPENED)
        return [(f": {action}", state._replace(runs=put(state.runs, index, run), loads=loads))]

    def _confirms(self, action: str) -> bool:
        return action == UNCHANGED or (action == REOPENED and self.protocol.reopened_confirms)

    def _confirm(self, state: State, index: int, run: Run) -> Steps:
        note, state, checks = self._record_confirmation(state, index, run.open_earlier)
        run = run._replace(open_earlier=())
        run = run._replace(phase=CONFIRM_CHECK) if checks else run._replace(phase=ACCOUNT, is_clean=False)
        return [(note, state._replace(runs=put(state.runs, index, run)))]

    def _record_confirmation(self, state: State, index: int, open_earlier: tuple[int, ...]) -> tuple[str, State, bool]:
        """Record a confirmation if it is due; return whether the token is to be checked after it."""
        protocol = self.protocol
        if not self.is_confirmation_due(state.ledger, state.runs, index, open_earlier):
            return ": not needed", state, False
        row, ledger = state.runs[index].row, state.ledger
        assert row
        ledger = ledger._replace(confirmations=tuple(sorted((*ledger.confirmations, (row.version, index)))))
        return "", moved(state, ledger, index), protocol.compare_again_after_confirming

    def _check_after_confirming(self, state: State, index: int, run: Run) -> Steps:
        note = "" if run.is_clean else ": the ledger moved"
        run = run._replace(phase=ACCOUNT if run.is_clean else COMPARE, is_clean=False)
        return [(note, state._replace(runs=put(state.runs, index, run)))]

    def _account(self, state: State, index: int, run: Run) -> Steps:
        run = run._replace(phase=GREEN)
        if not any(load.run == index for load in state.loads):
            run = self._without_details(run)
        return [(": green", state._replace(runs=put(state.runs, index, run)))]

    @staticmethod
    def _without_details(run: Run) -> Run:
        """Return a run that has ended with nothing but what others, or the promises, may ask about."""
        return run._replace(is_clean=False, attempts=0, has_sent=False)

    # The steps of a load

    def _end(self, state: State, load: Load, *, ok: bool) -> State:
        """Return the state after an attempt has ended; the run goes on if it was the last one."""
        index, run = load.run, state.runs[load.run]
        loads = tuple(other for other in state.loads if other[:2] != load[:2])
        if load.attempt == run.attempts:
            run = run._replace(phase=ACCOUNT if ok else RED)
        is_over = run.phase == GREEN or (run.phase == RED and not state.budget.retries)
        if is_over and not any(other.run == index for other in loads):
            run = self._without_details(run)
        return state._replace(runs=put(state.runs, index, run), loads=loads)

    def _has_lease(self, state: State, load: Load) -> bool:
        return state.ledger.holder == load[:2] or not self.protocol.lease

    def _take_lease(self, state: State, load: Load) -> Steps:
        ledger = state.ledger._replace(holder=load[:2])
        if self.protocol.mark_uncertain and ledger.in_flight:
            for request in ledger.in_flight:
                ledger = with_uncertain(ledger, request.run, Row(request.status, request.version), state.clock)
            state = moved(state, ledger._replace(in_flight=()), None)
        else:
            state = state._replace(ledger=ledger)
        return [("", with_load(state, load, phase=TRUST))]

    def _trust(self, state: State, load: Load) -> Steps:
        run = state.runs[load.run]
        is_trusted = run.is_clean and not (run.has_sent and self.protocol.retry_compares)
        if is_trusted or not self.protocol.compare_again_before_sending:
            return [(": nothing moved", with_load(state, load, phase=RECORD, is_clean=True))]
        return self._compare_again(state, load)

    def _compare_again(self, state: State, load: Load) -> Steps:
        run = state.runs[load.run]
        assert run.row
        action = SENT
        if not run.has_sent:
            action = self.compare(state.ledger, registry_of(state.runs), state.clock, load.run, run.row)
        note = f": {action}"
        if action == SEND:
            return [(note, with_load(state, load, phase=RECORD, is_clean=True))]
        if self._confirms(action):
            open_earlier = self.open_earlier(state.runs, load.run)
            return [(note, with_load(state, load, phase=CONFIRM, is_clean=True, open_earlier=open_earlier))]
        return [(note, self._end(state, load, ok=True))]

    def _confirm_in_load(self, state: State, load: Load) -> Steps:
        note, state, checks = self._record_confirmation(state, load.run, load.open_earlier)
        if checks:
            return [(note, with_load(state, load, phase=CONFIRM_CHECK, open_earlier=()))]
        return [(note, self._end(state, load, ok=True))]

    def _check_after_confirming_in_load(self, state: State, load: Load) -> Steps:
        if load.is_clean:
            return [("", self._end(state, load, ok=True))]
        return [(": the ledger moved", with_load(state, load, phase=COMPARE))]

    def _record(self, state: State, load: Load) -> Steps:
        if not self._has_lease(state, load):
            return [(": the lease is lost", self._end(state, load, ok=False))]
        ledger, run = state.ledger, state.runs[load.run]
        assert run.row
        if run.has_sent:
            state = state._replace(broken="P5: a run sends again what was accepted from it")
        if self.protocol.record_before_request:
            request = InFlight(load.run, load.attempt, *run.row)
            state = moved(state, ledger._replace(in_flight=tuple(sorted((*ledger.in_flight, request)))), load.run)
        return [("", with_load(state, load, phase=CHECK))]

    def _check(self, state: State, load: Load) -> Steps:
        has_lease = self._has_lease(state, load)
        if not self.protocol.check_before_request or (has_lease and load.is_clean):
            if self._is_outdated(state, load.run):
                state = state._replace(broken="P6: an older version goes out after a newer one")
            return [("", with_load(state, load, phase=POST, checked_at=state.clock))]
        state, _ = self._remove_request(state, load)
        if not has_lease:
            return [(": the lease is lost", self._end(state, load, ok=False))]
        return [(": the ledger moved", with_load(state, load, phase=COMPARE))]

    @staticmethod
    def _is_outdated(state: State, index: int) -> bool:
        """Whether a newer version than that of a run went out, or was held back; not one that was read before it."""
        run, newest, newest_before = state.runs[index], 0, 0
        assert run.row
        if state.ledger.known and state.ledger.known[:2] == run.row:
            return False  # another run has found meanwhile that the row went back to this one
        for other in state.runs:
            if other.row and other.read_mark is not None and other.read_mark < run.number:
                newest_before = max(newest_before, other.row.version)
            elif other.row and (other.has_posted or (other.holds_back and other.phase == GREEN)):
                newest = max(newest, other.row.version)
        return newest > max(run.row.version, newest_before)

    def _remove_request(self, state: State, load: Load) -> tuple[State, bool]:
        """Remove a load's request from those in flight; return whether it was one of them."""
        ledger = state.ledger
        others = tuple(request for request in ledger.in_flight if request[:2] != load[:2])
        was_in_flight = len(others) < len(ledger.in_flight)
        if was_in_flight:
            state = moved(state, ledger._replace(in_flight=others), load.run)
        return state, was_in_flight

    def _post(self, state: State, load: Load) -> Steps:
        scenario, budget, run = self.scenario, state.budget, state.runs[load.run]
        assert run.row
        status, is_late = run.row.status, state.clock > load.checked_at
        posted = state._replace(runs=put(state.runs, load.run, run._replace(has_posted=True)))
        # What went out within the settle time may be processed after this request.
        young = [one for one in state.receiver if one.posted_at > state.clock - scenario.settle]
        arrived = received(young if scenario.late_processing else (), status, state.clock)
        after = posted._replace(receiver=arrived)
        result = [(": accepted", with_load(after, load, phase=RESULT, answer=ACCEPTED, is_late=is_late))]
        if budget.refused:
            after = state._replace(budget=budget._replace(refused=budget.refused - 1))
            result.append((": refused", with_load(after, load, phase=RESULT, answer=REFUSED, is_late=is_late)))
        if budget.lost:
            perhaps = received(state.receiver, status, state.clock)
            after = posted._replace(receiver=perhaps, budget=budget._replace(lost=budget.lost - 1))
            lost = load.lost + 1
            phase, answer = (CHECK_AGAIN, NO_ANSWER) if lost < scenario.tries else (RESULT, UNKNOWN)
            after = with_load(after, load, phase=phase, answer=answer, lost=lost, is_late=is_late)
            result.append((": no answer", after))
        return result

    def _check_again(self, state: State, load: Load) -> Steps:
        if not self.protocol.check_before_further_try or (self._has_lease(state, load) and load.is_clean):
            return [("", with_load(state, load, phase=POST, checked_at=state.clock, is_late=False))]
        return [(": given up", with_load(state, load, phase=RESULT, answer=UNKNOWN))]

    def _record_result(self, state: State, load: Load) -> Steps:
        protocol, run = self.protocol, state.runs[load.run]
        assert run.row
        state, was_in_flight = self._remove_request(state, load)
        ledger, row = state.ledger, run.row
        if not was_in_flight and protocol.record_before_request:
            if protocol.fence:
                state = moved(state, with_uncertain(ledger, load.run, row, state.clock), None)
                return [(": fenced", self._end(state, load, ok=False))]
            state = state._replace(broken="P3: a request was ended twice")
        if load.answer == ACCEPTED:
            went_out = put(ledger.went_out, row.status, load.checked_at)
            was_out = put(ledger.was_out, row.status, state.clock if protocol.two_times else load.checked_at)
            uncertain = ledger.uncertain if protocol.settle else ()
            ledger = ledger._replace(
                known=Sent(*row, load.run), went_out=went_out, was_out=was_out, uncertain=uncertain
            )
            state = moved(state, ledger, load.run)
            state = state._replace(runs=put(state.runs, load.run, state.runs[load.run]._replace(has_sent=True)))
            return [(": accepted", self._end(state, load, ok=True))]
        if load.answer == REFUSED and not load.lost:
            return [(": refused", self._end(state, load, ok=False))]
        if protocol.unknown_is_uncertain:
            state = moved(state, with_uncertain(ledger, load.run, row, state.clock), None)
        return [(": unknown", self._end(state, load, ok=False))]

    # What is promised

    def find_violation(self, state: State) -> str | None:
        """Return what is wrong in a state; a schedule may end in any state in which enough actors have ended."""
        if violation := self._find_at_the_end(state):
            return violation
        ledger = state.ledger
        if self.protocol.mark_uncertain and any(request[:2] != ledger.holder for request in ledger.in_flight):
            return "P3: a request is in flight under an old lease"
        return state.broken

    def _find_at_the_end(self, state: State) -> str | None:
        loads = state.loads
        unfinished = len(loads)
        for run in state.runs:
            unfinished += run.phase in self._steps_of_runs and run.phase != START
        if unfinished > state.budget.kills or any(load.is_late for load in loads):
            return None
        held = {status for status, _ in state.receiver}
        for changes in range(state.changes, len(self.scenario.changes) + 1):
            truth = self._rows[changes][-1]
            if truth and (violation := self._find_in_truth(state, truth, held)):
                return violation
        return self._find_in_green_runs(state, held) if not self.has_faults and not unfinished else None

    def _find_in_truth(self, state: State, truth: Row, held: set[int | None]) -> str | None:
        """Let a calm run finish, alone and without faults, and say what is wrong after it."""
        action = self._calm_action(state, truth)
        if action == SEND:
            if truth.status == CREATED and not self.scenario.allow_reopen and any(held):
                return "P4: the calm run reopens an order that may be final"
        elif action == REOPENED:
            if not self._knows_of_final(state.ledger):
                return "P1: after a calm run the order is held back, and no final status was ever sent"
        elif held != {truth.status}:
            return f"P1: after a calm run ({action}) the receiver may hold {names_of(held)}, the warehouse {truth}"
        return None

    @staticmethod
    def _knows_of_final(ledger: Ledger) -> bool:
        """Whether a final status was sent, or was about to be."""
        return (
            any(at != NEVER for at in ledger.was_out[COMPLETED:])
            or any(uncertain.status for uncertain in ledger.uncertain)
            or any(request.status for request in ledger.in_flight)
        )

    def _find_in_green_runs(self, state: State, held: set[int | None]) -> str | None:
        """Without faults, the receiver should hold the truth as soon as a green run has read it."""
        truth = self._rows[state.changes][-1]
        if not truth or held == {truth.status} or any(run.phase not in (START, GREEN) for run in state.runs):
            return None
        if truth.status == CREATED and not self.scenario.allow_reopen and self._may_have_been_final:
            return None
        for index, run in enumerate(state.runs):
            if run.is_fresh and self.window_ends[index] == ENDLESS and not self._is_ambiguous(state, run):
                return f"P2: all runs are green, one has read {truth}, and the receiver may hold {names_of(held)}"
        return None

    @staticmethod
    def _is_ambiguous(state: State, run: Run) -> bool:
        """
        Whether nobody can know that a run read later than another one.

        Their extractions overlap, and the other one read a version that is at least as high: of a writer whose clock is
        slow, or of a row that went back to an older version since. The version is all there is to tell by, and it is
        wrong. The next regular run puts it right, because it starts when both are over.
        """
        for other in state.runs:
            if other is run or not other.number or not other.row or not run.row:
                continue
            is_over = other.read_mark is not None and other.read_mark < run.number
            if not is_over and other.row.version >= run.row.version and other.row != run.row:
                return True
        return False

    def _calm_action(self, state: State, truth: Row) -> str:
        """Return what a run does that is alone, after the settle time."""
        number, index = state.registered + 1, len(state.runs)
        ledger, clock = state.ledger, state.clock + self.scenario.settle
        registry = (*registry_of(state.runs), (number, number))
        action = self.compare(ledger, registry, clock, index, truth)
        if action == SEND and ledger.in_flight and self.protocol.mark_uncertain:
            for request in ledger.in_flight:
                ledger = with_uncertain(ledger, request.run, Row(request.status, request.version), clock)
            action = self.compare(ledger._replace(in_flight=()), registry, clock, index, truth)
        return action


def put(items: tuple[T, ...], index: int, item: T) -> tuple[T, ...]:
    """Return items of which one is replaced."""
    return (*items[:index], item, *items[index + 1 :])


def _order(status: int | None) -> int:
    return -1 if status is None else status


def names_of(statuses: set[int | None]) -> str:
    """Return statuses as text."""
    return " or ".join(STATUS_NAMES[status] for status in sorted(statuses, key=_order))


def received(candidates: Iterable[Candidate], status: int, clock: int) -> tuple[Candidate, ...]:
    """Return what the receiver may hold after one more request, besides what it may have held before."""
    others = [candidate for candidate in candidates if candidate.status != status]
    return tuple(sorted([*others, Candidate(status, clock)], key=lambda candidate: _order(candidate.status)))


def registry_of(runs: tuple[Run, ...]) -> Registry:
    """Return what the registry says of the runs' extractions."""
    return tuple((run.number, run.read_mark) for run in runs)


def moved(state: State, ledger: Ledger, by: int | None) -> State:
    """Return the state with a ledger that has moved for all who hold a token, besides the run that moved it."""
    return state._replace(
        ledger=ledger,
        runs=tuple(
            run._replace(is_clean=False) if run.is_clean and i != by else run for i, run in enumerate(state.runs)
        ),
        loads=tuple(
            load._replace(is_clean=False) if load.is_clean and load.run != by else load for load in state.loads
        ),
    )


def with_uncertain(ledger: Ledger, run: int, row: Row, clock: int) -> Ledger:
    """Return the ledger with a request without a clear answer."""
    others = [other for other in ledger.uncertain if other[:3] != (*row, run)]
    return ledger._replace(uncertain=tuple(sorted([*others, Uncertain(*row, run, clock)])))


def with_load(state: State, load: Load, **fields: Any) -> State:
    """Return the state after a step of a load."""
    loads = tuple(other._replace(**fields) if other[:2] == load[:2] else other for other in state.loads)
    return state._replace(loads=loads)
