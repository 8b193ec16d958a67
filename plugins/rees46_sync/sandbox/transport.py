"""HTTP below the level of requests: connections that are reset, left by the client, or closed when the server stops."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope


async def client_leaves(receive: Receive, within: float | None) -> bool:
    """Wait `within` seconds (None: for ever); return whether the client disconnected meanwhile."""
    try:
        async with asyncio.timeout(within):
            while (await receive())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return False
    return True


def reset_connection(scope: Scope) -> None:
    """Close the connection of a request with a TCP reset."""
    transport: asyncio.Transport = scope["state"]["transport"]
    no_lingering = struct.pack("ii", 1, 0)  # the kernel then sends RST, not the FIN of an orderly close
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, no_lingering)
    transport.abort()


class _Protocol(H11Protocol):
    """Passes its transport to each request, so that a fault can reset the connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}
        # asyncio sets it only for a listener made with IPPROTO_TCP; without it responses wait 40 ms for an ACK.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class SandboxServer(uvicorn.Server):
    """Closes all connections when it stops, because `never` does not end on its own."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app,
            http=_Protocol,
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=1,  # for a connection that arrives meanwhile
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close all connections, then stop as uvicorn does."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await super().shutdown(sockets)
