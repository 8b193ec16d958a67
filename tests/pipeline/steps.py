"""One task of a run by itself, without Airflow: its context, and descriptors of an earlier version of the project."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from tests.whole_run import EIGHT

PARAMS = {
    "window_start": None,
    "window_end": None,
    "dry_run": False,
    "resend": False,
    "ignore_limits": False,
    "changed_orders": None,
    "first_orders": None,
    "order_ids": None,
}

OLD_PARTITION: Any = {
    "index": 0,
    "name": "0: 1 rows, 1 to 1",
    "reading": {"extraction_id": "20260301T080000-0a1b2c3d", "mark": 0, "resend": False},
    "path": "file:///not/read",
    "rows": 1,
}
"""What the tasks of an earlier version passed on, in which an extraction was a ``reading``."""

WRITTEN_BY_AN_EARLIER_VERSION = "were written by an earlier version of this project; clear this run from extract_orders"


def task_context(
    results: Mapping[str, Any] | None = None, pushed: Mapping[tuple[str, str], Any] | None = None, **params: Any
) -> dict[str, Any]:
    """
    Return the context of a task.

    :param results: the return value of each earlier task that finished.
    :param pushed: what earlier tasks pushed besides, by task and key.
    :param params: as the trigger form sends them.
    """

    def pull(*, task_ids: str, key: str = "return_value", map_indexes: int | None = None) -> Any:
        return (results or {}).get(task_ids) if key == "return_value" else (pushed or {}).get((task_ids, key))

    ti = SimpleNamespace(
        dag_id="order_status_sync_test",
        run_id="run",
        task_id="task",
        map_index=0,
        xcom_pull=pull,
        xcom_push=lambda **_: None,
    )
    return {
        "ti": ti,
        "params": PARAMS | params,
        "dag_run": SimpleNamespace(
            run_type="scheduled", run_after=EIGHT, data_interval_start=None, data_interval_end=None, conf=params
        ),
        "task": SimpleNamespace(dag=SimpleNamespace(tasks=[], params=PARAMS)),
    }
