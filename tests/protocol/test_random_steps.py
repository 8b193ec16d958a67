"""Whole steps of a shop in any order: rows change, runs overlap and die, the shop file is edited, and time passes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import time_machine
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from rees46_sync.ledger.runs import Runs, new_account
from rees46_sync.window import compute_window
from tests.protocol.attempts import GREEN, Attempt, Run
from tests.protocol.model import Row
from tests.protocol.real_runs import RealRuns
from tests.protocol.real_shop import ACCEPTED, BEGINNING, SHOP, TRIES, time_of, version_at
from tests.protocol.schedules import Ledgers, inline_pools

LOOKBACK = timedelta(hours=4)
AN_HOUR = timedelta(hours=1)
LAST = 800
"""The minute after which no rule moves the clock any further."""

LEDGERS = Ledgers()
ORDERS = st.sampled_from(["order-0", "order-1", "order-2"])
STOPS = st.integers(1, 45)
"""How far an attempt goes on; a run that sends one batch stops some forty times."""

KINDS = st.sampled_from(["hourly", "hourly", "history", "by hand"])


class ShopInAnyOrder(RuleBasedStateMachine):
    """A shop with three orders; a run at a time is started, and the others may be in the midst of anything."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.stack.enter_context(inline_pools())
        clock = self.stack.enter_context(time_machine.travel(BEGINNING, tick=False))
        self.real = ShopWithAccounts(LEDGERS.new(), clock, is_state_table=False)
        self.stack.callback(self.real.close)
        self.real.perform(("wait", 60, 0))
        self.real.run_alone(self.real.add_run("hourly"))  # from here on each hour is read

    def teardown(self) -> None:
        try:
            self.everything_is_right_after_a_calm_run()
        finally:
            self.stack.close()

    @rule(is_state_table=st.booleans())
    @precondition(lambda self: not self.real.warehouse.rows)
    def choose_the_kind_of_table(self, is_state_table: bool) -> None:
        self.real.warehouse.is_state_table = is_state_table

    @rule(
        statuses=st.dictionaries(ORDERS, st.integers(0, 3), min_size=1),
        minutes_ago=st.sampled_from([1, 1, 1, 0, 30, 90, 230]),
    )
    def change_rows(self, statuses: dict[str, int], minutes_ago: int) -> None:
        for order_id, status in statuses.items():
            self.real.perform(("change", order_id, Row(status, version_at(self.real.now) - minutes_ago)))

    @rule(kind=KINDS, stops=STOPS, fates=st.lists(st.sampled_from(TRIES), max_size=3))
    def start_a_run(self, kind: str, stops: int, fates: list[str]) -> None:
        self.real.perform(("again", self.real.add_run(kind).index))
        self.go_on(self.real.runs[-1].attempts[-1], stops, fates)

    @rule(kind=KINDS)
    def run_to_the_end(self, kind: str) -> None:
        self.real.perform(("again", self.real.add_run(kind).index))
        self.go_on(self.real.runs[-1].attempts[-1], 1000)

    @rule(number=st.integers(0, 9), stops=STOPS, fates=st.lists(st.sampled_from(TRIES), max_size=3))
    @precondition(lambda self: self.alive)
    def wake_up(self, number: int, stops: int, fates: list[str]) -> None:
        self.go_on(self.alive[number % len(self.alive)], stops, fates)

    @rule(number=st.integers(0, 9))
    @precondition(lambda self: self.alive)
    def kill(self, number: int) -> None:
        attempt = self.alive[number % len(self.alive)]
        self.real.perform(("kill", attempt.run.index, attempt.number))

    @rule(number=st.integers(0, 9), stops=STOPS)
    @precondition(lambda self: self.unfinished)
    def clear_a_task(self, number: int, stops: int) -> None:
        run = self.unfinished[number % len(self.unfinished)]
        if self.real.perform(("again", run.index)):
            self.go_on(run.attempts[-1], stops)

    @rule(minutes=st.sampled_from([10, 40, 60, 100]), seed=st.integers(0, 9))
    @precondition(lambda self: version_at(self.real.now) < LAST)
    def time_passes(self, minutes: int, seed: int) -> None:
        self.real.perform(("wait", minutes, seed))

    @rule(number=st.integers(0, 9))
    @precondition(lambda self: self.real.receiver.queue)
    def rees46_processes_a_request(self, number: int) -> None:
        self.real.perform(("process", number % len(self.real.receiver.queue)))

    @rule()
    def edit_allow_reopen(self) -> None:
        self.real.allow_reopen = not self.real.allow_reopen

    @rule(code=st.integers(0, 2))
    @precondition(lambda self: not any(row.status == 3 for rows in self.real.warehouse.rows.values() for row in rows))
    def edit_the_mapping(self, code: int) -> None:
        self.real.codes[3] = code

    @rule()
    @precondition(lambda self: version_at(self.real.now) < LAST)
    def everything_is_right_after_a_calm_run(self) -> None:
        real = self.real
        real.finish()
        real.perform(("wait", 60, 0))
        real.perform(("wait", 60 - real.now.minute, 0))
        real.judge.judge_calm_run(real.run_alone(real.add_run("hourly")))

        # P2, P5 and P6 are about runs that have the same shop file.
        broken = [one for one in real.judge.broken if one.startswith(("P1", "P3"))]
        assert not broken, "\n".join([*broken, *real.trace])

    @property
    def alive(self) -> list[Attempt]:
        return [attempt for run in self.real.runs for attempt in run.attempts if attempt.is_alive]

    @property
    def unfinished(self) -> list[Run]:
        return [run for run in self.real.runs if run.attempts and run.outcome != GREEN and run.attempts[-1].greenlet]

    def go_on(self, attempt: Attempt, stops: int, fates: Sequence[str] = ()) -> None:
        """Let an attempt go on; what becomes of its first requests is given, the others are accepted."""
        remaining = [*fates]
        for _ in range(stops):
            fate = remaining.pop(0) if attempt.place == "post" and remaining else ACCEPTED
            if not self.real.perform(("step", attempt.run.index, attempt.number, fate)):
                return


