"""Good rows are accepted, bad ones are rejected with every reason, and a check that cannot run stops the run."""

from __future__ import annotations

import logging
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rees46_sync.exceptions import RowValidationError
from rees46_sync.ledger.quarantine import RejectedRow
from rees46_sync.validation.expectations import (
    MAX_ID_CHARACTERS,
    REASONS,
    RowValidator,
    UnmappedStatus,
    ValidationResult,
)
from rees46_sync.warehouse.values import SCHEMA, exact_text, staged_rows
from rees46_sync.window import Window

Row = tuple[Any, Any, Any]

WINDOW = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
STATUSES = {"new": 0, "paid": 0, "delivered": 1, "cancelled": 2}
TICK = timedelta(microseconds=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def validator() -> RowValidator:
    return RowValidator()


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows of a warehouse, as validation reads them from a staged file."""
    table = staged_rows(*([row[column] for row in rows] for column in range(3)))
    table = table.append_column("copy", pa.array([1] * len(rows), pa.int64()))
    return table.append_column("order_unambiguous", pa.array([True] * len(rows))).cast(SCHEMA).to_pandas()


def validated(validator: RowValidator, *rows: Row) -> ValidationResult:
    return validator.validate(frame_of(rows), STATUSES, WINDOW)


def rejection_reasons(result: ValidationResult) -> list[str]:
    return [row.reason for row in result.rejected]


# One row

CLEAN: dict[str, Row] = {
    "usual": ("1", "new", NOON),
    "number-as-id": (7, "delivered", NOON),
    "spaces-around": (" 1 ", " new ", NOON),
    "odd-spaces-inside": ("a\u00a0b\u2028c", "new", NOON),
    "unicode": ("заказ-😀", "new", NOON),
    "nan-in-text": ("nan", "new", NOON),
    "none-in-text": ("None", "new", NOON),
    "zero": ("0", "new", NOON),
    "invisible": ("\u200b", "new", NOON),
    "longest-id": ("x" * MAX_ID_CHARACTERS, "new", NOON),
    "longest-id-of-emoji": ("😀" * MAX_ID_CHARACTERS, "new", NOON),
    "start-of-the-window": ("first", "new", WINDOW.start),
    "end-of-the-window": ("last", "new", WINDOW.end - TICK),
    "end-of-the-window-with-an-offset": ("offset", "new", "2026-03-02 02:59:59.999999+03:00"),
}

BROKEN: dict[str, dict[str, Row]] = {
    "order_id_missing": {"null": (None, "new", NOON), "nan": (float("nan"), "new", NOON)},
    "order_id_blank": {
        "empty": ("", "new", NOON),
        "spaces": ("  ", "new", NOON),
        "no-break-space": ("\u00a0", "new", NOON),
        "wide-spaces": ("\u2003\u3000\u2028", "new", NOON),
    },
    "order_id_too_long": {"256": ("x" * 256, "new", NOON), "256-emoji": ("😀" * 256, "new", NOON)},
    "order_id_control_character": {
        "nul": ("a\x00", "new", NOON),
        "tab": ("a\tb", "new", NOON),
        "line-end": ("1\n", "new", NOON),
        "delete": ("a\x7f", "new", NOON),
        "c1": ("a\x85b", "new", NOON),
        "last-c1": ("a\x9f", "new", NOON),
    },
    "order_id_inexact": {
        "fraction": (1.5, "new", NOON),
        "float-above-2^53": (1e17, "new", NOON),
        "bool": (True, "new", NOON),
        "bytes": (b"\xff", "new", NOON),
        "lone-surrogate": ("a\ud800", "new", NOON),
    },
    "order_id_duplicated": {"one": ("twice", "new", NOON), "two": ("twice", "paid", NOON + TICK)},
    "order_ambiguous": {"one": ("tied", "new", NOON), "two": ("tied", "delivered", NOON)},
    "status_missing": {"null": ("s1", None, NOON), "empty": ("s2", "", NOON), "blank": ("s3", " \u00a0", NOON)},
    "status_unmapped": {
        "unknown": ("s4", "lost", NOON),
        "other-case": ("s5", "New", NOON),
        "cyrillic": ("s6", "n\u0435w", NOON),
        "invisible": ("s7", "new\u200b", NOON),
        "code": ("s8", 0, NOON),
    },
    "updated_at_missing": {"null": ("t1", "new", None), "blank": ("t2", "new", " ")},
    "updated_at_unreadable": {
        "text": ("t3", "new", "soon"),
        "epoch": ("t4", "new", 1772366400),
        "year-10000-in-utc": ("t9", "new", "9999-12-31 23:59:59-05:00"),
    },
    "updated_at_outside_window": {
        "before": ("t5", "new", WINDOW.start - TICK),
        "end": ("t6", "new", WINDOW.end),
        "first-year": ("t7", "new", "0001-01-01 00:00:00"),
        "last-year": ("t8", "new", "9999-12-31 23:59:59"),
    },
}

TABLE = {f"clean-{what}": ("", row) for what, row in CLEAN.items()} | {
    f"{code}-{what}": (code, row) for code, rows in BROKEN.items() for what, row in rows.items()
}


@pytest.fixture(scope="module")
def reasons(validator: RowValidator) -> dict[str, str]:
    """The reason why each row of the table is rejected, empty for a clean one; all are validated at once."""
    frame = frame_of([row for _, row in TABLE.values()])
    copies = {name: position for position, name in enumerate(TABLE)}  # identify the row among the rejected ones
    copies["order_id_duplicated-two"] = copies["order_id_duplicated-one"]
    frame["copy"] = copies.values()
    frame["order_unambiguous"] = [code != "order_ambiguous" for code, _ in TABLE.values()]
    by_row = {row.copy: row.reason for row in validator.validate(frame, STATUSES, WINDOW).rejected}
    return {name: by_row.get(copy, "") for name, copy in copies.items()}


def test_the_table_breaks_each_code() -> None:
    assert list(BROKEN) == list(REASONS)


@pytest.mark.parametrize(("name", "code"), [pytest.param(name, code, id=name) for name, (code, _) in TABLE.items()])
def test_a_row_is_rejected_for_exactly_what_it_breaks(reasons: dict[str, str], name: str, code: str) -> None:
    assert reasons[name] == code


def test_clean_rows_are_accepted_unchanged(validator: RowValidator) -> None:
    result = validated(validator, *CLEAN.values())

    assert list(result.valid.itertuples(index=False, name=None)) == [
        (str(order_id), status.strip(), pd.Timestamp(time)) for order_id, status, time in CLEAN.values()
    ]
    assert list(result.valid) == ["order_id", "status", "updated_at"]
    assert (result.rejected, result.reasons, result.unmapped) == ([], {}, [])


def test_a_rejected_row_keeps_the_values_of_the_warehouse(validator: RowValidator) -> None:
    frame = frame_of([("7\t", " lost ", "2026-03-01 12:00:00+03:00"), (None, None, None)])
    frame["copy"] = [1, 4]

    result = validator.validate(frame, STATUSES, WINDOW)

    assert result.rejected == [
        RejectedRow("7\t", "lost", "2026-03-01 12:00:00+03:00", "order_id_control_character, status_unmapped", 1),
        RejectedRow(None, None, None, "order_id_missing, status_missing, updated_at_missing", 4),
    ]


# Several reasons, several rows


def test_an_ambiguous_order_is_no_duplicate_unless_one_of_its_rows_is(validator: RowValidator) -> None:
    frame = frame_of([("tied", "new", NOON), ("tied", "paid", NOON), ("tied", "paid", NOON)])
    frame["order_unambiguous"] = False
    frame["copy"] = [1, 2, 2]

    result = validator.validate(frame, STATUSES, WINDOW)

    duplicated = "order_id_duplicated, order_ambiguous"
    assert rejection_reasons(result) == ["order_ambiguous", duplicated, duplicated]


@pytest.mark.parametrize(
    ("row", "codes"),
    [
        pytest.param(
            ("\t" * 256, "lost", "soon"),
            [
                "order_id_blank",
                "order_id_too_long",
                "order_id_control_character",
                "order_id_duplicated",
                "status_unmapped",
                "updated_at_unreadable",
            ],
            id="id-status-and-time",
        ),
        pytest.param(
            (0.5, None, WINDOW.end),
            ["order_id_inexact", "order_id_duplicated", "status_missing", "updated_at_outside_window"],
            id="inexact-missing-outside",
        ),
        pytest.param(
            (None, None, None), ["order_id_missing", "status_missing", "updated_at_missing"], id="all-missing"
        ),
    ],
)
def test_a_row_is_rejected_once_with_every_reason_in_the_suites_order(
    validator: RowValidator, row: Row, codes: list[str]
) -> None:
    result = validated(validator, row, ("1", "new", NOON), row)

    assert codes == [code for code in REASONS if code in codes]
    assert rejection_reasons(result) == [", ".join(codes)] * 2
    assert result.reasons == dict.fromkeys(codes, 2)
    assert result.valid["order_id"].tolist() == ["1"]


@pytest.mark.parametrize("count", [1, 500])
def test_all_rows_of_a_partition_may_be_bad(validator: RowValidator, count: int) -> None:
    result = validated(validator, *((f"{number}", "lost", NOON) for number in range(count)))

    assert result.valid.empty
    assert rejection_reasons(result) == ["status_unmapped"] * count


def test_a_partition_without_rows_rejects_nothing(validator: RowValidator) -> None:
    result = validated(validator)

    assert result.valid.empty
    assert list(result.valid) == ["order_id", "status", "updated_at"]
    assert (result.rejected, result.reasons, result.unmapped) == ([], {}, [])


@pytest.mark.parametrize(
    ("column", "code"), [(0, "order_id_missing"), (1, "status_missing"), (2, "updated_at_missing")]
)
def test_a_column_without_any_value_is_missing_in_every_row(validator: RowValidator, column: int, code: str) -> None:
    rows = [[f"{number}", "new", NOON] for number in range(3)]
    for row in rows:
        row[column] = None

    result = validated(validator, *(tuple(row) for row in rows))

    assert rejection_reasons(result) == [code] * 3
    assert result.valid.empty


def test_rows_keep_their_order_and_their_values(validator: RowValidator) -> None:
    rows = [(f"{number}", "lost" if number % 3 == 1 else "new", NOON + number * TICK) for number in range(1_000)]

    result = validated(validator, *rows)

    assert list(result.valid.itertuples(index=False, name=None)) == [row for row in rows if row[1] == "new"]
    assert [row.order_id for row in result.rejected] == [row[0] for row in rows if row[1] == "lost"]


def test_only_mapped_statuses_are_accepted(validator: RowValidator) -> None:
    result = validator.validate(frame_of([("1", "new", NOON), ("2", "paid", NOON)]), {"new"}, WINDOW)

    assert result.valid["order_id"].tolist() == ["1"]


# Unmapped statuses


@pytest.mark.parametrize(
    ("rows", "unmapped"),
    [
        pytest.param(
            [
                ("1", "a", NOON),
                ("2", "b", NOON),
                ("3", "c", NOON),
                ("4", "b", NOON),
                ("5", "b", NOON),
                ("6", "c", NOON),
            ],
            [UnmappedStatus("b", 3, "2"), UnmappedStatus("c", 2, "3"), UnmappedStatus("a", 1, "1")],
            id="most-frequent-first",
        ),
        pytest.param(
            [("1", "Lost", NOON), ("2", "lost", NOON)], [("Lost", 1, "1"), ("lost", 1, "2")], id="case-counts"
        ),
        pytest.param([("1", " a", NOON), ("2", "a ", NOON)], [UnmappedStatus("a", 2, "1")], id="trimmed"),
        pytest.param([(None, "a", NOON), ("2", "a", NOON)], [UnmappedStatus("a", 2, "2")], id="example-has-an-id"),
        pytest.param([(None, "a", NOON)], [UnmappedStatus("a", 1, None)], id="no-example"),
        pytest.param([("1", None, NOON), ("2", "", NOON), ("3", "new", NOON)], [], id="missing-is-not-unmapped"),
        pytest.param([("1", "a", None), ("2", "a", "soon")], [UnmappedStatus("a", 2, "1")], id="in-rows-bad-otherwise"),
        pytest.param([("1\x00", "a\nb", NOON)], [UnmappedStatus("a\nb", 1, "1\\x00")], id="as-it-is"),
        pytest.param([("1", "x" * 251, NOON)], [UnmappedStatus("x" * 250 + "…", 1, "1")], id="cut"),
    ],
)
def test_unmapped_statuses_are_counted_with_an_example(
    validator: RowValidator, rows: list[Row], unmapped: list[UnmappedStatus | tuple[str, int, str]]
) -> None:
    expected = [item if isinstance(item, UnmappedStatus) else UnmappedStatus(*item) for item in unmapped]

    assert validated(validator, *rows).unmapped == expected


@pytest.mark.parametrize("status", ["on hold", "a\x00\u200b\n", "\\u200b", 'the "new" one', "заказ", "null"])
def test_an_unmapped_status_is_passed_on_as_it_is_without_a_character_that_no_database_takes(status: str) -> None:
    packed = UnmappedStatus(status, 2, "1").packed()

    assert "\x00" not in packed[0]
    assert UnmappedStatus.unpack(packed) == UnmappedStatus(status, 2, "1")


@pytest.mark.parametrize("status", ["on hold", 'the "new" one', "new\\old", "null", "7"])
def test_an_unmapped_status_that_an_earlier_version_passed_on_is_understood(status: str) -> None:
    assert UnmappedStatus.unpack([status, 2, None]) == UnmappedStatus(status, 2, None)


# Checks that cannot run


@pytest.mark.parametrize(
    ("column", "code"),
    [
        ("order_id", "order_id_missing"),
        ("order_id_exact", "order_id_inexact"),
        ("status", "status_missing"),
        ("updated_at", "updated_at_outside_window"),
        ("updated_at_given", "updated_at_missing"),
        ("updated_at_readable", "updated_at_unreadable"),
        ("copy", "order_id_duplicated"),
        ("order_unambiguous", "order_ambiguous"),
    ],
)
def test_a_missing_column_stops_the_run(validator: RowValidator, column: str, code: str) -> None:
    frame = frame_of([("1", "new", NOON), ("2", "lost", NOON)]).drop(columns=column)

    with pytest.raises(RowValidationError, match=f"could not check {code} .*nothing was sent") as caught:
        validator.validate(frame, STATUSES, WINDOW)

    assert f" {column} " not in str(caught.value)  # its columns are listed


def naive(times: pd.Series) -> pd.Series:
    return times.dt.tz_localize(None)


def text(times: pd.Series) -> pd.Series:
    return times.astype("str")


def number(times: pd.Series) -> pd.Series:
    return times.astype("int64")


@pytest.mark.parametrize("change", [naive, text, number])
def test_times_of_another_type_stop_the_run(validator: RowValidator, change: Callable[[pd.Series], pd.Series]) -> None:
    frame = frame_of([("1", "new", NOON), ("2", "lost", WINDOW.end)])
    frame["updated_at"] = change(frame["updated_at"])

    with pytest.raises(RowValidationError, match=r"could not check updated_at_outside_window .*updated_at "):
        validator.validate(frame, STATUSES, WINDOW)


def test_a_validator_works_again_after_an_error(validator: RowValidator) -> None:
    with pytest.raises(RowValidationError):
        validator.validate(frame_of([("1", "new", NOON)]).drop(columns="status"), STATUSES, WINDOW)

    assert rejection_reasons(validated(validator, ("1", "lost", NOON))) == ["status_unmapped"]


def test_validation_logs_no_values_of_rows(
    validator: RowValidator, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        validated(validator, ("private-id", "private-status", "private-time"), ("1", "new", NOON))
        with pytest.raises(RowValidationError) as caught:
            validator.validate(frame_of([("private-id", "new", NOON)]).drop(columns="status"), STATUSES, WINDOW)

    assert "private" not in caplog.text + str(caught.value)
    assert capfd.readouterr() == ("", "")


# Any rows at all

ODD_IDS = st.text(st.sampled_from("a1 \u00a0\u3000\t\x00\x7f\x85\u200b\u2028é😀'\"\\%"), max_size=3)
IDS = st.none() | ODD_IDS | st.text(max_size=4) | st.sampled_from(["x" * 255, "x" * 256, "nan", 7, 7.0, 1.5, 2.0**60])
ROW_STATUSES = st.sampled_from([None, "", " ", "new", " paid ", "Paid", "lost", "\u00a0delivered", "nan", 0, "\x00"])
TIMES = st.sampled_from(
    [
        None,
        " ",
        "soon",
        WINDOW.start,
        WINDOW.start - TICK,
        WINDOW.end,
        WINDOW.end - TICK,
        "2026-03-01 12:00:00+03:00",
        "2026-03-02T00:00:00",
        "9999-12-31",
    ]
) | st.datetimes(datetime(2026, 2, 28, 12), datetime(2026, 3, 2, 12), timezones=st.just(UTC))  # noqa: DTZ001


def broken_by(row: Row, texts: Counter[tuple[str | None, bool]]) -> list[str]:
    """The promise of the suite in plain Python."""
    (order_id, exact), status, time = exact_text(row[0]), exact_text(row[1])[0], row[2]
    moment = None if time is None or time in (" ", "soon") else pd.Timestamp(time)
    if moment is not None and moment.tzinfo is None:
        moment = moment.tz_localize(UTC)
    trimmed = (status or "").strip()
    checks = {
        "order_id_missing": order_id is None,
        "order_id_blank": order_id is not None and not order_id.strip(),
        "order_id_too_long": len(order_id or "") > 255,
        "order_id_control_character": any(unicodedata.category(character) == "Cc" for character in order_id or ""),
        "order_id_inexact": not exact,
        "order_id_duplicated": order_id is not None and texts[order_id, exact] > 1,
        "order_ambiguous": False,
        "status_missing": not trimmed,
        "status_unmapped": bool(trimmed) and trimmed not in STATUSES,
        "updated_at_missing": time in (None, " "),
        "updated_at_unreadable": time == "soon",
        "updated_at_outside_window": moment is not None and not WINDOW.start <= moment < WINDOW.end,
    }
    return [code for code, broken in checks.items() if broken]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(IDS, ROW_STATUSES, TIMES), max_size=40))
@example([("a\ud800", "new", WINDOW.start), ("a\\ud800", "new", WINDOW.start)])
def test_any_row_is_validated_as_plain_python_would(validator: RowValidator, rows: list[Row]) -> None:
    result = validated(validator, *rows)

    texts = Counter(exact_text(row[0]) for row in rows)
    expected = [(exact_text(row[0])[0], broken_by(row, texts)) for row in rows]
    assert result.valid["order_id"].tolist() == [order_id for order_id, codes in expected if not codes]
    assert [(row.order_id, row.reason) for row in result.rejected] == [
        (order_id, ", ".join(codes)) for order_id, codes in expected if codes
    ]
    assert result.reasons == Counter(code for _, codes in expected for code in codes)
