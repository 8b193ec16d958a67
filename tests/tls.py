"""Certificates, and a PostgreSQL with TLS: the embedded one is built without it."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
GSS_REQUEST = (8).to_bytes(4, "big") + (80877104).to_bytes(4, "big")
DAYS = datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC)


def make_certificates(folder: Path) -> Path:
    """
    Write certificates and their keys (``.pem``, ``.key``) into a folder, and return it.

    ``ca`` has signed ``good``, for localhost, and ``wrong-name``, for another host; ``self-signed`` is for localhost.
    """
    ca_key = ec.generate_private_key(ec.SECP256R1())
    _write(folder, "ca", ca_key, ca_key, None, None)
    for name, host, issuer in (
        ("good", "localhost", ca_key),
        ("wrong-name", "elsewhere.example.com", ca_key),
        ("self-signed", "localhost", None),
    ):
        key = ec.generate_private_key(ec.SECP256R1())
        _write(folder, name, key, issuer or key, host, "ca" if issuer else None)
    return folder


def _write(
    folder: Path,
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signing_key: ec.EllipticCurvePrivateKey,
    host: str | None,
    issuer: str | None,
) -> None:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    made = x509.CertificateBuilder(
        named(issuer or name), named(name), key.public_key(), x509.random_serial_number(), *DAYS
    ).add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    if host:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    certificate = made.sign(signing_key, hashes.SHA256())
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


class Front:
    """
    A port of 127.0.0.1 in front of a PostgreSQL that listens on a Unix socket.

    :param port: where it listens.
    :param encrypted: of each session that was opened, whether it used TLS.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.encrypted: list[bool] = []


@contextmanager
def postgres_front(unix_socket: Path, certificate: Path | None) -> Iterator[Front]:
    """
    Let a PostgreSQL be reached over TCP, with TLS as its own protocol begins it.

    :param unix_socket: of the server.
    :param certificate: a file of :func:`make_certificates`; None: the server has no TLS.
    """
    context = None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        front = Front(listener.getsockname()[1])

        def accept() -> None:
            with suppress(OSError):  # the end of the test closes it
                while True:
                    client = listener.accept()[0]
                    threading.Thread(target=_serve, args=(client, unix_socket, context, front), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield front
        listener.shutdown(socket.SHUT_RDWR)


def _serve(client: socket.socket, unix_socket: Path, context: ssl.SSLContext | None, front: Front) -> None:
    with suppress(OSError), client:
        secure: socket.socket = client
        while (first := client.recv(8, socket.MSG_PEEK)) in (SSL_REQUEST, GSS_REQUEST):
            client.recv(8)
            if first == SSL_REQUEST and context:
                client.sendall(b"S")
                secure = context.wrap_socket(client, server_side=True)
                break
            client.sendall(b"N")
        with secure, socket.socket(socket.AF_UNIX) as server:
            server.connect(str(unix_socket))
            data = secure.recv(65536)
            if not data:
                return  # it wants TLS, and does not get it
            front.encrypted.append(secure is not client)
            server.sendall(data)
            threading.Thread(target=_copy, args=(server, secure), daemon=True).start()
            _copy(secure, server)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
