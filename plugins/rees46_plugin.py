"""What Airflow loads from this project besides the DAGs."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from rees46_sync.airflow_adapters import pools
from rees46_sync.validation import data_docs


class Rees46Plugin(AirflowPlugin):
    """The page "REES46 order sync", Great Expectations' Data Docs, and the listener that makes a shop's pool."""

    name = "rees46"
    listeners = [pools]  # noqa: RUF012 - Airflow's own shape of a plugin
    external_views = [  # noqa: RUF012
        {
            "name": "REES46 order sync",
            # Without a slash before it, it is found below any path that Airflow is served under.
            "href": "rees46/",
            "destination": "nav",
            "url_route": "rees46",
        }
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:
        """The apps, made where they are asked for: in the api-server, and not in each task."""
        from rees46_sync.monitoring.page import data_docs as data_docs_app
        from rees46_sync.monitoring.page.app import PREFIX, create_app

        return [
            {"app": create_app(Path(__file__).resolve().parents[1]), "url_prefix": PREFIX, "name": "rees46"},
            {"app": data_docs_app.make_app(), "url_prefix": data_docs.URL_PREFIX, "name": "REES46 Data Docs"},
        ]
