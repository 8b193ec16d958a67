"""
Staged files: what one task of a run leaves for the next, under one root that all workers reach.

The root is a folder below AIRFLOW_HOME, or the shop's ``staging`` URL (an Airflow ``ObjectStoragePath``); below it each
reading of the warehouse has a folder of its own, named by when it began. A folder is removed after the full success
of its run, or by age: a run that failed keeps its files, so that its tasks can be cleared and run again.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from rees46_sync.airflow_adapters import executors
from rees46_sync.airflow_adapters.connections import get_connection
from rees46_sync.exceptions import (
    ShopFileError,
    StagedFileBrokenError,
    StagedFileOutdatedError,
    StagedFilesGoneError,
    StagingError,
    SyncError,
)
from rees46_sync.shop.shop import Shop

KEEP = timedelta(days=7)
"""How long the files of a failed run are kept: long enough to come back from a holiday and clear it."""

REPEATED = ["status"]
"""The columns whose values repeat; a dictionary of what is different in each row takes time, and room in the file."""

_STAMP = "%Y%m%dT%H%M%S"
OBJECT_STORES = ("s3", "s3a", "s3n", "gs", "gcs", "abfs", "abfss", "adl")
"""What Airflow's providers call object stores in a URL (Amazon, Google, Microsoft Azure)."""

EXTRACTION_ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{8}")
"""What a reading is called."""


def check_shared(shop: Shop, asked_for: Iterable[str | None] = (None,)) -> None:
    """
    Refuse the default folder where the tasks of a run may not share a disk. A folder that the shop file names is taken
    for a shared one: who names it says so.

    :param asked_for: the ``executor`` of each task of the DAG.
    :raises ShopFileError: the shop file names no staging, and tasks may run on several machines.
    """
    found = executors.distributed(asked_for)
    if found and shop.staging is None:
        raise ShopFileError(
            shop.file.name,
            f"staging is not given, and tasks run on several machines: {found}, which do not share the default folder "
            "under AIRFLOW_HOME; give an object storage URL, such as s3://connection@bucket/folder, or "
            "file:///path/to/folder of a disk that all of them share",
        )


def root_of(shop: Shop) -> UPath:
    """
    Return the folder of a shop's staged files.

    :raises ConnectionFieldsError: the staging URL names a connection that does not exist.
    """
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser().absolute()
    root = open_path(shop.staging or f"file://{home}/rees46_staging")
    if conn_id := getattr(root, "conn_id", None):
        # Asked for here: the object store's client would go on without it, by whatever credentials the machine has.
        get_connection(conn_id)
    return root / shop.shop


def open_path(path: str) -> UPath:
    """Return the path that a shop file or a descriptor names."""
    if path.startswith("file://"):
        # Airflow's class would import the object stores' clients of all providers first: half a second in each task.
        return UPath(path)
    from airflow.sdk import ObjectStoragePath

    return cast("UPath", ObjectStoragePath(path))


def new_extraction_id(now: datetime) -> str:
    """Return a name for one reading of the warehouse, beginning with its time in UTC."""
    return f"{now.astimezone(UTC):{_STAMP}}-{uuid.uuid4().hex[:8]}"


def write(table: pa.Table, path: UPath) -> None:
    """
    Write a table as a Parquet file, making its folder.

    :raises StagingError: the staging root cannot be written.
    """
    with _staging_errors(path, "written"):
        _make_folder(path.parent)
        pq.write_table(table, path.path, filesystem=path.fs, compression="zstd", use_dictionary=REPEATED)


def write_text(text: str, path: UPath) -> None:
    """
    Write a text, making its folder.

    :raises StagingError: the staging root cannot be written.
    """
    with _staging_errors(path, "written"):
        _make_folder(path.parent)
        path.write_text(text, encoding="utf-8")


def _make_folder(folder: UPath) -> None:
    # An object store knows no folders; asked for one, its client makes the bucket where that is missing.
    if folder.protocol not in OBJECT_STORES:
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _staging_errors(path: UPath, what: str) -> Iterator[None]:
    try:
        yield
    except SyncError:
        raise
    except Exception as error:  # each object store has error classes of its own
        raise StagingError(str(path), what, error) from error


def read(path: UPath, columns: Sequence[str] | None = None) -> pa.Table:
    """
    Read a Parquet file that an earlier task staged.

    :param columns: read these alone; None reads all.
    :raises StagedFilesGoneError: it is not there any more.
    :raises StagedFileBrokenError: it is no whole Parquet file.
    :raises StagedFileOutdatedError: it lacks one of the columns.
    :raises StagingError: it cannot be read now.
    """
    with _staging_errors(path, "read"):
        try:
            if columns is not None:
                present = pq.read_schema(path.path, filesystem=path.fs).names
                for column in columns:
                    if column not in present:
                        raise StagedFileOutdatedError(str(path), column)
            return pq.read_table(path.path, columns=columns, filesystem=path.fs)
        except FileNotFoundError as error:
            raise StagedFilesGoneError(str(path)) from error
        except pa.ArrowInvalid as error:
            raise StagedFileBrokenError(str(path)) from error


def read_text(path: UPath) -> str:
    """
    Read a text that an earlier task wrote.

    :raises StagedFilesGoneError: it is not there any more.
    :raises StagingError: it cannot be read now.
    """
    with _staging_errors(path, "read"):
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise StagedFilesGoneError(str(path)) from error


def remove(folder: UPath) -> None:
    """
    Remove a folder of staged files; one that is gone already is fine.

    :raises StagingError: the staging root cannot be written.
    """
    with _staging_errors(folder, "removed"):
        if folder.exists():
            folder.rmdir(recursive=True)


def remove_older(root: UPath, now: datetime, keep: timedelta = KEEP) -> list[str]:
    """
    Remove the folders of readings that are older than ``keep``, and nothing else; return their names.

    :raises StagingError: the staging root cannot be read or written.
    """
    limit = f"{now.astimezone(UTC) - keep:{_STAMP}}"
    with _staging_errors(root, "read"):
        found = list(root.iterdir()) if root.exists() else []
    # The root may be a folder that a user keeps other things in.
    old = [folder for folder in found if EXTRACTION_ID.fullmatch(folder.name) and folder.name < limit]
    for folder in old:
        remove(folder)
    return [folder.name for folder in old]
