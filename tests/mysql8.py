"""
The login of a MySQL 8 server: ``caching_sha2_password``, its default, which MariaDB does not have.

It speaks the protocol as far as a driver needs to log in (MySQL's manual, "Caching_sha2_password information"), and
answers every statement with OK. It keeps what went over the wire, so that a test can look for the password.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SALT = b"twenty bytes of salt"
OK = b"\x00\x00\x00\x02\x00\x00\x00"
ACCESS_DENIED = b"\xff\x15\x04#28000Access denied"
FAST, FULL, KEY_REQUEST = b"\x01\x03", b"\x01\x04", b"\x02"
CLIENT_SSL, CLIENT_CONNECT_WITH_DB = 0x800, 0x8
CAPABILITIES = 0x1 | CLIENT_CONNECT_WITH_DB | 0x200 | 0x2000 | 0x8000 | 0x80000 | 0x200000
"""Long passwords, a database's name, protocol 4.1, transactions, salted logins, login methods, their length."""


@dataclass
class MySql8:
    """
    A server.

    :param password: the right one.
    :param is_cached: whether it remembers the user, so that a hash of the password is enough.
    :param context: its settings of TLS; None if it has none.
    :ivar received: the packets of clients, as they were sent over TLS or without.
    :ivar used_tls: of each login, whether it went over TLS.
    """

    password: str
    is_cached: bool = False
    context: ssl.SSLContext | None = None
    port: int = 0
    received: list[bytes] = field(default_factory=list)
    used_tls: list[bool] = field(default_factory=list)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    @property
    def public_key(self) -> bytes:
        """The key with which a client encrypts its password."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.key.public_key().public_bytes(serialization.Encoding.PEM, form)

    def decrypted(self, packet: bytes) -> bytes:
        """The password of a packet that was encrypted with the public key."""
        mask = padding.MGF1(hashes.SHA1())
        text = self.key.decrypt(packet, padding.OAEP(mask, hashes.SHA1(), None))
        return bytes(byte ^ SALT[index % len(SALT)] for index, byte in enumerate(text))


@contextmanager
def running_mysql8(server: MySql8) -> Iterator[MySql8]:
    """Run a server on a free port of this machine."""

    class Handler(_Login):
        mysql = server

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as listener:
        listener.daemon_threads = True
        thread = threading.Thread(target=listener.serve_forever, args=(0.05,))
        thread.start()
        server.port = listener.server_address[1]
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()


class _Login(StreamRequestHandler):
    """One connection of a client."""

    mysql: MySql8
    rbufsize = 0  # what follows the request for TLS is read by TLS
    _number = 0

    def handle(self) -> None:
        with suppress(EOFError, OSError):  # the client has gone
            self._log_in()
            while self._read()[:1] != b"\x01":  # until it says good-bye
                self._write(OK)

    def _log_in(self) -> None:
        server, offered = self.mysql, CAPABILITIES | (CLIENT_SSL if self.mysql.context else 0)
        low, high = (offered & 0xFFFF).to_bytes(2, "little"), (offered >> 16).to_bytes(2, "little")
        self._write(
            b"\x0a8.4.0\0\x01\0\0\0" + SALT[:8] + b"\0" + low + b"\xff\x02\0" + high + b"\x15" + b"\0" * 10
            + SALT[8:] + b"\0caching_sha2_password\0"
        )  # fmt: skip
        hello = self._read()
        is_encrypted = bool(int.from_bytes(hello[:4], "little") & CLIENT_SSL)
        if is_encrypted:
            assert server.context is not None
            self.connection: Any = server.context.wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb", 0), self.connection.makefile("wb", 0)
            self._read()
        server.used_tls.append(is_encrypted)
        if server.is_cached:
            self._write(FAST)
            self._write(OK)
            return
        self._write(FULL)
        answer = self._read()
        if answer == KEY_REQUEST:
            self._write(b"\x01" + server.public_key)
            answer = self._read()
        given = b""
        with suppress(ValueError):  # it is not encrypted with this key
            given = answer if is_encrypted else server.decrypted(answer)
        self._write(OK if given == server.password.encode() + b"\0" else ACCESS_DENIED)

    def _read(self) -> bytes:
        header = self._receive(4)
        self._number = header[3] + 1
        packet = self._receive(int.from_bytes(header[:3], "little"))
        self.mysql.received.append(packet)
        return packet

    def _receive(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            received += (part := self.rfile.read(size - len(received)))
            if not part:
                raise EOFError
        return received

    def _write(self, packet: bytes) -> None:
        self.wfile.write(len(packet).to_bytes(3, "little") + bytes([self._number % 256]) + packet)
        self._number += 1
