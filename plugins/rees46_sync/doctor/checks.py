"""
The checks of one shop. They are independent: a problem that one of them finds never hides another.

A check is a generator of findings. Slow imports are inside the functions.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rees46_sync.airflow_adapters.pools import pool_name, pool_slots
from rees46_sync.doctor import connections, file_rights, ledger, out_of_reach, query_plans, rows
from rees46_sync.doctor.findings import (
    TIMEOUT_S,
    Finding,
    Level,
    Report,
    Surroundings,
    error,
    first_line,
    from_error,
    no_surroundings,
    ok,
    warning,
    within,
)
from rees46_sync.exceptions import QueryColumnsError, ShopFileError, SyncError
from rees46_sync.shop.shop import Shop
from rees46_sync.window import Window

if TYPE_CHECKING:
    from upath import UPath

EXPLAINED_WINDOW = timedelta(hours=1)
"""Length of the window for which the query is explained: what an hourly run would read without its lookback."""

STAGING_TIMEOUT_S = 60
"""The client of an object store makes several attempts before it gives up."""


def examine(shop: Shop, days: float, surroundings: Surroundings = no_surroundings, entity: str | None = None) -> Report:
    """
    Check everything that a run of this shop needs.

    :param days: length of the window that the query reads; it ends now.
    :param surroundings: entered while the shop is examined.
    :param entity: a column of the query that tells entities apart which may share order ids, such as a store id.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    findings = [ok("shop.file", str(shop.file))]
    with surroundings(shop) as added:
        findings += added
        findings += _guarded("warehouse.connection", _warehouse(shop, Window(now - timedelta(days=days), now), entity))
        findings += _guarded("rees46.connection", _rees46(shop))
        findings += _guarded("ledger.connection", _ledger(shop))
        findings += _guarded("staging.shared", _shared(shop))
        findings += _guarded("staging.write", _staging(shop))
        findings += _guarded("pool", _pool(shop))
    return Report(shop.shop, str(shop.file), findings)


def report_broken_file(broken: ShopFileError) -> Report:
    """Return the problems of a shop file as a report."""
    findings = [error("shop.file", one.problem, one.remedy) for one in broken.problems]
    return Report(Path(broken.file).stem, broken.file, findings)


