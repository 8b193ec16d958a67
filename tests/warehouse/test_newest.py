"""Each order is kept once, in its newest version, of rows that only SQLite can hold; test_contract.py has the rest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rees46_sync.warehouse import newest, reader
from tests.conftest import ShopUnderTest
from tests.warehouses import Row, SQLite

NOON = "2026-03-01 12:00:00"
LATER = "2026-03-01 12:00:00.000001"


@pytest.fixture
def database(shop: ShopUnderTest) -> SQLite:
    """A shop with a SQLite warehouse, whose columns keep values of any kind."""
    made = SQLite(shop)
    shop.connect("shop_warehouse", made.connection())
    return made


def test_a_number_is_the_same_order_in_every_type(database: SQLite) -> None:
    database.fill([(7, "a", NOON), (7.0, "b", NOON), ("7", "c", NOON), (b"7", "d", NOON), ("07", "e", NOON)])

    assert database.staged().statuses == [("07", "e"), ("7", "d")]


def test_an_inexact_id_never_replaces_an_order(database: SQLite) -> None:
    database.fill([("1.5", "delivered", NOON), (1.5, "new", LATER)])

    assert ("1.5", "delivered") in database.staged().statuses


def test_two_orders_with_the_same_inexact_id_are_not_merged(database: SQLite) -> None:
    database.fill([(float(2**60 + 1), "new", NOON), (float(2**60), "delivered", NOON)])

    assert [row["order_id_exact"] for row in database.staged().rows] == [False, False]


# Any rows at all


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


TIMES: dict[str | None, datetime | None] = {
    None: None,
    " ": None,
    "soon": None,
    "2026-03-01 12:00:00": utc("2026-03-01 12:00"),
    "2026-03-01T15:00:00+03:00": utc("2026-03-01 12:00"),
    "2026-03-01 11:59:59.999999": utc("2026-03-01 11:59:59.999999"),
    "9999-12-31": utc("9999-12-31"),
    "0001-01-01 00:00:00": utc("0001-01-01"),
}
IDS: dict[object, str | None] = {
    None: None,
    "": "",
    "\u2003": "\u2003",
    "1": "1",
    "01": "01",
    10: "10",
    "10": "10",
    2.0: "2",
    "2": "2",
    "я": "я",
    "😀": "😀",
    " a": " a",
}


def newest_versions(rows: Sequence[Row]) -> list[tuple[str | None, str]]:
    """The promise of the module in plain Python: first rows without an id, then each order's newest version."""
    without_id: list[tuple[str | None, str]] = []
    latest: dict[str, tuple[tuple[bool, datetime], str]] = {}
    for value, status, text in rows:
        order_id, time = IDS[value], TIMES[text]
        age = (time is None, time or utc("0001-01-01"))
        if not order_id or not order_id.strip():
            without_id.append((order_id, status))
        elif order_id not in latest or age >= latest[order_id][0]:
            latest[order_id] = (age, status)
    return [*without_id, *((order_id, latest[order_id][1]) for order_id in sorted(latest))]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of three rows, so that a few rows already cross their borders."""
    monkeypatch.setattr(reader, "FETCH_ROWS", 3)
    monkeypatch.setattr(newest, "CHUNK_ROWS", 3)


@settings(
    max_examples=40,
    deadline=None,
    # The fixtures hold no state of an example: each one creates the table again and removes the staged files.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(list(IDS)), st.sampled_from(["new", "paid", "lost"]), st.sampled_from(list(TIMES))),
        max_size=25,
    ),
    partition_rows=st.integers(1, 7),
)
@example(rows=[("1", "new", NOON)] * 3 + [("1", "paid", NOON)], partition_rows=1)
def test_of_any_rows_each_order_is_kept_once_and_every_row_counted(
    database: SQLite, small_chunks: None, rows: list[Row], partition_rows: int
) -> None:
    database.fill(rows)

    staged = database.staged(partition_rows=partition_rows)

    kept = newest_versions(rows)
    assert staged.statuses == kept
    assert staged.extraction.read == len(rows) == len(kept) + staged.extraction.superseded
    assert all(len(partition) == partition_rows for partition in staged.partitions[:-1])
