"""
Staged files: the rows that one task of a run passes on to the next, under one root that all workers reach.

The root is a folder below AIRFLOW_HOME, or the shop's ``staging`` URL (an Airflow ``ObjectStoragePath``). Each
extraction has a folder of its own below it, named by its start. The folder is removed after the full success of its
run, or by age: a failed run keeps its files, so that its tasks can be cleared and run again.
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
from rees46_sync.exceptions import Problem, RestartRunError, ShopFileError, StagingError, SyncError
from rees46_sync.shop.shop import Shop

KEEP = timedelta(days=7)
"""How long the files of a failed run are kept: long enough to clear it after a holiday."""

REPEATED = ["status"]
"""Columns whose values repeat: only for these is a Parquet dictionary worth its time and space."""

_STAMP = "%Y%m%dT%H%M%S"

OBJECT_STORES = ("s3", "s3a", "s3n", "gs", "gcs", "abfs", "abfss", "adl")
"""The URL schemes of object stores in Airflow's providers (Amazon, Google, Microsoft Azure)."""

EXTRACTION_ID = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{8}")
"""The form of an extraction id."""


def check_shared(shop: Shop, executor_names: Iterable[str | None] = (None,)) -> None:
    """
    Refuse the default folder if the tasks of a run may not share a disk. A folder that the shop file names counts as
    shared.

    :param executor_names: the ``executor`` of each task of the DAG; None stands for Airflow's default.
    :raises ShopFileError: the shop file names no staging, and tasks may run on several machines.
    """
    reason = executors.distributed(executor_names)
    if reason and shop.staging is None:
        raise ShopFileError(
            shop.file.name,
            Problem(
                f"staging is not given, and tasks run on several machines: {reason}, which do not share the default "
                "folder under AIRFLOW_HOME",
                "give an object storage URL, such as s3://connection@bucket/folder, or "
                "file:///path/to/folder of a disk that all of them share",
            ),
        )


def shop_root(shop: Shop) -> UPath:
    """
    Return the folder of a shop's staged files.

    :raises ConnectionFieldsError: the staging URL names a connection that does not exist.
    """
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser().absolute()
    root = open_path(shop.staging or f"file://{home}/rees46_staging")
    if conn_id := getattr(root, "conn_id", None):
        # Without this check, the object store's client would use whatever credentials the machine has.
        get_connection(conn_id)
    return root / shop.shop


def open_path(path: str) -> UPath:
    """Return the path of a URL in a shop file or a descriptor."""
    if path.startswith("file://"):
        # Airflow's class would first import the object stores' clients of all providers: half a second in each task.
        return UPath(path)
    from airflow.sdk import ObjectStoragePath

    return cast("UPath", ObjectStoragePath(path))


def new_extraction_id(now: datetime) -> str:
    """Return an id for an extraction that begins at ``now``; it starts with that time in UTC."""
    return f"{now.astimezone(UTC):{_STAMP}}-{uuid.uuid4().hex[:8]}"


def write(table: pa.Table, path: UPath) -> None:
    """
    Write a table as a Parquet file; create its folder if it does not exist.

    :raises StagingError: the staging root cannot be written.
    """
    with _staging_errors(path, "written"):
        _make_folder(path.parent)
        pq.write_table(table, path.path, filesystem=path.fs, compression="zstd", use_dictionary=REPEATED)


def write_text(text: str, path: UPath) -> None:
    """
    Write a text file in UTF-8; create its folder if it does not exist.

    :raises StagingError: the staging root cannot be written.
    """
    with _staging_errors(path, "written"):
        _make_folder(path.parent)
        path.write_text(text, encoding="utf-8")


def _make_folder(folder: UPath) -> None:
    # An object store has no folders, and its client's mkdir would create a missing bucket.
    if folder.protocol not in OBJECT_STORES:
        folder.mkdir(parents=True, exist_ok=True)


@contextmanager
def _staging_errors(path: UPath, action: str) -> Iterator[None]:
    try:
        yield
    except SyncError:
        raise
    except Exception as error:  # each object store has error classes of its own
        raise StagingError(str(path), action, error) from error


def read(path: UPath, columns: Sequence[str] | None = None, optional: Sequence[str] = ()) -> pa.Table:
    """
    Read a Parquet file that an earlier task staged.

    :param columns: the columns to read; None reads all.
    :param optional: further columns, as far as the file has them.
    :raises RestartRunError: it does not exist, is not a whole Parquet file, or lacks one of the columns.
    :raises StagingError: it cannot be read now.
    """
    with _staging_errors(path, "read"):
        try:
            if columns is not None:
                present = pq.read_schema(path.path, filesystem=path.fs).names
                for column in columns:
                    if column not in present:
                        raise RestartRunError(
                            f"Staged file {path} has no column {column} (an older version of this project wrote it)"
                        )
                columns = [*columns, *(column for column in optional if column in present)]
            return pq.read_table(path.path, columns=columns, filesystem=path.fs)
        except FileNotFoundError as error:
            raise RestartRunError(
                f"Staged file {path} is gone (staged files are removed after a run's full success, or by age)"
            ) from error
        except pa.ArrowInvalid as error:
            raise RestartRunError(
                f"Staged file {path} is broken (a crash or a full disk cut it off while it was written)"
            ) from error


def read_text(path: UPath) -> str | None:
    """
    Read a text file that an earlier task wrote; return None if it does not exist.

    :raises StagingError: it cannot be read now.
    """
    with _staging_errors(path, "read"):
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


def remove(folder: UPath) -> None:
    """
    Remove a folder of staged files, if it exists.

    :raises StagingError: the staging root cannot be written.
    """
    with _staging_errors(folder, "removed"):
        if folder.exists():
            folder.rmdir(recursive=True)


def remove_older(root: UPath, now: datetime, keep: timedelta = KEEP) -> list[str]:
    """
    Remove the folders of extractions that are older than ``keep``, and nothing else; return their names.

    :raises StagingError: the staging root cannot be read or written.
    """
    limit = f"{now.astimezone(UTC) - keep:{_STAMP}}"
    with _staging_errors(root, "read"):
        found = list(root.iterdir()) if root.exists() else []
    # A user may keep other files in the root.
    old = [folder for folder in found if EXTRACTION_ID.fullmatch(folder.name) and folder.name < limit]
    for folder in old:
        remove(folder)
    return [folder.name for folder in old]
