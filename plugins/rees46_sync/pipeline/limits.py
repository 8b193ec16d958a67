"""The limits of a shop file, compared with what a run would do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rees46_sync.exceptions import RowValidationError
from rees46_sync.pipeline.run import (
    BuiltBatches,
    Extraction,
    ValidatedPartition,
)
from rees46_sync.shop.shares import share_of, share_text
from rees46_sync.shop.shop import Limits


@dataclass(frozen=True)
class LimitCheck:
    """
    A run compared with the limits of its shop.

    :param metrics: the run's value for each limit.
    :param texts: the same in words.
    :param exceeded: the names of the limits that are exceeded.
    """

    extraction: Extraction
    limits: Limits
    metrics: Mapping[str, float]
    texts: Mapping[str, str]
    exceeded: Sequence[str]

    @classmethod
    def from_run(
        cls,
        extraction: Extraction,
        validated: Sequence[ValidatedPartition],
        built: Sequence[BuiltBatches],
        limits: Limits,
    ) -> LimitCheck:
        """
        Check the results of a run's partitions.

        Rows and reopened orders that an earlier run has let through do not count again.
        """
        read, rejected = extraction["read"], sum(part["rejected"] for part in validated)
        newly_rejected = sum(part["newly_rejected"] for part in validated)
        changed, reopened = sum(part["orders"] for part in built), sum(part["reopened"] for part in built)
        newly_reopened = sum(part["newly_reopened"] for part in built)
        resent = sum(part["resent"] for part in built) if extraction["is_resend"] else None
        metrics = {
            "rejected_share": share_of(newly_rejected, read),
            "changed_orders": changed,
            "reopened_orders": newly_reopened,
        }
        texts = {
            "rejected_share": f"{rejected} of {read} rows are rejected, {newly_rejected} of them for the first time, "
            f"{share_text(newly_rejected, read)}",
            "changed_orders": f"{changed} orders would change"
            if resent is None
            else f"{changed} orders would be sent, {resent} of them again although unchanged",
            "reopened_orders": f"{reopened} orders are held back as reopened, {newly_reopened} of them for the first "
            "time",
        }
        return cls(extraction, limits, metrics, texts, exceeded_limits(metrics, limits))

    @property
    def exceeded_text(self) -> str:
        """The exceeded limits in one line, with the numbers."""
        return "; ".join(f"{self.texts[name]} (limit {name}: {getattr(self.limits, name)})" for name in self.exceeded)


def exceeded_limits(metrics: Mapping[str, float], limits: Limits) -> list[str]:
    """
    Return the names of the limits that a run exceeds; a value equal to its limit is within it.

    Comparisons of a few numbers, so they are made here: importing Great Expectations, which validates the rows, would
    take many times as long as this task.

    :param metrics: the value for each limit.
    :raises RowValidationError: a metric is missing, or is not a number.
    """
    exceeded = []
    for name, limit in sorted(limits.model_dump().items()):
        value: object = metrics.get(name)
        if not isinstance(value, int | float) or math.isnan(value):
            raise RowValidationError(
                f"{name} of this run is {value!r}, which cannot be compared with its limit; nothing was sent",
                "if a retry does not help, this is a defect of the sync: report it",
            )
        if not 0 <= value <= limit:
            exceeded.append(name)
    return exceeded
