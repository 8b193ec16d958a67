"""
What Airflow's provider discovery reads (entry point ``apache_airflow_provider``): the connection type ``rees46``, and
``mysql`` if Airflow's own provider of it is not installed.

Airflow calls this at start-up, in each process that needs a provider, so it imports nothing heavy. The plugin is not
in it, but an entry point of its own: Airflow loads the plugins of providers only if ``lazy_load_providers`` is off.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from rees46_sync.rees46.connection import form_fields
from rees46_sync.rees46.dialects import IMPORT_SYNC_ORDERS

_MYSQL = {
    "connection-type": "mysql",
    "hook-class-name": "rees46_sync.airflow_adapters.mysql_hook.MySqlHook",
    "hook-name": "MySQL",
}


def get_provider_info() -> dict[str, Any]:
    """Return the description of this provider, see Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "airflow-provider-rees46",
        "name": "REES46",
        "description": "Sends REES46 the true status of every order of an online shop.",
        "integrations": [
            {"integration-name": "REES46", "external-doc-url": "https://rees46.com", "tags": ["service"]},
        ],
        "operators": [
            {
                "integration-name": "REES46",
                "python-modules": [
                    "rees46_sync.pipeline.ask_approval",
                    "rees46_sync.pipeline.load_batches",
                    "rees46_sync.pipeline.validate_statuses",
                ],
            }
        ],
        "hooks": [{"integration-name": "REES46", "python-modules": ["rees46_sync.rees46.hook"]}],
        # OpenLineage's names of the assets that lineage.py reports.
        "asset-uris": [
            {
                "schemes": ["rees46"],
                "handler": "rees46_sync.airflow_adapters.lineage.sanitize_uri",
                "to_openlineage_converter": "rees46_sync.airflow_adapters.lineage.to_openlineage",
            }
        ],
        "connection-types": [
            {
                "connection-type": "rees46",
                "hook-class-name": "rees46_sync.rees46.hook.Rees46Hook",
                "hook-name": "REES46",
                "ui-field-behaviour": {
                    "hidden-fields": [],
                    "relabeling": {"login": "Store key", "password": "Secret key"},
                    "placeholders": {
                        "host": IMPORT_SYNC_ORDERS.host,
                        "schema": "https",
                        "login": "shop_id of REES46's account",
                        "password": "shop_secret of REES46's account",
                    },
                },
                "conn-fields": form_fields(),
            },
            *([] if find_spec("airflow.providers.mysql") else [_MYSQL]),
        ],
    }
