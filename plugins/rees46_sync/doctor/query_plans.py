"""Whether the warehouse would read a whole table for the shop's query, according to its query plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rees46_sync.doctor.connections import ask, error_text
from rees46_sync.doctor.findings import Finding, ok, warning
from rees46_sync.shop.query import read_query
from rees46_sync.shop.shop import Shop
from rees46_sync.warehouse.databases import find_by_conn_type
from rees46_sync.window import Window

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook


def explain(check: str, hook: DbApiHook, shop: Shop, window: Window) -> Iterator[Finding]:
    """Explain the shop's query over a window; the query is not run."""
    database = find_by_conn_type(hook.conn_type)
    explainer = database.explainer
    if explainer is None:
        yield ok(check, f"not tried: the doctor cannot read the plans of {hook.conn_type}", whole_tables=None)
        return
    edges = {"window_start": window.start, "window_end": window.end}
    bounds = {name: database.time_parameter(moment.replace(tzinfo=None)) for name, moment in edges.items()}
    statement, parameters = read_query(shop.query).for_driver(database.paramstyle, bounds)
    try:
        rows = ask(hook, explainer.prefix + statement, parameters)
    except Exception as problem:  # noqa: BLE001 - each database driver has its own error classes
        yield warning(check, f"the database does not explain the query: {error_text(problem)}", "see query.rows")
        return
    tables = sorted(set(explainer.whole_tables(rows)))
    if tables:
        yield warning(check, f"reads the whole of {', '.join(tables)}", explainer.remedy, whole_tables=tables)
    else:
        yield ok(check, "reads no large table as a whole", whole_tables=[])
