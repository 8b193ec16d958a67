"""
The Airflow hook of REES46's order-status API.

A batch has one of three outcomes: accepted (:meth:`Rees46Hook.send` returns), rejected, or unknown (it raises, see
:mod:`rees46_sync.exceptions`). Transient errors, which pass within seconds, are retried here; Airflow retries the rest.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import requests
from airflow.sdk import BaseHook
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from rees46_sync.exceptions import (
    ConnectionFieldsError,
    Rees46Error,
    Rees46RejectedError,
    Rees46UnavailableError,
    Rees46UnreadableError,
)
from rees46_sync.rees46 import payload
from rees46_sync.rees46.connection import CONNECT_TIMEOUT_S, Settings, is_loopback, read_settings
from rees46_sync.rees46.dialects import Status
from rees46_sync.rees46.reachability import Reachability, check_reachability
from rees46_sync.rees46.responses import refusal_reason, speaks_of_shop

log = logging.getLogger(__name__)

ATTEMPTS = 4
"""Requests for one batch inside a task; with the backoff below some ten seconds, what a restart of a server takes."""

MAX_PAUSE = timedelta(seconds=60)
"""The longest Retry-After that a task waits for; a longer one becomes an Airflow retry."""

_retry_after_parser = Retry(retry_after_max=int(timedelta(days=365).total_seconds()))
_backoff = wait_random_exponential(multiplier=0.5, max=8)


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
        return read_settings(self.rees46_conn_id)

    def get_conn(self) -> requests.Session:
        """Return the session: one for all threads, its connections kept alive."""
        return self._session

    @cached_property
    def _session(self) -> requests.Session:
        session = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=self.settings.concurrency)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        # A receiver on this machine is not behind the proxy that the environment names.
        session.trust_env = not is_loopback(urlsplit(self.settings.url).hostname or "")
        return session

    @cached_property
    def _template(self) -> requests.PreparedRequest:
        """A request without a body. Preparing each one anew would take a quarter of the time that sending takes."""
        headers = {"Content-Type": "application/json"}
        return self._session.prepare_request(requests.Request("POST", self.settings.url, headers=headers))

    @cached_property
    def _send_options(self) -> Mapping[str, Any]:
        """The options that the environment sets: the proxy and the trusted certificates."""
        options: Mapping[str, Any] = self._session.merge_environment_settings(self.settings.url, {}, False, None, None)
        return options

    def test_connection(self) -> tuple[bool, str]:
        """
        Check whether REES46 can be reached, for the "Test" button of Airflow's connections.

        Nothing is posted: REES46 answers everything but a real batch with an error notice by mail.

        :return: whether all is well as far as it was checked; what was checked, what was not, and what to do.
        """
        try:
            reachability = self.check_reachability()
        except ConnectionFieldsError as error:
            return False, str(error)
        return reachability.works, str(reachability)

    def check_reachability(self) -> Reachability:
        """
        Connect to REES46 as a batch would, and post nothing.

        :raises ConnectionFieldsError: a field of the connection is missing or cannot be used.
        """
        return check_reachability(self.settings.url, self._send_options["proxies"], self._send_options["verify"])

    def send(self, orders: Sequence[tuple[str, Status]], may_post: Callable[[], bool] = lambda: True) -> int:
        """
        Send one batch; return how many requests it took.

        :param orders: pairs of order id and status that the connection's dialect accepts.
        :param may_post: called right before each request. If it returns False, no further one is made: 0 is returned if
            there was none yet, else the error of the last one is raised.
        :raises ValueError: the dialect does not accept the orders; nothing was sent.
        :raises Rees46RejectedError: REES46 rejects the batch.
        :raises Rees46UnreadableError: the response says neither yes nor no.
        :raises Rees46UnavailableError: there is no response, or it says "not now".
        """
        settings = self.settings
        body = payload.request_body(settings.shop_id, settings.shop_secret, orders, settings.dialect)
        posted, is_stopped = 0, False
        last_error: Rees46Error | None = None

        def post() -> None:
            nonlocal posted, is_stopped, last_error
            self._throttle()
            if not may_post():
                is_stopped = True
                if last_error is None:
                    return
                raise last_error
            posted += 1
            try:
                self._post(body)
            except Rees46Error as error:
                last_error = error
                raise

        retrying = Retrying(
            stop=stop_after_attempt(ATTEMPTS),
            retry=retry_if_exception(lambda error: _is_transient(error) and not is_stopped),
            wait=_pause,
            before_sleep=_log_pause,
            reraise=True,
        )
        try:
            retrying(post)
        except Rees46Error as error:
            error.requests = posted
            raise
        return posted

    def _throttle(self) -> None:
        """
        Wait until at least ``min_interval_s`` have passed since the last request started, in any thread.

        Repeated requests wait too. The pool of one slot lets one load task of a shop run at a time, so the interval
        holds for the whole shop. The first request waits as well: the previous task may have sent its last just now.
        """
        if interval_s := self.settings.min_interval_s:
            with self._turn:
                time.sleep(max(0, self._last_start + interval_s - time.monotonic()))
                self._last_start = time.monotonic()

    def _post(self, body: bytes) -> None:
        settings = self.settings
        try:
            request = self._template.copy()
            request.prepare_body(body, None)
            answer = self._session.send(
                request,
                timeout=(CONNECT_TIMEOUT_S, settings.timeout_s),
                # A followed redirect would turn the POST into a GET, and its 200 into a false acceptance.
                allow_redirects=False,
                **self._send_options,
            )
        except requests.Timeout as error:
            raise Rees46UnavailableError(
                f"{settings.url} did not answer within {settings.timeout_s:g} s",
                "the batch will be sent again",
                transient=True,
            ) from error
        except requests.RequestException as error:
            raise Rees46UnavailableError(
                f"{settings.url} cannot be reached ({_cause(error)})",
                f"check host, port and schema of connection {settings.conn_id} if this lasts",
                transient=True,
            ) from error
        self._check(answer)

    def _check(self, answer: requests.Response) -> None:
        """Return if REES46 accepted the batch, else raise."""
        settings, code = self.settings, answer.status_code
        if 200 <= code < 300:
            outcome, reason = settings.dialect.read_response(code, answer.content)
            if not answer.content and not _is_whole(answer):
                outcome = "unknown"
            if outcome == "accepted":
                return
            if outcome == "rejected":
                words = reason.replace(settings.shop_secret, "***")
                raise Rees46RejectedError(
                    f"REES46 answered {code} with an error{f' ({words})' if words else ''}",
                    f"check the keys of connection {settings.conn_id} and look for REES46's e-mail",
                    http_status=code,
                )
            raise Rees46UnreadableError(
                f"{settings.url} answered {code} with a body that says neither yes nor no ({len(answer.content)} "
                f"bytes, {answer.headers.get('Content-Type', 'no content type')[:60]})",
                "look for a proxy in between",
                http_status=code,
            )
        if code in (408, 429) or code >= 500:
            raise Rees46UnavailableError(
                f"{settings.url} answered {code}",
                "the batch will be sent again",
                http_status=code,
                retry_after=_retry_after(answer),
                transient=code in (408, 429, 502, 503, 504),
            )
        reason = refusal_reason(answer.content).replace(settings.shop_secret, "***")
        raise Rees46RejectedError(
            f"{settings.url} answered {code}{f' ({reason})' if reason else ''}",
            self._remedy(code),
            http_status=code,
            reason=reason,
            is_about_orders=code in (400, 422) and not speaks_of_shop(reason),
        )

    def _remedy(self, code: int) -> str:
        conn_id = self.settings.conn_id
        if code in (401, 403):
            return (
                f"check login (store key) and password (secret key) of connection {conn_id}. Order synchronisation may "
                'not be enabled for this shop: ask your REES46 manager to enable "Orders Tracking"'
            )
        if 300 <= code < 400:
            return f"it points elsewhere: correct host and schema of connection {conn_id}"
        if code in (404, 405):
            return f"there is no such endpoint: correct host and dialect of connection {conn_id}"
        return "REES46 does not take this batch as it is: look for REES46's e-mail"


def _is_whole(answer: requests.Response) -> bool:
    """Return whether a response without a body says so itself: one that is cut off in its headers has none either."""
    return answer.headers.get("Content-Length", "").isdigit() or "Transfer-Encoding" in answer.headers


def _retry_after(answer: requests.Response) -> timedelta | None:
    """Return the Retry-After of a response, in seconds or as a date (RFC 9110, 10.2.3); None if it cannot be used."""
    value = answer.headers.get("Retry-After")
    if value is None:
        return None
    try:
        return timedelta(seconds=_retry_after_parser.parse_retry_after(value))
    except (InvalidHeader, OverflowError, ValueError):
        return None  # the usual delays apply


def _is_transient(error: BaseException) -> bool:
    return (
        isinstance(error, Rees46UnavailableError)
        and error.transient
        and (error.retry_after is None or error.retry_after <= MAX_PAUSE)
    )


def _pause(state: RetryCallState) -> float:
    """Return the seconds that REES46 asks to wait, else a random time that grows with each attempt."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, Rees46UnavailableError) else None
    return asked.total_seconds() if asked is not None else _backoff(state)


def _log_pause(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("%s Attempt %d of %d in %.1f s.", error, state.attempt_number + 1, ATTEMPTS, state.upcoming_sleep)


def _cause(error: requests.RequestException) -> str:
    """Return the kind of error; the library's own text quotes the request."""
    reason: object = error.args[0] if error.args else error
    reason = getattr(reason, "reason", reason)
    return type(reason).__name__ if isinstance(reason, BaseException) else type(error).__name__
