"""
The app that Airflow mounts. Each route but the health needs a login; those of a shop need the permission to read its
DAG.

A shop that a user may not read is answered like one that does not exist: 404.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from rees46_sync.exceptions import SyncError
from rees46_sync.monitoring.health import health_report
from rees46_sync.monitoring.page.access import current_user
from rees46_sync.monitoring.page.comparisons import Compare, Comparisons
from rees46_sync.monitoring.page.headers import add_headers
from rees46_sync.monitoring.page.languages import language_of, remember_language
from rees46_sync.monitoring.page.rendering import PREFIX, reason_of, render
from rees46_sync.monitoring.page.routes import api, health, orders, quarantine, reconcile, runs, shop, shops
from rees46_sync.monitoring.page.single_flight import SingleFlight
from rees46_sync.shop.shop_file import shops_dir
from rees46_sync.translations import translator

__all__ = ["PREFIX", "create_app"]

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; "
    "object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def create_app(project: Path, explain: Callable[..., Any] | None = None, compare: Compare | None = None) -> FastAPI:
    """
    Return the app that Airflow mounts.

    :param project: the project's folder; its shop files are shown, unless ``$REES46_SHOPS_DIR`` names another folder.
    :param explain: says why an order is, or is not, at REES46; None: the page shows what the ledger knows.
    :param compare: compares the warehouse with REES46; None: the page does not offer it.
    """
    # A redirect to the address with or without a slash would name the host that the request named.
    app = FastAPI(title="REES46 order sync", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.project = project
    app.state.explain = explain
    app.state.comparisons = Comparisons(compare) if compare else None
    app.state.health = SingleFlight(lambda: health_report(shops_dir(project)))
    router = APIRouter(dependencies=[Depends(current_user)])
    for part in (shops, shop, runs, quarantine, orders, reconcile, api):
        router.include_router(part.router)
    app.include_router(router)
    app.add_api_route("/health", health.health)
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_address)
    app.add_exception_handler(SyncError, _ledger_error)
    app.middleware("http")(_with_language)
    add_headers(app, HEADERS)
    return app


async def _with_language(request: Request, respond: Callable[[Request], Awaitable[Response]]) -> Response:
    request.state.language = language_of(request)
    response = await respond(request)
    remember_language(request, response)
    return response


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)  # what it is registered for
    response = _answer(request, error.status_code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


def _invalid_address(request: Request, _error: Exception) -> Response:
    _ = translator(request.state.language).gettext
    return _answer(request, 422, _("This address is not valid: start from the page of all shops."))


def _ledger_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SyncError)  # what it is registered for
    shop = request.state.shop
    return _answer(request, 503, reason_of(error, shop, request.state.language), shop)


def _answer(request: Request, status: int, message: str, shop: Any = None) -> Response:
    """Return an error as a page; to whoever asks for JSON, as JSON."""
    path = request.url.path.removeprefix(request.scope.get("root_path", ""))
    if path.startswith("/api/") or path == "/health":
        return JSONResponse({"error": message}, status)
    return render(request, "error.html", status, shop=shop, message=message)
