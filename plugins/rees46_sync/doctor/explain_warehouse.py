"""What the warehouse says of one order, and what a run makes of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from rees46_sync.doctor.explain_facts import Action, Problem, WarehouseFacts, WarehouseRow
from rees46_sync.doctor.explain_ledger import MAX_ROWS
from rees46_sync.doctor.findings import within
from rees46_sync.exceptions import SyncError
from rees46_sync.window import Window

if TYPE_CHECKING:
    import pyarrow as pa

    from rees46_sync.ledger.database import Ledger
    from rees46_sync.shop.shop import Shop
    from rees46_sync.validation.expectations import RowValidator, ValidationResult

log = logging.getLogger(__name__)

NEXT_TIMEOUT_S, ALL_TIMEOUT_S = 5, 10
"""How long the warehouse may look for the order in the window of the next run, and in all times. A person waits, in one
of the few threads of Airflow's api-server."""

HANGS_S = 3
"""How much longer it is waited for, because a connection may hang where no timeout of the database counts."""

MAX_QUERIES = 2
"""How many explanations of a process ask warehouses at once; another one is refused for the moment."""

_asking = threading.BoundedSemaphore(MAX_QUERIES)
_validating = threading.Lock()


@dataclass(frozen=True)
class Judged:
    """What a run makes of rows; without a row, the action is NOT_READ."""

    action: Action = Action.NOT_READ
    reasons: Sequence[str] = ()
    code: int | None = None
    newest: Sequence[tuple[Any, ...]] = ()


def ask(
    shop: Shop, order_id: str, windows: tuple[Window, Window]
) -> tuple[pa.Table | None, pa.Table | None, Problem | None, str]:
    """
    Ask the warehouse for the rows of the order in both windows, the second one first: an index helps it.

    :return: the rows of each window, None if it could not be asked; why not, and in whose words.
    """
    from rees46_sync.warehouse.reader import read_order

    found: dict[Window, pa.Table] = {}

    def read() -> None:
        for window, timeout_s in zip(reversed(windows), (NEXT_TIMEOUT_S, ALL_TIMEOUT_S), strict=True):
            found[window] = read_order(shop, window, order_id, MAX_ROWS, timeout_s)

    problem, message = None, ""
    if "\0" in order_id or not order_id.strip():  # no run sends such an id, and databases refuse it in a query
        from rees46_sync.warehouse.values import READ_SCHEMA

        return READ_SCHEMA.empty_table(), READ_SCHEMA.empty_table(), None, ""
    if not _asking.acquire(timeout=HANGS_S):
        return None, None, Problem.BUSY, ""
    try:
        within(NEXT_TIMEOUT_S + ALL_TIMEOUT_S + HANGS_S, read)
    except TimeoutError as error:
        problem, message = Problem.TIMEOUT, str(error)
    except SyncError as error:
        problem, message = Problem.FAILED, str(error)
    finally:
        _asking.release()
    if problem:
        log.warning("Order of shop %s: the warehouse was not asked: %s", shop.shop, message)
    everything, soon = (found.get(window) for window in windows)
    return everything, soon, problem, message


def judge(shop: Shop, ledger: Ledger, rows: pa.Table, window: Window) -> Judged:
    """Return what a run makes of rows that it reads in a window."""
    from rees46_sync.ledger.mappings import former_mappings
    from rees46_sync.ledger.refused_orders import RefusedOrders
    from rees46_sync.ledger.runs import RunRef
    from rees46_sync.pipeline import comparison, diff
    from rees46_sync.pipeline.bad_orders import BadOrderSearch
    from rees46_sync.warehouse.reader import newest_of

    if not rows.num_rows:
        return Judged()
    staged = newest_of(rows, shop.codes).to_pandas()
    newest = [_key(row) for row in staged.to_dict("records")]
    result = _validate(shop, staged, window)
    reasons = list(dict.fromkeys(code for row in result.rejected for code in row.reason.split(", ")))
    if reasons:
        return Judged(Action.REJECTED, reasons, newest=newest)
    orders = diff.add_codes(result.valid, shop, former_mappings(ledger, shop.shop, shop.codes))
    context = diff.DiffContext(
        window_end=window.end, settle=shop.settle, allow_reopen=shop.allow_reopen, is_resend=window.is_resend
    )
    run = RunRef(shop.shop, f"order_status_sync_{shop.shop}", "", "")
    action = Action(comparison.compare(ledger, run, orders, context).actions.iloc[0])
    search = BadOrderSearch(RefusedOrders(ledger), shop.shop, resend=context.resend)
    search.set_aside(orders)
    if action is Action.SEND and len(search.known_bad):
        action = Action.REFUSED
    return Judged(action, code=int(orders["code"].iloc[0]), newest=newest)


@cache
def _validator() -> RowValidator:
    from rees46_sync.validation.expectations import RowValidator

    return RowValidator()


def _validate(shop: Shop, rows: Any, window: Window) -> ValidationResult:
    with _validating:  # Great Expectations has state of the whole process
        return _validator().validate(rows, shop.codes, window)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    import pandas as pd

    values = (row["status"], row["updated_at"], row["updated_at_text"])
    return tuple(None if pd.isna(value) else value for value in values)


def warehouse_facts(
    shop: Shop, rows: pa.Table | None, judged: Judged, problem: Problem | None, message: str
) -> WarehouseFacts:
    """Return the rows as facts; None if the warehouse could not be asked. ``judged`` is what a run makes of them."""
    from rees46_sync.validation.expectations import REASONS

    if rows is None:
        return WarehouseFacts(problem=problem, message=message)
    ordered = rows.sort_by([("updated_at", "descending")]).to_pandas().to_dict("records")
    keys = dict.fromkeys(map(_key, ordered))
    found = [
        WarehouseRow(
            status=status,
            updated_at=updated_at.to_pydatetime() if updated_at is not None else None,
            text=text,
            code=shop.codes.get(status),
            is_newest=(status, updated_at, text) in judged.newest,
        )
        for status, updated_at, text in keys
    ]
    found.sort(key=lambda row: not row.is_newest)
    return WarehouseFacts(found, judged.reasons, len(REASONS), problem, message)
