"""A mapping was wrong and is corrected: REES46 gets what the shop's statuses really mean, final ones included."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest

from tests.conftest import ShopUnderTest
from tests.whole_run import EIGHT, IN_WINDOW, run_dag

HOUR = timedelta(hours=1)
WRONG = {"created": ["new"], "completed": ["delivered", "packed"], "cancelled": ["cancelled"]}
RIGHT = {"created": ["new", "packed"], "completed": ["delivered"], "cancelled": ["cancelled"]}


def test_what_was_completed_by_mistake_becomes_created_and_what_was_completed_does_not(
    shop: ShopUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    shop.configure(statuses=WRONG)
    shop.add_rows([("packed", "packed", IN_WINDOW), ("delivered", "delivered", IN_WINDOW)])
    shop.add_rows([("old", "packed", IN_WINDOW - timedelta(days=9))])
    assert run_dag(window_start="2026-02-01T00:00:00Z").account["sent"] == 3
    assert shop.sandbox.state() == {"packed": 1, "delivered": 1, "old": 1}

    shop.configure(statuses=RIGHT)
    shop.add_rows([("delivered", "new", IN_WINDOW + timedelta(minutes=1))])  # really reopened
    with caplog.at_level(logging.WARNING):
        run = run_dag(logical_date=EIGHT + HOUR)

    assert (run.account["sent"], run.account["reopened"]) == (1, 1)
    assert shop.sandbox.state() == {"packed": 0, "delivered": 1, "old": 1}
    assert "'packed' was completed and is now created: this concerns at most 3 orders" in caplog.text
    assert "make remap SHOP=test" in caplog.text

    caplog.clear()
    by_hand = run_dag(logical_date=EIGHT + 2 * HOUR, window_start="2026-02-01T00:00:00Z")
    # "packed" as well, because it had two statuses within settle.
    assert (by_hand.account["sent"], by_hand.account["reopened"]) == (2, 1)
    assert shop.sandbox.state() == {"packed": 0, "delivered": 1, "old": 0}
    assert "The mapping was corrected" not in caplog.text
