"""
What is sent to REES46 and what its answers mean, by dialect of its API.

The sources are REES46's document "Synchronize Order Statuses" for ``import_sync_orders`` and its present public
documentation for ``sync_orders``. In both the body is JSON with the shop's two keys and the orders, each a text id and
a status. An empty ``orders``, or badly formatted data, makes REES46 mail an error notice, so a body is checked right
before each request. docs/dialects.md shows the dialects side by side.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from rees46_sync.shop.shop import CANCELLED, COMPLETED, CREATED, STATUS_NAMES

if TYPE_CHECKING:
    import pandas as pd

Outcome = Literal["accepted", "rejected", "unknown"]
Answer: TypeAlias = tuple[Outcome, str]
"""What an answer means, and REES46's own words where it gives a reason."""

Status: TypeAlias = int | str
"""An order's status as a dialect sends it: REES46's code, or a text."""

OWN, MAPPED = "own", "mapped"


@dataclass(frozen=True)
class Dialect:
    """
    One of REES46's ways to take order statuses.

    :param host: where a connection names none.
    :param path: of the endpoint, with a leading slash.
    :param max_orders: the largest number of orders in a request.
    :param status_texts: what may be sent as an order's status, the default first (see :func:`statuses_of`); none where
        it is REES46's code.
    :param check_statuses: raises ValueError where one of the statuses is not what the dialect takes.
    :param read_answer: says what an answer with a 2xx status means, from that status and the body.
    """

    name: str
    host: str
    path: str
    max_orders: int
    status_texts: tuple[str, ...]
    check_statuses: Callable[[Sequence[object]], None]
    read_answer: Callable[[int, bytes], Answer]


def columns_of(status_text: str | None) -> list[str]:
    """Return the columns of staged orders that their delivery needs."""
    return ["order_id", "code", "updated_at", *(["status"] if status_text == OWN else [])]


def statuses_of(orders: pd.DataFrame, status_text: str | None) -> Sequence[Status]:
    """
    Return what is sent as the status of each order.

    :param orders: staged orders with the columns of :func:`columns_of`.
    :param status_text: ``own``: the shop's status as its mapping compares it; ``mapped``: the name of REES46's status;
        None: its code.
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
    :raises ValueError: the orders are not what the dialect takes. It is a defect of the sync, found before it could
        reach REES46; the message names no order.
    """
    listed = [{"id": order_id, "status": status} for order_id, status in orders]
    ids = [order["id"] for order in listed]
    _check_texts("an order id", ids)
    dialect.check_statuses([order["status"] for order in listed])
    if not 1 <= len(listed) <= dialect.max_orders:
        raise ValueError(f"{len(listed)} orders in a request; {dialect.name} takes 1 to {dialect.max_orders}")
    if len(set(ids)) != len(ids):
        raise ValueError("an order stands twice in a request")
    try:
        return msgspec.json.encode({"shop_id": shop_id, "shop_secret": shop_secret, "orders": listed})
    except UnicodeEncodeError:
        # The codec's own error quotes the body, secret included.
        raise ValueError("an order id or a status is not valid Unicode; REES46 takes UTF-8") from None


# A thousand a request: sets and maps look at them without a step of Python each.
def _check_codes(statuses: Sequence[object]) -> None:
    if set(map(type, statuses)) <= {int} and set(statuses) <= {CREATED, COMPLETED, CANCELLED}:
        return
    wrong = next(one for one in statuses if type(one) is not int or one not in (CREATED, COMPLETED, CANCELLED))
    raise ValueError(f"a status is {wrong!r}; REES46 takes the integers 0, 1 and 2")


def _check_texts(what: str, texts: Sequence[object]) -> None:
    if set(map(type, texts)) <= {str} and all(map(str.strip, texts)):  # type: ignore[arg-type] # they are, by then
        return
    wrong = next(one for one in texts if type(one) is not str or not one.strip())
    raise ValueError(f"{what} is {type(wrong).__name__} or blank; REES46 takes text")


def _read_import_answer(http_status: int, body: bytes) -> Answer:
    """
    "200 OK" is the documented sign of acceptance.

    No body is documented; known ones are a plain ``OK`` and JSON with a ``status``. So a 200 with an empty body,
    ``OK`` or a JSON object that reports no error is accepted, a JSON object that reports an error is rejected, and
    anything else (a proxy's HTML page, JSON that was cut off) is unknown.
    """
    is_blank_or_ok = body.decode("utf-8", "replace").strip().upper() in ("", "OK")
    answer = {} if is_blank_or_ok else _json_object(body)
    if answer is None:
        return "unknown", ""
    says_error = str(answer.get("status", "")).lower() in ("error", "fail", "failed", "failure")
    if says_error or _lists_errors(answer):
        return "rejected", _reason(answer)
    return ("accepted" if http_status == 200 else "unknown"), ""


def _read_sync_answer(_http_status: int, body: bytes) -> Answer:
    """
    ``{"status":"success"}`` and ``{"status":"error"}`` are the documented answers, the HTTP status of an error is not.

    So any other body is unknown, and so is a success that lists errors.
    """
    answer = _json_object(body) or {}
    match answer.get("status"):
        case "error":
            return "rejected", _reason(answer)
        case "success" if not _lists_errors(answer):
            return "accepted", ""
        case _:
            return "unknown", ""


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body.decode("utf-8").strip())
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _lists_errors(answer: dict[str, Any]) -> bool:
    return bool(answer.get("error") or answer.get("errors")) or answer.get("success") is False


def _reason(answer: dict[str, Any]) -> str:
    """Return REES46's short message, such as "Shop not found"; a longer one may quote what was sent: left out."""
    payload = answer.get("payload")
    message = payload.get("message") if isinstance(payload, dict) else answer.get("message")
    return message if isinstance(message, str) and len(message) <= 100 and message.isprintable() else ""


IMPORT_SYNC_ORDERS = Dialect(
    name="import_sync_orders",
    host="api.rees46.com",
    path="/import/sync_orders",
    max_orders=1000,
    status_texts=(),
    check_statuses=_check_codes,
    read_answer=_read_import_answer,
)
SYNC_ORDERS = Dialect(
    name="sync_orders",
    host="api.rees46.ru",
    path="/sync/orders",
    max_orders=5000,
    status_texts=(OWN, MAPPED),
    check_statuses=partial(_check_texts, "a status"),
    read_answer=_read_sync_answer,
)
DIALECTS = {dialect.name: dialect for dialect in (IMPORT_SYNC_ORDERS, SYNC_ORDERS)}
"""The default first."""
