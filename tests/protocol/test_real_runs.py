"""The code follows the protocol: schedules of the model and random ones, played with real runs and a real ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import time_machine

from tests.e2e.airflow_stack import postgres_uri
from tests.protocol.explorer import Exploration, explore
from tests.protocol.left_out import SAFEGUARDS, left_out
from tests.protocol.model import COMPLETED, CREATED, ENDLESS, FIRST, SWITCHES, Model, Protocol, Row, Scenario, State
from tests.protocol.real_runs import RealRuns
from tests.protocol.real_shop import BEGINNING
from tests.protocol.scenarios import SHOWN_IN
from tests.protocol.schedules import Ledgers, ServerLedgers, Setup, begin, end, inline_pools
from tests.protocol.search import find_failure
from tests.protocol.traces import broken_by

SCHEDULES = 120
"""What continuous integration has time for."""

SCHEDULES_ON_A_SERVER = 1000


@pytest.fixture(scope="module")
def ledgers() -> Iterator[Ledgers]:
    """Ledgers in SQLite."""
    ledgers = Ledgers()
    yield ledgers
    ledgers.close()


def _counterexample(switch: str) -> tuple[Scenario, Exploration[State]]:
    """Return the shortest schedule that breaks a promise of the model without a safeguard."""
    promise, scenario = SHOWN_IN[switch]
    return scenario, explore(Model(scenario, Protocol().without(switch)), promises=(promise,))


@pytest.mark.parametrize("switch", SWITCHES)
def test_each_safeguard_left_out_of_the_code_is_found(switch: str, ledgers: Ledgers) -> None:
    scenario, found = _counterexample(switch)

    assert broken_by(scenario, found, ledgers) == []
    with left_out(switch):
        assert broken_by(scenario, found, ledgers)


def a_load_is_taken_for_dead(real: RealRuns) -> None:
    """It wakes up right before its request, when another attempt has sent everything."""
    real.perform(("change", "order-0", Row(COMPLETED, 2)))
    real.perform(("again", 0))
    real.advance(0, "may_post/state")
    real.perform(("again", 0))
    real.advance(0)


def a_row_goes_back_before_a_request(real: RealRuns) -> None:
    """Another run finds that nothing is to be done, right before a load records its request."""
    real.perform(("change", "order-0", Row(COMPLETED, 2)))
    real.perform(("again", 0))
    real.advance(0, "record_requests")
    real.perform(("change", "order-0", FIRST))
    real.perform(("again", 1))
    real.advance(1)


@pytest.mark.parametrize(
    ("safeguard", "schedule"),
    [
        ("lease_before_request", a_load_is_taken_for_dead),
        ("token_before_request", a_row_goes_back_before_a_request),
    ],
)
def test_each_check_before_a_request_is_needed_by_itself(
    safeguard: str, schedule: Callable[[RealRuns], None], ledgers: Ledgers
) -> None:
    def broken() -> list[str]:
        with inline_pools(), time_machine.travel(BEGINNING, tick=False) as clock:
            real = begin(Setup((FIRST,), True, True, (ENDLESS, ENDLESS)), ledgers.new(), clock)
            schedule(real)
            return end(real)

    assert broken() == []
    with left_out(safeguard):
        assert broken()


def test_no_older_version_goes_out_after_one_that_was_held_back_for_a_request_that_was_cancelled(
    ledgers: Ledgers,
) -> None:
    with inline_pools(), time_machine.travel(BEGINNING, tick=False) as clock:
        real = begin(Setup((), True, False, (ENDLESS, ENDLESS)), ledgers.new(), clock)
        real.perform(("change", "order-0", Row(COMPLETED, 1)))
        real.perform(("again", 0))
        real.advance(0, "may_post/state")
        real.perform(("change", "order-0", Row(CREATED, 2)))
        real.perform(("again", 1))
        real.advance(1)

        assert end(real) == []


def test_random_schedules_of_two_runs_keep_what_is_promised(ledgers: Ledgers) -> None:
    failure = find_failure(ledgers, range(SCHEDULES))

    assert failure is None, str(failure)


def test_each_safeguard_of_the_model_can_be_left_out_of_the_code() -> None:
    assert set(SWITCHES) <= set(SAFEGUARDS)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("runs", [2, 3])
def test_thousands_of_random_schedules_keep_what_is_promised(runs: int, ledgers: Ledgers) -> None:
    failure = find_failure(ledgers, range(10_000, 13_000), runs)

    assert failure is None, str(failure)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_random_schedules_on_postgresql_keep_what_is_promised(postgres_home: Path) -> None:
    ledgers = ServerLedgers(postgres_uri(postgres_home, "postgres"))
    try:
        failure = find_failure(ledgers, range(20_000, 20_000 + SCHEDULES_ON_A_SERVER))
    finally:
        ledgers.close()

    assert failure is None, str(failure)
