"""
The six steps of a run, and the two of the freshness check, as the functions that tasks call: a few lines each, over the
modules of the package.

What one task leaves for the next is a small descriptor (an XCom); the rows are in staged files. No descriptor holds a
shop's credentials. Every import that costs time is inside a function, because Airflow parses this file often.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from structlog.contextvars import bind_contextvars

from rees46_sync.airflow_adapters.metrics import Metrics
from rees46_sync.exceptions import ShopFileError, WindowError
from rees46_sync.shop.shop import Shop, load_shop, load_shops
from rees46_sync.window import Window, window_of_run

if TYPE_CHECKING:
    import pandas as pd
    from upath import UPath

    from rees46_sync.ledger.database import Ledger, News, RejectedRow, RunRef
    from rees46_sync.pipeline.account_for_rows import Closing, Results
    from rees46_sync.pipeline.preview import Preview
    from rees46_sync.warehouse.reader import Extraction

log = logging.getLogger(__name__)


class Reading(TypedDict):
    """
    One reading of the warehouse.

    :param folder: where its files are staged.
    :param mark: the ledger's latest row when the reading began.
    :param started_at, window_start, window_end: ISO 8601, UTC.
    """

    extraction_id: str
    folder: str
    mark: int
    resend: bool
    started_at: str
    window_start: str
    window_end: str
    window_widened: bool
    read: int
    superseded: int


class Partition(TypedDict):
    """Staged rows of a reading, not yet judged; ``name`` is what the tasks of the partition are called in the UI."""

    index: int
    name: str
    reading: Reading
    path: str
    rows: int


class Judged(TypedDict):
    """
    A judged partition: ``path`` holds its valid rows; ``unmapped`` lists status, count and an example id.

    :param data_docs: the address of its Data Docs, relative to Airflow's; None in a dry run.
    """

    index: int
    reading: Reading
    path: str
    valid: int
    rejected: int
    reasons: dict[str, int]
    unmapped: list[tuple[str, int, str | None]]
    data_docs: str | None


class Batches(TypedDict):
    """
    What is to be sent of a partition: ``path`` holds the orders; ``by_status`` counts them by REES46 status.

    :param compared_at: what the comparison rested on, :func:`rees46_sync.pipeline.diff.basis_of`.
    :param preview: what a dry run, or a request for approval, shows of them; None in other runs.
    """

    index: int
    name: str
    reading: Reading
    path: str
    orders: int
    compared_at: dict[str, int]
    by_status: dict[str, int]
    preview: Preview | None
    unchanged: int
    stale: int
    reopened: int


class ListedShop(TypedDict):
    """
    A shop file of which freshness is asked: what the shop is called; the file's name, because its folder may be another
    one on the worker that asks; what is wrong with it, if anything.
    """

    name: str
    file: str
    faults: list[str]


def extract_orders(shop_file: str, *, history: bool, **context: Any) -> list[Partition]:
    """
    Read the run's window from the warehouse into staged partitions.

    :param shop_file: path of the shop file.
    :param history: whether the run takes its data interval as it is.
    :return: a descriptor a partition; the reading itself is the XCom ``reading``.
    """
    from rees46_sync.airflow_adapters import staging
    from rees46_sync.ledger.confirmations import Readings
    from rees46_sync.validation import data_docs
    from rees46_sync.warehouse import reader as warehouse

    shop = _shop(shop_file)
    staging.check_shared(shop, [task.executor for task in context["task"].dag.tasks])
    ledger = _ledger(shop)
    now = datetime.now(UTC)
    root, readings = staging.root_of(shop), Readings(ledger)
    # What an old failed run left may still be cleared and sent: a dry run, which changes nothing, lets it be.
    if not context["params"]["dry_run"]:
        for name in staging.remove_older(root, now):
            log.info("Removed the staged files of %s: older than %s.", name, staging.KEEP)
        for name in data_docs.remove_older(shop, context["ti"].dag_id, now):
            log.info("Removed the Data Docs of %s: older than %s.", name, data_docs.KEEP)
        readings.end_older(shop.shop, now - staging.KEEP)
    window = _window(shop, ledger, history, context)
    log.info("Shop %s: reading %s, window %s.", shop.shop, shop.query.name, window)
    extraction_id = staging.new_extraction_id(now)
    # Before the first row is read: what is accepted, or found unchanged, from here on may be newer than what we read.
    if not context["params"]["dry_run"]:
        readings.begin(_run_ref(shop, extraction_id, context), now, window.start)
    mark = ledger.mark()
    extraction = warehouse.extract(shop, window, root / extraction_id)
    reading = Reading(
        extraction_id=extraction_id,
        folder=str(root / extraction_id),
        mark=mark,
        resend=context["params"]["resend"],
        started_at=now.isoformat(),
        window_start=window.start.isoformat(),
        window_end=window.end.isoformat(),
        window_widened=window.widened,
        read=extraction.read,
        superseded=extraction.superseded,
    )
    log.info(
        "Read %d rows, %d of them older versions of an order; staged %d partitions.",
        extraction.read,
        extraction.superseded,
        len(extraction.partitions),
    )
    _check_mappable(shop, extraction)
    context["ti"].xcom_push(key="reading", value=reading)
    return [
        Partition(
            index=partition.index,
            name=partition.name,
            reading=reading,
            path=partition.path,
            rows=partition.rows,
        )
        for partition in extraction.partitions
    ]


def validate_statuses(shop_file: str, partition: Partition, **context: Any) -> Judged:
    """Let Great Expectations judge a partition, keep its Data Docs; put what is broken into the quarantine."""
    from rees46_sync.airflow_adapters import staging
    from rees46_sync.validation import data_docs
    from rees46_sync.validation.expectations import Judge

    shop, reading = _shop(shop_file, partition), partition["reading"]
    rows = staging.read(staging.open_path(partition["path"])).to_pandas()
    judgement = Judge().judge_rows(rows, shop.codes, _window_of(reading))
    _quarantine(shop, judgement.rejected, context)
    for unmapped in judgement.unmapped:
        log.warning(
            "%s does not map status %r: %d rows, for example order %s. See the account for the line to add.",
            shop.file.name,
            unmapped.status,
            unmapped.count,
            unmapped.example_id,
        )
    path = _stage(judgement.valid, reading, f"valid-{partition['index']:04}.parquet")
    ti, dry_run = context["ti"], context["params"]["dry_run"]
    docs = None if dry_run else data_docs.keep(shop, ti.dag_id, ti.run_id, partition, judgement)
    log.info("Partition %d: %d valid, %d rejected.", partition["index"], len(judgement.valid), len(judgement.rejected))
    return Judged(
        index=partition["index"],
        reading=reading,
        path=str(path),
        valid=len(judgement.valid),
        rejected=len(judgement.rejected),
        reasons=judgement.reasons,
        unmapped=[(item.status, item.count, item.example_id) for item in judgement.unmapped],
        data_docs=docs,
    )


def build_batches(shop_file: str, partition: Partition, **context: Any) -> Batches:
    """
    Take from a partition's valid rows what REES46 has already; what is left is to be sent.

    :raises EarlierReadingError: Airflow kept the judgement of a reading before this one.
    """
    from rees46_sync.airflow_adapters import staging
    from rees46_sync.exceptions import EarlierReadingError
    from rees46_sync.ledger.confirmations import Readings
    from rees46_sync.ledger.database import RejectedRow
    from rees46_sync.pipeline import diff as batches
    from rees46_sync.pipeline.preview import preview_of

    shop, reading = _shop(shop_file, partition), partition["reading"]
    ledger = _ledger(shop)
    judged: Judged = context["ti"].xcom_pull(task_ids="validate_statuses", map_indexes=context["ti"].map_index)
    if (found := judged["reading"]["extraction_id"]) != reading["extraction_id"]:
        raise EarlierReadingError(partition["index"], found, reading["extraction_id"])
    orders = batches.with_codes(staging.read(staging.open_path(judged["path"])).to_pandas(), shop)
    read = batches.Reading(
        mark=reading["mark"],
        window_end=datetime.fromisoformat(reading["window_end"]),
        resend=reading["resend"],
        allow_reopen=shop.allow_reopen,
    )

    run = _run_ref(shop, reading["extraction_id"], context)

    def compare() -> tuple[News, pd.DataFrame, pd.Series]:
        ledger.note_unanswered(shop.shop)
        news = ledger.news(run)
        known = ledger.lookup(shop.shop, orders["order_id"].tolist(), reading["extraction_id"])
        return news, known, batches.compare(orders, known, read)

    news, known, verdicts = compare()
    unchanged = batches.newly_unchanged(orders, known, verdicts)
    if not context["params"]["dry_run"] and (notes := Readings(ledger).overtake(run, unchanged)):
        log.info("Partition %d: noted %d orders for readings that are still open.", partition["index"], notes)
        news, known, verdicts = compare()
    held_back = orders[verdicts == batches.REOPENED]
    _quarantine(
        shop,
        [
            RejectedRow(order_id, status, str(updated_at), batches.REOPENED)
            for order_id, status, updated_at in held_back[["order_id", "status", "updated_at"]].itertuples(False, None)
        ],
        context,
    )
    due = orders[verdicts == batches.SEND]
    basis = batches.basis_of(news, read)
    # A file for each basis: a try that was taken for dead may wake up and write what it found, of another one.
    name = "-".join([f"batches-{judged['index']:04}", *map(str, basis.values())])
    # The shop's own status as well: which of them is sent is up to the connection, and asked when it is sent.
    path = _stage(due[["order_id", "status", "code", "updated_at"]], reading, f"{name}.parquet")
    counts = batches.counts_of(verdicts)
    log.info("Partition %d: %s.", judged["index"], ", ".join(f"{count} {name}" for name, count in counts.items()))
    return Batches(
        index=judged["index"],
        name=partition["name"],
        reading=reading,
        path=str(path),
        orders=len(due),
        compared_at=basis,
        by_status={str(code): int(count) for code, count in due["code"].value_counts().items()},
        preview=preview_of(due, known) if context["params"]["dry_run"] or shop.on_limit == "ask" else None,
        unchanged=counts[batches.UNCHANGED],
        stale=counts[batches.STALE],
        reopened=counts[batches.REOPENED],
    )


def approve_changes(
    shop_file: str, judged: Sequence[Judged], built: Sequence[Batches], **context: Any
) -> list[Batches]:
    """
    Stop the run before anything is sent when it would reject or change more than the shop file allows.

    :return: the partitions that have something to send; none in a dry run, and none where a person is to be asked: then
        the XCom ``question`` holds them.
    :raises LimitExceededError: a limit is exceeded, ``ignore_limits`` is not set, and the shop file says to fail.
    """
    from rees46_sync.exceptions import LimitExceededError
    from rees46_sync.pipeline.limits import exceeded_limits

    shop, params = _shop(shop_file), context["params"]
    # A slice asks Airflow once; iterating over the results of a mapped task asks once for each, and once too often.
    judged, built = judged[:], built[:]
    reading = judged[0]["reading"]
    read = reading["read"]
    rejected, changed = sum(result["rejected"] for result in judged), sum(result["orders"] for result in built)
    counters = {"rejected_share": rejected / read, "changed_orders": changed}
    exceeded = exceeded_limits(counters, shop.limits)
    figures = {
        "rejected_share": f"{rejected} of {read} rows are rejected, a share of {rejected / read:.4f}",
        "changed_orders": f"{changed} orders would change",
    }
    found = "; ".join(f"{figures[name]} (limit {name}: {getattr(shop.limits, name)})" for name in exceeded)
    if exceeded and not (params["ignore_limits"] or params["dry_run"]):
        # For the alert: account_for_rows cannot tell from a failed task why it failed.
        context["ti"].xcom_push(key="limit", value={"extraction_id": reading["extraction_id"], "found": found})
        if shop.on_limit == "ask":
            from rees46_sync.monitoring import rules as monitoring
            from rees46_sync.pipeline.approval import question_of

            # Not returned: what may go out without a person's word is nothing, also in a DAG that does not ask yet.
            context["ti"].xcom_push(key="question", value=question_of(shop, counters, exceeded, found, judged, built))
            ti = context["ti"]
            monitoring.when_asked(shop, _ledger(shop), _window_of(reading), found, ti.dag_id, ti.run_id)
            log.warning("Shop %s: %s. A person is asked.", shop.shop, found)
            return []
        from rees46_sync.pipeline.account_for_rows import reasons_of

        largest = ", ".join(f"{code} {count}" for code, count in reasons_of(judged).most_common(3))
        raise LimitExceededError(
            f"Shop {shop.shop}: {found}. Nothing was sent. Most frequent reasons: {largest or 'no row is rejected'}. "
            f"If this is right, start a run by hand with ignore_limits, window_start {reading['window_start']} and "
            f"window_end {reading['window_end']}; if not, mend the rows or {shop.file.name}, and the next run does it. "
            "dry_run shows what would be sent."
        )
    if exceeded:
        reason = "nothing is sent in a dry run" if params["dry_run"] else "ignore_limits is set"
        log.warning("Shop %s: %s. Going on, because %s.", shop.shop, found, reason)
    else:
        log.info("Within the limits: %s.", "; ".join(figures.values()))
    if params["dry_run"]:
        log.info("Dry run: nothing is sent.")
        return []
    return [Batches(**{**batches, "preview": None}) for batches in built if batches["orders"]]


def account_for_rows(
    shop_file: str,
    judged: Sequence[Judged],
    built: Sequence[Batches],
    loaded: Sequence[dict[str, Any]],
    *,
    history: bool,
    **context: Any,
) -> dict[str, int]:
    """
    Add the run up, whatever became of it; record it in ``rees46_sync_runs``, log it as a table, and see to the alerts.

    The alerts are seen to here, in the task that always runs and right after the record that they are judged by: a
    callback of Airflow's would be lost with the process that was to make it, and could not be tried again.

    :return: the account as one flat object.
    :raises RunFailedError: something did not finish, or was not sent.
    :raises AccountingError: a row is unaccounted for.
    """
    from rees46_sync.airflow_adapters import staging
    from rees46_sync.exceptions import AccountingError, RunFailedError
    from rees46_sync.ledger import retention
    from rees46_sync.ledger.confirmations import Readings
    from rees46_sync.pipeline.account_for_rows import Account, Closing, Results, close, report

    shop = _shop(shop_file)
    ledger = _ledger(shop)
    # Pulled, not passed: a task that failed or was skipped left none, and a pull takes that without an error line.
    pull = context["ti"].xcom_pull
    reading: Reading | None = pull(task_ids="extract_orders", key="reading")
    extraction_id = reading["extraction_id"] if reading else ""
    dry_run = bool(context["params"]["dry_run"])
    question = pull(task_ids="approve_changes", key="question")
    asked = ledger.latest_approval(context["ti"].dag_id, context["ti"].run_id) if question else None
    results = Results(
        reading=reading,
        partitions=pull(task_ids="extract_orders") or [],
        judged=judged[:],
        built=built[:],
        approved=pull(task_ids="ask_approval" if question else "approve_changes"),
        approval=asked if asked and asked.extraction_id == extraction_id else None,
        loaded=loaded[:],
        delivered=ledger.delivered(extraction_id) if reading else {},
        requests=ledger.requests_made(extraction_id) if reading else 0,
        dry_run=dry_run,
    )
    window = _window_of(reading) if reading else _window_not_read(shop, ledger, history, context)
    try:
        closing = close(results)
    except AccountingError as error:
        _see_to_alerts(shop, ledger, results, window, Closing(Account(), Counter(), [str(error)]), history, context)
        raise
    text = report(shop, results, closing)
    log.info("%s", text)
    if not dry_run:
        _record(ledger, shop, reading, window, closing, context)
        _measure(ledger, shop, reading, closing, context)
    _see_to_alerts(shop, ledger, results, window, closing, history, context)
    if not dry_run:
        retention.after_run(shop, ledger)
    if closing.unfinished:
        context["ti"].xcom_push(key="return_value", value=closing.as_row)
        raise RunFailedError(
            f"Shop {shop.shop}: {'; '.join(closing.unfinished)}. See the logs of these tasks; the next run of this "
            "shop reads the same orders again and sends what is missing."
        )
    if reading:
        staging.remove(staging.open_path(reading["folder"]))
        Readings(ledger).end(shop.shop, extraction_id)
    return closing.as_row


def list_shops(shops: str) -> list[ListedShop]:
    """
    Return every shop file that there is now, those that cannot be used as well: nobody knows how fresh their shops are.

    :param shops: the folder of shop files.
    :raises ShopFileError: no shop can be looked at.
    """
    found, errors = load_shops(Path(shops))
    if not found:
        raise errors[0]
    unusable = [ListedShop(name=error.file, file=error.file, faults=list(error.faults)) for error in errors]
    return [*(ListedShop(name=shop.shop, file=shop.file.name, faults=[]) for shop in found), *unusable]


def check_freshness(shop: ListedShop, shops: str) -> None:
    """
    See whether a shop's changes reach REES46 in time; tell it where that changes.

    :param shops: the folder of shop files.
    :raises FreshnessLostError: they do not.
    :raises LedgerError: the ledger does not answer, so nobody knows.
    :raises ShopFileError: the shop file cannot be used, so nobody knows either.
    """
    from rees46_sync.monitoring import rules as monitoring

    if shop["faults"]:
        raise ShopFileError(shop["file"], *shop["faults"])
    monitoring.check_freshness(load_shop(Path(shops) / shop["file"]))


def _record(
    ledger: Ledger,
    shop: Shop,
    reading: Reading | None,
    window: Window | None,
    closing: Closing,
    context: dict[str, Any],
) -> None:
    """Store the run's row."""
    now = datetime.now(UTC)
    ledger.save_run(
        shop=shop.shop,
        dag_id=context["ti"].dag_id,
        run_id=context["ti"].run_id,
        window_start=window and window.start,
        window_end=window and window.end,
        window_widened=bool(window and window.widened),
        outcome="failed" if closing.unfinished else "success",
        started_at=datetime.fromisoformat(reading["started_at"]) if reading else now,
        finished_at=now,
        **asdict(closing.account),
    )


