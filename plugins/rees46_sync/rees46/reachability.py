"""Whether REES46 can be reached: connects and checks the certificate, and posts nothing."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_auth_from_url, select_proxy
from urllib3.util import make_headers

from rees46_sync.rees46.connection import CONNECT_TIMEOUT_S


class Reachability(NamedTuple):
    """
    Whether REES46 can be reached.

    :param works: whether the connection works, as far as it was checked.
    :param seen: what was seen.
    :param remedy: what to do about it; if the connection works, what was not checked.
    """

    works: bool
    seen: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.seen}{'. ' if self.works else '; '}{self.remedy}."


def check_reachability(url: str, proxies: Mapping[str, str], verify: bool | str) -> Reachability:
    """
    Connect to REES46 as a batch would, through the proxy if there is one, and send no request.

    Behind a proxy that is itself reached by https, or if REES46 is reached by http, only the proxy is tried.

    :param proxies: proxies by scheme, as requests names them.
    :param verify: file or folder of trusted certificates; a bool stands for those of requests.
    """
    proxy = select_proxy(url, proxies)
    target = urlsplit(url)
    is_tunnel = bool(proxy) and target.scheme == "https" and urlsplit(proxy).scheme == "http"
    seen = target if is_tunnel or not proxy else urlsplit(proxy)
    behind = f" behind proxy {_shown(urlsplit(proxy))}" if is_tunnel and proxy else ""
    try:
        _connect(seen, proxy if is_tunnel else None, verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH)
    except ssl.SSLError as error:
        cause = getattr(error, "verify_message", None) or error.reason
        return Reachability(
            False,
            f"{_shown(seen)}{behind} answers, but not with TLS and a certificate to trust ({cause})",
            "correct host, port and schema of this connection; if a proxy of your network shows its own certificate, "
            "set REQUESTS_CA_BUNDLE to the file of the certificates to trust",
        )
    except (OSError, HTTPException) as error:
        return Reachability(
            False,
            f"{_shown(seen)}{behind} cannot be reached from here ({getattr(error, 'strerror', None) or error})",
            "correct the proxy in HTTPS_PROXY, with user and password if it wants a login, or host and port of this "
            "connection"
            if behind
            else "correct host and port of this connection, or look for a firewall in between",
        )
    unseen = f"{_shown(target)} behind this proxy, " if seen != target else ""
    return Reachability(
        True,
        f"{_shown(seen)}{behind} answers{' with a valid certificate' if seen.scheme == 'https' else ''}",
        f"Not checked: {unseen}the keys, and whether order synchronisation is enabled: REES46 says so only in answer "
        "to a real batch",
    )


def _connect(url: SplitResult, proxy: str | None, trusted: str) -> None:
    """
    Connect, with https also shake hands.

    :param proxy: the http proxy to go through; None for a direct connection.
    :param trusted: file or folder of certificates.
    :raises OSError: there is no answer; as ssl.SSLError: it is not TLS, or the certificate cannot be trusted.
    :raises HTTPException: the proxy does not speak HTTP.
    """
    host, port = _address(urlsplit(proxy) if proxy else url)
    connection = HTTPConnection(host, port, timeout=CONNECT_TIMEOUT_S)
    if url.scheme == "https":
        file, folder = (None, trusted) if Path(trusted).is_dir() else (trusted, None)
        context = ssl.create_default_context(cafile=file, capath=folder)
        connection = HTTPSConnection(host, port, timeout=CONNECT_TIMEOUT_S, context=context)
    if proxy:
        user, password = get_auth_from_url(proxy)
        login = make_headers(proxy_basic_auth=f"{user}:{password}") if user else {}
        connection.set_tunnel(*_address(url), headers=login)
    try:
        connection.connect()
    finally:
        connection.close()


def _address(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _shown(url: SplitResult) -> str:
    """Return host and port, without the user and password that the URL of a proxy may hold."""
    host, port = _address(url)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
