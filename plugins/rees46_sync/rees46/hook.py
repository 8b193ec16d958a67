"""
The Airflow hook of REES46's order-status API.

A batch has one of three outcomes: accepted (:meth:`Rees46Hook.send` returns), rejected, or unknown (it raises, see
:mod:`rees46_sync.exceptions`). Transient errors, which pass within seconds, are retried here; Airflow retries the rest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from airflow.sdk import BaseHook
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential, wait_random_exponential
from urllib3.exceptions import HTTPError, InvalidHeader, ReadTimeoutError
from urllib3.util import Retry

from rees46_sync import VERSION
from rees46_sync.airflow_adapters.encryption import is_loopback
from rees46_sync.airflow_adapters.secret_forms import without_secret
from rees46_sync.exceptions import (
    ConnectionFieldsError,
    Rees46Error,
    Rees46RejectedError,
    Rees46UnavailableError,
    Rees46UnreadableError,
)
from rees46_sync.rees46 import payload
from rees46_sync.rees46.adaptive_slots import AdaptiveSlots
from rees46_sync.rees46.bounded_http import BoundedAdapter
from rees46_sync.rees46.connection import AUTO, CONNECT_TIMEOUT_S, Settings, read_settings
from rees46_sync.rees46.dialects import Status
from rees46_sync.rees46.pace import Pace
from rees46_sync.rees46.reachability import Reachability, check_reachability
from rees46_sync.rees46.remedies import remedy
from rees46_sync.rees46.responses import MAX_BODY_BYTES, refusal_reason, speaks_of_shop
from rees46_sync.rees46.unreachable import unreachable

log = logging.getLogger(__name__)

USER_AGENT = f"rees46-order-status-sync/{VERSION}"

ATTEMPTS = 4
"""Requests for one batch inside a task; with the backoff below some ten seconds, what a restart of a server takes."""

TOO_MANY = 429
"""The HTTP status of REES46's "too many requests"."""

MAX_THROTTLED = 12
"""How often one batch may be answered so inside a task; with the pauses below that is some eight minutes."""

MAX_PAUSE = timedelta(seconds=60)
"""The longest Retry-After that a task waits for; a longer one becomes an Airflow retry."""

_retry_after_parser = Retry(retry_after_max=int(timedelta(days=365).total_seconds()))
_backoff = wait_random_exponential(multiplier=0.5, max=8)
_throttled_backoff = wait_exponential(multiplier=5, max=60)


