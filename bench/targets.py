"""What the benchmark has to reach."""

from __future__ import annotations

from typing import Any

from rich.table import Table

TARGETS = {
    "end_to_end_1m_200ms_vs_best_peer": ("the fastest peer's seconds / ours, whole runs", ">=", 4),
    "own_seconds_per_million": ("seconds of whole runs, less batches x latency / concurrency", "<=", 6),
    "load_1m_200ms_vs_ideal": ("batches x latency / concurrency / seconds of the load, 8 at once", ">=", 0.9),
    "load_1m_200ms_32_vs_ideal": ("the same at 200 ms, 32 at once", ">=", 0.9),
    "auto_concurrency_vs_best_fixed": ("seconds of the best of 8, 16 and 32 at once / of auto, 200 ms", ">=", 0.9),
    "load_1m_50ms_vs_ideal": ("the same at 50 ms, 8 at once", ">=", 0.9),
    "load_1m_50ms_32_vs_ideal": ("the same at 50 ms, 32 at once", ">=", 0.9),
    "peak_memory_5m_vs_500k": ("the largest task process, 5 M orders / 500 k", "<=", 1.2),
    "peak_memory_5m_mb": ("the largest task process at 5 M, MB", "<=", 700),
    "requests_when_nothing_changed": ("requests of a second run over the same orders", "<=", 0),
    "unchanged_5m_rows_per_s": ("extract, validate and build together", ">=", 50_000),
    "rows_per_s_5m_vs_500k": ("rows a second of all steps, 5 M / 500 k", ">=", 0.8),
    "hourly_run_1000_orders_vs_empty_dag": ("seconds of whole runs; the empty one imports GX once", "<=", 1.5),
    "dag_parse_vs_empty_dag": ("seconds to parse the DAG file / an empty one", "<=", 1.3),
    "ledger_lookups_per_s": ("orders, in the largest ledger", ">=", 200_000),
    "ledger_records_per_s": ("orders, one transaction a batch, one at a time", ">=", 50_000),
    "ledger_lookups_large_vs_small": ("lookups a second, largest ledger / smallest", ">=", 0.8),
    "ledger_bytes_per_order": ("in the largest ledger, indexes included", "<=", 150),
    "estimate_vs_measured": ("seconds of whole runs of three sizes, the farthest from the estimate", "<=", 1.2),
}
"""The keys of results.json that have a target: meaning, comparison, target."""


def targets_table(results: dict[str, Any], quick: bool) -> Table:
    """Return a table of the keys that have a target."""
    table = Table(title="Quick: these sizes are too small for conclusions" if quick else None)
    table.add_column("key", no_wrap=True)
    for column in ("what", "target", "measured", ""):
        table.add_column(column)
    for key, (what, comparison, target) in TARGETS.items():
        value = results[key]
        good = value >= target if comparison == ">=" else value <= target
        mark = "" if quick else "[green]✓" if good else "[red]✗"
        table.add_row(key, what, f"{comparison} {target:,}", f"{value:,.2f}", mark)
    return table
