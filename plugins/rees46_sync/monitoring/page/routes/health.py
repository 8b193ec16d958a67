"""The health of the shops, for monitors outside of Airflow."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from rees46_sync.exceptions import SyncError
from rees46_sync.monitoring.page.access import all_shops, folder_of_shops

log = logging.getLogger(__name__)


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

    shops, unusable = all_shops(request)
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
                "age_seconds": seconds(status.success_age if status else None),
                "change_age_seconds": seconds(status.change_age if status else None),
                "freshness_seconds": seconds(shop.freshness),
                "data_late": bool(status and status.is_data_late),
                "gaps": status.gaps if status else None,
            }
        )
    vanished = [one.shop for one in vanished_shops(folder_of_shops(request), shops, unusable)]
    # A folder without any shop file counts as unusable, too.
    healthy = not unusable and not vanished and all(answer["fresh"] for answer in answers)
    return JSONResponse({"healthy": healthy, "shops": answers, "vanished": vanished}, 200 if healthy else 503)


def seconds(passed: timedelta | None) -> int | None:
    """Return a duration in whole seconds."""
    return None if passed is None else round(passed.total_seconds())
