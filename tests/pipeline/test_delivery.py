"""A partition's way to REES46 with the real hook, a real REES46 over HTTP and a real ledger."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tenacity import wait_none

from rees46_sync.exceptions import (
    LedgerError,
    Rees46Error,
    Rees46RejectedError,
    Rees46UnavailableError,
    Rees46UnreadableError,
)
from rees46_sync.ledger.confirmations import Readings
from rees46_sync.ledger.database import Ledger, RunRef
from rees46_sync.ledger.tables import accepted_statuses, deliveries, open_requests
from rees46_sync.pipeline import delivery as delivery_module
from rees46_sync.pipeline import diff as batches
from rees46_sync.pipeline.delivery import Delivery, Tally
from rees46_sync.pipeline.diff import Reading
from rees46_sync.rees46 import hook as hooks
from rees46_sync.rees46 import payload
from rees46_sync.rees46.hook import Rees46Hook
from rees46_sync.sandbox.server import Sandbox
from tests.conftest import accept, open_request, rees46_connection

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW_END = NOON + timedelta(hours=12)
OWN_TEXTS = ("new", "delivered", "cancelled")
"""What the shop of these tests calls REES46's statuses."""

BOTH = [
    pytest.param({"dialect": "import_sync_orders"}, id="import_sync_orders"),
    pytest.param({"dialect": "sync_orders"}, id="sync_orders"),
]
OVER_BOTH = pytest.mark.parametrize("extra", BOTH)
"""A test that does the same with each dialect."""
OTHER_RUN = RunRef(shop="test", dag_id="another-dag", run_id="another-run", extraction_id="another-reading")


def orders_of(*orders: tuple[str, int], at: datetime = NOON) -> pd.DataFrame:
    frame = pd.DataFrame(orders, columns=["order_id", "code"])
    return frame.assign(
        status=[OWN_TEXTS[code] for _, code in orders],
        updated_at=pd.Series([at] * len(orders), dtype="datetime64[us, UTC]"),
    )


def numbered(number: int) -> pd.DataFrame:
    """Orders whose ids sort as they are numbered."""
    return orders_of(*((f"order-{one:05}", one % 3) for one in range(number)))


def statuses_of(orders: pd.DataFrame) -> dict[str, int]:
    return dict(zip(orders["order_id"].tolist(), orders["code"].tolist(), strict=True))


def codes_at(sandbox: Sandbox) -> dict[str, int]:
    """What REES46 has, by its code, also where it was told the shop's own texts."""
    return {
        order_id: OWN_TEXTS.index(status) if isinstance(status, str) else status
        for order_id, status in sandbox.state().items()
    }


class Partition:
    """One partition of one reading of the warehouse; each delivery is another try of its task."""

    def __init__(self, ledger_conn_id: str, extraction_id: str = "reading-1") -> None:
        self.ledger = Ledger.of_connection(ledger_conn_id)
        self.ledger.create()
        self.mark = self.ledger.mark()
        self.run = RunRef(shop="test", dag_id="dag", run_id=f"run-of-{extraction_id}", extraction_id=extraction_id)

    def delivery(
        self, *, batch_size: int = 10, concurrency: int = 1, resend: bool = False, **replaced: Any
    ) -> Delivery:
        hook = Rees46Hook("shop_rees46")
        arguments: dict[str, Any] = {
            "sender": hook,
            "ledger": self.ledger,
            "run": self.run,
            "partition": 0,
            "reading": Reading(mark=self.mark, window_end=WINDOW_END, resend=resend),
            "statuses_of": partial(payload.statuses_of, status_text=hook.settings.status_text),
            "batch_size": batch_size,
            "concurrency": concurrency,
        }
        return Delivery(**arguments | replaced)

    def compared_now(self) -> dict[str, int]:
        """What a comparison that is made now rests on."""
        return batches.basis_of(self.ledger.news(self.run), Reading(mark=self.mark, window_end=WINDOW_END))

    def deliver(self, orders: pd.DataFrame, **options: Any) -> Tally:
        return self.delivery(**options).deliver(orders)

    def outcomes(self) -> list[tuple[str, int, int]]:
        """What the ledger says of each batch: outcome, orders, requests."""
        table = deliveries.c
        query = sa.select(table.outcome, table.orders, table.requests).order_by(table.id)
        with self.ledger.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(query)]

    def times_accepted(self) -> dict[str, int]:
        """How often each order was accepted, by the ledger."""
        column = accepted_statuses.c.order_id
        with self.ledger.engine.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(sa.select(column, sa.func.count()).group_by(column))}

    def statuses(self, orders: pd.DataFrame) -> dict[str, int]:
        known = self.ledger.lookup("test", orders["order_id"].tolist())
        return dict(zip(known["order_id"], known["known_status"], strict=True))


@pytest.fixture
def extra() -> dict[str, object]:
    """What stands in the extra of the connection to REES46."""
    return {}


@pytest.fixture
def new_ledger(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, extra: dict[str, object]
) -> Callable[[], str]:
    """Make an empty ledger, and say its connection; REES46 is connected too, hardly any time passes between tries."""
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_REES46", rees46_connection(sandbox, timeout_s=20, **extra))
    monkeypatch.setattr(hooks, "_backoff", wait_none())
    numbers = count()

    def make() -> str:
        conn_id = f"ledger_{next(numbers)}"
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", f"sqlite:///{tmp_path}/{conn_id}.db")
        return conn_id

    return make


