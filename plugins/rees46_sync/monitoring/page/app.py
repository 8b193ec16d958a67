"""
The routes of the page. Everything but the health asks for a login; what is about a shop, for its DAG's permissions.

A shop that a visitor may not see, and one that does not exist, are the same to them: 404.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from rees46_sync.exceptions import ConnectionFieldsError, LedgerError, LedgerSchemaError, SyncError
from rees46_sync.monitoring.page.charts import bars
from rees46_sync.monitoring.page.views import csv_lines, run_path, templates
from rees46_sync.monitoring.page.visitors import may_see, visitor
from rees46_sync.shop.shop import Shop, load_shops, shops_dir

log = logging.getLogger(__name__)

PREFIX = "/rees46"
"""Where Airflow mounts this."""

HOURS, DAYS = 48, 30
"""What the charts show."""

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; "
    "object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
STATIC = {path.name: path for path in (Path(__file__).parent / "static").iterdir()}

Before = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
Text = Annotated[str, Query(max_length=1000)]

router = APIRouter(dependencies=[Depends(visitor)])


def create_app(project: Path) -> FastAPI:
    """
    Return the app that Airflow mounts.

    :param project: the project's folder, for the shop files; ``$REES46_SHOPS_DIR`` goes before it.
    """
    app = FastAPI(title="REES46 order sync", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.project = project
    app.include_router(router)
    app.add_api_route("/health", health)
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _wrong_address)
    app.add_exception_handler(SyncError, _no_ledger)
    app.middleware("http")(_with_headers)
    return app


async def _with_headers(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await answer(request)
    response.headers.update(HEADERS)
    return response


def _all_shops(request: Request) -> tuple[list[Shop], int]:
    """Return the usable shops, and how many shop files are not; read anew, because they change without a restart."""
    shops, errors = load_shops(shops_dir(request.app.state.project))
    return shops, len(errors)


def _asked_shop(request: Request, shop: str, user: Annotated[Any, Depends(visitor)]) -> Shop:
    found = next((known for known in _all_shops(request)[0] if known.shop == shop), None)
    if found is None or not may_see(user, shop):
        raise HTTPException(404, "There is no such shop, or you may not read its DAG in Airflow.")
    request.state.shop = found  # for the page of an error
    return found


AskedShop = Annotated[Shop, Depends(_asked_shop)]


def _page(request: Request, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    root = request.scope.get("root_path", "")
    common = {
        "base": root,
        "now": datetime.now(UTC),
        "shop": getattr(request.state, "shop", None),
        "run_path": lambda dag_id, run_id: run_path(root.removesuffix(PREFIX), dag_id, run_id),
    }
    return HTMLResponse(templates().get_template(template).render(common | values), status_code)


def health(request: Request) -> JSONResponse:
    """
    Say for a monitor whether every shop is fresh: 200, or 503.

    Without a login, so with nothing but names and ages in seconds: since the last successful hourly run, and of the
    oldest change that may not be accepted; null where there was no success yet, or the ledger does not answer. Shop
    files that cannot be used are 503 as well, and so is no shop at all: the api-server then looks into another folder
    than the scheduler.
    """
    from rees46_sync.monitoring.freshness import standing_of
    from rees46_sync.monitoring.page.queries import open_reports

    shops, unusable = _all_shops(request)
    now = datetime.now(UTC)
    answers: list[dict[str, Any]] = []
    for shop in shops:
        standing = None
        try:
            with open_reports(shop.ledger_conn_id, shop.shop) as reports:
                standing = standing_of(reports, shop, now)
        except SyncError as error:
            log.warning("Health of shop %s: %s", shop.shop, error)
        answers.append(
            {
                "shop": shop.shop,
                "fresh": standing is not None and not standing.lost,
                "age_seconds": _seconds(standing.success_age if standing else None),
                "change_age_seconds": _seconds(standing.change_age if standing else None),
                "freshness_seconds": _seconds(shop.freshness),
            }
        )
    # A folder without any shop file counts as unusable, too.
    healthy = not unusable and all(answer["fresh"] for answer in answers)
    return JSONResponse({"healthy": healthy, "shops": answers}, 200 if healthy else 503)


def _seconds(passed: timedelta | None) -> int | None:
    return None if passed is None else round(passed.total_seconds())


@router.get("/static/{name}")
def static(name: str) -> FileResponse:
    """Give a file of our own; nothing is fetched from elsewhere."""
    if name not in STATIC:
        raise HTTPException(404, "There is no such file.")
    return FileResponse(STATIC[name])


@router.get("/")
def index(request: Request, user: Annotated[Any, Depends(visitor)]) -> HTMLResponse:
    """List the shops that the visitor may see, each with how far its sync got."""
    from rees46_sync.monitoring.page.queries import open_reports

    every, unusable = _all_shops(request)
    rows = []
    for shop in every:
        if not may_see(user, shop.shop):
            continue
        try:
            with open_reports(shop.ledger_conn_id, shop.shop) as reports:
                rows.append((shop, reports.freshness(shop.lookback) if reports.has_tables() else None, ""))
        except SyncError as error:
            rows.append((shop, None, _reason(error, shop)))
    return _page(request, "index.html", rows=rows, unusable=unusable, any_shop=bool(every))


@router.get("/shops/{shop}")
def overview(request: Request, shop: AskedShop) -> HTMLResponse:
    """Show how far a shop's sync got, and the changes sent."""
    from rees46_sync.monitoring.page.queries import open_reports

    now = datetime.now(UTC)
    with open_reports(shop.ledger_conn_id, shop.shop) as reports:
        if not reports.has_tables():
            return _page(request, "no_run.html")
        hours, days = reports.sent_per("hour", HOURS, now), reports.sent_per("day", DAYS, now)
        return _page(
            request,
            "overview.html",
            now=now,
            freshness=reports.freshness(shop.lookback),
            rejected=reports.rejections(),
            unmapped=reports.unmapped(list(shop.codes)),
            charts=[
                ("hour", f"the last {HOURS} hours", sum(n for _, n in hours), _chart("hour", hours, "%d %b %H:00")),
                ("day", f"the last {DAYS} days", sum(n for _, n in days), _chart("day", days, "%d %b")),
            ],
            firing=reports.firing_alerts(),
        )


