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

from rees46_sync import (
    accounting,
    data_docs,
    delivery,
    hooks,
    lineage,
    monitoring,
    operators,
    postgresql,
    preview,
    retention,
    staging,
    tasks,
    validation,
    warehouse,
)

validation.import_great_expectations()
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