def _measure(ledger: Ledger, shop: Shop, reading: Reading | None, closing: Closing, context: dict[str, Any]) -> None:
    """Tell Airflow's metrics of the run."""
    now, covered = datetime.now(UTC), ledger.covered_until(shop.shop, shop.lookback)
    Metrics(shop.shop, context["ti"].dag_id).run(
        asdict(closing.account),
        succeeded=not closing.unfinished,
        duration=now - datetime.fromisoformat(reading["started_at"]) if reading else None,
        age=now - covered if covered else None,
    )


def _see_to_alerts(
    shop: Shop,
    ledger: Ledger,
    results: Results,
    window: Window | None,
    closing: Closing,
    history: bool,
    context: dict[str, Any],
) -> None:
    """Judge the alerts that the run speaks about, and tell who is to be told; a dry run speaks about none."""
    from rees46_sync.monitoring import rules as monitoring

    if results.dry_run:
        return
    run = monitoring.FinishedRun(
        dag_id=context["ti"].dag_id,
        run_id=context["ti"].run_id,
        history=history,
        scheduled=context["dag_run"].run_type == "scheduled",
        window=window,
        results=results,
        closing=closing,
        limit=context["ti"].xcom_pull(task_ids="approve_changes", key="limit"),
    )
    monitoring.after_run(shop, ledger, run)


