"""What REES46's response to a batch means: accepted, rejected or unknown. One function per dialect."""

from __future__ import annotations

import json
import re
from typing import Any, Literal, NamedTuple

Outcome = Literal["accepted", "rejected", "unknown"]


class ResponseMeaning(NamedTuple):
    """
    What a 2xx response means.

    :param outcome: accepted, rejected, or unknown: it says neither yes nor no.
    :param reason: REES46's own short reason of a rejection; empty if it gives none.
    """

    outcome: Outcome
    reason: str = ""


def read_import_response(http_status: int, body: bytes) -> ResponseMeaning:
    """
    Read a response in the dialect ``import_sync_orders``.

    "200 OK" is the documented sign of acceptance. No body is documented; known ones are a plain ``OK`` and JSON with a
    ``status``. So a 200 with an empty body, ``OK`` or a JSON object that reports no error is accepted; a 2xx with a
    JSON object that reports an error is rejected; anything else (a proxy's HTML page, truncated JSON) is unknown.
    """
    is_blank_or_ok = body.decode("utf-8", "replace").strip().upper() in ("", "OK")
    answer = {} if is_blank_or_ok else _json_object(body)
    if answer is None:
        return ResponseMeaning("unknown")
    says_error = str(answer.get("status", "")).lower() in ("error", "fail", "failed", "failure")
    if says_error or _lists_errors(answer):
        return ResponseMeaning("rejected", _reason(answer))
    return ResponseMeaning("accepted" if http_status == 200 else "unknown")


def read_sync_response(_http_status: int, body: bytes) -> ResponseMeaning:
    """
    Read a response in the dialect ``sync_orders``.

    ``{"status":"success"}`` and ``{"status":"error"}`` are the documented bodies; the HTTP status of an error is not
    documented. Any other body is unknown, and so is a success that lists errors.
    """
    answer = _json_object(body) or {}
    match answer.get("status"):
        case "error":
            return ResponseMeaning("rejected", _reason(answer))
        case "success" if not _lists_errors(answer):
            return ResponseMeaning("accepted")
        case _:
            return ResponseMeaning("unknown")


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(body.decode("utf-8").strip())
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _lists_errors(answer: dict[str, Any]) -> bool:
    return bool(answer.get("error") or answer.get("errors")) or answer.get("success") is False


def refusal_reason(body: bytes) -> str:
    """Return REES46's own short reason in the body of a refusal; empty if it gives none."""
    return _reason(_json_object(body) or {})


def speaks_of_shop(reason: str) -> bool:
    """Return whether a reason is about the shop, its keys or its rights, and not about orders."""
    return (
        re.search(r"shop|key|secret|credential|auth|account|tracking|enabled|allowed", reason, re.IGNORECASE)
        is not None
    )


def _reason(answer: dict[str, Any]) -> str:
    """Return REES46's short message, such as "Shop not found". A longer one is left out: it may quote the request."""
    payload = answer.get("payload")
    message = payload.get("message") if isinstance(payload, dict) else answer.get("message")
    return message if isinstance(message, str) and len(message) <= 100 and message.isprintable() else ""
