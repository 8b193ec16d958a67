"""How a person closes a gap between the windows that a shop's runs have delivered."""

from __future__ import annotations

import json
from datetime import UTC, timedelta

from rees46_sync.ledger.coverage import Span

LONGEST_RUN = timedelta(days=92)
"""What is longer is read in months, by a backfill."""


def closing_command(shop: str, gap: Span, changed_orders: int | None = None) -> str:
    """
    Return the command of Airflow that reads a gap, and sends what REES46 lacks of it.

    :param changed_orders: the limit of its run, or of each of its runs; None: that of the shop file.
    """
    limit = {} if changed_orders is None else {"changed_orders": changed_orders}
    start, end = (moment.astimezone(UTC) for moment in gap)
    if end - start <= LONGEST_RUN:
        window = {"window_start": start.isoformat(), "window_end": end.isoformat()}
        return f"airflow dags trigger order_status_sync_{shop} --conf '{json.dumps(window | limit)}'"
    last = end - timedelta(microseconds=1)
    return (
        f"airflow backfill create --dag-id order_status_history_{shop} --from-date {start:%Y-%m}-01 "
        f"--to-date {last:%Y-%m}-01 --reprocess-behavior completed "
        f"--dag-run-conf '{json.dumps({'dry_run': False} | limit)}'"
    )
