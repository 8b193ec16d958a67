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
from rees46_sync.shop.shop_file import load_shops, shops_dir
from rees46_sync.validation import data_docs

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}

# Airflow does not protect the routes of a mounted app.
router = APIRouter(dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))])


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
        raise HTTPException(404, f"The API server has no shop file of {dag_id}; it needs the shops folder, too.")
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
    return HTMLResponse(page, headers=HEADERS)


def make_app(project: Path) -> FastAPI:
    """
    Return the app that Airflow mounts at :data:`rees46_sync.validation.data_docs.URL_PREFIX`.

    :param project: the project's folder; its shop files are read, unless ``$REES46_SHOPS_DIR`` names another folder.
    """
    app = FastAPI(title="REES46 Data Docs", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.project = project
    app.include_router(router)
    return app
