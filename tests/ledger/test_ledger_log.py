"""The check of the ledger's log finds what it is for."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.requests import Requests
from rees46_sync.ledger.tables import accepted_statuses
from tests import ledger_log
from tests.conftest import accept, open_request
from tests.ledger.builders import LATER_RUN, NOON, RUN, build_orders


def defects(ledger: Ledger) -> list[str]:
    with ledger.engine.begin() as connection:
        return ledger_log.defects(connection)


def test_a_ledger_of_two_runs_has_no_defects(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 0), ("2", 1)))
    accept(ledger, LATER_RUN, 0, build_orders(("1", 1), at=NOON + timedelta(hours=1)))

    assert defects(ledger) == []


def test_an_older_version_after_a_newer_one_is_found(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 1), ("2", 1), at=NOON + timedelta(hours=1)))
    accept(ledger, LATER_RUN, 0, build_orders(("1", 0)))

    assert defects(ledger) == ["1"]


def test_an_acceptance_that_is_lost_is_found(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 0), ("2", 1)))
    with ledger.engine.begin() as connection:
        connection.execute(sa.delete(accepted_statuses).where(accepted_statuses.c.order_id == "2"))

    assert defects(ledger) == [f"extraction {RUN.extraction_id}"]


def test_a_request_of_an_earlier_load_that_is_in_flight_is_found(ledger: Ledger) -> None:
    request = open_request(ledger, RUN, build_orders(("1", 0)))
    with ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE rees46_leases SET lease = lease + 1"))

    assert defects(ledger) == [f"request {request.number}"]
    Requests(ledger).cancel_request(request)
    assert defects(ledger) == []
