"""Each engine's own tests run in its environment alone (`make test-warehouses`)."""

from __future__ import annotations

from pathlib import Path

from tests.warehouses import ENGINE

collect_ignore = [] if ENGINE in ("snowflake", "bigquery") else ["test_shopify.py"]
collect_ignore += [
    folder.name for folder in Path(__file__).parent.iterdir() if folder.is_dir() and folder.name != ENGINE
]
