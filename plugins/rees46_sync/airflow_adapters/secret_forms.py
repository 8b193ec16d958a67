"""The forms in which a secret comes back in answers, errors and logs: in an address, in a header, in JSON, in HTML."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote, unquote_plus

MASK = "***"

MIN_FORM = 6
"""A shorter form of a secret occurs by chance as well, as the Base64 of a short word does."""

MAX_LAYERS = 3
"""How often a text is decoded to look for a secret that was encoded several times."""


def mask_secret(secret: str) -> None:
    """Let Airflow mask a secret in its logs and its UI, in each form."""
    from airflow.sdk.log import mask_secret as mask

    for form in forms(secret):
        mask(form)


def without_secret(text: str, secret: str) -> str:
    """
    Return a text in which each form of a secret is replaced by ``***``.

    If the secret is still in it when it is decoded, once or several times, the whole text is replaced.
    """
    masked = _pattern(secret).sub(MASK, text)
    texts = {masked}
    for _ in range(MAX_LAYERS):
        texts |= {decode(one) for one in texts for decode in (_unescaped, unquote, unquote_plus, html.unescape)}
    return MASK if any(_pattern(secret).search(one) for one in texts) else masked


def forms(secret: str) -> list[str]:
    """Return a secret as it is, and in its other forms, the longest first."""
    found = {form for form in _forms(secret) if len(form) >= MIN_FORM} | {secret}
    return sorted(found - {""}, key=len, reverse=True)


@lru_cache(maxsize=100)
def _pattern(secret: str) -> re.Pattern[str]:
    # The digits of %2f and of hexadecimal numbers may be in either case.
    return re.compile("|".join(map(re.escape, forms(secret))), re.IGNORECASE)


def _forms(secret: str) -> Iterator[str]:
    data = secret.encode("utf-8", "surrogatepass")
    yield data.hex()
    yield "".join(f"%{byte:02X}" for byte in data)
    for ascii_only in (True, False):
        escaped = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield from (escaped, escaped.replace("/", r"\/"))
    yield repr(secret)[1:-1]
    yield html.escape(secret)
    for encoded in (quote(data), quote(data, safe=""), quote_plus(data, safe="")):
        yield from (encoded, quote(encoded, safe=""))
    for encode in (b64encode, urlsafe_b64encode):
        # Inside a longer text, as login:password is in a header, the Base64 of a secret depends on what is before it.
        for before in range(3):
            core = encode(b"\0" * before + data).decode().rstrip("=")[-(-before * 4 // 3) :]
            core = core if (before + len(data)) % 3 == 0 else core[:-1]
            yield from (core, quote(core, safe=""))


def _unescaped(text: str) -> str:
    """Return a text whose escapes, as in JSON, are resolved."""
    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", lambda found: chr(int(found[1], 16)) if found[1] else found[2], text)
