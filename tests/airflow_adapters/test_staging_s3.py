"""Staged files in an object store, on a real S3 server: single steps and whole runs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from local import servers
from rees46_sync.airflow_adapters import staging
from rees46_sync.doctor import checks
from rees46_sync.doctor.findings import Level
from rees46_sync.exceptions import ConnectionFieldsError, RestartRunError, StagingError
from rees46_sync.validation import data_docs
from tests.conftest import ShopUnderTest
from tests.s3 import BUCKET, Bucket
from tests.whole_run import metadata_text, run_dag

NOW = datetime(2026, 3, 10, tzinfo=UTC)
IN_WINDOW = datetime(2026, 3, 1, 7, 30)  # noqa: DTZ001 - SQLite has no time zones
ROWS = pa.table({"order_id": ["007", "заказ-😀"], "code": [0, 1]})
SYNC = "order_status_sync_test"


# One file


def test_the_next_task_reads_what_one_task_writes(bucket: Bucket) -> None:
    path = staging.open_path(f"{bucket.root}/folder/rows.parquet")
    staging.write(ROWS, path)

    assert staging.read(staging.open_path(str(path))) == ROWS
    assert staging.read(path, ["code"]) == ROWS.select(["code"])
    assert bucket.names() == ["folder/rows.parquet"]


def test_the_error_for_a_missing_or_outdated_file_says_from_which_task_to_clear(bucket: Bucket) -> None:
    path = staging.open_path(f"{bucket.root}/rows.parquet")
    with pytest.raises(RestartRunError, match=r"rows\.parquet is gone .* from extract_orders"):
        staging.read(path)
    staging.write(ROWS, path)
    with pytest.raises(RestartRunError, match=r"has no column status .* from extract_orders"):
        staging.read(path, ["status"])


@pytest.mark.parametrize("part", [0, 0.01, 0.5, 0.999])
def test_the_error_for_a_file_that_was_cut_off_says_from_which_task_to_clear(bucket: Bucket, part: float) -> None:
    path = staging.open_path(f"{bucket.root}/rows.parquet")
    staging.write(ROWS, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    for columns in (None, ["code"]):
        with pytest.raises(RestartRunError, match=r"rows\.parquet is broken .* this run from extract_orders"):
            staging.read(path, columns)


def test_only_extractions_past_their_time_are_removed_and_no_other_files(bucket: Bucket) -> None:
    old = staging.new_extraction_id(NOW - staging.KEEP - timedelta(seconds=1))
    young = staging.new_extraction_id(NOW - staging.KEEP + timedelta(seconds=1))
    others = [".keep", "2019-report", "20190101", "00000000T000000-backup"]
    root = staging.open_path(bucket.root)
    for name in (old, young, *others):
        staging.write(ROWS, root / name / "rows.parquet")

    assert staging.remove_older(root, NOW) == [old]
    staging.remove(root / "gone")
    assert sorted(bucket.names()) == sorted(f"{name}/rows.parquet" for name in (young, *others))
    assert staging.remove_older(root / "gone", NOW) == []


PEAK = """
import json, resource, sys
import pyarrow as pa
from rees46_sync.airflow_adapters import staging

