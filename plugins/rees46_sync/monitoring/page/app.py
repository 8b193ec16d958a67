"""
The routes of the page. Each one but the health needs a login; those of a shop need the permission to read its DAG.

A shop that a user may not read is answered like one that does not exist: 404.
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

from rees46_sync.exceptions import ConnectionFieldsError, LedgerError, LedgerSchemaError, ShopFileError, SyncError
from rees46_sync.formatting import unescape_unprintable
from rees46_sync.monitoring.page.access import can_read_shop, current_user
from rees46_sync.monitoring.page.views import csv_lines, run_path, templates
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.shop_file import load_shops, shops_dir

log = logging.getLogger(__name__)

PREFIX = "/rees46"
"""Where Airflow mounts this."""

HOURS, DAYS = 48, 30
"""How far back the charts go."""

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

router = APIRouter(dependencies=[Depends(current_user)])


def create_app(project: Path) -> FastAPI:
    """
    Return the app that Airflow mounts.

    :param project: the project's folder; its shop files are shown, unless ``$REES46_SHOPS_DIR`` names another folder.
    """
    app = FastAPI(title="REES46 order sync", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.project = project
    app.include_router(router)
    app.add_api_route("/health", health)
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid_address)
    app.add_exception_handler(SyncError, _ledger_error)
    app.middleware("http")(_with_headers)
    return app


async def _with_headers(request: Request, respond: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await respond(request)
    response.headers.update(HEADERS)
    return response


def _shops_dir(request: Request) -> Path:
    return shops_dir(request.app.state.project)


def _all_shops(request: Request) -> tuple[list[Shop], list[ShopFileError]]:
    """Return the usable shops, and the errors of other shop files; they are read each time, as they may change."""
    return load_shops(_shops_dir(request))


def _requested_shop(request: Request, shop: str, user: Annotated[Any, Depends(current_user)]) -> Shop:
    found = next((known for known in _all_shops(request)[0] if known.shop == shop), None)
    if found is None or not can_read_shop(user, shop):
        raise HTTPException(404, "There is no such shop, or you may not read its DAG in Airflow.")
    request.state.shop = found  # for an error page
    return found


RequestedShop = Annotated[Shop, Depends(_requested_shop)]


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
    Answer a monitor: 200 if every shop is fresh, otherwise 503.

    It needs no login, so it holds nothing but names and ages in seconds: the time since the last successful hourly run,
    and the largest possible age of a change that is not accepted yet; whether the warehouse's data ends earlier than
    usual; and how many gaps are between the delivered windows, which make no shop unhealthy. They are null if no run
    succeeded yet, or the ledger does not answer. An unusable shop file is 503 as well. So is no shop at all: then the
    api-server reads another folder than the scheduler. So is a shop that a ledger knows and no shop file names.
    """
    from rees46_sync.ledger.database import interactive_ledger
    from rees46_sync.monitoring.freshness import freshness_status
    from rees46_sync.monitoring.vanished_shops import vanished_shops

    shops, unusable = _all_shops(request)
    now = datetime.now(UTC)
    answers: list[dict[str, Any]] = []
    for shop in shops:
        status = None
        try:
            with interactive_ledger(shop.ledger_conn_id) as ledger:
                status = freshness_status(ledger, shop, now)
        except SyncError as error:
            log.warning("Health of shop %s: %s", shop.shop, error)
        answers.append(
            {
                "shop": shop.shop,
                "fresh": status is not None and not status.breached,
                "age_seconds": _seconds(status.success_age if status else None),
                "change_age_seconds": _seconds(status.change_age if status else None),
                "freshness_seconds": _seconds(shop.freshness),
                "data_late": bool(status and status.is_data_late),
                "gaps": status.gaps if status else None,
            }
        )
    vanished = [one.shop for one in vanished_shops(_shops_dir(request), shops, unusable)]
    # A folder without any shop file counts as unusable, too.
    healthy = not unusable and not vanished and all(answer["fresh"] for answer in answers)
    return JSONResponse({"healthy": healthy, "shops": answers, "vanished": vanished}, 200 if healthy else 503)


def _seconds(passed: timedelta | None) -> int | None:
    return None if passed is None else round(passed.total_seconds())


