"""The health of all shops, for monitors outside of Airflow."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rees46_sync.exceptions import SyncError
from rees46_sync.monitoring.vanished_shops import names_in_files
from rees46_sync.shop.shop_file import load_shops

log = logging.getLogger(__name__)


def health_report(folder: Path) -> dict[str, Any]:
    """
    Return whether every shop is fresh (``healthy``), the facts of each, and the shops that vanished; ready for JSON.

    It holds nothing but names and ages in seconds: the time since the last successful hourly run, and the largest
    possible age of a change that is not accepted yet; whether the warehouse's data ends earlier than usual; and how
    many gaps are between the delivered windows, which make no shop unhealthy. They are null if no run succeeded yet, or
    the ledger does not answer. An unusable shop file is not healthy. Nor is no shop at all: then the api-server reads
    another folder than the scheduler. Nor is a shop that a ledger knows and no shop file names.

    Each ledger is opened once. After it failed to answer, it is not asked about its other shops.

    :param folder: of the shop files.
    """
    from rees46_sync.ledger.database import interactive_ledger
    from rees46_sync.ledger.shop_names import shops_without_file
    from rees46_sync.monitoring.freshness import FreshnessStatus, freshness_status

    shops, unusable = load_shops(folder)
    with_file = names_in_files(folder, shops, unusable)
    now = datetime.now(UTC)
    statuses: dict[str, FreshnessStatus] = {}
    vanished: list[str] = []
    for conn_id in sorted({shop.ledger_conn_id for shop in shops}):
        try:
            with interactive_ledger(conn_id) as ledger:
                for shop in (one for one in shops if one.ledger_conn_id == conn_id):
                    statuses[shop.shop] = freshness_status(ledger, shop, now)
                vanished += shops_without_file(ledger, with_file)
        except SyncError as error:
            log.warning("Health of the shops whose ledger is connection %s: %s", conn_id, error)
    answers: list[dict[str, Any]] = []
    for shop in shops:
        status = statuses.get(shop.shop)
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
    # A folder without any shop file counts as unusable, too.
    healthy = not unusable and not vanished and all(answer["fresh"] for answer in answers)
    return {"healthy": healthy, "shops": answers, "vanished": vanished}


def _seconds(passed: timedelta | None) -> int | None:
    return None if passed is None else round(passed.total_seconds())
