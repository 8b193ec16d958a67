"""The test of a connection: it connects, checks the certificate, and posts nothing."""

from __future__ import annotations

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Connection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rees46_sync.rees46.hook import Rees46Hook
from rees46_sync.sandbox.server import Sandbox
from tests.conftest import SECRET
from tests.rees46.conftest import HookOf

# The test of a connection


NOT_CHECKED = "the keys, and whether order synchronisation is enabled: REES46 says so only in answer to a real batch."


class TlsServer:
    """A server on loopback with a certificate for ``127.1`` (which is 127.0.0.1); it keeps what it receives."""

    def __init__(self, folder: Path) -> None:
        self.certificate = folder / "certificate.pem"
        self.received: list[bytes] = []
        key_file = folder / "key.pem"
        key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("127.1")]), critical=True)
            .sign(key, hashes.SHA256())
        )
        form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        self.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, key_file)
        received = self.received

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                with suppress(OSError), context.wrap_socket(self.request, server_side=True) as stream:
                    received.append(stream.recv(1))

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Stop after the open connections are handled."""
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def tls_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TlsServer]:
    monkeypatch.setenv("NO_PROXY", "*")
    server = TlsServer(tmp_path)
    yield server
    server.stop()


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


def test_behind_a_proxy_the_proxy_is_tested_and_its_password_not_shown(
    sandbox: Sandbox, hook_of: HookOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY")
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:private@127.0.0.1:{sandbox.port}")

    assert hook_of(host="rees46.test").test_connection() == (
        True,
        f"127.0.0.1:{sandbox.port} answers. Not checked: rees46.test:443 behind this proxy, {NOT_CHECKED}",
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
