"""The headers of every answer of an app, whoever in it answers."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def add_headers(app: FastAPI, headers: Mapping[str, str]) -> None:
    """Add headers to each answer of an app: also to redirects, and to errors that no route has caused or expected."""

    async def unexpected_error(_request: Request, _error: Exception) -> PlainTextResponse:
        # This answer does not pass the middleware. The error itself goes on to the server, which logs it.
        return PlainTextResponse("Internal Server Error", 500, headers)

    app.add_middleware(_Headers, headers=headers)
    app.add_exception_handler(Exception, unexpected_error)


class _Headers:
    def __init__(self, app: ASGIApp, headers: Mapping[str, str]) -> None:
        self._app = app
        self._headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)
