"""What reading a DuckDB file needs beyond its hook."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, before_sleep_log, retry_if_exception_type, stop_after_delay, wait_random

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

log = logging.getLogger(__name__)

WAIT_FOR_WRITER_S = 60
"""A loader that writes for longer than that makes the task fail; Airflow retries it some minutes later."""


def connect(hook: DbApiHook, timeout_s: float | None) -> Any:
    """
    Open the file of a hook; while another process has it open for writing, wait up to :data:`WAIT_FOR_WRITER_S`.

    :param timeout_s: wait for a shorter time, because a person waits.
    :raises DatabaseInUseError: the other process still has it open.
    """
    from rees46_sync.airflow_adapters.duckdb_hook import DatabaseInUseError

    retrying = Retrying(
        retry=retry_if_exception_type(DatabaseInUseError),
        stop=stop_after_delay(min(timeout_s or WAIT_FOR_WRITER_S, WAIT_FOR_WRITER_S)),
        wait=wait_random(0.5, 1.5),
        before_sleep=before_sleep_log(log, logging.INFO),
        reraise=True,
    )
    return retrying(hook.get_conn)
