"""A shop's rejected rows."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse

from rees46_sync.formatting import unescape_unprintable
from rees46_sync.monitoring.page.access import RequestedShop
from rees46_sync.monitoring.page.rendering import Before, Text, render
from rees46_sync.monitoring.page.views import csv_lines
from rees46_sync.translations import translator

router = APIRouter()


@router.get("/shops/{shop}/quarantine")
def quarantine(
    request: Request, shop: RequestedShop, reason: Text = "", q: Text = "", before: Before = None
) -> HTMLResponse:
    """Show a shop's rejected rows, their reasons, and the statuses that the shop file does not map."""
    from rees46_sync.ledger.quarantine import MEANINGS, Quarantine
    from rees46_sync.monitoring.page.queries import PAGE_ROWS, open_queries
    from rees46_sync.shop.mapping_lines import mapping_lines
    from rees46_sync.validation.expectations import REASONS

    translate = translator(request.state.language).gettext
    with open_queries(shop) as queries:
        if not queries.ledger.has_tables():
            return render(request, "no_run.html")
        rows = queries.rejected(reason, q, before)
        unmapped = queries.unmapped(list(shop.codes))
        # A stored status is escaped. If it may have held the escape from the start, both are mapped: no harm is done.
        statuses = [text for status, *_ in unmapped for text in dict.fromkeys((unescape_unprintable(status), status))]
        return render(
            request,
            "quarantine.html",
            rows=rows,
            more=rows[-1].id if len(rows) == PAGE_ROWS else None,
            before=before,
            reasons=Quarantine(queries.ledger).count(shop.shop).by_reason.most_common(),
            meaning={code: translate(text) for code, text in (REASONS | MEANINGS).items()},
            unmapped=unmapped,
            to_paste=mapping_lines(shop, statuses, translate),
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
