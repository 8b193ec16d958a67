"""Explores all schedules of a model, breadth first: the first violation that it finds has a shortest trace."""

from __future__ import annotations

import gc
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

S = TypeVar("S")


class Explorable(Protocol[S]):
    """What can be explored; its states are immutable and hashable."""

    def start(self) -> S:
        """Return the state in which every schedule starts."""
        ...

    def successors(self, state: S) -> Sequence[tuple[str, S]]:
        """Return all that may happen next: what it is, and the state after it."""
        ...

    def find_violation(self, state: S) -> str | None:
        """Return what is wrong in a state, if anything is."""
        ...


@dataclass(frozen=True)
class Exploration(Generic[S]):
    """
    What an exploration found.

    :param violation: what is wrong in the first such state; nothing was explored beyond it.
    :param trace: the steps to that state, one of the shortest ways there are.
    :param is_complete: whether there are no more states than were allowed.
    """

    states: int
    transitions: int
    seconds: float
    violation: str | None = None
    trace: tuple[str, ...] = ()
    is_complete: bool = True

    def __str__(self) -> str:
        """Return the violation and its trace, a line each."""
        return "\n  ".join([self.violation or "No violation.", *self.trace])


def explore(
    model: Explorable[S], *, max_states: int | None = None, promises: tuple[str, ...] = ("",)
) -> Exploration[S]:
    """
    Look at each state that can be reached, until one is wrong.

    :param max_states: give up beyond so many states.
    :param promises: what the violations that matter begin with.
    """
    began = time.perf_counter()
    first = model.start()
    parents: dict[S, S | None] = {first: None}
    queue = deque([first])
    transitions = 0
    with _no_garbage_collection():
        while queue:
            state = queue.popleft()
            violation = model.find_violation(state)
            if violation and violation.startswith(promises):
                trace = _trace(model, parents, state)
                return Exploration(len(parents), transitions, time.perf_counter() - began, violation, trace)
            for _, after in model.successors(state):
                transitions += 1
                if after not in parents:
                    parents[after] = state
                    queue.append(after)
            if max_states and len(parents) > max_states:
                break
    return Exploration(len(parents), transitions, time.perf_counter() - began, is_complete=not queue)


def _trace(model: Explorable[S], parents: Mapping[S, S | None], state: S) -> tuple[str, ...]:
    lines: list[str] = []
    while (before := parents[state]) is not None:
        lines.append(next(line for line, after in model.successors(before) if after == state))
        state = before
    return tuple(reversed(lines))


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Millions of tuples without a circle cost the garbage collector much time, and it finds nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
