"""
What the API server serves Data Docs with: a page a partition, to users who may see the task that it is about.

The pages are inert: they hold no scripts, and the browser is told to run none and to fetch nothing, whoever wrote them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse

from rees46_sync.airflow_adapters import staging
from rees46_sync.airflow_adapters.pools import shop_of
from rees46_sync.airflow_adapters.staging import EXTRACTION_ID
from rees46_sync.exceptions import StagedFilesGoneError, SyncError
from rees46_sync.shop.shop import load_shops, shops_dir
from rees46_sync.validation import data_docs

PROJECT = Path(__file__).resolve().parents[4]

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}

# A mounted app is anonymous unless it asks for more itself.
router = APIRouter(dependencies=[Depends(requires_access_dag("GET", DagAccessEntity.TASK_INSTANCE))])


@router.get("/{dag_id}/{extraction_id}/{index}")
def show(
    dag_id: str,
    extraction_id: Annotated[str, InPath(pattern=f"^{EXTRACTION_ID.pattern}$")],
    index: Annotated[int, InPath(ge=0)],
) -> HTMLResponse:
    """
    Return the page of a partition.

    :param dag_id: one of ours; with the other two it can name nothing but a page of this DAG.
    """
    shops = {shop.shop: shop for shop in load_shops(shops_dir(PROJECT))[0]}
    shop = shops.get(shop_of(dag_id) or "")
    if shop is None:
        raise HTTPException(404, f"The API server knows no shop file of {dag_id}; it needs the shops folder as well.")
    try:
        page = staging.read_text(data_docs.file_of(shop, dag_id, extraction_id, index))
    except StagedFilesGoneError as error:
        raise HTTPException(
            404,
            f"There are no Data Docs of {dag_id}, reading {extraction_id}, partition {index}: they are kept for "
            f"{data_docs.KEEP.days} days, where the shop's staging is. The API server must reach it, too.",
        ) from error
    except SyncError as error:
        raise HTTPException(503, str(error)) from error
    return HTMLResponse(page, headers=HEADERS)


def make_app() -> FastAPI:
    """Return the app for :data:`rees46_sync.validation.data_docs.URL_PREFIX`."""
    app = FastAPI(title="REES46 Data Docs", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(router)
    return app
