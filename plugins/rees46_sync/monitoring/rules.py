"""
What an alert fires on: findings about a run, as ``account_for_rows`` makes them, and about a shop's freshness.

The alerts of a run speak about the regular hourly sync: about its latest run by the end of its window, so that an older
run that is cleared changes nothing. Dry runs, runs over a window of their own and backfills say nothing. History runs
have an alert of their own, which asks whether any interval is left that failed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median

import sqlalchemy as sa

from rees46_sync.exceptions import FreshnessLostError
from rees46_sync.ledger.database import Ledger, made_good
from rees46_sync.ledger.tables import sync_runs
from rees46_sync.monitoring import volume
from rees46_sync.monitoring.alerts import Alerts, Finding
from rees46_sync.monitoring.freshness import Standing, standing_of
from rees46_sync.monitoring.notifications import duration, message_of, tell
from rees46_sync.monitoring.page.queries import open_reports
from rees46_sync.pipeline.account_for_rows import Closing, Results, reasons_of
from rees46_sync.shop.shop import Shop
from rees46_sync.window import Window

log = logging.getLogger(__name__)

MOST_SHOWN = 5
"""Of what did not finish, in one message."""


@dataclass(frozen=True)
class FinishedRun:
    """
    A run that is over.

    :param scheduled: whether Airflow's schedule started it.
    :param window: what it was about; None where it named one that does not exist.
    :param limit: what ``approve_changes`` left where a limit stopped a reading: its extraction_id, and what it found.
    """

    dag_id: str
    run_id: str
    history: bool
    scheduled: bool
    window: Window | None
    results: Results
    closing: Closing
    limit: Mapping[str, str] | None = None

    @property
    def stopped_by(self) -> str:
        """The limit that stopped the run, with the figures; empty where none did."""
        reading = self.results.reading
        if not reading or not self.limit or self.results.approved is not None:
            return ""
        # That of an earlier reading stays where the run was cleared, and did not get that far again.
        return self.limit["found"] if self.limit["extraction_id"] == reading["extraction_id"] else ""

    @property
    def is_judged(self) -> bool:
        """Whether it had rows, and all of them were judged."""
        return self.closing.account.read > 0 and len(self.results.judged) == len(self.results.partitions)


def after_run(shop: Shop, ledger: Ledger, run: FinishedRun) -> None:
    """Judge the alerts that a run speaks about, and tell what is untold. What fails here is no failure of the run."""
    _see_to(shop, ledger, findings_of(shop, ledger, run))


def when_asked(shop: Shop, ledger: Ledger, window: Window, found: str, dag_id: str, run_id: str) -> None:
    """
    Tell that a run waits for a person's approval: when it is asked for, not when it is too late.

    :param found: the limit that is reached, with the figures.
    """
    finding = Finding(
        alert="limit_reached",
        event="limit_reached",
        firing=True,
        about=window.end,
        summary=f"{found}. Nothing was sent yet: the run waits for an approval, for {duration(shop.approval_timeout)}.",
        to_do="approve or reject it in Airflow, below Required Actions.",
        figures={},
        dag_id=dag_id,
        run_id=run_id,
    )
    _see_to(shop, ledger, [finding] if window.widened else [])


def _see_to(shop: Shop, ledger: Ledger, findings: Iterable[Finding]) -> None:
    try:
        _record(shop, Alerts(ledger, shop.shop), findings)
    except Exception:  # a run must not be red because nobody could be told
        log.exception(
            "The alerts of shop %s could not be judged or told. The run itself goes on as it would; the next run, and "
            "order_status_freshness, try again.",
            shop.shop,
        )


def check_freshness(shop: Shop) -> Standing:
    """
    Judge a shop's freshness, and tell what is untold, of other alerts as well.

    :raises FreshnessLostError: the shop is not fresh.
    :raises LedgerError: the ledger does not answer.
    """
    with open_reports(shop.ledger_conn_id, shop.shop) as reports:
        reports.ledger.create()
        alerts, now = Alerts(reports.ledger, shop.shop), datetime.now(UTC)
        standing = standing_of(reports, shop, now, alerts.first_seen("freshness", now))
        finding = _freshness(shop, standing, now)
        _record(shop, alerts, [finding])
    if standing.lost:
        raise FreshnessLostError(f"Shop {shop.shop}: {finding.summary} {finding.to_do}")
    log.info("Shop %s: %s", shop.shop, finding.summary)
    return standing


def findings_of(shop: Shop, ledger: Ledger, run: FinishedRun) -> Iterator[Finding]:
    """Find what a run says about the alerts that it speaks about."""
    if run.history:
        yield _history(shop, ledger, run)
    elif run.window is not None and run.window.widened:
        yield from _failure(run, run.window)
        yield from _rejections(shop, run, run.window)
        if run.scheduled and not run.closing.unfinished:
            yield from _volume(shop, ledger, run, run.window)


def _record(shop: Shop, alerts: Alerts, findings: Iterable[Finding]) -> None:
    for finding in findings:
        change = alerts.record(finding, shop.notify, partial(message_of, shop), datetime.now(UTC))
        if change:
            log.warning("Alert %s %s: %s", finding.alert, "fires" if finding.firing else "is over", finding.summary)
    tell(shop, alerts)


def _failure(run: FinishedRun, window: Window) -> Iterator[Finding]:
    """A run that a limit stopped is one alert, not two; either ends with what is the opposite of its cause."""
    finding = partial(Finding, about=window.end, dag_id=run.dag_id, run_id=run.run_id)
    account, unfinished = run.closing.account, run.closing.unfinished
    figures = {name: getattr(account, name) for name in ("read", "sent", "rejected", "failed")}
    if run.stopped_by:
        yield finding(
            alert="limit_reached",
            event="limit_reached",
            firing=True,
            summary=f"{run.stopped_by}. Nothing was sent.",
            to_do="look at a dry run; mend the rows or the shop file, or start a run by hand with ignore_limits.",
            figures=figures,
        )
        return
    if run.results.approved is not None or not unfinished:
        yield finding(
            alert="limit_reached",
            event="limit_reached",
            firing=False,
            summary="a run is within the limits again, or was let through.",
            to_do="",
            figures=figures,
        )
    yield finding(
        alert="run_failed",
        event="run_failed",
        firing=bool(unfinished),
        summary=f"the hourly run failed: {_some(unfinished, '; ')}."
        if unfinished
        else f"an hourly run succeeded, and sent {account.sent} changes.",
        to_do="see the failed tasks of the run. The next run reads the same orders again and sends what is missing.",
        figures=figures,
    )


def _history(shop: Shop, ledger: Ledger, run: FinishedRun) -> Finding:
    """Intervals of history do not make up for each other, so the alert lasts until none is left that failed."""
    now = datetime.now(UTC)
    left = failed_windows(ledger, shop.shop, run.dag_id)
    spans = [f"[{start:%Y-%m-%d %H:%M}, {end:%Y-%m-%d %H:%M})" for start, end in left]
    return Finding(
        alert="history_run_failed",
        event="run_failed",
        firing=bool(left),
        about=now,
        summary=f"{len(left)} interval{'s' if len(left) > 1 else ''} of {run.dag_id} failed: {_some(spans, ', ')}."
        if left
        else "no interval of the history is left that failed.",
        to_do="see the failed tasks of these runs, mend the cause, and clear the runs.",
        figures={"failed_intervals": len(left)},
        dag_id=run.dag_id,
        run_id=run.run_id,
    )


def failed_windows(ledger: Ledger, shop: str, dag_id: str) -> list[tuple[datetime, datetime]]:
    """Return the windows of a DAG's failed runs that no later run, of whichever DAG of the shop, made good."""
    failed = sync_runs.alias("failed")
    query = (
        sa.select(failed.c.window_start, failed.c.window_end)
        .where(failed.c.shop == shop, failed.c.dag_id == dag_id, failed.c.outcome == "failed", ~made_good(failed))
        .where(failed.c.window_start.is_not(None))
        .order_by(failed.c.window_start)
    )
    with ledger.transaction() as connection:
        return [(start, end) for start, end in connection.execute(query)]