def _check_mappable(shop: Shop, extraction: Extraction) -> None:
    """Refuse more partitions than Airflow maps tasks over; it would say so less clearly."""
    from airflow.sdk.configuration import conf

    most = conf.getint("core", "max_map_length", fallback=1024)
    if len(extraction.partitions) > most:
        raise ShopFileError(
            shop.file.name,
            f"partition_rows is {shop.partition_rows}, which makes {len(extraction.partitions)} partitions of this "
            f"window, and Airflow maps at most {most} tasks (core.max_map_length); set it to "
            f"{-(-extraction.read // most)} or more, or name a shorter window",
        )


def _shop(shop_file: str, partition: Partition | None = None) -> Shop:
    """Read the shop file; from here on each line of the task's log says of which shop and partition it is."""
    shop = load_shop(Path(shop_file))
    bind_contextvars(shop=shop.shop, **({"partition": partition["index"]} if partition else {}))
    return shop


def _run_ref(shop: Shop, extraction_id: str, context: dict[str, Any]) -> RunRef:
    from rees46_sync.ledger.database import RunRef

    return RunRef(shop.shop, context["ti"].dag_id, context["ti"].run_id, extraction_id)


def _ledger(shop: Shop) -> Ledger:
    """Open the ledger, whose tables are there, and up to date, afterwards."""
    from rees46_sync.ledger.database import Ledger

    ledger = Ledger.of_connection(shop.ledger_conn_id)
    ledger.create()
    return ledger


