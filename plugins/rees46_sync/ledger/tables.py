"""
The tables of the ledger, as SQLAlchemy Core.

Rows are only added, and stay for as long as the shop keeps them, so the ledger is also the audit log: the latest row of
an order in ``rees46_accepted_statuses`` is what REES46 has. The exceptions: a run that is repeated replaces its record,
a request is in flight only until it has a result, an extraction stays for a week, an alert has one row.

* ``rees46_accepted_statuses``: an accepted order status per row.
* ``rees46_deliveries``: a batch that has a result per row, in one transaction with what was accepted of it.
* ``rees46_leases``: the number of a shop's latest load, which alone may send.
* ``rees46_in_flight_requests``: a request per row, from before it is sent until its result is recorded; so not even a
  killed task leaves an unknown behind.
* ``rees46_uncertain_orders``: orders of requests without a clear answer: REES46 may or may not have their status.
* ``rees46_extractions``: an extraction per row, so that it is known which one read later.
* ``rees46_confirmations``: an order per row that an extraction found in need of nothing: REES46 has its status. The
  newest version that was seen stays for as long as the order; older ones go when it is confirmed in a newer one.
* ``rees46_rejected_orders``: the quarantine.
* ``rees46_refused_orders``: an order per row of a batch that REES46 refused, until it is accepted.
* ``rees46_approvals``: a request for approval, or a decision about one, per row.
* ``rees46_sync_runs``: a run per row: window, every count of the closed sum, outcome, times.
* ``rees46_covered_windows``: a span per row that removed runs had delivered, see ``retention.py``.
* ``rees46_alerts``: an alert of a shop per row: whether it fires, and since when.
* ``rees46_alert_messages``: the outbox: a transition of an alert, and a channel that it is sent to, per row.
* ``rees46_retention``: a shop whose old rows are removed per row, see ``retention.py``.
* ``rees46_schema_versions``: a version of these tables that the database has had per row, see ``migrations.py``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

MYSQL = ("mysql", "mariadb")
"""SQLAlchemy's names for MySQL and MariaDB; which one depends on the address."""


