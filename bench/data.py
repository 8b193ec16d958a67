"""
The orders of the benchmark, in a warehouse that all contestants read: an embedded PostgreSQL.

PostgreSQL itself generates the rows, always the same ones: unordered ids of two shapes, six statuses, a time in the
year before :data:`UNTIL`. There is one database for each size, with one row for each order in the table ``orders``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from tests.e2e.airflow_stack import embedded_postgres, postgres_connection, postgres_uri

SINCE = datetime(2025, 1, 1, tzinfo=UTC)
UNTIL = datetime(2026, 1, 1, tzinfo=UTC)
"""Every order's time is at or after SINCE and before UNTIL."""

STATUSES = {"created": ["new", "paid", "shipped"], "completed": ["delivered"], "cancelled": ["cancelled", "refunded"]}

# 10,000,019 is prime, so the product gives each order a unique number below it, in no order.
_ORDERS = """
CREATE TABLE orders AS
SELECT CASE WHEN n % 3 = 0 THEN 'msk-' ELSE '10' END || lpad((n * 7654321 % 10000019)::text, 8, '0') AS order_id,
       (ARRAY['new', 'paid', 'paid', 'shipped', 'shipped', 'delivered', 'delivered', 'delivered', 'cancelled',
              'refunded'])[1 + n * 31 % 97 % 10] AS status,
       TIMESTAMPTZ '2025-01-01 00:00:00+00' + INTERVAL '1 second' * (n * 48271 % 31535999) AS updated_at
FROM generate_series(1::bigint, {orders}) AS n
"""
_DIGEST = """
SELECT md5(string_agg(order_id || CASE status WHEN 'delivered' THEN 1 WHEN 'cancelled' THEN 2 WHEN 'refunded' THEN 2
                                  ELSE 0 END, ',' ORDER BY order_id COLLATE "C"))
FROM orders
"""


@dataclass(frozen=True)
class Orders:
    """
    A database with ``count`` orders.

    :param uri: for SQLAlchemy, pandas and libpq.
    :param connection: the same for ``AIRFLOW_CONN_…``.
    """

    count: int
    uri: str
    connection: str

    def digest(self) -> str:
        """Return the md5 of what a receiver must hold in the end: ids and REES46 statuses, sorted by id."""
        with self._transaction() as transaction:
            return str(transaction.scalar(sa.text(_DIGEST)))

    def change_all(self, updated_at: str = "TIMESTAMPTZ '2025-12-31 23:30:00+00'") -> datetime:
        """
        Change every order's status to one with another REES46 status; return when this was done.

        :param updated_at: its time, in SQL; by default in the last hour before UNTIL.
        """
        change = f"""
            UPDATE orders SET updated_at = {updated_at},
                              status = CASE status WHEN 'delivered' THEN 'cancelled' ELSE 'delivered' END
        """
        with self._transaction() as transaction:
            transaction.execute(sa.text(change))
        return datetime.now(UTC)

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        engine = sa.create_engine(self.uri)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()


class Databases:
    """The embedded PostgreSQL: the warehouses, and our ledgers."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def create(self, name: str) -> str:
        """Create an empty database; return its URI."""
        admin = sa.create_engine(postgres_uri(self.home, "postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(sa.text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
            connection.execute(sa.text(f'CREATE DATABASE "{name}"'))
        admin.dispose()
        return self.uri(name)

    def uri(self, name: str) -> str:
        """Return a database's URI."""
        # Without the name of a driver, which only SQLAlchemy accepts.
        return postgres_uri(self.home, name).replace("+psycopg2", "")

    def connection(self, name: str) -> str:
        """Return the URI of an Airflow connection to a database."""
        return postgres_connection(self.home, name)

    def orders(self, count: int, name: str = "") -> Orders:
        """Create a database with ``count`` orders."""
        name = name or f"orders_{count}"
        uri = self.create(name)
        engine = sa.create_engine(uri)
        with engine.begin() as connection:
            connection.execute(sa.text(_ORDERS.format(orders=count)))
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(sa.text("VACUUM ANALYZE orders"))
        engine.dispose()
        return Orders(count, uri, self.connection(name))


@contextmanager
def running_postgres() -> Iterator[Databases]:
    """Run PostgreSQL on a Unix socket in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="rees46-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        # If root starts it, PostgreSQL runs as another user, who must be able to enter the folder.
        home.chmod(0o755)
        with embedded_postgres(home):
            yield Databases(home)
