"""
What the sync's tasks import, to be imported by a worker before it forks them: ``import rees46_sync.preload``.

A task is a process of its own, and would take one to four seconds of processor time for its imports, each time. Nothing
of the sync imports this: Airflow's configuration does, where its workers start (docs/scaling.md).
"""

# ruff: noqa: F401
from contextlib import suppress
from importlib import import_module

import duckdb
import pyarrow.dataset
from airflow.sdk.execution_time import task_runner
from sqlalchemy.dialects.postgresql import psycopg, psycopg2
from upath.implementations import local

from rees46_sync.airflow_adapters import lineage, staging
from rees46_sync.ledger import retention
from rees46_sync.monitoring import rules
from rees46_sync.pipeline import account_for_rows, delivery, load_batches, preview, tasks
from rees46_sync.rees46 import hook
from rees46_sync.validation import data_docs, expectations
from rees46_sync.warehouse import postgresql, reader

expectations.import_great_expectations()
from great_expectations.render import view  # noqa: E402 - only now, that it does not log its import
from great_expectations.render.renderer import page_renderer  # noqa: E402

for optional in (
    "adbc_driver_postgresql.dbapi",
    "airflow.providers.postgres.hooks.postgres",
    "s3fs",
    # Of all providers that are installed Airflow's lineage imports what they know of assets; this one takes its time.
    "airflow.providers.amazon.aws.assets.s3",
):
    with suppress(ImportError):
        import_module(optional)
