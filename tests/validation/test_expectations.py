"""What the judge promises: a good row goes on, a bad one is rejected with every reason, and doubt stops the run."""

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

from rees46_sync.exceptions import JudgementError
from rees46_sync.ledger.database import RejectedRow
from rees46_sync.validation.expectations import MAX_ID_CHARACTERS, WHAT_TO_DO, Judge, Judgement, UnmappedStatus
from rees46_sync.warehouse.reader import SCHEMA, exact_text, staged_rows
from rees46_sync.window import Window

Row = tuple[Any, Any, Any]

WINDOW = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
STATUSES = {"new": 0, "paid": 0, "delivered": 1, "cancelled": 2}
TICK = timedelta(microseconds=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """Rows as a warehouse gives them, as the judge gets them from a staged file."""
    table = staged_rows(*([row[column] for row in rows] for column in range(3)))
    return table.append_column("copy", pa.array([1] * len(rows), pa.int64())).cast(SCHEMA).to_pandas()


def judged(judge: Judge, *rows: Row) -> Judgement:
    return judge.judge_rows(frame_of(rows), STATUSES, WINDOW)


def reasons_of(judgement: Judgement) -> list[str]:
    return [row.reason for row in judgement.rejected]


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
    "status_missing": {"null": ("s1", None, NOON), "empty": ("s2", "", NOON), "blank": ("s3", " \u00a0", NOON)},
    "status_unmapped": {
        "unknown": ("s4", "lost", NOON),
        "other-case": ("s5", "New", NOON),
        "cyrillic": ("s6", "n\u0435w", NOON),
        "invisible": ("s7", "new\u200b", NOON),
        "code": ("s8", 0, NOON),
    },
    "updated_at_missing": {"null": ("t1", "new", None), "blank": ("t2", "new", " ")},
    "updated_at_unreadable": {"text": ("t3", "new", "soon"), "epoch": ("t4", "new", 1772366400)},
    "updated_at_outside_window": {
        "before": ("t5", "new", WINDOW.start - TICK),
        "end": ("t6", "new", WINDOW.end),
        "first-year": ("t7", "new", "0001-01-01 00:00:00"),
        "last-year": ("t8", "new", "9999-12-31 23:59:59"),
        "year-10000-in-utc": ("t9", "new", "9999-12-31 23:59:59-05:00"),
    },
}

TABLE = {f"clean-{what}": ("", row) for what, row in CLEAN.items()} | {
    f"{code}-{what}": (code, row) for code, rows in BROKEN.items() for what, row in rows.items()
}


@pytest.fixture(scope="module")
def verdicts(judge: Judge) -> dict[str, str]:
    """The reason for which each row of the table is rejected, none for a clean one: all of them judged at once."""
    frame = frame_of([row for _, row in TABLE.values()])
    frame["copy"] = range(len(frame))  # tells which row a rejected one was
    reasons = {row.copy: row.reason for row in judge.judge_rows(frame, STATUSES, WINDOW).rejected}
    return {name: reasons.get(position, "") for position, name in enumerate(TABLE)}


def test_each_code_is_broken_here() -> None:
    assert list(BROKEN) == list(WHAT_TO_DO)


@pytest.mark.parametrize(("name", "code"), [pytest.param(name, code, id=name) for name, (code, _) in TABLE.items()])
def test_a_row_is_rejected_for_exactly_what_it_breaks(verdicts: dict[str, str], name: str, code: str) -> None:
    assert verdicts[name] == code


def test_clean_rows_go_on_as_they_are(judge: Judge) -> None:
    judgement = judged(judge, *CLEAN.values())

    assert list(judgement.valid.itertuples(index=False, name=None)) == [
        (str(order_id), status.strip(), pd.Timestamp(time)) for order_id, status, time in CLEAN.values()
    ]
    assert list(judgement.valid) == ["order_id", "status", "updated_at"]
    assert (judgement.rejected, judgement.reasons, judgement.unmapped) == ([], {}, [])


def test_a_rejected_row_is_what_the_warehouse_gave(judge: Judge) -> None:
    frame = frame_of([("7\t", " lost ", "2026-03-01 12:00:00+03:00"), (None, None, None)])
    frame["copy"] = [1, 4]

    judgement = judge.judge_rows(frame, STATUSES, WINDOW)

    assert judgement.rejected == [
        RejectedRow("7\t", "lost", "2026-03-01 12:00:00+03:00", "order_id_control_character, status_unmapped", 1),
        RejectedRow(None, None, None, "order_id_missing, status_missing, updated_at_missing", 4),
    ]


# Several reasons, several rows


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
def test_a_row_is_rejected_once_with_every_reason_in_the_suites_order(judge: Judge, row: Row, codes: list[str]) -> None:
    judgement = judged(judge, row, ("1", "new", NOON), row)

    assert codes == [code for code in WHAT_TO_DO if code in codes]
    assert reasons_of(judgement) == [", ".join(codes)] * 2
    assert judgement.reasons == dict.fromkeys(codes, 2)
    assert judgement.valid["order_id"].tolist() == ["1"]


@pytest.mark.parametrize("count", [1, 500])
def test_a_partition_may_be_bad_as_a_whole(judge: Judge, count: int) -> None:
    judgement = judged(judge, *((f"{number}", "lost", NOON) for number in range(count)))

    assert judgement.valid.empty
    assert reasons_of(judgement) == ["status_unmapped"] * count


