"""
The Airflow hook of REES46's order-status API: one batch, one of three outcomes.

A batch is accepted (:meth:`Rees46Hook.send` returns), rejected or without a clear answer (it raises, see
:mod:`rees46_sync.exceptions`). Hiccups that pass within seconds are retried here; longer trouble is left to Airflow.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from rees46_sync.airflow_adapters.connections import get_connection
from rees46_sync.exceptions import (
    ConnectionFieldsError,
    Rees46Error,
    Rees46RejectedError,
    Rees46UnavailableError,
    Rees46UnreadableError,
)
from rees46_sync.rees46 import payload

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_S = 30.0
"""Seconds to wait for an answer: far above what a batch takes, far below an hourly run."""

DEFAULT_CONCURRENCY = 8
CONNECT_TIMEOUT_S = 10.0
ATTEMPTS = 4
"""Tries of one batch inside a task; with the backoff below some ten seconds, what a restart of a server takes."""

LONGEST_PAUSE = timedelta(seconds=60)
"""The longest Retry-After that is waited for inside the task; a longer one becomes an Airflow retry."""

_retry_after_parser = Retry(retry_after_max=int(timedelta(days=365).total_seconds()))
_backoff = wait_random_exponential(multiplier=0.5, max=8)


@dataclass(frozen=True)
class Settings:
    """What a REES46 connection says.

    :param status_text: what is sent as an order's status, one of the dialect's; None where that is REES46's code.
    :param timeout_s: seconds to wait for an answer.
    :param concurrency: requests under way at the same time.
    :param min_interval_s: the least seconds from the start of one request to the start of the next.
    """

    conn_id: str
    url: str
    shop_id: str
    shop_secret: str = field(repr=False)
    dialect: payload.Dialect
    status_text: str | None
    timeout_s: float
    concurrency: int
    min_interval_s: float


class Rees46Hook(BaseHook):
    """
    Send order statuses to REES46.

    The connection (type ``rees46``, or ``http``): ``login`` is the store key, ``password`` the secret key; ``host``
    (default: the dialect's), ``port`` and ``schema`` (https unless it says http); in ``extra`` optionally ``dialect``,
    ``status_text``, ``timeout_s``, ``concurrency`` and ``min_interval_s``.

    :param rees46_conn_id: id of the Airflow connection.
    """

    conn_name_attr = "rees46_conn_id"
    default_conn_name = "rees46_default"
    conn_type = "rees46"
    hook_name = "REES46"

    def __init__(self, rees46_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rees46_conn_id = rees46_conn_id
        self._turn = threading.Lock()
        self._last_start = time.monotonic()

    @cached_property
    def settings(self) -> Settings:
        """
        The connection's fields, checked.

        :raises ConnectionFieldsError: one is missing or cannot be used.
        """
        return _settings(self.rees46_conn_id)

    def get_conn(self) -> requests.Session:
        """Return the session: one for all threads, its connections kept alive."""
        return self._session

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=self.settings.concurrency)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        # A receiver on this machine is not to be looked for behind the proxy of the environment.
        session.trust_env = not is_loopback(urlsplit(self.settings.url).hostname or "")
        return session

    @cached_property
    def _template(self) -> requests.PreparedRequest:
        """A request without a body; to prepare each anew would take a quarter of the time that sending takes."""
        headers = {"Content-Type": "application/json"}
        return self._session.prepare_request(requests.Request("POST", self.settings.url, headers=headers))

    @cached_property
    def _way(self) -> Mapping[str, Any]:
        """What the environment says of the way to REES46: the proxy, and the certificates that are trusted."""
        around: Mapping[str, Any] = self._session.merge_environment_settings(self.settings.url, {}, False, None, None)
        return around

    def test_connection(self) -> tuple[bool, str]:
        """
        Say whether REES46 can be reached; Airflow's "Test" button asks it in the API server, the command line here.

        Nothing is posted: REES46 answers all that is not a real batch with an error notice by mail.

        :return: whether all is well as far as it was checked; and in words what was checked, what was not, what to do.
        """
        try:
            url = self.settings.url
        except ConnectionFieldsError as error:
            return False, str(error)
        # The way that a batch would take.
        proxy, trusted = select_proxy(url, self._way["proxies"]), self._way["verify"]
        asked = urlsplit(proxy or url)
        try:
            seen = _look(asked, trusted if isinstance(trusted, str) else DEFAULT_CA_BUNDLE_PATH)
        except ssl.SSLError as error:
            cause = getattr(error, "verify_message", None) or error.reason
            return False, (
                f"{_place(asked)} answers, but not with TLS and a certificate to trust ({cause}); correct host, port "
                "and schema of this connection, or look for a proxy in between."
            )
        except OSError as error:
            return False, (
                f"{_place(asked)} cannot be reached from here ({error.strerror or error}); correct host and port of "
                "this connection, or look for a firewall in between."
            )
        behind = f"{_place(urlsplit(url))} behind this proxy, " if proxy else ""
        return True, (
            f"{_place(asked)} {seen}. Not checked: {behind}the keys, and whether order synchronisation is enabled: "
            "REES46 says so only in answer to a real batch."
        )

    def send(self, orders: Sequence[tuple[str, payload.Status]]) -> int:
        """
        Send one batch; return how many requests it took.

        :param orders: pairs of order id and status, as many and such as the connection's dialect takes.
        :raises Rees46RejectedError: REES46 says no.
        :raises Rees46UnreadableError: the answer says neither yes nor no.
        :raises Rees46UnavailableError: there is no answer, or it says "not now".
        """
        settings = self.settings
        body = payload.request_body(settings.shop_id, settings.shop_secret, orders, settings.dialect)
        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            retry=retry_if_exception(_passes_soon),
            wait=_pause,
            before_sleep=_log_pause,
            reraise=True,
        )
        try:
            retrying(self._post, body)
        except Rees46Error as error:
            error.requests = int(retrying.statistics["attempt_number"])
            raise
        return int(retrying.statistics["attempt_number"])

    def _wait_for_turn(self) -> None:
        """
        Let requests start at least ``min_interval_s`` apart, first tries and repeated ones, from whichever thread.

        The pool of one slot lets one load task of a shop run at a time, so what holds for this hook holds for the shop.
        The first request waits as well: the task before this one may have made its last just now.
        """
        if interval_s := self.settings.min_interval_s:
            with self._turn:
                time.sleep(max(0, self._last_start + interval_s - time.monotonic()))
                self._last_start = time.monotonic()

    def _post(self, body: bytes) -> None:
        settings = self.settings
        self._wait_for_turn()
        try:
            request = self._template.copy()
            request.prepare_body(body, None)
            answer = self._session.send(
                request,
                timeout=(CONNECT_TIMEOUT_S, settings.timeout_s),
                # A followed redirect would turn the POST into a GET, and its 200 into a false acceptance.
                allow_redirects=False,
                **self._way,
            )
        except requests.Timeout as error:
            raise Rees46UnavailableError(
                f"{settings.url} did not answer within {settings.timeout_s:g} s; the batch will be sent again.",
                hiccup=True,
            ) from error
        except requests.RequestException as error:
            raise Rees46UnavailableError(
                f"{settings.url} cannot be reached ({_cause(error)}); check host, port and schema of connection "
                f"{settings.conn_id} if this lasts.",
                hiccup=True,
            ) from error
        self._judge(answer)

    def _judge(self, answer: requests.Response) -> None:
        """Return if REES46 accepted the batch."""
        settings, code = self.settings, answer.status_code
        if 200 <= code < 300:
            outcome, reason = settings.dialect.read_answer(code, answer.content)
            if outcome == "accepted":
                return
            if outcome == "rejected":
                words = reason.replace(settings.shop_secret, "***")
                raise Rees46RejectedError(
                    f"REES46 answered {code} with an error{f' ({words})' if words else ''}; check the keys of "
                    f"connection {settings.conn_id} and look for REES46's e-mail.",
                    http_status=code,
                )
            raise Rees46UnreadableError(
                f"{settings.url} answered {code} with a body that says neither yes nor no ({len(answer.content)} "
                f"bytes, {answer.headers.get('Content-Type', 'no content type')[:60]}); look for a proxy in between.",
                http_status=code,
            )
        if code in (408, 429) or code >= 500:
            raise Rees46UnavailableError(
                f"{settings.url} answered {code}; the batch will be sent again.",
                http_status=code,
                retry_after=_retry_after(answer),
                hiccup=code in (408, 429, 502, 503, 504),
            )
        raise Rees46RejectedError(f"{settings.url} answered {code}; {self._remedy(code)}", http_status=code)

    def _remedy(self, code: int) -> str:
        conn_id = self.settings.conn_id
        if code in (401, 403):
            return (
                f"check login (store key) and password (secret key) of connection {conn_id}. Order synchronisation may "
                'not be enabled for this shop: ask your REES46 manager to enable "Orders Tracking".'
            )
        if 300 <= code < 400:
            return f"it points elsewhere: correct host and schema of connection {conn_id}."
        if code in (404, 405):
            return f"there is no such endpoint: correct host and dialect of connection {conn_id}."
        return "REES46 does not take this batch as it is: look for REES46's e-mail."


def _settings(conn_id: str) -> Settings:
    connection = get_connection(conn_id)
    if not connection.login:
        raise ConnectionFieldsError(conn_id, "login is empty; set it to the shop's store key (shop_id)")
    if not connection.password:
        raise ConnectionFieldsError(conn_id, "password is empty; set it to the shop's secret key (shop_secret)")
    mask_secret(connection.password)
    extra = {
        "dialect": payload.IMPORT_SYNC_ORDERS.name,
        "status_text": None,
        "timeout_s": DEFAULT_TIMEOUT_S,
        "concurrency": DEFAULT_CONCURRENCY,
        "min_interval_s": 0,
    }
    given = connection.extra_dejson
    if not isinstance(given, dict):
        raise ConnectionFieldsError(conn_id, f"extra is a {type(given).__name__}; give a JSON object")
    # Airflow's form stores a field that was left empty, too.
    extra.update((name, value) for name, value in given.items() if value not in (None, ""))
    if str(extra["dialect"]) not in payload.DIALECTS:
        raise ConnectionFieldsError(
            conn_id, f"extra dialect is {extra['dialect']!r}; use one of {', '.join(payload.DIALECTS)}"
        )
    dialect = payload.DIALECTS[str(extra["dialect"])]
    return Settings(
        conn_id=conn_id,
        url=_url(conn_id, connection.host or dialect.host, connection.port, connection.schema) + dialect.path,
        shop_id=connection.login,
        shop_secret=connection.password,
        dialect=dialect,
        status_text=_status_text(conn_id, dialect, extra["status_text"]),
        timeout_s=_number(conn_id, "timeout_s", extra["timeout_s"]),
        concurrency=math.ceil(_number(conn_id, "concurrency", extra["concurrency"])),
        min_interval_s=_number(conn_id, "min_interval_s", extra["min_interval_s"], or_zero=True),
    )


def _status_text(conn_id: str, dialect: payload.Dialect, asked: object) -> str | None:
    if asked is None:
        return dialect.status_texts[0] if dialect.status_texts else None
    if not dialect.status_texts:
        raise ConnectionFieldsError(
            conn_id,
            f"extra status_text is {asked!r}, and dialect {dialect.name} sends no text as status, but REES46's code; "
            f"remove status_text, or set dialect to {payload.SYNC_ORDERS.name}",
        )
    if asked not in dialect.status_texts:
        raise ConnectionFieldsError(
            conn_id, f"extra status_text is {asked!r}; use one of {', '.join(dialect.status_texts)}"
        )
    return str(asked)


def _number(conn_id: str, name: str, value: object, *, or_zero: bool = False) -> float:
    """Return a number of the connection's extra; a connection given as a URI holds it as text."""
    try:
        number = float(str(value))
    except ValueError:
        number = -1
    if not (0 < number < float("inf") or (or_zero and number == 0)):
        raise ConnectionFieldsError(conn_id, f"extra {name} is {value!r}; give {'0 or ' * or_zero}a number above 0")
    return number


def _url(conn_id: str, host: str, port: int | None, schema: str | None) -> str:
    """Return scheme, host and port; https unless the connection says http."""
    is_ipv6 = host.count(":") > 1 and "://" not in host and "[" not in host
    try:
        parts = urlsplit(f"//[{host}]" if is_ipv6 else host if "://" in host else f"//{host}")
        name, number = parts.hostname or "", port or parts.port
        # As the HTTP client will: it refuses empty and overlong parts of a name.
        usable = bool(name.encode("idna")) and not re.search(r"\s", name)
    except ValueError:
        usable = False
    if not usable or parts.path.strip("/") or parts.query:
        raise ConnectionFieldsError(
            conn_id, f"host is {host!r}; give a host name alone, such as {payload.IMPORT_SYNC_ORDERS.host}"
        )
    scheme = (schema or parts.scheme or "https").lower()
    if scheme not in ("http", "https"):
        raise ConnectionFieldsError(conn_id, f"schema is {scheme!r}; use https, or http for a local receiver")
    if number is not None and not 0 < number < 65_536:
        raise ConnectionFieldsError(conn_id, f"port is {number}; give one from 1 to 65535, or none")
    if scheme == "http" and not is_loopback(name):
        log.warning(
            "Connection %s sends the shop's secret unencrypted to %s: remove schema http, so that https is used.",
            conn_id,
            name,
        )
    shown = f"[{name}]" if ":" in name else name
    return f"{scheme}://{shown}" + (f":{number}" if number else "")


def _address(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)


def _place(url: SplitResult) -> str:
    """Return host and port, without the user and password that the URL of a proxy may hold."""
    host, port = _address(url)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _look(url: SplitResult, trusted: str) -> str:
    """
    Connect, with https also shake hands, and say what was seen; no byte of HTTP is sent.

    :param trusted: file or folder of certificates.
    :raises OSError: nobody answers; as ssl.SSLError: it is not TLS, or the certificate cannot be trusted.
    """
    with socket.create_connection(_address(url), CONNECT_TIMEOUT_S) as plain:
        if url.scheme != "https":
            return "answers"
        file, folder = (None, trusted) if Path(trusted).is_dir() else (trusted, None)
        context = ssl.create_default_context(cafile=file, capath=folder)
        with context.wrap_socket(plain, server_hostname=url.hostname):
            return "answers with a valid certificate"


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, so that nobody else hears what is sent to it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _retry_after(answer: requests.Response) -> timedelta | None:
    """Return the Retry-After of an answer, given in seconds or as a date (RFC 9110, 10.2.3)."""
    value = answer.headers.get("Retry-After")
    if value is None:
        return None
    try:
        return timedelta(seconds=_retry_after_parser.parse_retry_after(value))
    except (InvalidHeader, OverflowError, ValueError):
        return None  # not to be obeyed: the usual delays apply


def _passes_soon(error: BaseException) -> bool:
    return (
        isinstance(error, Rees46UnavailableError)
        and error.hiccup
        and (error.retry_after is None or error.retry_after <= LONGEST_PAUSE)
    )


def _pause(state: RetryCallState) -> float:
    """Wait what REES46 asks for, else a random time that grows with each try."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, Rees46UnavailableError) else None
    return asked.total_seconds() if asked is not None else _backoff(state)


def _log_pause(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("%s Try %d of %d in %.1f s.", error, state.attempt_number + 1, ATTEMPTS, state.upcoming_sleep)


def _cause(error: requests.RequestException) -> str:
    """Name what went wrong, without the library's quotation of the request."""
    reason: object = error.args[0] if error.args else error
    reason = getattr(reason, "reason", reason)
    return type(reason).__name__ if isinstance(reason, BaseException) else type(error).__name__
