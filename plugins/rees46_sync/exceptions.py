"""
What can go wrong, named by what to do next.

* SyncError
  + NonRetryableError          a retry cannot help; a person acts
    - ShopFileError            correct the shop file
    - ConnectionFieldsError    correct the Airflow connection
    - LedgerSchemaError        upgrade the project here, or the ledger: they are of different versions
    - UnknownParamError        correct the conf of this run: it has a key that is no param
    - WindowError              correct the window, or the order_ids, of this run
    - QueryColumnsError        correct the query: its columns are not order_id, status and updated_at
    - LimitExceededError       decide: the run would change or reject more than the shop allows
    - NotApprovedError         correct the cause, or leave it to the next run: approval was rejected or expired
    - OutdatedApprovalError    leave it to the next run: the request for approval is about an earlier extraction
    - RestartRunError          clear the run from extract_orders
    - RunFailedError           look at the failed tasks of the run; a later run sends what is missing
    - AccountingError          a row is unaccounted for: a defect of the sync, report it
    - FreshnessBreachedError   find out why no run of the shop succeeds: it is paused, it fails, or nothing runs
    - DifferencesError         look at the orders that REES46 has otherwise than the warehouse, and send them
  + WarehouseError             retry: the warehouse does not answer, or the query fails
  + LedgerError                retry: the ledger's database does not answer
  + StagingError               retry: the staging root cannot be reached or written (a full disk, a missing bucket)
  + TemporaryFilesError        retry: the temporary folder cannot be written (a full disk)
  + LoadStoppedError           retry, or leave it to the next run: Airflow or another load stopped the task
  + RowValidationError         retry: Great Expectations could not validate a partition
  + Rees46Error                about one request to REES46
    - Rees46UnavailableError   retry: no answer, 429, 5xx; may carry retry_after
    - Rees46UnreadableError    retry: a 2xx whose body says neither yes nor no
    - Rees46RejectedError      stop: this batch will never be accepted as it is
      - Rees46BlockedError     correct the certificate or the proxy's login: nothing gets through to REES46

Each error has two fields: the problem names the thing and its value, the remedy says what to do. Neither holds rows,
request or response bodies, or secrets, because Airflow shows messages in its UI and sends them by mail.
"""

from __future__ import annotations

from datetime import timedelta


class SyncError(Exception):
    """
    Anything that this project raises on purpose.

    :param problem: what is wrong, without a full stop at its end.
    :param remedy: what to do next, as an imperative that continues the sentence; without a full stop at its end.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}.")
        self.problem = problem
        self.remedy = remedy


class Problem(ValueError):  # noqa: N818 - a part of an error
    """
    One thing that is wrong with a shop file or its query; it becomes part of a :class:`ShopFileError`.

    :param problem: what is wrong.
    :param remedy: what to write instead.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class NonRetryableError(SyncError):
    """A retry cannot help: the task fails at once."""


class ShopFileError(NonRetryableError):
    """
    A shop file, or the query file that it names, is not usable.

    :param file: the file's name.
    :param problems: everything that is wrong with it, at least one.
    """

    def __init__(self, file: str, *problems: Problem) -> None:
        *others, last = problems
        super().__init__(f"Shop file {file}: " + ". Also: ".join([*map(str, others), last.problem]), last.remedy)
        self.file = file
        self.problems = problems


class ConnectionFieldsError(NonRetryableError):
    """An Airflow connection lacks a field, or has one that cannot be used."""

    def __init__(self, conn_id: str, problem: str, remedy: str) -> None:
        super().__init__(f"Connection {conn_id}: {problem}", remedy)


class LedgerSchemaError(NonRetryableError):
    """
    The ledger's tables are of a version that this project cannot work with, or may not upgrade.

    :param ledger: the address of its database, without a password.
    :param cause: what is wrong, without that address.
    """

    def __init__(self, ledger: str, cause: str, remedy: str) -> None:
        super().__init__(f"Ledger {ledger}: {cause}; nothing was written", remedy)
        self.cause = cause


class UnknownParamError(NonRetryableError):
    """A run's conf has a key that is no param of its DAG, so something that was asked for would not happen."""


class WindowError(NonRetryableError):
    """The window that a run by hand names does not exist, or it cannot be known for the orders that it names."""