@router.get("/static/{name}")
def static(name: str) -> FileResponse:
    """Return a file of the page; it fetches nothing from elsewhere."""
    if name not in STATIC:
        raise HTTPException(404, "There is no such file.")
    return FileResponse(STATIC[name])


@router.get("/")
def index(request: Request, user: Annotated[Any, Depends(current_user)]) -> HTMLResponse:
    """
    List the shops that the user may read, each with the progress of its sync, and those without a shop file.

    Who may read a shop that has vanished? Whoever may read its DAG: Airflow answers that for each id, also after the
    DAG is gone, so a shop that was hidden before stays hidden.
    """
    from rees46_sync.monitoring.freshness import sync_progress
    from rees46_sync.monitoring.page.queries import open_queries
    from rees46_sync.monitoring.vanished_shops import shop_of, vanished_shops

    folder = _shops_dir(request)
    every, unusable = _all_shops(request)
    rows = []
    for shop in every:
        if not can_read_shop(user, shop.shop):
            continue
        try:
            with open_queries(shop) as queries:
                has_runs = queries.ledger.has_runs()
                progress = sync_progress(queries.ledger, shop.shop, shop.lookback) if has_runs else None
            rows.append((shop, progress, ""))
        except SyncError as error:
            rows.append((shop, None, _reason(error, shop)))
    in_force = {shop.shop: shop.file.name for shop, _, _ in rows}
    named_twice = [(shop_of(folder, error), error.file) for error in unusable]
    return _page(
        request,
        "index.html",
        rows=rows,
        unusable=len(unusable),
        any_shop=bool(every),
        named_twice=[(name, in_force[name], file) for name, file in named_twice if name in in_force],
        vanished=[one for one in vanished_shops(folder, every, unusable) if can_read_shop(user, one.shop)],
    )


@router.get("/shops/{shop}")
def overview(request: Request, shop: RequestedShop) -> HTMLResponse:
    """Show the progress of a shop's sync, its firing alerts, and the changes sent."""
    from rees46_sync.ledger.mappings import corrected_mapping
    from rees46_sync.ledger.quarantine import Quarantine
    from rees46_sync.monitoring.alerts import Alerts
    from rees46_sync.monitoring.freshness import sync_progress
    from rees46_sync.monitoring.gaps import closing_command
    from rees46_sync.monitoring.page.queries import open_queries

    now = datetime.now(UTC)
    with open_queries(shop) as queries:
        if not queries.ledger.has_tables():
            return _page(request, "no_run.html")
        hours, days = queries.sent_per("hour", HOURS, now), queries.sent_per("day", DAYS, now)
        return _page(
            request,
            "overview.html",
            now=now,
            progress=sync_progress(queries.ledger, shop.shop, shop.lookback),
            rejected=Quarantine(queries.ledger).count(shop.shop),
            unmapped=queries.unmapped(list(shop.codes)),
            charts=[
                ("hour", f"the last {HOURS} hours", [(f"{hour:%d %b %H:00}", count) for hour, count in hours]),
                ("day", f"the last {DAYS} days", [(f"{day:%d %b}", count) for day, count in days]),
            ],
            firing=Alerts(queries.ledger, shop.shop).firing(),
            closing_command=closing_command,
            corrected=corrected_mapping(queries.ledger, shop.shop, shop.codes),
        )


@router.get("/shops/{shop}/statuses")
def statuses(request: Request, shop: RequestedShop) -> HTMLResponse:
    """Count a shop's orders by status: a page of its own, because counting millions takes many seconds."""
    from rees46_sync.monitoring.page.queries import open_queries

    with open_queries(shop) as queries:
        if not queries.ledger.has_tables():
            return _page(request, "no_run.html")
        return _page(request, "statuses.html", counts=queries.orders_by_status())


@router.get("/shops/{shop}/runs")
def runs(request: Request, shop: RequestedShop, before: Before = None) -> HTMLResponse:
    """List a shop's runs and their closed sums."""
    from rees46_sync.ledger.runs import ACCOUNT_PARTS
    from rees46_sync.monitoring.page.queries import PAGE_ROWS, open_queries

    with open_queries(shop) as queries:
        if not queries.ledger.has_tables():
            return _page(request, "no_run.html")
        rows = queries.runs(before)
    more = rows[-1].id if len(rows) == PAGE_ROWS else None
    closed = {run.id: sum(getattr(run, part) for part in ACCOUNT_PARTS) == run.read for run in rows}
    return _page(request, "runs.html", runs=rows, closed=closed, parts=ACCOUNT_PARTS, more=more, before=before)


