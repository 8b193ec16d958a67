"""
An HTTP adapter for requests whose read timeout bounds the whole answer.

The timeout of requests bounds each wait for bytes, so a server that sends one byte at a time, or "100 Continue" for
ever, keeps a request alive without end. Here each wait has only what is left of the request's time.
"""

from __future__ import annotations

import io
import socket
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection


class BoundedAdapter(HTTPAdapter):
    """An adapter whose read timeout is the time from the start of a request to the last byte of its answer."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create the pools of direct connections."""
        super().init_poolmanager(*args, **kwargs)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> ProxyManager:
        """Return the pools of the connections through a proxy."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **kwargs)
        _bound(manager)
        return manager


class _Reader(io.RawIOBase):
    """What a socket receives until a deadline, on the clock of :func:`time.monotonic`."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        super().__init__()
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        remaining = self._deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("the answer takes longer than the request's timeout")
        self._sock.settimeout(remaining)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, deadline: float, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp.close()
        self.fp = io.BufferedReader(_Reader(sock, deadline))


class _BoundedConnection:
    """Of a connection of urllib3: the time of a request runs from its start."""

    timeout: float | None
    _started_at: float

    def connect(self) -> None:
        self._started_at = time.monotonic()
        super().connect()  # type: ignore[misc]

    def request(self, *args: Any, **kwargs: Any) -> None:
        self._started_at = time.monotonic()
        super().request(*args, **kwargs)  # type: ignore[misc]

    @property
    def response_class(self) -> Callable[..., HTTPResponse]:
        """Makes the response, as http.client calls it; the timeout is by then the read timeout."""
        if self.timeout is None:
            return HTTPResponse
        return partial(_BoundedResponse, deadline=self._started_at + self.timeout)


class _HttpConnection(_BoundedConnection, HTTPConnection):  # type: ignore[misc]  # a property, there a class
    pass


class _HttpsConnection(_BoundedConnection, HTTPSConnection):  # type: ignore[misc]
    pass


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection


def _bound(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {"http": _HttpPool, "https": _HttpsPool}
