"""A secret is found in whatever form it comes back."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rees46_sync.airflow_adapters.secret_forms import MASK, forms, without_secret

SECRET = "gëheim/+\"<'&%\\ 9f3b7c"

FORMS: dict[str, Callable[[str], str]] = {
    "as-it-is": str,
    "upper-case": str.upper,
    "url": lambda secret: quote(secret, safe=""),
    "url-with-slashes": quote,
    "url-in-lower-case": lambda secret: quote(secret, safe="").lower(),
    "form": quote_plus,
    "url-twice": lambda secret: quote(quote(secret, safe=""), safe=""),
    "url-four-times": lambda secret: quote(quote(quote(quote(secret, safe=""), safe=""), safe=""), safe=""),
    "each-byte": lambda secret: "".join(f"%{byte:02x}" for byte in secret.encode()),
    "json": lambda secret: json.dumps(secret)[1:-1],
    "json-with-letters": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "json-with-slashes": lambda secret: json.dumps(secret)[1:-1].replace("/", r"\/"),
    "json-in-json": lambda secret: json.dumps(json.dumps(secret))[3:-3],
    "each-letter": lambda secret: "".join(f"\\u{ord(letter):04x}" for letter in secret),
    "python": lambda secret: repr(secret)[1:-1],
    "html": html.escape,
    "url-of-html": lambda secret: quote(html.escape(secret), safe=""),
    "hexadecimal": lambda secret: secret.encode().hex(),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
    "base64-for-urls": lambda secret: base64.urlsafe_b64encode(secret.encode()).decode(),
    "base64-in-a-url": lambda secret: quote(base64.b64encode(secret.encode()), safe=""),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("secret", [SECRET, "the-secret-9f3b7c"])
def test_a_secret_is_replaced_in_each_form(secret: str, form: str) -> None:
    masked = without_secret(f"key {FORMS[form](secret)} of shop 7", secret)
    assert MASK in masked
    for name in ("as-it-is", form):
        assert FORMS[name](secret)[2:-2] not in masked


@given(st.binary(max_size=9), st.text(st.characters(codec="utf-8"), min_size=8, max_size=20), st.binary(max_size=9))
def test_a_secret_is_replaced_in_base64_wherever_it_stands_in_it(before: bytes, secret: str, after: bytes) -> None:
    whole = before + secret.encode() + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        masked = without_secret(f"Basic {encode(whole).decode()}", secret)
        assert MASK in masked
        assert secret not in masked


@given(st.text(max_size=60), st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
def test_a_secret_is_never_left_in_a_text(text: str, secret: str) -> None:
    assert secret not in without_secret(text + secret + text, secret).replace(MASK, "")


@pytest.mark.parametrize("text", ["Shop not found", "100 % of a+b", r"C:\path", "a&amp;b", "the secret is missing", ""])
def test_a_text_without_the_secret_stays_as_it_is(text: str) -> None:
    assert without_secret(text, SECRET) == text


def test_a_short_secret_has_no_forms_that_occur_by_chance() -> None:
    assert forms("ab") == ["%61%62", "ab"]
