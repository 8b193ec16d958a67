"""What Airflow loads from this project besides the DAGs."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from rees46_sync import data_docs, pools


class Rees46Plugin(AirflowPlugin):
    """The listener that makes a shop's pool, and the pages that the API server serves."""

    name = "rees46"
    listeners = [pools]  # noqa: RUF012 - Airflow's own shape of a plugin

    @property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override] # every component loads the plugin, one serves
        """The apps, imported by the API server alone."""
        from rees46_sync import data_docs_app

        return [{"app": data_docs_app.make_app(), "url_prefix": data_docs.URL_PREFIX, "name": "REES46 Data Docs"}]
