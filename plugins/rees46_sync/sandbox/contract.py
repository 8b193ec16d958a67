"""
The contract of a request to REES46, and the answers to requests that break it.

Two tables: `REFUSALS` are about the address, the keys and the shop, `VIOLATIONS` about the data. Each entry says where
it comes from. "Documented" is what REES46's document "Synchronize Order Statuses" or its public documentation says; the
rest is ours, and nothing was tried against the real REES46.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Refusal(NamedTuple):
    """An answer about the address, the keys or the shop: its HTTP status, its message, and where both come from."""

    http_status: int
    message: str
    source: str


REFUSALS = {
    "wrong_path": Refusal(404, "There is nothing at this path.", "API reference: 404"),
    "wrong_method": Refusal(405, "This path does not answer to this method.", "API reference: 405"),
    "no_shop_id": Refusal(401, "There is no shop_id.", "public documentation: 401 without a shop_id"),
    "malformed_shop_id": Refusal(422, "shop_id is malformed.", "public documentation: 422; of what form is ours"),
    "shop_not_found": Refusal(404, "Shop not found", "public documentation: 404, and this message"),
    "wrong_keys": Refusal(400, "Wrong keys.", "public documentation of import/*: 400"),
    "wrong_secret": Refusal(403, "shop_secret is wrong.", "ours: undocumented for sync/orders"),
    "shop_inactive": Refusal(403, "The shop is inactive.", "public documentation: 403, also if it has not paid"),
}
"""The requests that are refused before their data is looked at."""


class Violation(NamedTuple):
    """
    A way in which data breaks the contract.

    :param is_documented: REES46 says so, and would mail an error notice. Otherwise it is our own strictness, which a
        lenient sandbox does without.
    """

    message: str
    is_documented: bool


def _documented(message: str) -> Violation:
    return Violation(message, is_documented=True)


def _ours(message: str) -> Violation:
    return Violation(message, is_documented=False)


VIOLATIONS = {
    "wrong_content_type": _documented("The Content-Type is not application/json."),
    "not_json": _documented("The body is not JSON in UTF-8, where NaN and Infinity have no place."),
    "repeated_key": _ours("A key occurs twice in an object."),
    "wrong_shape": _documented("The body is not an object with shop_id, shop_secret and an array of orders."),
    "unknown_key": _ours("a key is none of the documented ones."),
    "empty_orders": _documented("orders is empty."),
    "too_many_orders": _documented("orders holds more than one request may carry."),
    "wrong_order": _documented("not an object with id and status."),
    "id_not_text": _documented("id is not a string of Unicode characters."),
    "id_integer": _ours("id is an integer, not a string."),  # REES46's PrestaShop module posts integers
    "id_blank": _ours("id is blank."),
    "id_too_long": _ours("id has more than 255 characters."),
    "id_control_character": _ours("id holds a control character."),
    "status_not_integer": _documented("status is not an integer."),
    "status_out_of_range": _documented("status is none of 0, 1 and 2."),
    "status_not_text": _documented("status is not a string of Unicode characters."),
    "status_integer": _ours("status is an integer, not a string."),  # REES46's CS-Cart add-on of 2024 posts integers
    "status_blank": _ours("status is blank."),
    "status_too_long": _ours("status has more than 255 characters."),
    "duplicate_id": _ours("id occurs twice in one request."),
}
"""
The ways in which data breaks the contract.

