"""
Airflow's own login and permissions, for the page.

Airflow's modules for them are imported at the first request, because every task imports the plugin, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser


async def current_user(request: Request) -> BaseUser:
    """
    Return the user who is logged in to Airflow, by its cookie or a bearer token.

    :raises fastapi.HTTPException: 401 or 403, the request has no valid login.
    """
    from airflow.api_fastapi.core_api.security import bearer_scheme, get_user

    return await get_user(request, bearer_credentials=await bearer_scheme(request))


def can_read_shop(user: BaseUser, shop: str) -> bool:
    """Return whether a user may read the runs of the shop's hourly DAG, which the page of the shop requires."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.models.dag import DagModel

    dag_id = f"order_status_sync_{shop}"
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    return get_auth_manager().is_authorized_dag(
        method="GET", access_entity=DagAccessEntity.RUN, details=details, user=user
    )