def _rejections(shop: Shop, run: FinishedRun, window: Window) -> Iterator[Finding]:
    if not run.is_judged:
        return
    read, rejected = run.closing.account.read, run.closing.account.rejected
    share, most = rejected / read, shop.alerts.rejected_share
    firing = share > most
    reasons = ", ".join(f"{code} {count}" for code, count in reasons_of(run.results.judged).most_common(3))
    yield Finding(
        alert="rejected_share",
        event="rejected_share",
        firing=firing,
        about=window.end,
        summary=f"{rejected} of {read} rows are rejected, a share of {share:.4f} ({'above' if firing else 'within'} "
        f"{most:g})." + (f" Most frequent reasons: {reasons}." if firing else ""),
        to_do=f"see the quarantine on the page, and the lines that map a status in the log of account_for_rows; mend "
        f"the rows, the query or {shop.file.name}.",
        figures={"rejected": rejected, "read": read, "share": round(share, 6), "threshold": most},
        dag_id=run.dag_id,
        run_id=run.run_id,
    )


def _volume(shop: Shop, ledger: Ledger, run: FinishedRun, window: Window) -> Iterator[Finding]:
    slot = volume.Slot.ending(window.end, shop.schedule)
    sent, usual = volume.sent_in(ledger, shop.shop, slot), volume.usual_of(ledger, shop.shop, slot)
    firing = None if sent is None else volume.is_far_off(sent, usual, shop.alerts.volume_factor)
    if sent is None or firing is None:
        return
    middle = median(usual)
    if firing and sent > middle and window.start + shop.lookback < slot.start:
        return  # it makes good what earlier runs could not: more than usual is as it should be
    yield Finding(
        alert="volume",
        event="volume",
        firing=firing,
        about=window.end,
        summary=f"{sent} changes were sent from {slot.start:%A %H:%M} to {slot.end:%H:%M} UTC; {middle:g} are usual "
        f"(the median of the same hour of the last {len(usual)} weeks that have one).",
        to_do="see whether the warehouse is filled as ever, and whether the query still returns all orders.",
        figures={"sent": sent, "usual": middle, "weeks": len(usual), "factor": shop.alerts.volume_factor},
        dag_id=run.dag_id,
        run_id=run.run_id,
    )


def _freshness(shop: Shop, standing: Standing, now: datetime) -> Finding:
    success, change = standing.success_age, standing.change_age
    waiting = duration(standing.waiting or timedelta(0))
    ages = (
        f"the last successful hourly run ended {duration(success)} ago"
        if success is not None
        else f"no hourly run has succeeded in the {waiting} since the shop was first seen"
    )
    if change is not None:
        ages += f", and a change that is not accepted yet is at most {duration(change)} old"
    return Finding(
        alert="freshness",
        event="freshness",
        firing=standing.lost,
        about=now,
        summary=f"{ages} ({'more than' if standing.lost else 'within'} freshness: {duration(shop.freshness)}).",
        to_do=f"see whether order_status_sync_{shop.shop} is paused, whether its latest runs failed, and why.",
        figures={
            "success_age_seconds": None if success is None else round(success.total_seconds()),
            "change_age_seconds": None if change is None else round(change.total_seconds()),
            "freshness_seconds": round(shop.freshness.total_seconds()),
        },
    )


def _some(texts: Sequence[str], separator: str) -> str:
    more = len(texts) - MOST_SHOWN
    return separator.join([*texts[:MOST_SHOWN], *([f"and {more} more"] if more > 0 else [])])
