"""The protocol, explored: what it promises holds in all interleavings, and each of its safeguards is needed."""

from __future__ import annotations

import pytest

from tests.protocol.explorer import explore
from tests.protocol.model import GREEN, RED, SWITCHES, Load, Model, Protocol, Row, Scenario, State
from tests.protocol.scenarios import BACK, FORTH, LONG_SCENARIOS, SCENARIOS, SHOWN_IN

MOST_STATES = 150_000
"""More than any scenario needs, so that one that has grown does not take the time of all others."""


def _id(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", SCENARIOS, ids=_id)
def test_every_interleaving_keeps_what_is_promised(scenario: Scenario) -> None:
    found = explore(Model(scenario, Protocol()), max_states=MOST_STATES)

    assert found.violation is None, str(found)
    assert found.is_complete


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("scenario", LONG_SCENARIOS, ids=_id)
def test_every_interleaving_of_a_long_scenario_keeps_what_is_promised(scenario: Scenario) -> None:
    found = explore(Model(scenario, Protocol()), max_states=5_000_000)

    assert found.violation is None, str(found)
    assert found.is_complete


@pytest.mark.parametrize("switch", SWITCHES)
def test_no_safeguard_can_be_left_out(switch: str) -> None:
    promise, scenario = SHOWN_IN[switch]

    found = explore(Model(scenario, Protocol().without(switch)), max_states=MOST_STATES, promises=(promise,))

    assert found.violation
    assert found.trace


def test_the_scenarios_show_each_safeguard_and_no_other() -> None:
    assert sorted(SHOWN_IN) == sorted(SWITCHES)


class EveryOrder(Model):
    """The model without its shortcut for steps that nobody else sees."""

    def _is_alone(self, state: State, load: Load) -> bool:
        return False


def _outcomes(model: Model) -> set[tuple[object, ...]]:
    """Return how all schedules of a model may end."""
    outcomes: set[tuple[object, ...]] = set()
    seen, open_states = {model.start()}, [model.start()]
    while open_states:
        state = open_states.pop()
        after = {next_state for _, next_state in model.successors(state)}
        if all(run.phase in (GREEN, RED) for run in state.runs) and not state.loads:
            outcomes.add((state.changes, state.clock, state.runs, state.ledger, state.receiver))
        open_states += after - seen
        seen |= after
    return outcomes


@pytest.mark.parametrize("changes", [FORTH, BACK], ids=["forth", "back"])
def test_steps_that_are_taken_at_once_hide_no_outcome(changes: tuple[Row, ...]) -> None:
    scenario = Scenario("", changes, allow_reopen=True, late_processing=True, lost=1)

    assert _outcomes(Model(scenario, Protocol())) == _outcomes(EveryOrder(scenario, Protocol()))


class TwoCounters:
    """Two actors that read a shared number and write it back plus one, which loses an update."""

    def start(self) -> tuple[int, tuple[int | None, ...], tuple[bool, ...]]:
        return 0, (None, None), (False, False)

    def successors(
        self, state: tuple[int, tuple[int | None, ...], tuple[bool, ...]]
    ) -> list[tuple[str, tuple[int, tuple[int | None, ...], tuple[bool, ...]]]]:
        number, read, done = state
        result = []
        for actor in range(2):
            before, after = slice(actor), slice(actor + 1, None)
            seen = read[actor]
            if seen is None:
                result.append((f"{actor} reads", (number, (*read[before], number, *read[after]), done)))
            elif not done[actor]:
                result.append((f"{actor} writes", (seen + 1, read, (*done[before], True, *done[after]))))
        return result

    def find_violation(self, state: tuple[int, tuple[int | None, ...], tuple[bool, ...]]) -> str | None:
        number, _, done = state
        return "an update is lost" if all(done) and number < 2 else None


def test_the_explorer_finds_a_shortest_way_to_a_violation() -> None:
    found = explore(TwoCounters())

    assert found.violation == "an update is lost"
    assert found.trace == ("0 reads", "1 reads", "0 writes", "1 writes")


def test_the_explorer_looks_at_every_state_once() -> None:
    found = explore(TwoCounters(), promises=("another promise",))

    assert (found.violation, found.states, found.transitions) == (None, 13, 14)


def test_the_explorer_says_when_there_are_more_states_than_it_may_look_at() -> None:
    assert not explore(TwoCounters(), max_states=3).is_complete
