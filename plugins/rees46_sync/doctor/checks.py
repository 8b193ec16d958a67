"""
The checks of one shop, each by itself: one broken thing never hides the others.

A check is a generator of findings. Every import that costs time is inside a function.
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

from rees46_sync.airflow_adapters.pools import pool_of, slots_of
from rees46_sync.doctor import connections as databases
from rees46_sync.doctor import environment as surroundings
from rees46_sync.doctor import ledger, rows
from rees46_sync.doctor import query_plans as plans
from rees46_sync.doctor.findings import (
    TIMEOUT_S,
    Finding,
    Level,
    Report,
    error,
    first_line,
    of_error,
    ok,
    warning,
    within,
)
from rees46_sync.exceptions import QueryColumnsError, ShopFileError, SyncError
from rees46_sync.shop.shop import Shop
from rees46_sync.window import Window

if TYPE_CHECKING:
    from upath import UPath

EXPLAINED = timedelta(hours=1)
"""The window of the query that is explained: what an hourly run would read without its lookback."""

STAGING_TIMEOUT_S = 60
"""An object store's client tries several times before it gives up."""


def examine(shop: Shop, days: float) -> Report:
    """
    Look at everything that a run of this shop needs.

    :param days: how far the query looks back from now.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    findings = [ok("shop.file", str(shop.file))]
    with surroundings.demo_connections(shop) as note:
        findings += [ok("shop.demo", note)] if note else []
        findings += _guarded("warehouse.connection", _warehouse(shop, Window(now - timedelta(days=days), now)))
        findings += _guarded("rees46.connection", _rees46(shop))
        findings += _guarded("ledger.connection", _ledger(shop))
        findings += _guarded("staging.shared", _shared(shop))
        findings += _guarded("staging.write", _staging(shop))
        findings += _guarded("pool", _pool(shop))
    return Report(shop.shop, str(shop.file), findings)


def of_broken_file(fault: ShopFileError) -> Report:
    """Turn what is wrong with a shop file into a report."""
    findings = []
    for one in fault.faults:
        problem, _, remedy = one.partition("; ")
        findings.append(error("shop.file", problem, remedy))
    return Report(Path(fault.file).stem, fault.file, findings)


def _guarded(check: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Give the findings of a check; where it breaks off, also why."""
    try:
        yield from findings
    except QueryColumnsError as fault:
        yield of_error("query.columns", fault)
    except SyncError as fault:
        yield of_error(check, fault)
    except TimeoutError as fault:
        yield error(check, str(fault), "look at what it waits for, such as a lock or a firewall, and try again")
    except Exception as fault:  # noqa: BLE001 - a driver's error, or a defect of this check; the others go on
        # Not its words: what nobody foresaw may quote a connection.
        place = extract_tb(fault.__traceback__)[-1]
        where = f"{Path(place.filename).name}, line {place.lineno}"
        yield error(check, f"could not be examined: {type(fault).__name__} in {where}", "report this line, or mend it")


def _warehouse(shop: Shop, window: Window) -> Iterator[Finding]:
    from rees46_sync.airflow_adapters.connections import get_database_hook

    hook = get_database_hook(shop.warehouse_conn_id)
    if file := databases.missing_file(hook):
        remedy = "correct the connection; the demo's file is made by make run"
        yield error("warehouse.connection", f"{databases.place_of(hook)}: there is no file {file}", remedy)
        return
    connected = databases.answers("warehouse.connection", hook)
    yield connected
    if connected.level is Level.ERROR:
        return
    yield from _guarded("warehouse.clock", databases.clock("warehouse.clock", hook))
    hour = Window(window.end - EXPLAINED, window.end)
    yield from _guarded("query.plan", plans.explain("query.plan", hook, shop, hour))
    yield from _guarded("query.rows", _rows(shop, window))


def _rows(shop: Shop, window: Window) -> Iterator[Finding]:
    yield from rows.findings(shop, rows.read(shop, window))


def _rees46(shop: Shop) -> Iterator[Finding]:
    from rees46_sync.rees46.hook import Rees46Hook, is_loopback

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
        remedy = "remove schema http from the connection, so that https is used: the shop's secret goes out unencrypted"
        yield warning("rees46.connection", value, remedy, **fields)
    else:
        yield ok("rees46.connection", value, **fields)
    reached, words = hook.test_connection()
    value, _, remedy = words.rstrip(".").partition(". " if reached else "; ")
    yield Finding("rees46.reached", Level.OK if reached else Level.ERROR, value, remedy)


