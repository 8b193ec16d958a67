"""Compare orders with the ledger, and record those that need nothing, until no other run has changed what was found."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rees46_sync.ledger.confirmations import Confirmations
from rees46_sync.ledger.extractions import Extractions, OtherExtractions
from rees46_sync.ledger.lookup import look_up
from rees46_sync.ledger.requests import ChangeToken, Requests
from rees46_sync.pipeline import diff
from rees46_sync.pipeline.diff import DiffContext

if TYPE_CHECKING:
    import pandas as pd

    from rees46_sync.ledger.database import Ledger
    from rees46_sync.ledger.runs import RunRef


class Comparison(NamedTuple):
    """
    What a comparison found.

    :param token: of the ledger before the lookup; while it is unchanged, the actions are still right.
    :param others: how the other extractions related to this one before the lookup.
    :param known: as :func:`rees46_sync.ledger.lookup.look_up` returns it.
    :param actions: as :func:`rees46_sync.pipeline.diff.compare` returns them.
    :param confirmed: how many orders were confirmed.
    """

    token: ChangeToken
    others: OtherExtractions
    known: pd.DataFrame
    actions: pd.Series
    confirmed: int = 0


def compare(ledger: Ledger, run: RunRef, orders: pd.DataFrame, context: DiffContext) -> Comparison:
    """
    Compare orders with the ledger; write nothing.

    :param orders: columns order_id, code, updated_at.
    :raises LedgerError: the ledger does not answer.
    """
    token, others = Requests(ledger).change_token(run), Extractions(ledger).others(run)
    known = look_up(ledger, run.shop, orders["order_id"].tolist(), run.extraction_id, others, context.settle)
    return Comparison(token, others, known, diff.compare(orders, known, context))


def compare_and_confirm(ledger: Ledger, run: RunRef, orders: pd.DataFrame, context: DiffContext) -> Comparison:
    """
    Compare orders with the ledger, and confirm those that need nothing.

    If the ledger has changed between the lookup and the confirmation, another load may have sent such an order without
    seeing that it is confirmed, so they are compared again. A load records its request before it looks for
    confirmations; so at least one of the two sees the other. It ends, because an extraction confirms an order at most
    once in a version.

    :param orders: columns order_id, code, updated_at.
    :raises LedgerError: the ledger does not answer.
    """
    confirmations, requests = Confirmations(ledger), Requests(ledger)
    confirmed = 0
    while True:
        found = compare(ledger, run, orders, context)
        new = confirmations.confirm(run, diff.select_confirmable(orders, found.known, found.actions), found.others)
        confirmed += new
        if not new or requests.change_token(run) == found.token:
            return found._replace(confirmed=confirmed)
