"""How values look on the page."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rees46_sync.monitoring.page.views import age, csv_lines, run_path, scale, templates, timestamp_or_unknown

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def draw(title: str, *bars: tuple[str, int]) -> str:
    return str(templates().get_template("macros.html").module.bar_chart(title, bars))  # type: ignore[attr-defined] # a macro


@pytest.mark.parametrize(
    ("highest", "labels"),
    [
        (1, [0, 1]),
        (3, [0, 1, 2, 3]),
        (5, [0, 2, 4]),
        (24, [0, 5, 10, 15, 20]),
        (25, [0, 10, 20]),
        (1199, [0, 500, 1000]),
        (17_000_000, [0, 5_000_000, 10_000_000, 15_000_000]),
    ],
)
def test_a_scale_has_round_labels(highest: int, labels: list[int]) -> None:
    assert scale(highest) == labels


def test_a_scale_has_two_to_five_labels_from_zero_to_at_most_the_highest_value() -> None:
    for highest in range(1, 3000):
        labels = scale(highest)
        assert 2 <= len(labels) <= 5
        assert labels[0] == 0
        assert labels[-1] <= highest


def test_a_chart_says_what_each_bar_is_and_has_no_script_and_no_style() -> None:
    svg = draw("Changes <sent>", ("03-01", 3), ("03-02", 1200), ("<03>", 0))

    assert re.findall("<title>([^<]*)</title>", svg) == ["03-01: 3", "03-02: 1,200", "&lt;03&gt;: 0"]
    assert 'role="img" aria-label="Changes &lt;sent&gt;"' in svg
    assert not re.search(r"<(script|style|defs|desc)|\sstyle=", svg)


@pytest.mark.parametrize("bars", [1, 2, 5, 30, 48])
def test_a_chart_has_at_most_four_time_labels(bars: int) -> None:
    svg = draw("Changes", *[(f"hour {number}", number) for number in range(bars)])
    labels = re.findall('class="time"[^>]*>([^<]*)<', svg)
    assert labels[0] == "hour 0"
    assert 1 <= len(labels) <= 4


def test_the_heights_of_bars_are_in_proportion_and_stay_within_the_chart() -> None:
    svg = draw("Changes", ("a", 0), ("b", 50), ("c", 100))
    tops, heights = (
        [float(value) for value in re.findall(f'<rect[^>]* {name}="([^"]*)"', svg)] for name in ("y", "height")
    )
    assert heights == [0, heights[2] / 2, heights[2]]
    assert {top + height for top, height in zip(tops, heights, strict=True)} == {tops[0]}
    assert 0 < tops[2] < tops[1] < tops[0] < 200


def test_a_chart_without_any_change_has_bars_without_height() -> None:
    assert draw("Changes", ("a", 0)).count('height="0.0"') == 1


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=-5), "less than a minute"),
        (timedelta(minutes=59, seconds=59), "59 min"),
        (timedelta(hours=23, minutes=1), "23 h 1 min"),
        (timedelta(days=3, hours=2, minutes=59), "3 d 2 h"),
    ],
)
def test_an_age_has_its_two_largest_units(passed: timedelta, text: str) -> None:
    assert age(NOON - passed, NOON) == text


def test_a_time_that_is_not_known_says_so() -> None:
    assert [timestamp_or_unknown(value) for value in (NOON, None)] == ["2026-03-01 12:00:00", "unknown"]


def test_an_address_of_a_run_is_escaped() -> None:
    assert (
        run_path("/airflow", "dag", "manual__12:00+00:00/ä")
        == "/airflow/dags/dag/runs/manual__12%3A00%2B00%3A00%2F%C3%A4"
    )


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\tx", "\rx"])
def test_a_csv_has_no_formula(text: str) -> None:
    row = dict.fromkeys(("status", "updated_at", "reason", "run_id"), "x") | {"rejected_at": NOON, "order_id": text}
    assert f"'{text}" in "".join(csv_lines([row]))


SIGNS = "=+-@＝＋－＠﹦"  # noqa: RUF001
CELLS = st.lists(st.sampled_from([*SIGNS, *',;|\t\r\n"', " ", "\u00a0", "\ufeff", "\x00", "'", "a", "1"]), max_size=8)


@given(CELLS.map("".join), CELLS.map("".join))
@example("a;=1+1", "")
@example("＝1", 'a;" =1')  # noqa: RUF001
@example("", 'a,b;"=1"')
def test_a_csv_has_no_formula_whatever_separates_its_cells(order_id: str, status: str) -> None:
    row = {"rejected_at": NOON, "order_id": order_id, "status": status, "updated_at": "", "reason": "", "run_id": ""}
    text = "".join(csv_lines([row]))
    for separator in ",;\t|":
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            assert not [cell for cell in cells if cell.strip('"\ufeff\x00 \u00a0\t\r\n').startswith(tuple(SIGNS))]


@pytest.mark.parametrize("text", ["on hold - paid", "A-1", "a;b", "x@example", "1+1, 2", "плохо"])
def test_a_csv_has_a_harmless_text_as_it_is(text: str) -> None:
    row = {"rejected_at": NOON, "order_id": text, "status": "", "updated_at": "", "reason": "", "run_id": ""}
    [shown] = csv.DictReader(io.StringIO("".join(csv_lines([row])), newline=""))
    assert shown["order_id"] == text
