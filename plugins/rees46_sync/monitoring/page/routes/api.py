"""
The facts of the page as JSON, for Grafana and for support: flat objects, times in ISO 8601, ages in seconds.

The login and the permissions are those of the page.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, HTTPException, Request

from rees46_sync.monitoring.page.access import CurrentUser, RequestedShop, all_shops, can_read_shop
from rees46_sync.monitoring.page.rendering import Before, Number, Text
from rees46_sync.shop.shop import STATUS_NAMES

NOT_YET = "No run has finished yet, so the ledger has no tables."

router = APIRouter(prefix="/api")


@router.get("/shops")
def shops(request: Request, user: CurrentUser) -> list[dict[str, Any]]:
    """Return the shops that the user may read, the worst first."""
    from rees46_sync.monitoring.page.facts import flat, shops_facts

    now = datetime.now(UTC)
    shown = [shop for shop in all_shops(request)[0] if can_read_shop(user, shop.shop)]
    return [flat(facts, now) for facts in shops_facts(shown, now, "en")]


@router.get("/shops/{shop}")
def shop(shop: RequestedShop) -> dict[str, Any]:
    """Return a shop, with the alerts that fire."""
    from rees46_sync.monitoring.page.facts import flat, shop_facts
    from rees46_sync.monitoring.page.queries import open_queries

    now = datetime.now(UTC)
    with open_queries(shop) as queries:
        facts = shop_facts(shop, queries, now)
    firing = [{"alert": row.alert, "since": row.since.isoformat(), "summary": row.summary} for row in facts.alerts]
    return flat(facts, now) | {"firing": firing}


@router.get("/shops/{shop}/runs")
def runs(shop: RequestedShop, before: Before = None) -> list[dict[str, Any]]:
    """Return a shop's runs, the latest first; the next page starts before the last ``run``."""
    from rees46_sync.monitoring.page.facts import flat_run
    from rees46_sync.monitoring.page.queries import open_queries

    with open_queries(shop) as queries:
        return [flat_run(run) for run in queries.runs(before)] if queries.ledger.has_tables() else []


@router.get("/shops/{shop}/runs/{number}")
def run(shop: RequestedShop, number: Number) -> dict[str, Any]:
    """Return a run, with a few order ids of each part of its sum, and its latest requests."""
    from rees46_sync.monitoring.page.facts import examples_of, flat_request, flat_run
    from rees46_sync.monitoring.page.queries import open_queries

    with open_queries(shop) as queries:
        found = queries.run(number) if queries.ledger.has_tables() else None
        if found is None:
            raise HTTPException(404, "This shop has no such run, or its record was removed (keep_days).")
        latest = [flat_request(row) for row in queries.requests_of(found)]
    return flat_run(found) | {"examples": examples_of(found), "latest_requests": latest}


@router.get("/shops/{shop}/orders")
def order(
    request: Request,
    shop: RequestedShop,
    id: Text,  # noqa: A002 - as it reads in the address
    explain: bool = False,
) -> dict[str, Any]:
    """
    Return what the ledger knows of one order.

    :param explain: also why it is, or is not, at REES46 as the warehouse has it, which asks the warehouse.
    """
    from rees46_sync.monitoring.page.queries import open_queries

    with open_queries(shop) as queries:
        if not queries.ledger.has_tables():
            raise HTTPException(404, NOT_YET)
        history = queries.order(id)
    why = request.app.state.explain if explain else None
    latest = history.accepted[0] if history.accepted else None
    return {
        "order_id": id,
        "status": latest.status if latest else None,
        "status_name": STATUS_NAMES[latest.status] if latest else None,
        "updated_at": latest.source_updated_at.isoformat() if latest else None,
        "accepted_at": latest.accepted_at.isoformat() if latest else None,
        "dag_id": latest.dag_id if latest else None,
        "run_id": latest.run_id if latest else None,
        "uncertain": history.uncertain,
        "in_flight": history.in_flight,
        "rejected": len(history.rejected),
        "reason": history.rejected[0].reason if history.rejected else None,
        "explanation": asdict(why(shop, id, request.state.language)) if why else None,
    }
