"""The contract of a request to REES46: as its documents say, and strict if they say nothing."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

VIOLATIONS = {
    "wrong_path": "There is nothing at this path.",
    "wrong_method": "This path does not answer to this method.",
    "wrong_content_type": "The Content-Type is not application/json.",
    "not_json": "The body is not strict JSON in UTF-8, where NaN, Infinity and repeated keys have no place.",
    "wrong_shape": "The body is not an object of exactly shop_id, shop_secret and an array of orders.",
    "wrong_credentials": "shop_id and shop_secret are not those of a shop with order tracking.",
    "empty_orders": "orders is empty.",
    "too_many_orders": "orders holds more than one request may carry.",
    "wrong_order": "not an object of exactly id and status.",
    "id_not_text": "id is not a string of Unicode characters.",
    "id_blank": "id is blank.",
    "id_too_long": "id has more than 255 characters.",
    "id_control_character": "id holds a control character.",
    "status_not_integer": "status is not an integer.",
    "status_out_of_range": "status is none of 0, 1 and 2.",
    "status_not_text": "status is not a string of Unicode characters.",
    "status_blank": "status is blank.",
    "status_too_long": "status has more than 255 characters.",
    "duplicate_id": "id occurs twice in one request.",
}
"""The ways to break the contract, and the message of each."""

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MAX_TEXT_LENGTH = 255


class ContractViolationError(Exception):
    """
    A request breaks the contract.

    :param kind: a key of `VIOLATIONS`.
    :param position: that of the wrong order in `orders`, from 0; None if the request as a whole is wrong.
    """

    def __init__(self, kind: str, position: int | None = None) -> None:
        where = "" if position is None else f"orders[{position}]: "
        super().__init__(where + VIOLATIONS[kind])
        self.kind = kind


Orders: TypeAlias = dict[str, int | str]
"""The status of each order id."""


@dataclass(frozen=True)
class Endpoint:
    """How REES46's endpoints differ; `status_violation` returns the kind of violation of a status, or None."""

    max_orders: int
    status_violation: Callable[[object], str | None]


def _integer_status_violation(status: object) -> str | None:
    if type(status) is not int:  # isinstance would accept true and false
        return "status_not_integer"
    return None if status in (0, 1, 2) else "status_out_of_range"


def _text_status_violation(status: object) -> str | None:
    return _text_violation("status", status)


ENDPOINTS = {
    "/import/sync_orders": Endpoint(max_orders=1000, status_violation=_integer_status_violation),
    "/sync/orders": Endpoint(max_orders=5000, status_violation=_text_status_violation),
}


def check(body: bytes, content_type: str, endpoint: Endpoint, credentials: tuple[str, str]) -> Orders:
    """
    Return the orders of a request as id -> status.

    :raises ContractViolationError: the first violation.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise ContractViolationError("wrong_content_type")
    try:
        request = _STRICT_JSON.decode(body.decode())
    except (ValueError, RecursionError):
        raise ContractViolationError("not_json") from None
    is_object = isinstance(request, dict) and request.keys() == {"shop_id", "shop_secret", "orders"}
    if not is_object or not isinstance(rows := request["orders"], list):
        raise ContractViolationError("wrong_shape")
    if (request["shop_id"], request["shop_secret"]) != credentials:
        raise ContractViolationError("wrong_credentials")
    if not rows:
        raise ContractViolationError("empty_orders")
    if len(rows) > endpoint.max_orders:
        raise ContractViolationError("too_many_orders")
    orders: Orders = {}
    for position, row in enumerate(rows):
        if not isinstance(row, dict) or row.keys() != {"id", "status"}:
            raise ContractViolationError("wrong_order", position)
        kind = _id_violation(row["id"], orders) or endpoint.status_violation(row["status"])
        if kind:
            raise ContractViolationError(kind, position)
        orders[row["id"]] = row["status"]
    return orders


def _id_violation(order_id: Any, seen: Orders) -> str | None:
    if violation := _text_violation("id", order_id):
        return violation
    if _CONTROL_CHARACTER.search(order_id):
        return "id_control_character"
    return "duplicate_id" if order_id in seen else None


def _text_violation(field: str, value: object) -> str | None:
    if not isinstance(value, str) or _LONE_SURROGATE.search(value):
        return f"{field}_not_text"
    if not value.strip():
        return f"{field}_blank"
    return f"{field}_too_long" if len(value) > _MAX_TEXT_LENGTH else None


def _without_repeated_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("repeated key")
    return result


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_STRICT_JSON = json.JSONDecoder(object_pairs_hook=_without_repeated_keys, parse_constant=_refuse_constant)
