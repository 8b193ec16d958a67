"""Builders for what the tasks of a run leave, and a run in which all is well."""

from __future__ import annotations

from typing import Any

from rees46_sync.pipeline.causes import Cause
from rees46_sync.pipeline.closed_sum import RunResults

Descriptor = dict[str, Any]


def extraction(read: int = 100, superseded: int = 10, **more: Any) -> Descriptor:
    window = {"window_start": "2026-03-01T07:00:00+00:00", "window_end": "2026-03-01T08:00:00+00:00"}
    kind = {"is_regular": True, "is_resend": False, "held": 0, "missing": ""}
    data = {"newest": None, "empty_spans": [], "whole_days": False, "loaded_until": None}
    counts = {"read": read, "superseded": superseded}
    return {"extraction_id": "extraction-1", **counts, **window, **kind, **data, **more}


def partition(index: int, rows: int) -> Descriptor:
    return {"index": index, "rows": rows, "path": "/staging/part"}


def validated(index: int, valid: int, rejected: int, **more: Any) -> Descriptor:
    counts = {"valid": valid, "rejected": rejected, "newly_rejected": rejected}
    return {"index": index, **counts, "reasons": {}, "unmapped": [], **more}


def built(index: int, orders: int, unchanged: int = 0, stale: int = 0, reopened: int = 0, **more: Any) -> Descriptor:
    by_status = {"0": 0, "1": orders - orders // 3, "2": orders // 3}
    held_back: Descriptor = {"unchanged": unchanged, "stale": stale, "reopened": reopened, "held": 0, "resent": 0}
    held_back |= {
        "newly_reopened": reopened,
        "examples": {"reopened": [f"r{number}" for number in range(reopened)][:5]},
    }
    return {"index": index, "path": f"batches-{index}", "orders": orders, "by_status": by_status, **held_back, **more}


def loaded(
    index: int, sent: int, unchanged: int = 0, stale: int = 0, reopened: int = 0, failed: int = 0, rejected: int = 0
) -> Descriptor:
    counts = {"sent": sent, "unchanged": unchanged, "stale": stale, "reopened": reopened}
    counts |= {"rejected": rejected, "failed": failed}
    return {"index": index, "extraction_id": "extraction-1", "orders": sum(counts.values()), **counts}


def cause(task: str, partition: int | None, problem: str) -> Cause:
    return Cause(task=task, partition=partition, kind="SyncError", problem=problem, remedy=f"remedy of {problem}")


PARTITIONS = [partition(0, 60), partition(1, 30)]
VALIDATED = [validated(0, 55, 5), validated(1, 28, 2)]
BUILT = [built(0, 50, unchanged=3, stale=1, reopened=1), built(1, 20, unchanged=8)]
LOADED = [loaded(0, 50), loaded(1, 20)]
ALL_WELL = RunResults(
    extraction=extraction(),
    partitions=PARTITIONS,
    validated=VALIDATED,
    built=BUILT,
    approved=BUILT,
    loaded=LOADED,
    accepted={0: 50, 1: 20},
    requests=2,
)
