"""The health of the shops, for monitors outside of Airflow."""

from __future__ import annotations

import os
import secrets

from fastapi import HTTPException, Request
from fastapi.responses import JSONResponse

TOKEN = "REES46_HEALTH_TOKEN"  # noqa: S105 - the name of a variable
"""The environment variable with the token that a monitor has to send; without it, none is needed."""


async def health(request: Request) -> JSONResponse:
    """
    Answer a monitor with :func:`rees46_sync.monitoring.health.health_report`: 200 if it is healthy, otherwise 503.

    It needs no login, so whoever asks must not be able to occupy Airflow: the report is made once at a time for all
    requests, and used for some seconds.

    :raises fastapi.HTTPException: 401, :data:`TOKEN` is set and the request does not have it.
    """
    token = os.environ.get(TOKEN, "")
    if token and not _sends(request, token):
        raise HTTPException(
            401, f"Send the token of {TOKEN}: Authorization: Bearer <token>.", {"WWW-Authenticate": "Bearer"}
        )
    report = await request.app.state.health.result()
    return JSONResponse(report, 200 if report["healthy"] else 503)


def _sends(request: Request, token: str) -> bool:
    expected = f"Bearer {token}".encode()
    # In constant time: how long a refusal takes tells nothing about the token.
    return secrets.compare_digest(request.headers.get("Authorization", "").encode("latin-1"), expected)
