"""Servers that tests start, on 127.0.0.1."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from local.servers import free_ports

START_TIMEOUT_S = 120


def wait_for_port(port: int, server: subprocess.Popen[bytes]) -> None:
    """
    Wait until a server listens.

    :raises RuntimeError: it has ended.
    :raises TimeoutError: it does not listen in time.
    """
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end:
        if server.poll() is not None:
            raise RuntimeError(f"{server.args} has ended with {server.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"{server.args} does not listen on port {port}")


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """Serve an ASGI app from a thread of this process, and return its port."""
    [port] = free_ports(1)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.05)
        yield port
    finally:
        server.should_exit = True
        thread.join()
