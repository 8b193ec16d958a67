"""The columns: texts are compared exactly, times are UTC, counts have room; on each database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest
import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.lookup import look_up
from rees46_sync.ledger.requests import Requests
from rees46_sync.ledger.runs import Runs
from rees46_sync.ledger.tables import sync_runs
from tests.conftest import accept
from tests.ledger.builders import RUN, TOKYO, build_orders, known_statuses, run_record, select_rows


def test_the_lookup_has_an_index_to_use(ledger: Ledger) -> None:
    indexes = {index["name"] for index in sa.inspect(ledger.engine).get_indexes("rees46_accepted_statuses")}

    assert "rees46_accepted_statuses_order" in indexes


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC), id="utc-microseconds"),
        pytest.param(datetime(2026, 3, 1, 0, 30, tzinfo=TOKYO), id="another-zone-another-day"),
        pytest.param(datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=-3, minutes=-30))), id="half-hour"),
        pytest.param(datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), id="last-century"),
    ],
)
def test_timestamps_come_back_as_the_same_moment_in_utc(ledger: Ledger, moment: datetime) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 1), at=moment), 1)

    known = look_up(ledger, "test", ["1"])["known_updated_at"]

    assert str(known.dtype) == "datetime64[us, UTC]"
    assert known.tolist() == [pd.Timestamp(moment.astimezone(UTC))]


def test_a_timestamp_without_a_zone_is_refused_and_nothing_is_stored(ledger: Ledger) -> None:
    naive = build_orders(("1", 1)).assign(updated_at=pd.to_datetime(["2026-03-01 12:00"]))

    with pytest.raises(ValueError, match="timestamps without a time zone"):
        accept(ledger, RUN, 0, naive, 1)
    with pytest.raises((ValueError, sa.exc.StatementError), match="a timestamp without a time zone"):
        Runs(ledger).save(**run_record("run-1", window_end=datetime(2026, 3, 1)))  # noqa: DTZ001 - naive on purpose

    assert look_up(ledger, "test", ["1"]).empty
    assert Requests(ledger).accepted_by_partition(RUN.extraction_id) == {}


def test_ids_are_compared_exactly(ledger: Ledger) -> None:
    sent = {order_id: number % 3 for number, order_id in enumerate(ODD_IDS)}
    accept(ledger, RUN, 0, build_orders(*sent.items()), 1)

    assert known_statuses(look_up(ledger, "test", ODD_IDS)) == sent
    for order_id in ODD_IDS:
        assert known_statuses(look_up(ledger, "test", [order_id])) == {order_id: sent[order_id]}
    assert look_up(ledger, "test", ["07", "A1 ", "заказ-🎀", "E\u0301"]).empty


ODD_IDS = ["a1", "A1", "007", "7", "7.0", " 7", "7 ", "it's", 'say "hi"', "%s", ":ids", "a\\b", "заказ-🎁", "e\u0301"]


def test_the_longest_valid_id_fits(ledger: Ledger) -> None:
    longest = "🎁" * 255
    accept(ledger, RUN, 0, build_orders((longest, 1)), 1)

    assert known_statuses(look_up(ledger, "test", [longest])) == {longest: 1}


def test_counts_beyond_32_bits_fit(ledger: Ledger) -> None:
    Runs(ledger).save(**run_record("run-1", read=2**40))

    assert select_rows(ledger, sync_runs)[0]["read"] == 2**40
