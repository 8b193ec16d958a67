"""A shop's runs, and one of them."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from rees46_sync.monitoring.page.access import RequestedShop
from rees46_sync.monitoring.page.rendering import Before, Number, render
from rees46_sync.translations import translator

router = APIRouter()


@router.get("/shops/{shop}/runs")
def runs(request: Request, shop: RequestedShop, before: Before = None) -> HTMLResponse:
    """List a shop's runs and their closed sums."""
    from rees46_sync.ledger.runs import ACCOUNT_PARTS
    from rees46_sync.monitoring.page.facts import closes
    from rees46_sync.monitoring.page.queries import PAGE_ROWS, open_queries

    with open_queries(shop) as queries:
        if not queries.ledger.has_tables():
            return render(request, "no_run.html")
        rows = queries.runs(before)
    more = rows[-1].id if len(rows) == PAGE_ROWS else None
    closed = {run.id for run in rows if closes(run)}
    return render(request, "runs.html", runs=rows, closed=closed, parts=ACCOUNT_PARTS, more=more, before=before)


@router.get("/shops/{shop}/runs/{number}")
def run(request: Request, shop: RequestedShop, number: Number, before: Before = None) -> HTMLResponse:
    """Show what a run did: its sum, its cause and remedy, its requests, and a few rows of each decision."""
    from rees46_sync.ledger.runs import ACCOUNT_PARTS
    from rees46_sync.monitoring.page.facts import closes, examples_of
    from rees46_sync.monitoring.page.queries import PAGE_ROWS, open_queries

    with open_queries(shop) as queries:
        found = queries.run(number) if queries.ledger.has_tables() else None
        if found is None:
            _ = translator(request.state.language).gettext
            raise HTTPException(404, _("This shop has no such run, or its record was removed (keep_days)."))
        requests = queries.requests_of(found, before)
        rejected = queries.rejected_in(found.run_id) if before is None else ()
    return render(
        request,
        "run.html",
        run=found,
        parts=ACCOUNT_PARTS,
        closes=closes(found),
        examples=examples_of(found),
        requests=requests,
        more=requests[-1].id if len(requests) == PAGE_ROWS else None,
        before=before,
        rejected=rejected,
        most=PAGE_ROWS,
        is_history=found.dag_id.startswith("order_status_history_"),
    )