@pytest.fixture
def ledger_conn_id(new_ledger: Callable[[], str]) -> str:
    return new_ledger()


@pytest.fixture
def partition(ledger_conn_id: str) -> Partition:
    return Partition(ledger_conn_id)


def tally_of(orders: int, **counts: int) -> Tally:
    return Tally(orders=orders, **counts)


def adds_up(tally: Tally) -> bool:
    return sum(asdict(tally).values()) == 2 * tally.orders


# All is well


@OVER_BOTH
def test_2345_orders_leave_in_three_batches_and_are_all_recorded(sandbox: Sandbox, partition: Partition) -> None:
    orders = numbered(2345)

    tally = partition.deliver(orders, batch_size=1000, concurrency=8)

    assert tally == tally_of(2345, sent=2345)
    assert sandbox.stats() == {"requests": 3, "orders": 2345, "accepted": 3, "violations": {}, "faults": {}}
    assert codes_at(sandbox) == partition.statuses(orders) == statuses_of(orders)
    assert partition.ledger.delivered("reading-1") == {0: 2345}
    assert sorted(partition.outcomes()) == [("accepted", 345, 1), ("accepted", 1000, 1), ("accepted", 1000, 1)]


@pytest.mark.parametrize(
    ("extra", "sent"),
    [
        pytest.param({"dialect": "import_sync_orders"}, (0, 1, 2), id="import_sync_orders"),
        pytest.param({"dialect": "sync_orders"}, ("new", "delivered", "cancelled"), id="sync_orders"),
        pytest.param(
            {"dialect": "sync_orders", "status_text": "mapped"}, ("created", "completed", "cancelled"), id="mapped"
        ),
    ],
)
def test_a_status_is_sent_as_the_connection_says_and_the_ledger_has_its_code(
    sandbox: Sandbox, partition: Partition, sent: tuple[object, ...]
) -> None:
    orders = numbered(3)

    assert partition.deliver(orders) == tally_of(3, sent=3)

    assert list(sandbox.state().values()) == list(sent)
    assert list(partition.statuses(orders).values()) == [0, 1, 2]


@pytest.mark.parametrize("concurrency", [1, 8])
def test_without_orders_nothing_is_posted(sandbox: Sandbox, partition: Partition, concurrency: int) -> None:
    assert partition.deliver(numbered(0), concurrency=concurrency) == tally_of(0)

    assert sandbox.requests() == []


@OVER_BOTH
def test_where_rees46_has_everything_nothing_is_posted(sandbox: Sandbox, ledger_conn_id: str) -> None:
    orders = numbered(25)
    Partition(ledger_conn_id, "reading-1").deliver(orders)
    sandbox.reset(keep_state=True)

    assert Partition(ledger_conn_id, "reading-2").deliver(orders) == tally_of(25, unchanged=25)
    assert sandbox.requests() == []


def test_a_resend_sends_everything_again_but_a_retry_of_it_nothing(sandbox: Sandbox, ledger_conn_id: str) -> None:
    orders = numbered(25)
    Partition(ledger_conn_id, "reading-1").deliver(orders)
    resent = Partition(ledger_conn_id, "reading-2")

    for _ in range(2):
        assert resent.deliver(orders, resend=True) == tally_of(25, sent=25)

    assert sandbox.stats()["orders"] == 50


def test_a_batch_that_was_accepted_after_hiccups_is_recorded_with_all_its_requests(
    sandbox: Sandbox, partition: Partition
) -> None:
    sandbox.reset(fault="503@x2")

    assert partition.deliver(numbered(20)) == tally_of(20, sent=20)
    assert partition.outcomes() == [("accepted", 10, 3), ("accepted", 10, 1)]


# Batches that are not accepted


REJECTED, UNREADABLE, UNAVAILABLE = Rees46RejectedError, Rees46UnreadableError, Rees46UnavailableError
BAD_BATCHES = [
    pytest.param("error_in_200@x1", REJECTED, ("rejected", 10, 1), id="error-inside-200"),
    pytest.param("400@x1", REJECTED, ("rejected", 10, 1), id="400"),
    pytest.param("html_in_200@x1", UNREADABLE, ("unknown", 10, 1), id="page-of-a-proxy"),
    pytest.param("cut_json_200@x1", UNREADABLE, ("unknown", 10, 1), id="cut-off-json-though-accepted"),
    pytest.param("500@x1", UNAVAILABLE, ("unknown", 10, 1), id="500"),
    pytest.param("503@x4", UNAVAILABLE, ("unknown", 10, 4), id="503"),
    pytest.param("429:61@x1", UNAVAILABLE, ("unknown", 10, 1), id="rate-limited"),
    pytest.param("reset_before@x4", UNAVAILABLE, ("unknown", 10, 4), id="reset"),
    pytest.param("reset_after@x4", UNAVAILABLE, ("unknown", 10, 4), id="reset-though-accepted"),
]


