"""How texts, times and durations are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from rees46_sync.formatting import duration, escape_unprintable, printable, timestamp, unescape_unprintable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("заказ-🎁'\\", "заказ-🎁'\\", id="printable-characters-stay"),
        pytest.param("1\x00", r"1\x00", id="nul"),
        pytest.param("1\n2\t3", r"1\n2\t3", id="line-break-and-tab"),
        pytest.param("1\x85\u200b", r"1\x85\u200b", id="invisible-characters"),
        pytest.param("1\ud800", r"1\ud800", id="half-a-character"),
        pytest.param("x" * 10, "x" * 10, id="as-long-as-the-limit"),
        pytest.param("x" * 11, "x" * 10 + "…", id="longer-than-the-limit"),
        pytest.param("\x00" * 11, r"\x00" * 10 + "…", id="cut-before-it-is-escaped"),
        pytest.param("", "", id="empty"),
        pytest.param(None, None, id="missing"),
    ],
)
def test_a_text_is_made_printable_and_cut_at_the_limit(text: str | None, shown: str | None) -> None:
    assert printable(text, 10) == shown


@pytest.mark.parametrize("text", ["1\x00\n\t\r\x85\u200b\ue000\U000e0001", "new\\old", "\\x41", "заказ-🎁", ""])
def test_what_was_escaped_is_found_again(text: str) -> None:
    assert unescape_unprintable(escape_unprintable(text)) == text


def test_half_a_character_stays_escaped() -> None:
    assert unescape_unprintable(r"1\ud800") == r"1\ud800"


def test_characters_that_are_kept_are_not_escaped() -> None:
    assert escape_unprintable("a\n\x1b[2J", keep="\n") == "a\n\\x1b[2J"


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        pytest.param(datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01 12:00:00", id="utc"),
        pytest.param(
            datetime(2026, 3, 1, 0, 30, 5, tzinfo=timezone(timedelta(hours=9))), "2026-02-28 15:30:05", id="tokyo"
        ),
        pytest.param(
            datetime(2026, 3, 1, 12, 0, 0, 999999, tzinfo=UTC), "2026-03-01 12:00:00", id="seconds-are-not-rounded"
        ),
    ],
)
def test_a_timestamp_is_shown_in_utc_to_the_second(moment: datetime, shown: str) -> None:
    assert timestamp(moment) == shown


@pytest.mark.parametrize(
    ("passed", "shown"),
    [
        pytest.param(timedelta(0), "less than a minute", id="nothing"),
        pytest.param(timedelta(seconds=29), "less than a minute", id="half-a-minute"),
        pytest.param(timedelta(seconds=31), "1 min", id="rounded-to-the-minute"),
        pytest.param(timedelta(minutes=59, seconds=40), "1 h", id="rounded-to-the-hour"),
        pytest.param(timedelta(hours=2), "2 h", id="no-minutes"),
        pytest.param(timedelta(hours=25, minutes=3), "1 d 1 h 3 min", id="days-hours-and-minutes"),
        pytest.param(timedelta(days=2, minutes=5), "2 d 5 min", id="no-hours"),
        pytest.param(timedelta(days=400), "400 d", id="many-days"),
    ],
)
def test_a_duration_is_shown_to_the_minute(passed: timedelta, shown: str) -> None:
    assert duration(passed) == shown
