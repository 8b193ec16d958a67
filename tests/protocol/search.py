"""Searches random schedules for one that breaks a promise, and makes it shorter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import time_machine

from tests.protocol.real_runs import Move, RealRuns
from tests.protocol.real_shop import BEGINNING
from tests.protocol.schedules import Ledgers, Player, ServerLedgers, Setup, begin, end, inline_pools, random_setup


@dataclass(frozen=True)
class Failure:
    """A schedule that breaks a promise; ``seed`` leads to it again."""

    seed: int
    setup: Setup
    broken: tuple[str, ...]
    moves: tuple[Move, ...]
    trace: tuple[str, ...]

    def __str__(self) -> str:
        return "\n  ".join([f"seed {self.seed}: {'; '.join(self.broken)}", str(self.setup), *self.trace])


def find_failure(ledgers: Ledgers | ServerLedgers, seeds: Sequence[int], runs: int = 2) -> Failure | None:
    """Play the schedules of some seeds; return the first one that breaks a promise, made shorter."""
    with inline_pools(), time_machine.travel(BEGINNING, tick=False) as clock:
        for seed in seeds:
            dice = Random(seed)
            setup = random_setup(dice, runs)
            real = begin(setup, ledgers.new(), clock)
            Player(real, setup, dice).play()
            moves = tuple(real.moves)
            if end(real):
                found = Failure(seed, setup, tuple(real.judge.broken), moves, tuple(real.trace))
                return _shorten(found, partial(_replay, setup, ledgers, clock))
    return None


def _replay(
    setup: Setup, ledgers: Ledgers | ServerLedgers, clock: time_machine.Traveller, moves: Sequence[Move]
) -> RealRuns:
    real = begin(setup, ledgers.new(), clock)
    for move in moves:
        real.perform(move)
    end(real)
    return real


def _shorten(failure: Failure, replay: Callable[[Sequence[Move]], RealRuns], tries: int = 80) -> Failure:
    """Leave out as many moves as possible, in chunks that become smaller; it must still break the same promise."""
    promise, size = failure.broken[0][:2], len(failure.moves) // 2
    moves = failure.moves
    while size and tries:
        start = 0
        while start < len(moves) and tries:
            tries -= 1
            fewer = (*moves[:start], *moves[start + size :])
            real = replay(fewer)
            if any(one.startswith(promise) for one in real.judge.broken):
                moves = fewer
                failure = Failure(failure.seed, failure.setup, tuple(real.judge.broken), moves, tuple(real.trace))
            else:
                start += size
        size //= 2
    return failure
