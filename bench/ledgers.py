"""The speed of the ledger on PostgreSQL as it grows, in orders looked up and recorded per second, and its size."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import pandas as pd
import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.dialects import CONNECT_TIMEOUT_S, STATEMENT_TIMEOUT_S, prepare
from rees46_sync.ledger.lookup import look_up
from rees46_sync.ledger.requests import RequestResult, Requests, request_orders
from rees46_sync.ledger.runs import RunRef

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
    The speed of a ledger with ``rows`` rows.

    :param looked_up_per_s: orders with adjacent ids, as in a partition.
    :param looked_up_spread_per_s: orders from all over the ledger.
    :param bytes_per_order: on disk, with indexes.
    """

    rows: int
    looked_up_per_s: float
    looked_up_spread_per_s: float
    recorded_per_s: float
    bytes_per_order: float


def create_tables(uri: str) -> sa.Engine:
    """Create the tables of a ledger, as the first task of a run does; return its engine."""
    # The driver that Airflow's PostgresHook uses.
    engine = sa.create_engine(uri.replace("postgresql://", "postgresql+psycopg://"))
    prepare(engine, CONNECT_TIMEOUT_S, STATEMENT_TIMEOUT_S)
    Ledger(engine).migrate()
    engine.dispose()
    return engine


class GrowingLedger:
    """A ledger that the database itself fills, and that our own code reads and writes."""

    def __init__(self, uri: str) -> None:
        self.engine = create_tables(uri)
        self.ledger = Ledger(self.engine)
        self.rows = 0

    def grow(self, rows: int) -> None:
        """Add accepted orders until there are ``rows`` of them."""
        with self.engine.begin() as connection:
            connection.execute(sa.text(_GROW.format(first=self.rows + 1, last=rows)))
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE rees46_accepted_statuses"))
        self.rows = rows

    def measure(self, orders: int) -> Speed:
        """Look up orders, once with adjacent ids as in a partition, once spread evenly; record as many new ones."""
        middle = (self.rows - orders) // 2
        neighbours = [f"{number:010}" for number in range(middle + 1, middle + orders + 1)]
        step = self.rows // orders
        spread = [f"{number:010}" for number in range(step, self.rows + 1, step)][:orders]
        looked_up, looked_up_spread = self._look_up(neighbours), self._look_up(spread)
        recorded = self._record(orders)
        with self.engine.connect() as connection:
            size = connection.scalar(sa.text("SELECT pg_total_relation_size('rees46_accepted_statuses')")) or 0
        self.rows += orders
        return Speed(self.rows, looked_up, looked_up_spread, recorded, size / self.rows)

    def _look_up(self, ids: list[str]) -> float:
        """Return the orders per second, the median of three measurements."""
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            found = look_up(self.ledger, SHOP, ids)
            seconds.append(time.perf_counter() - began)
            if len(found) != len(ids):
                raise RuntimeError(f"{len(found)} of {len(ids)} orders were found")
        return len(ids) / statistics.median(seconds)

    def _record(self, orders: int) -> float:
        """Record batches as a load does, one transaction each; return the orders per second."""
        # As long as the existing rows: shorter ones would fill gaps of old pages, one page each.
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
        requests = Requests(self.ledger)
        lease = requests.take_lease(SHOP)
        began = time.perf_counter()
        for batch in batches:
            [request] = requests.record_requests(run, lease, request_orders(batch))
            requests.record_result(run, 0, RequestResult(request, 1, now.to_pydatetime()))
        return orders / (time.perf_counter() - began)
