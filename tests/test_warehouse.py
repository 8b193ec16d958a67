"""From the rows of a window to partitions: each order once, in its newest version, exactly as the warehouse has it."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from upath import UPath

from rees46_sync import staging, warehouse
from rees46_sync.exceptions import ConnectionFieldsError, QueryColumnsError, TemporaryFilesError, WarehouseError
from rees46_sync.shop import Shop
from rees46_sync.warehouse import SCHEMA, Extraction, exact_text, extract, staged_rows
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest

Row = tuple[Any, Any, Any]

WINDOW = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
EVERY_ROW = "SELECT order_id, status, updated_at FROM orders WHERE :window_start < :window_end ORDER BY n"
IN_WINDOW = "WHERE updated_at >= :window_start AND updated_at < :window_end"
NOON = "2026-03-01 12:00:00"
LATER = "2026-03-01 12:00:00.000001"
BLANKS = [character for character in map(chr, range(sys.maxunicode + 1)) if character.isspace()]


@dataclass(frozen=True)
class Staged:
    """What an extraction left: its descriptor, and the rows of each partition file."""

    extraction: Extraction
    partitions: list[list[dict[str, Any]]]

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [row for partition in self.partitions for row in partition]

    @property
    def statuses(self) -> list[tuple[str | None, str | None]]:
        return [(row["order_id"], row["status"]) for row in self.rows]


class WarehouseUnderTest:
    """A database behind an Airflow connection, with one table ``orders``; ``n`` is the order of its rows."""

    def __init__(self, kind: str, shop: ShopUnderTest) -> None:
        self.kind = kind
        self.shop = shop
        self.file = shop.folder / f"{kind}.db"
        self.connect_to(self.file)

    def connect_to(self, file: Path) -> None:
        if self.kind == "sqlite":
            self.shop.connect("shop_warehouse", f"sqlite:///{file}")
        else:
            self.shop.connect("shop_warehouse", json.dumps({"conn_type": "duckdb", "host": str(file)}))

    def fill(self, rows: Sequence[Row], time_type: str = "VARCHAR") -> None:
        """Make the table anew. SQLite keeps values of any kind, DuckDB has text and ``updated_at`` of a type."""
        if self.kind == "sqlite":
            with closing(sqlite3.connect(self.file)) as db, db:
                db.execute("DROP TABLE IF EXISTS orders")
                db.execute("CREATE TABLE orders (n, order_id, status, updated_at)")
                db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ((n, *row) for n, row in enumerate(rows)))
            return
        names = ("order_id", "status", "updated_at")
        columns = {name: pa.array([row[at] for row in rows], pa.string()) for at, name in enumerate(names)}
        with closing(duckdb.connect(self.file)) as db:
            db.register("given", pa.table({"n": pa.array(range(len(rows)), pa.int64()), **columns}))
            db.execute(
                f"CREATE OR REPLACE TABLE orders AS SELECT * REPLACE (updated_at::{time_type} AS updated_at) FROM given"
            )

    def configured(self, sql: str = EVERY_ROW, **keys: Any) -> Shop:
        (self.shop.shops / "orders.sql").write_text(sql)
        return self.shop.configure(**keys)

    def staged(self, sql: str = EVERY_ROW, *, window: Window = WINDOW, **keys: Any) -> Staged:
        folder = self.shop.folder / "staged"
        if folder.exists():
            staging.remove(UPath(folder))
        extraction = extract(self.configured(sql, **keys), window, UPath(folder))
        files = [Path(partition.path) for partition in extraction.partitions]
        assert sorted(folder.glob("*") if folder.exists() else []) == files
        return Staged(extraction, [pq.read_table(file).cast(SCHEMA).to_pylist() for file in files])

    def error(self, kind: type[Exception], sql: str = EVERY_ROW, **keys: Any) -> str:
        """The message of the error that an extraction raises; it must leave nothing behind."""
        folder = self.shop.folder / "staged"
        with pytest.raises(kind) as caught:
            extract(self.configured(sql, **keys), WINDOW, UPath(folder))
        assert not folder.exists()
        return str(caught.value)


@pytest.fixture(params=["sqlite", "duckdb"])
def database(request: pytest.FixtureRequest, shop: ShopUnderTest) -> WarehouseUnderTest:
    """A shop with a warehouse of each kind: by way of SQLAlchemy, and by way of a driver without SQLAlchemy."""
    return WarehouseUnderTest(request.param, shop)


@pytest.fixture
def sqlite_database(shop: ShopUnderTest) -> WarehouseUnderTest:
    return WarehouseUnderTest("sqlite", shop)


@pytest.fixture
def duckdb_database(shop: ShopUnderTest) -> WarehouseUnderTest:
    return WarehouseUnderTest("duckdb", shop)


# Values

EXACT = [
    pytest.param(None, None, id="null"),
    pytest.param("007", "007", id="leading-zeros"),
    pytest.param(" 1 ", " 1 ", id="spaces"),
    pytest.param("1.0", "1.0", id="number-in-text"),
    pytest.param("", "", id="empty"),
    pytest.param("заказ-😀", "заказ-😀", id="unicode"),
    pytest.param("a\x00b", "a\x00b", id="nul"),
    pytest.param(0, "0", id="zero"),
    pytest.param(-5, "-5", id="negative"),
    pytest.param(2**53 + 1, "9007199254740993", id="int-above-2^53"),
    pytest.param(10**30, "1" + "0" * 30, id="int-beyond-64-bits"),
    pytest.param(123.0, "123", id="whole-float"),
    pytest.param(1e15, "1000000000000000", id="large-float"),
    pytest.param(-0.0, "0", id="negative-zero"),
    pytest.param(float(2**53 - 1), "9007199254740991", id="largest-exact-float"),
    pytest.param(float(1 - 2**53), "-9007199254740991", id="smallest-exact-float"),
    pytest.param(float("nan"), None, id="nan"),
    pytest.param(Decimal(123), "123", id="decimal"),
    pytest.param(Decimal("123.00"), "123", id="decimal-with-zeros"),
    pytest.param(Decimal("123.40"), "123.4", id="decimal-fraction"),
    pytest.param(Decimal(100), "100", id="decimal-that-ends-in-zeros"),
    pytest.param(Decimal("1E+3"), "1000", id="decimal-with-exponent"),
    pytest.param(Decimal("0E+5"), "0", id="decimal-zero-with-exponent"),
    pytest.param(Decimal("0.00"), "0", id="decimal-zero"),
    pytest.param(Decimal(9007199254740993), "9007199254740993", id="decimal-above-2^53"),
    pytest.param(Decimal("9" * 38), "9" * 38, id="decimal-of-38-digits"),
    pytest.param(Decimal("NaN"), None, id="decimal-nan"),
    pytest.param(Decimal("sNaN"), None, id="decimal-signaling-nan"),
    pytest.param(b"007", "007", id="bytes"),
    pytest.param("é".encode(), "é", id="utf-8-bytes"),
    pytest.param(bytearray(b"007"), "007", id="bytearray"),
    pytest.param(memoryview(b"007"), "007", id="memoryview"),
    pytest.param(UUID(int=7), "00000000-0000-0000-0000-000000000007", id="uuid"),
]

INEXACT = [
    pytest.param(True, "True", id="true"),
    pytest.param(False, "False", id="false"),
    pytest.param(1.5, "1.5", id="fraction"),
    pytest.param(float(2**53), "9007199254740992.0", id="float-that-2^53+1-rounds-to"),
    pytest.param(float(-(2**53)), "-9007199254740992.0", id="negative-float-of-2^53"),
    pytest.param(float(2**53 + 2), "9007199254740994.0", id="float-above-2^53"),
    pytest.param(1e300, "1e+300", id="huge-float"),
    pytest.param(float("inf"), "inf", id="infinity"),
    pytest.param(float("-inf"), "-inf", id="minus-infinity"),
    pytest.param(Decimal("Infinity"), "Infinity", id="decimal-infinity"),
    pytest.param(Decimal("1E+1000000"), "1E+1000000", id="decimal-of-a-million-digits"),
    pytest.param(b"\xff\x00", "ff00", id="bytes-that-are-no-text"),
    pytest.param("a\ud800", "a\\ud800", id="lone-surrogate"),
    pytest.param(date(2026, 3, 1), "2026-03-01", id="date"),
    pytest.param([1], "[1]", id="list"),
]


@pytest.mark.parametrize(("value", "text"), EXACT)
def test_what_can_be_an_id_keeps_its_exact_text(value: object, text: str | None) -> None:
    assert exact_text(value) == (text, True)


@pytest.mark.parametrize(("value", "text"), INEXACT)
def test_what_cannot_be_an_id_is_marked_and_shown(value: object, text: str) -> None:
    assert exact_text(value) == (text, False)


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_a_number_has_one_text_in_every_type(number: int) -> None:
    values = (number, float(number), Decimal(number), Decimal(f"{number}.000"), str(number).encode())

    assert {exact_text(value) for value in values} == {(str(number), True)}


@given(st.lists(st.none() | st.text(st.characters(categories=["L", "N", "P", "Z", "C"])) | st.integers() | st.floats()))
def test_a_column_of_ids_is_read_as_each_id_by_itself(values: list[Any]) -> None:
    rows = staged_rows(values, [None] * len(values), [None] * len(values))

    texts = zip(rows["order_id"].to_pylist(), rows["order_id_exact"].to_pylist(), strict=True)
    assert list(texts) == [exact_text(value) for value in values]


@pytest.mark.parametrize(
    ("value", "status"),
    [
        pytest.param("paid", "paid", id="text"),
        pytest.param("  paid\n", "paid", id="trimmed"),
        pytest.param("\u00a0paid\u3000", "paid", id="trimmed-of-wide-spaces"),
        pytest.param("in transit", "in transit", id="inner-space"),
        pytest.param("Paid", "Paid", id="case-kept"),
        pytest.param("007", "007", id="leading-zeros"),
        pytest.param(7, "7", id="int"),
        pytest.param(7.0, "7", id="float"),
        pytest.param(Decimal("7.00"), "7", id="decimal"),
        pytest.param(True, "True", id="bool"),
        pytest.param(b" paid ", "paid", id="bytes"),
        pytest.param("", None, id="empty"),
        pytest.param(" \t\u00a0", None, id="blank"),
        pytest.param(None, None, id="null"),
        pytest.param(float("nan"), None, id="nan"),
    ],
)
@pytest.mark.parametrize("beside", [pytest.param("new", id="beside-text"), pytest.param(1, id="beside-a-number")])
def test_a_status_is_trimmed_text(value: object, status: str | None, beside: object) -> None:
    assert staged_rows(["1", "2"], [value, beside], [None, None])["status"][0].as_py() == status


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


READABLE = [
    pytest.param(datetime(2026, 3, 1, 12), utc("2026-03-01 12:00"), id="naive"),  # noqa: DTZ001
    pytest.param(utc("2026-03-01 12:00:00.123456"), utc("2026-03-01 12:00:00.123456"), id="utc"),
    pytest.param(
        datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30))),
        utc("2026-03-01 06:30"),
        id="offset",
    ),
    pytest.param(date(2026, 3, 1), utc("2026-03-01"), id="date"),
    pytest.param(datetime.min.replace(tzinfo=UTC), utc("0001-01-01"), id="first-year"),
    pytest.param(datetime.max.replace(tzinfo=UTC), utc("9999-12-31 23:59:59.999999"), id="last-year"),
    pytest.param(datetime(1677, 1, 1), utc("1677-01-01"), id="before-64-bits-of-nanoseconds"),  # noqa: DTZ001
    pytest.param("2026-03-01", utc("2026-03-01"), id="text-date"),
    pytest.param("2026-03-01 12:00", utc("2026-03-01 12:00"), id="text-without-seconds"),
    pytest.param("2026-03-01 12:00:00", utc("2026-03-01 12:00"), id="text"),
    pytest.param("2026-03-01T12:00:00", utc("2026-03-01 12:00"), id="text-with-t"),
    pytest.param("2026-03-01 12:00:00.5", utc("2026-03-01 12:00:00.5"), id="text-with-a-fraction"),
    pytest.param("2026-03-01 12:00:00.123456", utc("2026-03-01 12:00:00.123456"), id="text-with-microseconds"),
    pytest.param("2026-03-01 12:00:00.123456789", utc("2026-03-01 12:00:00.123456"), id="text-with-nanoseconds"),
    pytest.param("2026-03-01T12:00:00Z", utc("2026-03-01 12:00"), id="text-zulu"),
    pytest.param("2026-03-01 12:00:00+03", utc("2026-03-01 09:00"), id="text-with-hours-of-offset"),
    pytest.param("2026-03-01 12:00:00+0300", utc("2026-03-01 09:00"), id="text-with-short-offset"),
    pytest.param("2026-03-01T12:00:00.25-05:30", utc("2026-03-01 17:30:00.25"), id="text-with-offset"),
    pytest.param(" 2026-03-01 12:00:00", utc("2026-03-01 12:00"), id="text-with-a-space"),
    pytest.param(b"2026-03-01 12:00:00", utc("2026-03-01 12:00"), id="bytes"),
    pytest.param("9999-12-31 23:59:59", utc("9999-12-31 23:59:59"), id="text-of-the-last-year"),
    pytest.param("0001-01-01 00:00:00", utc("0001-01-01"), id="text-of-the-first-year"),
    pytest.param("2263-01-01 00:00:00", utc("2263-01-01"), id="text-beyond-64-bits-of-nanoseconds"),
]

UNREADABLE = [
    pytest.param("now", id="now"),
    pytest.param("today", id="today"),
    pytest.param("2026", id="year"),
    pytest.param("2026-03", id="month"),
    pytest.param("20260301", id="no-dashes"),
    pytest.param("01.03.2026", id="german"),
    pytest.param("03/01/2026 12:00", id="american"),
    pytest.param("2026-03-01 garbage", id="date-and-garbage"),
    pytest.param("2026-03-01+03:00", id="date-with-an-offset"),
    pytest.param("2026-03-01-05:00", id="date-with-an-offset-to-the-west"),
    pytest.param("2026-03-01x12:00:00", id="date-and-time-with-something-between"),
    pytest.param("2026-02-30", id="no-such-day"),
    pytest.param("2026-03-01 25:00:00", id="no-such-hour"),
    pytest.param("0000-00-00 00:00:00", id="zero-date-of-mysql"),
    pytest.param("12026-03-01", id="year-of-five-digits"),
    pytest.param("nan", id="nan-in-text"),
    pytest.param("NULL", id="null-in-text"),
    pytest.param(1772366400, id="seconds-since-1970"),
    pytest.param("1772366400", id="seconds-since-1970-in-text"),
    pytest.param(1772366400.5, id="fraction-since-1970"),
    pytest.param(20260301, id="date-in-a-number"),
    pytest.param(float("inf"), id="infinity"),
    pytest.param(True, id="true"),
    pytest.param(b"\xff", id="bytes-that-are-no-text"),
]

NEIGHBOURS = [
    pytest.param([], id="alone"),
    pytest.param([datetime(2026, 3, 1)], id="beside-a-datetime"),  # noqa: DTZ001 - as drivers give them
    pytest.param(["2026-03-01 12:00:00"], id="beside-a-text"),
    pytest.param(["2026-03-01 12:00:00.123456789"], id="beside-nanoseconds"),
    pytest.param(["2026-03-01 12:00:00+03:00", None], id="beside-an-offset-and-a-null"),
    pytest.param(["garbage", 5], id="beside-garbage"),
]


def times_of(values: Sequence[object]) -> list[dict[str, Any]]:
    return staged_rows(["1"] * len(values), ["new"] * len(values), values).to_pylist()


@pytest.mark.parametrize("beside", NEIGHBOURS)
@pytest.mark.parametrize(("value", "time"), READABLE)
def test_a_time_is_the_same_whatever_stands_beside_it(value: object, time: datetime, beside: list[object]) -> None:
    row = times_of([value, *beside])[0]

    assert (row["updated_at"], row["updated_at_given"], row["updated_at_readable"]) == (time, True, True)


@pytest.mark.parametrize("beside", NEIGHBOURS)
@pytest.mark.parametrize("value", UNREADABLE)
def test_what_is_no_time_is_marked_and_shown_and_harms_no_other(value: object, beside: list[object]) -> None:
    row, *others = times_of([value, *beside])

    assert (row["updated_at"], row["updated_at_given"], row["updated_at_readable"]) == (None, True, False)
    assert row["updated_at_text"]
    assert [other["updated_at"] for other in others] == [other["updated_at"] for other in times_of(beside)]


@pytest.mark.parametrize("beside", NEIGHBOURS)
@pytest.mark.parametrize(
    "value",
    [
        pytest.param("0001-01-01 00:00:00+05:00", id="text-before-the-first-year"),
        pytest.param("9999-12-31 23:59:59-05:00", id="text-after-the-last-year"),
        pytest.param(datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))), id="after-the-last-year"),
    ],
)
def test_a_time_that_no_calendar_has_in_utc_harms_no_other(value: object, beside: list[object]) -> None:
    times = staged_rows(["1"] * (len(beside) + 1), ["new"] * (len(beside) + 1), [value, *beside])["updated_at"]

    assert times.slice(1).to_pylist() == [other["updated_at"] for other in times_of(beside)]


@pytest.mark.parametrize("beside", NEIGHBOURS)
@pytest.mark.parametrize("value", [None, "", "  ", "\u00a0", float("nan"), Decimal("NaN")], ids=repr)
def test_a_blank_time_is_missing_and_not_unreadable(value: object, beside: list[object]) -> None:
    row = times_of([value, *beside])[0]

    assert (row["updated_at"], row["updated_at_given"], row["updated_at_readable"]) == (None, False, True)
    assert row["updated_at_text"] is None


def test_the_text_of_a_time_is_what_the_warehouse_gave() -> None:
    given_texts = ["2026-03-01T12:00:00.5+03:00", " 2026-03-01", "garbage"]

    assert [row["updated_at_text"] for row in times_of(given_texts)] == given_texts


# Versions of an order


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        pytest.param([("new", NOON), ("paid", LATER)], "paid", id="newer-later"),
        pytest.param([("paid", LATER), ("new", NOON)], "paid", id="newer-first"),
        pytest.param([("new", NOON), ("paid", NOON)], "paid", id="tie"),
        pytest.param([("paid", NOON), ("new", NOON), ("old", "2026-02-01")], "new", id="tie-and-older"),
        pytest.param([("a", NOON), ("b", LATER), ("c", LATER), ("d", NOON)], "c", id="two-ties"),
        pytest.param([("lost", None), ("paid", LATER)], "lost", id="missing-time-first"),
        pytest.param([("paid", LATER), ("lost", "")], "lost", id="missing-time-later"),
        pytest.param([("lost", "soon"), ("paid", "9999-12-31")], "lost", id="unreadable-time-first"),
        pytest.param([("lost", None), ("found", "soon")], "found", id="missing-before-unreadable"),
        pytest.param([("lost", "soon"), ("found", None)], "found", id="unreadable-before-missing"),
        pytest.param(
            [("paid", "2026-03-01 10:00:00"), ("new", "2026-03-01 12:00:00+03:00")], "paid", id="by-the-time-in-utc"
        ),
        pytest.param([("paid", "2026-03-01T00:00:00"), ("new", "2026-02-28 23:59")], "paid", id="by-time-not-by-text"),
        pytest.param([("same", NOON)] * 3, "same", id="equal-rows"),
        pytest.param([("paid", LATER), (None, NOON)], "paid", id="older-without-status"),
        pytest.param([("paid", NOON), (None, LATER)], None, id="newer-without-status"),
    ],
)
def test_an_order_has_its_newest_version(
    database: WarehouseUnderTest, versions: list[tuple[str | None, str | None]], newest: str | None
) -> None:
    database.fill([("0", "other", NOON), *(("1", *version) for version in versions), ("2", "other", NOON)])

    staged = database.staged(partition_rows=1)

    assert staged.statuses == [("0", "other"), ("1", newest), ("2", "other")]
    assert (staged.extraction.read, staged.extraction.superseded) == (len(versions) + 2, len(versions) - 1)


def test_the_newest_version_is_found_across_all_chunks_and_partitions(database: WarehouseUnderTest) -> None:
    """Runs of seven rows cross every border of chunks of 10,000 rows, read as well as sorted."""
    orders, versions = 5_000, 7
    start = datetime(2026, 3, 1)  # noqa: DTZ001 - as databases have them
    rows = [
        (f"{order:04}", f"s{order}-{version}", str(start + timedelta(seconds=version * 3 % versions)))
        for version in range(versions)
        for order in range(orders)
    ]
    database.fill(rows)

    staged = database.staged(partition_rows=1_001)

    assert staged.statuses == [(f"{order:04}", f"s{order}-2") for order in range(orders)]  # 2 * 3 % 7 = 6 is the latest
    assert [len(partition) for partition in staged.partitions] == [1_001] * 4 + [996]
    assert (staged.extraction.read, staged.extraction.superseded) == (35_000, 30_000)


def test_an_order_of_more_versions_than_a_chunk_is_kept_once(database: WarehouseUnderTest) -> None:
    many = [
        ("b", f"s{version}", f"2026-03-01 {version // 3600:02}:{version // 60 % 60:02}:{version % 60:02}")
        for version in range(21_000)
    ]
    database.fill([("a", "first", NOON), *many, ("c", "last", NOON)])

    assert database.staged().statuses == [("a", "first"), ("b", "s20999"), ("c", "last")]


def test_rows_without_an_id_are_never_merged_and_numbered(database: WarehouseUnderTest) -> None:
    rows = [
        ("b", "new", NOON),
        (None, "new", NOON),
        ("", "new", NOON),
        (None, "new", NOON),
        (None, "paid", NOON),
        (None, "new", LATER),
        ("\u00a0", "new", None),
        ("\u00a0", "new", None),
        (None, "new", NOON),
        ("a", "new", NOON),
    ]
    database.fill(rows)

    staged = database.staged(partition_rows=4)

    assert [(row["order_id"], row["status"], row["copy"]) for row in staged.rows] == [
        (None, "new", 1),
        ("", "new", 1),
        (None, "new", 2),
        (None, "paid", 1),
        (None, "new", 1),
        ("\u00a0", "new", 1),
        ("\u00a0", "new", 2),
        (None, "new", 3),
        ("a", "new", 1),
        ("b", "new", 1),
    ]
    assert (staged.extraction.read, staged.extraction.superseded) == (10, 0)


def test_an_id_of_blanks_alone_is_no_id(database: WarehouseUnderTest) -> None:
    database.fill([(blank * width, "new", NOON) for blank in BLANKS for width in (1, 2) for _ in range(2)])

    extraction = database.staged().extraction

    assert (extraction.read, extraction.superseded) == (4 * len(BLANKS), 0)


def test_an_odd_id_is_an_id(database: WarehouseUnderTest) -> None:
    ids = ["0", "\u00a00", "\u200b", "\x00", "\ufeff", "nan", "NULL", "'"]
    database.fill([(order_id, status, NOON) for status in ("new", "paid") for order_id in ids])

    assert database.staged().statuses == [(order_id, "paid") for order_id in sorted(ids)]


def test_ids_that_differ_in_anything_are_different_orders(database: WarehouseUnderTest) -> None:
    ids = ["1", "01", " 1", "1 ", "1.0", "a", "A", "é", "e\u0301", "ﬁ", "fi", "a\x00", "ß", "ss"]
    database.fill([(order_id, "new", NOON) for order_id in ids])

    assert {row["order_id"] for row in database.staged().rows} == set(ids)


def test_one_number_is_one_order_in_whatever_type(sqlite_database: WarehouseUnderTest) -> None:
    sqlite_database.fill([(7, "a", NOON), (7.0, "b", NOON), ("7", "c", NOON), (b"7", "d", NOON), ("07", "e", NOON)])

    assert sqlite_database.staged().statuses == [("07", "e"), ("7", "d")]


def test_an_id_that_is_none_takes_no_orders_place(sqlite_database: WarehouseUnderTest) -> None:
    sqlite_database.fill([("1.5", "delivered", NOON), (1.5, "new", LATER)])

    assert ("1.5", "delivered") in sqlite_database.staged().statuses


def test_no_two_orders_of_one_inexact_id_are_merged(sqlite_database: WarehouseUnderTest) -> None:
    sqlite_database.fill([(float(2**60 + 1), "new", NOON), (float(2**60), "delivered", NOON)])

    assert [row["order_id_exact"] for row in sqlite_database.staged().rows] == [False, False]


# Partitions


@pytest.mark.parametrize(
    ("rows", "partition_rows", "sizes"),
    [
        pytest.param(0, 3, [], id="nothing"),
        pytest.param(1, 3, [1], id="one"),
        pytest.param(2, 3, [2], id="one-less"),
        pytest.param(3, 3, [3], id="full"),
        pytest.param(4, 3, [3, 1], id="one-more"),
        pytest.param(9, 3, [3, 3, 3], id="multiple"),
        pytest.param(5, 1, [1] * 5, id="single-rows"),
        pytest.param(5, 250_000, [5], id="default"),
        pytest.param(20_000, 10_000, [10_000, 10_000], id="chunks"),
    ],
)
def test_a_partition_holds_as_many_rows_as_the_shop_file_says(
    database: WarehouseUnderTest, rows: int, partition_rows: int, sizes: list[int]
) -> None:
    ids = [f"{number:05}" for number in range(rows)]
    database.fill([(order_id, "new", NOON) for order_id in reversed(ids)])

    staged = database.staged(partition_rows=partition_rows)

    assert [len(partition) for partition in staged.partitions] == sizes
    assert [row["order_id"] for row in staged.rows] == ids
    assert [(p.index, p.rows, p.first_id, p.last_id) for p in staged.extraction.partitions] == [
        (index, len(partition), partition[0]["order_id"], partition[-1]["order_id"])
        for index, partition in enumerate(staged.partitions)
    ]


def test_a_partitions_first_and_last_ids_are_printable(database: WarehouseUnderTest) -> None:
    database.fill([("a\x00", "new", NOON), ("b" * 101, "new", NOON)])

    [partition] = database.staged().extraction.partitions

    assert (partition.first_id, partition.last_id) == ("a\\x00", "b" * 100 + "…")


def test_orders_stand_in_the_order_of_their_code_points(database: WarehouseUnderTest) -> None:
    ids = ["", "10", "2", "A", "Z", "a", "é", "я", "\ue000", "\uffee", "😀", "\U0010fffd"]
    database.fill([(order_id, "new", NOON) for order_id in reversed(ids)])

    assert [row["order_id"] for row in database.staged(partition_rows=3).rows] == sorted(ids)


def test_a_staged_row_has_all_its_columns(database: WarehouseUnderTest) -> None:
    database.fill([("7", " paid ", "2026-03-01 12:00:00.5+03:00"), ("8", None, "soon")])

    assert database.staged().rows == [
        {
            "order_id": "7",
            "order_id_exact": True,
            "status": "paid",
            "updated_at": utc("2026-03-01 09:00:00.5"),
            "updated_at_given": True,
            "updated_at_readable": True,
            "updated_at_text": "2026-03-01 12:00:00.5+03:00",
            "copy": 1,
        },
        {
            "order_id": "8",
            "order_id_exact": True,
            "status": None,
            "updated_at": None,
            "updated_at_given": True,
            "updated_at_readable": False,
            "updated_at_text": "soon",
            "copy": 1,
        },
    ]


# The window


TICK = timedelta(microseconds=1)
WINDOWS = [
    pytest.param(WINDOW, id="whole-seconds"),
    pytest.param(Window(utc("2026-03-01 08:00:00.000001"), utc("2026-03-01 08:00:00.000004")), id="microseconds"),
]


def rows_at_the_edges(window: Window, offset: str = "") -> list[Row]:
    """One order at each edge of a window, named by whether the window holds it."""
    times = {
        "out-before": window.start - TICK,
        "in-first": window.start,
        "in-second": window.start + TICK,
        "in-last": window.end - TICK,
        "out-end": window.end,
        "out-after": window.end + TICK,
    }
    return [(name, "new", f"{time.replace(tzinfo=None)}{offset}") for name, time in times.items()]


@pytest.mark.parametrize("window", WINDOWS)
def test_the_window_holds_its_start_and_not_its_end(database: WarehouseUnderTest, window: Window) -> None:
    database.fill(rows_at_the_edges(window), "TIMESTAMP")

    staged = database.staged(f"SELECT order_id, status, updated_at FROM orders {IN_WINDOW}", window=window)

    assert {row["order_id"]: row["updated_at"] for row in staged.rows} == {
        "in-first": window.start,
        "in-second": window.start + TICK,
        "in-last": window.end - TICK,
    }


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("column", ["updated_at", "updated_at::TIMESTAMP AS updated_at"], ids=["with-zone", "cast"])
def test_the_time_zone_of_a_session_does_not_move_the_window(
    duckdb_database: WarehouseUnderTest, window: Window, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    duckdb_database.fill(rows_at_the_edges(window, "+00"), "TIMESTAMP WITH TIME ZONE")

    staged = duckdb_database.staged(f"SELECT order_id, status, {column} FROM orders o {IN_WINDOW}", window=window)

    assert {row["order_id"]: row["updated_at"] for row in staged.rows} == {
        "in-first": window.start,
        "in-second": window.start + TICK,
        "in-last": window.end - TICK,
    }


def test_a_parameter_may_stand_more_than_once_and_in_any_order(database: WarehouseUnderTest) -> None:
    times = {"old": "2026-02-28 12:00:00", "now": NOON, "next": "2026-03-02 00:00:00"}
    database.fill([(name, "new", time) for name, time in times.items()], "TIMESTAMP")
    sql = """
    -- the orders of the window: it's enough
    SELECT order_id, status, updated_at FROM orders
    WHERE updated_at < :window_end AND updated_at >= :window_start AND status <> ':window_end' /* :window_x */
    UNION ALL SELECT order_id, ':late', updated_at FROM orders WHERE updated_at >= :window_end;
    """

    assert database.staged(sql).statuses == [("next", ":late"), ("now", "new")]


# Columns


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param("order_id, status, updated_at", id="as-agreed"),
        pytest.param("updated_at, order_id, status", id="another-order"),
        pytest.param("order_id AS ORDER_ID, status AS Status, updated_at AS UPDATED_AT", id="upper-case"),
        pytest.param("n, order_id, status, updated_at, 1 AS price", id="more-columns"),
        pytest.param("*", id="star"),
        pytest.param("n, n, order_id, status, updated_at", id="another-column-twice"),
    ],
)
def test_the_three_columns_are_found_by_their_names(database: WarehouseUnderTest, columns: str) -> None:
    database.fill([("7", "new", NOON)])

    staged = database.staged(f"SELECT {columns} FROM orders WHERE :window_start < :window_end")

    assert [(row["order_id"], row["status"], row["updated_at"]) for row in staged.rows] == [("7", "new", utc(NOON))]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        pytest.param("order_id, status", ["updated_at not at all", "(its columns: order_id, status)"], id="missing"),
        pytest.param("n AS id, status, updated_at", ["order_id not at all", "id, status, updated_at"], id="other-name"),
        pytest.param("order_id, status, status, updated_at", ["status twice"], id="twice"),
        pytest.param("order_id, status, n AS STATUS, updated_at", ["status twice", "STATUS"], id="twice-in-two-cases"),
        pytest.param('order_id, status, n AS order_id_, updated_at AS " updated_at"', ["updated_at not"], id="space"),
        pytest.param("1", ["order_id not at all"], id="none"),
    ],
)
def test_a_column_that_is_not_there_once_is_named(database: WarehouseUnderTest, columns: str, words: list[str]) -> None:
    database.fill([])

    message = database.error(QueryColumnsError, f"SELECT {columns} FROM orders WHERE :window_start < :window_end")

    expected = ["Shop test", "orders.sql", "order_id, status and updated_at, each once", *words]
    assert [word for word in expected if word not in message] == []


# What goes wrong

FAILING_SQL = [
    pytest.param("SELECT order_id FROM nowhere WHERE :window_start < :window_end", "nowhere", id="no-such-table"),
    pytest.param("SELECT price FROM orders WHERE :window_start < :window_end", "price", id="no-such-column"),
    pytest.param("SELEC order_id FROM orders WHERE :window_start < :window_end", "SELEC", id="no-sql"),
    pytest.param("SELECT nosuch(1) FROM orders WHERE :window_start < :window_end", "nosuch", id="no-such-function"),
]


@pytest.mark.parametrize(("sql", "cause"), FAILING_SQL)
def test_a_query_that_fails_is_named_with_its_cause(database: WarehouseUnderTest, sql: str, cause: str) -> None:
    database.fill([])

    message = database.error(WarehouseError, sql)

    assert message.startswith("Shop test: reading orders.sql from connection shop_warehouse failed: ")
    assert message.endswith("Check that the database answers and that the query runs there.")
    assert cause in message
    assert "\n" not in message
    assert "2026" not in message  # neither parameters nor rows


def test_a_query_that_fails_half_way_stages_nothing(database: WarehouseUnderTest) -> None:
    failure = {"sqlite": "abs(-9223372036854775807 - 1)", "duckdb": "error('integer overflow')"}[database.kind]
    database.fill([(f"{number}", "new", NOON) for number in range(15_000)])

    message = database.error(
        WarehouseError,
        f"SELECT CASE WHEN n = 14999 THEN {failure} ELSE n END AS order_id, status, updated_at FROM orders "
        "WHERE :window_start < :window_end",
    )

    assert "integer overflow" in message


def test_a_full_disk_where_rows_are_kept_until_they_are_sorted_is_no_fault_of_the_warehouse(
    database: WarehouseUnderTest,
) -> None:
    database.fill([(f"{number}", "new", NOON) for number in range(30_000)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        message = database.error(TemporaryFilesError)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert message.startswith(f"Temporary files in {tempfile.gettempdir()} cannot be written (")
    assert message.endswith("make room, or set TMPDIR to another folder.")


@pytest.mark.parametrize("place", ["a-folder", "no-such-folder/file.db", "no-database"])
def test_a_database_that_does_not_answer_is_named(database: WarehouseUnderTest, place: str) -> None:
    target = database.shop.folder / place
    if place == "a-folder":
        target.mkdir()
    elif place == "no-database":
        target.write_text("not a database, but long enough to be taken for the header of one: " * 20)
    database.connect_to(target)

    message = database.error(WarehouseError)

    assert message.startswith("Shop test: reading orders.sql from connection shop_warehouse failed: ")
    assert "database" in message.removesuffix("Check that the database answers and that the query runs there.")


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        pytest.param(None, ["does not exist", "create it", "AIRFLOW_CONN_OTHER_WAREHOUSE"], id="missing"),
        pytest.param("fs:///tmp", ["type fs is not a database", "use a SQL connection"], id="no-database"),
        pytest.param("nosuch://localhost", ["type nosuch has no hook", "install its Airflow provider"], id="no-hook"),
        pytest.param("generic://localhost", ["type generic"], id="type-without-a-hook"),
    ],
)
def test_a_connection_that_cannot_be_used_is_named(
    sqlite_database: WarehouseUnderTest, connection: str | None, words: list[str]
) -> None:
    if connection:
        sqlite_database.shop.connect("other_warehouse", connection)

    message = sqlite_database.error(ConnectionFieldsError, warehouse_conn_id="other_warehouse")

    assert message.startswith("Connection other_warehouse: ")
    assert [word for word in words if word not in message] == []


def test_a_bad_row_stops_no_other_row(sqlite_database: WarehouseUnderTest) -> None:
    """The worst that a row can hold is staged for the judge, beside the others."""
    bad = [value.values[0] for value in [*INEXACT, *UNREADABLE] if isinstance(value.values[0], int | float | bytes)]
    rows = [(value, value, value) for value in bad]
    sqlite_database.fill([*rows, ("good", "new", NOON)])

    staged = sqlite_database.staged()

    assert staged.extraction.read == len(bad) + 1
    assert ("good", "new") in staged.statuses


def test_a_time_that_no_calendar_has_in_utc_stops_no_other_row(database: WarehouseUnderTest) -> None:
    database.fill([("bad", "new", "9999-12-31 23:59:59-05:00"), ("good", "new", NOON)])

    extraction = extract(database.configured(), WINDOW, UPath(database.shop.folder / "staged"))

    table = pq.read_table(extraction.partitions[0].path)
    assert table["order_id"].to_pylist() == ["bad", "good"]
    assert table["updated_at"][1].as_py() == utc(NOON)


@pytest.mark.parametrize(
    ("kind", "expression"),
    [
        pytest.param("sqlite", "CAST(status || x'ff' AS TEXT)", id="no-utf-8"),
        pytest.param("duckdb", "status::INTEGER", id="cast"),
    ],
)
def test_the_error_of_a_row_does_not_show_the_row(shop: ShopUnderTest, kind: str, expression: str) -> None:
    database = WarehouseUnderTest(kind, shop)
    database.fill([("7", "private-remark", NOON)])

    message = database.error(
        WarehouseError,
        f"SELECT order_id, {expression} AS status, updated_at FROM orders WHERE :window_start < :window_end",
    )

    assert "private-remark" not in message


# Any rows at all

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
    """The promise of the module in plain Python: rows without an id as they come, then each order's newest version."""
    without_id: list[tuple[str | None, str]] = []
    newest: dict[str, tuple[tuple[bool, datetime], str]] = {}
    for value, status, text in rows:
        order_id, time = IDS[value], TIMES[text]
        age = (time is None, time or utc("0001-01-01"))
        if not order_id or not order_id.strip():
            without_id.append((order_id, status))
        elif order_id not in newest or age >= newest[order_id][0]:
            newest[order_id] = (age, status)
    return [*without_id, *((order_id, newest[order_id][1]) for order_id in sorted(newest))]


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of three rows, so that a few rows cross their borders."""
    monkeypatch.setattr(warehouse, "FETCH_ROWS", 3)


@settings(
    max_examples=40,
    deadline=None,
    # The fixtures hold no state of an example: the table is made anew, the staged files are removed.
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
    sqlite_database: WarehouseUnderTest, small_chunks: None, rows: list[Row], partition_rows: int
) -> None:
    sqlite_database.fill(rows)

    staged = sqlite_database.staged(partition_rows=partition_rows)

    kept = newest_versions(rows)
    assert staged.statuses == kept
    assert staged.extraction.read == len(rows) == len(kept) + staged.extraction.superseded
    assert all(len(partition) == partition_rows for partition in staged.partitions[:-1])


def test_a_large_window_is_never_in_memory_as_a_whole(database: WarehouseUnderTest) -> None:
    rows, partition_rows, note = 300_000, 10_000, "x" * 100
    database.fill([(f"{number:06}{note}", "new", NOON) for number in range(rows)])
    shop = database.configured(partition_rows=partition_rows)
    usual = pa.default_memory_pool()
    watched = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(watched)
    try:
        extraction = extract(shop, WINDOW, UPath(database.shop.folder / "staged"))
    finally:
        pa.set_memory_pool(usual)

    assert len(extraction.partitions) == rows // partition_rows
    assert 0 < watched.max_memory() < rows * (len(note) + 6) / 3


def test_the_rows_of_the_driver_are_never_in_memory_as_a_whole(
    database: WarehouseUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, note = 10_000, "x" * 1_000
    database.fill([(f"{number:06}{note}", "new", NOON) for number in range(rows)])
    shop = database.configured(partition_rows=1_000)
    monkeypatch.setattr(warehouse, "FETCH_ROWS", 1_000)
    tracemalloc.start()
    try:
        extract(shop, WINDOW, UPath(database.shop.folder / "staged"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < rows * len(note) / 2


EXTRACT = """
import resource
import sys
from datetime import datetime
from pathlib import Path

