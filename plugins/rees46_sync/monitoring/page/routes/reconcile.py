"""Whether REES46 has what the warehouse says, over a span of time."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Literal

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from rees46_sync.exceptions import ConnectionFieldsError, LedgerError, SyncError
from rees46_sync.monitoring.page.access import RequestedShop
from rees46_sync.monitoring.page.comparisons import WAIT_S, ComparisonRunningError
from rees46_sync.monitoring.page.rendering import render
from rees46_sync.shop.shop import Shop
from rees46_sync.translations import translator

log = logging.getLogger(__name__)

SPANS = {"1d": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30), "90d": timedelta(days=90)}

router = APIRouter()


@router.get("/shops/{shop}/reconcile")
async def reconcile(
    request: Request, shop: RequestedShop, span: Literal["1d", "7d", "30d", "90d"] = "7d"
) -> HTMLResponse:
    """
    Compare the warehouse with what REES46 has accepted, in the thread for comparisons, and show what differs.

    :raises fastapi.HTTPException: 404, the page was created without comparisons.
    """
    _ = translator(request.state.language).gettext
    comparisons = request.app.state.comparisons
    if comparisons is None:
        raise HTTPException(404, _("This page does not compare."))
    if not await run_in_threadpool(_has_tables, shop):
        return render(request, "no_run.html")
    problem = comparison = None
    try:
        comparison = (await comparisons.result(shop, SPANS[span]))(request.state.language)
    except ComparisonRunningError as running:
        problem = (
            _("Another comparison is running here, and there is one at a time. Try it again when that has ended.")
            if running.is_another
            else _("The comparison takes longer than %s seconds, and goes on. Load this page again to see the result.")
            % WAIT_S
        )
    except (LedgerError, ConnectionFieldsError):
        raise  # the app says what is wrong with it
    except SyncError as error:
        # A database's own message may name hosts and users.
        log.warning("Comparison of shop %s: %s", shop.shop, error)
        problem = _("The warehouse could not be compared; its own message is in the api-server's log.")
    status = 503 if problem else 200
    return render(request, "reconcile.html", status, spans=list(SPANS), span=span, found=comparison, problem=problem)


def _has_tables(shop: Shop) -> bool:
    from rees46_sync.monitoring.page.queries import open_queries

    with open_queries(shop) as queries:
        return queries.ledger.has_tables()
