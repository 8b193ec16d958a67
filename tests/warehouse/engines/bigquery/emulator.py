"""
Start local-bigquery in its own environment, with the DuckDB whose extensions are packages.

That one has no number of rows for an empty table, and another name for a method.
"""

from __future__ import annotations

from typing import Any

import duckdb
from local_bigquery.catalog import tables
from local_bigquery.cli import main

_lookup = tables._lookup


def lookup(*names: str) -> Any:
    """Return the kind of a table and the number of its rows."""
    return (found := _lookup(*names)) and (found[0], found[1] or 0)


tables._lookup = lookup
# BigQuery sends small messages as well.
duckdb.DuckDBPyRelation.to_arrow_reader = lambda relation, *_: relation.fetch_arrow_reader(1_000)

if __name__ == "__main__":
    main()
