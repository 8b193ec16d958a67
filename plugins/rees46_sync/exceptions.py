"""
What can go wrong, named by what to do next.

* SyncError
  + MendFirstError             nothing that a retry could mend; a person acts
    - ShopFileError            mend the shop file
    - ConnectionFieldsError    mend the Airflow connection
    - LedgerSchemaError        upgrade the project here, or the ledger: one is of another version
    - WindowError              mend the window of this run
    - QueryColumnsError        mend the query: its columns are not the ones that were agreed
    - LimitExceededError       decide: the run would change or reject more than the shop allows
    - NotApprovedError         mend the cause, or leave it to the next run: a person said no, or nobody answered
    - EarlierRequestError      leave it to the next run: the request for approval is about an earlier reading
    - StagedFilesGoneError     clear the run from extract_orders
    - StagedFileBrokenError    clear the run from extract_orders
    - StagedFileOutdatedError  clear the run from extract_orders
    - EarlierReadingError      clear the run from extract_orders
    - RunFailedError           see the failed tasks of the run; a later run makes good what is missing
    - AccountingError          a row is unaccounted for: a defect of ours, report it
    - FreshnessLostError       see why no run of the shop succeeds: it is paused, it fails, or nothing runs
  + WarehouseError             retry: the warehouse does not answer, or the query fails
  + LedgerError                retry: the ledger's database does not answer
  + StagingError               retry: the staging root cannot be reached or written (a full disk, a missing bucket)
  + TemporaryFilesError        retry: the temporary folder cannot be written (a full disk)
  + LoadStoppedError           retry, or leave it to the next run: the task was told to stop
  + JudgementError             retry: Great Expectations could not judge a partition
  + Rees46Error                about one request to REES46
    - Rees46UnavailableError   retry: no answer, 429, 5xx; may carry retry_after
    - Rees46UnreadableError    retry: a 2xx whose body says neither yes nor no
    - Rees46RejectedError      stop: this batch will never be accepted as it is

Messages name the thing, its value and the remedy. They never hold rows, request or answer bodies, or secrets,
because Airflow shows them in its UI and sends them by mail.
"""

from __future__ import annotations

from datetime import timedelta


class SyncError(Exception):
    """Anything that this project raises on purpose."""


class MendFirstError(SyncError):
    """A retry cannot help: the task fails at once."""


class ShopFileError(MendFirstError):
    """A shop file, or the query file that it names, is not usable."""

    def __init__(self, file: str, *faults: str) -> None:
        """Each fault is "problem; remedy"."""
        super().__init__(f"Shop file {file}: {'. Also: '.join(faults)}.")
        self.file = file
        self.faults = faults


class ConnectionFieldsError(MendFirstError):
    """An Airflow connection lacks a field, or holds one that cannot be used."""

    def __init__(self, conn_id: str, fault: str) -> None:
        """The fault is "problem; remedy"."""
        super().__init__(f"Connection {conn_id}: {fault}.")


class LedgerSchemaError(MendFirstError):
    """The ledger's tables are of a version that this project cannot work with, or may not bring up to date."""

    def __init__(self, place: str, fault: str) -> None:
        """The fault is "problem; remedy"."""
        super().__init__(f"Ledger {place}: {fault}. Nothing was written.")


class WindowError(MendFirstError):
    """The window that a run by hand asks for does not exist."""


class QueryColumnsError(MendFirstError):
    """The query runs, but does not return the columns that the sync needs."""


class LimitExceededError(MendFirstError):
    """The run would reject or change more than the shop file allows."""


class NotApprovedError(MendFirstError):
    """A limit is reached, and nobody approved what the run would do."""


class EarlierRequestError(MendFirstError):
    """The request for approval that Airflow shows, or that was answered, is about another reading of the warehouse."""


class StagedFilesGoneError(MendFirstError):
    """A file that an earlier task of this run staged is not there any more."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"Staged file {path} is gone (staged files are removed after a run's full success, or by age); "
            "clear this run from extract_orders, so that it reads the warehouse again."
        )


class StagedFileBrokenError(MendFirstError):
    """A file that an earlier task of this run staged is no whole Parquet file."""

    def __init__(self, path: str) -> None:
        super().__init__(
            f"Staged file {path} is broken (a crash or a full disk cut it off while it was written); "
            "clear this run from extract_orders, so that it reads the warehouse again."
        )


class StagedFileOutdatedError(MendFirstError):
    """A file that an earlier task of this run staged lacks a column: another version of the sync wrote it."""

    def __init__(self, path: str, column: str) -> None:
        super().__init__(
            f"Staged file {path} has no column {column} (an older version of this project wrote it); "
            "clear this run from extract_orders, so that it is written anew."
        )


class EarlierReadingError(MendFirstError):
    """What an earlier task of this run left is about another reading of the warehouse."""

    def __init__(self, partition: int, found: str, expected: str) -> None:
        super().__init__(
            f"Partition {partition} was judged in reading {found}, and this run is about reading {expected}; "
            "clear this run from extract_orders, so that every task runs again."
        )


class RunFailedError(MendFirstError):
    """The account of a run in which something failed: every row is accounted for, not every row was sent."""


class AccountingError(MendFirstError):
    """The closed sum of a run does not close."""


class FreshnessLostError(MendFirstError):
    """REES46 has not been told of a shop's changes for longer than the shop allows."""


class WarehouseError(SyncError):
    """The warehouse does not answer, or the shop's query fails there."""


class LedgerError(SyncError):
    """The ledger's database does not answer."""


class StagingError(SyncError):
    """A staged file cannot be written, read or removed."""

    def __init__(self, path: str, what: str, cause: Exception) -> None:
        """``what`` cannot be done with it: written, read or removed."""
        super().__init__(
            f"Staged file {path} cannot be {what} ({cause}); make room or correct staging in the shop file "
            "(default: a folder under AIRFLOW_HOME), or the connection that it names."
        )


class TemporaryFilesError(SyncError):
    """The rows that are read cannot be kept until they are sorted."""

    def __init__(self, folder: str, cause: Exception) -> None:
        super().__init__(
            f"Temporary files in {folder} cannot be written ({cause}); make room, or set TMPDIR to another folder."
        )


class LoadStoppedError(SyncError):
    """Airflow told a load to stop before all of its orders were sent."""


class JudgementError(SyncError):
    """Great Expectations could not run one of its checks, so nothing is known about the rows."""


class Rees46Error(SyncError):
    """One batch was not accepted.

    :param message: what happened and what to do; no rows, no bodies.
    :param http_status: the answer's HTTP status, None where there was no answer.
    :param requests: how many POSTs were made for this batch.
    """

    outcome = "unknown"

    def __init__(self, message: str, *, http_status: int | None = None, requests: int = 1) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.requests = requests


class Rees46UnavailableError(Rees46Error):
    """No answer, or one that says "not now".

    :param retry_after: how long the server asks to wait; None where it does not say.
    :param hiccup: whether the failure is of the kind that passes within seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        http_status: int | None = None,
        requests: int = 1,
        retry_after: timedelta | None = None,
        hiccup: bool = False,
    ) -> None:
        super().__init__(message, http_status=http_status, requests=requests)
        self.retry_after = retry_after
        self.hiccup = hiccup


class Rees46UnreadableError(Rees46Error):
    """A 2xx answer whose body says neither yes nor no."""


class Rees46RejectedError(Rees46Error):
    """REES46 says no to this batch."""

    outcome = "rejected"
