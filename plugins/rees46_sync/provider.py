"""What Airflow's provider discovery reads: the connection type ``rees46`` (entry point ``apache_airflow_provider``)."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the description of this provider, see Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "rees46-order-status-sync",
        "name": "REES46 order-status sync",
        "description": "Tells REES46 the true status of every order of an online shop.",
        "connection-types": [
            {
                "connection-type": "rees46",
                "hook-class-name": "rees46_sync.hooks.Rees46Hook",
                "hook-name": "REES46",
                "ui-field-behaviour": {
                    "hidden-fields": [],
                    "relabeling": {"login": "Store key", "password": "Secret key"},
                    "placeholders": {"host": "api.rees46.com", "schema": "https"},
                },
            }
        ],
    }
