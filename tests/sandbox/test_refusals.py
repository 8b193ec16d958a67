"""Requests that are refused for their keys or their shop: with which HTTP status, and by no mail."""

from __future__ import annotations

import json

import pytest

from rees46_sync.sandbox.contract import REFUSALS, VIOLATIONS
from rees46_sync.sandbox.server import Sandbox
from tests.sandbox.conftest import GOOD, GOOD_TEXTS, OVER_BOTH, PATH, PRESENT_DAY, post

BOTH_PATHS = (PATH, PRESENT_DAY)
REFUSED = [
    *(
        pytest.param(path, changed, http_status, kind, message, id=f"{path[1:]}-{name}")
        for path in BOTH_PATHS
        for name, changed, http_status, kind, message in (
            ("shop-missing", {"shop_id": ...}, 401, "no_shop_id", "There is no shop_id."),
            ("shop-null", {"shop_id": None}, 401, "no_shop_id", "There is no shop_id."),
            ("shop-empty", {"shop_id": ""}, 401, "no_shop_id", "There is no shop_id."),
            ("shop-unknown", {"shop_id": "other"}, 404, "shop_not_found", "Shop not found"),
            (
                "shop-unknown-and-wrong-data",
                {"shop_id": "other", "orders": []},
                404,
                "shop_not_found",
                "Shop not found",
            ),
            ("shop-a-number", {"shop_id": 7}, 422, "malformed_shop_id", "shop_id is malformed."),
            ("shop-with-a-space", {"shop_id": "demo "}, 422, "malformed_shop_id", "shop_id is malformed."),
            ("shop-a-list", {"shop_id": ["demo"]}, 422, "malformed_shop_id", "shop_id is malformed."),
        )
    ),
    *(
        pytest.param(path, changed, http_status, kind, message, id=f"{path[1:]}-{name}")
        for path, http_status, kind, message in (
            (PATH, 400, "wrong_keys", "Wrong keys."),
            (PRESENT_DAY, 403, "wrong_secret", "shop_secret is wrong."),
        )
        for name, changed in (
            ("secret-wrong", {"shop_secret": "guess"}),
            ("secret-null", {"shop_secret": None}),
            ("secret-missing", {"shop_secret": ...}),
        )
    ),
]


@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
@pytest.mark.parametrize(("path", "changed", "http_status", "kind", "message"), REFUSED)
def test_wrong_keys_are_refused_as_documented_and_by_no_mail(
    sandbox: Sandbox, path: str, changed: dict[str, object], http_status: int, kind: str, message: str, lenient: bool
) -> None:
    sandbox.reset(lenient=lenient)
    request = json.loads(GOOD if path == PATH else GOOD_TEXTS) | changed
    body = json.dumps({key: value for key, value in request.items() if value is not ...}).encode()

    answer = post(sandbox, body, path=path)

    assert (answer.status_code, answer.json()) == (http_status, {"status": "error", "payload": {"message": message}})
    assert (sandbox.stats()["violations"], sandbox.state(), sandbox.mails()) == ({kind: 1}, {}, [])


@OVER_BOTH
def test_an_inactive_shop_is_refused_if_its_keys_are_right(
    sandbox: Sandbox, path: str, good: bytes, good_state: dict[str, object]
) -> None:
    sandbox.reset(inactive=True)

    answers = [post(sandbox, good, path=path), post(sandbox, good.replace(b'"demo"', b'"other"'), path=path)]

    assert [answer.status_code for answer in answers] == [403, 404]
    assert answers[0].json() == {"status": "error", "payload": {"message": "The shop is inactive."}}
    assert sandbox.stats()["violations"] == {"shop_inactive": 1, "shop_not_found": 1}
    assert sandbox.state() == {} != good_state


def test_every_kind_of_refusal_is_tested() -> None:
    in_test_contract = {"wrong_path", "wrong_method"}

    assert {row.values[3] for row in REFUSED} | {"shop_inactive"} | in_test_contract == REFUSALS.keys()
    assert not REFUSALS.keys() & VIOLATIONS.keys()
