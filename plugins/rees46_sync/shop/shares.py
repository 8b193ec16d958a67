"""The share of a run's rows that a threshold of the shop file is compared with."""

from __future__ import annotations

MIN_SHARE_ROWS = 100
"""A share is taken of at least so many rows: of the few rows of a small shop, a single one would be a large share."""


def share_of(count: int, read: int) -> float:
    """
    Return the share that some rows are of all that a run read, or of :data:`MIN_SHARE_ROWS` if it read fewer.

    A threshold of 0 is exact: any row exceeds it.
    """
    return count / max(read, MIN_SHARE_ROWS)


def share_text(count: int, read: int) -> str:
    """Return the share in words: ``a share of 0.0200``; it says so if it is not taken of the rows that were read."""
    base = f" of at least {MIN_SHARE_ROWS} rows" if read < MIN_SHARE_ROWS else ""
    return f"a share of {share_of(count, read):.4f}{base}"
