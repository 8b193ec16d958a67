"""
When an alert fires: the evaluation of a finished run, by ``account_for_rows``, and of a shop's freshness.

A run's alerts are about the regular sync: about its latest run by the end of its window, so that an older run that is
cleared changes nothing. Dry runs, runs with a window of their own, backfills, and runs that held orders back are not
evaluated: they do not say whether the regular sync works. History runs have an alert of their own, which fires as long
as a failed interval remains.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median

from rees46_sync.exceptions import FreshnessBreachedError
from rees46_sync.formatting import duration, timestamp
from rees46_sync.ledger.database import Ledger, interactive_ledger
from rees46_sync.ledger.runs import Runs
from rees46_sync.monitoring import volume
from rees46_sync.monitoring.alert_messages import build_message, send_pending
from rees46_sync.monitoring.alerts import AlertEvaluation, AlertName, Alerts
from rees46_sync.monitoring.freshness import FreshnessStatus, freshness_status
from rees46_sync.monitoring.late_data import HOLE_KEPT, DataState
from rees46_sync.shop.shares import share_of, share_text
from rees46_sync.shop.shop import Shop
from rees46_sync.window import Window

log = logging.getLogger(__name__)

MAX_SHOWN = 5
"""How many unfinished parts, or failed intervals, one message lists."""


@dataclass(frozen=True)
class FinishedRun:
    """
    A run that is over.

    :param is_scheduled: whether Airflow's schedule started it.
    :param window: its window; None if it named one that does not exist.
    :param counts: its account, see :func:`rees46_sync.ledger.runs.new_account`.
    :param unfinished: what did not finish, in words; empty for a successful run.
    :param reasons: rejected rows by reason.
    :param is_validated: whether every partition was validated.
    :param is_approved: whether approve_changes, or a person, let the run through.
    :param exceeded_text: the limits that stopped the run, with the numbers; empty if none did.
    :param data: up to when the data that it read shows to be loaded; None if it read none.
    """

    dag_id: str
    run_id: str
    is_history: bool
    is_scheduled: bool
    window: Window | None
    counts: Mapping[str, int]
    unfinished: Sequence[str]
    reasons: Counter[str]
    is_validated: bool
    is_approved: bool
    exceeded_text: str = ""
    data: DataState | None = None


def after_run(shop: Shop, ledger: Ledger, run: FinishedRun) -> None:
    """Evaluate the alerts that a run is about, and send what is pending. An error here does not fail the run."""
    _update_alerts(shop, ledger, evaluate_run(shop, ledger, run))


def approval_requested(
    shop: Shop, ledger: Ledger, window: Window, exceeded_text: str, dag_id: str, run_id: str
) -> None:
    """
    Send an alert that a run waits for a person's approval.

    :param exceeded_text: the exceeded limits, with the numbers.
    """
    evaluation = AlertEvaluation(
        alert=AlertName.LIMIT_REACHED,
        firing=True,
        as_of=window.end,
        summary=f"{exceeded_text}. Nothing was sent yet: the run waits for an approval, for "
        f"{duration(shop.approval_timeout)}.",
        remedy="approve or reject it in Airflow, below Required Actions.",
        metrics={},
        dag_id=dag_id,
        run_id=run_id,
    )
    _update_alerts(shop, ledger, [evaluation] if window.is_regular else [])


def evaluate_freshness(shop: Shop) -> FreshnessStatus:
    """
    Evaluate a shop's freshness, and send what is pending, of other alerts as well.

    :raises FreshnessBreachedError: the shop is not fresh.
    :raises LedgerError: the ledger does not answer.
    """
    with interactive_ledger(shop.ledger_conn_id) as ledger:
        ledger.migrate()
        alerts, now = Alerts(ledger, shop.shop), datetime.now(UTC)
        status = freshness_status(ledger, shop, now, alerts.first_seen(AlertName.FRESHNESS, now))
        evaluation = _freshness(shop, status, now)
        _record(shop, alerts, [evaluation])
    if status.breached:
        raise FreshnessBreachedError(
            f"Shop {shop.shop}: {evaluation.summary.rstrip('.')}", evaluation.remedy.rstrip(".")
        )
    log.info("Shop %s: %s", shop.shop, evaluation.summary)
    return status


def evaluate_run(shop: Shop, ledger: Ledger, run: FinishedRun) -> Iterator[AlertEvaluation]:
    """Evaluate the alerts that a run is about."""
    if run.is_history:
        yield _history(shop, ledger, run)
    elif run.window is not None and run.window.is_regular and not run.counts["held"]:
        yield from _failure(run, run.window)
        yield from _rejections(shop, run, run.window)
        yield from _reopened(shop, run, run.window)
        if run.data is not None:
            yield _late_data(shop, run, run.window, run.data)
        if run.is_scheduled and not run.unfinished:
            yield from _volume(shop, ledger, run, run.window)


def _update_alerts(shop: Shop, ledger: Ledger, evaluations: Iterable[AlertEvaluation]) -> None:
    try:
        _record(shop, Alerts(ledger, shop.shop), evaluations)
    except Exception:  # a run must not fail because an alert could not be sent
        log.exception(
            "The alerts of shop %s could not be evaluated or sent. The run itself goes on; the next run, and "
            "order_status_freshness, try again.",
            shop.shop,
        )


def _record(shop: Shop, alerts: Alerts, evaluations: Iterable[AlertEvaluation]) -> None:
    for evaluation in evaluations:
        if alerts.record(evaluation, shop.notify, partial(build_message, shop), datetime.now(UTC)):
            state = "fires" if evaluation.firing else "is over"
            log.warning("Alert %s %s: %s", evaluation.alert, state, evaluation.summary)
    send_pending(shop, alerts)


def _failure(run: FinishedRun, window: Window) -> Iterator[AlertEvaluation]:
    """A run that a limit stopped fires one alert, not two; each alert ends with the opposite of its cause."""
    evaluation = partial(AlertEvaluation, as_of=window.end, dag_id=run.dag_id, run_id=run.run_id)
    metrics = {name: run.counts[name] for name in ("read", "sent", "rejected", "failed")}
    if run.exceeded_text:
        yield evaluation(
            alert=AlertName.LIMIT_REACHED,
            firing=True,
            summary=f"{run.exceeded_text}. Nothing was sent.",
            remedy="look at a dry run; correct the rows or the shop file, or start a run by hand with ignore_limits.",
            metrics=metrics,
        )
        return
    if run.is_approved or not run.unfinished:
        yield evaluation(
            alert=AlertName.LIMIT_REACHED,
            firing=False,
            summary="a run is within the limits again, or was approved.",
            remedy="",
            metrics=metrics,
        )
    yield evaluation(
        alert=AlertName.RUN_FAILED,
        firing=bool(run.unfinished),
        summary=f"the hourly run failed: {_some(run.unfinished, '; ')}."
        if run.unfinished
        else f"an hourly run succeeded, and sent {run.counts['sent']} changes.",
        remedy="see the failed tasks of the run. The next run reads the same orders again and sends what is missing.",
        metrics=metrics,
    )


def _history(shop: Shop, ledger: Ledger, run: FinishedRun) -> AlertEvaluation:
    """Intervals of history do not cover each other, so the alert lasts until no failed one remains."""
    failed = Runs(ledger).failed_windows(shop.shop, run.dag_id)
    spans = [f"[{start:%Y-%m-%d %H:%M}, {end:%Y-%m-%d %H:%M})" for start, end in failed]
    return AlertEvaluation(
        alert=AlertName.HISTORY_RUN_FAILED,
        firing=bool(failed),
        as_of=datetime.now(UTC),
        summary=f"{len(failed)} interval{'s' if len(failed) > 1 else ''} of {run.dag_id} failed: {_some(spans, ', ')}."
        if failed
        else "no failed interval of the history remains.",
        remedy="see the failed tasks of these runs, correct the cause, and clear the runs.",
        metrics={"failed_intervals": len(failed)},
        dag_id=run.dag_id,
        run_id=run.run_id,
    )


def _rejections(shop: Shop, run: FinishedRun, window: Window) -> Iterator[AlertEvaluation]:
    read, rejected = run.counts["read"], run.counts["rejected"]
    if not read or not run.is_validated:
        return
    share, threshold = share_of(rejected, read), shop.alerts.rejected_share
    firing = share > threshold
    reasons = ", ".join(f"{code} {count}" for code, count in run.reasons.most_common(3))
    yield AlertEvaluation(
        alert=AlertName.REJECTED_SHARE,
        firing=firing,
        as_of=window.end,
        summary=f"{rejected} of {read} rows are rejected, {share_text(rejected, read)} "
        f"({'above' if firing else 'within'} {threshold:g})."
        + (f" Most frequent reasons: {reasons}." if firing else ""),
        remedy="see the quarantine on the page, and the lines that map a status in the log of account_for_rows; "
        f"correct the rows, the query or {shop.file.name}.",
        metrics={"rejected": rejected, "read": read, "share": round(share, 6), "threshold": threshold},
        dag_id=run.dag_id,
        run_id=run.run_id,
    )


def _reopened(shop: Shop, run: FinishedRun, window: Window) -> Iterator[AlertEvaluation]:
    read, reopened = run.counts["read"], run.counts["reopened"]
    # Only a run that came as far as its limits has compared all of its rows.
    if not read or not (run.is_approved or run.exceeded_text):
        return
    share, threshold = share_of(reopened, read), shop.alerts.reopened_share
    firing = share > threshold
    yield AlertEvaluation(
        alert=AlertName.REOPENED,
        firing=firing,
        as_of=window.end,
        summary=f"{reopened} of {read} rows are held back as reopened, {share_text(reopened, read)} "
        f"({'above' if firing else 'within'} {threshold:g})."
        + ("" if firing else " Those that it did not read again stay as they were: see the quarantine."),
        remedy=f"{reopened_remedy(shop)}.",
        metrics={"reopened": reopened, "read": read, "share": round(share, 6), "threshold": threshold},
        dag_id=run.dag_id,
        run_id=run.run_id,
    )


def reopened_remedy(shop: Shop) -> str:
    """Return what a person does about orders that are held back as reopened: a sentence, without its full stop."""
    return (
        f"REES46 has reopened orders as completed or cancelled, and {shop.file.name} maps their status to created. If "
        "that mapping is wrong, correct it; if the shop does reopen orders, set allow_reopen: true. Then the next run "
        "sends those that changed within lookback, and a run by hand with a window_start sends older ones"
    )


def _volume(shop: Shop, ledger: Ledger, run: FinishedRun, window: Window) -> Iterator[AlertEvaluation]:
    slot = volume.Slot.ending(window.end, shop.schedule)
    sent, usual = volume.sent_in(ledger, shop.shop, slot), volume.usual_counts(ledger, shop.shop, slot)
    firing = None if sent is None else volume.is_unusual(sent, usual, shop.alerts.volume_factor)
    if sent is None or firing is None:
        return
    middle = median(usual)
    if firing and sent > middle and window.start + shop.lookback < slot.start:
        return  # it catches up on what earlier runs could not send, so more than usual is right
    yield AlertEvaluation(
        alert=AlertName.VOLUME,
        firing=firing,
        as_of=window.end,
        summary=f"{sent} changes were sent from {slot.start:%A %H:%M} to {slot.end:%H:%M} UTC; {middle:g} are usual "
        f"(the median of the same hour of the last {len(usual)} weeks that have one).",
        remedy="see whether the warehouse is loaded as usual, and whether the query still returns all orders.",
        metrics={"sent": sent, "usual": middle, "weeks": len(usual), "factor": shop.alerts.volume_factor},
        dag_id=run.dag_id,
        run_id=run.run_id,
    )


def _late_data(shop: Shop, run: FinishedRun, window: Window, data: DataState) -> AlertEvaluation:
    usual, lag = data.usual.usual, duration(data.lag)
    usually = f"usually it is {duration(usual)}" if usual is not None else "what is usual is not known yet"
    limit = f"more than {duration(data.usual.limit)} is late"
    if data.hole:
        start, end = (timestamp(moment) for moment in data.hole)
        summary = f"no row is dated between {start} and {end} UTC, and that is unusual: {usually}, {limit}."
    elif shop.loaded_until:
        summary = f"the loader had delivered up to {timestamp(data.until)} UTC, {lag} before the run; "
        summary += f"{usually}, {limit}."
    else:
        summary = f"the newest row was {lag} old when the run read it ({timestamp(data.until)} UTC); "
        summary += f"{usually}, {limit}."
    return AlertEvaluation(
        alert=AlertName.LATE_DATA,
        firing=data.is_late,
        as_of=window.end,
        summary=summary,
        remedy="see whether the warehouse is loaded. What is loaded later is read: windows start where the data ends, "
        f"less lookback. A hole is waited for during {duration(HOLE_KEPT)}; rows that fill it later need a run by hand "
        "with a window.",
        metrics={
            "lag_seconds": round(data.lag.total_seconds()),
            "usual_seconds": None if usual is None else round(usual.total_seconds()),
            "limit_seconds": round(data.usual.limit.total_seconds()),
        },
        dag_id=run.dag_id,
        run_id=run.run_id,
    )


def _freshness(shop: Shop, status: FreshnessStatus, now: datetime) -> AlertEvaluation:
    success, change = status.success_age, status.change_age
    ages = (
        f"the last successful hourly run ended {duration(success)} ago"
        if success is not None
        else f"no hourly run has succeeded in the {duration(status.waiting or timedelta(0))} since the shop was first "
        "seen"
    )
    if change is not None:
        ages += f", and a change that is not accepted yet is at most {duration(change)} old"
    if status.is_data_late:
        ages += ", because the warehouse's data ends there, earlier than usual"
    return AlertEvaluation(
        alert=AlertName.FRESHNESS,
        firing=status.breached,
        as_of=now,
        summary=f"{ages} ({'more than' if status.breached else 'within'} freshness: {duration(shop.freshness)}).",
        remedy=f"see whether order_status_sync_{shop.shop} is paused, whether its latest runs failed, and why"
        + ("; and whether the warehouse is loaded." if status.is_data_late else "."),
        metrics={
            "success_age_seconds": None if success is None else round(success.total_seconds()),
            "change_age_seconds": None if change is None else round(change.total_seconds()),
            "freshness_seconds": round(shop.freshness.total_seconds()),
        },
    )


def _some(texts: Sequence[str], separator: str) -> str:
    more = len(texts) - MAX_SHOWN
    return separator.join([*texts[:MAX_SHOWN], *([f"and {more} more"] if more > 0 else [])])
