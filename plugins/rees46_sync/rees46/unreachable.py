"""Why a request got no answer, and what to do about it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator

from urllib3.exceptions import IncompleteRead, ProxyError

from rees46_sync.exceptions import Rees46BlockedError, Rees46Error, Rees46UnavailableError

BROKEN_OFF = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, IncompleteRead)
"""What ends a connection that was there; a server that closes it without a word is a ConnectionResetError as well."""


def unreachable(error: Exception, url: str, conn_id: str) -> Rees46Error:
    """
    Return the error of a request without an answer.

    :param error: of requests or urllib3; their texts are not shown, because they quote the request.
    :param url: the endpoint's.
    :param conn_id: the Airflow connection that names it.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Rees46BlockedError(
                f"{url} shows a certificate that is not trusted ({cause.verify_message})",
                f"correct host and schema of connection {conn_id}; if a proxy of your network shows its own "
                "certificate, set REQUESTS_CA_BUNDLE to the file of the certificates to trust",
            )
        if isinstance(cause, OSError) and re.search(r"Tunnel connection failed: 407\b", str(cause)):
            return Rees46BlockedError(
                f"The proxy on the way to {url} wants a login (407)",
                "set user and password in HTTPS_PROXY, as in http://user:password@host:port",
                http_status=407,
            )
    if isinstance(causes[-1], BROKEN_OFF) and not any(isinstance(cause, ProxyError) for cause in causes):
        return Rees46UnavailableError(
            f"{url} broke the connection off before it answered ({type(causes[-1]).__name__})",
            "the batch may have arrived, and will be sent again; look at a proxy or firewall in between if this lasts",
            transient=True,
        )
    return Rees46UnavailableError(
        f"{url} cannot be reached ({type(causes[-1]).__name__})",
        f"check host, port and schema of connection {conn_id}, and the proxy if there is one, if this lasts",
        transient=True,
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return an error and what it wraps, the outermost first."""
    seen: set[int] = set()
    current: object = error
    while isinstance(current, BaseException) and id(current) not in seen:
        seen.add(id(current))
        yield current
        wrapped = [getattr(current, "reason", None), getattr(current, "original_error", None), *current.args[:2]]
        current = next((one for one in wrapped if isinstance(one, BaseException)), current.__cause__)
