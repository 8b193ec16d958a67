"""Which of the languages a reader of the page gets."""

from __future__ import annotations

from babel.core import negotiate_locale
from fastapi import Request, Response

from rees46_sync.translations import LANGUAGES

COOKIE = "rees46_language"
KEPT_S = 365 * 24 * 3600
PARAMETER = "lang"


def language_of(request: Request) -> str:
    """
    Return the language that a request is answered in, one of :data:`rees46_sync.translations.LANGUAGES`.

    It is what the address asks for (``?lang=ru``), else what an earlier address did, else what the browser prefers.
    """
    for chosen in (request.query_params.get(PARAMETER), request.cookies.get(COOKIE)):
        if chosen in LANGUAGES:
            return chosen
    return negotiate_locale(_preferred(request.headers.get("Accept-Language", "")), LANGUAGES, sep="-") or LANGUAGES[0]


def remember_language(request: Request, response: Response) -> None:
    """Store the language that an address asks for, for addresses without one."""
    chosen = request.query_params.get(PARAMETER)
    if chosen in LANGUAGES:
        path = request.scope.get("root_path") or "/"
        response.set_cookie(COOKIE, chosen, max_age=KEPT_S, path=path, httponly=True, samesite="lax")


def _preferred(accepted: str) -> list[str]:
    """Return the languages of an Accept-Language header, the most wanted first."""
    wanted = []
    for entry in accepted.split(","):
        name, _, weight = entry.strip().partition(";q=")
        try:
            wanted.append((float(weight or 1), name.strip()))
        except ValueError:
            continue
    # Two entries of one weight stay in their order.
    return [name for weight, name in sorted(wanted, key=lambda one: -one[0]) if name and weight > 0]