@router.get("/shops/{shop}/quarantine")
def quarantine(
    request: Request, shop: RequestedShop, reason: Text = "", q: Text = "", before: Before = None
) -> HTMLResponse:
    """Show a shop's rejected rows, their reasons, and the statuses that the shop file does not map."""
    from rees46_sync.ledger.quarantine import MEANINGS, Quarantine
    from rees46_sync.monitoring.page.queries import PAGE_ROWS, open_queries
    from rees46_sync.shop.mapping_lines import mapping_lines
    from rees46_sync.validation.expectations import REASONS

    with open_queries(shop) as queries:
        if not queries.ledger.has_tables():
            return _page(request, "no_run.html")
        rows = queries.rejected(reason, q, before)
        unmapped = queries.unmapped(list(shop.codes))
        # A stored status is escaped. If it may have held the escape from the start, both are mapped: no harm is done.
        statuses = [text for status, *_ in unmapped for text in dict.fromkeys((unescape_unprintable(status), status))]
        return _page(
            request,
            "quarantine.html",
            rows=rows,
            more=rows[-1].id if len(rows) == PAGE_ROWS else None,
            before=before,
            reasons=Quarantine(queries.ledger).count(shop.shop).by_reason.most_common(),
            meaning=REASONS | MEANINGS,
            unmapped=unmapped,
            to_paste=mapping_lines(shop, statuses),
            reason=reason,
            q=q,
        )


@router.get("/shops/{shop}/quarantine.csv")
def quarantine_csv(shop: RequestedShop, reason: Text = "", q: Text = "") -> StreamingResponse:
    """Return all of these rows as a file."""
    from rees46_sync.monitoring.page.queries import open_queries

    with open_queries(shop) as queries:
        has_tables = queries.ledger.has_tables()  # before the response starts: an error can still become a 503

    def lines() -> Iterator[str]:
        with open_queries(shop) as queries:
            yield from csv_lines(row._asdict() for row in (queries.all_rejected(reason, q) if has_tables else ()))

    headers = {"Content-Disposition": f'attachment; filename="rees46_quarantine_{shop.shop}.csv"'}
    return StreamingResponse(lines(), media_type="text/csv", headers=headers)


@router.get("/shops/{shop}/orders")
def order(request: Request, shop: RequestedShop, id: Text = "") -> HTMLResponse:  # noqa: A002 - as it reads in the address
    """Show what is known of one order."""
    from rees46_sync.monitoring.page.queries import PAGE_ROWS, open_queries

    with open_queries(shop) as queries:
        if not queries.ledger.has_tables():
            return _page(request, "no_run.html")
        history = queries.order(id) if id else None
    return _page(request, "order.html", order_id=id, history=history, most=PAGE_ROWS)


def _reason(error: SyncError, shop: Shop) -> str:
    """Return what is wrong with a shop's ledger; a database's own message may name hosts and users, so it is logged."""
    log.warning("Page of shop %s: %s", shop.shop, error)
    if isinstance(error, ConnectionFieldsError):
        return f"{error} If environment variables hold the connections, set them for the api-server as well."
    if isinstance(error, LedgerSchemaError):
        return f"The ledger of connection {shop.ledger_conn_id}: {error.cause}; {error.remedy}."
    if isinstance(error, LedgerError):
        return (
            f"The ledger does not answer: check connection {shop.ledger_conn_id} and its database. "
            "The database's own message is in the api-server's log."
        )
    raise error


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)  # what it is registered for
    return _page(request, "error.html", error.status_code, shop=None, message=str(error.detail))


def _invalid_address(request: Request, _error: Exception) -> Response:
    return _page(
        request, "error.html", 422, shop=None, message="This address is not valid: start from the page of all shops."
    )


def _ledger_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, SyncError)  # what it is registered for
    return _page(request, "error.html", 503, message=_reason(error, request.state.shop))
