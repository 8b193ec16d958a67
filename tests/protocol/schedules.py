"""Random schedules of real runs, played again, and made shorter."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

import pytest
import sqlalchemy as sa
import time_machine
from tenacity import wait_none

from rees46_sync.ledger.tables import metadata, schema_versions
from rees46_sync.pipeline import delivery
from rees46_sync.rees46 import hook
from tests.protocol.attempts import GREEN, Attempt, Inline, Run
from tests.protocol.model import ENDLESS, Row
from tests.protocol.real_runs import RealRuns
from tests.protocol.real_shop import (
    ACCEPTED,
    BREAKS_AFTER,
    BREAKS_BEFORE,
    TRIES,
    SharedLedger,
    sqlite_ledger,
)

PLACES = (
    "read",
    "confirm",
    "change_token/state",
    "take_lease",
    "record_requests",
    "may_post/state",
    "post",
    "record_result",
    "record_result",
    "the end",
)
"""How the places end where attempts depend on each other most; before one of them another one goes on."""


@dataclass(frozen=True)
class Setup:
    """
    A shop and its runs, before anything happens.

    :param rows: what REES46 and the warehouse have of the first orders.
    :param orders: how many there are; the others are new.
    :param window_ends: one run each.
    """

    rows: tuple[Row, ...]
    is_state_table: bool
    allow_reopen: bool
    window_ends: tuple[int, ...]
    resend: tuple[int, ...] = ()
    batch_size: int = 2
    orders: int = 1


class Ledgers:
    """Makes empty ledgers, each in place of the one before it."""

    def __init__(self) -> None:
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._empty = sqlite3.connect(":memory:")
        self._ledger = sqlite_ledger(self._database)
        self._ledger.migrate()
        self._database.backup(self._empty)

    def new(self) -> SharedLedger:
        """Return an empty ledger."""
        self._empty.backup(self._database)
        return self._ledger

    def close(self) -> None:
        """Close the databases."""
        self._ledger.engine.dispose()
        self._database.close()
        self._empty.close()


class ServerLedgers:
    """
    The same in a database server.

    :param url: of an empty database.
    """

    def __init__(self, url: str) -> None:
        self._ledger = SharedLedger(sa.create_engine(url))
        self._ledger.migrate()

    def new(self) -> SharedLedger:
        """Return an empty ledger."""
        with self._ledger.engine.begin() as connection:
            for table in metadata.sorted_tables:
                if table is not schema_versions:
                    connection.execute(sa.delete(table))
        return self._ledger

    def close(self) -> None:
        """Close the connections."""
        self._ledger.engine.dispose()


@contextmanager
def inline_pools() -> Iterator[None]:
    """Let loads do everything in the greenlet that they are in, and log nothing."""
    logger = logging.getLogger("rees46_sync")
    level = logger.level
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delivery, "ThreadPoolExecutor", Inline)
        patch.setattr(hook, "_backoff", wait_none())
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def begin(setup: Setup, ledger: SharedLedger, clock: time_machine.Traveller) -> RealRuns:
    """Return a shop and its runs, before anything happens."""
    runs = RealRuns(
        ledger,
        clock,
        is_state_table=setup.is_state_table,
        allow_reopen=setup.allow_reopen,
        batch_size=setup.batch_size,
    )
    if setup.rows:
        runs.begin({f"order-{number}": row for number, row in enumerate(setup.rows)})
    runs.runs = [
        Run(index, window_end=end, resend=index in setup.resend) for index, end in enumerate(setup.window_ends)
    ]
    return runs


def end(runs: RealRuns) -> list[str]:
    """Let all attempts end, run once more in peace, and return the promises that are broken."""
    try:
        runs.finish()
        runs.judge.judge_green_runs()
        runs.judge.judge_calm_run(runs.calm_run())
    finally:
        runs.close()
    return runs.judge.broken


# Random schedules


def random_setup(dice: Random, runs: int) -> Setup:
    """Return a small shop."""
    orders = dice.randint(1, 4)
    statuses = [dice.choice((0, 0, 1, 2)) for _ in range(orders - (dice.random() < 0.2))]
    ends = [ENDLESS] * runs
    if dice.random() < 0.3:
        ends[dice.randrange(runs)] = dice.randint(2, 4)
    return Setup(
        rows=tuple(Row(status, 1) for status in statuses),
        is_state_table=dice.random() < 0.7,
        allow_reopen=dice.random() < 0.7,
        window_ends=tuple(ends),
        resend=(dice.randrange(runs),) if dice.random() < 0.1 else (),
        batch_size=dice.choice((1, 2)),
        orders=orders,
    )


class Player:
    """
    Makes random moves.

    One attempt goes on until it is about to do something that others depend on; then something happens, perhaps, and
    another one goes on. A third of the schedules has no faults.
    """

    def __init__(self, runs: RealRuns, setup: Setup, dice: Random) -> None:
        self.runs, self.dice = runs, dice
        self.histories = {
            f"order-{number}": [*setup.rows[number : number + 1]] or [Row(0, 0)] for number in range(setup.orders)
        }
        kind = dice.randrange(6)
        self.waits, self.late, self.lost = dice.choice((0, 2, 4)), False, 0
        self.again = self.kills = 0
        if kind >= 2:
            self.late, self.lost = dice.random() < 0.7, dice.choice((0, 1, 3))
        if kind >= 3:
            self.again, self.kills = dice.choice((1, 2)), dice.choice((0, 1, 2))
        self.breaks = int(kind == 5)

    def play(self) -> None:
        """Go on until no attempt is left that does."""
        current: Attempt | None = None
        for run in self.runs.runs:
            self.runs.perform(("again", run.index))
        while True:
            while self.dice.random() < 0.3:
                self._let_happen(current)
            alive = [attempt for run in self.runs.runs for attempt in run.attempts if attempt.is_alive]
            if alive:
                current = self.dice.choice([one for one in alive if one is not current] or alive)
                self._go_on(current, self.dice.choice(PLACES))
            elif not self._may_again or self.dice.random() < 0.2:
                return

    def _go_on(self, attempt: Attempt, until: str) -> None:
        while True:
            if attempt.place == "read":
                self._change_some()
            fate = self._fate(attempt)
            self.runs.perform(("step", attempt.run.index, attempt.number, fate))
            if not attempt.is_alive or (attempt.place.endswith(until) and not attempt.place.startswith("after")):
                return

    @property
    def _may_again(self) -> bool:
        return bool(self.again) and any(run.attempts and run.outcome != GREEN for run in self.runs.runs)

    def _let_happen(self, current: Attempt | None) -> None:
        dice = self.dice
        if self._may_again and dice.random() < 0.5:
            self.again -= 1
            runs = [run for run in self.runs.runs if run.outcome != GREEN]
            self.runs.perform(("again", (current.run if current and current.run in runs else dice.choice(runs)).index))
        elif self.kills and current and dice.random() < 0.5:
            self.kills -= 1
            self.runs.perform(("kill", current.run.index, current.number))
        elif self.waits:
            self.waits -= 1
            self.runs.perform(("wait", dice.choice((20, 40, 60)), dice.randrange(100)))
        elif self.runs.receiver.queue:
            self.runs.perform(("process", dice.randrange(len(self.runs.receiver.queue))))

    def _change_some(self) -> None:
        """Change orders: forward, back to an earlier row, or by a writer whose clock is slow."""
        dice = self.dice
        for order_id, rows in self.histories.items():
            if dice.random() < 0.6:
                newest, kind = max(row.version for row in rows), dice.random()
                if kind < 0.6:
                    row = Row(dice.choice([status for status in range(3) if status != rows[-1].status]), newest + 1)
                elif kind < 0.85 and rows[0].version:
                    row = dice.choice(rows)
                else:
                    row = Row(dice.randrange(3), dice.randint(1, newest + 2))
                rows.append(row)
                self.runs.perform(("change", order_id, row))

    def _fate(self, attempt: Attempt) -> str:
        """Decide what becomes of the next action."""
        dice = self.dice
        if attempt.place == "post":
            if self.lost and dice.random() < 0.4:
                self.lost -= 1
                return dice.choice(TRIES[2:] if self.late else ("lost, processed", "lost, never", "refused"))
            return TRIES[1] if self.late and dice.random() < 0.5 else ACCEPTED
        if self.breaks and not attempt.is_late and "/" in attempt.place and dice.random() < 0.05:
            self.breaks -= 1
            return BREAKS_AFTER if attempt.place.startswith("after") else BREAKS_BEFORE
        return ACCEPTED
