"""
Imports everything that the tasks import, so that a worker does it once, before it forks them.

A task is a process of its own, and its imports would take one to four seconds of processor time. The sync itself does
not import this module: the configuration of Airflow's workers does (docs/scaling.md).
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
from rees46_sync.monitoring import alert_rules
from rees46_sync.pipeline import (
    account_for_rows,
    approve_changes,
    build_batches,
    delivery,
    extract_orders,
    load_batches,
    preview,
    report,
    validate_statuses,
)
from rees46_sync.rees46 import hook
from rees46_sync.validation import data_docs, expectations
from rees46_sync.warehouse import postgresql, reader

expectations.import_great_expectations()
from great_expectations.render import view  # noqa: E402 - after the line above, which silences its log
from great_expectations.render.renderer import page_renderer  # noqa: E402

for optional in (
    "adbc_driver_postgresql.dbapi",
    "airflow.providers.postgres.hooks.postgres",
    "s3fs",
    # Airflow's lineage imports the asset handlers of all installed providers; this one is slow.
    "airflow.providers.amazon.aws.assets.s3",
):
    with suppress(ImportError):
        import_module(optional)
