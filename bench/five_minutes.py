"""
A day of runs every five minutes: ``python -m bench --only five_minutes``, half an hour.

The day is simulated in the warehouse: before each run, orders change at that run's time, and the run reads the
look-back before it. The runs follow one another on a live Airflow, each as soon as the one before it has ended, so they
are as many as in a day; a run that takes longer than the schedule's five minutes would be late. Their shop settles in a
second: otherwise an order that changes would be sent again for an hour, because its first status went out in this hour.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa

from bench.data import UNTIL, Orders
from bench.live import Live

EVERY = timedelta(minutes=5)
LOOKBACK = timedelta(days=3)
SETTLE = "1s"
CHANGES = 100
"""In five minutes."""

INTO_LOOKBACK = """
UPDATE orders SET updated_at = TIMESTAMPTZ '{until}' - INTERVAL '1 second' - (TIMESTAMPTZ '{until}' - updated_at) / 150
"""
CHANGE = """
UPDATE orders SET updated_at = '{at}', status = CASE status WHEN 'delivered' THEN 'cancelled' ELSE 'delivered' END
WHERE ctid IN (SELECT ctid FROM orders ORDER BY updated_at LIMIT {changes})
"""


def measure(live: Live, orders: Orders, runs: int, finished: Callable[[], None]) -> list[float]:
    """
    Run the day; return the seconds of each run, as its user waits for it.

    :param finished: is called after each run.
    :raises RunFailedError: a run failed, or did not send exactly what had changed.
    """
    engine = sa.create_engine(orders.uri)
    seconds = []
    with engine.begin() as connection:
        connection.execute(sa.text(INTO_LOOKBACK.format(until=UNTIL.isoformat())))
    live.run(orders, (UNTIL - LOOKBACK, UNTIL))
    for number in range(runs):
        end = UNTIL + (number + 1) * EVERY
        with engine.begin() as connection:
            connection.execute(sa.text(CHANGE.format(at=_before(end), changes=CHANGES)))
        run = live.run(orders, (end - LOOKBACK - EVERY, end), sent=CHANGES)
        seconds.append(run.seconds)
        finished()
    engine.dispose()
    return seconds


def _before(end: datetime) -> str:
    return (end - EVERY / 2).isoformat()
