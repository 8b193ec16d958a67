"""What Airflow loads from this project besides the DAGs."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from rees46_sync import pools


class Rees46Plugin(AirflowPlugin):
    """The listener that makes a shop's pool."""

    name = "rees46"
    listeners = [pools]  # noqa: RUF012 - Airflow's own shape of a plugin
