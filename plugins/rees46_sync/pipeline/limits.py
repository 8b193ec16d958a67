"""
The limits of a shop file, against what a run would do.

Two comparisons of two numbers, so they are made here: Great Expectations judges rows, and its import would take the
task that asks many times as long as its work.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from rees46_sync.exceptions import JudgementError
from rees46_sync.shop.shop import Limits


def exceeded_limits(counters: Mapping[str, float], limits: Limits) -> list[str]:
    """
    Judge a run by its counters, ``rejected_share`` and ``changed_orders``.

    :return: the names of the limits that are exceeded: what is at a limit is within it.
    :raises JudgementError: a counter is missing, or is no number of which that can be said.
    """
    exceeded = []
    for name, limit in sorted(limits.model_dump().items()):
        value: object = counters.get(name)
        if not isinstance(value, int | float) or math.isnan(value):
            raise JudgementError(
                f"The sync could not judge {name} of this run, which is {value!r}; nothing was let through. "
                "If a retry does not help, this is a defect of the sync: report it."
            )
        if not 0 <= value <= limit:
            exceeded.append(name)
    return exceeded
