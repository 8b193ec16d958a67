"""A REES46 connection: what its fields mean, and which one to correct."""

from __future__ import annotations

from typing import Any

import pytest

from rees46_sync.exceptions import (
    ConnectionFieldsError,
)
from rees46_sync.rees46 import connection as connection_module
from tests.conftest import SECRET
from tests.rees46.conftest import ORDERS, HookOf, chain_of


def test_the_secret_is_in_no_repr(hook_of: HookOf) -> None:
    hook = hook_of()

    assert hook.settings.shop_secret == SECRET
    assert SECRET not in f"{hook!r} {hook} {hook.settings!r} {hook.settings}"


@pytest.mark.parametrize(
    ("extra", "min_interval_s"),
    [
        ({}, 0),
        ({"min_interval_s": "0.5"}, 0.5),
        ({"dialect": "sync_orders"}, 1.5),
        ({"dialect": "sync_orders", "min_interval_s": "0"}, 0),
        ({"dialect": "sync_orders", "min_interval_s": ""}, 1.5),
    ],
)
def test_requests_are_as_far_apart_as_the_dialects_documents_ask_unless_the_connection_says_otherwise(
    hook_of: HookOf, extra: dict[str, object], min_interval_s: float
) -> None:
    assert hook_of(extra=extra).settings.min_interval_s == min_interval_s


PATH = "/import/sync_orders"


@pytest.mark.parametrize(
    ("connection", "url", "timeout_s", "concurrency"),
    [
        pytest.param({}, f"https://api.rees46.com{PATH}", 30, "auto", id="keys-alone"),
        pytest.param({"conn_type": "rees46"}, f"https://api.rees46.com{PATH}", 30, "auto", id="type-rees46"),
        pytest.param(
            {"extra": {"timeout_s": 5, "concurrency": 2, "dialect": "import_sync_orders"}},
            f"https://api.rees46.com{PATH}",
            5,
            2,
            id="extra",
        ),
        pytest.param({"extra": '{"timeout_s": "5"}'}, f"https://api.rees46.com{PATH}", 5, "auto", id="extra-as-text"),
        pytest.param(
            {"extra": {"timeout_s": None, "concurrency": "", "dialect": None, "min_interval_s": None}},
            f"https://api.rees46.com{PATH}",
            30,
            "auto",
            id="extra-left-empty-in-the-form",
        ),
        pytest.param({"extra": {"other": 1}}, f"https://api.rees46.com{PATH}", 30, "auto", id="unknown-extra"),
        pytest.param({"host": "rees46.test", "port": 8443}, f"https://rees46.test:8443{PATH}", 30, "auto", id="port"),
        pytest.param({"host": "rees46.test:8443"}, f"https://rees46.test:8443{PATH}", 30, "auto", id="port-in-host"),
        pytest.param({"host": "rees46.test", "schema": "HTTPS"}, f"https://rees46.test{PATH}", 30, "auto", id="caps"),
        pytest.param({"host": "https://rees46.test"}, f"https://rees46.test{PATH}", 30, "auto", id="host-with-scheme"),
        pytest.param({"host": "http://127.0.0.1:80/"}, f"http://127.0.0.1:80{PATH}", 30, "auto", id="host-with-http"),
        pytest.param({"host": "127.0.0.1", "schema": "http"}, f"http://127.0.0.1{PATH}", 30, "auto", id="schema-http"),
        pytest.param({"host": "::1", "port": 80, "schema": "http"}, f"http://[::1]:80{PATH}", 30, "auto", id="ipv6"),
        pytest.param({"host": "[::1]", "schema": "http"}, f"http://[::1]{PATH}", 30, "auto", id="ipv6-in-brackets"),
        pytest.param(f"rees46://shop-key:{SECRET}@", f"https://api.rees46.com{PATH}", 30, "auto", id="uri-keys-alone"),
        pytest.param(f"http://shop-key:{SECRET}@127.0.0.1:80", f"https://127.0.0.1:80{PATH}", 30, "auto", id="uri"),
        pytest.param(
            f"rees46://shop-key:{SECRET}@127.0.0.1:80/http?timeout_s=0.5&concurrency=3",
            f"http://127.0.0.1:80{PATH}",
            0.5,
            3,
            id="uri-with-everything",
        ),
        pytest.param(f"http://shop-key:{SECRET}@[::1]:80/http", f"http://[::1]:80{PATH}", 30, "auto", id="uri-ipv6"),
    ],
)
def test_a_connection_is_read_without_any_request(
    hook_of: HookOf, connection: dict[str, Any] | str, url: str, timeout_s: float, concurrency: int | str
) -> None:
    hook = hook_of(connection) if isinstance(connection, str) else hook_of(**connection)

    settings = hook.settings

    assert (settings.url, settings.timeout_s, settings.concurrency) == (url, timeout_s, concurrency)
    assert (settings.shop_id, settings.shop_secret) == ("shop-key", SECRET)
    assert settings.dialect.max_orders == 1000


