"""How each kind of database explains a query, and which tables its plan reads as a whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

SMALL_COST = 1000
"""PostgreSQL's own estimate, about 1 for each page of 8 kB that is read: a cheaper scan needs no index."""

SMALL_ROWS = 1000
"""Rows to read, as MySQL and MariaDB estimate them: below this they prefer a scan to an index."""

INDEX = "make an index on updated_at of this table, and let the query compare that column as it is, not converted"
SORTED_COLUMN = (
    "let the query compare the stored column as it is, not converted, and keep the table sorted by it: DuckDB skips "
    "blocks by their smallest and largest value, and has no use for an index here"
)

_STORED_COLUMN = re.compile(r'\((?:"[^"]+"|\w+) (?:[<>=]|BETWEEN)')
"""In a condition as DuckDB writes it: a column by itself, not a function of it."""

Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Explainer:
    """
    How a database explains a query.

    :param prefix: what to write before the query.
    :param whole_tables: takes the rows of the explanation; returns the tables that are read as a whole.
    :param remedy: what to do about such a table.
    """

    prefix: str
    whole_tables: Callable[[Rows], list[str]]
    remedy: str = INDEX


def sqlite_scans(rows: Rows) -> list[str]:
    """Read EXPLAIN QUERY PLAN: ``SCAN table``, also by an index; not what the query itself makes (co-routines)."""
    details = [str(row[3]) for row in rows]
    made = {match[1] for detail in details if (match := re.match(r"(?:CO-ROUTINE|MATERIALIZE) (.+)", detail))}
    scanned = (re.match(r"SCAN (?:TABLE )?(\S+)", detail) for detail in details if detail != "SCAN CONSTANT ROW")
    return [match[1] for match in scanned if match and match[1] not in made and not match[1].startswith("(")]


def postgres_scans(rows: Rows) -> list[str]:
    """Read EXPLAIN (FORMAT JSON): sequential scans that cost :data:`SMALL_COST` or more."""
    [[plan]] = rows
    nodes = _nodes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"], "Plans")
    return [
        node["Relation Name"]
        for node in nodes
        if node["Node Type"] == "Seq Scan" and node.get("Total Cost", 0) >= SMALL_COST
    ]


def duckdb_scans(rows: Rows) -> list[str]:
    """Read EXPLAIN (FORMAT JSON): scans whose conditions compare no column as it is stored."""
    [[_, plan]] = rows
    nodes = [node for root in json.loads(plan) for node in _nodes(root, "children")]
    scans = [node["extra_info"] for node in nodes if node["name"].strip() == "SEQ_SCAN"]
    return [scan["Table"] for scan in scans if not _STORED_COLUMN.search(str(scan.get("Filters", "")))]


def mysql_scans(rows: Rows) -> list[str]:
    """
    Read EXPLAIN's table: tables that are not small, and of which every row or an index as a whole is read.

    MySQL has twelve columns, among them the partitions and the share of rows that remain; MariaDB has neither.
    """
    scans = []
    for row in rows:
        access, estimate = (row[4], row[9]) if len(row) > 10 else (row[3], row[8])
        table = str(row[2])
        count = re.match(r"\d+", str(estimate))  # MariaDB returns a text, which may say more: "120 (3%)"
        if access in ("ALL", "index") and not table.startswith("<") and count and int(count[0]) >= SMALL_ROWS:
            scans.append(table)
    return scans


def _nodes(node: dict[str, Any], below: str) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get(below, ()):
        yield from _nodes(child, below)
