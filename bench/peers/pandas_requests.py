"""A script of an afternoon: `pandas.read_sql`, then a loop over chunks of 1000 on one `requests.Session`."""

from __future__ import annotations

import pandas as pd
import requests
import sqlalchemy as sa
from common import BATCH, CODES, task


def main() -> None:
    """Send all orders."""
    job = task(__doc__)
    orders = pd.read_sql("SELECT order_id, status FROM orders", sa.create_engine(job.warehouse))
    orders["status"] = orders["status"].map(CODES)
    orders = orders.rename(columns={"order_id": "id"})
    with requests.Session() as session:
        for start in range(0, len(orders), BATCH):
            chunk = orders.iloc[start : start + BATCH].to_dict("records")
            body = {"shop_id": job.shop_id, "shop_secret": job.shop_secret, "orders": chunk}
            session.post(job.url, json=body, timeout=30).raise_for_status()


if __name__ == "__main__":
    main()
