"""
An estimate of what the history of a shop takes: runs, tasks, requests, hours, disk space.

``python -m rees46_sync.doctor.estimate`` prints it. It is arithmetic over measurements; docs/scaling.md explains each
line. It assumes that orders are spread evenly over the months, that REES46 has none of them, and that nothing fails.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

from rees46_sync.rees46.dialects import DIALECTS

LEDGER_BYTES = 247
"""Size of an accepted order in PostgreSQL with its index."""

STAGED_BYTES = 3 * 12.4
"""Size of a row in its three staged files (partition, valid rows, batches), measured with 200,000 rows."""

LEDGER_ORDERS_PER_S = 110_000
"""Orders that a load sends and records if REES46 answers at once."""

ROWS_PER_S = 120_000
"""Rows that are read, validated, looked up and staged, by tasks one after another."""

TASK_S = 1
"""Fixed cost of a task in a worker that has imported what it needs: its process, and Airflow's scheduling."""

MAX_MAPPED = 1024
"""Airflow's default of ``core.max_map_length``."""


@dataclass(frozen=True)
class Estimate:
    """
    The history of a shop, window by window.

    :param orders: of all windows.
    :param windows: months, as in a backfill of the history DAG.
    :param batch: maximum number of orders in a request.
    :param concurrency: requests in flight at the same time.
    :param latency_s: from a request to its response.
    :param min_interval_s: from the start of a request to the start of the next.
    :param slots: tasks that all workers run at a time.
    :param windows_at_once: the backfill's ``max_active_runs``.
    """

    orders: int
    windows: int
    partition_rows: int
    batch: int
    concurrency: int
    latency_s: float
    min_interval_s: float
    slots: int
    windows_at_once: int

    @property
    def partitions(self) -> int:
        """Partitions of a window; each of its three mapped steps has one task for each."""
        return math.ceil(self.orders / self.windows / self.partition_rows)

    @property
    def tasks(self) -> int:
        """Tasks of all windows: three mapped steps, and three steps of one task each."""
        return self.windows * (3 * self.partitions + 3)

    @property
    def requests(self) -> int:
        """Requests of all windows; the last batch of a partition may be smaller."""
        return self.windows * self.partitions * math.ceil(self.orders / self.windows / self.partitions / self.batch)

    @property
    def sending_s(self) -> float:
        """Time of all loads. A shop has one at a time, so more workers do not help; it records while it sends."""
        requests_s = self.requests * max(self.latency_s / self.concurrency, self.min_interval_s)
        return max(requests_s, self.orders / LEDGER_ORDERS_PER_S)

    @property
    def validating_s(self) -> float:
        """Time of all other tasks, on all slots together, mostly while an earlier window is sent."""
        return (self.orders / ROWS_PER_S + self.tasks * TASK_S) / self.slots

    @property
    def lines(self) -> dict[str, str]:
        """The printed lines: name and text."""
        at_once = self.orders / self.windows * self.windows_at_once
        mapped = (
            "" if self.partitions <= MAX_MAPPED else f", more than Airflow maps ({MAX_MAPPED}): raise partition_rows"
        )
        return {
            "orders": f"{self.orders:,} in {self.windows} windows of {math.ceil(self.orders / self.windows):,}",
            "partitions of a window": f"{self.partitions:,}{mapped}",
            "tasks": f"{self.tasks:,}",
            "requests": f"{self.requests:,} of at most {self.batch:,} orders",
            "sending": f"{_hours_or_days(self.sending_s)}, one load at a time",
            "validating": f"{_hours_or_days(self.validating_s)} on {self.slots} slots, beside the sending",
            "ledger": _size(self.orders * LEDGER_BYTES),
            "staged at a time": f"{_size(at_once * STAGED_BYTES)} in {self.windows_at_once} windows",
        }


def _hours_or_days(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds < 72 * 3600 else f"{seconds / 86400:,.1f} days"


def _size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.0f} MB"


def main(arguments: list[str] | None = None) -> None:
    """Print the estimate for the options of the command line."""
    parser = argparse.ArgumentParser(
        "python -m rees46_sync.doctor.estimate", description="Estimate what a shop's history takes."
    )
    parser.add_argument("--orders", type=int, required=True, help="of all months together")
    parser.add_argument("--months", type=int, default=36, help="(36)")
    parser.add_argument("--partition-rows", type=int, default=250_000, help="of the shop file (250000)")
    parser.add_argument("--dialect", choices=DIALECTS, default="import_sync_orders", help="of the connection")
    parser.add_argument("--concurrency", type=int, default=8, help="requests in flight, whatever decides it (8)")
    parser.add_argument("--latency", type=float, default=0.5, help="seconds that REES46 takes to respond (0.5)")
    parser.add_argument("--min-interval", type=float, help="of the connection, in seconds (the dialect's)")
    parser.add_argument("--slots", type=int, default=8, help="tasks that all workers run at a time (8)")
    parser.add_argument("--active-runs", type=int, default=2, help="months at a time (2)")
    options = parser.parse_args(arguments)
    dialect = DIALECTS[options.dialect]
    estimate = Estimate(
        orders=options.orders,
        windows=options.months,
        partition_rows=options.partition_rows,
        batch=dialect.max_orders,
        concurrency=options.concurrency,
        latency_s=options.latency,
        min_interval_s=dialect.min_interval_s if options.min_interval is None else options.min_interval,
        slots=options.slots,
        windows_at_once=options.active_runs,
    )
    for name, text in estimate.lines.items():
        print(f"{name:24}{text}")


if __name__ == "__main__":
    main()
