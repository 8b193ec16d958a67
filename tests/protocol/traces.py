"""
Plays a schedule of the model with real runs.

A step of the model is one or more transactions of the code, see :data:`STEPS`. If an attempt of the code is not about
to do what the model does (because one of the two has a safeguard that the other one has not), it waits.
"""

from __future__ import annotations

import re

import time_machine

from tests.protocol.attempts import Attempt
from tests.protocol.explorer import Exploration
from tests.protocol.model import Row, Scenario, State
from tests.protocol.real_shop import ACCEPTED, BEGINNING, SharedLedger
from tests.protocol.schedules import Ledgers, Setup, begin, end, inline_pools

ORDER = "order-0"

STEPS = {
    "begin": "start",
    "start": "start",
    "read": "read",
    "finish_reading": "complete",
    "confirm": "confirm",
    "confirm/others": "confirm",
    "compare_and_confirm/change_token/state": "check after confirming",
    "take_lease": "take the lease",
    "record_requests": "record the request",
    "may_post/state": "check",
    "cancel_request": "check",
    "post": "send the request",
    "record_result": "record the result",
    "close": "account",
}
"""The steps of the model, by how the names of the places end where an attempt stops; all others compare."""

_LINE = re.compile(r"run (\d+)(?:, attempt (\d+))?: (?:the load is )?([^:(]+)(.*)")
_ROW = re.compile(r"the warehouse(?: changed to:)? (\w+), version (\d+)")
_NAMES = {"created": 0, "completed": 1, "cancelled": 2}


def _step_of(place: str) -> str:
    place = place.removeprefix("after ")
    return next((step for end_of, step in STEPS.items() if place == end_of or place.endswith(f"/{end_of}")), "compare")


class TracePlayer:
    """
    Real runs that follow a schedule of the model.

    :param last: which of the requests that REES46 processes late is the last one.
    """

    def __init__(self, scenario: Scenario, ledger: SharedLedger, clock: time_machine.Traveller, last: int) -> None:
        self.scenario, self.last = scenario, last
        setup = Setup(
            rows=(scenario.known,) if scenario.known else (),
            is_state_table=scenario.is_state_table,
            allow_reopen=scenario.allow_reopen,
            window_ends=scenario.window_ends,
            resend=scenario.resend,
            batch_size=1,
        )
        self.real = begin(setup, ledger, clock)
        if scenario.before != scenario.known and scenario.before:
            self.real.perform(("change", ORDER, scenario.before))
        self.changes = 0
        for run in range(len(scenario.window_ends)):
            self.real.perform(("again", run))
        for run in range(scenario.begun):
            for step in ("start", "read", "complete"):
                self._advance(self.real.runs[run].attempts[0], step)

    def play(self, found: Exploration[State]) -> list[str]:
        """Play a schedule, and let it end as the model has it; return the promises that are broken."""
        for line in found.trace:
            self._play_line(line)
        if self.scenario.kills:
            self._kill_all()
        else:
            self.real.finish()
        self._change_up_to(found.violation or "")
        if found.violation and found.violation.startswith("P4"):  # it is about the last row
            for row in self.scenario.changes[self.changes :]:
                self.real.perform(("change", ORDER, row))
        queue = self.real.receiver.queue
        if queue:
            last = queue[self.last % len(queue)]
            for request in [*(one for one in queue if one is not last), last]:
                self.real.perform(("process", queue.index(request)))
        return end(self.real)

    def _kill_all(self) -> None:
        for run in self.real.runs:
            for attempt in run.attempts:
                if attempt.place != "begin":
                    self.real.perform(("kill", run.index, attempt.number))

    def _change_up_to(self, text: str) -> None:
        """Change the warehouse up to the row that a line names last."""
        for status, version in _ROW.findall(text)[-1:]:
            row = Row(_NAMES[status], int(version))
            while row in self.scenario.changes[self.changes :]:
                self.real.perform(("change", ORDER, self.scenario.changes[self.changes]))
                self.changes += 1

    def _play_line(self, line: str) -> None:
        if line == "the clock ticks":
            self.real.perform(("wait", 60 // self.scenario.settle, self.last))
            return
        found = _LINE.fullmatch(line)
        assert found, line
        run = self.real.runs[int(found[1]) - 1]
        attempt = (
            run.attempts[int(found[2]) - 1] if found[2] and int(found[2]) <= len(run.attempts) else run.attempts[-1]
        )
        step = found[3].strip()
        if step.startswith("killed"):
            self.real.perform(("kill", run.index, attempt.number))
        if "tried again" in step + found[4]:
            self.real.perform(("again", run.index))
            return
        self._change_up_to(found[4] if step == "read" else "")
        self._advance(attempt, "check" if step.startswith("check before") else step, self._fate(found[4]))

    def _fate(self, note: str) -> str:
        if "no answer" in note:
            return ("lost, late", "lost, never", "lost, processed")[self.last % 3]
        if "refused" in note:
            return "refused"
        return "accepted late" if self.scenario.late_processing else ACCEPTED

    def _advance(self, attempt: Attempt, step: str, fate: str = ACCEPTED) -> None:
        """Let an attempt do a step of the model, if it is about to."""
        if step.startswith("compare"):
            step = "compare"
        while attempt.is_alive and _step_of(attempt.place) == step:
            self.real.perform(
                ("step", attempt.run.index, attempt.number, fate if attempt.place == "post" else ACCEPTED)
            )
            if attempt.place == "post" or (step == "send the request" and not attempt.place.startswith("after")):
                return  # one request at a time


def broken_by(scenario: Scenario, found: Exploration[State], ledgers: Ledgers) -> list[str]:
    """
    Play a schedule of the model, and return the promises that the code breaks.

    The model leaves open which late request REES46 processes last, so each may be.
    """
    with inline_pools(), time_machine.travel(BEGINNING, tick=False) as clock:
        for last in range(6 if scenario.late_processing else 1):
            if broken := TracePlayer(scenario, ledgers.new(), clock, last).play(found):
                return broken
    return []
