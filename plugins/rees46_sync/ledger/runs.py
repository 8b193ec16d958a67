"""The record of every run, and how far the shop's changes are delivered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger, retry_transaction
from rees46_sync.ledger.migrations import VERSION
from rees46_sync.ledger.tables import UtcDateTime, sync_runs

ACCOUNT_PARTS = ("sent", "unchanged", "superseded", "stale", "reopened", "rejected", "held", "failed")
"""
The parts of the closed sum of a run, in rows; together they are the rows that were read.

* sent: accepted by REES46
* unchanged: REES46 has this status already
* superseded: older versions of orders that were read in a newer version
* stale: REES46 has a newer version
* reopened: held back, because a final status would become "created"
* rejected: failed a check, see the quarantine
* held: not sent on purpose, because of first_orders or order_ids
* failed: should have been validated or sent, and was not
"""


def new_account() -> Counter[str]:
    """
    Return the counts of a run, all 0: the rows ``read``, each of :data:`ACCOUNT_PARTS`, and the POSTs
    ``requests``.
    """
    return Counter(dict.fromkeys(("read", *ACCOUNT_PARTS, "requests"), 0))


@dataclass(frozen=True)
class RunRef:
    """The extraction, and the Airflow run, that a row of the ledger belongs to."""

    shop: str
    dag_id: str
    run_id: str
    extraction_id: str


READ_UP_TO = sa.case(
    (sync_runs.c.started_at < sync_runs.c.window_end, sync_runs.c.started_at), else_=sync_runs.c.window_end
)
"""Up to when a run could see the changes of its window: no further than the moment when it read them."""

_SHOWN_UP_TO = sa.func.coalesce(sync_runs.c.data_until, READ_UP_TO, type_=UtcDateTime)
"""The same by the data; records of earlier versions do not say it."""


class Runs:
    """The records of runs in a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    @retry_transaction
    def save(self, **record: Any) -> None:
        """Store the record of a run (columns of ``rees46_sync_runs``), in place of an earlier one of the same run."""
        same_run = (sync_runs.c.dag_id == record["dag_id"]) & (sync_runs.c.run_id == record["run_id"])
        with self.ledger.transaction() as connection:
            connection.execute(sa.delete(sync_runs).where(same_run))
            connection.execute(sa.insert(sync_runs).values(**record))

    def watermark(self, shop: str, lookback: timedelta) -> datetime | None:
        """
        Return the time up to which the shop's changes were read and delivered; None before the first run.

        It never passes what the data shows to be loaded: the newest row that was read, or what ``loaded_until`` says.
        Before the first success it is where the first run began: what that run could not deliver is still due. The
        windows of regular runs join up, so the end of the latest one counts. A run with a window of its own counts
        only if it continues from there, and looks back for late rows as far as a regular run would have.
        """
        has_data = self.ledger.version >= 5
        return self._joined(shop, lookback, _SHOWN_UP_TO if has_data else READ_UP_TO)

    def read_until(self, shop: str, lookback: timedelta) -> datetime | None:
        """Return the same by the clock: up to when the warehouse was read, whether or not its data was loaded."""
        return self._joined(shop, lookback, READ_UP_TO)

    def _joined(self, shop: str, lookback: timedelta, up_to: sa.ColumnElement[datetime]) -> datetime | None:
        runs = sync_runs.c
        successful = (runs.shop == shop) & has_delivered(sync_runs, self.ledger.version) & runs.window_end.is_not(None)
        with self.ledger.transaction() as connection:
            reached: datetime | None = connection.scalar(
                sa.select(sa.func.max(up_to, type_=UtcDateTime)).where(successful, runs.window_widened)
            )
            if reached is None:
                first: datetime | None = connection.scalar(
                    sa.select(sa.func.min(runs.window_start)).where(runs.shop == shop, runs.window_widened)
                )
                return first + lookback if first else None
            later = connection.execute(
                sa.select(runs.window_start, sa.type_coerce(up_to, UtcDateTime))
                .where(successful, reached < up_to)
                .order_by(runs.window_start)
            )
            for window_start, window_end in later:
                if window_start <= reached - lookback and reached < window_end:
                    reached = window_end
        return reached

    def latest_regular(self, shop: str) -> sa.Row[Any] | None:
        """Return the record of the regular run with the latest window that was delivered; None before the first."""
        runs = sync_runs.c
        if self.ledger.version < 5:
            return None
        query = (
            sa.select(*self.ledger.columns(sync_runs))
            .where(runs.shop == shop, has_delivered(sync_runs), runs.window_widened)
            .order_by(runs.window_end.desc(), runs.id.desc())
            .limit(1)
        )
        with self.ledger.transaction() as connection:
            return connection.execute(query).first()

    def data_lags(self, shop: str, since: datetime) -> list[tuple[datetime, datetime, timedelta]]:
        """
        Return of each regular run the end of its window, up to when it read, and how far behind the data was then.

        Runs that read no row are left out.

        :param since: the earliest end of a window.
        """
        runs = sync_runs.c
        query = sa.select(runs.window_end, sa.type_coerce(READ_UP_TO, UtcDateTime), runs.data_until).where(
            runs.shop == shop,
            has_delivered(sync_runs),
            runs.window_widened,
            runs.window_end >= since,
            runs.data_until.is_not(None),
            runs.newest_updated_at.is_not(None),
        )
        with self.ledger.transaction() as connection:
            return [(end, read, read - shown) for end, read, shown in connection.execute(query)]

    def has_read_rows(self, shop: str) -> bool:
        """Return whether any run of a shop has read a row with a time."""
        runs = sync_runs.c
        query = sa.select(runs.id).where(runs.shop == shop, runs.newest_updated_at.is_not(None)).limit(1)
        with self.ledger.transaction() as connection:
            return connection.scalar(query) is not None

    def waiting_since(self, shop: str, data_until: datetime) -> datetime | None:
        """Return since when regular runs take the data to end at a moment although they read newer rows, or None."""
        runs = sync_runs.c
        query = sa.select(sa.func.min(READ_UP_TO, type_=UtcDateTime)).where(
            runs.shop == shop,
            has_delivered(sync_runs),
            runs.window_widened,
            runs.data_until == data_until,
            runs.newest_updated_at > runs.data_until,
        )
        with self.ledger.transaction() as connection:
            since: datetime | None = connection.scalar(query)
        return since

    def last_resend(self, shop: str, dag_id: str, run_id: str) -> datetime | None:
        """
        Return up to when a shop's orders were last sent again although unchanged; None before its first success.

        Before the first resend it is the end of the first window that a regular run delivered. No record that counts is
        too old for the ledger: ``resend_every`` is shorter than the shortest ``keep_days``.

        :param dag_id, run_id: the run that wants to know. An earlier record of its own does not count.
        """
        runs = sync_runs.c
        own = (runs.dag_id == dag_id) & (runs.run_id == run_id)
        regular = (runs.shop == shop) & has_delivered(sync_runs) & runs.window_widened & ~own
        with self.ledger.transaction() as connection:
            last: datetime | None = connection.scalar(
                sa.select(sa.func.max(runs.window_end, type_=UtcDateTime)).where(regular, runs.resent.is_not(None))
            )
            if last is None:
                last = connection.scalar(sa.select(sa.func.min(runs.window_end, type_=UtcDateTime)).where(regular))
        return last

    def failed_windows(self, shop: str, dag_id: str) -> list[tuple[datetime, datetime]]:
        """Return the windows of a DAG's failed runs that no later run of the shop, of any DAG, has covered."""
        failed = sync_runs.alias("failed")
        query = (
            sa.select(failed.c.window_start, failed.c.window_end)
            .where(failed.c.shop == shop, failed.c.dag_id == dag_id, failed.c.outcome == "failed")
            .where(~recovered_later(failed), failed.c.window_start.is_not(None))
            .order_by(failed.c.window_start)
        )
        with self.ledger.transaction() as connection:
            return [(start, end) for start, end in connection.execute(query)]


def has_delivered(runs: sa.FromClause, version: int = VERSION) -> sa.ColumnElement[bool]:
    """
    Return the condition that a run has delivered its window: it succeeded, and held no order back.

    :param runs: ``rees46_sync_runs``, or an alias of it.
    :param version: of the ledger; before version 4 no run could hold orders back.
    """
    succeeded: sa.ColumnElement[bool] = runs.c.outcome == "success"
    return succeeded & (runs.c.held == 0) if version >= 4 else succeeded


def recovered_later(failed: sa.FromClause) -> sa.ColumnElement[bool]:
    """
    Return the condition that a later run of the shop has delivered the window of a failed one.

    :param failed: ``rees46_sync_runs``, or an alias of it.
    """
    run = sync_runs.alias("later")
    later = run.c
    return sa.exists().where(
        later.shop == failed.c.shop,
        has_delivered(run),
        later.finished_at > failed.c.finished_at,
        later.window_start <= failed.c.window_start,
        later.window_end >= failed.c.window_end,
    )
