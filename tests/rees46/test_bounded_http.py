"""A request is bounded as a whole, whatever the server does, and tells nobody but REES46 the shop's keys."""

from __future__ import annotations

import gzip
import socketserver
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from rees46_sync.exceptions import Rees46BlockedError, Rees46UnavailableError, Rees46UnreadableError
from rees46_sync.rees46 import hook as hook_module
from rees46_sync.rees46.responses import MAX_BODY_BYTES
from tests.conftest import SECRET
from tests.rees46.conftest import ORDERS, HookOf, chain_of
from tests.rees46.servers import Proxy, TlsServer

TIMEOUT_S = 1.5

ServerOf = Callable[[Iterator[bytes]], int]


@pytest.fixture
def server_of() -> Iterator[ServerOf]:
    """Start a server on loopback that answers the first request with these pieces, until the client has left."""
    servers: list[socketserver.ThreadingTCPServer] = []

    def start(pieces: Iterator[bytes]) -> int:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.recv(65_536)
                with suppress(OSError):
                    for piece in pieces:
                        self.request.sendall(piece)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return int(server.server_address[1])

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def _slowly(data: bytes) -> Iterator[bytes]:
    """One byte after the other, half a minute in all at most."""
    for byte in data[:300]:
        yield bytes([byte])
        time.sleep(0.1)


def _endless(piece: bytes, times: int) -> Iterator[bytes]:
    for _ in range(times):
        yield piece
        time.sleep(0.01)


SLOW = [
    pytest.param(lambda: _slowly(HEAD + b"X-Filler: " + b"x" * 500), id="a-byte-at-a-time-of-the-head"),
    pytest.param(
        lambda: _slowly(HEAD + b"Content-Length: 500\r\n\r\n" + b" " * 500), id="a-byte-at-a-time-of-the-body"
    ),
    pytest.param(lambda: _endless(b"HTTP/1.1 100 Continue\r\n\r\n", 3000), id="100-continue-without-end"),
]


@pytest.mark.parametrize("pieces", SLOW)
def test_a_slow_answer_ends_with_the_timeout_of_the_whole_request(
    hook_of: HookOf, server_of: ServerOf, monkeypatch: pytest.MonkeyPatch, pieces: Callable[[], Iterator[bytes]]
) -> None:
    monkeypatch.setattr(hook_module, "ATTEMPTS", 1)
    port = server_of(pieces())
    hook = hook_of(host="127.0.0.1", port=port, schema="http", extra={"timeout_s": TIMEOUT_S})
    hook.get_conn()
    started = time.monotonic()

    with pytest.raises(Rees46UnavailableError, match=f"did not answer within {TIMEOUT_S} s"):
        hook.send(ORDERS)

    assert TIMEOUT_S * 0.9 <= time.monotonic() - started < 20


BOMB = gzip.compress(b'{"status":"success"}' + b" " * 200_000_000)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(lambda: iter([HEAD + b"\r\n", *[b" " * 1_000_000] * 200]), id="without-a-length"),
        pytest.param(
            lambda: iter([HEAD + b"Content-Length: 6000000000\r\n\r\n", *[b" " * 1_000_000] * 200]), id="6-gigabytes"
        ),
        pytest.param(
            lambda: iter([HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB]),
            id="gzip-bomb",
        ),
    ],
)
def test_a_long_answer_is_not_read_to_its_end(
    hook_of: HookOf, server_of: ServerOf, pieces: Callable[[], Iterator[bytes]]
) -> None:
    hook = hook_of(host="127.0.0.1", port=server_of(pieces()), schema="http", extra={"timeout_s": 60})
    hook.get_conn()
    tracemalloc.start()
    try:
        with pytest.raises(Rees46UnreadableError, match=f"more than {MAX_BODY_BYTES} bytes"):
            hook.send(ORDERS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 50_000_000


def test_a_login_in_netrc_is_not_sent(
    hook_of: HookOf, tls_server: TlsServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.1 login someone password else\ndefault login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls_server.certificate))

    hook_of(host="127.1", port=tls_server.port).send(ORDERS)

    [request] = tls_server.received
    assert b"POST /import/sync_orders" in request
    assert b"authorization" not in request.lower()


def test_a_request_names_the_project_and_its_version(
    hook_of: HookOf, tls_server: TlsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls_server.certificate))

    hook_of(host="127.1", port=tls_server.port).send(ORDERS)

    assert b"\r\nUser-Agent: rees46-order-status-sync/0." in tls_server.received[0]


def test_a_batch_goes_through_a_proxy_with_its_login_and_a_certificate_that_the_environment_trusts(
    hook_of: HookOf, tls_server: TlsServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tls_server.certificate))

    assert hook_of(host="127.1", port=tls_server.port).send(ORDERS).requests == 1

    assert [place for place, _ in proxy.asked] == [f"127.1:{tls_server.port}"]


@pytest.mark.parametrize("behind_proxy", [False, True])
def test_a_certificate_that_is_not_trusted_is_not_tried_again(
    hook_of: HookOf,
    tls_server: TlsServer,
    request: pytest.FixtureRequest,
    behind_proxy: bool,
) -> None:
    if behind_proxy:
        request.getfixturevalue("proxy")

    with pytest.raises(Rees46BlockedError, match=r"certificate that is not trusted .*set REQUESTS_CA_BUNDLE") as caught:
        hook_of(host="127.1", port=tls_server.port).send(ORDERS)

    assert caught.value.requests == 1
    assert all(SECRET not in f"{error}{error!r}" for error in chain_of(caught.value))


def test_a_proxy_that_wants_a_login_is_not_asked_again(
    hook_of: HookOf, tls_server: TlsServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:wrong@{proxy.address}")

    with pytest.raises(
        Rees46BlockedError, match=r"wants a login \(407\); set user and password in HTTPS_PROXY"
    ) as caught:
        hook_of(host="127.1", port=tls_server.port).send(ORDERS)

    assert len(proxy.asked) == 1
    assert "wrong" not in str(caught.value)