@router.get("/shops/{shop}/statuses")
def statuses(request: Request, shop: AskedShop) -> HTMLResponse:
    """Show a shop's orders by status: by itself, because counting millions of them takes its time."""
    from rees46_sync.monitoring.page.queries import open_reports

    with open_reports(shop.ledger_conn_id, shop.shop) as reports:
        if not reports.has_tables():
            return _page(request, "no_run.html")
        return _page(request, "statuses.html", counts=reports.orders_by_status())


def _chart(unit: str, values: list[tuple[datetime, int]], label: str) -> str:
    return bars(f"Changes sent per {unit}", [(f"{moment:{label}}", count) for moment, count in values])


@router.get("/shops/{shop}/runs")
def runs(request: Request, shop: AskedShop, before: Before = None) -> HTMLResponse:
    """List a shop's runs with their closed sums."""
    from rees46_sync.monitoring.page.queries import ACCOUNT, PAGE_ROWS, open_reports

    with open_reports(shop.ledger_conn_id, shop.shop) as reports:
        if not reports.has_tables():
            return _page(request, "no_run.html")
        rows = reports.runs(before)
    more = rows[-1].id if len(rows) == PAGE_ROWS else None
    closed = {run.id: sum(getattr(run, part) for part in ACCOUNT) == run.read for run in rows}
    return _page(request, "runs.html", runs=rows, closed=closed, parts=ACCOUNT, more=more, before=before)


@router.get("/shops/{shop}/quarantine")
def quarantine(
    request: Request, shop: AskedShop, reason: Text = "", q: Text = "", before: Before = None
) -> HTMLResponse:
    """Show a shop's rejected rows by reason, and the statuses that its file does not map."""
    from rees46_sync.monitoring.page.queries import PAGE_ROWS, open_reports
    from rees46_sync.pipeline.account_for_rows import mapping_lines
    from rees46_sync.validation.expectations import WHAT_TO_DO

    with open_reports(shop.ledger_conn_id, shop.shop) as reports:
        if not reports.has_tables():
            return _page(request, "no_run.html")
        rows = reports.rejected(reason, q, before)
        unmapped = [(*found, mapping_lines(shop, found[0])) for found in reports.unmapped(list(shop.codes))]
        return _page(
            request,
            "quarantine.html",
            rows=rows,
            more=rows[-1].id if len(rows) == PAGE_ROWS else None,
            before=before,
            reasons=reports.rejections().by_reason.most_common(),
            meaning=WHAT_TO_DO,
            unmapped=unmapped,
            reason=reason,
            q=q,
        )


@router.get("/shops/{shop}/quarantine.csv")
def quarantine_csv(shop: AskedShop, reason: Text = "", q: Text = "") -> StreamingResponse:
    """Give the same rows as a file, all of them."""
    from rees46_sync.monitoring.page.queries import open_reports

    with open_reports(shop.ledger_conn_id, shop.shop) as reports:
        has_tables = reports.has_tables()  # now, while an error can still be an answer

    def lines() -> Iterator[str]:
        with open_reports(shop.ledger_conn_id, shop.shop) as reports:
            yield from csv_lines(row._asdict() for row in (reports.all_rejected(reason, q) if has_tables else ()))

    headers = {"Content-Disposition": f'attachment; filename="rees46_quarantine_{shop.shop}.csv"'}
    return StreamingResponse(lines(), media_type="text/csv", headers=headers)


@router.get("/shops/{shop}/orders")
def order(request: Request, shop: AskedShop, id: Text = "") -> HTMLResponse:  # noqa: A002 - as it reads in the address
    """Show what is known of one order."""
    from rees46_sync.monitoring.page.queries import PAGE_ROWS, open_reports

    with open_reports(shop.ledger_conn_id, shop.shop) as reports:
        if not reports.has_tables():
            return _page(request, "no_run.html")
        history = reports.order(id) if id else None
    return _page(request, "order.html", order_id=id, history=history, most=PAGE_ROWS)


def _reason(error: SyncError, shop: Shop) -> str:
    """Say what is wrong with a shop's ledger; a database's own words can name hosts and users, so they are logged."""
    log.warning("Page of shop %s: %s", shop.shop, error)
    if isinstance(error, ConnectionFieldsError):
        return f"{error} Connections that environment variables hold must be set for the api-server as well."
    if isinstance(error, LedgerSchemaError):
        return (
            f"The ledger of connection {shop.ledger_conn_id} was made by a newer version of this project than the "
            "api-server has: install that version here as well."
        )
    if isinstance(error, LedgerError):
        return (
            f"The ledger does not answer: check connection {shop.ledger_conn_id} and its database. "
            "The api-server's log has the database's own words."
        )
    raise error


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)  # what it is registered for
    return _page(request, "error.html", error.status_code, shop=None, message=str(error.detail))


def _wrong_address(request: Request, _error: Exception) -> Response:
    return _page(request, "error.html", 422, shop=None, message="This address has a part that cannot be; start anew.")


def _no_ledger(request: Request, error: Exception) -> Response:
    assert isinstance(error, SyncError)  # what it is registered for
    return _page(request, "error.html", 503, message=_reason(error, request.state.shop))
