"""Whether Airflow retries a task of the sync, and how long it waits: decided by the type of the error."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

from rees46_sync.exceptions import NonRetryableError, Rees46RejectedError, Rees46UnavailableError

if TYPE_CHECKING:
    from airflow.sdk import Context

MIN_DELAY = timedelta(seconds=30)
MAX_DELAY = timedelta(minutes=10)
"""Delays grow from MIN_DELAY to MAX_DELAY: with its number of retries load_batches outlasts an outage of most of an
hour. After a longer one, the next hourly run sends what is missing."""

MAX_RETRY_AFTER = timedelta(hours=24)
"""REES46 requires a synchronisation every 24 hours, so no Retry-After may delay it for longer."""

MAX_WAITS = 10
"""How often the first attempt may wait for as long as REES46 asks without using up a retry, from Airflow 3.4 on."""


class Rees46RetryPolicy(RetryPolicy):
    """Fail at once if a retry cannot help; wait as long as REES46 asks; otherwise back off with jitter."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide about one failure; Airflow calls this in the worker."""
        match exception:
            case NonRetryableError() | Rees46RejectedError():
                return RetryDecision.fail(str(exception))
            case Rees46UnavailableError(retry_after=timedelta() as asked):
                # A Retry-After of 0, or of a date in the past, must not use up all retries within a moment.
                return _wait(min(max(asked, MIN_DELAY), MAX_RETRY_AFTER), exception, try_number, context)
            case _:
                # A cleared task keeps counting its attempts, so the exponent needs a bound of its own.
                delay = min(MAX_DELAY, MIN_DELAY * 2 ** min(try_number - 1, 10))
                return RetryDecision.retry(delay * random.uniform(0.5, 1), str(exception))  # noqa: S311 - jitter


def _wait(delay: timedelta, error: Rees46UnavailableError, try_number: int, context: Context | None) -> RetryDecision:
    reason = f"{error} It asks to wait {delay}."
    # Airflow's own handling of the bound forgets the delay, and would ask REES46 again too early.
    waits = context.get("task_reschedule_count", 0) if context and try_number == 1 else MAX_WAITS
    if waits < MAX_WAITS and (reschedule := getattr(RetryDecision, "reschedule", None)):
        decision: RetryDecision = reschedule(delay, max_reschedules=MAX_WAITS, reason=reason)
        return decision
    return RetryDecision.retry(delay, reason)
