"""
What a run tells Airflow's own metrics, which go to StatsD or OpenTelemetry as the deployment has it, or nowhere.

Each has the tags ``shop`` and ``dag_id``. Plain StatsD knows no tags: as for Airflow's own metrics, a second name says
what it is about, unless ``[metrics] legacy_names_on`` is off. docs/metrics.md lists the names.
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
    :param dag_id: it names the shop as well.
    """

    def __init__(self, shop: str, dag_id: str) -> None:
        self.shop = shop
        self.dag_id = dag_id

    def run(
        self, counts: Mapping[str, int], *, succeeded: bool, duration: timedelta | None, age: timedelta | None
    ) -> None:
        """
        Tell what became of a run.

        :param counts: its account.
        :param duration: from the beginning of the reading to its account; None where nothing was read.
        :param age: of the time up to which the shop's changes were delivered; None before the first success.
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
        """Tell how long REES46 took to answer a request."""
        from airflow.sdk.observability import stats

        self._emit(stats.timing, "request_duration", duration)

    def _emit(self, emit: Callable[..., None], name: str, value: Any) -> None:
        from airflow.sdk.configuration import conf

        emit(f"{PREFIX}.{name}", value, tags={"shop": self.shop, "dag_id": self.dag_id})
        if conf.getboolean("metrics", "legacy_names_on", fallback=True):
            emit(f"{PREFIX}.{self.dag_id}.{name}", value)