@pytest.mark.parametrize(
    ("fields", "url", "status_text"),
    [
        pytest.param({"extra": {}}, "https://api.rees46.com/import/sync_orders", None, id="default"),
        pytest.param(
            {"extra": {"dialect": "import_sync_orders", "status_text": ""}},
            "https://api.rees46.com/import/sync_orders",
            None,
            id="import_sync_orders-and-a-field-left-empty-in-the-form",
        ),
        pytest.param(
            {"extra": {"dialect": "sync_orders"}}, "https://api.rees46.ru/sync/orders", "own", id="sync_orders"
        ),
        pytest.param(
            {"extra": {"dialect": "sync_orders", "status_text": None}},
            "https://api.rees46.ru/sync/orders",
            "own",
            id="sync_orders-and-a-field-left-empty-in-the-form",
        ),
        pytest.param(
            {"host": "rees46.test", "port": 8443, "extra": {"dialect": "sync_orders", "status_text": "mapped"}},
            "https://rees46.test:8443/sync/orders",
            "mapped",
            id="sync_orders-elsewhere-mapped",
        ),
    ],
)
def test_the_dialect_decides_the_address_and_what_a_status_is(
    hook_of: HookOf, fields: dict[str, Any], url: str, status_text: str | None
) -> None:
    settings = hook_of(**fields).settings

    assert (settings.url, settings.status_text) == (url, status_text)
    assert settings.dialect.name == fields["extra"].get("dialect", "import_sync_orders")