class UtcDateTime(sa.TypeDecorator[datetime]):
    """An aware UTC timestamp to the microsecond, also in databases that drop the time zone (SQLite, MySQL)."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Have MySQL store microseconds; its default is whole seconds."""
        return dialect.type_descriptor(mysql.DATETIME(fsp=6) if dialect.name in MYSQL else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Convert an aware timestamp to UTC; a naive one is a defect, and its zone must not be guessed."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a timestamp without a time zone for the ledger: {value}")
        # A driver may write the zone out, and MySQL then turns the time into that of the session.
        return value.astimezone(UTC).replace(tzinfo=None if dialect.name in MYSQL else UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Add the time zone that the database dropped."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def exact_collation(dialect: sa.Dialect) -> str:
    """Return the collation with which a MySQL or MariaDB compares texts exactly, trailing spaces included."""
    return "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_0900_bin"


class Exact(sa.TypeDecorator[str]):
    """
    Text that is equal only to itself; by default MySQL takes 'a', 'A' and 'a ' to be equal.

    :param length: the largest number of characters; None is no limit (MySQL's TEXT ends at 64 KB).
    """

    impl = sa.String
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Set charset and collation in MySQL, whatever the database's defaults are."""
        length = cast(sa.String, self.impl_instance).length
        # Not through dialect.type_descriptor, which makes PostgreSQL's TEXT a VARCHAR.
        if dialect.name not in MYSQL:
            return sa.String(length) if length else sa.Text()
        exact = {"charset": "utf8mb4", "collation": exact_collation(dialect)}
        return mysql.VARCHAR(length, **exact) if length else mysql.LONGTEXT(**exact)


BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
metadata = sa.MetaData()

accepted_statuses = sa.Table(
    "rees46_accepted_statuses",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("order_id", Exact(255), nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False, comment="0 created, 1 completed, 2 cancelled"),
    sa.Column("source_updated_at", UtcDateTime, nullable=False),
    sa.Column("dag_id", Exact(250), nullable=False),
    sa.Column("run_id", Exact(250), nullable=False),
    sa.Column("extraction_id", Exact(40), nullable=False, comment="the extraction that it came from"),
    sa.Column("accepted_at", UtcDateTime, nullable=False, comment="when the answer was recorded"),
    sa.Column("sent_at", UtcDateTime, comment="when its request went out; null: by an earlier version"),
    sa.Index("rees46_accepted_statuses_order", "shop", "order_id", "id"),
)

deliveries = sa.Table(
    "rees46_deliveries",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("extraction_id", Exact(40), nullable=False),
    sa.Column("dag_id", Exact(250), nullable=False),
    sa.Column("run_id", Exact(250), nullable=False),
    sa.Column("partition", sa.Integer, nullable=False),
    sa.Column("orders", sa.Integer, nullable=False),
    sa.Column("requests", sa.Integer, nullable=False, comment="POSTs that were made for this batch"),
    sa.Column("outcome", Exact(20), nullable=False, comment="accepted, rejected or unknown"),
    sa.Column("http_status", sa.SmallInteger, comment="of the last response; null: there was none"),
    sa.Column("milliseconds", sa.Integer, comment="from its turn to the last response, waits included"),
    sa.Column("answered_at", UtcDateTime, nullable=False),
    sa.Index("rees46_deliveries_extraction", "extraction_id"),
    sa.Index("rees46_deliveries_shop", "shop", "id"),
    sqlite_autoincrement=True,
)

leases = sa.Table(
    "rees46_leases",
    metadata,
    sa.Column("shop", Exact(100), primary_key=True),
    sa.Column("lease", BIG_ID, nullable=False, comment="of the load that started last"),
)

in_flight_requests = sa.Table(
    "rees46_in_flight_requests",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("extraction_id", Exact(40), nullable=False),
    sa.Column("lease", BIG_ID, nullable=False, comment="of the load that sends it"),
    sa.Column("orders", Exact, nullable=False, comment="JSON: of each order its id, status and source_updated_at"),
    sa.Index("rees46_in_flight_requests_shop", "shop"),
    sqlite_autoincrement=True,
)
# PostgreSQL would compress rows that are removed within a second, a tenth of its work for a batch.
_PLAIN = sa.DDL("ALTER TABLE %(table)s ALTER COLUMN orders SET STORAGE EXTERNAL")  # type: ignore[no-untyped-call]
sa.event.listen(in_flight_requests, "after_create", _PLAIN.execute_if(dialect="postgresql"))

uncertain_orders = sa.Table(
    "rees46_uncertain_orders",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("order_id", Exact(255), nullable=False),
    sa.Column("status", sa.SmallInteger, comment="null: an earlier version did not record it"),
    sa.Column("source_updated_at", UtcDateTime, nullable=False),
    sa.Column("extraction_id", Exact(40), nullable=False, comment="the extraction that it came from"),
    sa.Column("sent_at", UtcDateTime, nullable=False, comment="until when its request may have gone out"),
    sa.Index("rees46_uncertain_orders_order", "shop", "order_id"),
    sa.Index("rees46_uncertain_orders_shop", "shop", "id"),
)

extractions = sa.Table(
    "rees46_extractions",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("extraction_id", Exact(40), nullable=False, unique=True),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("window_start", UtcDateTime, nullable=False),
    sa.Column("window_end", UtcDateTime, comment="null: an earlier version did not record it"),
    sa.Column("read_mark", BIG_ID, comment="the latest extraction when it had read all; null: it reads, or failed"),
    sa.Column("is_open", sa.Boolean, nullable=False, comment="something of it may still be sent"),
    sa.Column("latest_confirmation_id", BIG_ID, nullable=False, comment="its latest confirmation; 0: none"),
    sa.Index("rees46_extractions_shop", "shop", "id"),
    sqlite_autoincrement=True,
)

confirmations = sa.Table(
    "rees46_confirmations",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("order_id", Exact(255), nullable=False),
    sa.Column("source_updated_at", UtcDateTime, nullable=False, comment="of the confirmed version"),
    sa.Column("extraction_id", Exact(40), nullable=False, comment="the extraction that confirmed it"),
    sa.Index("rees46_confirmations_order", "shop", "order_id"),
    sqlite_autoincrement=True,
)

rejected_orders = sa.Table(
    "rees46_rejected_orders",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("run_id", Exact(250), nullable=False, comment="the first run that read this row"),
    sa.Column("order_id", Exact),
    sa.Column("status", Exact),
    sa.Column("updated_at", Exact, comment="as the warehouse returned it"),
    sa.Column("reason", Exact(250), nullable=False, comment="the codes of all checks it failed"),
    sa.Column("rejected_at", UtcDateTime, nullable=False),
    sa.Column("fingerprint", Exact(64), nullable=False, unique=True),
    sa.Index("rees46_rejected_orders_shop", "shop", "id"),
)

refused_orders = sa.Table(
    "rees46_refused_orders",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("order_id", Exact(255), nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("batch_size", sa.Integer, nullable=False, comment="of the refused batch; 1: it is refused alone"),
    sa.Column("reason", Exact(250), nullable=False, comment="REES46's words"),
    sa.Column("refused_at", UtcDateTime, nullable=False),
    sa.Index("rees46_refused_orders_order", "shop", "order_id"),
)

approvals = sa.Table(
    "rees46_approvals",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("dag_id", Exact(250), nullable=False),
    sa.Column("run_id", Exact(250), nullable=False),
    sa.Column("extraction_id", Exact(40), nullable=False, comment="the extraction that it is about"),
    sa.Column("outcome", Exact(20), nullable=False, comment="asked, approved, rejected or expired"),
    sa.Column("exceeded_text", Exact, nullable=False, comment="the exceeded limits, with the numbers"),
    sa.Column("decided_by", Exact(250), comment="null: not decided by a person"),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.Index("rees46_approvals_run", "dag_id", "run_id", "id"),
)

sync_runs = sa.Table(
    "rees46_sync_runs",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("dag_id", Exact(250), nullable=False),
    sa.Column("run_id", Exact(250), nullable=False),
    sa.Column("window_start", UtcDateTime, comment="null: a run by hand named one that does not exist"),
    sa.Column("window_end", UtcDateTime),
    sa.Column("window_widened", sa.Boolean, nullable=False, comment="it continues the last successful run"),
    sa.Column("read", sa.BigInteger, nullable=False),
    sa.Column("sent", sa.BigInteger, nullable=False),
    sa.Column("unchanged", sa.BigInteger, nullable=False),
    sa.Column("superseded", sa.BigInteger, nullable=False),
    sa.Column("stale", sa.BigInteger, nullable=False),
    sa.Column("reopened", sa.BigInteger, nullable=False),
    sa.Column("rejected", sa.BigInteger, nullable=False),
    sa.Column("held", sa.BigInteger, nullable=False, comment="more than 0: the run has not delivered its window"),
    sa.Column("failed", sa.BigInteger, nullable=False),
    sa.Column("requests", sa.BigInteger, nullable=False),
    sa.Column("resent", sa.BigInteger, comment="sent again although unchanged; null: no resend by resend_every"),
    sa.Column("outcome", Exact(20), nullable=False, comment="success or failed"),
    sa.Column("cause", sa.Text, comment="of a failed run: what did not finish, and why"),
    sa.Column("remedy", sa.Text, comment="of a failed run: what a person does about it"),
    sa.Column("examples", sa.Text, comment="JSON: a few order ids of each part of the sum"),
    sa.Column("newest_updated_at", UtcDateTime, comment="of the rows that it read, not in the future"),
    sa.Column("data_until", UtcDateTime, comment="up to when the data shows to be loaded; null: by an earlier version"),
    sa.Column("data_late", sa.Boolean, comment="that is earlier than usual for this shop"),
    sa.Column("whole_days", sa.Boolean, comment="the times of the rows are days"),
    sa.Column("mapping_hash", Exact(64), comment="of the shop file's statuses"),
    sa.Column("mapping", sa.Text, comment="JSON: REES46's code of each of the shop's statuses"),
    sa.Column("started_at", UtcDateTime, nullable=False, comment="when it started to read the warehouse"),
    sa.Column("finished_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("dag_id", "run_id"),
    sa.Index("rees46_sync_runs_shop", "shop", "outcome", "window_end"),
)

covered_windows = sa.Table(
    "rees46_covered_windows",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("window_start", UtcDateTime, nullable=False),
    sa.Column("read_until", UtcDateTime, nullable=False),
    sa.Index("rees46_covered_windows_shop", "shop", "window_start"),
)

alerts = sa.Table(
    "rees46_alerts",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("alert", Exact(40), nullable=False),
    sa.Column("firing", sa.Boolean, nullable=False),
    sa.Column("since", UtcDateTime, nullable=False, comment="when that began"),
    sa.Column("as_of", UtcDateTime, nullable=False, comment="the moment it was evaluated for: a later one wins"),
    sa.Column("first_seen", UtcDateTime, nullable=False),
    sa.Column("summary", Exact, nullable=False, comment="the latest evaluation, in a sentence"),
    sa.Column("remedy", sa.Text, comment="what a person does about it while it fires"),
    sa.Column("cause", Exact(64), comment="identifies the cause: a message is sent when it changes"),
    sa.UniqueConstraint("shop", "alert"),
)

alert_messages = sa.Table(
    "rees46_alert_messages",
    metadata,
    sa.Column("id", BIG_ID, primary_key=True),
    sa.Column("shop", Exact(100), nullable=False),
    sa.Column("alert", Exact(40), nullable=False),
    sa.Column("channel", Exact(40), nullable=False, comment="kind and fingerprint of a channel of the shop file"),
    sa.Column("message", Exact, nullable=False, comment="JSON"),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Column("claimed_at", UtcDateTime, comment="a process is sending it since then"),
    sa.Column("sent_at", UtcDateTime),
    sa.Index("rees46_alert_messages_shop", "shop", "sent_at"),
    sqlite_autoincrement=True,
)

retention = sa.Table(
    "rees46_retention",
    metadata,
    sa.Column("shop", Exact(100), primary_key=True),
    sa.Column("checked_up_to_id", BIG_ID, nullable=False, comment="the latest accepted row that was checked"),
)

schema_versions = sa.Table(
    "rees46_schema_versions",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("since", UtcDateTime, nullable=False),
)