def test_a_partition_without_rows_has_nothing_to_reject(judge: Judge) -> None:
    judgement = judged(judge)

    assert judgement.valid.empty
    assert list(judgement.valid) == ["order_id", "status", "updated_at"]
    assert (judgement.rejected, judgement.reasons, judgement.unmapped) == ([], {}, [])


@pytest.mark.parametrize(
    ("column", "code"), [(0, "order_id_missing"), (1, "status_missing"), (2, "updated_at_missing")]
)
def test_a_column_without_any_value_is_missing_in_every_row(judge: Judge, column: int, code: str) -> None:
    rows = [[f"{number}", "new", NOON] for number in range(3)]
    for row in rows:
        row[column] = None

    judgement = judged(judge, *(tuple(row) for row in rows))

    assert reasons_of(judgement) == [code] * 3
    assert judgement.valid.empty


def test_rows_keep_their_order_and_their_values(judge: Judge) -> None:
    rows = [(f"{number}", "lost" if number % 3 == 1 else "new", NOON + number * TICK) for number in range(1_000)]

    judgement = judged(judge, *rows)

    assert list(judgement.valid.itertuples(index=False, name=None)) == [row for row in rows if row[1] == "new"]
    assert [row.order_id for row in judgement.rejected] == [row[0] for row in rows if row[1] == "lost"]


def test_only_the_mapped_statuses_go_on(judge: Judge) -> None:
    judgement = judge.judge_rows(frame_of([("1", "new", NOON), ("2", "paid", NOON)]), {"new"}, WINDOW)

    assert judgement.valid["order_id"].tolist() == ["1"]


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
        pytest.param([("1\x00", "a\nb", NOON)], [UnmappedStatus("a\\nb", 1, "1\\x00")], id="printable"),
        pytest.param([("1", "x" * 251, NOON)], [UnmappedStatus("x" * 250 + "…", 1, "1")], id="cut"),
    ],
)
def test_unmapped_statuses_are_counted_with_an_example(
    judge: Judge, rows: list[Row], unmapped: list[UnmappedStatus | tuple[str, int, str]]
) -> None:
    expected = [item if isinstance(item, UnmappedStatus) else UnmappedStatus(*item) for item in unmapped]

    assert judged(judge, *rows).unmapped == expected


# What cannot be judged


@pytest.mark.parametrize(
    ("column", "code"),
    [
        ("order_id", "order_id_missing"),
        ("order_id_exact", "order_id_inexact"),
        ("status", "status_missing"),
        ("updated_at", "updated_at_outside_window"),
        ("updated_at_given", "updated_at_missing"),
        ("updated_at_readable", "updated_at_unreadable"),
    ],
)
def test_rows_without_a_judged_column_stop_the_run(judge: Judge, column: str, code: str) -> None:
    frame = frame_of([("1", "new", NOON), ("2", "lost", NOON)]).drop(columns=column)

    with pytest.raises(JudgementError, match=f"could not judge {code} .*nothing was let through") as caught:
        judge.judge_rows(frame, STATUSES, WINDOW)

    assert f" {column} " not in str(caught.value)  # its columns are listed


def naive(times: pd.Series) -> pd.Series:
    return times.dt.tz_localize(None)


def text(times: pd.Series) -> pd.Series:
    return times.astype("str")


def number(times: pd.Series) -> pd.Series:
    return times.astype("int64")


@pytest.mark.parametrize("change", [naive, text, number])
def test_times_of_another_type_stop_the_run(judge: Judge, change: Callable[[pd.Series], pd.Series]) -> None:
    frame = frame_of([("1", "new", NOON), ("2", "lost", WINDOW.end)])
    frame["updated_at"] = change(frame["updated_at"])

    with pytest.raises(JudgementError, match=r"could not judge updated_at_outside_window .*updated_at "):
        judge.judge_rows(frame, STATUSES, WINDOW)


def test_a_judge_that_stopped_a_run_judges_the_next_one(judge: Judge) -> None:
    with pytest.raises(JudgementError):
        judge.judge_rows(frame_of([("1", "new", NOON)]).drop(columns="status"), STATUSES, WINDOW)

    assert reasons_of(judged(judge, ("1", "lost", NOON))) == ["status_unmapped"]


def test_judging_shows_nothing_of_a_row(
    judge: Judge, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        judged(judge, ("private-id", "private-status", "private-time"), ("1", "new", NOON))
        with pytest.raises(JudgementError) as caught:
            judge.judge_rows(frame_of([("private-id", "new", NOON)]).drop(columns="status"), STATUSES, WINDOW)

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
def test_any_row_is_judged_as_plain_python_would(judge: Judge, rows: list[Row]) -> None:
    judgement = judged(judge, *rows)

    texts = Counter(exact_text(row[0]) for row in rows)
    expected = [(exact_text(row[0])[0], broken_by(row, texts)) for row in rows]
    assert judgement.valid["order_id"].tolist() == [order_id for order_id, codes in expected if not codes]
    assert [(row.order_id, row.reason) for row in judgement.rejected] == [
        (order_id, ", ".join(codes)) for order_id, codes in expected if codes
    ]
    assert judgement.reasons == Counter(code for _, codes in expected for code in codes)
