"""Turn the values of database drivers into staged rows: exact ids, trimmed statuses, UTC timestamps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from types import NoneType
from typing import Any, TypeAlias
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

COLUMNS = ("order_id", "status", "updated_at")

EXACT_FLOAT = 2**53
"""From here on a float cannot tell neighbouring whole numbers apart, so it cannot be an order id."""

READ_SCHEMA = pa.schema(
    [
        pa.field("order_id", pa.string()),
        pa.field("order_id_exact", pa.bool_()),
        pa.field("status", pa.string()),
        pa.field("updated_at", pa.timestamp("us", "UTC")),
        pa.field("updated_at_given", pa.bool_()),
        pa.field("updated_at_readable", pa.bool_()),
        pa.field("updated_at_text", pa.string()),
    ]
)
"""A row as it was read: the three columns as text and timestamp; ``updated_at_text`` is the warehouse's value if that
is a text or a number instead of a timestamp."""

SCHEMA = READ_SCHEMA.append(pa.field("copy", pa.int64())).append(pa.field("order_unambiguous", pa.bool_()))
"""A staged row. An order has several if its newest time has statuses of different meanings: then ``order_unambiguous``
is false. ``copy`` numbers the rows of such an order, and equal rows without an id, from 1."""

Chunk: TypeAlias = Sequence[Sequence[Any] | pa.Array]
"""Some rows, column by column: Python values of a database driver, or Arrow arrays."""

_FIRST, _END = -62_135_596_800 * 10**6, 253_402_300_800 * 10**6
"""The years 1 to 9999, in microseconds since 1970."""

_DATE_FIRST = re.compile(r"\s*\d{4}-\d{2}-\d{2}(?:[T ]\d|\s*$)")


def staged_rows(
    order_ids: Sequence[Any] | pa.Array, statuses: Sequence[Any] | pa.Array, updated_at: Sequence[Any] | pa.Array
) -> pa.Table:
    """
    Turn a database driver's values into rows of :data:`READ_SCHEMA`.

    Order ids keep their exact text, numbers their exact digits; statuses are trimmed, and blank ones count as missing;
    timestamps without a zone are UTC; those of a year that Python does not have are unreadable.

    :param order_ids, statuses, updated_at: Python values, or Arrow arrays of texts, integers or timestamps.
    """
    ids, exact = exact_texts(order_ids)
    trimmed = pc.utf8_trim_whitespace(exact_texts(statuses)[0])
    times, times_text = _within_years(*_timestamps(updated_at))
    given = pc.or_(pc.is_valid(times), pc.is_valid(times_text))
    return pa.table(
        {
            "order_id": ids,
            "order_id_exact": exact,
            "status": pc.if_else(pc.equal(trimmed, ""), None, trimmed),
            "updated_at": times,
            "updated_at_given": given,
            "updated_at_readable": pc.or_(pc.is_valid(times), pc.invert(given)),
            "updated_at_text": times_text,
        }
    )


def python_values(column: Sequence[Any] | pa.Array) -> Sequence[Any]:
    """Return the values of a chunk's column as Python values."""
    values: Sequence[Any] = column.to_pylist() if isinstance(column, pa.Array) else column
    return values


def exact_texts(values: Sequence[Any] | pa.Array) -> tuple[pa.Array, pa.Array]:
    """
    Return the values as text, and for each one whether the text is exact, as :func:`exact_text` does.

    :param values: Python values, or an Arrow array of texts, integers or timestamps.
    """
    if isinstance(values, pa.Array):
        return values.cast(pa.string()), pa.repeat(True, len(values))
    if {*map(type, values)} <= {str, NoneType}:
        try:
            return pa.array(values, pa.string()), pa.repeat(True, len(values))
        except UnicodeEncodeError:
            pass  # one of them holds a lone surrogate: convert each by itself
    pairs = [exact_text(value) for value in values]
    return pa.array([text for text, _ in pairs], pa.string()), pa.array([exact for _, exact in pairs])


def exact_text(value: object) -> tuple[str | None, bool]:
    """
    Return a value's text and whether it is exact: ``123`` for 123, 123.0 and Decimal("123.00"); None for NaN.

    These are not exact, and so never order ids: floats other than whole numbers below 2**53, booleans, bytes that are
    not UTF-8, and anything other than a text, number or UUID.
    """
    match value:
        case None:
            return None, True
        case str():
            text = value.encode("utf-8", "backslashreplace").decode()
            return text, text == value
        case bool():
            return str(value), False
        case int() | UUID():
            return str(value), True
        case float():
            if value != value:
                return None, True
            whole = value.is_integer() and abs(value) < EXACT_FLOAT
            return (str(int(value)), True) if whole else (repr(value), False)
        case Decimal():
            if value.is_nan():
                return None, True
            if not value.is_finite() or abs(value.adjusted()) > 300:
                return str(value), False
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text, True
        case bytes() | bytearray() | memoryview():
            raw = bytes(value)
            try:
                return raw.decode(), True
            except UnicodeDecodeError:
                return raw.hex(), False
        case _:
            return str(value), False


def _timestamps(values: Sequence[Any] | pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the values as UTC timestamps (null if unreadable), and as text if they were no timestamps."""
    kind = pa.timestamp("us", "UTC")
    if isinstance(values, pa.Array):
        if pa.types.is_timestamp(values.type):
            return values.cast(kind), pa.nulls(len(values), pa.string())
        values = values.to_pylist()
    if {*map(type, values)} <= {datetime, NoneType}:
        return pa.array(values, kind), pa.nulls(len(values), pa.string())
    texts = [_timestamp_text(value) for value in values]
    dates = pd.Series([text if text and _DATE_FIRST.match(text) else None for text in texts], dtype="str")
    parsed = pd.to_datetime(dates, utc=True, format="ISO8601", errors="coerce").astype("datetime64[us, UTC]")
    for position in (dates.notna() & parsed.isna()).to_numpy().nonzero()[0]:
        # If one text has nanoseconds, pandas refuses years that do not fit into 64 bits of nanoseconds.
        with suppress(ValueError, OverflowError):
            one = datetime.fromisoformat(dates[position].strip())
            parsed[int(position)] = pd.Timestamp(one.astimezone(UTC) if one.tzinfo else one.replace(tzinfo=UTC))
    times = pa.array(parsed, kind, from_pandas=True)
    were_times = pc.and_(pc.is_valid(times), pa.array([isinstance(value, datetime) for value in values]))
    return times, pc.if_else(were_times, None, pa.array(texts, pa.string()))


def outside_years(times: pa.Array) -> pa.Array:
    """Return for each timestamp (in microseconds) whether Python has no such year; false for null."""
    moments = times.cast(pa.int64())
    return pc.fill_null(pc.or_(pc.less(moments, _FIRST), pc.greater_equal(moments, _END)), False)


def _within_years(times: pa.Array, texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Replace the timestamps whose year Python does not have by texts."""
    outside = outside_years(times)
    if not pc.any(outside).as_py():
        return times, texts
    written = pc.coalesce(texts, pc.strftime(times, "%Y-%m-%d %H:%M:%S%z"))
    return pc.if_else(outside, None, times), pc.if_else(outside, written, texts)


def _timestamp_text(value: object) -> str | None:
    match value:
        case date():
            return value.isoformat()
        case _:
            text = exact_text(value)[0]
            return text if text and text.strip() else None
