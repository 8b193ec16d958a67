"""The dialects of REES46's order-status API: one entry per endpoint. Add yours here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from rees46_sync.rees46.responses import ResponseMeaning, read_import_response, read_sync_response
from rees46_sync.shop.statuses import CANCELLED, COMPLETED, CREATED

Status: TypeAlias = int | str
"""An order's status as a dialect sends it: REES46's code, or a text."""

OWN, MAPPED = "own", "mapped"
"""The texts that may be sent as a status: the shop's own, or the name of REES46's status."""


@dataclass(frozen=True)
class Dialect:
    """
    One of REES46's endpoints for order statuses.

    :param host: the host if the connection names none.
    :param path: path of the endpoint, with a leading slash.
    :param max_orders: the largest number of orders in a request.
    :param min_interval_s: the shortest time between the starts of two requests, if the connection names none.
    :param status_texts: the texts that may be sent as an order's status, the default first (see
        :func:`rees46_sync.rees46.payload.statuses_to_send`); empty if the dialect sends REES46's code.
    :param check_statuses: raises ValueError if the dialect does not accept one of the statuses.
    :param read_response: returns what a 2xx response means, from its HTTP status and its body.
    """

    name: str
    host: str
    path: str
    max_orders: int
    min_interval_s: float
    status_texts: tuple[str, ...]
    check_statuses: Callable[[Sequence[object]], None]
    read_response: Callable[[int, bytes], ResponseMeaning]


# A request has a thousand statuses: sets and maps check them without a step of Python for each.
def _check_codes(statuses: Sequence[object]) -> None:
    if set(map(type, statuses)) <= {int} and set(statuses) <= {CREATED, COMPLETED, CANCELLED}:
        return
    wrong = next(one for one in statuses if type(one) is not int or one not in (CREATED, COMPLETED, CANCELLED))
    raise ValueError(f"a status is {wrong!r}; REES46 takes the integers 0, 1 and 2")


def check_texts(name: str, texts: Sequence[object]) -> None:
    """
    Check that all values are texts that are not blank.

    :param name: what one of them is called in the message, such as "an order id".
    :raises ValueError: one is not; the message does not quote it.
    """
    if set(map(type, texts)) <= {str} and all(map(str.strip, texts)):  # type: ignore[arg-type] # they are texts here
        return
    wrong = next(one for one in texts if type(one) is not str or not one.strip())
    raise ValueError(f"{name} is {type(wrong).__name__} or blank; REES46 takes text")


IMPORT_SYNC_ORDERS = Dialect(
    name="import_sync_orders",
    host="api.rees46.com",
    path="/import/sync_orders",
    max_orders=1000,
    min_interval_s=0.0,
    status_texts=(),
    check_statuses=_check_codes,
    read_response=read_import_response,
)

SYNC_ORDERS = Dialect(
    name="sync_orders",
    host="api.rees46.ru",
    path="/sync/orders",
    max_orders=5000,
    min_interval_s=1.5,  # 40 requests a minute, as the documents of the same platform say
    status_texts=(OWN, MAPPED),
    check_statuses=partial(check_texts, "a status"),
    read_response=read_sync_response,
)

DIALECTS = {dialect.name: dialect for dialect in (IMPORT_SYNC_ORDERS, SYNC_ORDERS)}
"""All dialects by name, the default first."""
