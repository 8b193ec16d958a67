"""
The tables of the ledger, as SQLAlchemy Core.

Rows are only ever added, and stay as long as the shop keeps them (the record of a run that is run again replaces its
earlier one, a request is open only until it is answered, a reading until its run ends, and an alert has one row), so
the ledger is the audit log as well: the latest ``rees46_accepted_statuses`` row of an order is what REES46 has.

* ``rees46_accepted_statuses``: one row an accepted order status.
* ``rees46_deliveries``: one row a batch that was answered or given up, in one transaction with what it accepted.
* ``rees46_open_requests``: one row a request that is under way, or whose answer nobody heard: written before it goes
  out and removed in one transaction with what was answered, so that not even a killed task leaves an unknown behind.
* ``rees46_unanswered_orders``: orders of batches without a clear answer: until one of them is accepted again, nobody
  knows what REES46 has of it.
* ``rees46_open_readings``: one row a reading of the warehouse of which something may still be sent.
* ``rees46_overtaken_orders``: one row an order that a reading found in the status that REES46 has, in a newer version,
  while others were open: what they read of it before may be older. It goes when no reading is open that it is news to.
* ``rees46_rejected_orders``: the quarantine.
* ``rees46_approvals``: one row a request for approval, and one a decision about it.
* ``rees46_sync_runs``: one row a run: window, every count of the closed sum, outcome, times.
* ``rees46_alerts``: one row an alert of a shop: whether it fires, and since when.
* ``rees46_alert_messages``: one row a change of an alert and place that is to be told of it.
* ``rees46_retention``: one row a shop whose old rows are removed, see ``retention.py``: up to where that has come.
* ``rees46_schema_versions``: one row a version of these tables that the database has had, see ``ledger_schema.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

MYSQL = ("mysql", "mariadb")
"""What SQLAlchemy calls MySQL and MariaDB, by the address that it was given."""


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware UTC timestamp to the microsecond, also in databases that drop the time zone (SQLite, MySQL)."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """MySQL keeps whole seconds unless it is told otherwise."""
        return dialect.type_descriptor(mysql.DATETIME(fsp=6) if dialect.name in MYSQL else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Turn an aware timestamp into UTC; a naive one is a defect, not to be guessed at."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a timestamp without a time zone for the ledger: {value}")
        # A driver may write the zone out, and MySQL then turns the time into that of the session.
        return value.astimezone(UTC).replace(tzinfo=None if dialect.name in MYSQL else UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Give naive timestamps their zone back."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def collation_of(dialect: sa.Dialect) -> str:
    """Return how a connected MySQL or MariaDB compares texts exactly, with the spaces at their end."""
    return "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


class Exact(sa.TypeDecorator[str]):
    """
    Text of any characters that is equal only to itself; MySQL by itself takes 'a', 'A' and 'a ' for one.

    :param length: the most characters; None is no limit (MySQL's TEXT ends at 64 KB).
    """

    impl = sa.String
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Name charset and collation in MySQL, whatever the database's own are."""
        length = cast(sa.String, self.impl_instance).length
        # Not through dialect.type_descriptor, which makes PostgreSQL's TEXT a VARCHAR.
        if dialect.name not in MYSQL:
            return sa.String(length) if length else sa.Text()
        exact = {"charset": "utf8mb4", "collation": collation_of(dialect)}
        return mysql.VARCHAR(length, **exact) if length else mysql.LONGTEXT(**exact)


_Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
metadata = sa.MetaData()

accepted_statuses = sa.Table(
    "rees46_accepted_statuses",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("order_id", Exact(255), nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False, comment="0 created, 1 completed, 2 cancelled"),
    sa.Column("source_updated_at", UtcDateTime, nullable=False),
    sa.Column("dag_id", Exact(250), nullable=False),
    sa.Column("run_id", Exact(250), nullable=False),
    sa.Column("extraction_id", Exact(40), nullable=False, comment="which reading of the warehouse it came from"),
    sa.Column("accepted_at", UtcDateTime, nullable=False),
    sa.Index("rees46_accepted_statuses_order", "shop", "order_id", "id"),
)

deliveries = sa.Table(
    "rees46_deliveries",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("extraction_id", Exact(40), nullable=False),
    sa.Column("dag_id", Exact(250), nullable=False),
    sa.Column("run_id", Exact(250), nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("orders", sa.Integer, nullable=False),
    sa.Column("requests", sa.Integer, nullable=False, comment="POSTs that were made for this batch"),
    sa.Column("outcome", Exact(20), nullable=False, comment="accepted, rejected or unknown"),
    sa.Column("answered_at", UtcDateTime, nullable=False),
    sa.Index("rees46_deliveries_extraction", "extraction_id"),
    sa.Index("rees46_deliveries_shop", "shop", "id"),
    sqlite_autoincrement=True,
)

open_requests = sa.Table(
    "rees46_open_requests",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("orders", Exact, nullable=False, comment="JSON: of each order its id, status and source_updated_at"),
    sa.Index("rees46_open_requests_shop", "shop"),
    sqlite_autoincrement=True,
)
# PostgreSQL would compress what is removed within a second, a tenth of its work for a batch. A ledger without it works
# as well.
_PLAIN = sa.DDL("ALTER TABLE %(table)s ALTER COLUMN orders SET STORAGE EXTERNAL")  # type: ignore[no-untyped-call]
sa.event.listen(open_requests, "after_create", _PLAIN.execute_if(dialect="postgresql"))

unanswered_orders = sa.Table(
    "rees46_unanswered_orders",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("order_id", Exact(255), nullable=False),
    sa.Column("source_updated_at", UtcDateTime, nullable=False),
    sa.Column("after_id", _Id, nullable=False, comment="the latest accepted row when the answer was missed"),
    sa.Index("rees46_unanswered_orders_order", "shop", "order_id", "after_id"),
)

open_readings = sa.Table(
    "rees46_open_readings",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("extraction_id", Exact(40), nullable=False, unique=True),
    sa.Column("began_at", UtcDateTime, nullable=False),
    sa.Column("window_start", UtcDateTime, nullable=False),
    sa.Column("after_id", _Id, nullable=False, comment="the latest row of rees46_overtaken_orders when it began"),
    sa.Index("rees46_open_readings_shop", "shop"),
)

overtaken_orders = sa.Table(
    "rees46_overtaken_orders",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("order_id", Exact(255), nullable=False),
    sa.Column("source_updated_at", UtcDateTime, nullable=False, comment="of the version that was found unchanged"),
    sa.Column("extraction_id", Exact(40), nullable=False, comment="the reading that found it"),
    sa.Index("rees46_overtaken_orders_order", "shop", "order_id"),
    sa.Index("rees46_overtaken_orders_shop", "shop", "id"),
    sqlite_autoincrement=True,
)

rejected_orders = sa.Table(
    "rees46_rejected_orders",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("run_id", Exact(250), nullable=False, comment="the run that met this row first"),
    sa.Column("order_id", Exact),
    sa.Column("status", Exact),
    sa.Column("updated_at", Exact, comment="as the warehouse gave it"),
    sa.Column("reason", Exact(250), nullable=False, comment="the codes of all checks it failed"),
    sa.Column("rejected_at", UtcDateTime, nullable=False),
    sa.Column("fingerprint", Exact(64), nullable=False, unique=True),
    sa.Index("rees46_rejected_orders_shop", "shop", "id"),
)

approvals = sa.Table(
    "rees46_approvals",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("dag_id", Exact(250), nullable=False),
    sa.Column("run_id", Exact(250), nullable=False),
    sa.Column("extraction_id", Exact(40), nullable=False, comment="which reading of the warehouse it is about"),
    sa.Column("outcome", Exact(20), nullable=False, comment="asked, approved, rejected or expired"),
    sa.Column("question", Exact, nullable=False, comment="the figures and the limits that they reach"),
    sa.Column("decided_by", Exact(250), comment="null: asked, or nobody"),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Index("rees46_approvals_run", "dag_id", "run_id", "id"),
)

sync_runs = sa.Table(
    "rees46_sync_runs",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("dag_id", Exact(250), nullable=False),
    sa.Column("run_id", Exact(250), nullable=False),
    sa.Column("window_start", UtcDateTime, comment="null: a run by hand named one that does not exist"),
    sa.Column("window_end", UtcDateTime),
    sa.Column("window_widened", sa.Boolean, nullable=False, comment="began where the last successful run ended"),
    sa.Column("read", sa.BigInteger, nullable=False),
    sa.Column("sent", sa.BigInteger, nullable=False),
    sa.Column("unchanged", sa.BigInteger, nullable=False),
    sa.Column("superseded", sa.BigInteger, nullable=False),
    sa.Column("stale", sa.BigInteger, nullable=False),
    sa.Column("reopened", sa.BigInteger, nullable=False),
    sa.Column("rejected", sa.BigInteger, nullable=False),
    sa.Column("failed", sa.BigInteger, nullable=False),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("outcome", Exact(20), nullable=False, comment="success or failed"),
    sa.Column("started_at", UtcDateTime, nullable=False, comment="when it began to read the warehouse"),
    sa.Column("finished_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("dag_id", "run_id"),
    sa.Index("rees46_sync_runs_shop", "shop", "outcome", "window_end"),
)

alerts = sa.Table(
    "rees46_alerts",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("alert", Exact(40), nullable=False),
    sa.Column("firing", sa.Boolean, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False, comment="when that began"),
    sa.Column("about", UtcDateTime, nullable=False, comment="what it was judged by: a later finding wins"),
    sa.Column("first_seen", UtcDateTime, nullable=False),
    sa.Column("summary", Exact, nullable=False, comment="what was found last, in a sentence"),
    sa.UniqueConstraint("shop", "alert"),
)

alert_messages = sa.Table(
    "rees46_alert_messages",
    metadata,
    sa.Column("id", _Id, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("alert", Exact(40), nullable=False),
    sa.Column("channel", Exact(40), nullable=False, comment="kind and fingerprint of a place of the shop file"),
    sa.Column("message", Exact, nullable=False, comment="JSON"),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Column("claimed_at", UtcDateTime, comment="somebody is sending it since then"),
    sa.Column("told_at", UtcDateTime),
    sa.Index("rees46_alert_messages_shop", "shop", "told_at"),
    sqlite_autoincrement=True,
)

retention = sa.Table(
    "rees46_retention",
    metadata,
    sa.Column("shop", Exact(100), primary_key=True),
    sa.Column("looked_at_id", _Id, nullable=False, comment="the latest accepted row that was looked at"),
)

schema_versions = sa.Table(
    "rees46_schema_versions",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("since", UtcDateTime, nullable=False),
)
