"""The share of a run's rows that a threshold of the shop file is compared with."""

from __future__ import annotations

from collections.abc import Callable

MIN_SHARE_ROWS = 100
"""A share is taken of at least so many rows: of the few rows of a small shop, a single one would be a large share."""


def share_of(count: int, read: int) -> float:
    """
    Return the share that some rows are of all that a run read, or of :data:`MIN_SHARE_ROWS` if it read fewer.

    A threshold of 0 is exact: any row exceeds it.
    """
    return count / max(read, MIN_SHARE_ROWS)


def share_text(count: int, read: int, _: Callable[[str], str] = str) -> str:
    """
    Return the share in words: ``a share of 0.0200``; it says so if it is not taken of the rows that were read.

    :param _: translates them; by default they are English.
    """
    text = (
        _("a share of %(share).4f of at least %(rows)d rows") if read < MIN_SHARE_ROWS else _("a share of %(share).4f")
    )
    return text % {"share": share_of(count, read), "rows": MIN_SHARE_ROWS}
