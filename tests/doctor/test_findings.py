"""Findings, and calls that may hang."""

from __future__ import annotations

import pytest

from rees46_sync.doctor.findings import within


def test_within_returns_the_result_and_raises_the_error_of_the_call() -> None:
    assert within(5, lambda: 46) == 46
    with pytest.raises(ZeroDivisionError):
        within(5, lambda: 1 // 0)
