"""The limits of a shop file, compared with what a run would do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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
    :param counts: the numbers of rows and orders that :meth:`texts` names.
    :param exceeded: the names of the limits that are exceeded.
    """

    extraction: Extraction
    limits: Limits
    metrics: Mapping[str, float]
    counts: Mapping[str, int]
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
        counts = {
            "read": extraction["read"],
            "rejected": sum(part["rejected"] for part in validated),
            "newly_rejected": sum(part["newly_rejected"] for part in validated),
            "changed": sum(part["orders"] for part in built),
            "resent": sum(part["resent"] for part in built),
            "reopened": sum(part["reopened"] for part in built),
            "newly_reopened": sum(part["newly_reopened"] for part in built),
        }
        metrics = {
            "rejected_share": share_of(counts["newly_rejected"], counts["read"]),
            "changed_orders": counts["changed"],
            "reopened_orders": counts["newly_reopened"],
        }
        return cls(extraction, limits, metrics, counts, exceeded_limits(metrics, limits))

    def texts(self, _: Callable[[str], str] = str) -> dict[str, str]:
        """
        Return the run's value for each limit in words.

        :param _: translates them; by default they are English.
        """
        share = share_text(self.counts["newly_rejected"], self.counts["read"], _)
        changed = (
            _("%(changed)d orders would be sent, %(resent)d of them again although unchanged")
            if self.extraction["is_resend"]
            else _("%(changed)d orders would change")
        )
        texts = {
            "rejected_share": _(
                "%(rejected)d of %(read)d rows are rejected, %(newly_rejected)d of them for the first time, %(share)s"
            ),
            "changed_orders": changed,
            "reopened_orders": _(
                "%(reopened)d orders are held back as reopened, %(newly_reopened)d of them for the first time"
            ),
        }
        return {name: text % {**self.counts, "share": share} for name, text in texts.items()}

    def exceeded_text(self, _: Callable[[str], str] = str) -> str:
        """
        Return the exceeded limits in one line, with the numbers.

        :param _: translates them; by default they are English, as in logs, in errors and in the ledger.
        """
        texts, limit = self.texts(_), _("%(text)s (limit %(name)s: %(limit)s)")
        return "; ".join(
            limit % {"text": texts[name], "name": name, "limit": getattr(self.limits, name)} for name in self.exceeded
        )


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