path, peaks = staging.open_path(sys.argv[1]), []
for number in (10, 1_000_000):
    rows = pa.table({"order_id": [f"{n * 0x9E3779B97F4A7C15 % 2**64:016x}" for n in range(number)]})
    for step in (lambda: staging.write(rows, path), lambda: staging.read(path).num_rows):
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        step()
print(json.dumps([*peaks, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024]))
"""


def test_a_partition_is_not_in_memory_twice_while_it_is_written_to_s3_or_read(bucket: Bucket) -> None:
    path = f"{bucket.root}/rows.parquet"
    printed = subprocess.check_output([sys.executable, "-c", PEAK, path], stderr=subprocess.DEVNULL)
    *_, before_write, before_read, at_the_end = json.loads(printed.splitlines()[-1])

    # The million rows take 25 MB; a part of an upload, or a block of a download, takes 50 MB.
    assert before_read - before_write < 75
    assert at_the_end - before_read < 150


# Errors of the object store


def connected(monkeypatch: pytest.MonkeyPatch, store: servers.ObjectStore, conn_id: str, **fields: Any) -> None:
    """Set another connection to the store; Airflow caches an object store's client by the connection's id."""
    connection = json.loads(store.connection)
    connection["extra"] |= fields.pop("extra", {})
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(connection | fields))


def test_a_missing_bucket_is_an_error_and_is_not_created(bucket: Bucket) -> None:
    with pytest.raises(StagingError, match=r"misspelt/rows\.parquet cannot be written .*bucket.* correct staging"):
        staging.write(ROWS, staging.open_path("s3://objects@misspelt/rows.parquet"))

    assert [one["Name"] for one in bucket.client.list_buckets()["Buckets"]] == [BUCKET]


def test_the_error_for_refused_keys_does_not_show_them(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    staging.write(ROWS, staging.open_path(f"{bucket.root}/rows.parquet"))
    connected(monkeypatch, bucket.store, "refused", password="not-the-secret")
    path = staging.open_path(f"{bucket.root}/rows.parquet".replace("objects@", "refused@"))
    for action, step in {
        "written": lambda: staging.write(ROWS, path),
        "read": lambda: staging.read(path),
        "removed": lambda: staging.remove(path.parent),
    }.items():
        with pytest.raises(StagingError, match=rf"cannot be {action} .* or the connection that it names") as refused:
            step()
        assert "not-the-secret" not in str(refused.value)
        assert bucket.store.key not in str(refused.value)


def test_an_unreachable_store_is_an_error_that_is_retried(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    [port] = servers.free_ports(1)
    impatient = {"config_kwargs": {"retries": {"max_attempts": 1}}, "endpoint_url": f"http://127.0.0.1:{port}"}
    connected(monkeypatch, bucket.store, "down", extra=impatient)
    path = staging.open_path(f"s3://down@{BUCKET}/rows.parquet")

    with pytest.raises(StagingError, match=rf"cannot be written .*http://127\.0\.0\.1:{port}"):
        staging.write(ROWS, path)
    with pytest.raises(StagingError, match=rf"cannot be read .*http://127\.0\.0\.1:{port}"):
        staging.read(path)


def test_a_missing_connection_is_named_before_any_request(shop: ShopUnderTest) -> None:
    configured = shop.configure(staging="s3://nobody@orders/folder")

    with pytest.raises(ConnectionFieldsError, match="Connection nobody: does not exist; create it in Airflow"):
        staging.shop_root(configured)


# Whole runs


@pytest.fixture
def s3_shop(shop: ShopUnderTest, bucket: Bucket) -> ShopUnderTest:
    """A shop that stages in S3, with five orders in three partitions, and one that is rejected."""
    shop.configure(staging=bucket.root, partition_rows=2)
    shop.add_rows([(str(number), "new", IN_WINDOW) for number in range(5)])
    shop.add_rows([("lost", "on_hold", IN_WINDOW)])
    return shop


def test_after_a_run_the_orders_are_at_rees46_and_the_bucket_has_only_data_docs(
    s3_shop: ShopUnderTest, bucket: Bucket
) -> None:
    run = run_dag()

    assert run.state == "success"
    assert s3_shop.sandbox.state() == {str(number): 0 for number in range(5)}
    assert (run.account["read"], run.account["sent"], run.account["rejected"]) == (6, 5, 1)
    assert [key.split("/")[:2] for key in bucket.names()] == [["data-docs", SYNC]] * 3
    page = data_docs.docs_root(s3_shop.configure(staging=bucket.root), SYNC)
    texts = [staging.read_text(page / Path(key).parent.name / Path(key).name) for key in bucket.names()]
    assert sum("status_unmapped" in text for text in texts) == 1


def test_the_files_of_a_failed_run_stay_through_a_dry_run_and_are_removed_by_age(
    s3_shop: ShopUnderTest, bucket: Bucket
) -> None:
    s3_shop.sandbox.reset(fault="error_in_200@x1")
    assert run_dag().state == "failed"
    s3_shop.sandbox.reset()
    staged = [key for key in bucket.names() if key.startswith("test/")]
    assert {Path(key).name.split("-")[0] for key in staged} == {"partition", "valid", "batches"}
    old = f"test/{staging.new_extraction_id(datetime.now(UTC) - staging.KEEP - timedelta(hours=1))}/rows.parquet"
    staging.write(ROWS, staging.open_path(f"{bucket.root}/{old}"))

    before = bucket.names()
    assert run_dag(dry_run=True).state == "success"
    assert bucket.names() == before

    assert run_dag().state == "success"
    assert [key for key in bucket.names() if key.startswith("test/")] == staged


def test_no_key_of_the_object_store_is_in_a_log_an_xcom_or_a_file(
    s3_shop: ShopUnderTest,
    bucket: Bucket,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    s3_shop.sandbox.reset(fault="error_in_200@x1")
    with caplog.at_level(logging.INFO):
        assert run_dag().state == "failed"

    files = [bucket.client.get_object(Bucket=BUCKET, Key=f"{bucket.folder}/{key}")["Body"] for key in bucket.names()]
    places = {
        "logs": caplog.text + "".join(capfd.readouterr()),
        "metadata": metadata_text(SYNC),
        "files": "".join(file.read().decode("latin-1") for file in files),
        "ledger": s3_shop.ledger_file.read_bytes().decode("latin-1"),
    }
    assert all(places.values())
    assert bucket.root in places["metadata"]
    assert [place for place, text in places.items() if bucket.store.secret in text or bucket.store.key in text] == []


def test_the_default_folder_is_refused_before_the_extraction_if_workers_share_no_disk(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])
    shop.connect("shop_warehouse", "sqlite:////nowhere/warehouse.db")  # reading it would fail with another error
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")

    run = run_dag()

    assert (run.state, run.task_states["extract_orders"]) == ("failed", {"failed"})
    log = "".join(capfd.readouterr())
    assert "Shop file test.yaml: staging is not given, and tasks run on several machines: CeleryExecutor" in log
    assert "give an object storage URL, such as s3://connection@bucket/folder, or file:///path" in log
    assert shop.sandbox.stats()["requests"] == 0


def test_a_folder_that_the_shop_file_names_counts_as_shared(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.configure(staging=f"file://{shop.folder}/shared")
    shop.add_rows([("1", "new", IN_WINDOW)])
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")

    assert run_dag().state == "success"


# The doctor


def test_the_doctor_writes_reads_and_removes_a_file_in_s3(s3_shop: ShopUnderTest, bucket: Bucket) -> None:
    findings = {
        finding.check: finding for finding in checks.examine(s3_shop.configure(staging=bucket.root), 1).findings
    }

    assert findings["staging.write"].level is Level.OK
    assert f"{bucket.root}/test: a file was written, read and removed" in findings["staging.write"].value
    assert bucket.names() == []


def test_the_doctor_reports_that_workers_do_not_share_the_default_folder(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "KubernetesExecutor")

    findings = {finding.check: finding for finding in checks.examine(shop.configure(), 1).findings}

    assert findings["staging.shared"].level is Level.ERROR
    assert "KubernetesExecutor (core.executor)" in findings["staging.shared"].value
    assert findings["staging.shared"].remedy.startswith("give an object storage URL")
    assert findings["staging.write"].level is Level.OK