@OVER_BOTH
@pytest.mark.parametrize(("spec", "error", "recorded"), BAD_BATCHES)
def test_a_bad_batch_stops_none_of_its_neighbours_and_a_retry_sends_it_alone(
    sandbox: Sandbox, partition: Partition, spec: str, error: type[Rees46Error], recorded: tuple[str, int, int]
) -> None:
    orders = numbered(45)
    sandbox.reset(fault=spec)
    first_try, second_try = partition.delivery(), partition.delivery()

    assert first_try.deliver(orders) == tally_of(45, sent=35, failed=10)
    assert [type(found) for found in first_try.errors] == [error]
    good = [("accepted", 10, 1)] * 3 + [("accepted", 5, 1)]
    assert partition.outcomes() == [recorded, *good]
    assert partition.statuses(orders) == statuses_of(orders[10:])
    requests = sandbox.stats()["requests"]

    assert second_try.deliver(orders) == tally_of(45, sent=45)
    assert second_try.errors == []
    assert sandbox.stats()["requests"] == requests + 1
    assert codes_at(sandbox) == partition.statuses(orders) == statuses_of(orders)
    assert partition.times_accepted() == dict.fromkeys(orders["order_id"], 1)
    assert partition.outcomes() == [recorded, *good, ("accepted", 10, 1)]


@OVER_BOTH
def test_what_a_bad_batch_left_over_is_sent_by_the_next_run_too(sandbox: Sandbox, ledger_conn_id: str) -> None:
    orders = numbered(45)
    sandbox.reset(fault="error_in_200@x1")
    Partition(ledger_conn_id, "reading-1").deliver(orders)

    assert Partition(ledger_conn_id, "reading-2").deliver(orders) == tally_of(45, sent=10, unchanged=35)
    assert codes_at(sandbox) == statuses_of(orders)


@OVER_BOTH
@pytest.mark.parametrize(
    "spec",
    [
        pytest.param("reset_after@x4", id="answer-lost"),
        pytest.param("cut_json_200@x1", id="answer-cut-off"),
        pytest.param("reset_after@x1,400@x1", id="answer-lost-then-refused"),
    ],
)
def test_an_order_that_changes_back_after_an_answer_was_lost_is_sent_again(
    sandbox: Sandbox, ledger_conn_id: str, spec: str
) -> None:
    Partition(ledger_conn_id, "reading-1").deliver(orders_of(("1", 2)))
    sandbox.reset(fault=spec, keep_state=True)
    Partition(ledger_conn_id, "reading-2").deliver(orders_of(("1", 1), at=NOON + timedelta(hours=1)))
    assert codes_at(sandbox) == {"1": 1}  # REES46 took it; the ledger could not know

    Partition(ledger_conn_id, "reading-3").deliver(orders_of(("1", 2), at=NOON + timedelta(hours=2)))

    assert codes_at(sandbox) == {"1": 2}


DELIVERY_IN_A_PROCESS = """
import sys
from datetime import datetime
import pandas as pd
from rees46_sync.rees46 import payload
from rees46_sync.pipeline.diff import Reading
from rees46_sync.pipeline.delivery import Delivery
from rees46_sync.rees46.hook import Rees46Hook
from rees46_sync.ledger.database import Ledger, RunRef
ledger_conn_id, at = sys.argv[1], pd.Timestamp(sys.argv[2])
times = pd.Series([at], dtype="datetime64[us, UTC]")
orders = pd.DataFrame({"order_id": ["1"], "status": ["delivered"], "code": [1], "updated_at": times})
hook = Rees46Hook("shop_rees46")
Delivery(
    sender=hook,
    statuses_of=lambda orders: payload.statuses_of(orders, hook.settings.status_text),
    ledger=Ledger.of_connection(ledger_conn_id),
    run=RunRef("test", "dag", "killed-run", "killed-reading"),
    partition=0,
    reading=Reading(mark=10**6, window_end=at.to_pydatetime()),
    batch_size=10,
    concurrency=1,
).deliver(orders)
"""


def test_an_order_that_changes_back_after_its_task_was_killed_is_sent_again(
    sandbox: Sandbox, ledger_conn_id: str
) -> None:
    Partition(ledger_conn_id, "reading-1").deliver(orders_of(("1", 2)))
    sandbox.reset(fault="never_after@x1", keep_state=True)
    later = NOON + timedelta(hours=1)
    with subprocess.Popen([sys.executable, "-c", DELIVERY_IN_A_PROCESS, ledger_conn_id, str(later)]) as process:
        for _ in range(600):
            if codes_at(sandbox) == {"1": 1}:
                break
            time.sleep(0.1)
        process.kill()
    assert codes_at(sandbox) == {"1": 1}  # REES46 took it; nobody was left to hear of it

    Partition(ledger_conn_id, "reading-3").deliver(orders_of(("1", 2), at=NOON + timedelta(hours=2)))

    assert codes_at(sandbox) == {"1": 2}


@OVER_BOTH
def test_requests_are_open_until_they_are_answered(sandbox: Sandbox, partition: Partition) -> None:
    sandbox.reset(fault="400@x1,slow:0@x1,reset_after@x4,400@x1")

    partition.deliver(numbered(50))

    rejected, accepted, unknown = ("rejected", 10, 1), ("accepted", 10, 1), ("unknown", 10, 4)
    assert partition.outcomes() == [rejected, accepted, unknown, rejected, accepted]
    with partition.ledger.engine.connect() as connection:
        still_open = connection.execute(sa.select(open_requests.c.shop, open_requests.c.orders)).all()
    orders = [
        [order_id, code, "2026-03-01 12:00:00.000000"] for order_id, code in statuses_of(numbered(50)[20:30]).items()
    ]
    assert [(shop, json.loads(orders)) for shop, orders in still_open] == [("test", orders)]


