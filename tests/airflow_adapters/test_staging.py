"""Staged files on a disk: written, read, removed, and what an error says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from upath import UPath

from rees46_sync.airflow_adapters import staging
from rees46_sync.exceptions import RestartRunError, StagingError

NOW = datetime(2026, 3, 10, tzinfo=UTC)
ROWS = pa.table({"order_id": ["007", "заказ-😀"], "code": [0, 1]})


def test_the_next_task_reads_what_one_task_writes(tmp_path: Path) -> None:
    path = UPath(tmp_path / "folder" / "rows.parquet")
    staging.write(ROWS, path)
    assert staging.read(path) == ROWS


def test_only_the_named_columns_are_read(tmp_path: Path) -> None:
    path = UPath(tmp_path / "rows.parquet")
    staging.write(ROWS, path)
    assert staging.read(path, ["code"]) == ROWS.select(["code"])


def test_the_error_for_a_missing_column_says_from_which_task_to_clear(tmp_path: Path) -> None:
    path = UPath(tmp_path / "rows.parquet")
    staging.write(ROWS, path)
    with pytest.raises(RestartRunError, match=r"rows\.parquet has no column status .* from extract_orders"):
        staging.read(path, ["order_id", "status"])


def test_the_error_for_a_missing_file_says_from_which_task_to_clear(tmp_path: Path) -> None:
    with pytest.raises(RestartRunError, match=r"rows\.parquet is gone .* clear this run from extract_orders"):
        staging.read(UPath(tmp_path / "rows.parquet"))


def test_the_error_for_an_unwritable_root_names_it_and_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StagingError, match=r"file/rows\.parquet cannot be written .* correct staging"):
        staging.write(ROWS, UPath(tmp_path / "file" / "rows.parquet"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(ROWS, id="before-the-first-byte-is-flushed"),
        pytest.param(pa.table({"order_id": [f"order-{n * 7919}" for n in range(200_000)]}), id="halfway"),
    ],
)
def test_the_error_for_a_full_disk_names_the_file_and_the_remedy(tmp_path: Path, rows: pa.Table) -> None:
    (tmp_path / "rows.parquet").symlink_to("/dev/full")
    with pytest.raises(StagingError, match=r"rows\.parquet cannot be written .*No space left on device.* make room"):
        staging.write(rows, UPath(tmp_path / "rows.parquet"))


@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.999])
def test_the_error_for_a_file_that_a_crash_cut_off_says_from_which_task_to_clear(tmp_path: Path, part: float) -> None:
    path = UPath(tmp_path / "rows.parquet")
    staging.write(ROWS, path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * part)])
    for columns in (None, ["code"]):
        with pytest.raises(RestartRunError, match=r"rows\.parquet is broken .* this run from extract_orders"):
            staging.read(path, columns)


def test_only_extractions_past_their_time_are_removed_and_no_other_files(tmp_path: Path) -> None:
    old = staging.new_extraction_id(NOW - staging.KEEP - timedelta(seconds=1))
    young = staging.new_extraction_id(NOW - staging.KEEP + timedelta(seconds=1))
    others = [".keep", "2019-report", "20190101", "00000000T000000-backup"]
    for name in (old, young, *others):
        staging.write(ROWS, UPath(tmp_path / name / "rows.parquet"))

    assert staging.remove_older(UPath(tmp_path), NOW) == [old]

    assert {path.name for path in tmp_path.iterdir()} == {young, *others}


def test_removing_a_folder_that_does_not_exist_is_no_error(tmp_path: Path) -> None:
    staging.remove(UPath(tmp_path / "gone"))
    assert staging.remove_older(UPath(tmp_path / "gone"), NOW) == []
