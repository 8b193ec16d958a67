"""How texts, times and durations are shown to people."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def printable(text: str | None, limit: int) -> str | None:
    """
    Return a text that every database, XCom and log accepts: control characters escaped, cut at ``limit`` characters.

    PostgreSQL refuses NUL in texts and in JSON, so one broken row could otherwise stop a whole run.
    """
    if text is None:
        return None
    shown = escape_unprintable(text[:limit])
    return shown if len(text) <= limit else f"{shown}…"


def quoted(text: str, limit: int) -> str:
    """Return a printable text in quotes; ``repr()`` would escape what is escaped already."""
    return f"'{printable(text, limit)}'"


def escape_unprintable(text: str, keep: str = "") -> str:
    """Return a text whose unprintable characters, except those in ``keep``, are escaped as in Python."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def unescape_unprintable(text: str) -> str:
    """Undo :func:`escape_unprintable`. A text that held such an escape from the start comes out changed."""

    def unescaped(escape: re.Match[str]) -> str:
        character = escape[0].encode().decode("unicode_escape")
        return escape[0] if character.isprintable() else character

    return re.sub(r"\\(x[0-9a-f]{2}|u(?!d[89a-f])[0-9a-f]{4}|U000[0-9a-f]{5}|U0010[0-9a-f]{4}|[nrt])", unescaped, text)


def timestamp(moment: datetime) -> str:
    """Return a moment to the second, in UTC: ``2026-03-01 12:00:00``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def duration(passed: timedelta, _: Callable[[str], str] = str) -> str:
    """
    Return a duration to the minute: ``1 d 2 h 3 min``.

    :param _: translates its words; by default they are English.
    """
    minutes = round(passed.total_seconds() / 60)
    if minutes < 1:
        return _("less than a minute")
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, _("d")), (hours, _("h")), (minutes, _("min"))]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
