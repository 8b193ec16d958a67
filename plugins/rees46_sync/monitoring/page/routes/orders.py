"""What is known of one order."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from rees46_sync.monitoring.page.access import RequestedShop
from rees46_sync.monitoring.page.rendering import Text, render

router = APIRouter()


@router.get("/shops/{shop}/orders")
def order(request: Request, shop: RequestedShop, id: Text = "") -> HTMLResponse:  # noqa: A002 - as it reads in the address
    """Say why an order is, or is not, at REES46 as the warehouse has it, and show what the ledger knows of it."""
    from rees46_sync.monitoring.page.queries import PAGE_ROWS, open_queries

    with open_queries(shop) as queries:
        if not queries.ledger.has_tables():
            return render(request, "no_run.html")
        history = queries.order(id) if id else None
    explain = request.app.state.explain
    explanation = explain(shop, id, request.state.language) if explain and history else None
    return render(request, "order.html", order_id=id, history=history, most=PAGE_ROWS, explanation=explanation)
