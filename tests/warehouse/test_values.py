"""Values of database drivers become staged rows: exact ids, trimmed statuses, times in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rees46_sync.warehouse.values import exact_text, staged_rows

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
def test_a_value_that_can_be_an_id_keeps_its_exact_text(value: object, text: str | None) -> None:
    assert exact_text(value) == (text, True)


@pytest.mark.parametrize(("value", "text"), INEXACT)
def test_a_value_that_cannot_be_an_id_is_marked_as_inexact_and_kept_as_text(value: object, text: str) -> None:
    assert exact_text(value) == (text, False)


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_a_number_has_one_text_in_every_type(number: int) -> None:
    values = (number, float(number), Decimal(number), Decimal(f"{number}.000"), str(number).encode())

    assert {exact_text(value) for value in values} == {(str(number), True)}


@given(st.lists(st.none() | st.text(st.characters(categories=["L", "N", "P", "Z", "C"])) | st.integers() | st.floats()))
def test_a_column_of_ids_has_the_same_texts_as_each_id_by_itself(values: list[Any]) -> None:
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
    pytest.param("0000-01-01 00:00:00", id="year-zero"),
    pytest.param("0001-01-01 00:00:00+05:00", id="before-the-first-year-in-utc"),
    pytest.param("9999-12-31 23:59:59-05:00", id="after-the-last-year-in-utc"),
    pytest.param(datetime.max.replace(tzinfo=timezone(-timedelta(hours=5))), id="datetime-after-the-last-year-in-utc"),
]

NEIGHBOURS = [
    pytest.param([], id="alone"),
    pytest.param([datetime(2026, 3, 1)], id="beside-a-datetime"),  # noqa: DTZ001 - as drivers give them
    pytest.param(["2026-03-01 12:00:00"], id="beside-a-text"),
    pytest.param(["2026-03-01 12:00:00.123456789"], id="beside-nanoseconds"),
    pytest.param(["2026-03-01 12:00:00+03:00", None], id="beside-an-offset-and-a-null"),
    pytest.param(["garbage", 5], id="beside-garbage"),
]


def times(values: Sequence[object]) -> list[dict[str, Any]]:
    return staged_rows(["1"] * len(values), ["new"] * len(values), values).to_pylist()


@pytest.mark.parametrize("beside", NEIGHBOURS)
@pytest.mark.parametrize(("value", "time"), READABLE)
def test_a_time_is_read_the_same_whatever_its_neighbours(value: object, time: datetime, beside: list[object]) -> None:
    row = times([value, *beside])[0]

    assert (row["updated_at"], row["updated_at_given"], row["updated_at_readable"]) == (time, True, True)


@pytest.mark.parametrize("beside", NEIGHBOURS)
@pytest.mark.parametrize("value", UNREADABLE)
def test_a_value_that_is_no_time_is_unreadable_and_affects_no_other(value: object, beside: list[object]) -> None:
    row, *others = times([value, *beside])

    assert (row["updated_at"], row["updated_at_given"], row["updated_at_readable"]) == (None, True, False)
    assert row["updated_at_text"]
    assert [other["updated_at"] for other in others] == [other["updated_at"] for other in times(beside)]


def test_a_timestamp_of_arrow_that_python_does_not_have_is_unreadable_and_affects_no_other() -> None:
    edges = ["0000-12-31T23:59:59.999999", "0001-01-01", "9999-12-31T23:59:59.999999", "10000-01-01"]
    given = pa.array([*np.array(edges, "M8[us]"), None], pa.timestamp("us"))

    rows = staged_rows(["1"] * 5, ["new"] * 5, given).to_pylist()

    readable = [utc("0001-01-01"), utc("9999-12-31 23:59:59.999999")]
    assert [row["updated_at"] for row in rows] == [None, *readable, None, None]
    assert [row["updated_at_readable"] for row in rows] == [False, True, True, False, True]
    assert [row["updated_at_given"] for row in rows] == [True, True, True, True, False]
    assert rows[3]["updated_at_text"] == "10000-01-01 00:00:00.000000+0000"


@pytest.mark.parametrize("beside", NEIGHBOURS)
@pytest.mark.parametrize("value", [None, "", "  ", "\u00a0", float("nan"), Decimal("NaN")], ids=repr)
def test_a_blank_time_is_missing_and_not_unreadable(value: object, beside: list[object]) -> None:
    row = times([value, *beside])[0]

    assert (row["updated_at"], row["updated_at_given"], row["updated_at_readable"]) == (None, False, True)
    assert row["updated_at_text"] is None


def test_the_text_of_a_time_is_the_value_of_the_warehouse() -> None:
    given_texts = ["2026-03-01T12:00:00.5+03:00", " 2026-03-01", "garbage"]

    assert [row["updated_at_text"] for row in times(given_texts)] == given_texts


@pytest.mark.parametrize("beside", NEIGHBOURS)
def test_a_timestamp_has_no_text_whatever_its_neighbours(beside: list[object]) -> None:
    assert times([datetime(2026, 3, 1), *beside])[0]["updated_at_text"] is None  # noqa: DTZ001 - as drivers give them