@pytest.mark.parametrize("had_one", [True, False], ids=["something-was-accepted-before", "nothing-was"])
def test_a_run_over_an_older_window_holds_back_what_may_overwrite_an_unheard_newer_status(
    sandbox: Sandbox, ledger_conn_id: str, had_one: bool
) -> None:
    older, newer = orders_of(("1", 0)), orders_of(("1", 1), at=NOON + timedelta(hours=1))
    if had_one:
        Partition(ledger_conn_id, "reading-1").deliver(older)
    sandbox.reset(fault="reset_after@x1,error_in_200@x1", keep_state=True)
    Partition(ledger_conn_id, "reading-2").deliver(newer)
    assert codes_at(sandbox) == {"1": 1}
    by_hand = Partition(ledger_conn_id, "reading-3")
    older_window = Reading(mark=by_hand.mark, window_end=NOON + timedelta(minutes=30))

    assert by_hand.deliver(older, reading=older_window) == tally_of(1, stale=1)
    assert Partition(ledger_conn_id, "reading-4").deliver(newer) == tally_of(1, sent=1)
    assert codes_at(sandbox) == {"1": 1}


UNREADABLE_EVERYWHERE = ["html_in_200@1", "cut_json_200@1"]


@pytest.mark.parametrize(
    ("extra", "spec"),
    [
        *(pytest.param(*both.values, spec, id=f"{both.id}-{spec}") for both in BOTH for spec in UNREADABLE_EVERYWHERE),
        pytest.param({"dialect": "sync_orders"}, "empty_200@1", id="sync_orders-empty_200"),
        pytest.param({"dialect": "sync_orders"}, "ok_200@1", id="sync_orders-ok_200"),
    ],
)
def test_an_unreadable_answer_is_never_taken_for_an_acceptance(
    sandbox: Sandbox, partition: Partition, spec: str
) -> None:
    orders = numbered(20)
    sandbox.reset(fault=spec)

    assert partition.deliver(orders) == tally_of(20, failed=20)
    assert partition.statuses(orders) == {}
    assert partition.ledger.delivered("reading-1") == {}
    assert partition.outcomes() == [("unknown", 10, 1)] * 2


# When to stop


@OVER_BOTH
@pytest.mark.parametrize(
    ("spec", "requests", "failed"),
    [
        pytest.param("error_in_200@1", 3, 100, id="three-rejected"),
        pytest.param("403@1", 3, 100, id="three-forbidden"),
        pytest.param("400@x2,slow:0@x2,400@x1", 5, 80, id="three-rejected-with-accepted-ones-between"),
        pytest.param("400@x2", 10, 20, id="only-two-rejected"),
        pytest.param("500@1", 3, 100, id="three-unanswered"),
        pytest.param("503@1", 12, 100, id="three-unanswered-after-four-tries-each"),
        pytest.param("reset_after@1", 12, 100, id="three-unanswered-though-accepted"),
        pytest.param("html_in_200@1", 3, 100, id="three-unreadable"),
        pytest.param("500@x1,html_in_200@x1,429:61@x1", 3, 100, id="three-without-a-clear-answer"),
        pytest.param("500@x2,slow:0@x1,500@x2,slow:0@x1,500@x2", 10, 60, id="never-three-unanswered-in-a-row"),
        pytest.param("500@x2,400@x1,500@x2", 10, 50, id="a-rejection-is-an-answer"),
    ],
)
def test_stops_after_three_rejected_batches_or_three_unanswered_in_a_row(
    sandbox: Sandbox, partition: Partition, spec: str, requests: int, failed: int
) -> None:
    sandbox.reset(fault=spec)

    assert partition.deliver(numbered(100)) == tally_of(100, sent=100 - failed, failed=failed)
    assert sandbox.stats()["requests"] == requests


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("400@1", "Stopped after 3 refused batches: 70 orders of partition 0 were not tried."),
        ("500@1", "Stopped after 3 batches in a row without a clear answer: 70 orders of partition 0 were not tried."),
    ],
)
def test_the_log_says_why_a_load_stopped(
    sandbox: Sandbox, partition: Partition, caplog: pytest.LogCaptureFixture, spec: str, why: str
) -> None:
    sandbox.reset(fault=spec)

    partition.deliver(numbered(100))

    assert caplog.messages[-1] == why


def test_of_batches_that_are_under_way_together_a_few_more_can_be_rejected(
    sandbox: Sandbox, partition: Partition
) -> None:
    sandbox.reset(fault="400@1", latency_ms=50)

    tally = partition.deliver(numbered(150), concurrency=4)

    assert tally == tally_of(150, failed=150)
    assert delivery_module.MOST_REJECTED <= sandbox.stats()["requests"] <= delivery_module.MOST_REJECTED + 3