def _window(shop: Shop, ledger: Ledger, history: bool, context: dict[str, Any]) -> Window:
    run, params = context["dag_run"], context["params"]
    interval = (run.data_interval_start, run.data_interval_end) if run.data_interval_start else None
    return window_of_run(
        interval=interval,
        asked_at=run.run_after,
        covered_until=ledger.covered_until(shop.shop, shop.lookback),
        lookback=shop.lookback,
        as_it_is=history or run.run_type == "backfill",
        named_start=params["window_start"],
        named_end=params["window_end"],
    )


def _window_of(reading: Reading) -> Window:
    start, end = datetime.fromisoformat(reading["window_start"]), datetime.fromisoformat(reading["window_end"])
    return Window(start, end, reading["window_widened"])


def _window_not_read(shop: Shop, ledger: Ledger, history: bool, context: dict[str, Any]) -> Window | None:
    """Return the window that a failed extraction should have read; None where it is the window that was at fault."""
    try:
        return _window(shop, ledger, history, context)
    except WindowError:
        return None


def _quarantine(shop: Shop, rows: Sequence[RejectedRow], context: dict[str, Any]) -> None:
    """Store rejected rows; a dry run leaves no trace."""
    if not rows or context["params"]["dry_run"]:
        return
    new = _ledger(shop).quarantine(shop.shop, context["ti"].run_id, rows)
    log.info("Quarantine: %d rows, %d of them for the first time.", len(rows), new)


def _stage(frame: Any, reading: Reading, name: str) -> UPath:
    """Write a data frame beside the partitions of its reading."""
    import pyarrow as pa

    from rees46_sync.airflow_adapters import staging

    path = staging.open_path(reading["folder"]) / name
    staging.write(pa.Table.from_pandas(frame, preserve_index=False), path)
    return path
