"""What a person has to do about a refusal: decided by REES46's own words first, then by the HTTP status."""

from __future__ import annotations

import re

from rees46_sync.rees46.responses import speaks_of_shop


def remedy(http_status: int, reason: str, conn_id: str) -> str:
    """
    Return what to do about a refusal.

    REES46's API reference and its clients name the statuses: 400 wrong keys or a malformed batch, 401 no store key, 403
    an inactive or restricted shop, or one that has not paid, 404 no such store key, 422 a malformed one.

    :param http_status: of the response; 2xx if the body refuses the batch.
    :param reason: REES46's own message; empty if it gives none.
    :param conn_id: the Airflow connection with the shop's keys.
    """
    is_about_shop = speaks_of_shop(reason)
    if is_about_shop and re.search(r"not found|unknown|exist|не найден", reason, re.IGNORECASE):
        return (
            f"REES46 knows no such shop there: check login (store key) of connection {conn_id}, and ask your REES46 "
            "manager which host and dialect this shop has"
        )
    if http_status in (401, 403) or is_about_shop:
        return (
            f"check login (store key) and password (secret key) of connection {conn_id}, and that the shop is active "
            'and paid for. Order synchronisation may not be enabled for it: ask your REES46 manager to enable "Orders '
            'Tracking"'
        )
    if http_status == 407:
        return "the proxy in between wants a login: set it in HTTPS_PROXY, as in http://user:password@host:port"
    if 300 <= http_status < 400 or http_status in (404, 405):
        return (
            f"this is not the endpoint: correct host, schema and dialect of connection {conn_id}, or ask your REES46 "
            "manager which ones this shop has"
        )
    return "REES46 does not take this batch as it is: look for REES46's e-mail"
