"""
The ledger: what REES46 has accepted and the record of every run, in the database of an Airflow connection.

Its tables are in ``ledger_tables.py``, their version in ``ledger_schema.py``, where databases differ in
``ledger_dialects.py``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from more_itertools import chunked
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random

from rees46_sync.exceptions import ConnectionFieldsError, LedgerError
from rees46_sync.ledger.dialects import (
    CONNECT_TIMEOUT_S,
    DIALECTS,
    STATEMENT_TIMEOUT_S,
    as_json,
    dialect_of,
    is_deadlock,
    limit,
    prepare,
)
from rees46_sync.ledger.lookup import look_up, overtakes
from rees46_sync.ledger.migrations import bring_up_to_date, place_of, refuse_newer
from rees46_sync.ledger.tables import (
    UtcDateTime,
    accepted_statuses,
    approvals,
    deliveries,
    open_requests,
    overtaken_orders,
    rejected_orders,
    sync_runs,
    unanswered_orders,
)

QUARANTINE_CHUNK = 1000
"""Rejected rows in one statement: far below the parameter limits of SQLite (32,766) and PostgreSQL (65,535)."""

QUARANTINE_CHARACTERS = 1000
"""What is stored of a value in the quarantine: enough to find the row again."""


# Where two tasks look and then insert the same at once, the slower one is refused: it looks again. Where they wait for
# each other, one is ended. What either did in its transaction is undone.
again_after_a_race = retry(
    retry=retry_if_exception(lambda e: isinstance(e, sa.exc.IntegrityError) or is_deadlock(e.__cause__)),
    stop=stop_after_attempt(8),
    wait=wait_random(0, 0.3),
    reraise=True,
)


@dataclass(frozen=True)
class RunRef:
    """Which reading of the warehouse, of which Airflow run, a ledger row comes from."""

    shop: str
    dag_id: str
    run_id: str
    extraction_id: str


@dataclass(frozen=True)
class OpenRequest:
    """
    A batch on its way to REES46.

    :param number: of its row in ``rees46_open_requests``.
    :param orders: JSON, of each order its id, status and time.
    """

    number: int
    count: int
    orders: str


ACCEPTED = "accepted"


@dataclass(frozen=True)
class Answer:
    """
    What came of a request.

    :param request: what :meth:`Ledger.open_requests` returned for it.
    :param requests: POSTs that it took.
    :param outcome: :data:`ACCEPTED`, "rejected", or "unknown" where there was no clear answer.
    :param may_have_arrived: it was not accepted, and a POST of it may have reached REES46: it stays open.
    """

    request: OpenRequest
    requests: int
    outcome: str = ACCEPTED
    may_have_arrived: bool = False


@dataclass(frozen=True)
class News:
    """
    What other readings have found out; as long as it stays the same, what was looked up before still holds.

    :param latest_batch: the number of the shop's latest batch that came from another reading; 0 if there is none.
    :param overtaken: how many orders of this reading another one has overtaken.
    :param latest_unanswered: the number of the latest order, of whichever shop, that was left without an answer; 0 if
        there is none. (Of the shop alone it would take an index of its own.)
    """

    latest_batch: int
    overtaken: int
    latest_unanswered: int


@dataclass(frozen=True)
class Approval:
    """
    A request for approval, or what became of it.

    :param extraction_id: the reading of the warehouse that it is about.
    :param outcome: asked, approved, rejected, or expired where nobody answered in time.
    :param question: the figures, and the limits that they reach.
    :param decided_by: who approved or rejected; None otherwise.
    """

    extraction_id: str
    outcome: str
    question: str
    decided_by: str | None
    recorded_at: datetime

    def __str__(self) -> str:
        who = {"asked": "waiting for an answer", "expired": "nobody answered in time"}.get(
            self.outcome, f"{self.outcome} by {self.decided_by}"
        )
        return f"{self.question}: {who}, {self.recorded_at:%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True)
class RejectedRow:
    """A row for the quarantine, as the warehouse gave it (what is stored of it is made printable).

    :param copy: 1 for the first of several equal rows of one run, 2 for the second, and so on; only rows without an id
        can be equal.
    """

    order_id: str | None
    status: str | None
    updated_at: str | None
    reason: str
    copy: int = 1

    def fingerprint(self, shop: str) -> str:
        """Return the same text for the same broken row of the same shop, in whichever run it is met."""
        return hashlib.sha256(json.dumps([shop, *asdict(self).values()]).encode()).hexdigest()


def _as_request(orders: pd.DataFrame) -> str:
    """Return the text of ``rees46_open_requests.orders``."""
    if orders["updated_at"].dt.tz is None:
        raise ValueError("timestamps without a time zone for the ledger")
    # UTC as SQLite stores it, and as every other database reads it.
    times = pa.array(orders["updated_at"]).cast(pa.timestamp("us")).cast(pa.string()).to_pylist()
    return as_json(list(zip(orders["order_id"].tolist(), orders["code"].tolist(), times, strict=True)))


def times_in_request(orders: str) -> dict[str, datetime]:
    """Return the orders of a row of ``rees46_open_requests``, each with its time."""
    noted = json.loads(orders)
    # Before the status was noted as well, it was an object of ids and times.
    pairs = noted.items() if isinstance(noted, dict) else ((order_id, time) for order_id, _status, time in noted)
    return {order_id: datetime.fromisoformat(time).replace(tzinfo=UTC) for order_id, time in pairs}


def printable(text: str | None, limit: int) -> str | None:
    """
    Return a text that every database, XCom and log takes: control characters escaped, cut at ``limit`` characters.

    PostgreSQL refuses NUL in texts and in JSON, so one broken row could otherwise stop a whole run.
    """
    if text is None:
        return None
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:limit])
    return shown if len(text) <= limit else f"{shown}…"


class Ledger:
    """
    The ledger of all shops that share one database.

    :param statement_timeout_s: how long the answer to a statement is waited for.
    """

    def __init__(self, engine: sa.Engine, statement_timeout_s: int = STATEMENT_TIMEOUT_S) -> None:
        self.engine = engine
        self.statement_timeout_s = statement_timeout_s
        self._version_is_known = False

    @classmethod
    def of_connection(
        cls,
        conn_id: str,
        connect_timeout_s: int = CONNECT_TIMEOUT_S,
        statement_timeout_s: int = STATEMENT_TIMEOUT_S,
    ) -> Ledger:
        """
        Open the ledger in the database of an Airflow connection; it connects to nothing yet.

        :raises ConnectionFieldsError: there is no such connection, or SQLAlchemy cannot speak to its database.
        """
        from rees46_sync.airflow_adapters.connections import get_database_hook

        hook = get_database_hook(conn_id)
        try:
            # hide_parameters keeps order ids out of SQLAlchemy's error messages, which Airflow logs.
            engine = hook.get_sqlalchemy_engine({"hide_parameters": True})
        except sa.exc.NoSuchModuleError as error:
            raise ConnectionFieldsError(
                conn_id, f"its type has no SQLAlchemy dialect ({error}); use SQLite, PostgreSQL, MySQL or MariaDB"
            ) from error
        if engine.dialect.name not in DIALECTS:
            raise ConnectionFieldsError(
                conn_id, f"a ledger in {engine.dialect.name} is not supported; use SQLite, PostgreSQL, MySQL or MariaDB"
            )
        prepare(engine, connect_timeout_s, statement_timeout_s)
        return cls(engine, statement_timeout_s)

    @again_after_a_race
    def create(self) -> None:
        """
        Create the tables, or bring those of an older version up to date; current ones cost a question.

        :raises LedgerSchemaError: they are newer than this version of the project knows, or may not be changed.
        """
        with self._own_errors():
            bring_up_to_date(self.engine, self.statement_timeout_s)
        self._version_is_known = True

    def mark(self) -> int:
        """Return the number of the latest accepted row: rows up to it were accepted before now, rows above it after."""
        with self.transaction() as connection:
            return connection.scalar(sa.select(sa.func.max(accepted_statuses.c.id))) or 0

    def lookup(self, shop: str, order_ids: Sequence[str], extraction_id: str = "") -> pd.DataFrame:
        """
        Return what REES46 has of these orders; orders that it never was sent are absent.

        :param extraction_id: the reading of the warehouse for which ``sent_here`` and ``overtaken_at`` are asked.
        :return: columns order_id; known_id, known_status and known_updated_at of the latest accepted row; sent_here,
            whether one of the order's accepted rows came from that reading; uncertain, whether a later request with
            the order was left without a clear answer; newest_updated_at, known_updated_at or that of such a request;
            overtaken_at, the time of the newest version in which another reading found the order in the status that
            REES46 has, after that reading had begun.
            Of an uncertain order of which nothing was accepted known_id is 0, known_status
            :data:`rees46_sync.ledger.lookup.NOTHING_ACCEPTED` and known_updated_at missing.
        """
        with self.transaction() as connection:
            return look_up(connection, shop, order_ids, extraction_id)

    def news(self, run: RunRef) -> News:
        """Return what other readings than this have found out."""
        with self.transaction() as connection:
            found = connection.execute(_NEWS, {"shop": run.shop, "extraction_id": run.extraction_id}).one()
        return News(found[0] or 0, found[1], found[2] or 0)

    @again_after_a_race
    def open_requests(self, run: RunRef, batches: Sequence[pd.DataFrame]) -> list[OpenRequest]:
        """
        Record that requests go out now; return them, for when they are answered.

        Whoever overtakes one of their orders from here on knows of it. What was noted before :meth:`news` says.

        :param batches: the orders of each, columns order_id, code (0, 1 or 2), updated_at.
        """
        texts = [_as_request(orders) for orders in batches]
        with self.transaction() as connection:
            added = [connection.execute(_OPEN, {"shop": run.shop, "orders": text}) for text in texts]
            numbers = [int(number) for row in added for number in row.inserted_primary_key or []]
        return [
            OpenRequest(number, len(orders), text) for number, orders, text in zip(numbers, batches, texts, strict=True)
        ]

    @again_after_a_race
    def withdraw_request(self, request: OpenRequest) -> None:
        """Forget a request that did not go out after all."""
        with self.transaction() as connection:
            connection.execute(_CLOSE, {"number": request.number})

    @again_after_a_race
    def note_unanswered(self, shop: str) -> None:
        """
        Take the shop's open requests for unanswered: until an order of theirs is accepted again, it is uncertain.

        One that is under way in another task is none the worse: what it records later is newer than this note.
        """
        with self.transaction() as connection:
            mark = connection.scalar(sa.select(sa.func.max(accepted_statuses.c.id))) or 0
            open_ = connection.execute(
                sa.select(open_requests.c.id, open_requests.c.orders).where(open_requests.c.shop == shop)
            ).all()
            for number, orders in open_:
                rows = [
                    {
                        "shop": shop,
                        "order_id": order_id,
                        "source_updated_at": updated_at,
                        "after_id": mark,
                    }
                    for order_id, updated_at in times_in_request(orders).items()
                ]
                connection.execute(sa.insert(unanswered_orders), rows)
                connection.execute(_CLOSE, {"number": number})

    @again_after_a_race
    def record_answer(self, run: RunRef, partition: int, answer: Answer) -> None:
        """Record what came of a request of a partition."""
        request, reading, now = answer.request, asdict(run), datetime.now(UTC)
        batch = {"partition": partition, "orders": request.count, "requests": answer.requests}
        with self.transaction() as connection:
            if answer.outcome == ACCEPTED:
                accepted = {**reading, "accepted_at": now, "orders": request.orders}
                connection.execute(dialect_of(connection).insert_accepted, accepted)
            if not answer.may_have_arrived:
                connection.execute(_CLOSE, {"number": request.number})
            connection.execute(_DELIVERED, {**reading, **batch, "outcome": answer.outcome, "answered_at": now})

    def delivered(self, extraction_id: str) -> dict[int, int]:
        """Return how many orders of each partition of a reading of the warehouse were accepted."""
        query = (
            sa.select(deliveries.c.partition, sa.func.sum(deliveries.c.orders))
            .where(deliveries.c.extraction_id == extraction_id, deliveries.c.outcome == ACCEPTED)
            .group_by(deliveries.c.partition)
        )
        with self.transaction() as connection:
            return {partition: int(orders) for partition, orders in connection.execute(query)}

    def requests_made(self, extraction_id: str) -> int:
        """Return how many POSTs with a known end were made for a reading of the warehouse."""
        query = sa.select(sa.func.sum(deliveries.c.requests)).where(deliveries.c.extraction_id == extraction_id)
        with self.transaction() as connection:
            return int(connection.scalar(query) or 0)

    def quarantine(self, shop: str, run_id: str, rows: Sequence[RejectedRow]) -> int:
        """
        Store rejected rows that are not stored yet.

        :return: how many were new.
        """
        new = 0
        for chunk in chunked(rows, QUARANTINE_CHUNK):
            by_fingerprint = {row.fingerprint(shop): row for row in chunk}
            new += self._store_rejected(shop, run_id, by_fingerprint)
        return new

    @again_after_a_race
    def _store_rejected(self, shop: str, run_id: str, rows: dict[str, RejectedRow]) -> int:
        column = rejected_orders.c.fingerprint
        now = datetime.now(UTC)
        with self.transaction() as connection:
            known = set(connection.scalars(sa.select(column).where(column.in_(list(rows)))))
            new = [
                {
                    "shop": shop,
                    "run_id": run_id,
                    "order_id": printable(row.order_id, QUARANTINE_CHARACTERS),
                    "status": printable(row.status, QUARANTINE_CHARACTERS),
                    "updated_at": printable(row.updated_at, QUARANTINE_CHARACTERS),
                    "reason": row.reason,
                    "rejected_at": now,
                    "fingerprint": fingerprint,
                }
                for fingerprint, row in rows.items()
                if fingerprint not in known
            ]
            if new:
                connection.execute(sa.insert(rejected_orders), new)
        return len(new)

    @again_after_a_race
    def record_approval(self, run: RunRef, outcome: str, question: str, decided_by: str | None = None) -> Approval:
        """Record that approval was asked for, or what became of it; return the record."""
        approval = Approval(run.extraction_id, outcome, question, decided_by, datetime.now(UTC))
        with self.transaction() as connection:
            connection.execute(
                sa.insert(approvals).values(shop=run.shop, dag_id=run.dag_id, run_id=run.run_id, **asdict(approval))
            )
        return approval

    def latest_approval(self, dag_id: str, run_id: str) -> Approval | None:
        """Return the latest request for approval of an Airflow run, or decision about it; None without any."""
        columns = approvals.c
        query = (
            sa.select(columns.extraction_id, columns.outcome, columns.question, columns.decided_by, columns.recorded_at)
            .where(columns.dag_id == dag_id, columns.run_id == run_id)
            .order_by(columns.id.desc())
            .limit(1)
        )
        with self.transaction() as connection:
            found = connection.execute(query).one_or_none()
        return Approval(*found) if found else None

    @again_after_a_race
    def save_run(self, **record: Any) -> None:
        """Store the record of a run (columns of ``rees46_sync_runs``); an earlier one of the same run is replaced."""
        same_run = (sync_runs.c.dag_id == record["dag_id"]) & (sync_runs.c.run_id == record["run_id"])
        with self.transaction() as connection:
            connection.execute(sa.delete(sync_runs).where(same_run))
            connection.execute(sa.insert(sync_runs).values(**record))

    def covered_until(self, shop: str, lookback: timedelta) -> datetime | None:
        """
        Return the time up to which this shop's changes were really read and delivered, None before the first run.

        Before the first success that is where the first run tried to begin: what it could not deliver is still due.
        Widened runs follow on each other, so the latest one's end counts; a run over a window of its own counts only
        where it continues from there, and looks back for late rows as far as a widened one would have. A window is
        covered no further than the moment it was read.
        """
        runs = sync_runs.c
        successful = (runs.shop == shop) & (runs.outcome == "success") & runs.window_end.is_not(None)
        with self.transaction() as connection:
            covered: datetime | None = connection.scalar(
                sa.select(sa.func.max(READ_UNTIL, type_=UtcDateTime)).where(successful, runs.window_widened)
            )
            if covered is None:
                first: datetime | None = connection.scalar(
                    sa.select(sa.func.min(runs.window_start)).where(runs.shop == shop, runs.window_widened)
                )
                return first + lookback if first else None
            later = connection.execute(
                sa.select(runs.window_start, sa.type_coerce(READ_UNTIL, UtcDateTime))
                .where(successful, covered < READ_UNTIL)
                .order_by(runs.window_start)
            )
            for window_start, window_end in later:
                if window_start <= covered - lookback and covered < window_end:
                    covered = window_end
        return covered

    @contextmanager
    def transaction(self, timeout_s: int | None = None) -> Iterator[sa.Connection]:
        """
        One transaction, committed at the end; also for the questions and the tables of others: reports, alerts.

        :param timeout_s: for each of its statements; by default the ledger's own.
        :raises LedgerError: the database does not answer, or refuses; its own words, without rows.
        :raises LedgerSchemaError: the ledger is newer than this version of the project knows.
        """
        with self._own_errors():
            if not self._version_is_known:
                refuse_newer(self.engine, self.statement_timeout_s)
                self._version_is_known = True
            with self.engine.begin() as connection:
                limit(connection, timeout_s or self.statement_timeout_s)
                yield connection

    @contextmanager
    def _own_errors(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except sa.exc.DBAPIError as error:
            cause = str(error.orig).splitlines()[0] if str(error.orig) else type(error.orig).__name__
            raise LedgerError(
                f"Ledger {place_of(self.engine)}: {cause}. Check the database of ledger_conn_id; the run can be "
                "retried."
            ) from error


# Each request of a load asks these: what SQLAlchemy makes of an expression costs more than its answer.
_OPEN, _DELIVERED = sa.insert(open_requests), sa.insert(deliveries).inline()  # nobody asks for its number
_CLOSE = sa.delete(open_requests).where(open_requests.c.id == sa.bindparam("number"))
_SHOP, _EXTRACTION = sa.bindparam("shop", type_=sa.String), sa.bindparam("extraction_id", type_=sa.String)
_NEWS = sa.select(
    sa.select(deliveries.c.id)
    .where(deliveries.c.shop == _SHOP, deliveries.c.extraction_id != _EXTRACTION)
    .order_by(deliveries.c.id.desc())
    .limit(1)
    .scalar_subquery(),
    sa.select(sa.func.count(overtaken_orders.c.id)).where(overtakes(_SHOP, _EXTRACTION)).scalar_subquery(),
    sa.select(sa.func.max(unanswered_orders.c.id)).scalar_subquery(),
)

READ_UNTIL = sa.case(
    (sync_runs.c.started_at < sync_runs.c.window_end, sync_runs.c.started_at), else_=sync_runs.c.window_end
)
"""Up to when a run could see its window's changes: no further than the moment it was read."""


def made_good(failed: sa.FromClause) -> sa.ColumnElement[bool]:
    """Return whether a run of ``rees46_sync_runs`` that failed has been made good by a later one of the shop."""
    later = sync_runs.alias("later").c
    return sa.exists().where(
        later.shop == failed.c.shop,
        later.outcome == "success",
        later.finished_at > failed.c.finished_at,
        later.window_start <= failed.c.window_start,
        later.window_end >= failed.c.window_end,
    )
