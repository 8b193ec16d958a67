"""How fast the ledger is on PostgreSQL: orders looked up and recorded per second, as it grows, and its size."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import sqlalchemy as sa

from rees46_sync.ledger.database import Answer, Ledger, RunRef

BATCH = 1000
SHOP = "bench"
_GROW = """
INSERT INTO rees46_accepted_statuses
    (shop, order_id, status, source_updated_at, dag_id, run_id, extraction_id, accepted_at)
SELECT 'bench', lpad(n::text, 10, '0'), n % 3, TIMESTAMPTZ '2025-06-01 00:00:00+00', 'order_status_sync_bench',
       'scheduled__2025-06-01T00:00:00+00:00', '20250601T000000-00000000', TIMESTAMPTZ '2025-06-01 00:00:00+00'
FROM generate_series({first}::bigint, {last}) AS n
"""


@dataclass(frozen=True)
class Speed:
    """
    A ledger of so many rows.

    :param looked_up_per_s: orders whose ids are next to each other, as a partition's are.
    :param looked_up_spread_per_s: orders from all over the ledger.
    :param mb_per_million: what a million rows take on disk, indexes and all.
    """

    rows: int
    looked_up_per_s: float
    looked_up_spread_per_s: float
    recorded_per_s: float
    mb_per_million: float


def create_tables(uri: str) -> sa.Engine:
    """Make the tables of a ledger, as the first task of a run does; return its engine."""
    # The driver that Airflow's PostgresHook takes.
    engine = sa.create_engine(uri.replace("postgresql://", "postgresql+psycopg://"))
    Ledger(engine).create()
    engine.dispose()
    return engine


class GrowingLedger:
    """A ledger that is filled by the database itself, and asked and written through our own code."""

    def __init__(self, uri: str) -> None:
        self.engine = create_tables(uri)
        self.ledger = Ledger(self.engine)
        self.rows = 0

    def grow(self, rows: int) -> None:
        """Add accepted orders until there are so many."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(_GROW.format(first=self.rows + 1, last=rows)))
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE rees46_accepted_statuses"))
        self.rows = rows

    def measure(self, orders: int) -> Speed:
        """Look up so many orders, neighbours as those of a partition are and spread evenly; then record new ones."""
        middle = (self.rows - orders) // 2
        neighbours = [f"{number:010}" for number in range(middle + 1, middle + orders + 1)]
        step = self.rows // orders
        spread = [f"{number:010}" for number in range(step, self.rows + 1, step)][:orders]
        looked_up, looked_up_spread = self._look_up(neighbours), self._look_up(spread)
        recorded = self._record(orders)
        with self.engine.connect() as connection:
            size = connection.scalar(sa.text("SELECT pg_total_relation_size('rees46_accepted_statuses')")) or 0
        self.rows += orders
        return Speed(self.rows, looked_up, looked_up_spread, recorded, size / 2**20 / self.rows * 1e6)

    def _look_up(self, ids: list[str]) -> float:
        """Return the orders per second of the median of three times."""
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            found = self.ledger.lookup(SHOP, ids)
            seconds.append(time.perf_counter() - began)
            if len(found) != len(ids):
                raise RuntimeError(f"{len(found)} of {len(ids)} orders were found")
        return len(ids) / statistics.median(seconds)

    def _record(self, orders: int) -> float:
        """Record batches as the load does, one transaction each; return the orders per second."""
        # Of the size of the rows that are there: shorter ones would fill the gaps of old pages, one page each.
        run = RunRef(
            SHOP, "order_status_sync_bench", "scheduled__2025-07-01T00:00:00+00:00", "20250701T000000-00000000"
        )
        now = pd.Timestamp(datetime.now(UTC))
        batches = [
            pd.DataFrame(
                {
                    "order_id": [f"{self.rows + number:010}" for number in range(start + 1, start + BATCH + 1)],
                    "code": 1,
                    "updated_at": now,
                }
            )
            for start in range(0, orders, BATCH)
        ]
        began = time.perf_counter()
        for batch in batches:
            [request] = self.ledger.open_requests(run, [batch])
            self.ledger.record_answer(run, 0, Answer(request, 1))
        return orders / (time.perf_counter() - began)
