"""
When an alert about a finished run fires; ``account_for_rows`` evaluates them.

A run's alerts are about the regular sync: about its latest run by the end of its window, so that an older run that is
cleared changes nothing. Dry runs, runs with a window of their own, backfills, and runs that held orders back are not
evaluated: they do not say whether the regular sync works. History runs have an alert of their own, which fires as long
as a failed interval remains.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from statistics import median

from rees46_sync.formatting import duration, timestamp
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import Runs
from rees46_sync.monitoring import volume
from rees46_sync.monitoring.alert_messages import build_message, send_pending
from rees46_sync.monitoring.alerts import AlertEvaluation, AlertName, Alerts
from rees46_sync.monitoring.late_data import HOLE_KEPT, DataState
from rees46_sync.shop.shares import share_of, share_text
from rees46_sync.shop.shop import Shop
from rees46_sync.translations import translator
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
    :param unfinished: what did not finish, and why, in words; empty for a successful run.
    :param remedy: what a person does about it.
    :param cause_id: what identifies the cause, so that another one is sent as well.
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
    remedy: str = ""
    cause_id: str = ""
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
    _ = translator(shop.language).gettext
    evaluation = AlertEvaluation(
        alert=AlertName.LIMIT_REACHED,
        firing=True,
        as_of=window.end,
        summary=_("%(limits)s. Nothing was sent yet: the run waits for an approval, for %(timeout)s.")
        % {"limits": exceeded_text, "timeout": duration(shop.approval_timeout, _)},
        remedy=_("approve or reject it in Airflow, below Required Actions."),
        metrics={},
        dag_id=dag_id,
        run_id=run_id,
    )
    _update_alerts(shop, ledger, [evaluation] if window.is_regular else [])


def evaluate_run(shop: Shop, ledger: Ledger, run: FinishedRun) -> Iterator[AlertEvaluation]:
    """Evaluate the alerts that a run is about."""
    if run.is_history:
        yield _history(shop, ledger, run)
    elif run.window is not None and run.window.is_regular and not run.counts["held"]:
        yield from _failure(shop, run, run.window)
        yield from _rejections(shop, run, run.window)
        yield from _reopened(shop, run, run.window)
        if run.data is not None:
            yield _late_data(shop, run, run.window, run.data)
        if run.is_scheduled and not run.unfinished:
            yield from _volume(shop, ledger, run, run.window)


def _update_alerts(shop: Shop, ledger: Ledger, evaluations: Iterable[AlertEvaluation]) -> None:
    try:
        record(shop, Alerts(ledger, shop.shop), evaluations)
    except Exception:  # a run must not fail because an alert could not be sent
        log.exception(
            "The alerts of shop %s could not be evaluated or sent. The run itself goes on; the next run, and "
            "order_status_freshness, try again.",
            shop.shop,
        )


def record(shop: Shop, alerts: Alerts, evaluations: Iterable[AlertEvaluation]) -> None:
    """
    Store evaluations, and send what is pending.

    :raises LedgerError: the ledger does not answer.
    """
    for evaluation in evaluations:
        transition = alerts.record(evaluation, shop.notify, partial(build_message, shop), datetime.now(UTC))
        if transition:
            log.warning("Alert %s has %s: %s", evaluation.alert, transition.state, evaluation.summary)
    send_pending(shop, alerts)


def _failure(shop: Shop, run: FinishedRun, window: Window) -> Iterator[AlertEvaluation]:
    """A run that a limit stopped fires one alert, not two; each alert ends with the opposite of its cause."""
    _ = translator(shop.language).gettext
    evaluation = partial(AlertEvaluation, as_of=window.end, dag_id=run.dag_id, run_id=run.run_id)
    metrics = {name: run.counts[name] for name in ("read", "sent", "rejected", "failed")}
    if run.exceeded_text:
        yield evaluation(
            alert=AlertName.LIMIT_REACHED,
            firing=True,
            summary=_("%s. Nothing was sent.") % run.exceeded_text,
            remedy=_(
                "look at a dry run; correct the rows or the shop file, or start a run by hand with the params that "
                "the error of its failed task names."
            ),
            metrics=metrics,
        )
        return
    if run.is_approved or not run.unfinished:
        yield evaluation(
            alert=AlertName.LIMIT_REACHED,
            firing=False,
            summary=_("a run is within the limits again, or was approved."),
            remedy="",
            metrics=metrics,
        )
    yield evaluation(
        alert=AlertName.RUN_FAILED,
        firing=bool(run.unfinished),
        summary=_("the hourly run failed: %s.") % _some(run.unfinished, "; ", _)
        if run.unfinished
        else _("an hourly run succeeded, and sent %d changes.") % run.counts["sent"],
        remedy=f"{run.remedy}.",
        metrics=metrics,
        cause=run.cause_id,
    )


def _history(shop: Shop, ledger: Ledger, run: FinishedRun) -> AlertEvaluation:
    """Intervals of history do not cover each other, so the alert lasts until no failed one remains."""
    texts = translator(shop.language)
    _ = texts.gettext
    failed = Runs(ledger).failed_windows(shop.shop, run.dag_id)
    spans = [f"[{start:%Y-%m-%d %H:%M}, {end:%Y-%m-%d %H:%M})" for start, end in failed]
    summary = texts.ngettext(
        "%(count)d interval of %(dag_id)s failed: %(spans)s.",
        "%(count)d intervals of %(dag_id)s failed: %(spans)s.",
        len(failed),
    ) % {"count": len(failed), "dag_id": run.dag_id, "spans": _some(spans, ", ", _)}
    if run.unfinished:
        summary += " " + _("The latest: %s.") % _some(run.unfinished, "; ", _)
    remedy = _("see the failed tasks of these runs, correct the cause, and clear the runs.")
    return AlertEvaluation(
        alert=AlertName.HISTORY_RUN_FAILED,
        firing=bool(failed),
        as_of=datetime.now(UTC),
        summary=summary if failed else _("no failed interval of the history remains."),
        remedy=f"{run.remedy}. {_('Then clear the failed runs.')}" if run.unfinished else remedy,
        metrics={"failed_intervals": len(failed)},
        dag_id=run.dag_id,
        run_id=run.run_id,
        cause=run.cause_id,
    )


def _rejections(shop: Shop, run: FinishedRun, window: Window) -> Iterator[AlertEvaluation]:
    read, rejected = run.counts["read"], run.counts["rejected"]
    if not read or not run.is_validated:
        return
    _ = translator(shop.language).gettext
    share, threshold = share_of(rejected, read), shop.alerts.rejected_share
    firing = share > threshold
    reasons = ", ".join(f"{code} {count}" for code, count in run.reasons.most_common(3))
    above = _("%(count)d of %(read)d rows are rejected, %(share)s (above %(threshold)s).")
    within = _("%(count)d of %(read)d rows are rejected, %(share)s (within %(threshold)s).")
    summary = (above if firing else within) % {
        "count": rejected,
        "read": read,
        "share": share_text(rejected, read, _),
        "threshold": f"{threshold:g}",
    }
    yield AlertEvaluation(
        alert=AlertName.REJECTED_SHARE,
        firing=firing,
        as_of=window.end,
        summary=summary + (" " + _("Most frequent reasons: %s.") % reasons if firing else ""),
        remedy=_(
            "see the quarantine on the page, and the lines that map a status in the log of account_for_rows; correct "
            "the rows, the query or %s."
        )
        % shop.file.name,
        metrics={"rejected": rejected, "read": read, "share": round(share, 6), "threshold": threshold},
        dag_id=run.dag_id,
        run_id=run.run_id,
    )


def _reopened(shop: Shop, run: FinishedRun, window: Window) -> Iterator[AlertEvaluation]:
    read, reopened = run.counts["read"], run.counts["reopened"]
    # Only a run that came as far as its limits has compared all of its rows.
    if not read or not (run.is_approved or run.exceeded_text):
        return
    _ = translator(shop.language).gettext
    share, threshold = share_of(reopened, read), shop.alerts.reopened_share
    firing = share > threshold
    above = _("%(count)d of %(read)d rows are held back as reopened, %(share)s (above %(threshold)s).")
    within = _("%(count)d of %(read)d rows are held back as reopened, %(share)s (within %(threshold)s).")
    summary = (above if firing else within) % {
        "count": reopened,
        "read": read,
        "share": share_text(reopened, read, _),
        "threshold": f"{threshold:g}",
    }
    remains = " " + _("Those that it did not read again stay as they were: see the quarantine.")
    yield AlertEvaluation(
        alert=AlertName.REOPENED,
        firing=firing,
        as_of=window.end,
        summary=summary + ("" if firing else remains),
        remedy=f"{reopened_remedy(shop, _)}.",
        metrics={"reopened": reopened, "read": read, "share": round(share, 6), "threshold": threshold},
        dag_id=run.dag_id,
        run_id=run.run_id,
    )


def reopened_remedy(shop: Shop, _: Callable[[str], str] = str) -> str:
    """
    Return what a person does about orders that are held back as reopened: a sentence, without its full stop.

    :param _: translates it; by default it is English.
    """
    return (
        _(
            "REES46 has reopened orders as completed or cancelled, and %s maps their status to created. If that "
            "mapping is wrong, correct it; if the shop does reopen orders, set allow_reopen: true. Then the next run "
            "sends those that changed within lookback, and a run by hand with a window_start sends older ones"
        )
        % shop.file.name
    )


def _volume(shop: Shop, ledger: Ledger, run: FinishedRun, window: Window) -> Iterator[AlertEvaluation]:
    slot = volume.Slot.ending(window.end, shop.schedule)
    sent, usual = volume.sent_in(ledger, shop.shop, slot), volume.usual_counts(ledger, shop.shop, slot)
    firing = None if sent is None else volume.is_unusual(sent, usual, shop.alerts.volume_factor)
    _ = translator(shop.language).gettext
    if sent is None or firing is None:
        return
    middle = median(usual)
    if firing and sent > middle and window.start + shop.lookback < slot.start:
        return  # it catches up on what earlier runs could not send, so more than usual is right
    yield AlertEvaluation(
        alert=AlertName.VOLUME,
        firing=firing,
        as_of=window.end,
        summary=_(
            "%(sent)d changes were sent from %(start)s to %(end)s UTC; %(usual)s are usual (the median of the same "
            "hour of the last %(weeks)d weeks that have one)."
        )
        % {
            "sent": sent,
            "start": f"{slot.start:%Y-%m-%d %H:%M}",
            "end": f"{slot.end:%H:%M}",
            "usual": f"{middle:g}",
            "weeks": len(usual),
        },
        remedy=_("see whether the warehouse is loaded as usual, and whether the query still returns all orders."),
        metrics={"sent": sent, "usual": middle, "weeks": len(usual), "factor": shop.alerts.volume_factor},
        dag_id=run.dag_id,
        run_id=run.run_id,
    )


def _late_data(shop: Shop, run: FinishedRun, window: Window, data: DataState) -> AlertEvaluation:
    _ = translator(shop.language).gettext
    usual = data.usual.usual
    known = _("usually it is %s") % duration(usual, _) if usual is not None else _("what is usual is not known yet")
    values = {
        "until": timestamp(data.until),
        "lag": duration(data.lag, _),
        "usually": known,
        "limit": duration(data.usual.limit, _),
    }
    if data.hole:
        values |= {"start": timestamp(data.hole[0]), "end": timestamp(data.hole[1])}
        summary = _(
            "no row is dated between %(start)s and %(end)s UTC, and that is unusual: %(usually)s, more than %(limit)s "
            "is late."
        )
    elif shop.loaded_until:
        summary = _(
            "the loader had delivered up to %(until)s UTC, %(lag)s before the run; %(usually)s, more than %(limit)s is "
            "late."
        )
    else:
        summary = _(
            "the newest row was %(lag)s old when the run read it (%(until)s UTC); %(usually)s, more than %(limit)s is "
            "late."
        )
    return AlertEvaluation(
        alert=AlertName.LATE_DATA,
        firing=data.is_late,
        as_of=window.end,
        summary=summary % values,
        remedy=_(
            "see whether the warehouse is loaded. What is loaded later is read: windows start where the data ends, "
            "less lookback. A hole is waited for during %s; rows that fill it later need a run by hand with a window."
        )
        % duration(HOLE_KEPT, _),
        metrics={
            "lag_seconds": round(data.lag.total_seconds()),
            "usual_seconds": None if usual is None else round(usual.total_seconds()),
            "limit_seconds": round(data.usual.limit.total_seconds()),
        },
        dag_id=run.dag_id,
        run_id=run.run_id,
    )


def _some(texts: Sequence[str], separator: str, _: Callable[[str], str]) -> str:
    more = len(texts) - MAX_SHOWN
    return separator.join([*texts[:MAX_SHOWN], *([_("and %d more") % more] if more > 0 else [])])
