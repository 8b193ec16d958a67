"""What a dry run shows: how many orders of each status and time, and examples."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.table import Table

from rees46_sync.ledger.lookup import NOTHING_ACCEPTED
from rees46_sync.pipeline.preview import EXAMPLES, MAX_PERIODS, Preview, build_preview, tables
from rees46_sync.shop.shop import CANCELLED, COMPLETED, CREATED

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CODES = {"new": CREATED, "paid": CREATED, "delivered": COMPLETED, "fraud": CANCELLED}
COUNTS, ORDERS = 0, 1

Order = tuple[str, str, datetime]


def preview(orders: Sequence[Order], known: Sequence[tuple[str, int, bool]] = ()) -> Preview:
    """
    The preview of orders.

    :param known: order id, status and whether it is uncertain, of what REES46 has.
    """
    due = pd.DataFrame(orders, columns=["order_id", "status", "updated_at"])
    in_ledger = pd.DataFrame(known, columns=["order_id", "known_status", "uncertain"])
    return build_preview(
        due.assign(code=due["status"].map(CODES)).astype(
            {"order_id": "str", "status": "str", "code": "int64", "updated_at": "datetime64[us, UTC]"}
        ),
        in_ledger.astype({"order_id": "str", "known_status": "int64", "uncertain": "bool"}),
    )


def rows_of(table: Table) -> list[tuple[str, ...]]:
    return list(zip(*(map(str, column.cells) for column in table.columns), strict=True))


def one_every(step: timedelta, number: int) -> list[Order]:
    return [(f"{n:05}", list(CODES)[n % len(CODES)], NOON + n * step) for n in range(number)]


DAY, MONTH, YEAR = timedelta(days=1), timedelta(days=31), timedelta(days=366)


@pytest.mark.parametrize(
    ("orders", "title", "first", "lines"),
    [
        pytest.param(one_every(timedelta(minutes=1), 90), "by day", "2026-03-01", 1, id="one-day"),
        pytest.param(one_every(DAY, MAX_PERIODS), "by day", "2026-03-01", MAX_PERIODS, id="just-few-enough-days"),
        pytest.param(one_every(DAY, MAX_PERIODS + 1), "by month", "2026-03", 2, id="a-day-too-many"),
        pytest.param(one_every(MONTH, 35), "by day", "2026-03-01", 35, id="days-far-apart"),
        pytest.param(one_every(timedelta(hours=12), 2000), "by month", "2026-03", 33, id="years"),
        pytest.param(one_every(DAY, 1500), "by year", "2026", 5, id="many-months"),
    ],
)
def test_orders_are_counted_by_the_shortest_period_that_fits_on_a_screen(
    orders: list[Order], title: str, first: str, lines: int
) -> None:
    table = tables([preview(orders)])[COUNTS]

    assert f"Would be sent, {title} of updated_at" == str(table.title)
    assert (rows_of(table)[0][0], len(rows_of(table))) == (first, lines)
    assert sum(int(count) for _, *counts in rows_of(table) for count in counts) == len(orders)


def test_each_status_of_rees46_has_its_count_a_day() -> None:
    orders = [("1", "new", NOON), ("2", "paid", NOON), ("3", "fraud", NOON), ("4", "delivered", NOON + DAY)]

    assert rows_of(tables([preview(orders)])[COUNTS]) == [("2026-03-01", "2", "0", "1"), ("2026-03-02", "0", "1", "0")]


@pytest.mark.parametrize(
    ("partitions", "rows"),
    [
        pytest.param([1, 0, 2], [("2026-03-01", "2", "0", "0"), ("2026-03-02", "1", "0", "0")], id="days"),
        pytest.param([40, 1], [("2026-03", "32", "0", "0"), ("2026-04", "9", "0", "0")], id="months-and-days"),
        pytest.param([40, 1500], "2026", id="years-and-months"),
    ],
)
def test_the_partitions_of_a_run_are_added_up(partitions: list[int], rows: list[tuple[str, ...]] | str) -> None:
    parts = [[(str(n), "new", NOON + n * DAY) for n in range(number)] for number in partitions]

    added = rows_of(tables([preview(part) for part in parts])[COUNTS])

    assert added == rows or added[0][0] == rows
    assert sum(int(row[1].replace(",", "")) for row in added) == sum(partitions)


@settings(max_examples=50, database=None, deadline=None)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from(list(CODES)), st.datetimes(timezones=st.just(UTC))), min_size=1, max_size=60
        ),
        min_size=1,
        max_size=3,
    )
)
def test_whatever_the_times_every_order_is_counted_once(parts: list[list[tuple[str, datetime]]]) -> None:
    previews = [preview([(str(n), *row) for n, row in enumerate(part)]) for part in parts]

    added = rows_of(tables(previews)[COUNTS])

    by_code = Counter(CODES[status] for part in parts for status, _ in part)
    assert [sum(int(row[1 + code]) for row in added) for code in range(3)] == [by_code[code] for code in range(3)]
    assert [row[0] for row in added] == sorted({row[0] for row in added})


def test_an_example_shows_the_order_both_statuses_its_time_and_what_rees46_has() -> None:
    orders = [
        ("1", "paid", NOON),
        ("2", "delivered", NOON),
        ("3", "fraud", NOON),
        ("4", "new", NOON + timedelta(microseconds=7)),
        ("5", "new", NOON),
    ]
    known = [
        ("2", CREATED, False),
        ("3", COMPLETED, False),
        ("4", CREATED, True),
        ("5", NOTHING_ACCEPTED, False),
        ("other", CANCELLED, False),
    ]

    assert rows_of(tables([preview(orders, known)])[ORDERS]) == [
        ("1", "paid", "created", "nothing", "2026-03-01 12:00:00"),
        ("2", "delivered", "completed", "created", "2026-03-01 12:00:00"),
        ("3", "fraud", "cancelled", "completed", "2026-03-01 12:00:00"),
        ("4", "new", "created", "not known", "2026-03-01 12:00:00"),
        ("5", "new", "created", "nothing", "2026-03-01 12:00:00"),
    ]


@pytest.mark.parametrize("partitions", [1, 3])
def test_ten_examples_show_every_kind_of_change_before_a_second_of_any(partitions: int) -> None:
    orders = [
        *((f"{n:03}", "new", NOON) for n in range(300)),
        ("rare", "fraud", NOON),
        ("known", "new", NOON),
    ]
    parts = [orders[start::partitions] for start in range(partitions)]

    shown = rows_of(tables([preview(part, [("known", COMPLETED, False)]) for part in parts])[ORDERS])

    assert len(shown) == EXAMPLES
    assert {"rare", "known"} <= {row[0] for row in shown[:3]}


def test_a_preview_stays_small_whatever_the_orders_are() -> None:
    orders = [(f"{n:06}\x00{'😀' * 240}", "new", NOON - n * timedelta(hours=9)) for n in range(20_000)]

    small = preview(orders)

    assert len(json.dumps(small)) < 10_000
    assert "\x00" not in small["examples"][0][0]
    assert "\\x00" in small["examples"][0][0]


def test_if_nothing_would_be_sent_there_is_nothing_to_show() -> None:
    assert preview([]) == Preview(counts={}, examples=[])
