"""
Airflow's own login and permissions, for the page.

Airflow's modules for them are imported at the first request, because every task imports the plugin, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, HTTPException, Request

from rees46_sync.exceptions import ShopFileError
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.shop_file import load_shops, shops_dir
from rees46_sync.translations import translator

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser


async def current_user(request: Request) -> BaseUser:
    """
    Return the user who is logged in to Airflow, by its cookie or a bearer token.

    :raises fastapi.HTTPException: 401 or 403, the request has no valid login.
    """
    from airflow.api_fastapi.core_api.security import bearer_scheme, get_user

    return await get_user(request, bearer_credentials=await bearer_scheme(request))


CurrentUser = Annotated[Any, Depends(current_user)]
"""The user who is logged in, as a parameter of a route."""


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


def folder_of_shops(request: Request) -> Path:
    """Return the folder of the shop files."""
    return shops_dir(request.app.state.project)


def all_shops(request: Request) -> tuple[list[Shop], list[ShopFileError]]:
    """Return the usable shops, and the errors of other shop files; they are read each time, as they may change."""
    return load_shops(folder_of_shops(request))


def requested_shop(request: Request, shop: str, user: CurrentUser) -> Shop:
    """
    Return the shop that an address names.

    :raises fastapi.HTTPException: 404, there is no such shop, or the user may not read its DAG.
    """
    found = next((known for known in all_shops(request)[0] if known.shop == shop), None)
    if found is None or not can_read_shop(user, shop):
        _ = translator(request.state.language).gettext
        raise HTTPException(404, _("There is no such shop, or you may not read its DAG in Airflow."))
    request.state.shop = found  # for an error page
    return found


RequestedShop = Annotated[Shop, Depends(requested_shop)]
"""The shop of an address, as a parameter of a route."""
