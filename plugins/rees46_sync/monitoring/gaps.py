"""How a person closes a gap between the windows that a shop's runs have delivered."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from rees46_sync.ledger.coverage import Span

LONGEST_RUN = timedelta(days=92)
"""What is longer is read in months, by a backfill."""


def closing_command(shop: str, gap: Span) -> str:
    """Return the command of Airflow that reads a gap, and sends what REES46 lacks of it."""
    start, end = (moment.astimezone(UTC) for moment in gap)
    if end - start <= LONGEST_RUN:
        window = {"window_start": _text(start), "window_end": _text(end)}
        return f"airflow dags trigger order_status_sync_{shop} --conf '{json.dumps(window)}'"
    last = end - timedelta(microseconds=1)
    return (
        f"airflow backfill create --dag-id order_status_history_{shop} --from-date {start:%Y-%m}-01 "
        f"--to-date {last:%Y-%m}-01 --reprocess-behavior completed --dag-run-conf '{{\"dry_run\": false}}'"
    )


def _text(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat()
