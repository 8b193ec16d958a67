"""When a load stops sending: after rejections, after batches without a clear answer, or because something stops it."""

from __future__ import annotations

from datetime import timedelta

from rees46_sync.exceptions import Rees46Error, Rees46RejectedError

MAX_REJECTED = 3
"""Rejected batches after which a task stops: each one costs the shop an error e-mail from REES46."""

MAX_UNCLEAR = 3
"""Consecutive batches without a clear answer after which a task stops: REES46 is down, and Airflow's retry waits."""


class CircuitBreaker:
    """
    Decides whether further batches may be sent.

    Threads share it without a lock: appending and assigning are atomic, and one batch more or less does no harm.
    """

    def __init__(self) -> None:
        self.errors: list[Rees46Error] = []
        self.stopped_by = ""
        self._refused = 0
        self._consecutive_unclear = 0

    def request_stop(self, stopped_by: str) -> None:
        """Send no further batch, because of Airflow, or of another load."""
        self.stopped_by = self.stopped_by or stopped_by

    def record_success(self) -> None:
        """Note that a batch was accepted."""
        self._consecutive_unclear = 0

    def record_error(self, error: Rees46Error) -> None:
        """Note that a batch was rejected, or has no clear answer."""
        self.errors.append(error)
        is_rejected = isinstance(error, Rees46RejectedError)
        self._consecutive_unclear = 0 if is_rejected else self._consecutive_unclear + 1

    def record_refusal(self) -> None:
        """Note that a batch was refused for an order in it, which is searched for: no error yet."""
        self._refused += 1
        self._consecutive_unclear = 0

    @property
    def stop_reason(self) -> str:
        """Why no further batch is sent; empty as long as there is no reason."""
        rejected = self._refused + sum(isinstance(error, Rees46RejectedError) for error in self.errors)
        if self.stopped_by:
            return f"Stopped by {self.stopped_by}"
        if rejected >= MAX_REJECTED:
            return f"Stopped after {rejected} rejected batches"
        if self._consecutive_unclear >= MAX_UNCLEAR:
            return f"Stopped after {self._consecutive_unclear} consecutive batches without a clear answer"
        return ""

    @property
    def deciding_error(self) -> Rees46Error:
        """
        The error that decides about a retry: one that a retry can help, the longest Retry-After first; otherwise a
        rejection.
        """

        def wait(error: Rees46Error) -> tuple[bool, timedelta]:
            retry_after: timedelta | None = getattr(error, "retry_after", None)
            return not isinstance(error, Rees46RejectedError), retry_after or timedelta(0)

        return max(self.errors, key=wait)
