"""A page as the answer to a request, and what an error means to its reader."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Path as InPath
from fastapi import Query, Request
from fastapi.responses import HTMLResponse

from rees46_sync.exceptions import ConnectionFieldsError, LedgerError, LedgerSchemaError, SyncError
from rees46_sync.monitoring.page.languages import PARAMETER
from rees46_sync.monitoring.page.views import run_path, templates
from rees46_sync.shop.shop import Shop
from rees46_sync.translations import LANGUAGES, translator

log = logging.getLogger(__name__)

PREFIX = "/rees46"
"""Where Airflow mounts this."""

Before = Annotated[int | None, Query(ge=1, le=2**63 - 1)]
"""The ``id`` that a page of a list starts before."""

Number = Annotated[int, InPath(ge=1, le=2**63 - 1)]
"""The ``id`` of a run's record."""

Text = Annotated[str, Query(max_length=1000)]


def airflow_root(request: Request) -> str:
    """Return the path that Airflow itself is served under, without a slash at its end."""
    return str(request.scope.get("root_path", "")).removesuffix(PREFIX)


def render(request: Request, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
    """
    Return a page in the language of the request.

    :param values: of the template, beside those that every page has.
    """
    language, airflow = request.state.language, airflow_root(request)
    others = [(key, value) for key, value in request.query_params.multi_items() if key != PARAMETER]
    common = {
        "base": request.scope.get("root_path", ""),
        "now": datetime.now(UTC),
        "shop": getattr(request.state, "shop", None),
        "language": language,
        "languages": [(code, urlencode([*others, (PARAMETER, code)])) for code in LANGUAGES],
        "dag_path": lambda dag_id: run_path(airflow, dag_id),
        "run_path": lambda dag_id, run_id: run_path(airflow, dag_id, run_id),
    }
    return HTMLResponse(templates(language).get_template(template).render(common | values), status_code)


def reason_of(error: SyncError, shop: Shop, language: str) -> str:
    """Return what is wrong with a shop's ledger; a database's own message may name hosts and users, so it is logged."""
    _ = translator(language).gettext
    log.warning("Page of shop %s: %s", shop.shop, error)
    if isinstance(error, ConnectionFieldsError):
        more = _("If environment variables hold the connections, set them for the api-server as well.")
        return f"{error} {more}"
    if isinstance(error, LedgerSchemaError):
        return _("The ledger of connection %(connection)s: %(cause)s; %(remedy)s.") % {
            "connection": shop.ledger_conn_id,
            "cause": error.cause,
            "remedy": error.remedy,
        }
    if isinstance(error, LedgerError):
        return _(
            "The ledger does not answer: check connection %(connection)s and its database. "
            "The database's own message is in the api-server's log."
        ) % {"connection": shop.ledger_conn_id}
    raise error