def _guarded(check: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Return the findings of a check; if it fails before its end, also the reason."""
    try:
        yield from findings
    except QueryColumnsError as problem:
        yield from_error("query.columns", problem)
    except SyncError as problem:
        yield from_error(check, problem)
    except TimeoutError as problem:
        yield error(check, str(problem), "find out what it waits for, such as a lock or a firewall, and try again")
    except Exception as problem:  # noqa: BLE001 - an error of a driver, or a defect of this check; the others continue
        # Without its message: that of an unforeseen error may quote a connection.
        place = extract_tb(problem.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        yield error(check, f"could not be examined: {type(problem).__name__} in {where}", "report this line, or fix it")


def _warehouse(shop: Shop, window: Window, entity: str | None) -> Iterator[Finding]:
    from rees46_sync.airflow_adapters.connections import get_database_hook

    hook = get_database_hook(shop.warehouse_conn_id)
    if file := connections.missing_file(hook):
        remedy = "correct the connection; the demo's file is made by make run"
        yield error("warehouse.connection", f"{connections.describe_connection(hook)}: there is no file {file}", remedy)
        return
    connected = connections.answers("warehouse.connection", hook)
    yield connected
    if connected.level is Level.ERROR:
        return
    yield from _guarded("warehouse.clock", connections.clock("warehouse.clock", hook))
    yield from _guarded("warehouse.files", file_rights.findings("warehouse.files", hook))
    hour = Window(window.end - EXPLAINED_WINDOW, window.end)
    yield from _guarded("query.plan", query_plans.explain("query.plan", hook, shop, hour))
    yield from _guarded("query.rows", _rows(shop, window, entity))


def _rows(shop: Shop, window: Window, entity: str | None) -> Iterator[Finding]:
    yield from rows.findings(shop, rows.read(shop, window), entity)
    yield from _guarded("query.out_of_reach", out_of_reach.findings(shop))


def _rees46(shop: Shop) -> Iterator[Finding]:
    from rees46_sync.airflow_adapters.encryption import is_loopback
    from rees46_sync.rees46.hook import Rees46Hook

    hook = Rees46Hook(shop.rees46_conn_id)
    fields: dict[str, Any] = {
        "url": hook.settings.url,
        "dialect": hook.settings.dialect.name,
        "concurrency": hook.settings.concurrency,
        "timeout_s": hook.settings.timeout_s,
        "min_interval_s": hook.settings.min_interval_s,
    }
    value = f"{shop.rees46_conn_id}: " + ", ".join(f"{name} {field}" for name, field in fields.items())
    parts = urlsplit(hook.settings.url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        remedy = "remove schema http from the connection, so that https is used: the shop's secret is sent unencrypted"
        yield warning("rees46.connection", value, remedy, **fields)
    else:
        yield ok("rees46.connection", value, **fields)
    reachability = hook.check_reachability()
    level = Level.OK if reachability.works else Level.ERROR
    yield Finding("rees46.reached", level, reachability.seen, reachability.remedy)


def _ledger(shop: Shop) -> Iterator[Finding]:
    from rees46_sync.airflow_adapters.connections import get_database_hook
    from rees46_sync.ledger.database import Ledger

    # This does not connect; it raises for a kind of database that is not supported.
    Ledger.from_conn_id(shop.ledger_conn_id).engine.dispose()
    hook = get_database_hook(shop.ledger_conn_id)
    if file := connections.missing_file(hook):
        value = f"{connections.describe_connection(hook)}: there is no file yet"
        if file.parent.is_dir():
            yield ok("ledger.connection", value, "the first run creates it")
            yield ledger.no_tables()
        else:
            yield error("ledger.connection", value, f"create the folder {file.parent}, or correct the connection")
        return
    connected = connections.answers("ledger.connection", hook)
    yield connected
    if connected.level is not Level.ERROR:
        yield from _guarded("ledger.clock", connections.clock("ledger.clock", hook))
        yield from _guarded("ledger.tables", ledger.examine(shop, hook))


def _shared(shop: Shop) -> Iterator[Finding]:
    from rees46_sync.airflow_adapters import executors, staging

    staging.check_shared(shop)
    executor = executors.distributed()
    yield ok("staging.shared", f"several machines: {executor}" if executor else "all tasks run on one machine")


def _staging(shop: Shop) -> Iterator[Finding]:
    from rees46_sync.airflow_adapters import staging

    try:
        root = staging.shop_root(shop)
        within(STAGING_TIMEOUT_S, lambda: _write_and_remove(root))
    except (SyncError, TimeoutError):
        raise
    except Exception as problem:  # noqa: BLE001 - each object store has its own error classes
        remedy = f"correct staging in {shop.file.name}, or the connection that it names"
        yield error("staging.write", f"{shop.staging}: {type(problem).__name__}: {first_line(problem)}", remedy)
        return
    yield ok("staging.write", f"{root}: a file was written, read and removed")


def _write_and_remove(root: UPath) -> None:
    """Write a small file as the tasks do, read it and remove it, with the folders that were created for it."""
    from rees46_sync.airflow_adapters import staging

    # An object store has no folders. One that stays here might not be writable for the tasks.
    local = Path(root.path) if root.protocol in ("file", "local") else None
    missing = [folder for folder in (local, *local.parents) if not folder.exists()] if local else []
    file = root / f"doctor-{uuid.uuid4().hex}.txt"
    try:
        staging.write_text(file.name, file)
        if file.read_text(encoding="utf-8") != file.name:
            raise OSError(f"{file} holds something other than was written")
    finally:
        with suppress(FileNotFoundError):
            file.unlink()
        for folder in missing:
            with suppress(OSError):  # a run has written into it meanwhile
                folder.rmdir()


def _pool(shop: Shop) -> Iterator[Finding]:
    import sqlalchemy as sa
    from airflow.sdk.configuration import conf

    name = pool_name(shop.shop)
    database = sa.make_url(conf.get("database", "sql_alchemy_conn"))
    url = database.render_as_string(hide_password=True)
    try:
        if database.get_backend_name() == "sqlite" and not Path(database.database or "").exists():
            raise FileNotFoundError("no such file")
        import airflow.models.pool  # noqa: F401 - its import must not count as the database's time

        slots = within(TIMEOUT_S, lambda: pool_slots(name))
    except Exception as problem:  # noqa: BLE001 - a problem of Airflow's database is not one of the shop
        yield warning(
            "pool",
            f"pool {name} cannot be read from Airflow's metadata database {url}: {connections.error_text(problem)}",
            "start the doctor with the AIRFLOW_HOME and AIRFLOW__… variables of the scheduler; connections that are "
            "stored in that database are not found without it either",
            slots=None,
        )
        return
    if slots is None:
        yield ok(
            "pool", f"{name} does not exist yet", "the plugin creates it when the shop's first run starts", slots=None
        )
    elif slots == 1:
        yield ok("pool", f"{name} has one slot", slots=1)
    else:
        level = Level.ERROR if slots == 0 else Level.WARNING
        why = "no load will ever start" if slots == 0 else "an older status may be sent after a newer one"
        value = f"{name} has {'unlimited' if slots < 0 else slots} slots: {why}"
        yield Finding("pool", level, value, f"airflow pools set {name} 1 REES46", {"slots": slots})
