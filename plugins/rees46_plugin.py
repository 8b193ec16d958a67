"""The plugin: what Airflow loads from this project besides the DAGs."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from rees46_sync.airflow_adapters import pools
from rees46_sync.validation import data_docs


class Rees46Plugin(AirflowPlugin):
    """The page "REES46 order sync", Great Expectations' Data Docs, and the listener that creates a shop's pool."""

    name = "rees46"
    listeners = [pools]  # noqa: RUF012 - Airflow's own shape of a plugin
    external_views = [  # noqa: RUF012
        {
            "name": "REES46 order sync",
            # Relative, so that it also works if Airflow is served under a path.
            "href": "rees46/",
            "destination": "nav",
            "url_route": "rees46",
        }
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The apps; they are created on access, which is in the api-server only, not in each task."""
        from rees46_sync.monitoring.page import data_docs as data_docs_app
        from rees46_sync.monitoring.page.app import PREFIX, create_app

        project = Path(__file__).resolve().parents[1]
        return [
            {"app": create_app(project), "url_prefix": PREFIX, "name": "rees46"},
            {"app": data_docs_app.make_app(project), "url_prefix": data_docs.URL_PREFIX, "name": "REES46 Data Docs"},
        ]
