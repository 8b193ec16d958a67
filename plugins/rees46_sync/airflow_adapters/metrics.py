"""
The metrics of a run, sent by Airflow to StatsD or OpenTelemetry if the deployment has one of them.

Each metric has the tags ``shop`` and ``dag_id``. Plain StatsD has no tags, so each metric has a second name that holds
the DAG id, as Airflow's own metrics do, unless ``[metrics] legacy_names_on`` is off. docs/metrics.md lists the names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

PREFIX = "rees46.sync"


class Metrics:
    """
    The metrics of one DAG of a shop.

    :param shop: the shop's name.
    :param dag_id: the DAG's id, which holds the shop's name as well.
    """

    def __init__(self, shop: str, dag_id: str) -> None:
        self.shop = shop
        self.dag_id = dag_id

    def run(
        self, counts: Mapping[str, int], *, succeeded: bool, duration: timedelta | None, age: timedelta | None
    ) -> None:
        """
        Send the metrics of a finished run.

        :param counts: the account of the run.
        :param duration: from the start of the extraction to the account; None if there was no extraction.
        :param age: the largest possible age of a change that is not accepted yet; None before the first success.
        """
        from airflow.sdk.observability import stats

        for name, count in counts.items():
            self._emit(stats.incr, name, count)
        self._emit(stats.incr, "runs.success" if succeeded else "runs.failed", 1)
        if duration is not None:
            self._emit(stats.timing, "run_duration", duration)
        if age is not None:
            self._emit(stats.gauge, "age_seconds", age.total_seconds())

    def request(self, duration: timedelta) -> None:
        """Send the time that REES46 took to respond to a request."""
        from airflow.sdk.observability import stats

        self._emit(stats.timing, "request_duration", duration)

    def _emit(self, emit: Callable[..., None], name: str, value: Any) -> None:
        from airflow.sdk.configuration import conf

        emit(f"{PREFIX}.{name}", value, tags={"shop": self.shop, "dag_id": self.dag_id})
        if conf.getboolean("metrics", "legacy_names_on", fallback=True):
            emit(f"{PREFIX}.{self.dag_id}.{name}", value)
