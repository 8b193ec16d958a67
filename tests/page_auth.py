"""An Airflow login for the tests of the page: a user of each kind, and a DAG that one of them may not read."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

USERS = {"admin": "admin", "viewer": "viewer", "stranger": "viewer"}
"""Each user's role; the stranger is a viewer who may not read the DAGs of the shop "secret"."""


class AuthManagerOfTests(SimpleAuthManager):
    """Airflow's simple auth manager, which has no permissions for single DAGs, with one such permission."""

    def is_authorized_dag(self, **arguments: Any) -> bool:
        details = arguments.get("details")
        if arguments["user"].username == "stranger" and details and details.id == "order_status_sync_secret":
            return False
        return super().is_authorized_dag(**arguments)
