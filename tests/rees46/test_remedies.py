"""What a person has to do about a refusal."""

from __future__ import annotations

import pytest

from rees46_sync.rees46.remedies import remedy

KEYS = r'check login \(store key\) and password \(secret key\) of connection shop.*enable "Orders Tracking"'
NO_SHOP = r"knows no such shop there: check login \(store key\) of connection shop.*which host and dialect"
ADDRESS = "not the endpoint: correct host, schema and dialect of connection shop"
BATCH = "does not take this batch as it is: look for REES46's e-mail"


@pytest.mark.parametrize(
    ("http_status", "reason", "words"),
    [
        (401, "", KEYS),
        (403, "", KEYS),
        (403, "Shop is inactive", KEYS),
        (400, "Wrong shop_secret", KEYS),
        (422, "shop_id is malformed", KEYS),
        (200, "Order tracking is not enabled", KEYS),
        (404, "Shop not found", NO_SHOP),
        (400, "Unknown shop", NO_SHOP),
        (200, "Магазин не найден", NO_SHOP),
        (301, "", ADDRESS),
        (302, "", ADDRESS),
        (404, "", ADDRESS),
        (404, "Not found", ADDRESS),
        (405, "", ADDRESS),
        (407, "", "the proxy in between wants a login: set it in HTTPS_PROXY"),
        (400, "", BATCH),
        (422, "orders[3]: id is blank", BATCH),
        (200, "", BATCH),
    ],
)
def test_rees46s_own_words_decide_what_to_do_and_the_http_status_if_there_are_none(
    http_status: int, reason: str, words: str
) -> None:
    import re

    assert re.search(words, remedy(http_status, reason, "shop"))
