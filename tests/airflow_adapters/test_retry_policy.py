"""Whether Airflow retries, and how long it waits, for every error of the sync."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from statistics import mean
from typing import TYPE_CHECKING, cast

import pytest
from airflow.sdk import RetryDecision
from airflow.sdk.definitions.retry_policy import RetryAction

from rees46_sync import exceptions
from rees46_sync.airflow_adapters.retry_policy import (
    MAX_DELAY,
    MAX_RETRY_AFTER,
    MAX_WAITS,
    MIN_DELAY,
    Rees46RetryPolicy,
)
from rees46_sync.exceptions import (
    AccountingError,
    ConnectionFieldsError,
    DifferencesError,
    FreshnessBreachedError,
    LedgerError,
    LedgerSchemaError,
    LimitExceededError,
    LoadStoppedError,
    NonRetryableError,
    NotApprovedError,
    OutdatedApprovalError,
    Problem,
    QueryColumnsError,
    Rees46BlockedError,
    Rees46Error,
    Rees46RejectedError,
    Rees46UnavailableError,
    Rees46UnreadableError,
    RestartRunError,
    RowValidationError,
    RunFailedError,
    ShopFileError,
    StagingError,
    SyncError,
    TemporaryFilesError,
    UnknownParamError,
    WarehouseError,
    WindowError,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

ONE_HOUR = timedelta(hours=1)


def decide(error: BaseException, try_number: int = 1) -> RetryDecision:
    return Rees46RetryPolicy().evaluate(error, try_number, max_tries=8)


def retry_delay(error: BaseException, try_number: int = 1) -> timedelta:
    delay = decide(error, try_number).retry_delay
    assert delay is not None
    return delay


NO_RETRY_HELPS = [
    NonRetryableError("something is wrong", "correct it first"),
    ShopFileError("demo.yaml", Problem("statuses.completed is empty", "list them")),
    ConnectionFieldsError("rees46", "login is empty", "set it"),
    LedgerSchemaError("sqlite:///ledger.db", "its schema is version 4, and this installation knows 3", "upgrade"),
    UnknownParamError("The conf of this run has 'dryrun'", "write dry_run"),
    WindowError("window_end is set and window_start is not", "set both"),
    QueryColumnsError("the query returns id", "rename it to order_id"),
    LimitExceededError("Shop demo: 500 orders would change", "set ignore_limits"),
    NotApprovedError("Shop demo: 500 orders would change: rejected by jane", "leave it to the next run"),
    OutdatedApprovalError("Shop demo: the answer is about an earlier extraction", "leave it to the next run"),
    RestartRunError("Staged file /staging/part-0000.parquet is gone"),
    FreshnessBreachedError("Shop demo: no hourly run has succeeded", "find out why"),
    DifferencesError("Shop demo: REES46 lacks 2", "make reconcile SHOP=demo shows them"),
    RunFailedError("Shop demo: load_batches of partition 0 did not finish", "look at its log"),
    AccountingError("The sum of this run does not close"),
    Rees46RejectedError("REES46 answered 403", "correct the keys", http_status=403),
    Rees46BlockedError("the certificate is not trusted", "set REQUESTS_CA_BUNDLE"),
]
A_RETRY_MAY_HELP = [
    SyncError("something is wrong", "look at the log"),
    WarehouseError("the warehouse does not answer", "check it"),
    LedgerError("the ledger does not answer", "check it"),
    StagingError("/staging/part-0000.parquet", "written", OSError("No space left on device")),
    TemporaryFilesError("/tmp", OSError("No space left on device")),
    LoadStoppedError("Partition 0: Airflow stopped the task", "leave it to the next run"),
    RowValidationError("Great Expectations could not run a check", "report it if a retry does not help"),
    Rees46Error("one batch was not accepted", "look at the log"),
    Rees46UnavailableError("503", "wait", http_status=503),
    Rees46UnavailableError("503", "wait", http_status=503, transient=True),
    Rees46UnreadableError("neither yes nor no", "report it", http_status=200),
    ValueError("a defect, or a library's"),
    KeyError("order-4711"),
    OSError("the disk is full"),
]


def errors_below(base: type[BaseException]) -> Iterator[type[BaseException]]:
    yield base
    for error in base.__subclasses__():
        yield from errors_below(error)


def test_every_error_of_the_sync_is_in_these_tables() -> None:
    ours = {error for error in errors_below(SyncError) if error.__module__ == exceptions.__name__}

    assert {type(error) for error in NO_RETRY_HELPS + A_RETRY_MAY_HELP} >= ours


@pytest.mark.parametrize("error", NO_RETRY_HELPS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("try_number", [1, 8])
def test_an_error_that_no_retry_can_help_fails_at_once_with_its_reason(error: SyncError, try_number: int) -> None:
    assert decide(error, try_number) == RetryDecision(RetryAction.FAIL, None, str(error))


@pytest.mark.parametrize("error", A_RETRY_MAY_HELP, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("try_number", [1, 2, 3, 8, 9, 1000])
def test_any_other_error_is_retried_after_a_bounded_delay(error: Exception, try_number: int) -> None:
    decision = decide(error, try_number)

    assert decision.action is RetryAction.RETRY
    assert decision.reason == str(error)
    assert decision.retry_delay is not None
    assert MIN_DELAY / 2 <= decision.retry_delay <= MAX_DELAY


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        pytest.param(timedelta(0), MIN_DELAY, id="no-time"),
        pytest.param(timedelta(seconds=5), MIN_DELAY, id="less-than-our-shortest-delay"),
        pytest.param(timedelta(seconds=61), timedelta(seconds=61), id="a-minute"),
        pytest.param(ONE_HOUR, ONE_HOUR, id="longer-than-any-delay-of-ours"),
        pytest.param(24 * ONE_HOUR, 24 * ONE_HOUR, id="a-day"),
        pytest.param(24 * ONE_HOUR + timedelta(seconds=1), 24 * ONE_HOUR, id="more-than-a-day"),
        pytest.param(timedelta.max, 24 * ONE_HOUR, id="for-ever"),
    ],
)
@pytest.mark.parametrize("try_number", [1, 1000])
def test_a_retry_waits_as_long_as_rees46_asks_between_half_a_minute_and_a_day(
    asked: timedelta, waited: timedelta, try_number: int
) -> None:
    decision = decide(
        Rees46UnavailableError("REES46 answered 503", "wait", http_status=503, retry_after=asked), try_number
    )

    assert (decision.action, decision.retry_delay) == (RetryAction.RETRY, waited)
    assert decision.reason == f"REES46 answered 503; wait. It asks to wait {waited}."
    assert waited <= MAX_RETRY_AFTER


@pytest.mark.parametrize(
    ("try_number", "waits", "is_free"), [(1, 0, True), (1, MAX_WAITS - 1, True), (1, MAX_WAITS, False), (2, 0, False)]
)
def test_the_first_waits_that_rees46_asks_for_use_up_no_retry_where_airflow_can(
    try_number: int, waits: int, is_free: bool
) -> None:
    error = Rees46UnavailableError("REES46 answered 429", "wait", http_status=429, retry_after=ONE_HOUR)
    context = cast("Context", {"task_reschedule_count": waits})

    decision = Rees46RetryPolicy().evaluate(error, try_number, max_tries=8, context=context)

    can = hasattr(RetryDecision, "reschedule")  # from Airflow 3.4 on
    assert decision.action.value == ("reschedule" if can and is_free else "retry")
    assert (decision.retry_delay, decision.reason) == (ONE_HOUR, "REES46 answered 429; wait. It asks to wait 1:00:00.")


@pytest.mark.parametrize(
    ("try_number", "longest"),
    [
        (1, timedelta(seconds=30)),
        (2, timedelta(seconds=60)),
        (3, timedelta(seconds=120)),
        (4, timedelta(seconds=240)),
        (5, timedelta(seconds=480)),
        (6, timedelta(seconds=600)),
        (7, timedelta(seconds=600)),
        (1000, timedelta(seconds=600)),
    ],
)
def test_the_delays_double_up_to_the_longest_and_have_jitter(try_number: int, longest: timedelta) -> None:
    delays = [retry_delay(LedgerError("it does not answer", "check it"), try_number) for _ in range(200)]

    assert longest / 2 <= min(delays) <= max(delays) <= longest
    assert len(set(delays)) > 100
    # Spread evenly over the upper half: the odds of a mean of 200 draws that is further off are below one in a million.
    assert mean(delay / longest for delay in delays) == pytest.approx(0.75, abs=0.06)
