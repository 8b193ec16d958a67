"""How the warehouse would run the shop's query: where it reads a whole table."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rees46_sync.doctor.connections import ask, words_of
from rees46_sync.doctor.findings import Finding, ok, warning
from rees46_sync.shop.shop import Shop, read_query
from rees46_sync.window import Window

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

SMALL_COST = 1000
"""PostgreSQL's own estimate, about one for a page of 8 kB that is read: a scan below it needs no index."""

SMALL_ROWS = 1000
"""MySQL's and MariaDB's own estimate of the rows that they read, below which they prefer a scan to an index."""

_INDEX = "make an index on updated_at of this table, and let the query compare that column as it is, not converted"
_SORTED = (
    "let the query compare the stored column as it is, not converted, and keep the table sorted by it: DuckDB skips "
    "blocks by their smallest and largest value, and has no use for an index here"
)

_STORED_COLUMN = re.compile(r'\((?:"[^"]+"|\w+) (?:[<>=]|BETWEEN)')
"""In a condition as DuckDB writes it: a column by itself, not a function of it."""


@dataclass(frozen=True)
class Explainer:
    """
    How a database explains a query.

    :param prefix: what stands before the query.
    :param whole_tables: reads the answer's rows, and returns the tables that are read as a whole.
    :param remedy: what to do about it there.
    """

    prefix: str
    whole_tables: Callable[[Sequence[Sequence[Any]]], list[str]]
    remedy: str = _INDEX


def explain(check: str, hook: DbApiHook, shop: Shop, window: Window) -> Iterator[Finding]:
    """Have the shop's query over a window explained; it is not run."""
    explainer = EXPLAINERS.get(str(hook.conn_type))
    if explainer is None:
        yield ok(check, f"not tried: the doctor cannot read the plans of {hook.conn_type}", whole_tables=None)
        return
    bounds: dict[str, object] = {}
    for name, moment in (("window_start", window.start), ("window_end", window.end)):
        naive: datetime = moment.replace(tzinfo=None)
        bounds[name] = naive.isoformat(" ") if hook.conn_type == "sqlite" else naive
    # The paramstyle of the drivers that Airflow and SQLAlchemy use for these databases.
    paramstyle = "qmark" if hook.conn_type in ("sqlite", "duckdb") else "pyformat"
    statement, parameters = read_query(shop.query).for_driver(paramstyle, bounds)
    try:
        rows = ask(hook, explainer.prefix + statement, parameters)
    except Exception as fault:  # noqa: BLE001 - each database driver has error classes of its own
        yield warning(check, f"the database does not explain the query: {words_of(fault)}", "see query.rows")
        return
    tables = sorted(set(explainer.whole_tables(rows)))
    if tables:
        yield warning(check, f"reads the whole of {', '.join(tables)}", explainer.remedy, whole_tables=tables)
    else:
        yield ok(check, "reads no large table as a whole", whole_tables=[])


def sqlite_scans(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Read EXPLAIN QUERY PLAN: ``SCAN table``, also over an index; not what the query made itself (co-routines)."""
    details = [str(row[3]) for row in rows]
    made = {match[1] for detail in details if (match := re.match(r"(?:CO-ROUTINE|MATERIALIZE) (.+)", detail))}
    scanned = (re.match(r"SCAN (?:TABLE )?(\S+)", detail) for detail in details if detail != "SCAN CONSTANT ROW")
    return [match[1] for match in scanned if match and match[1] not in made and not match[1].startswith("(")]


def postgres_scans(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Read EXPLAIN (FORMAT JSON): sequential scans that cost something."""
    [[plan]] = rows
    nodes = _nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"], "Plans")
    return [
        node["Relation Name"]
        for node in nodes
        if node["Node Type"] == "Seq Scan" and node.get("Total Cost", 0) >= SMALL_COST
    ]


def duckdb_scans(rows: Sequence[Sequence[Any]]) -> list[str]:
    """Read EXPLAIN (FORMAT JSON): scans whose conditions compare no column as it is stored."""
    [[_, plan]] = rows
    nodes = [node for root in json.loads(plan) for node in _nodes(root, "children")]
    scans = [node["extra_info"] for node in nodes if node["name"].strip() == "SEQ_SCAN"]
    return [scan["Table"] for scan in scans if not _STORED_COLUMN.search(str(scan.get("Filters", "")))]


def mysql_scans(rows: Sequence[Sequence[Any]]) -> list[str]:
    """
    Read EXPLAIN's table: the tables of which every row, or an index as a whole, is read, and that are not small.

    MySQL has twelve columns, among them the partitions and the share of rows that remain; MariaDB has neither of them.
    """
    scans = []
    for row in rows:
        access, estimate = (row[4], row[9]) if len(row) > 10 else (row[3], row[8])
        table = str(row[2])
        count = re.match(r"\d+", str(estimate))  # MariaDB gives it as text, and may say more in it: "120 (3%)"
        if access in ("ALL", "index") and not table.startswith("<") and count and int(count[0]) >= SMALL_ROWS:
            scans.append(table)
    return scans


def _nodes(node: dict[str, Any], below: str) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get(below, ()):
        yield from _nodes(child, below)


EXPLAINERS = {
    "sqlite": Explainer("EXPLAIN QUERY PLAN ", sqlite_scans),
    "postgres": Explainer("EXPLAIN (FORMAT JSON) ", postgres_scans),
    "duckdb": Explainer("EXPLAIN (FORMAT JSON) ", duckdb_scans, _SORTED),
    "mysql": Explainer("EXPLAIN FORMAT=TRADITIONAL ", mysql_scans),
}