class QueryColumnsError(NonRetryableError):
    """The query runs, but does not return the columns that the sync needs."""


class LimitExceededError(NonRetryableError):
    """The run would reject or change more than the shop file allows."""


class NotApprovedError(NonRetryableError):
    """A limit is exceeded, and no person approved what the run would do."""


class OutdatedApprovalError(NonRetryableError):
    """The request for approval that Airflow shows, or that was decided, is about an earlier extraction."""


class RestartRunError(NonRetryableError):
    """What an earlier task of this run left is gone, broken, or belongs to another extraction or version."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, "clear this run from extract_orders, so that it reads the warehouse again")


class RunFailedError(NonRetryableError):
    """The account of a run in which something failed: every row is accounted for, not every row was sent."""


class AccountingError(NonRetryableError):
    """The closed sum of a run does not close."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, "this is a defect of the sync: report it with this line")


class FreshnessBreachedError(NonRetryableError):
    """A shop's changes have not reached REES46 for longer than the shop allows."""


class DifferencesError(NonRetryableError):
    """REES46 lacks orders that the warehouse has, or has another status of them, and no later run reads them."""


class WarehouseError(SyncError):
    """The warehouse does not answer, or the shop's query fails there."""


class LedgerError(SyncError):
    """
    The ledger's database does not answer.

    :param transient: it answered before and may answer again within a minute or two; the transaction may be repeated.
    """

    def __init__(self, problem: str, remedy: str, *, transient: bool = False) -> None:
        super().__init__(problem, remedy)
        self.transient = transient


class StagingError(SyncError):
    """A staged file cannot be written, read or removed."""

    def __init__(self, path: str, action: str, cause: Exception) -> None:
        super().__init__(
            f"Staged file {path} cannot be {action} ({cause})",
            "make room or correct staging in the shop file (default: a folder under AIRFLOW_HOME), or the connection "
            "that it names",
        )


class TemporaryFilesError(SyncError):
    """The rows that are read cannot be stored until they are sorted."""

    def __init__(self, folder: str, cause: Exception) -> None:
        super().__init__(
            f"Temporary files in {folder} cannot be written ({cause})", "make room, or set TMPDIR to another folder"
        )


class LoadStoppedError(SyncError):
    """Airflow, or another load of the shop, stopped a load before all of its orders were sent."""


class RowValidationError(SyncError):
    """Great Expectations could not run one of its checks, so the rows are neither valid nor rejected."""


class Rees46Error(SyncError):
    """
    One batch was not accepted.

    :param http_status: the response's HTTP status, None if there was no response.
    :param requests: how many POSTs were made for this batch.
    """

    outcome = "unknown"

    def __init__(self, problem: str, remedy: str, *, http_status: int | None = None, requests: int = 1) -> None:
        super().__init__(problem, remedy)
        self.http_status = http_status
        self.requests = requests


class Rees46UnavailableError(Rees46Error):
    """
    No response, or one that says "not now".

    :param retry_after: how long the server asks to wait; None if it does not say.
    :param transient: whether the failure is of the kind that passes within seconds.
    """

    def __init__(
        self,
        problem: str,
        remedy: str,
        *,
        http_status: int | None = None,
        requests: int = 1,
        retry_after: timedelta | None = None,
        transient: bool = False,
    ) -> None:
        super().__init__(problem, remedy, http_status=http_status, requests=requests)
        self.retry_after = retry_after
        self.transient = transient


class Rees46UnreadableError(Rees46Error):
    """A 2xx response whose body says neither yes nor no."""


class Rees46RejectedError(Rees46Error):
    """
    REES46 rejects this batch.

    :param reason: REES46's own words; empty if it gives none.
    :param is_about_orders: whether it refuses what is in the batch, and not the shop, its keys or the address.
    """

    outcome = "rejected"

    def __init__(
        self,
        problem: str,
        remedy: str,
        *,
        http_status: int | None = None,
        requests: int = 1,
        reason: str = "",
        is_about_orders: bool = False,
    ) -> None:
        super().__init__(problem, remedy, http_status=http_status, requests=requests)
        self.reason = reason
        self.is_about_orders = is_about_orders


class Rees46BlockedError(Rees46RejectedError):
    """A request does not get through to REES46, and none will until a person acts: a certificate, a proxy's login."""
