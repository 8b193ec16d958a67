"""
What REES46's response to a batch means: accepted, rejected or unknown. One function per dialect.

A response is accepted only if whatever it says is a yes. One that says only no is rejected. One that says both, or
something that is neither, is unknown: some of its orders may have been taken, so none counts as accepted or refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Literal, NamedTuple

Outcome = Literal["accepted", "rejected", "unknown"]

MAX_BODY_BYTES = 64_000
"""The longest body that is read; known answers have fewer than a hundred bytes."""

MAX_REASON_LENGTH = 200
"""A longer message is left out: it may quote the request."""

_YES_WORDS = frozenset({"success", "successful", "ok", "accepted", "queued", "true"})
_NO_WORDS = frozenset({"error", "fail", "failed", "failure", "rejected", "denied", "false"})


class ResponseMeaning(NamedTuple):
    """
    What a 2xx response means.

    :param outcome: accepted, rejected, or unknown: it says neither yes nor no.
    :param reason: REES46's own short message in a response that is not accepted; empty if it gives none.
    """

    outcome: Outcome
    reason: str = ""


class _Sign(Enum):
    YES = "yes"
    NO = "no"
    UNCLEAR = "unclear"


def read_import_response(http_status: int, body: bytes) -> ResponseMeaning:
    """
    Read a response in the dialect ``import_sync_orders``.

    "200 OK" is the documented sign of acceptance, and no body is documented. REES46's present documents name an empty
    204 for the other ``import`` endpoints, and its own clients accept it. So a 200 with an empty body, ``OK`` or a JSON
    object in which nothing is against it is accepted, and so is an empty 204.
    """
    text = _text(body)
    if text is not None and text.upper() in ("", "OK"):
        return ResponseMeaning("accepted" if http_status == 200 or (http_status == 204 and not text) else "unknown")
    meaning = _read_object(text)
    return meaning if http_status == 200 or meaning.outcome != "accepted" else ResponseMeaning("unknown")


def read_sync_response(_http_status: int, body: bytes) -> ResponseMeaning:
    """
    Read a response in the dialect ``sync_orders``.

    Its documents name the body of an acceptance, ``{"status":"success"}``, and no HTTP status. So an empty body, ``OK``
    or any other object is not from this endpoint as it is documented, but perhaps from a proxy or another host, and
    unknown.
    """
    text = _text(body)
    meaning = _read_object(text)
    says_success = str((_json_object(text) or {}).get("status")).strip().lower() == "success"
    return meaning if says_success or meaning.outcome != "accepted" else ResponseMeaning("unknown")


def refusal_reason(body: bytes) -> str:
    """Return REES46's own short message in the body of a refusal; empty if it gives none."""
    return _reason(_json_object(_text(body)) or {})


def speaks_of_shop(reason: str) -> bool:
    """Return whether a message is about the shop, its keys or its rights, and not about orders."""
    words = r"shop|store|key|secret|credential|auth|account|tracking|enabled|allowed|магазин|ключ|доступ"
    return re.search(words, reason, re.IGNORECASE) is not None


def _read_object(text: str | None) -> ResponseMeaning:
    answer = _json_object(text)
    if answer is None:
        return ResponseMeaning("unknown")
    signs = set(_signs(answer))
    if not signs and _message(answer):
        signs.add(_Sign.UNCLEAR)  # such as "Shop not found"
    if signs <= {_Sign.YES}:
        return ResponseMeaning("accepted")
    return ResponseMeaning("rejected" if signs == {_Sign.NO} else "unknown", _reason(answer))


def _signs(answer: Mapping[str, Any]) -> Iterator[_Sign]:
    """Return what each field says that speaks of the outcome."""
    for name in ("status", "result", "success"):
        if name in answer:
            yield _sign(answer[name])
    if "code" in answer:
        yield _Sign.YES if answer["code"] in (0, "0") else _sign(answer["code"])
    payload = answer.get("payload")
    for part in (answer, payload if isinstance(payload, dict) else {}):
        if part.get("error") or part.get("errors"):
            yield _Sign.NO
        if part.get("failed") or part.get("rejected"):
            yield _Sign.UNCLEAR


def _sign(value: object) -> _Sign:
    """Return what a value says: a word, a truth value, or an HTTP status."""
    word = str(value).strip().lower()
    if word in _YES_WORDS or re.fullmatch(r"2\d\d", word):
        return _Sign.YES
    return _Sign.NO if word in _NO_WORDS or re.fullmatch(r"[345]\d\d", word) else _Sign.UNCLEAR


def _text(body: bytes) -> str | None:
    """Return a body as text, without a byte order mark and white space at its ends; None if it is not UTF-8."""
    try:
        return body.decode("utf-8-sig").strip()
    except ValueError:
        return None


def _json_object(text: str | None) -> dict[str, Any] | None:
    try:
        answer = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _reason(answer: Mapping[str, Any]) -> str:
    """Return REES46's short message, such as "Shop not found"."""
    message = _message(answer).strip()
    return message if len(message) <= MAX_REASON_LENGTH and message.isprintable() else ""


def _message(answer: Mapping[str, Any]) -> str:
    """Return the text in ``payload.message``, ``message`` or ``error``; empty if there is none."""
    payload, error = answer.get("payload"), answer.get("error")
    inner = [part.get("message") for part in (payload, error) if isinstance(part, dict)]
    texts = [*inner, answer.get("message"), error]
    return next((text for text in texts if isinstance(text, str) and text), "")