class ShopWithAccounts(RealRuns):
    """Runs with the windows of the DAGs, and records of what they have read."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.regular: set[int] = set()

    def add_run(self, kind: str) -> Run:
        """Add an hourly run, one of history, or one by hand."""
        end = self.now.replace(minute=0)
        window = compute_window(
            interval=(end - AN_HOUR, end) if kind != "history" else (end - 3 * AN_HOUR, end - 2 * AN_HOUR),
            requested_at=self.now,
            watermark=Runs(self.ledger).watermark(SHOP, LOOKBACK),
            lookback=LOOKBACK,
            is_history=kind == "history",
            named_start=(end - 2 * AN_HOUR).isoformat() if kind == "by hand" else None,
        )
        run = Run(len(self.runs), window_start=version_at(window.start), window_end=version_at(window.end))
        self.runs.append(run)
        if window.is_regular:
            self.regular.add(run.index)
        return run

    def _extract(self, attempt: Attempt, run: Run) -> None:
        run.started_at = self.now
        super()._extract(attempt, run)

    def _account(self, attempt: Attempt, run: Run) -> None:
        assert run.ref
        record = {**new_account(), "window_start": time_of(run.window_start), "window_end": time_of(run.window_end)}
        Runs(self.ledger).save(
            shop=SHOP,
            dag_id=run.ref.dag_id,
            run_id=run.ref.run_id,
            window_widened=run.index in self.regular,
            outcome="success",
            started_at=run.started_at,
            finished_at=self.now,
            **record,
        )
        super()._account(attempt, run)


TestShopInAnyOrder = ShopInAnyOrder.TestCase
TestShopInAnyOrder.settings = settings(
    max_examples=130,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)