from upath import UPath

from rees46_sync import warehouse
from rees46_sync.shop import load_shop
from rees46_sync.window import Window

warehouse.SORT_MEMORY = "64MB"
shop_file, folder, *window = sys.argv[1:]
extraction = warehouse.extract(load_shop(Path(shop_file)), Window(*map(datetime.fromisoformat, window)), UPath(folder))
kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
print(extraction.read, len(extraction.partitions), kilobytes)
"""
"""A program that extracts a window and says how many rows and partitions it had, and how much memory at most."""


def test_the_memory_of_the_whole_process_does_not_grow_with_the_rows(sqlite_database: WarehouseUnderTest) -> None:
    """Long ids instead of many, and a limit of the sort that is as much smaller, save time."""
    id_length, partition_rows = 200, 10_000
    shop = sqlite_database.configured(f"SELECT * FROM orders {IN_WINDOW}", partition_rows=partition_rows)

    def start(rows: int) -> subprocess.Popen[str]:
        file = sqlite_database.file.with_name(f"{rows}.db")
        with closing(sqlite3.connect(file)) as db, db:
            db.execute("CREATE TABLE orders (order_id, status, updated_at)")
            db.execute(
                "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers LIMIT ?) "
                "INSERT INTO orders SELECT printf('%0*d', ?, n * 7919 % 10000019), 'new', ? FROM numbers",
                [rows, id_length, NOON],
            )
        window = (WINDOW.start.isoformat(), WINDOW.end.isoformat())
        command = [sys.executable, "-c", EXTRACT, str(shop.file), str(file.with_suffix("")), *window]
        environment = os.environ | {"AIRFLOW_CONN_SHOP_WAREHOUSE": f"sqlite:///{file}"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    few, many = 100_000, 400_000
    # The last line: Airflow may have something to say before it.
    said = [process.communicate()[0].splitlines()[-1].split() for process in [start(few), start(many)]]

    assert [row[:2] for row in said] == [[str(rows), str(rows // partition_rows)] for rows in (few, many)]
    growth = (int(said[1][2]) - int(said[0][2])) * 1024
    assert growth < (many - few) * id_length
