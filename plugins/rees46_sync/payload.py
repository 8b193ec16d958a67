"""
What is sent to REES46 and what its answers mean, by dialect of its API.

The source of every rule is REES46's document "Synchronize Order Statuses": a JSON body with the shop's two keys and 1
to 1000 orders, each a text id and the status 0, 1 or 2. An empty ``orders``, or badly formatted data, makes REES46 mail
an error notice, so a body is checked right before each request.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rees46_sync.shop import CANCELLED, COMPLETED, CREATED

Outcome = Literal["accepted", "rejected", "unknown"]


@dataclass(frozen=True)
class Dialect:
    """
    One of REES46's two ways to take order statuses.

    :param path: of the endpoint, with a leading slash.
    :param max_orders: the largest number of orders in a request.
    """

    name: str
    path: str
    max_orders: int


IMPORT_SYNC_ORDERS = Dialect("import_sync_orders", "/import/sync_orders", 1000)
DIALECTS = {dialect.name: dialect for dialect in (IMPORT_SYNC_ORDERS,)}


def request_body(shop_id: str, shop_secret: str, orders: Iterable[tuple[str, int]], dialect: Dialect) -> bytes:
    """
    Return the JSON body of one request.

    :param orders: pairs of order id and REES46 status.
    :raises ValueError: the orders are not what the dialect takes. It is a defect of the sync, found before it could
        reach REES46; the message names no order.
    """
    listed = []
    for order_id, status in orders:
        if type(order_id) is not str or not order_id.strip():
            raise ValueError(f"an order id is {type(order_id).__name__} or blank; REES46 takes text")
        if type(status) is not int or status not in (CREATED, COMPLETED, CANCELLED):
            raise ValueError(f"a status is {status!r}; REES46 takes the integers 0, 1 and 2")
        listed.append({"id": order_id, "status": status})
    if not 1 <= len(listed) <= dialect.max_orders:
        raise ValueError(f"{len(listed)} orders in a request; {dialect.name} takes 1 to {dialect.max_orders}")
    if len({order["id"] for order in listed}) != len(listed):
        raise ValueError("an order stands twice in a request")
    body = {"shop_id": shop_id, "shop_secret": shop_secret, "orders": listed}
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        # The codec's own error quotes the body, secret included.
        raise ValueError("an order id is not valid Unicode; REES46 takes UTF-8") from None


def read_answer(http_status: int, body: bytes) -> tuple[Outcome, str]:
    """
    Read an answer with a 2xx status; what it means, and REES46's own words where it gives a reason.

    "200 OK" is the documented sign of acceptance. No body is documented; known ones are a plain ``OK`` and JSON with a
    ``status``. So a 200 with an empty body, ``OK`` or a JSON object that reports no error is accepted, a JSON object
    that reports an error is rejected, and anything else (a proxy's HTML page, JSON that was cut off) is unknown.
    """
    try:
        text = body.decode("utf-8").strip()
    except UnicodeDecodeError:
        return "unknown", ""
    if text.upper() in ("", "OK"):
        return ("accepted" if http_status == 200 else "unknown"), ""
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return "unknown", ""
    if not isinstance(answer, dict):
        return "unknown", ""
    reports_error = (
        str(answer.get("status", "")).lower() in ("error", "fail", "failed", "failure")
        or bool(answer.get("error") or answer.get("errors"))
        or answer.get("success") is False
    )
    if reports_error:
        return "rejected", _reason(answer)
    return ("accepted" if http_status == 200 else "unknown"), ""


def _reason(answer: dict[str, object]) -> str:
    """Return REES46's short message, such as "Shop not found"; a longer one may quote what was sent: left out."""
    payload = answer.get("payload")
    message = payload.get("message") if isinstance(payload, dict) else answer.get("message")
    return message if isinstance(message, str) and len(message) <= 100 and message.isprintable() else ""
