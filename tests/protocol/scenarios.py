"""
The scenarios that the protocol is explored in, and for each safeguard one that shows what it is for.

With late processing, a request may also take effect at once, so a scenario with late processing includes the one
without. The scenarios without faults have none: what they promise is that the receiver holds the truth at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product

from tests.protocol.model import CANCELLED, COMPLETED, CREATED, ENDLESS, Row, Scenario

FORTH = (Row(COMPLETED, 2), Row(CANCELLED, 3))
"""Two changes to other statuses."""
BACK_NEWER = (Row(COMPLETED, 2), Row(CREATED, 3))
"""Back to the first status, in a newer version."""
BACK = (Row(COMPLETED, 2), Row(CREATED, 1))
"""Back to exactly the first row, which only a table of current rows can show."""
SLOW_CLOCK = (Row(COMPLETED, 3), Row(CANCELLED, 2))
"""The second writer's clock is slow; a table of all changes only shows a row that arrives late."""

CHANGES = {"forth": FORTH, "back-newer": BACK_NEWER, "back": BACK, "slow-clock": SLOW_CLOCK}
TABLES = {"state": True, "changes": False}
REGULAR, HISTORY = (ENDLESS, ENDLESS), (ENDLESS, 3)
"""The windows of two runs; that of a history run ends before version 3."""


def _each(
    name: str,
    faults: Scenario,
    *,
    changes: Iterable[str] = CHANGES,
    tables: Iterable[str] = TABLES,
    windows: tuple[int, ...] = REGULAR,
) -> Iterator[Scenario]:
    """Vary a scenario by what changes, by the kind of table, and by whether an order may be reopened."""
    for change, table in product(changes, tables):
        if (change, table) == ("back", "changes"):
            continue
        for allow_reopen in (True, False) if change == "back-newer" else (True,):
            yield replace(
                faults,
                name="-".join([name, change, table, *([] if allow_reopen else ["held-back"])]),
                changes=CHANGES[change],
                is_state_table=TABLES[table],
                window_ends=windows,
                allow_reopen=allow_reopen,
            )


_CALM = Scenario("", ())
_LATE = Scenario("", (), late_processing=True)
_LOST = replace(_LATE, lost=1)
_KILL = replace(_LATE, kills=1)
_DEAD = replace(_LATE, taken_for_dead=1)

_KILLED_AFTER_A_LOST_ANSWER = Scenario(
    "lost-and-killed", BACK, allow_reopen=True, late_processing=True, lost=1, kills=1
)

SCENARIOS = (
    *_each("calm", _CALM),
    *_each("calm-history", _CALM, windows=HISTORY),
    *_each("resend-history", replace(_CALM, resend=(1,)), changes=["forth", "back-newer"], windows=HISTORY),
    *_each("lost", _LOST),
    *_each("lost-history", _LOST, tables=["changes"], windows=HISTORY),
    *_each("killed", _KILL, changes=["forth", "back"], tables=["state"]),
    *_each("killed-history", _KILL, changes=["back-newer"], tables=["changes"], windows=HISTORY),
    *_each("refused", replace(_LOST, refused=1), changes=["back"], tables=["state"]),
    Scenario("nothing-known", FORTH, known=None, late_processing=True, lost=1),
    Scenario("taken-for-dead", BACK_NEWER, late_processing=True, taken_for_dead=1),
    # The settle time is two ticks: of three requests each two neighbours may be within it, and the outer ones not.
    *_each("half-settled", replace(_LATE, settle=2, ticks=3), changes=["forth", "back"], tables=["state"]),
)
"""Two runs and two changes, with what continuous integration has time for."""

_THREE = (ENDLESS,) * 3

LONG_SCENARIOS = (
    *_each("three-runs", _CALM, windows=_THREE, tables=["state"]),
    Scenario("three-runs-lost", FORTH[:1], window_ends=_THREE, late_processing=True, lost=1),
    Scenario(
        "two-runs-and-history",
        (Row(CREATED, 3),),
        before=Row(COMPLETED, 2),
        window_ends=(ENDLESS, ENDLESS, 3),
        is_state_table=False,
        allow_reopen=True,
        ticks=0,
    ),
    *_each("killed", _KILL),
    *_each("killed-history", _KILL, windows=HISTORY),
    _KILLED_AFTER_A_LOST_ANSWER,
    replace(_KILLED_AFTER_A_LOST_ANSWER, name="lost-and-killed-half-settled", settle=2, ticks=3),
    *_each("refused-and-tried-again", replace(_LOST, refused=1, retries=1), tables=["state"]),
    *_each("taken-for-dead", _DEAD),
    *_each("taken-for-dead-history", _DEAD, changes=["back-newer"], tables=["changes"], windows=HISTORY),
    Scenario("taken-for-dead-and-killed", FORTH[:1], late_processing=True, taken_for_dead=1, kills=1),
    Scenario("taken-for-dead-and-lost", FORTH[:1], late_processing=True, taken_for_dead=1, lost=1),
    Scenario("killed-twice", FORTH[:1], late_processing=True, kills=2),
)
"""Three runs, and what takes longer."""

_CALM_FORTH = Scenario("calm-forth-state", FORTH, allow_reopen=True)
_CALM_BACK = replace(_CALM_FORTH, name="calm-back-state", changes=BACK)
_CALM_SLOW_CLOCK = replace(_CALM_FORTH, name="calm-slow-clock-state", changes=SLOW_CLOCK)
_HELD_BACK = Scenario("calm-back-newer-state-held-back", BACK_NEWER)
_TWO_READ_THE_SAME = Scenario(
    "three-runs-two-read-the-same",
    (Row(CREATED, 3),),
    before=Row(COMPLETED, 2),
    window_ends=_THREE,
    allow_reopen=True,
    ticks=0,
    begun=1,
)

SHOWN_IN = {
    "lease": ("P2", _CALM_FORTH),
    "fence": ("P2", _CALM_FORTH),
    "mark_uncertain": ("P2", _CALM_FORTH),
    "record_before_request": ("P6", _CALM_FORTH),
    "unknown_is_uncertain": ("P1", replace(_LOST, name="lost-back-state", changes=BACK, allow_reopen=True)),
    "settle": ("P1", _CALM_FORTH),
    "two_times": ("P1", replace(_LATE, name="late-forth-state", changes=FORTH)),
    "check_before_request": ("P6", _CALM_FORTH),
    "check_before_further_try": ("P1", _KILLED_AFTER_A_LOST_ANSWER),
    "compare_again_before_sending": ("P6", _CALM_FORTH),
    "compare_again_after_confirming": ("P2", _CALM_BACK),
    "open_when_compared": ("P2", _CALM_BACK),
    "retry_compares": ("P5", replace(_KILL, name="killed-forth-state", changes=FORTH)),
    "versions_of_others": ("P6", _CALM_FORTH),
    "same_row_is_not_newer": ("P2", _TWO_READ_THE_SAME),
    "order_of_extractions": ("P1", _CALM_SLOW_CLOCK),
    "uncertain_versions": ("P6", _CALM_FORTH),
    "later_confirmations": ("P2", _CALM_BACK),
    "later_requests": ("P2", _CALM_SLOW_CLOCK),
    "lasting_confirmations": (
        "P2",
        replace(
            _CALM_FORTH,
            name="calm-history-back-newer-changes",
            changes=BACK_NEWER,
            is_state_table=False,
            window_ends=HISTORY,
        ),
    ),
    "reopened_confirms": ("P6", _HELD_BACK),
    "uncertain_final": ("P4", _HELD_BACK),
}
"""For each safeguard a promise that is broken without it, and a scenario in which it is."""
