"""
Data Docs in the API server: one page for each partition, for users who may read the task that validated it.

The pages are inert: they hold no scripts, and their headers forbid the browser to run or to fetch anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse

from rees46_sync.airflow_adapters import staging
from rees46_sync.airflow_adapters.pools import shop_name
from rees46_sync.airflow_adapters.staging import EXTRACTION_ID
from rees46_sync.exceptions import SyncError
from rees46_sync.monitoring.page.access import CurrentUser
from rees46_sync.monitoring.page.headers import add_headers
from rees46_sync.shop.shop_file import load_shops, shops_dir
from rees46_sync.validation import data_docs

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}

NOT_FOUND = (
    "There are no such Data Docs, or you may not read the task that wrote them in Airflow. The API server needs the "
    "shops folder, too."
)

_check_access = requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE)


def reader(request: Request, user: CurrentUser) -> None:
    """
    Let a user pass who may read the task; Airflow does not protect the routes of a mounted app.

    :raises fastapi.HTTPException: 401, there is no login; 404, the user may not read it: a 403 would tell that there is
        such a shop.
    """
    try:
        _check_access(request, user)
    except HTTPException as error:
        raise HTTPException(404, NOT_FOUND) from error


router = APIRouter(dependencies=[Depends(reader)])


@router.get("/{dag_id}/{extraction_id}/{index}")
def show(
    request: Request,
    dag_id: str,
    extraction_id: Annotated[str, InPath(pattern=f"^{EXTRACTION_ID.pattern}$")],
    index: Annotated[int, InPath(ge=0)],
) -> HTMLResponse:
    """
    Return the page of a partition.

    :param dag_id: a DAG of a shop; with the other two, it can name nothing but a page of this DAG.
    """
    shops = {shop.shop: shop for shop in load_shops(shops_dir(request.app.state.project))[0]}
    shop = shops.get(shop_name(dag_id) or "")
    if shop is None:
        raise HTTPException(404, NOT_FOUND)
    try:
        page = staging.read_text(data_docs.docs_file(shop, dag_id, extraction_id, index))
    except SyncError as error:
        raise HTTPException(503, str(error)) from error
    if page is None:
        raise HTTPException(
            404,
            f"There are no Data Docs of {dag_id}, extraction {extraction_id}, partition {index}: they are kept for "
            f"{data_docs.KEEP.days} days, where the shop's staging is. The API server must reach it, too.",
        )
    return HTMLResponse(page)


def make_app(project: Path) -> FastAPI:
    """
    Return the app that Airflow mounts at :data:`rees46_sync.validation.data_docs.URL_PREFIX`.

    :param project: the project's folder; its shop files are read, unless ``$REES46_SHOPS_DIR`` names another folder.
    """
    app = FastAPI(title="REES46 Data Docs", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.project = project
    app.include_router(router)
    add_headers(app, HEADERS)
    return app
