"""When Airflow retries a task of the sync, and when it waits how long: decided by the type of the error."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

from rees46_sync.exceptions import MendFirstError, Rees46RejectedError, Rees46UnavailableError

if TYPE_CHECKING:
    from airflow.sdk import Context

SHORTEST = timedelta(seconds=30)
LONGEST = timedelta(minutes=10)
"""The delays of retries grow from one to the other: together with the number of retries of load_batches they ride out
an outage of most of an hour; the next hourly run makes good a longer one."""

LONGEST_RETRY_AFTER = timedelta(hours=24)
"""REES46 asks for a synchronisation every 24 hours: no server's wish can put it off for longer."""


class Rees46RetryPolicy(RetryPolicy):
    """Give up at once on what a retry cannot mend; wait as long as REES46 asks; else back off with jitter."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide about one failure (Airflow calls this in the worker)."""
        match exception:
            case MendFirstError() | Rees46RejectedError():
                return RetryDecision.fail(str(exception))
            case Rees46UnavailableError(retry_after=timedelta() as asked):
                # An answer of 0, or a date that is over by the server's clock, must not use all retries up in a moment.
                delay = min(max(asked, SHORTEST), LONGEST_RETRY_AFTER)
                return RetryDecision.retry(delay, f"{exception} It asks to wait {delay}.")
            case _:
                # A cleared task goes on counting its tries, so the exponent needs a bound of its own.
                delay = min(LONGEST, SHORTEST * 2 ** min(try_number - 1, 10))
                return RetryDecision.retry(delay * random.uniform(0.5, 1), str(exception))  # noqa: S311 - jitter
