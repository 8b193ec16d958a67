"""The share of a run's rows."""

from __future__ import annotations

import pytest

from rees46_sync.shop.shares import share_of, share_text


@pytest.mark.parametrize(
    ("count", "read", "share", "text"),
    [
        pytest.param(0, 0, 0, "a share of 0.0000 of at least 100 rows", id="nothing"),
        pytest.param(5, 10, 0.05, "a share of 0.0500 of at least 100 rows", id="half-of-ten"),
        pytest.param(1, 1, 0.01, "a share of 0.0100 of at least 100 rows", id="all-of-one"),
        pytest.param(5, 99, 0.05, "a share of 0.0500 of at least 100 rows", id="just-below"),
        pytest.param(5, 100, 0.05, "a share of 0.0500", id="hundred"),
        pytest.param(2, 200, 0.01, "a share of 0.0100", id="more"),
    ],
)
def test_a_share_is_taken_of_at_least_a_hundred_rows(count: int, read: int, share: float, text: str) -> None:
    assert (share_of(count, read), share_text(count, read)) == (share, text)
