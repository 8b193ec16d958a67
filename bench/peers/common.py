"""The command line of every peer, and the shop's mapping of statuses. Neither affects a peer's speed."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

BATCH = 1000
CODES = {"new": 0, "paid": 0, "shipped": 0, "delivered": 1, "cancelled": 2, "refunded": 2}


@dataclass(frozen=True)
class Task:
    """Which warehouse to read, and where to send its orders."""

    warehouse: str
    url: str
    shop_id: str
    shop_secret: str


def task(description: str | None) -> Task:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--warehouse", required=True, metavar="URI", help="a PostgreSQL with a table orders")
    parser.add_argument("--url", required=True, help="where to POST")
    parser.add_argument("--shop-id", default="bench-store-key")
    parser.add_argument("--shop-secret", default="bench-secret-key")
    options = parser.parse_args()
    return Task(options.warehouse, options.url, options.shop_id, options.shop_secret)
