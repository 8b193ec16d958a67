"""All shops at a glance; and where Airflow's tabs of a DAG and of a run lead."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse

from rees46_sync.airflow_adapters.pools import shop_name
from rees46_sync.monitoring.page.access import CurrentUser, all_shops, can_read_shop, folder_of_shops, requested_shop
from rees46_sync.monitoring.page.rendering import render
from rees46_sync.translations import translator

STATIC = {path.name: path for path in (Path(__file__).parents[1] / "static").iterdir()}

router = APIRouter()


@router.get("/static/{name}")
def static(request: Request, name: str) -> FileResponse:
    """Return a file of the page; it fetches nothing from elsewhere."""
    if name not in STATIC:
        _ = translator(request.state.language).gettext
        raise HTTPException(404, _("There is no such file."))
    return FileResponse(STATIC[name])


@router.get("/")
def index(request: Request, user: CurrentUser) -> HTMLResponse:
    """
    List the shops that the user may read, a line for each, the worst first, and those without a shop file.

    Who may read a shop that has vanished? Whoever may read its DAG: Airflow answers that for each id, also after the
    DAG is gone, so a shop that was hidden before stays hidden.
    """
    from rees46_sync.monitoring.page.facts import shops_facts
    from rees46_sync.monitoring.vanished_shops import shop_of, vanished_shops

    folder = folder_of_shops(request)
    every, unusable = all_shops(request)
    shown = [shop for shop in every if can_read_shop(user, shop.shop)]
    in_force = {shop.shop: shop.file.name for shop in shown}
    named_twice = [(shop_of(folder, error), error.file) for error in unusable]
    return render(
        request,
        "index.html",
        rows=shops_facts(shown, datetime.now(UTC), request.state.language),
        unusable=len(unusable),
        any_shop=bool(every),
        named_twice=[(name, in_force[name], file) for name, file in named_twice if name in in_force],
        vanished=[one for one in vanished_shops(folder, every, unusable) if can_read_shop(user, one.shop)],
    )


@router.get("/dags/{dag_id}")
def dag(request: Request, dag_id: str, user: CurrentUser) -> Response:
    """Lead from the tab of a DAG in Airflow to its shop."""
    shop = requested_shop(request, _shop_of(request, dag_id), user)
    return RedirectResponse(f"{request.scope['root_path']}/shops/{shop.shop}")


@router.get("/dags/{dag_id}/runs/{run_id:path}")
def dag_run(request: Request, dag_id: str, run_id: str, user: CurrentUser) -> Response:
    """Lead from the tab of a run in Airflow to what the run did; while it is not recorded, say so."""
    from rees46_sync.monitoring.page.queries import open_queries

    shop = requested_shop(request, _shop_of(request, dag_id), user)
    with open_queries(shop) as queries:
        number = queries.run_number(dag_id, run_id) if queries.ledger.has_tables() else None
    if number is None:
        return render(request, "no_account.html", dag_id=dag_id, run_id=run_id)
    return RedirectResponse(f"{request.scope['root_path']}/shops/{shop.shop}/runs/{number}")


def _shop_of(request: Request, dag_id: str) -> str:
    if shop := shop_name(dag_id):
        return shop
    _ = translator(request.state.language).gettext
    # The tab is on each DAG of an Airflow before 3.4, which cannot limit it to some.
    raise HTTPException(404, _("This DAG is not one of a REES46 shop."))