def test_after_a_stop_only_what_is_still_due_counts_as_failed(sandbox: Sandbox, ledger_conn_id: str) -> None:
    orders = numbered(100)
    Partition(ledger_conn_id, "reading-1").deliver(orders[60:])
    sandbox.reset(fault="400@1", keep_state=True)

    assert Partition(ledger_conn_id, "reading-2").deliver(orders) == tally_of(100, failed=60, unchanged=40)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("errors", "worst"),
    [
        pytest.param([REJECTED("a")], 0, id="a-refusal-alone"),
        pytest.param([REJECTED("a"), UNAVAILABLE("b")], 1, id="waiting-helps-one"),
        pytest.param([UNREADABLE("a"), REJECTED("b")], 0, id="a-retry-helps-one"),
        pytest.param([UNAVAILABLE("a"), UNAVAILABLE("b", retry_after=seconds(5))], 1, id="asked-to-wait"),
        pytest.param(
            [UNAVAILABLE("a", retry_after=seconds(90)), UNAVAILABLE("b", retry_after=seconds(5)), REJECTED("c")],
            0,
            id="the-longest-wait",
        ),
    ],
)
def test_the_error_that_decides_about_a_retry_is_the_one_that_waiting_can_mend(
    partition: Partition, errors: list[Rees46Error], worst: int
) -> None:
    delivery = partition.delivery()
    delivery.errors = errors

    assert delivery.worst_error is errors[worst]


@pytest.mark.parametrize("concurrency", [1, 3])
def test_when_it_is_told_to_stop_what_is_under_way_is_recorded_and_nothing_more_is_started(
    sandbox: Sandbox, partition: Partition, concurrency: int
) -> None:
    orders = numbered(100)

    class SenderInWhoseFifthRequestAirflowEndsTheTask:
        hook = Rees46Hook("shop_rees46")
        numbers = count(1)

        def send(self, orders: Sequence[tuple[str, int]]) -> int:
            if next(self.numbers) >= 5:
                stopped.stop()
            return self.hook.send(orders)

    stopped = partition.delivery(sender=SenderInWhoseFifthRequestAirflowEndsTheTask(), concurrency=concurrency)

    tally = stopped.deliver(orders)

    assert adds_up(tally)
    assert 50 <= tally.sent <= 40 + 10 * concurrency
    assert tally.failed == 100 - tally.sent
    assert sandbox.stats()["orders"] == tally.sent == partition.ledger.delivered("reading-1")[0]
    assert partition.deliver(orders) == tally_of(100, sent=100)
    assert sandbox.stats()["orders"] == 100


# Other runs


@OVER_BOTH
@pytest.mark.parametrize(
    ("other_status", "other_time", "status", "verdict"),
    [
        pytest.param(2, timedelta(minutes=1), 1, "stale", id="newer"),
        pytest.param(2, timedelta(0), 1, "stale", id="as-new"),
        pytest.param(1, timedelta(minutes=1), 0, "stale", id="newer-and-final"),
        pytest.param(1, timedelta(minutes=1), 1, "unchanged", id="same-status"),
        pytest.param(1, -timedelta(minutes=1), 1, "unchanged", id="same-status-older"),
        pytest.param(2, -timedelta(minutes=1), 0, "reopened", id="older-and-final"),
        pytest.param(0, -timedelta(minutes=1), 1, "sent", id="older"),
    ],
)
def test_what_another_run_sent_meanwhile_is_asked_of_the_ledger_once_more(
    sandbox: Sandbox, partition: Partition, other_status: int, other_time: timedelta, status: int, verdict: str
) -> None:
    other = orders_of(("2", other_status), at=NOON + other_time)
    hook = Rees46Hook("shop_rees46")
    hook.send([("2", payload.statuses_of(other, hook.settings.status_text)[0])])
    accept(partition.ledger, OTHER_RUN, 0, other, 1)

    tally = partition.deliver(orders_of(("1", 1), ("2", status), ("3", 1)))

    assert tally == (tally_of(3, sent=3) if verdict == "sent" else tally_of(3, sent=2, **{verdict: 1}))
    assert codes_at(sandbox) == {"1": 1, "2": status if verdict == "sent" else other_status, "3": 1}


def answer_another_reading(ledger: Ledger) -> None:
    accept(ledger, OTHER_RUN, 0, orders_of(("another", 1)), 1)


def leave_an_order_unanswered(ledger: Ledger) -> None:
    open_request(ledger, OTHER_RUN, orders_of(("another", 1)))
    ledger.note_unanswered("test")


def overtake_an_order(ledger: Ledger) -> None:
    assert Readings(ledger).overtake(OTHER_RUN, orders_of(("another", 1))) == 1


@pytest.mark.parametrize(
    ("happens", "asked"),
    [
        pytest.param(lambda _ledger: None, 0, id="nothing"),
        pytest.param(answer_another_reading, 1, id="another-reading-was-sent"),
        pytest.param(leave_an_order_unanswered, 1, id="an-order-was-left-unanswered"),
        pytest.param(overtake_an_order, 1, id="another-reading-overtook-this-one"),
    ],
)
def test_what_was_compared_is_asked_again_only_where_something_has_happened_since(
    partition: Partition, happens: Callable[[Ledger], object], asked: int
) -> None:
    Readings(partition.ledger).begin(partition.run, NOON, NOON - timedelta(days=1))
    ledger = LedgerWithFailures(partition.ledger.engine, "lookup", set(), KeyboardInterrupt)
    compared_at = partition.compared_now()
    happens(ledger)

    tally = partition.delivery(ledger=ledger).deliver(numbered(30), compared_at)

    assert tally == tally_of(30, sent=30)
    assert ledger.count == asked


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _compared_at: None, id="an-earlier-version-that-says-nothing"),
        pytest.param(lambda compared_at: compared_at | {"latest_approval": 0}, id="a-later-version-that-says-more"),
        pytest.param(lambda compared_at: {"latest_batch": compared_at["latest_batch"]}, id="one-that-says-less"),
    ],
)
def test_a_comparison_of_another_version_of_the_project_is_made_again(
    partition: Partition, change: Callable[[dict[str, int]], dict[str, int] | None]
) -> None:
    ledger = LedgerWithFailures(partition.ledger.engine, "lookup", set(), KeyboardInterrupt)

    tally = partition.delivery(ledger=ledger).deliver(numbered(30), change(partition.compared_now()))

    assert tally == tally_of(30, sent=30)
    assert ledger.count == 1


