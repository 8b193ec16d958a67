"""What one reading of the warehouse finds out about the orders of another that may still be sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from rees46_sync.ledger.confirmations import Readings
from rees46_sync.ledger.database import Ledger, RunRef
from rees46_sync.ledger.lookup import LOOKUP_CHUNK
from rees46_sync.ledger.tables import open_readings, overtaken_orders
from tests.conftest import accept

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
A_MOMENT = timedelta(microseconds=1)
OLDER = RunRef(shop="test", dag_id="dag", run_id="run-1", extraction_id="reading-1")
NEWER = RunRef(shop="test", dag_id="dag", run_id="run-2", extraction_id="reading-2")
THIRD = RunRef(shop="test", dag_id="dag", run_id="run-3", extraction_id="reading-3")
ANOTHER_RUN = RunRef(shop="test", dag_id="dag", run_id="run-5", extraction_id="reading-5")
ANOTHER_SHOP = RunRef(shop="another", dag_id="dag", run_id="run-4", extraction_id="reading-4")


@pytest.fixture
def ledger(empty_database: str) -> Ledger:
    ledger = Ledger.of_connection(empty_database)
    ledger.create()
    return ledger


@pytest.fixture
def readings(ledger: Ledger) -> Readings:
    return Readings(ledger)


def orders_of(*order_ids: str, at: datetime = NOON) -> pd.DataFrame:
    updated_at = pd.Series([at] * len(order_ids), dtype="datetime64[us, UTC]")
    return pd.DataFrame({"order_id": list(order_ids), "code": 1}).assign(updated_at=updated_at)


def begin(readings: Readings, *runs: RunRef, window_start: datetime = NOON - timedelta(days=1)) -> None:
    for run in runs:
        readings.begin(run, NOON, window_start)


def notes_for(ledger: Ledger, run: RunRef, *order_ids: str) -> dict[str, pd.Timestamp]:
    """What the lookup tells a reading of orders that REES46 has."""
    known = ledger.lookup(run.shop, order_ids, run.extraction_id).dropna(subset="overtaken_at")
    return dict(zip(known["order_id"], known["overtaken_at"], strict=True))


def count(ledger: Ledger, table: sa.Table) -> int:
    with ledger.engine.connect() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def test_every_other_open_reading_of_the_shop_is_told_and_no_one_else(ledger: Ledger, readings: Readings) -> None:
    runs = (OLDER, NEWER, THIRD, ANOTHER_SHOP)
    for run in runs:
        accept(ledger, run, 0, orders_of("1", "2", at=NOON - timedelta(hours=1)))
    begin(readings, *runs)

    assert readings.overtake(NEWER, orders_of("1")) == 1

    assert {run.extraction_id: notes_for(ledger, run, "1", "2") for run in runs} == {
        "reading-1": {"1": NOON},
        "reading-2": {},
        "reading-3": {"1": NOON},
        "reading-4": {},
    }
    assert [ledger.news(run).overtaken for run in runs] == [1, 0, 1, 0]


def test_the_newest_of_several_notes_counts(ledger: Ledger, readings: Readings) -> None:
    accept(ledger, OLDER, 0, orders_of("1"))
    begin(readings, OLDER, NEWER, THIRD)

    for run, hours in ((NEWER, 2), (THIRD, 3), (NEWER, 1)):
        readings.overtake(run, orders_of("1", at=NOON + timedelta(hours=hours)))

    assert notes_for(ledger, OLDER, "1") == {"1": NOON + timedelta(hours=3)}


def test_a_version_is_noted_once_however_often_it_is_read_again_and_for_however_many_readings(
    ledger: Ledger, readings: Readings
) -> None:
    accept(ledger, OLDER, 0, orders_of("1", "2", at=NOON - timedelta(hours=1)))
    begin(readings, OLDER, NEWER)

    noted = [
        readings.overtake(run, orders_of("1", at=at)) for run in (THIRD, ANOTHER_RUN) for at in (NOON, NOON - A_MOMENT)
    ]

    assert noted == [1, 0, 0, 0]
    assert readings.overtake(THIRD, orders_of("1", "2", at=NOON + A_MOMENT)) == 2
    assert count(ledger, overtaken_orders) == 3


def test_what_was_noted_before_a_reading_began_is_no_news_to_it(ledger: Ledger, readings: Readings) -> None:
    accept(ledger, OLDER, 0, orders_of("1", at=NOON - timedelta(hours=1)))
    begin(readings, OLDER)
    readings.overtake(NEWER, orders_of("1"))
    begin(readings, THIRD)

    assert notes_for(ledger, OLDER, "1") == {"1": NOON}
    assert notes_for(ledger, THIRD, "1") == {}
    assert (ledger.news(OLDER).overtaken, ledger.news(THIRD).overtaken) == (1, 0)


def test_a_note_is_news_also_where_all_those_before_it_are_gone(ledger: Ledger, readings: Readings) -> None:
    accept(ledger, OLDER, 0, orders_of("1", at=NOON - timedelta(hours=1)))
    begin(readings, OLDER)
    readings.overtake(NEWER, orders_of("1"))
    begin(readings, THIRD)
    readings.end("test", OLDER.extraction_id)
    assert count(ledger, overtaken_orders) == 0

    readings.overtake(NEWER, orders_of("1"))

    assert notes_for(ledger, THIRD, "1") == {"1": NOON}


def test_as_many_orders_as_are_looked_up_at_once_are_told_each(ledger: Ledger, readings: Readings) -> None:
    orders = orders_of(*(f"{number:06}" for number in range(LOOKUP_CHUNK + 5)))
    accept(ledger, OLDER, 0, orders)
    begin(readings, OLDER)

    assert readings.overtake(NEWER, orders) == len(orders)

    assert set(notes_for(ledger, OLDER, *orders["order_id"])) == set(orders["order_id"])


@pytest.mark.parametrize(("before_the_window", "notes"), [(A_MOMENT, 0), (timedelta(0), 1), (-A_MOMENT, 1)])
def test_a_version_from_before_its_window_is_no_news_to_a_reading(
    readings: Readings, before_the_window: timedelta, notes: int
) -> None:
    begin(readings, OLDER, window_start=NOON)

    assert readings.overtake(NEWER, orders_of("1", at=NOON - before_the_window)) == notes


def test_where_no_other_reading_is_open_nothing_is_noted(ledger: Ledger, readings: Readings) -> None:
    begin(readings, NEWER, OLDER)
    readings.end("test", OLDER.extraction_id)

    assert readings.overtake(NEWER, orders_of("1")) == 0
    assert readings.overtake(THIRD, orders_of()) == 0
    assert count(ledger, overtaken_orders) == 0


def test_what_was_noted_goes_with_the_last_reading_that_it_is_news_to(ledger: Ledger, readings: Readings) -> None:
    accept(ledger, OLDER, 0, orders_of("1", at=NOON - timedelta(hours=1)))
    begin(readings, OLDER, NEWER, ANOTHER_SHOP)
    readings.overtake(THIRD, orders_of("1"))
    begin(readings, THIRD)

    readings.end("test", OLDER.extraction_id)
    assert notes_for(ledger, OLDER, "1") == {}
    assert notes_for(ledger, NEWER, "1") == {"1": NOON}

    readings.end("test", NEWER.extraction_id)
    assert count(ledger, overtaken_orders) == 0
    assert count(ledger, open_readings) == 2


def test_a_note_that_was_written_as_the_last_reading_ended_goes_with_the_next(
    ledger: Ledger, readings: Readings
) -> None:
    note = {"shop": "test", "order_id": "1", "source_updated_at": NOON, "extraction_id": "ended"}
    with ledger.engine.begin() as connection:
        connection.execute(sa.insert(overtaken_orders).values(note))

    readings.end("test", OLDER.extraction_id)

    assert count(ledger, overtaken_orders) == 0


def test_readings_end_by_age_as_their_staged_files_do_each_shop_for_itself(ledger: Ledger, readings: Readings) -> None:
    old, new = NOON - timedelta(days=8), NOON - timedelta(days=6)
    for run, began_at in ((OLDER, old), (NEWER, new), (ANOTHER_SHOP, old)):
        readings.begin(run, began_at, NOON)

    readings.end_older("test", NOON - timedelta(days=7))

    with ledger.engine.connect() as connection:
        left = set(connection.scalars(sa.select(open_readings.c.extraction_id)))
    assert left == {NEWER.extraction_id, ANOTHER_SHOP.extraction_id}


def test_news_are_what_others_sent_and_what_they_found(ledger: Ledger, readings: Readings) -> None:
    begin(readings, OLDER)
    nothing = ledger.news(OLDER)
    accept(ledger, OLDER, 0, orders_of("1"))
    accept(ledger, ANOTHER_SHOP, 0, orders_of("1"))
    assert ledger.news(OLDER) == nothing

    readings.overtake(NEWER, orders_of("1"))
    found = ledger.news(OLDER)
    accept(ledger, NEWER, 0, orders_of("2"))

    assert len({nothing, found, ledger.news(OLDER)}) == 3
