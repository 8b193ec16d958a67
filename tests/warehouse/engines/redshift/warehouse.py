"""
PostgreSQL, read by Airflow's hook for Redshift and AWS's driver: Redshift's protocol is an extension of PostgreSQL's.

Redshift's own SQL, types and limits are not there, and no users or TLS.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

from tests import tls
from tests.conftest import ShopUnderTest, _postgres, postgres_folder
from tests.warehouses import PostgreSQL


@contextmanager
def running() -> Iterator[tuple[Path, int]]:
    """Run PostgreSQL, and return its folder and a port at which AWS's driver can reach it."""
    with postgres_folder() as home, _postgres(home):
        [unix_socket] = (home / "postgres").glob(".s.PGSQL.*[0-9]")
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=_accept, args=(listener, unix_socket), daemon=True).start()
            yield home, listener.getsockname()[1]
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, unix_socket: Path) -> None:
    with suppress(OSError):  # the end of the tests closes it
        while True:
            threading.Thread(target=_serve, args=(listener.accept()[0], unix_socket), daemon=True).start()


def _serve(client: socket.socket, unix_socket: Path) -> None:
    """Leave out the driver's first settings that PostgreSQL does not know, and pass on everything else."""
    with suppress(OSError), client, socket.socket(socket.AF_UNIX) as server:
        server.connect(str(unix_socket))
        [length] = struct.unpack("!i", client.recv(4, socket.MSG_WAITALL))
        first = client.recv(length - 4, socket.MSG_WAITALL)
        texts = first[4:].rstrip(b"\0").split(b"\0")
        kept = [text for pair in zip(texts[::2], texts[1::2], strict=False) if pair[0] in KNOWN for text in pair]
        body = first[:4] + b"\0".join(kept) + b"\0\0"
        server.sendall(struct.pack("!i", len(body) + 4) + body)
        threading.Thread(target=tls._copy, args=(server, client), daemon=True).start()
        tls._copy(client, server)


KNOWN = (b"user", b"database", b"application_name")


class Redshift(PostgreSQL):
    """Read by rows, through a cursor of the database."""

    kind = "redshift"
    not_shown: ClassVar = {}

    def __init__(self, shop: ShopUnderTest, home: Path, port: int) -> None:
        super().__init__(shop, home)
        self.port = port

    def connection(self) -> str:
        return json.dumps(
            {
                "conn_type": "redshift",
                "host": "127.0.0.1",
                "port": self.port,
                "login": "postgres",
                "password": "hidden",
                "schema": "postgres",
                "extra": {"ssl": False},
            }
        )

    def unreachable(self) -> dict[str, str]:
        right = json.loads(self.connection())
        return {"login": json.dumps(right | {"login": "nobody"}), "schema": json.dumps(right | {"schema": "nothing"})}

    def end_the_reading_session(self) -> None:
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'FETCH %'")


def warehouse(shop: ShopUnderTest, given: tuple[Path, int]) -> Redshift:
    """Return a warehouse of the running server."""
    return Redshift(shop, *given)
