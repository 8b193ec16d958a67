"""
What Airflow's provider discovery reads (entry point ``apache_airflow_provider``): the connection type ``rees46``, and
``mysql`` where Airflow's own provider of it is not installed.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

_MYSQL = {
    "connection-type": "mysql",
    "hook-class-name": "rees46_sync.airflow_adapters.mysql_hook.MySqlHook",
    "hook-name": "MySQL",
}


def get_provider_info() -> dict[str, Any]:
    """Return the description of this provider, see Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "rees46-order-status-sync",
        "name": "REES46 order-status sync",
        "description": "Tells REES46 the true status of every order of an online shop.",
        # How OpenLineage calls the assets that lineage.py tells of.
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
                        "host": "api.rees46.com",
                        "schema": "https",
                        "login": "shop_id of REES46's account",
                        "password": "shop_secret of REES46's account",
                    },
                },
                "conn-fields": {
                    "dialect": {
                        "label": "Dialect",
                        "schema": {"type": ["string", "null"], "enum": ["import_sync_orders", "sync_orders"]},
                        "description": "Which of REES46's endpoints takes the orders: /import/sync_orders of "
                        "api.rees46.com, or the present-day /sync/orders of api.rees46.ru. "
                        "Default: import_sync_orders.",
                    },
                    "status_text": {
                        "label": "Status text",
                        "schema": {"type": ["string", "null"], "enum": ["own", "mapped"]},
                        "description": "With dialect sync_orders alone. own: an order's status is sent as the shop "
                        "calls it, and REES46's own settings map it; mapped: it is sent as created, completed or "
                        "cancelled, as the shop file maps it. Default: own.",
                    },
                    "timeout_s": {
                        "label": "Time-out in seconds",
                        "schema": {"type": ["number", "null"], "exclusiveMinimum": 0},
                        "description": "How long to wait for an answer. Default: 30.",
                    },
                    "concurrency": {
                        "label": "Concurrency",
                        "schema": {"type": ["integer", "null"], "minimum": 1},
                        "description": "Requests under way at the same time. Default: 8.",
                    },
                    "min_interval_s": {
                        "label": "Seconds between requests",
                        "schema": {"type": ["number", "null"], "minimum": 0},
                        "description": "The least time from one request to the next, where REES46 asks to slow down. "
                        "Default: 0.",
                    },
                },
            },
            *([] if find_spec("airflow.providers.mysql") else [_MYSQL]),
        ],
    }
