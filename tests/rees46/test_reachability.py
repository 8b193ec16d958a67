"""The test of a connection: it connects, checks the certificate, and posts nothing."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import Connection

from rees46_sync.rees46.hook import Rees46Hook
from rees46_sync.sandbox.server import Sandbox
from tests.conftest import SECRET
from tests.rees46.conftest import HookOf
from tests.rees46.servers import Proxy, TlsServer

NOT_CHECKED = "the keys, and whether order synchronisation is enabled: REES46 says so only in answer to a real batch."


def test_testing_a_connection_posts_nothing_and_says_what_is_not_checked(sandbox: Sandbox, hook: Rees46Hook) -> None:
    place = f"127.0.0.1:{sandbox.port}"

    assert hook.test_connection() == (True, f"{place} answers. Not checked: {NOT_CHECKED}")
    assert sandbox.requests() == []


@pytest.mark.parametrize("trusted", ["file", "folder"])
def test_with_https_the_certificate_is_checked_and_no_byte_is_sent(
    tls_server: TlsServer, hook_of: HookOf, monkeypatch: pytest.MonkeyPatch, trusted: str
) -> None:
    file = tls_server.certificate
    if trusted == "folder":  # in which OpenSSL finds a certificate by the hash of its (here empty) name
        file.with_name("eea339da.0").symlink_to(file)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(file if trusted == "file" else file.parent))

    reached, message = hook_of(host="127.1", port=tls_server.port).test_connection()

    assert (reached, message) == (
        True,
        f"127.1:{tls_server.port} answers with a valid certificate. Not checked: {NOT_CHECKED}",
    )
    tls_server.stop()
    assert tls_server.received == [b""]


@pytest.mark.parametrize(
    ("host", "is_trusted", "cause"),
    [
        pytest.param("127.1", False, "self-signed certificate", id="self-signed"),
        pytest.param("127.0.1", True, "Hostname mismatch", id="of-another-host"),
    ],
)
def test_a_certificate_that_is_not_valid_is_a_failure_that_says_why(
    tls_server: TlsServer, hook_of: HookOf, monkeypatch: pytest.MonkeyPatch, host: str, is_trusted: bool, cause: str
) -> None:
    if is_trusted:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls_server.certificate))

    reached, message = hook_of(host=host, port=tls_server.port).test_connection()

    assert not reached
    assert f"{host}:{tls_server.port} answers, but not with TLS and a certificate to trust ({cause}" in message
    assert tls_server.received == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"login": ""}, "Connection shop_rees46: login is empty; set it to", id="no-login"),
        pytest.param({"schema": "ftp"}, "Connection shop_rees46: schema is 'ftp'; use https", id="ftp"),
        pytest.param(
            {"schema": "https"}, "not with TLS and a certificate to trust (WRONG_VERSION_NUMBER)", id="no-tls"
        ),
        pytest.param({"port": 1}, ":1 cannot be reached from here (Connection refused); correct host and", id="closed"),
    ],
)
def test_testing_a_connection_that_fails_says_what_to_correct_and_posts_nothing(
    sandbox: Sandbox, hook_of: HookOf, fields: dict[str, Any], words: str
) -> None:
    hook = hook_of(**{"host": sandbox.host, "port": sandbox.port, "schema": "http"} | fields)

    reached, message = hook.test_connection()

    assert not reached
    assert words in message
    assert SECRET not in message
    assert sandbox.requests() == []


def test_behind_a_proxy_rees46_itself_is_tried_through_it(
    tls_server: TlsServer, proxy: Proxy, hook_of: HookOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls_server.certificate))

    reached, message = hook_of(host="127.1", port=tls_server.port).test_connection()

    assert (reached, message) == (
        True,
        f"127.1:{tls_server.port} behind proxy {proxy.address} answers with a valid certificate. Not checked: "
        f"{NOT_CHECKED}",
    )
    assert [place for place, _ in proxy.asked] == [f"127.1:{tls_server.port}"]


@pytest.mark.parametrize(
    ("login", "words"),
    [
        pytest.param("", "Tunnel connection failed: 407", id="no-login"),
        pytest.param("user:private@", "not with TLS and a certificate to trust (self-signed", id="untrusted"),
    ],
)
def test_what_fails_behind_a_proxy_is_named_and_its_password_not_shown(
    tls_server: TlsServer, proxy: Proxy, hook_of: HookOf, monkeypatch: pytest.MonkeyPatch, login: str, words: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://{login}{proxy.address}")

    reached, message = hook_of(host="127.1", port=tls_server.port).test_connection()

    assert not reached
    assert f"127.1:{tls_server.port} behind proxy {proxy.address}" in message
    assert words in message
    assert "private" not in message


def test_if_rees46_is_reached_by_http_the_proxy_alone_is_tried(
    sandbox: Sandbox, hook_of: HookOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTP_PROXY", f"http://user:private@127.0.0.1:{sandbox.port}")

    assert hook_of(host="rees46.test", schema="http").test_connection() == (
        True,
        f"127.0.0.1:{sandbox.port} answers. Not checked: rees46.test:80 behind this proxy, {NOT_CHECKED}",
    )
    assert sandbox.requests() == []


def test_airflow_finds_the_connection_test_by_the_type(sandbox: Sandbox) -> None:
    connection = Connection(
        conn_id="in_memory",
        conn_type="rees46",
        host=sandbox.host,
        port=sandbox.port,
        schema="http",
        login="shop-key",
        password=SECRET,
    )

    assert connection.test_connection() == (True, f"127.0.0.1:{sandbox.port} answers. Not checked: {NOT_CHECKED}")
