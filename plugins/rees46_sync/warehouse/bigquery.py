"""
Read BigQuery's rows by Google's client, as Arrow columns from its Storage API if types and rights allow it.

SQLAlchemy's dialect could only pass on rows, each value a Python object, and Airflow's cursor reads page by page.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from rees46_sync.shop.query import Query

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    from rees46_sync.warehouse.values import Chunk

log = logging.getLogger(__name__)

RETRY_S = 120
"""How long Google's client retries what fails for a moment; by itself it would for ten minutes. Then Airflow does."""

FIRST_PAGE = 1_000
"""Rows that come with the columns, as JSON. A result of no more rows needs no Storage API."""

_ARROW_TYPES = {"STRING", "INTEGER", "INT64", "TIMESTAMP", "DATETIME"}
"""Types that Arrow has exactly, and as the rows have them; a NUMERIC is a decimal with all its zeros there."""


@contextmanager
def read(
    hook: DbApiHook, query: Query, bounds: Mapping[str, Any], rows: int, timeout_s: float | None
) -> Iterator[tuple[list[str], Iterator[Chunk]]]:
    """
    Run a query as a job, which is cancelled if its rows are not read to the end. BigQuery's sessions are UTC, and its
    roles decide what may be written.

    :param hook: of Airflow's provider for Google; its connection's schema is the data set of tables without one.
    :param bounds: the values of the query's parameters; times are UTC without a zone.
    :param rows: at most so many are read at once, if they cannot be read as Arrow.
    :param timeout_s: the longest time that the job may take; None: as long as the project lets it run.
    """
    from google.cloud.bigquery import QueryJobConfig, ScalarQueryParameter
    from google.cloud.bigquery.retry import DEFAULT_RETRY

    retry = DEFAULT_RETRY.with_timeout(min(timeout_s or RETRY_S, RETRY_S))
    others = {name: value for name, value in bounds.items() if not isinstance(value, datetime)}
    config = QueryJobConfig(
        query_parameters=[ScalarQueryParameter(name, "STRING", value) for name, value in others.items()],
        job_timeout_ms=round(timeout_s * 1000) if timeout_s else None,
        use_legacy_sql=False,
    )
    if hook.connection.schema:
        config.default_dataset = f"{hook.project_id}.{hook.connection.schema}"
    with ExitStack() as opened:
        client = opened.enter_context(closing(hook.get_client(project_id=hook.project_id, location=hook.location)))
        job = client.query(_statement(query, bounds), job_config=config, retry=retry, job_retry=None)
        try:
            result = job.result(page_size=FIRST_PAGE, timeout=timeout_s, retry=retry, job_retry=None)
            fields = [field.field_type for field in result.schema]
            is_arrow = all(kind in _ARROW_TYPES for kind in fields)
            chunks = _arrow(job, hook, rows, opened) if is_arrow else _rows(job, rows)
            yield [field.name for field in result.schema], chunks
        except BaseException:  # also when the task is stopped: the job would go on and be paid for
            job.cancel(retry=None, timeout=10)
            raise


def _statement(query: Query, bounds: Mapping[str, Any]) -> str:
    """
    Write the times into the query as texts, which BigQuery takes for a DATETIME or a TIMESTAMP as the query needs it.

    A parameter has one of these types, and cannot be compared with the other.
    """
    given = {
        f":{name}": f"'{value.isoformat(' ', 'microseconds')}'" if isinstance(value, datetime) else f"@{name}"
        for name, value in bounds.items()
    }
    return "".join(given.get(part, part) for part in query.parts)


def _arrow(job: Any, hook: DbApiHook, rows: int, opened: ExitStack) -> Iterator[Chunk]:
    from google.api_core.exceptions import Forbidden

    # One stream: each of several, which may be a thousand, would have rows in memory.
    storage = _storage_client(hook)
    opened.callback(storage.transport.close)
    try:
        batches = job.result(page_size=FIRST_PAGE).to_arrow_iterable(bqstorage_client=storage, max_stream_count=1)
        first = list(islice(batches, 1))
    except Forbidden:
        log.info("Without roles/bigquery.readSessionUser the rows are read by BigQuery's slower API.")
        batches, first = job.result(page_size=rows).to_arrow_iterable(), []
    return (batch.columns for batch in chain(first, batches))


def _storage_client(hook: DbApiHook) -> Any:
    from google.cloud.bigquery_storage import BigQueryReadClient

    return BigQueryReadClient(credentials=hook.get_credentials())


def _rows(job: Any, size: int) -> Iterator[Chunk]:
    for page in job.result(page_size=size).pages:
        if fetched := [row.values() for row in page]:
            yield list(zip(*fetched, strict=True))
