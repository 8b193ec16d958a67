"""Whether REES46 can be reached: connects and checks the certificate, and posts nothing."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

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
    Connect to REES46, or to the proxy in between, as a batch would; no byte of HTTP is sent.

    :param proxies: proxies by scheme, as requests names them.
    :param verify: file or folder of trusted certificates; a bool stands for those of requests.
    """
    proxy = select_proxy(url, proxies)
    target = urlsplit(proxy or url)
    try:
        answer = _probe(target, verify if isinstance(verify, str) else DEFAULT_CA_BUNDLE_PATH)
    except ssl.SSLError as error:
        cause = getattr(error, "verify_message", None) or error.reason
        return Reachability(
            False,
            f"{_shown(target)} answers, but not with TLS and a certificate to trust ({cause})",
            "correct host, port and schema of this connection, or look for a proxy in between",
        )
    except OSError as error:
        return Reachability(
            False,
            f"{_shown(target)} cannot be reached from here ({error.strerror or error})",
            "correct host and port of this connection, or look for a firewall in between",
        )
    behind = f"{_shown(urlsplit(url))} behind this proxy, " if proxy else ""
    return Reachability(
        True,
        f"{_shown(target)} {answer}",
        f"Not checked: {behind}the keys, and whether order synchronisation is enabled: REES46 says so only in answer "
        "to a real batch",
    )


def _probe(url: SplitResult, trusted: str) -> str:
    """
    Connect, with https also shake hands, and return what was seen.

    :param trusted: file or folder of certificates.
    :raises OSError: there is no answer; as ssl.SSLError: it is not TLS, or the certificate cannot be trusted.
    """
    with socket.create_connection(_address(url), CONNECT_TIMEOUT_S) as plain:
        if url.scheme != "https":
            return "answers"
        file, folder = (None, trusted) if Path(trusted).is_dir() else (trusted, None)
        context = ssl.create_default_context(cafile=file, capath=folder)
        with context.wrap_socket(plain, server_hostname=url.hostname):
            return "answers with a valid certificate"


def _address(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _shown(url: SplitResult) -> str:
    """Return host and port, without the user and password that the URL of a proxy may hold."""
    host, port = _address(url)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