The sandbox answers 400 to them at once. That is ours as well: REES46 says that it validates after its answer.
"""

_DOCUMENTED = {kind for kind, violation in VIOLATIONS.items() if violation.is_documented}
_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SHOP_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_MAX_TEXT_LENGTH = 255


class ContractViolationError(Exception):
    """
    A request breaks the contract.

    :param kind: a key of `REFUSALS` or `VIOLATIONS`.
    :param position: that of the wrong order in `orders`, from 0; None if the request as a whole is wrong.
    """

    def __init__(self, kind: str, position: int | None = None) -> None:
        refusal = REFUSALS.get(kind)
        where = "" if position is None else f"orders[{position}]: "
        super().__init__(refusal.message if refusal else where + VIOLATIONS[kind].message)
        self.kind = kind
        self.http_status = refusal.http_status if refusal else 400
        self.is_mailed = kind in _DOCUMENTED


Orders: TypeAlias = dict[str, int | str]
"""The status of each order id."""


@dataclass(frozen=True)
class Shop:
    """A shop at REES46: its keys, and whether REES46 has made it inactive."""

    shop_id: str
    shop_secret: str
    inactive: bool = False


@dataclass(frozen=True)
class Endpoint:
    """
    How REES46's endpoints differ.

    :param success: body and content type of the answer to an accepted request.
    :param keys_refusal: the refusal of a wrong secret.
    :param status_violation: returns the kind of violation of a status, or None.
    """

    max_orders: int
    success: tuple[str, str]
    keys_refusal: str
    status_violation: Callable[[object], str | None]


def _integer_status_violation(status: object) -> str | None:
    if type(status) is not int:  # isinstance would accept true and false
        return "status_not_integer"
    return None if status in (0, 1, 2) else "status_out_of_range"


def _text_status_violation(status: object) -> str | None:
    return _text_violation("status", status)


ENDPOINTS = {
    "/import/sync_orders": Endpoint(
        max_orders=1000,
        success=("OK", "text/plain"),  # the document says "200 OK"; REES46's older CS-Cart add-on demands this body
        keys_refusal="wrong_keys",
        status_violation=_integer_status_violation,
    ),
    "/sync/orders": Endpoint(
        max_orders=5000,
        success=('{"status":"success"}', "application/json"),  # public documentation
        keys_refusal="wrong_secret",
        status_violation=_text_status_violation,
    ),
}


def check(body: bytes, content_type: str, endpoint: Endpoint, shop: Shop, *, lenient: bool = False) -> Orders:
    """
    Return the orders of a request as id -> status.

    :param lenient: do without our own strictness: an integer id becomes its text, the last of two equal ids wins.
    :raises ContractViolationError: the first violation.
    """
    enforced = _DOCUMENTED if lenient else VIOLATIONS.keys()
    request = _read_request(body, content_type, lenient=lenient)
    if kind := _refusal(request, endpoint, shop):
        raise ContractViolationError(kind)
    if not isinstance(rows := request.get("orders"), list):
        raise ContractViolationError("wrong_shape")
    if "unknown_key" in enforced and len(request) > 3:
        raise ContractViolationError("unknown_key")
    if not rows:
        raise ContractViolationError("empty_orders")
    if len(rows) > endpoint.max_orders:
        raise ContractViolationError("too_many_orders")
    orders: Orders = {}
    for position, row in enumerate(rows):
        for kind in _order_violations(row, orders, endpoint):
            if kind in enforced:
                raise ContractViolationError(kind, position)
        orders[str(row["id"])] = row["status"]
    return orders


def _read_request(body: bytes, content_type: str, *, lenient: bool) -> dict[str, object]:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise ContractViolationError("wrong_content_type")
    try:
        request = (_JSON if lenient else _STRICT_JSON).decode(body.decode())
    except (ValueError, RecursionError):
        raise ContractViolationError("not_json") from None
    if not isinstance(request, dict):
        raise ContractViolationError("wrong_shape")
    return request


def _refusal(request: dict[str, object], endpoint: Endpoint, shop: Shop) -> str | None:
    shop_id = request.get("shop_id")
    if shop_id is None or shop_id == "":
        return "no_shop_id"
    if shop_id != shop.shop_id:
        is_well_formed = isinstance(shop_id, str) and _SHOP_ID.fullmatch(shop_id)
        return "shop_not_found" if is_well_formed else "malformed_shop_id"
    if request.get("shop_secret") != shop.shop_secret:
        return endpoint.keys_refusal
    return "shop_inactive" if shop.inactive else None


def _order_violations(row: object, seen: Orders, endpoint: Endpoint) -> Iterator[str]:
    """Yield the kinds of violation of one order; each field yields at most one, a documented one before ours."""
    if not isinstance(row, dict) or not row.keys() >= {"id", "status"}:
        yield "wrong_order"
        return
    if len(row) > 2:
        yield "unknown_key"
    if kind := _id_violation(row["id"], seen):
        yield kind
    if kind := endpoint.status_violation(row["status"]):
        yield kind


def _id_violation(order_id: object, seen: Orders) -> str | None:
    if kind := _text_violation("id", order_id):
        return kind
    text = str(order_id)
    if _CONTROL_CHARACTER.search(text):
        return "id_control_character"
    return "duplicate_id" if text in seen else None


def _text_violation(field: str, value: object) -> str | None:
    if type(value) is int:
        return f"{field}_integer"
    if not isinstance(value, str) or _LONE_SURROGATE.search(value):
        return f"{field}_not_text"
    if not value.strip():
        return f"{field}_blank"
    return f"{field}_too_long" if len(value) > _MAX_TEXT_LENGTH else None


def _without_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ContractViolationError("repeated_key")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_STRICT_JSON = json.JSONDecoder(object_pairs_hook=_without_repeated_keys, parse_constant=_refuse_constant)
_JSON = json.JSONDecoder(parse_constant=_refuse_constant)
