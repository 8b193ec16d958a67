"""
REES46's own clients against the sandbox: each gets what the documents promise it.

Their requests are rebuilt from what their public code sends, and their reading of the answer from what it checks. What
only our own strictness refuses is named by the strict sandbox, and accepted by the lenient one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import requests

from rees46_sync.sandbox.contract import VIOLATIONS
from rees46_sync.sandbox.server import Sandbox
from tests.sandbox.conftest import PATH, PRESENT_DAY, body_of, order, post


def any_2xx(answer: requests.Response) -> bool:
    return 200 <= answer.status_code < 300


def a_plain_ok(answer: requests.Response) -> bool:
    return answer.text.upper() == "OK"


def never_looked_at(_: requests.Response) -> bool:
    return True


@dataclass(frozen=True)
class Client:
    """
    A client of REES46.

    :param is_satisfied: how it reads the answer.
    """

    path: str
    is_satisfied: Callable[[requests.Response], bool]

    def sends(self, sandbox: Sandbox, orders: object) -> bool:
        """Post orders; return whether the client is satisfied and the sandbox accepted them."""
        answer = post(sandbox, body_of(orders), path=self.path)
        return self.is_satisfied(answer) and answer.status_code == 200


PHP_SCRIPT = Client(PATH, any_2xx)
OLD_CSCART = Client(PATH, a_plain_ok)
PRESTASHOP = Client(PATH, any_2xx)
CSCART_2024 = Client(PRESENT_DAY, never_looked_at)


@pytest.mark.parametrize(
    ("client", "orders", "state"),
    [
        pytest.param(PHP_SCRIPT, [order("153404", 0), order("order4", 1)], {"153404": 0, "order4": 1}, id="php-script"),
        pytest.param(OLD_CSCART, [order("98", 2), order("97", 1)], {"98": 2, "97": 1}, id="old-cs-cart"),
    ],
)
@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
def test_a_client_that_keeps_the_documents_is_satisfied(
    sandbox: Sandbox, client: Client, orders: object, state: dict[str, object], lenient: bool
) -> None:
    sandbox.reset(lenient=lenient)

    assert client.sends(sandbox, orders)
    assert (sandbox.state(), sandbox.mails()) == (state, [])


def test_an_answer_in_json_shows_the_old_cscart_an_error(sandbox: Sandbox) -> None:
    sandbox.reset(fault="json_200@x1")

    assert not OLD_CSCART.sends(sandbox, [order("98", 2)])
    assert OLD_CSCART.sends(sandbox, [order("98", 2)])


def test_the_php_script_sends_chunks_of_a_thousand(sandbox: Sandbox) -> None:
    orders = [order(f"{number}", number % 3) for number in range(2345)]

    assert all(PHP_SCRIPT.sends(sandbox, orders[start : start + 1000]) for start in range(0, 2345, 1000))
    assert (sandbox.stats()["requests"], len(sandbox.state())) == (3, 2345)


@pytest.mark.parametrize(
    ("client", "orders", "kind", "state"),
    [
        pytest.param(PRESTASHOP, [order(153404, 1)], "id_integer", {"153404": 1}, id="prestashop-integer-ids"),
        pytest.param(
            CSCART_2024,
            [order("98", 0), order("97", 1), order("96", 2)],
            "status_integer",
            {"98": 0, "97": 1, "96": 2},
            id="cs-cart-2024-integer-statuses",
        ),
    ],
)
def test_what_only_we_forbid_is_named_if_strict_and_accepted_if_lenient(
    sandbox: Sandbox, client: Client, orders: object, kind: str, state: dict[str, object]
) -> None:
    assert not client.sends(sandbox, orders)
    assert (sandbox.stats()["violations"], sandbox.state(), sandbox.mails()) == ({kind: 1}, {}, [])
    assert not VIOLATIONS[kind].is_documented

    sandbox.reset(lenient=True)
    assert client.sends(sandbox, orders)
    assert (sandbox.stats()["violations"], sandbox.state(), sandbox.mails()) == ({}, state, [])


@pytest.mark.parametrize(
    ("client", "orders", "kind"),
    [
        pytest.param(OLD_CSCART, [], "empty_orders", id="cs-cart-without-orders"),
        pytest.param(CSCART_2024, [], "empty_orders", id="cs-cart-2024-without-orders"),
        pytest.param(PRESTASHOP, [order("7", 5)], "status_out_of_range", id="prestashop-its-own-number-as-status"),
        pytest.param(PHP_SCRIPT, order("7", 1), "wrong_shape", id="magento-2-an-object-as-orders"),
    ],
)
@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
def test_what_the_documents_forbid_is_refused_and_mailed_also_if_lenient(
    sandbox: Sandbox, client: Client, orders: object, kind: str, lenient: bool
) -> None:
    sandbox.reset(lenient=lenient)

    assert not client.sends(sandbox, orders)
    assert sandbox.stats()["violations"] == {kind: 1}
    assert [VIOLATIONS[kind].message in mail["text"] for mail in sandbox.mails()] == [True]
