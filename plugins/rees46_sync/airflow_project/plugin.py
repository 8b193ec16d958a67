"""
The plugin: what Airflow loads from this package besides the DAGs, by its entry point ``airflow.plugins``.

Each process of Airflow loads it, and with it this package: the DAG processor before it forks for each parsing.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from rees46_sync.airflow_adapters import pools, run_notes
from rees46_sync.validation import data_docs


class Rees46Plugin(AirflowPlugin):
    """The page "REES46", Great Expectations' Data Docs, and the listener that creates a shop's pool."""

    name = "rees46"
    listeners = [pools, run_notes]  # noqa: RUF012 - Airflow's own shape of a plugin
    # The addresses are relative, so that they also work if Airflow is served under a path.
    external_views = [  # noqa: RUF012
        # Airflow's navigation cuts off a longer name.
        {"name": "REES46", "href": "rees46/", "destination": "nav", "url_route": "rees46"},
        *(
            {
                "name": "REES46",
                "href": f"rees46/{path}",
                "destination": destination,
                "url_route": f"rees46-{destination}",
                # From Airflow 3.4 on; 3.3 shows the tab on each DAG.
                "applies_to": {"dag.tags.name": ["rees46"]},
            }
            for destination, path in (("dag", "dags/{DAG_ID}"), ("dag_run", "dags/{DAG_ID}/runs/{RUN_ID}"))
        ),
    ]

    @cached_property
    def fastapi_apps(self) -> list[dict[str, Any]]:  # type: ignore[override] # a list in Airflow's own class
        """The apps; they are created on access, which is in the api-server only, not in each task."""
        from rees46_sync.doctor.explain_report import explain_for_page
        from rees46_sync.doctor.reconcile_page import compare_for_page
        from rees46_sync.monitoring.page import data_docs as data_docs_app
        from rees46_sync.monitoring.page.app import PREFIX, create_app

        project = Path(conf.get_mandatory_value("core", "dags_folder")).absolute().parent
        return [
            {"app": create_app(project, explain_for_page, compare_for_page), "url_prefix": PREFIX, "name": "rees46"},
            {"app": data_docs_app.make_app(project), "url_prefix": data_docs.URL_PREFIX, "name": "REES46 Data Docs"},
        ]