class SendResult(NamedTuple):
    """What an accepted batch took: POSTs (0: none was allowed), and the HTTP status of the response."""

    requests: int
    http_status: int | None = None


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
        # The pool of one slot lets one load of a shop run at a time, so this is the pace of the whole shop.
        self._pace = Pace()

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
        adapter = BoundedAdapter(pool_maxsize=self.settings.max_in_flight)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        # A receiver on this machine is not behind the proxy that the environment names.
        session.trust_env = not is_loopback(urlsplit(self.settings.url).hostname or "")
        # With a login of its own the session does not look for one in ~/.netrc: the keys are in the body.
        session.auth = _no_login
        return session

    @cached_property
    def slots(self) -> AdaptiveSlots | None:
        """How many requests may be in flight; None if the connection names a number."""
        return AdaptiveSlots() if self.settings.concurrency == AUTO else None

    @cached_property
    def _template(self) -> requests.PreparedRequest:
        """A request without a body. Preparing each one anew would take a quarter of the time that sending takes."""
        headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        return self._session.prepare_request(requests.Request("POST", self.settings.url, headers=headers))

    @cached_property
    def _send_options(self) -> Mapping[str, Any]:
        """The options that the environment sets, such as the proxy; with them a body is read by :func:`_read_body`."""
        options: Mapping[str, Any] = self._session.merge_environment_settings(self.settings.url, {}, True, None, None)
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

    def send(self, orders: Sequence[tuple[str, Status]], may_post: Callable[[], bool] = lambda: True) -> SendResult:
        """
        Send one batch; return how many requests it took, and the status of the last response.

        :param orders: pairs of order id and status that the connection's dialect accepts.
        :param may_post: called right before each request. If it returns False, no further one is made: 0 requests are
            returned if there was none yet, else the error of the last one is raised.
        :raises ValueError: the dialect does not accept the orders; nothing was sent.
        :raises Rees46RejectedError: REES46 rejects the batch.
        :raises Rees46UnreadableError: the response says neither yes nor no.
        :raises Rees46UnavailableError: there is no response, or it says "not now".
        """
        settings = self.settings
        body = payload.request_body(settings.shop_id, settings.shop_secret, orders, settings.dialect)
        posted, failures, is_stopped = 0, 0, False
        last_error: Rees46Error | None = None

        def post() -> int | None:
            nonlocal posted, failures, is_stopped, last_error
            self._pace.wait_for_turn(settings.min_interval_s)
            if not may_post():
                is_stopped = True
                if last_error is None:
                    return None
                raise last_error
            posted += 1
            try:
                return self._post(body)
            except Rees46Error as error:
                last_error = error
                failures += error.http_status != TOO_MANY
                raise

        def pause(state: RetryCallState) -> float:
            seconds = _pause(state)
            self._obey(last_error, seconds)
            return seconds

        retrying = Retrying(
            # "Too many requests" is no failure: the batch waits for its turn.
            stop=lambda state: failures >= ATTEMPTS or state.attempt_number - failures >= MAX_THROTTLED,
            retry=retry_if_exception(lambda error: _is_transient(error) and not is_stopped),
            wait=pause,
            sleep=self._pace.pause,
            before_sleep=_log_pause,
            reraise=True,
        )
        try:
            http_status = retrying(post)
        except Rees46Error as error:
            error.requests = posted
            raise
        return SendResult(posted, http_status)

    def stop_waiting(self) -> None:
        """End all waits between requests, because the load is to stop: ``may_post`` is asked at once."""
        self._pace.stop()

    def _obey(self, error: Rees46Error | None, pause_s: float) -> None:
        """Let the requests of all threads wait if REES46 asks for it."""
        if not isinstance(error, Rees46UnavailableError):
            return
        if error.http_status == TOO_MANY:
            self._pace.slow_down()
        if error.http_status == TOO_MANY or error.retry_after is not None:
            self._pace.hold(pause_s)

    def _post(self, body: bytes) -> int:
        """Make one request; return the status of its response, which accepts the batch."""
        settings = self.settings
        request = self._template.copy()
        request.prepare_body(body, None)
        started, is_overloaded = time.monotonic(), True
        if self.slots:
            self.slots.start_request()
        try:
            answer = self._session.send(
                request,
                timeout=(CONNECT_TIMEOUT_S, settings.timeout_s),
                # A followed redirect would turn the POST into a GET, and its 200 into a false acceptance.
                allow_redirects=False,
                **self._send_options,
            )
            content = _read_body(answer)
            is_overloaded = answer.status_code in (TOO_MANY, 503)
        # On its way through requests and urllib3, a timeout while the body is read changes its class.
        except (requests.Timeout, ReadTimeoutError) as error:
            raise Rees46UnavailableError(
                f"{settings.url} did not answer within {settings.timeout_s:g} s",
                "the batch will be sent again",
                transient=True,
            ) from error
        except (requests.RequestException, HTTPError) as error:
            raise unreachable(error, settings.url, settings.conn_id) from error
        finally:
            if self.slots:
                self.slots.end_request(time.monotonic() - started, is_overloaded=is_overloaded)
        self._check(answer, content)
        return answer.status_code

    def _check(self, answer: requests.Response, content: bytes) -> None:
        """Return if REES46 accepted the batch, else raise."""
        settings, code = self.settings, answer.status_code
        if 200 <= code < 300:
            outcome, reason = settings.dialect.read_response(code, content)
            if len(content) > MAX_BODY_BYTES or (not content and not _is_whole(answer)):
                outcome = "unknown"
            if outcome == "accepted":
                return
            words = self._without_secret(reason)
            if outcome == "rejected":
                raise Rees46RejectedError(
                    f"REES46 answered {code} with an error{f' ({words})' if words else ''}",
                    remedy(code, reason, settings.conn_id),
                    http_status=code,
                    reason=words,
                )
            size = f"more than {MAX_BODY_BYTES}" if len(content) > MAX_BODY_BYTES else len(content)
            raise Rees46UnreadableError(
                f"{settings.url} answered {code} with a body that says neither yes nor no ("
                + (f"{words}, " if words else "")
                + f"{size} bytes, {self._content_type(answer)})",
                "ask your REES46 manager whether the batch arrived" if words else "look for a proxy in between",
                http_status=code,
            )
        reason = self._without_secret(refusal_reason(content))
        answered = f"{settings.url} answered {code}{f' ({reason})' if reason else ''}"
        if code in (408, TOO_MANY) or code >= 500:
            raise Rees46UnavailableError(
                answered,
                "the batch will be sent again",
                http_status=code,
                retry_after=_retry_after(answer),
                transient=code in (408, TOO_MANY, 502, 503, 504),
            )
        raise Rees46RejectedError(
            answered,
            remedy(code, reason, settings.conn_id),
            http_status=code,
            reason=reason,
            is_about_orders=code in (400, 422) and not speaks_of_shop(reason),
        )

    def _without_secret(self, reason: str) -> str:
        return without_secret(reason, self.settings.shop_secret)

    def _content_type(self, answer: requests.Response) -> str:
        """Return the content type that an answer names, whatever characters are in that header."""
        return ascii(self._without_secret(answer.headers.get("Content-Type", "no content type")))[1:-1][:60]


def _no_login(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _read_body(answer: requests.Response) -> bytes:
    """Return the body, cut off after one byte more than the longest that is understood; the rest is not read."""
    try:
        body: bytes = answer.raw.read(MAX_BODY_BYTES + 1, decode_content=True)
        return body
    finally:
        answer.close()


def _is_whole(answer: requests.Response) -> bool:
    """Return whether a response without a body says so itself: one that is cut off in its headers has none either."""
    says_so = answer.headers.get("Content-Length", "").isdigit() or "Transfer-Encoding" in answer.headers
    return says_so or answer.status_code == 204


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
    """Return the seconds that REES46 asks to wait, else a time that grows with each attempt."""
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, Rees46UnavailableError):
        return 0
    if error.retry_after is not None:
        return error.retry_after.total_seconds()
    return _throttled_backoff(state) if error.http_status == TOO_MANY else _backoff(state)


def _log_pause(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    log.warning("%s Attempt %d in %.1f s.", error, state.attempt_number + 1, state.upcoming_sleep)
