"""Confirmations: what an extraction records for older ones that may still send something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from rees46_sync.ledger.confirmations import Confirmations
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.lookup import LOOKUP_CHUNK, look_up
from rees46_sync.ledger.requests import Requests
from rees46_sync.ledger.runs import RunRef
from rees46_sync.ledger.tables import confirmations, open_extractions
from tests.conftest import accept

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
A_MOMENT = timedelta(microseconds=1)
OLDER = RunRef(shop="test", dag_id="dag", run_id="run-1", extraction_id="extraction-1")
NEWER = RunRef(shop="test", dag_id="dag", run_id="run-2", extraction_id="extraction-2")
THIRD = RunRef(shop="test", dag_id="dag", run_id="run-3", extraction_id="extraction-3")
ANOTHER_RUN = RunRef(shop="test", dag_id="dag", run_id="run-5", extraction_id="extraction-5")
ANOTHER_SHOP = RunRef(shop="another", dag_id="dag", run_id="run-4", extraction_id="extraction-4")


@pytest.fixture
def confirmed(ledger: Ledger) -> Confirmations:
    return Confirmations(ledger)


def build_orders(*order_ids: str, at: datetime = NOON) -> pd.DataFrame:
    updated_at = pd.Series([at] * len(order_ids), dtype="datetime64[us, UTC]")
    return pd.DataFrame({"order_id": list(order_ids), "code": 1}).assign(updated_at=updated_at)


def open_all(confirmed: Confirmations, *runs: RunRef, window_start: datetime = NOON - timedelta(days=1)) -> None:
    for run in runs:
        confirmed.open_extraction(run, NOON, window_start)


def confirmed_for(ledger: Ledger, run: RunRef, *order_ids: str) -> dict[str, pd.Timestamp]:
    """Return the confirmed version of each of these orders, as the lookup returns it for an extraction."""
    known = look_up(ledger, run.shop, order_ids, run.extraction_id).dropna(subset="confirmed_at")
    return dict(zip(known["order_id"], known["confirmed_at"], strict=True))


def count(ledger: Ledger, table: sa.Table) -> int:
    with ledger.engine.connect() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


def test_only_other_open_extractions_of_the_shop_see_a_confirmation(ledger: Ledger, confirmed: Confirmations) -> None:
    runs = (OLDER, NEWER, THIRD, ANOTHER_SHOP)
    for run in runs:
        accept(ledger, run, 0, build_orders("1", "2", at=NOON - timedelta(hours=1)))
    open_all(confirmed, *runs)

    assert confirmed.confirm(NEWER, build_orders("1")) == 1

    assert {run.extraction_id: confirmed_for(ledger, run, "1", "2") for run in runs} == {
        "extraction-1": {"1": NOON},
        "extraction-2": {},
        "extraction-3": {"1": NOON},
        "extraction-4": {},
    }
    assert [Requests(ledger).change_token(run).confirmed for run in runs] == [1, 0, 1, 0]


def test_the_newest_of_several_confirmations_counts(ledger: Ledger, confirmed: Confirmations) -> None:
    accept(ledger, OLDER, 0, build_orders("1"))
    open_all(confirmed, OLDER, NEWER, THIRD)

    for run, hours in ((NEWER, 2), (THIRD, 3), (NEWER, 1)):
        confirmed.confirm(run, build_orders("1", at=NOON + timedelta(hours=hours)))

    assert confirmed_for(ledger, OLDER, "1") == {"1": NOON + timedelta(hours=3)}


def test_a_version_is_confirmed_once_however_often_it_is_read_again(ledger: Ledger, confirmed: Confirmations) -> None:
    accept(ledger, OLDER, 0, build_orders("1", "2", at=NOON - timedelta(hours=1)))
    open_all(confirmed, OLDER, NEWER)

    recorded = [
        confirmed.confirm(run, build_orders("1", at=at))
        for run in (THIRD, ANOTHER_RUN)
        for at in (NOON, NOON - A_MOMENT)
    ]

    assert recorded == [1, 0, 0, 0]
    assert confirmed.confirm(THIRD, build_orders("1", "2", at=NOON + A_MOMENT)) == 2
    assert count(ledger, confirmations) == 3


def test_a_confirmation_from_before_an_extraction_started_does_not_count_for_it(
    ledger: Ledger, confirmed: Confirmations
) -> None:
    accept(ledger, OLDER, 0, build_orders("1", at=NOON - timedelta(hours=1)))
    open_all(confirmed, OLDER)
    confirmed.confirm(NEWER, build_orders("1"))
    open_all(confirmed, THIRD)

    assert confirmed_for(ledger, OLDER, "1") == {"1": NOON}
    assert confirmed_for(ledger, THIRD, "1") == {}
    assert (Requests(ledger).change_token(OLDER).confirmed, Requests(ledger).change_token(THIRD).confirmed) == (1, 0)


def test_a_confirmation_counts_also_if_all_earlier_ones_are_removed(ledger: Ledger, confirmed: Confirmations) -> None:
    accept(ledger, OLDER, 0, build_orders("1", at=NOON - timedelta(hours=1)))
    open_all(confirmed, OLDER)
    confirmed.confirm(NEWER, build_orders("1"))
    open_all(confirmed, THIRD)
    confirmed.close_extraction("test", OLDER.extraction_id)
    assert count(ledger, confirmations) == 0

    confirmed.confirm(NEWER, build_orders("1"))

    assert confirmed_for(ledger, THIRD, "1") == {"1": NOON}


def test_more_orders_than_one_statement_looks_up_are_all_confirmed(ledger: Ledger, confirmed: Confirmations) -> None:
    orders = build_orders(*(f"{number:06}" for number in range(LOOKUP_CHUNK + 5)))
    accept(ledger, OLDER, 0, orders)
    open_all(confirmed, OLDER)

    assert confirmed.confirm(NEWER, orders) == len(orders)

    assert set(confirmed_for(ledger, OLDER, *orders["order_id"])) == set(orders["order_id"])


@pytest.mark.parametrize(("before_the_window", "recorded"), [(A_MOMENT, 0), (timedelta(0), 1), (-A_MOMENT, 1)])
def test_a_version_from_before_the_window_of_every_open_extraction_is_not_recorded(
    confirmed: Confirmations, before_the_window: timedelta, recorded: int
) -> None:
    open_all(confirmed, OLDER, window_start=NOON)

    assert confirmed.confirm(NEWER, build_orders("1", at=NOON - before_the_window)) == recorded


def test_if_no_other_extraction_is_open_nothing_is_recorded(ledger: Ledger, confirmed: Confirmations) -> None:
    open_all(confirmed, NEWER, OLDER)
    confirmed.close_extraction("test", OLDER.extraction_id)

    assert confirmed.confirm(NEWER, build_orders("1")) == 0
    assert confirmed.confirm(THIRD, build_orders()) == 0
    assert count(ledger, confirmations) == 0


def test_a_confirmation_is_removed_with_the_last_extraction_that_it_matters_to(
    ledger: Ledger, confirmed: Confirmations
) -> None:
    accept(ledger, OLDER, 0, build_orders("1", at=NOON - timedelta(hours=1)))
    open_all(confirmed, OLDER, NEWER, ANOTHER_SHOP)
    confirmed.confirm(THIRD, build_orders("1"))
    open_all(confirmed, THIRD)

    confirmed.close_extraction("test", OLDER.extraction_id)
    assert confirmed_for(ledger, OLDER, "1") == {}
    assert confirmed_for(ledger, NEWER, "1") == {"1": NOON}

    confirmed.close_extraction("test", NEWER.extraction_id)
    assert count(ledger, confirmations) == 0
    assert count(ledger, open_extractions) == 2


def test_a_confirmation_that_was_recorded_as_the_last_extraction_closed_is_removed_with_the_next(
    ledger: Ledger, confirmed: Confirmations
) -> None:
    row = {"shop": "test", "order_id": "1", "source_updated_at": NOON, "extraction_id": "closed"}
    with ledger.engine.begin() as connection:
        connection.execute(sa.insert(confirmations).values(row))

    confirmed.close_extraction("test", OLDER.extraction_id)

    assert count(ledger, confirmations) == 0


def test_extractions_close_by_age_as_their_staged_files_do_for_each_shop(
    ledger: Ledger, confirmed: Confirmations
) -> None:
    old, new = NOON - timedelta(days=8), NOON - timedelta(days=6)
    for run, started_at in ((OLDER, old), (NEWER, new), (ANOTHER_SHOP, old)):
        confirmed.open_extraction(run, started_at, NOON)

    confirmed.close_older("test", NOON - timedelta(days=7))

    with ledger.engine.connect() as connection:
        left = set(connection.scalars(sa.select(open_extractions.c.extraction_id)))
    assert left == {NEWER.extraction_id, ANOTHER_SHOP.extraction_id}


def test_the_change_token_changes_with_what_others_sent_and_confirmed(ledger: Ledger, confirmed: Confirmations) -> None:
    open_all(confirmed, OLDER)
    nothing = Requests(ledger).change_token(OLDER)
    accept(ledger, OLDER, 0, build_orders("1"))
    accept(ledger, ANOTHER_SHOP, 0, build_orders("1"))
    assert Requests(ledger).change_token(OLDER) == nothing

    confirmed.confirm(NEWER, build_orders("1"))
    found = Requests(ledger).change_token(OLDER)
    accept(ledger, NEWER, 0, build_orders("2"))

    assert len({nothing, found, Requests(ledger).change_token(OLDER)}) == 3
