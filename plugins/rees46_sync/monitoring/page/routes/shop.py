"""One shop: its progress, its alerts, what was read, and its orders by REES46 status."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from rees46_sync.monitoring.page.access import RequestedShop
from rees46_sync.monitoring.page.rendering import render
from rees46_sync.monitoring.page.routes.reconcile import SPANS

router = APIRouter()


@router.get("/shops/{shop}")
def overview(request: Request, shop: RequestedShop) -> HTMLResponse:
    """Show the progress of a shop's sync, its firing alerts, its last run, and the changes sent."""
    from rees46_sync.ledger.mappings import MAX_COUNTED, MAX_SHOWN, corrected_mapping
    from rees46_sync.ledger.quarantine import Quarantine
    from rees46_sync.monitoring.gaps import closing_command
    from rees46_sync.monitoring.page.charts import DAYS, HOURS
    from rees46_sync.monitoring.page.facts import shop_facts
    from rees46_sync.monitoring.page.queries import open_queries

    now = datetime.now(UTC)
    with open_queries(shop) as queries:
        if not queries.ledger.has_tables():
            return render(request, "no_run.html")
        return render(
            request,
            "overview.html",
            now=now,
            facts=shop_facts(shop, queries, now),
            rejected=Quarantine(queries.ledger).count(shop.shop),
            unmapped=queries.unmapped(list(shop.codes)),
            hours=queries.sent_per("hour", HOURS, now),
            days=queries.sent_per("day", DAYS, now),
            closing_command=closing_command,
            corrected=corrected_mapping(queries.ledger, shop.shop, shop.codes),
            most_moved=MAX_SHOWN,
            most_counted=MAX_COUNTED,
            spans=list(SPANS) if request.app.state.comparisons else (),
        )


@router.get("/shops/{shop}/statuses")
def statuses(request: Request, shop: RequestedShop) -> HTMLResponse:
    """Count a shop's orders by status: a page of its own, because counting millions takes many seconds."""
    from rees46_sync.monitoring.page.charts import status_report
    from rees46_sync.monitoring.page.queries import open_queries

    with open_queries(shop) as queries:
        if not queries.ledger.has_tables():
            return render(request, "no_run.html")
        return render(request, "statuses.html", report=status_report(queries, datetime.now(UTC)))
