"""What the ledger records about the shop's runs, and whether it can be written; it is left as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from rees46_sync.doctor.findings import TIMEOUT_S, Finding, error, ok, warning, within
from rees46_sync.formatting import timestamp
from rees46_sync.shop.shop import Shop

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    from rees46_sync.ledger.database import Ledger
    from rees46_sync.monitoring.freshness import SyncProgress

MAX_GAPS = 10
"""The gaps that get a finding each, the oldest first."""

REQUEST_CHARACTERS = 60_000
"""What a request of a thousand orders takes in the ledger."""

OVERDUE = timedelta(hours=24)
"""REES46's requirement: synchronise at least every 24 hours."""


def missing_tables(hook: DbApiHook) -> list[str]:
    """Return the names of missing ledger tables; Ledger is not used because it prepares a SQLite file for writing."""
    import sqlalchemy as sa

    from rees46_sync.airflow_adapters.connections import create_engine
    from rees46_sync.ledger.tables import metadata

    engine = create_engine(hook)
    try:
        found = within(TIMEOUT_S, lambda: sa.inspect(engine).get_table_names())
    finally:
        engine.dispose()
    return sorted(metadata.tables.keys() - set(found))


def examine(shop: Shop, hook: DbApiHook) -> Iterator[Finding]:
    """
    Return findings about the progress of the shop's syncs.

    :raises LedgerError: the ledger does not answer.
    :raises LedgerSchemaError: a newer version of this project created its tables.
    """
    from rees46_sync.ledger.database import interactive_ledger
    from rees46_sync.ledger.mappings import corrected_mapping
    from rees46_sync.ledger.quarantine import Quarantine
    from rees46_sync.monitoring.freshness import sync_progress

    missing = missing_tables(hook)
    if missing:
        yield no_tables(missing)
        return
    with interactive_ledger(shop.ledger_conn_id) as store:
        progress = sync_progress(store, shop.shop, shop.lookback)
        rejections = Quarantine(store).count(shop.shop)
        corrected = corrected_mapping(store, shop.shop, shop.codes) if store.has_tables() else None
        written = _write(shop, store)
    yield ok("ledger.tables", "all exist", missing=[])
    yield written
    yield _last_success(shop, progress.last_success, progress.failed_since)
    yield from _coverage(shop, progress)
    if corrected:
        remedy = f"make remap SHOP={shop.shop} shows what a run would send, and how to start it"
        yield warning("ledger.mapping", str(corrected), remedy, orders=corrected.orders)
    reasons = ", ".join(f"{code} {count:,}" for code, count in rejections.by_reason.most_common())
    yield ok(
        "ledger.quarantine",
        f"{rejections.rows:,} rows{f' ({reasons})' if reasons else ''}",
        rows=rejections.rows,
        reasons=dict(rejections.by_reason),
    )


def _write(shop: Shop, store: Ledger) -> Finding:
    """Write what a request writes, and take it back: a full disk, or a role that only reads, would stop each run."""
    import sqlalchemy as sa

    from rees46_sync.exceptions import LedgerError
    from rees46_sync.ledger.tables import deliveries, in_flight_requests

    now = datetime.now(UTC)
    of_doctor = {"shop": shop.shop, "extraction_id": "doctor"}
    request = {**of_doctor, "lease": 0, "orders": "[]".ljust(REQUEST_CHARACTERS)}
    delivery = {"dag_id": "doctor", "run_id": "doctor", "partition": 0, "orders": 0, "requests": 0}
    try:
        with store.transaction() as connection:
            connection.execute(sa.insert(in_flight_requests).values(**request))
            connection.execute(
                sa.insert(deliveries).values(**of_doctor, **delivery, outcome="unknown", answered_at=now)
            )
            connection.execute(sa.delete(in_flight_requests).where(in_flight_requests.c.extraction_id == "doctor"))
            connection.rollback()  # not to a savepoint: SQLite would count that as a change of the file
    except LedgerError as problem:
        remedy = "give its role the right to write (docs/ledger.md), or its disk room: until then nothing is sent"
        return error("ledger.write", problem.problem, remedy)
    return ok("ledger.write", "a request was written and taken back")


def _coverage(shop: Shop, progress: SyncProgress) -> Iterator[Finding]:
    from rees46_sync.monitoring.gaps import closing_command

    until, covered = progress.watermark, progress.coverage
    since = f"from {timestamp(covered.start)} to " if covered.start and until else ""
    value = f"{since}{timestamp(until)} UTC" if until else "nothing yet"
    data: dict[str, Any] = {
        "covered_from": covered.start and covered.start.isoformat(),
        "covered_until": until and until.isoformat(),
        "read_until": progress.read_until and progress.read_until.isoformat(),
    }
    if progress.is_data_late:
        read = timestamp(progress.read_until) if progress.read_until else "then"
        value += f": the data ended there, earlier than usual, when it was read at {read}"
        yield warning("ledger.covered_until", value, "see whether the warehouse is loaded", **data)
    else:
        yield ok("ledger.covered_until", value, **data)
    for gap in covered.gaps[:MAX_GAPS]:
        start, end = (timestamp(moment) for moment in gap)
        command = closing_command(shop.shop, gap)
        yield warning("ledger.gap", f"no run has delivered {start} to {end} UTC", f"run {command}", command=command)
    if (more := len(covered.gaps) - MAX_GAPS) > 0:
        yield warning("ledger.gap", f"{more} more gaps", "close these first")


def no_tables(missing: Sequence[str] | None = None) -> Finding:
    """Return a finding about missing tables; without a list, all of them are missing."""
    from rees46_sync.ledger.tables import metadata

    names = sorted(metadata.tables) if missing is None else list(missing)
    value = "do not exist yet" if len(names) == len(metadata.tables) else f"{', '.join(names)}: do not exist yet"
    return ok("ledger.tables", value, "the next run creates them, and migrates an older ledger", missing=names)


def _last_success(shop: Shop, last: datetime | None, failed_since: int) -> Finding:
    check, data = "ledger.last_success", {"last_success": last and last.isoformat(), "failed_since": failed_since}
    failed = f", and {failed_since} failed since" if failed_since else ""
    if last is None:
        value = f"no regular run has succeeded yet{failed}"
        note = "backfills, dry runs and runs with a window of their own do not count here"
    else:
        value, note = f"{timestamp(last)} UTC{failed}", ""
    dag = f"order_status_sync_{shop.shop}"
    if failed_since:
        return warning(check, value, f"see account_for_rows of the latest run of {dag}, and docs/operations.md", **data)
    if last and datetime.now(UTC) - last > OVERDUE:
        return warning(
            check,
            f"{value}: more than 24 hours ago, and REES46 asks for a synchronisation at least every 24 hours",
            f"check that the scheduler runs and {dag} is unpaused",
            **data,
        )
    return ok(check, value, note, **data)
