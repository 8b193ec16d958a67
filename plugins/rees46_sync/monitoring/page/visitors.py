"""
Who asks, and what they may see: Airflow's own login and permissions.

Airflow's modules for this are imported when the first visitor comes, because every task imports the plugin as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import Request

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser


async def visitor(request: Request) -> BaseUser:
    """
    Return the user who is logged in to Airflow, by its cookie or a bearer token.

    :raises fastapi.HTTPException: 401 or 403, nobody is.
    """
    from airflow.api_fastapi.core_api.security import bearer_scheme, get_user

    return await get_user(request, bearer_credentials=await bearer_scheme(request))


def may_see(user: BaseUser, shop: str) -> bool:
    """Return whether a user may read the runs of the shop's hourly DAG; then they may see what the page says of it."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
    from airflow.models.dag import DagModel

    dag_id = f"order_status_sync_{shop}"
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    return get_auth_manager().is_authorized_dag(
        method="GET", access_entity=DagAccessEntity.RUN, details=details, user=user
    )
