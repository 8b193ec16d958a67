"""
The JSON body of a request to REES46, checked.

The sources are REES46's document "Synchronize Order Statuses" for the dialect ``import_sync_orders``, and its current
public documentation for ``sync_orders``. In both the body holds the shop's two keys and the orders, each a text id and
a status. REES46 answers an empty ``orders`` or badly formatted data with an error notice by mail, so each body is
checked right before its request. docs/dialects.md compares the dialects.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from rees46_sync.rees46.dialects import MAPPED, OWN, Dialect, Status, check_texts
from rees46_sync.shop.statuses import STATUS_NAMES

if TYPE_CHECKING:
    import pandas as pd


def staged_columns(status_text: str | None) -> list[str]:
    """Return the columns of staged orders that their delivery needs."""
    return ["order_id", "code", "updated_at", *(["status"] if status_text == OWN else [])]


def statuses_to_send(orders: pd.DataFrame, status_text: str | None) -> Sequence[Status]:
    """
    Return what is sent as the status of each order.

    :param orders: staged orders with the columns of :func:`staged_columns`.
    :param status_text: ``own``: the shop's status, trimmed; ``mapped``: the name of REES46's status; None: REES46's
        code.
    """
    if status_text == OWN:
        own: list[str] = orders["status"].tolist()
        return own
    codes: list[int] = orders["code"].tolist()
    return [STATUS_NAMES[code] for code in codes] if status_text == MAPPED else codes


def request_body(shop_id: str, shop_secret: str, orders: Iterable[tuple[str, Status]], dialect: Dialect) -> bytes:
    """
    Return the JSON body of one request.

    :param orders: pairs of order id and status.
    :raises ValueError: the dialect does not accept the orders. This is a defect of the sync, found before it reaches
        REES46. The message names no order.
    """
    listed = [{"id": order_id, "status": status} for order_id, status in orders]
    ids = [order["id"] for order in listed]
    check_texts("an order id", ids)
    dialect.check_statuses([order["status"] for order in listed])
    if not 1 <= len(listed) <= dialect.max_orders:
        raise ValueError(f"{len(listed)} orders in a request; {dialect.name} takes 1 to {dialect.max_orders}")
    if len(set(ids)) != len(ids):
        raise ValueError("an order occurs twice in a request")
    try:
        return msgspec.json.encode({"shop_id": shop_id, "shop_secret": shop_secret, "orders": listed})
    except UnicodeEncodeError:
        # The codec's own error quotes the body, and with it the secret.
        raise ValueError("an order id or a status is not valid Unicode; REES46 takes UTF-8") from None