def test_orders_that_may_not_be_reopened_any_more_are_not_though_nothing_has_happened_since(
    partition: Partition, ledger_conn_id: str
) -> None:
    accept(partition.ledger, OTHER_RUN, 0, orders_of(("1", 1), ("2", 0), at=NOON - timedelta(hours=1)))
    later = Partition(ledger_conn_id, "reading-2")
    allowed, not_any_more = (
        Reading(mark=later.mark, window_end=WINDOW_END, allow_reopen=allow) for allow in (True, False)
    )
    compared_at = batches.basis_of(later.ledger.news(later.run), allowed)

    tally = later.delivery(reading=not_any_more).deliver(orders_of(("1", 0), ("2", 1)), compared_at)

    assert tally == tally_of(2, sent=1, reopened=1)


def test_news_in_the_middle_of_a_load_has_no_more_batches_asked_one_by_one_than_were_asked_ahead(
    partition: Partition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "ASKED_AT_ONCE", 20)
    ledger = LedgerWithFailures(partition.ledger.engine, "lookup", set(), KeyboardInterrupt)

    class SenderDuringWhoseFirstRequestAnOrderIsLeftUnanswered:
        hook = Rees46Hook("shop_rees46")
        sent = 0

        def send(self, orders: Sequence[tuple[str, int]]) -> int:
            self.sent += 1
            if self.sent == 1:
                leave_an_order_unanswered(partition.ledger)
            return self.hook.send(orders)

    load = partition.delivery(sender=SenderDuringWhoseFirstRequestAnOrderIsLeftUnanswered(), ledger=ledger)
    tally = load.deliver(numbered(200), partition.compared_now())

    assert tally == tally_of(200, sent=200)
    one_by_one, pieces_after = 3, 8
    assert ledger.count <= one_by_one + pieces_after < 20  # batches


def test_a_retry_asks_what_the_try_before_it_sent_though_no_other_reading_was_sent(
    sandbox: Sandbox, partition: Partition
) -> None:
    compared_at = partition.compared_now()
    sandbox.reset(fault="slow:0@x1,400@x1")
    assert partition.delivery().deliver(numbered(30), compared_at) == tally_of(30, sent=20, failed=10)

    assert partition.delivery().deliver(numbered(30), compared_at) == tally_of(30, sent=30)
    assert set(partition.times_accepted().values()) == {1}


@pytest.mark.parametrize("retry_comes", ["before-the-next-run", "after-the-next-run"])
def test_a_newer_status_is_the_last_word_though_an_older_batch_waits_for_its_retry(
    sandbox: Sandbox, ledger_conn_id: str, retry_comes: str
) -> None:
    waiting = Partition(ledger_conn_id, "reading-1")
    older, newer = orders_of(("1", 0)), orders_of(("1", 1), at=NOON + timedelta(minutes=1))
    sandbox.reset(fault="503@x4")
    assert waiting.deliver(older) == tally_of(1, failed=1)

    if retry_comes == "before-the-next-run":
        assert waiting.deliver(older) == tally_of(1, sent=1)
    assert Partition(ledger_conn_id, "reading-2").deliver(newer) == tally_of(1, sent=1)
    if retry_comes == "after-the-next-run":
        assert waiting.deliver(older) == tally_of(1, stale=1)

    assert codes_at(sandbox) == {"1": 1}


@pytest.mark.parametrize("compared", [False, True], ids=["not-compared", "compared-just-now"])
def test_the_ledger_is_asked_right_before_each_batch_not_once_for_all(
    sandbox: Sandbox, partition: Partition, compared: bool
) -> None:
    class SenderWhoseFirstRequestTakesAsLongAsAnotherRun:
        hook = Rees46Hook("shop_rees46")

        def send(self, orders: Sequence[tuple[str, int]]) -> int:
            if not sandbox.requests():
                self.hook.send([("order-00015", 2)])
                newer = orders_of(("order-00015", 2), at=NOON + timedelta(minutes=1))
                accept(partition.ledger, OTHER_RUN, 0, newer, 1)
            return self.hook.send(orders)

    load = partition.delivery(sender=SenderWhoseFirstRequestTakesAsLongAsAnotherRun())
    tally = load.deliver(numbered(20), partition.compared_now() if compared else None)

    assert tally == tally_of(20, sent=19, stale=1)
    assert codes_at(sandbox) == statuses_of(numbered(20)) | {"order-00015": 2}


