"""dlt's custom destination with its defaults, fed by its own SQL source."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import dlt
import requests
from common import BATCH, CODES, Task, task
from dlt.sources.sql_database import sql_table


def build_pipeline(job: Task, folder: str) -> dlt.Pipeline:
    """Return a pipeline that posts each batch."""
    session = requests.Session()

    @dlt.destination(batch_size=BATCH)
    def rees46(items: list[dict[str, Any]], table: Any) -> None:  # noqa: ARG001 - dlt passes it
        orders = [{"id": item["order_id"], "status": CODES[item["status"]]} for item in items]
        body = {"shop_id": job.shop_id, "shop_secret": job.shop_secret, "orders": orders}
        session.post(job.url, json=body, timeout=30).raise_for_status()

    return dlt.pipeline("orders", destination=rees46, pipelines_dir=folder)


def main() -> None:
    """Send all orders; what dlt keeps between two runs is in the folder of ``KEPT``, if it is set."""
    job = task(__doc__)
    with tempfile.TemporaryDirectory(prefix="rees46-bench-dlt-") as folder:
        orders = sql_table(credentials=job.warehouse, table="orders", included_columns=["order_id", "status"])
        build_pipeline(job, os.environ.get("KEPT", folder)).run(orders).raise_on_failed_jobs()


if __name__ == "__main__":
    # Nothing leaves this machine.
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    main()
