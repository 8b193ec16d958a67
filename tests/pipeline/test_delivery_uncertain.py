"""Orders whose answer is lost, or whose task is killed: REES46 may have them, and the ledger cannot know."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa

from rees46_sync.ledger.tables import in_flight_requests, uncertain_orders
from rees46_sync.sandbox.server import Sandbox
from tests.pipeline.deliveries import NOON, OVER_BOTH, Partition, codes_at, codes_of, numbered, orders_of, tally_of


@OVER_BOTH
def test_the_orders_of_a_request_without_an_answer_are_uncertain(sandbox: Sandbox, partition: Partition) -> None:
    sandbox.reset(fault="403@x1,slow:0@x1,reset_after@x4,403@x1")

    partition.deliver(numbered(50))

    rejected, accepted, unknown = ("rejected", 10, 1), ("accepted", 10, 1), ("unknown", 10, 4)
    assert partition.outcomes() == [rejected, accepted, unknown, rejected, accepted]
    with partition.ledger.engine.connect() as connection:
        in_flight = connection.execute(sa.select(in_flight_requests)).all()
        uncertain = set(connection.execute(sa.select(uncertain_orders.c.order_id, uncertain_orders.c.status)).all())
    assert in_flight == []
    assert uncertain == set(codes_of(numbered(50)[20:30]).items())


@OVER_BOTH
@pytest.mark.parametrize(
    "spec",
    [
        pytest.param("reset_after@x4", id="answer-lost"),
        pytest.param("cut_json_200@x1", id="answer-cut-off"),
        pytest.param("reset_after@x1,403@x1", id="answer-lost-then-refused"),
    ],
)
def test_an_order_that_changes_back_after_an_answer_was_lost_is_sent_again(
    sandbox: Sandbox, ledger_conn_id: str, spec: str
) -> None:
    Partition(ledger_conn_id, "extraction-1").deliver(orders_of(("1", 2)))
    sandbox.reset(fault=spec, keep_state=True)
    Partition(ledger_conn_id, "extraction-2").deliver(orders_of(("1", 1), at=NOON + timedelta(hours=1)))
    assert codes_at(sandbox) == {"1": 1}  # REES46 accepted it; the ledger cannot know

    Partition(ledger_conn_id, "extraction-3").deliver(orders_of(("1", 2), at=NOON + timedelta(hours=2)))

    assert codes_at(sandbox) == {"1": 2}


DELIVERY_IN_A_PROCESS = """
import sys
from datetime import datetime
import pandas as pd
from rees46_sync.rees46 import payload
from rees46_sync.pipeline.diff import DiffContext
from rees46_sync.pipeline.delivery import Delivery
from rees46_sync.rees46.hook import Rees46Hook
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import RunRef
ledger_conn_id, at = sys.argv[1], pd.Timestamp(sys.argv[2])
times = pd.Series([at], dtype="datetime64[us, UTC]")
orders = pd.DataFrame({"order_id": ["1"], "status": ["delivered"], "code": [1], "updated_at": times})
hook = Rees46Hook("shop_rees46")
Delivery(
    sender=hook,
    statuses_to_send=lambda orders: payload.statuses_to_send(orders, hook.settings.status_text),
    ledger=Ledger.from_conn_id(ledger_conn_id),
    run=RunRef("test", "dag", "killed-run", "killed-extraction"),
    partition=0,
    context=DiffContext(window_end=at.to_pydatetime()),
    batch_size=10,
    concurrency=1,
).deliver(orders)
"""


def test_an_order_that_changes_back_after_its_task_was_killed_is_sent_again(
    sandbox: Sandbox, ledger_conn_id: str
) -> None:
    Partition(ledger_conn_id, "extraction-1").deliver(orders_of(("1", 2)))
    sandbox.reset(fault="never_after@x1", keep_state=True)
    later = NOON + timedelta(hours=1)
    with subprocess.Popen([sys.executable, "-c", DELIVERY_IN_A_PROCESS, ledger_conn_id, str(later)]) as process:
        for _ in range(600):
            if codes_at(sandbox) == {"1": 1}:
                break
            time.sleep(0.1)
        process.kill()
    assert codes_at(sandbox) == {"1": 1}  # REES46 accepted it; no task was left to record it

    Partition(ledger_conn_id, "extraction-3").deliver(orders_of(("1", 2), at=NOON + timedelta(hours=2)))

    assert codes_at(sandbox) == {"1": 2}


@pytest.mark.parametrize("had_one", [True, False], ids=["something-was-accepted-before", "nothing-was"])
def test_a_run_over_an_older_window_never_overwrites_an_uncertain_newer_status(
    sandbox: Sandbox, ledger_conn_id: str, had_one: bool
) -> None:
    older, newer = orders_of(("1", 0)), orders_of(("1", 1), at=NOON + timedelta(hours=1))
    if had_one:
        Partition(ledger_conn_id, "extraction-1").deliver(older)
    sandbox.reset(fault="reset_after@x1,error_in_200@x1", keep_state=True)
    Partition(ledger_conn_id, "extraction-2").deliver(newer)
    assert codes_at(sandbox) == {"1": 1}
    by_hand = Partition(ledger_conn_id, "extraction-3")
    older_window = by_hand.context(NOON + timedelta(minutes=30))

    assert by_hand.deliver(older, context=older_window) == tally_of(1, stale=1)
    assert Partition(ledger_conn_id, "extraction-4").deliver(newer) == tally_of(1, sent=1)
    assert codes_at(sandbox) == {"1": 1}