def _ledger(shop: Shop) -> Iterator[Finding]:
    from rees46_sync.airflow_adapters.connections import get_database_hook

    hook = get_database_hook(shop.ledger_conn_id)
    if file := databases.missing_file(hook):
        value = f"{databases.place_of(hook)}: there is no file yet"
        if file.parent.is_dir():
            yield ok("ledger.connection", value, "the first run makes it")
            yield ledger.no_tables()
        else:
            yield error("ledger.connection", value, f"make the folder {file.parent}, or correct the connection")
        return
    connected = databases.answers("ledger.connection", hook)
    yield connected
    if connected.level is not Level.ERROR:
        yield from _guarded("ledger.clock", databases.clock("ledger.clock", hook))
        yield from _guarded("ledger.tables", ledger.examine(shop, hook))


def _shared(shop: Shop) -> Iterator[Finding]:
    from rees46_sync.airflow_adapters import executors, staging

    staging.check_shared(shop)
    found = executors.distributed()
    yield ok("staging.shared", f"several machines: {found}" if found else "all tasks run on one machine")


def _staging(shop: Shop) -> Iterator[Finding]:
    from rees46_sync.airflow_adapters import staging

    try:
        root = staging.root_of(shop)
        within(STAGING_TIMEOUT_S, lambda: _write_and_remove(root))
    except (SyncError, TimeoutError):
        raise
    except Exception as fault:  # noqa: BLE001 - each object store has error classes of its own
        remedy = f"correct staging in {shop.file.name}, or the connection that it names"
        yield error("staging.write", f"{shop.staging}: {type(fault).__name__}: {first_line(fault)}", remedy)
        return
    yield ok("staging.write", f"{root}: a file was written, read and removed")


def _write_and_remove(root: UPath) -> None:
    """Write a small file as the tasks do, read it, and leave nothing: a folder of ours may not be writable for them."""
    from rees46_sync.airflow_adapters import staging

    # An object store knows no folders.
    local = Path(root.path) if root.protocol in ("file", "local") else None
    missing = [folder for folder in (local, *local.parents) if not folder.exists()] if local else []
    file = root / f"doctor-{uuid.uuid4().hex}.txt"
    try:
        staging.write_text(file.name, file)
        if file.read_text(encoding="utf-8") != file.name:
            raise OSError(f"{file} holds something else than was written")
    finally:
        with suppress(FileNotFoundError):
            file.unlink()
        for folder in missing:
            with suppress(OSError):  # a run has put something into it meanwhile
                folder.rmdir()


def _pool(shop: Shop) -> Iterator[Finding]:
    import sqlalchemy as sa
    from airflow.sdk.configuration import conf

    name = pool_of(shop.shop)
    place = sa.make_url(conf.get("database", "sql_alchemy_conn"))
    where = place.render_as_string(hide_password=True)
    try:
        if place.get_backend_name() == "sqlite" and not Path(place.database or "").exists():
            raise FileNotFoundError("no such file")
        import airflow.models.pool  # noqa: F401 - not within the time that the database may take

        slots = within(TIMEOUT_S, lambda: slots_of(name))
    except Exception as fault:  # noqa: BLE001 - whatever keeps us from Airflow's database is no fault of the shop
        yield warning(
            "pool",
            f"Airflow's metadata database {where} cannot be asked for pool {name}: {databases.words_of(fault)}",
            "start the doctor with the AIRFLOW_HOME and AIRFLOW__… variables of the scheduler; connections that are "
            "stored in that database are not found without it either",
            slots=None,
        )
        return
    if slots is None:
        yield ok("pool", f"{name} is not there yet", "the plugin makes it when the shop's first run starts", slots=None)
    elif slots == 1:
        yield ok("pool", f"{name} has one slot", slots=1)
    else:
        level = Level.ERROR if slots == 0 else Level.WARNING
        why = "no load will ever start" if slots == 0 else "an older status may be sent after a newer one"
        value = f"{name} has {'endless' if slots < 0 else slots} slots: {why}"
        yield Finding("pool", level, value, f"airflow pools set {name} 1 REES46", {"slots": slots})