@pytest.mark.parametrize("found", ["before-the-load", "during-a-request-before", "as-its-own-request-is-written-down"])
def test_a_status_that_the_warehouse_took_back_is_not_sent_though_nobody_sent_anything_since(
    sandbox: Sandbox, ledger_conn_id: str, found: str
) -> None:
    had, later = orders_of(("order-00015", 1), at=NOON - timedelta(hours=1)), NOON + timedelta(minutes=1)
    Partition(ledger_conn_id, "reading-1").deliver(had)
    older, newer = Partition(ledger_conn_id, "reading-2"), Partition(ledger_conn_id, "reading-3")
    Readings(older.ledger).begin(older.run, NOON, NOON - timedelta(days=1))
    cancelled = numbered(20).assign(code=2, status=OWN_TEXTS[2])
    notes = []

    def find_it_unchanged() -> None:
        if not notes:
            notes.append(Readings(newer.ledger).overtake(newer.run, orders_of(("order-00015", 1), at=later)))

    class SlowSender:
        hook = Rees46Hook("shop_rees46")

        def send(self, orders: Sequence[tuple[str, int]]) -> int:
            if found == "during-a-request-before":
                find_it_unchanged()
            return self.hook.send(orders)

    def as_it_is_written_down(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "INTO rees46_open_requests" in statement:
            find_it_unchanged()

    if found == "as-its-own-request-is-written-down":
        sa.event.listen(older.ledger.engine, "before_cursor_execute", as_it_is_written_down)
    if found == "before-the-load":
        find_it_unchanged()

    assert older.delivery(sender=SlowSender()).deliver(cancelled) == tally_of(20, sent=19, stale=1)
    assert notes == [1]
    assert codes_at(sandbox) == statuses_of(cancelled) | {"order-00015": 1}


def test_a_load_that_finds_an_order_sent_by_another_overtakes_older_readings_too(
    sandbox: Sandbox, ledger_conn_id: str
) -> None:
    readings = [Partition(ledger_conn_id, f"reading-{number}") for number in range(3)]
    for one in readings:
        Readings(one.ledger).begin(one.run, NOON, NOON - timedelta(days=1))
    first, second, third = (
        orders_of(("1", code), at=NOON + timedelta(minutes=minutes)) for code, minutes in ((1, 0), (2, 1), (1, 2))
    )

    assert readings[0].deliver(first) == tally_of(1, sent=1)
    assert readings[2].deliver(third) == tally_of(1, unchanged=1)
    assert readings[1].deliver(second) == tally_of(1, stale=1)
    assert codes_at(sandbox) == {"1": 1}


def test_two_deliveries_of_the_same_orders_at_once_end_in_the_right_state(
    sandbox: Sandbox, ledger_conn_id: str
) -> None:
    orders = numbered(120)
    sandbox.reset(latency_ms=5)
    partitions = [Partition(ledger_conn_id, f"reading-{number}") for number in range(2)]

    with ThreadPoolExecutor(2) as threads:
        tallies = list(threads.map(lambda one: one.deliver(orders, concurrency=3), partitions))

    assert all(map(adds_up, tallies))
    assert all(tally.sent + tally.unchanged == 120 for tally in tallies)
    assert codes_at(sandbox) == partitions[0].statuses(orders) == statuses_of(orders)
    assert set(partitions[0].times_accepted().values()) <= {1, 2}
    for partition, tally in zip(partitions, tallies, strict=True):
        assert partition.ledger.delivered(partition.run.extraction_id).get(0, 0) == tally.sent


# Several requests at once


def test_as_many_requests_as_allowed_are_under_way_and_never_more(sandbox: Sandbox, partition: Partition) -> None:
    latency_s, almost = 4.0, 3.9
    sandbox.reset(latency_ms=4000)

    partition.deliver(numbered(160), concurrency=8)

    arrivals = [row["at"] for row in sandbox.requests()]
    assert len(arrivals) == 16
    assert arrivals[-1] + latency_s - arrivals[0] < 16 * latency_s / 2  # one after the other they take 64 s
    assert any(later - earlier < almost for earlier, later in zip(arrivals, arrivals[7:], strict=False))
    # The ninth comes when the first of the eight before it has been answered.
    assert all(later - earlier >= almost for earlier, later in zip(arrivals, arrivals[8:], strict=False))


@pytest.mark.parametrize("concurrency", [1, 4])
def test_requests_go_out_while_answers_wait_to_be_recorded_but_a_kill_loses_only_so_many(
    sandbox: Sandbox, partition: Partition, concurrency: int
) -> None:
    may_record = threading.Event()

    class SlowLedger(Ledger):
        def record_answer(self, *arguments: Any, **options: Any) -> None:
            assert may_record.wait(60)
            super().record_answer(*arguments, **options)

    slow = SlowLedger(partition.ledger.engine)
    with ThreadPoolExecutor(1) as thread:
        load = thread.submit(partition.deliver, numbered(100), concurrency=concurrency, ledger=slow)
        for _ in range(600):
            if sandbox.stats()["requests"] == concurrency + delivery_module.UNRECORDED:
                break
            time.sleep(0.1)
        time.sleep(1)  # the other batches would be sent in that time
        unrecorded = sandbox.stats()["requests"]
        may_record.set()

        assert load.result() == tally_of(100, sent=100)
    assert unrecorded == concurrency + delivery_module.UNRECORDED


# The ledger fails


Failure = Callable[[], BaseException]


class LedgerWithFailures(Ledger):
    """A ledger some of whose calls fail: ``failures`` names the method, and which calls of it, counted from 1."""

    def __init__(self, engine: sa.Engine, method: str, calls: set[int], failure: Failure) -> None:
        super().__init__(engine)
        self.method, self.calls, self.failure = method, calls, failure
        self.count = 0

    def _may_fail(self, method: str) -> None:
        self.count += method == self.method
        if method == self.method and self.count in self.calls:
            raise self.failure()

    def lookup(self, *arguments: Any, **options: Any) -> pd.DataFrame:
        self._may_fail("lookup")
        return super().lookup(*arguments, **options)

    def record_answer(self, *arguments: Any, **options: Any) -> None:
        self._may_fail("record_answer")
        super().record_answer(*arguments, **options)


def lost_database() -> BaseException:
    return LedgerError("Ledger sqlite:///ledger.db: it does not answer.")


@pytest.mark.parametrize(
    ("method", "calls", "failure", "unrecorded"),
    [
        pytest.param("record_answer", {1}, lost_database, 1, id="one-answer-could-not-be-recorded"),
        pytest.param("record_answer", {1, 2}, lost_database, 2, id="two-answers-could-not-be-recorded"),
        pytest.param("record_answer", {1, 2, 3, 4}, lost_database, 4, id="no-answer-could-be-recorded"),
        pytest.param("lookup", {4}, lost_database, 0, id="a-lookup-failed-while-three-were-under-way"),
        pytest.param("lookup", {4}, SystemExit, 0, id="the-task-is-ended-while-three-are-under-way"),
    ],
)
def test_what_is_under_way_when_something_fails_is_heard_and_recorded_where_possible(
    sandbox: Sandbox,
    partition: Partition,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    calls: set[int],
    failure: Failure,
    unrecorded: int,
) -> None:
    monkeypatch.setattr(delivery_module, "ASKED_AT_ONCE", 10)
    orders = numbered(100)
    sandbox.reset(latency_ms=2000)  # four requests begin before the first is answered, also on a busy machine
    failing = LedgerWithFailures(partition.ledger.engine, method, calls, failure)

    with pytest.raises(type(failure())):
        partition.deliver(orders, concurrency=4, ledger=failing)

    started = sandbox.stats()["requests"]
    # Some may begin in the places of those that were answered, before the first answer failed to be recorded.
    assert started == 3 if method == "lookup" else 4 <= started <= 4 + delivery_module.UNRECORDED
    recorded = 10 * (started - unrecorded)
    assert partition.ledger.delivered("reading-1").get(0, 0) == recorded
    accepted = sandbox.stats()["orders"]
    sandbox.reset(keep_state=True)

    assert partition.deliver(orders, concurrency=4) == tally_of(100, sent=100)
    assert codes_at(sandbox) == partition.statuses(orders) == statuses_of(orders)
    assert partition.times_accepted() == dict.fromkeys(orders["order_id"], 1)
    assert accepted + sandbox.stats()["orders"] == 100 + (accepted - recorded)  # only what was lost is sent twice


def test_a_defect_of_ours_in_one_batch_stops_the_task_but_loses_no_answer_of_the_others(
    sandbox: Sandbox, partition: Partition
) -> None:
    orders = pd.concat([numbered(39), orders_of(("\u3000", 1))], ignore_index=True)
    sandbox.reset(latency_ms=500)

    with pytest.raises(ValueError, match="an order id is str or blank"):
        partition.deliver(orders, concurrency=4)

    assert partition.outcomes() == [("accepted", 10, 1)] * 3
    assert codes_at(sandbox) == partition.statuses(orders)
    assert sandbox.stats()["violations"] == {}


# Whatever happens


KINDS = ["429", "503", "reset_before", "reset_after", "400", "500", "429:61", "redirect", "error_in_200", "html_in_200"]
FAULT_KINDS = st.sampled_from([*KINDS, "cut_json_200", "empty_200", "ok_200"])
FIRST_ONES = st.lists(st.builds("{}@x{}".format, FAULT_KINDS, st.integers(1, 5)), max_size=4)
SHARES = st.lists(st.builds("{}@0.2".format, FAULT_KINDS), max_size=3)
SPECS = st.builds(lambda first, shares: ",".join(first + shares), FIRST_ONES, SHARES)


@OVER_BOTH
@settings(max_examples=10, database=None, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SPECS, st.integers(0, 99), st.integers(0, 60), st.integers(3, 13), st.integers(1, 5))
def test_whatever_rees46_answers_every_order_is_counted_once_and_a_retry_completes(
    sandbox: Sandbox, new_ledger: Callable[[], str], spec: str, seed: int, number: int, size: int, workers: int
) -> None:
    sandbox.reset(fault=spec, seed=seed)
    orders, partition = numbered(number), Partition(new_ledger())

    tally = partition.deliver(orders, batch_size=size, concurrency=workers)

    assert adds_up(tally)
    assert tally.orders == number
    assert partition.ledger.delivered("reading-1").get(0, 0) == tally.sent
    assert partition.statuses(orders).items() <= codes_at(sandbox).items() <= statuses_of(orders).items()
    assert partition.ledger.requests_made("reading-1") == sandbox.stats()["requests"]
    sandbox.reset(keep_state=True)
    assert partition.deliver(orders, batch_size=size, concurrency=workers) == tally_of(number, sent=number)
    assert sandbox.stats()["orders"] == number - tally.sent
    assert codes_at(sandbox) == partition.statuses(orders) == statuses_of(orders)
