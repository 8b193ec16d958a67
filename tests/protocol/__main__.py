"""Explore the scenarios and print a Markdown table of them: `python -m tests.protocol [--long]`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from tests.protocol.explorer import explore
from tests.protocol.model import Model, Protocol
from tests.protocol.scenarios import LONG_SCENARIOS, SCENARIOS, SHOWN_IN


def table(*, is_long: bool) -> Iterator[str]:
    """Return the lines of the table, and of a second one for the safeguards."""
    yield "| scenario | states | transitions | seconds | transitions a second | result |"
    yield "| --- | ---: | ---: | ---: | ---: | --- |"
    states = transitions = 0
    seconds = 0.0
    for scenario in LONG_SCENARIOS if is_long else SCENARIOS:
        found = explore(Model(scenario, Protocol()))
        states, transitions, seconds = states + found.states, transitions + found.transitions, seconds + found.seconds
        yield _row(scenario.name, found.states, found.transitions, found.seconds, found.violation or "holds")
    yield _row("all", states, transitions, seconds, "")
    if is_long:
        return
    yield ""
    yield "| without | scenario | states until then | steps | violation |"
    yield "| --- | --- | ---: | ---: | --- |"
    for switch, (promise, scenario) in SHOWN_IN.items():
        found = explore(Model(scenario, Protocol().without(switch)), promises=(promise,))
        yield f"| {switch} | {scenario.name} | {found.states:,} | {len(found.trace)} | {found.violation} |"


def _row(name: str, states: int, transitions: int, seconds: float, result: str) -> str:
    return f"| {name} | {states:,} | {transitions:,} | {seconds:.1f} | {transitions / seconds:,.0f} | {result} |"


if __name__ == "__main__":
    for line in table(is_long="--long" in sys.argv[1:]):
        print(line, flush=True)