@pytest.mark.parametrize(
    ("fields", "warned_of"),
    [
        pytest.param({"host": "api.rees46.com", "schema": "http"}, "api.rees46.com", id="http-in-public"),
        pytest.param({"host": "http://api.rees46.com"}, "api.rees46.com", id="http-in-host"),
        pytest.param({"host": "10.0.0.1", "schema": "http"}, "10.0.0.1", id="http-in-a-private-network"),
        pytest.param({"host": "localhost.test", "schema": "http"}, "localhost.test", id="not-quite-localhost"),
        pytest.param({"host": "api.rees46.com"}, None, id="https"),
        pytest.param({"host": "127.0.0.1", "schema": "http"}, None, id="http-to-loopback"),
        pytest.param({"host": "127.8.8.8", "schema": "http"}, None, id="http-to-another-loopback"),
        pytest.param({"host": "LOCALHOST", "schema": "http"}, None, id="http-to-localhost"),
        pytest.param({"host": "[::1]", "schema": "http"}, None, id="http-to-ipv6-loopback"),
    ],
)
def test_a_secret_that_would_be_sent_unencrypted_causes_a_warning(
    hook_of: HookOf, caplog: pytest.LogCaptureFixture, fields: dict[str, Any], warned_of: str | None
) -> None:
    hook_of(**fields).settings  # noqa: B018 - it warns when it is read

    warnings = [record.getMessage() for record in caplog.records if record.name == connection_module.__name__]
    expected = f"Connection shop_rees46 sends the shop's secret unencrypted to {warned_of}: remove schema http"
    assert [text[: len(expected)] for text in warnings] == ([expected] if warned_of else [])


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        pytest.param({"login": None}, "login is empty; set it to the shop's store key", id="no-login"),
        pytest.param({"login": ""}, "login is empty", id="empty-login"),
        pytest.param({"password": None}, "password is empty; set it to the shop's secret key", id="no-password"),
        pytest.param({"schema": "ftp"}, "schema is 'ftp'; use https", id="ftp"),
        pytest.param({"host": "ftp://rees46.test"}, "ftp.*; use https", id="ftp-in-host"),
        pytest.param({"host": "https://api.rees46.com/import"}, "give a host name alone", id="host-with-a-path"),
        pytest.param({"host": "api.rees46.com?shop=1"}, "give a host name alone", id="host-with-a-query"),
        pytest.param({"host": "https://"}, "give a host name alone", id="scheme-without-a-host"),
        pytest.param({"host": "api rees46.com"}, "give a host name alone", id="host-with-a-space"),
        pytest.param({"host": "rees46..test"}, "give a host name alone", id="host-with-an-empty-label"),
        pytest.param({"host": f"{'a' * 70}.test"}, "give a host name alone", id="host-with-an-overlong-label"),
        pytest.param({"host": "rees46.test:99999"}, "99999", id="port-in-host-too-large"),
        pytest.param({"host": "rees46.test:https"}, "rees46.test:https", id="port-in-host-no-number"),
        pytest.param({"host": "[::1"}, "::1", id="half-an-ipv6-address"),
        pytest.param({"port": 70000}, "port.*70000", id="port-too-large"),
        pytest.param({"extra": {"dialect": "sync_order"}}, "dialect is 'sync_order'; use one of", id="bad-dialect"),
        pytest.param(
            {"extra": {"status_text": "own"}},
            "status_text is 'own', and dialect import_sync_orders sends no text .*; remove status_text, or set dialect",
            id="status-text-of-the-other-dialect",
        ),
        pytest.param(
            {"extra": {"dialect": "sync_orders", "status_text": "name"}},
            "status_text is 'name'; use one of own, mapped",
            id="bad-status-text",
        ),
        pytest.param({"extra": {"timeout_s": "soon"}}, "timeout_s is 'soon'; give a number", id="timeout-a-word"),
        pytest.param({"extra": {"timeout_s": 0}}, "timeout_s is 0; give a number above 0", id="timeout-0"),
        pytest.param({"extra": {"timeout_s": -1}}, "timeout_s is -1", id="timeout-negative"),
        pytest.param({"extra": {"timeout_s": "nan"}}, "timeout_s is 'nan'", id="timeout-nan"),
        pytest.param({"extra": {"timeout_s": "inf"}}, "timeout_s is 'inf'", id="timeout-endless"),
        pytest.param({"extra": {"concurrency": 0}}, "concurrency is 0; give auto, or a number", id="concurrency-0"),
        pytest.param({"extra": {"concurrency": "many"}}, "concurrency is 'many'; give auto", id="concurrency-a-word"),
        pytest.param({"extra": {"min_interval_s": -1}}, "min_interval_s is -1; give 0 or", id="interval-negative"),
        pytest.param({"extra": {"min_interval_s": "5 s"}}, "min_interval_s is '5 s'; give 0 or", id="interval-a-word"),
        pytest.param({"extra": {"min_interval_s": "inf"}}, "min_interval_s is 'inf'", id="interval-endless"),
        pytest.param({"extra": [1]}, "extra", id="extra-a-list"),
    ],
)
def test_a_connection_that_cannot_be_used_says_which_field_to_correct(
    hook_of: HookOf, fields: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConnectionFieldsError, match=f"Connection shop_rees46: .*{problem}") as caught:
        hook_of(**fields).send(ORDERS)

    assert SECRET not in "".join(f"{error}{error!r}" for error in chain_of(caught.value))
