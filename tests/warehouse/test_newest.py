"""Each order is kept in its newest version, of rows that only SQLite can hold; test_contract.py has the rest."""

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
    numbers: list[object] = [7, 7.0, "7", b"7", "07"]
    database.fill([(number, "new", f"2026-03-01 12:00:0{second}") for second, number in enumerate(numbers)])

    assert database.staged().statuses == [("07", "new"), ("7", "new")]


def test_an_inexact_id_never_replaces_an_order(database: SQLite) -> None:
    database.fill([("1.5", "delivered", NOON), (1.5, "new", LATER)])

    assert ("1.5", "delivered") in database.staged().statuses


def test_two_orders_with_the_same_inexact_id_are_not_merged(database: SQLite) -> None:
    database.fill([(float(2**60 + 1), "new", NOON), (float(2**60), "delivered", NOON)])

    assert [row["order_id_exact"] for row in database.staged().rows] == [False, False]


# Two rows of the same time


def test_the_rows_of_an_ambiguous_order_are_sorted_by_status_and_numbered(database: SQLite) -> None:
    rows = [("0", "new", NOON), *(("1", status, NOON) for status in ("paid", None, "delivered", "paid", "new"))]
    database.fill([*rows, ("1", "cancelled", "2026-03-01 11:00:00"), ("2", "new", NOON)])

    staged = database.staged(partition_rows=2)

    assert [(row["order_id"], row["status"], row["copy"], row["order_unambiguous"]) for row in staged.rows] == [
        ("0", "new", 1, True),
        ("1", None, 1, False),
        ("1", "delivered", 2, False),
        ("1", "new", 3, False),
        ("1", "paid", 4, False),
        ("2", "new", 1, True),
    ]
    assert staged.extraction.superseded == 2


@pytest.mark.parametrize("statuses", [["fraud", "cancelled"], ["cancelled", "fraud"]])
def test_of_statuses_of_one_meaning_the_kept_one_does_not_depend_on_the_order_of_rows(
    database: SQLite, statuses: list[str]
) -> None:
    database.fill([("1", status, NOON) for status in statuses])

    assert database.staged().statuses == [("1", "cancelled")]


def test_an_order_whose_statuses_alternate_over_many_chunks_is_ambiguous(database: SQLite) -> None:
    database.fill([("a", "new", NOON), *[("b", status, NOON) for status in ("new", "lost") * 15_000]])

    staged = database.staged()

    assert staged.statuses == [("a", "new"), ("b", "lost"), ("b", "new")]
    assert staged.extraction.superseded == 29_998


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


CODES = {"new": 0, "paid": 0, "delivered": 1, "cancelled": 2, "fraud": 2}
"""The meanings of the statuses of the shop under test."""


def newest_versions(rows: Sequence[Row]) -> list[tuple[str | None, str | None, bool]]:
    """The promise of the module in plain Python: first rows without an id, then each order's newest version."""
    without_id: list[tuple[str | None, str | None, bool]] = []
    versions: dict[str, list[tuple[datetime | None, str | None]]] = {}
    for value, status, text in rows:
        order_id = IDS[value]
        if not order_id or not order_id.strip():
            without_id.append((order_id, status, True))
        else:
            versions.setdefault(order_id, []).append((TIMES[text], status))
    with_id = [(order_id, *kept) for order_id in sorted(versions) for kept in newest_of_one(versions[order_id])]
    return [*without_id, *with_id]


def newest_of_one(versions: list[tuple[datetime | None, str | None]]) -> list[tuple[str | None, bool]]:
    times = [time for time, _ in versions]
    if None in times:
        return [(next(status for time, status in reversed(versions) if time is None), True)]
    latest = max(time for time in times if time)
    statuses = sorted({status for time, status in versions if time == latest}, key=lambda status: status or "")
    if len({CODES.get(status or "", status) for status in statuses}) == 1:
        return [(statuses[0], True)]
    return [(status, False) for status in statuses]


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
        st.tuples(
            st.sampled_from(list(IDS)),
            st.sampled_from(["new", "paid", "delivered", "lost", "odd", None]),
            st.sampled_from(list(TIMES)),
        ),
        max_size=25,
    ),
    partition_rows=st.integers(1, 7),
)
@example(rows=[("1", "new", NOON)] * 3 + [("1", "paid", NOON)], partition_rows=1)
@example(rows=[("1", status, NOON) for status in ("lost", "new") * 4] + [("2", "new", NOON)], partition_rows=1)
@example(rows=[("1", "lost", NOON), ("1", "new", NOON), ("1", "paid", None)], partition_rows=1)
@example(rows=[("1", status, NOON) for status in ("lost", "new", "odd", "paid")], partition_rows=3)
def test_of_any_rows_each_order_is_kept_once_or_ambiguous_and_every_row_counted(
    database: SQLite, small_chunks: None, rows: list[Row], partition_rows: int
) -> None:
    database.fill(rows)

    staged = database.staged(partition_rows=partition_rows)

    kept = newest_versions(rows)
    assert [(row["order_id"], row["status"], row["order_unambiguous"]) for row in staged.rows] == kept
    assert staged.extraction.read == len(rows) == len(kept) + staged.extraction.superseded
    assert all(len(partition) == partition_rows for partition in staged.partitions[:-1])
