"""The response to a request: what it says, and when it comes."""

from __future__ import annotations

import math
import time
from email.utils import formatdate
from typing import TypeAlias

from starlette.responses import JSONResponse, RedirectResponse, Response

from rees46_sync.sandbox.contract import ENDPOINTS, ContractViolationError
from rees46_sync.sandbox.faults import ODD_RESPONSES, SUCCESSFUL_KINDS, UNANSWERED_KINDS, Fault

Outcome: TypeAlias = Fault | ContractViolationError | None
"""What is wrong with a request or its response; None: accepted."""


def error_response(http_status: int, message: str, retry_after: str | None = None) -> Response:
    """Return an error in the form that REES46 documents."""
    headers = {"Retry-After": retry_after} if retry_after else None
    return JSONResponse({"status": "error", "payload": {"message": message}}, http_status, headers)


def response_to(path: str, outcome: Outcome) -> Response | None:
    """Return the response, None if there is none."""
    match outcome:
        case None:
            return _success(path)
        case Fault(kind) if kind in SUCCESSFUL_KINDS:
            return _success(path)
        case ContractViolationError(http_status=http_status):
            return error_response(http_status, str(outcome))
        case Fault(kind) if kind in UNANSWERED_KINDS:
            return None
        case Fault(kind) if kind in ODD_RESPONSES:
            content, media_type = ODD_RESPONSES[kind]
            return Response(content, 204 if kind.endswith("_204") else 200, media_type=media_type)
        case Fault("redirect"):
            return RedirectResponse("/elsewhere", status_code=302)
        case Fault("429_date", float(seconds)):
            # A date has whole seconds: rounded up, so that a client that obeys it is never early.
            return error_response(429, "Sandbox fault", formatdate(math.ceil(time.time() + seconds), usegmt=True))
        case Fault(kind, seconds):
            return error_response(int(kind), "Sandbox fault", None if seconds is None else f"{seconds:.0f}")


def seconds_until_response(outcome: Outcome, latency_s: float) -> float | None:
    """Return the seconds until the response, None if there never is one."""
    match outcome:
        case Fault("never" | "never_after"):
            return None
        case Fault("slow", float(seconds)):
            return latency_s + seconds
        case _:
            return latency_s


def _success(path: str) -> Response:
    content, media_type = ENDPOINTS[path].success
    return Response(content, media_type=media_type)
