"""What the ledger knows of the shop's runs, asked without changing anything, its tables included."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from rees46_sync.doctor.findings import TIMEOUT_S, Finding, ok, warning, within
from rees46_sync.shop.shop import Shop

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

OVERDUE = timedelta(hours=24)
"""REES46: synchronise at least every 24 hours."""


def missing_tables(hook: DbApiHook) -> list[str]:
    """Return the ledger's tables that are not there; not through the ledger, which prepares a SQLite file to write."""
    import sqlalchemy as sa

    from rees46_sync.ledger.tables import metadata

    engine = hook.get_sqlalchemy_engine({"hide_parameters": True})
    try:
        found = within(TIMEOUT_S, lambda: sa.inspect(engine).get_table_names())
    finally:
        engine.dispose()
    return sorted(metadata.tables.keys() - set(found))


def examine(shop: Shop, hook: DbApiHook) -> Iterator[Finding]:
    """
    Say how far the shop's syncs got.

    :raises LedgerError: the ledger does not answer.
    :raises LedgerSchemaError: a newer version of this project made it.
    :raises ConnectionFieldsError: it is no database for a ledger.
    """
    from rees46_sync.ledger.database import Ledger
    from rees46_sync.monitoring.page.queries import open_reports

    Ledger.of_connection(shop.ledger_conn_id).engine.dispose()  # it connects to nothing, and refuses what is no ledger
    missing = missing_tables(hook)
    if missing:
        yield no_tables(missing)
        return
    with open_reports(shop.ledger_conn_id, shop.shop) as reports:
        freshness, rejections = reports.freshness(shop.lookback), reports.rejections()
    yield ok("ledger.tables", "all there", missing=[])
    yield _last_success(shop, freshness.last_success, freshness.failed_since)
    until = freshness.covered_until
    yield ok(
        "ledger.covered_until",
        f"{until:%Y-%m-%d %H:%M:%S} UTC" if until else "nothing yet",
        covered_until=until and until.isoformat(),
    )
    reasons = ", ".join(f"{code} {count:,}" for code, count in rejections.by_reason.most_common())
    yield ok(
        "ledger.quarantine",
        f"{rejections.rows:,} rows{f' ({reasons})' if reasons else ''}",
        rows=rejections.rows,
        reasons=dict(rejections.by_reason),
    )


def no_tables(missing: Sequence[str] | None = None) -> Finding:
    """Say that tables are missing; without a list, all of them."""
    from rees46_sync.ledger.tables import metadata

    names = sorted(metadata.tables) if missing is None else list(missing)
    value = "not there yet" if len(names) == len(metadata.tables) else f"{', '.join(names)}: not there yet"
    return ok("ledger.tables", value, "the next run makes them", missing=names)


def _last_success(shop: Shop, last: datetime | None, failed_since: int) -> Finding:
    check, data = "ledger.last_success", {"last_success": last and last.isoformat(), "failed_since": failed_since}
    failed = f", and {failed_since} failed since" if failed_since else ""
    if last is None:
        value = f"no regular run has succeeded yet{failed}"
        note = "backfills, dry runs and runs over a window of their own do not count here"
    else:
        value, note = f"{last:%Y-%m-%d %H:%M:%S} UTC{failed}", ""
    dag = f"order_status_sync_{shop.shop}"
    if failed_since:
        return warning(check, value, f"see account_for_rows of the latest run of {dag}, and docs/operations.md", **data)
    if last and datetime.now(UTC) - last > OVERDUE:
        return warning(
            check,
            f"{value}: more than 24 hours ago, and REES46 asks for a synchronisation at least every 24 hours",
            f"look whether the scheduler runs and {dag} is unpaused",
            **data,
        )
    return ok(check, value, note, **data)
