"""What the tasks of a run share: descriptors of an extraction, and what each task opens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd
import pytest

from rees46_sync.airflow_adapters import staging
from rees46_sync.exceptions import RestartRunError
from rees46_sync.ledger.quarantine import RejectedRow
from rees46_sync.pipeline.run import (
    Extraction,
    RunContext,
    extracted_window,
    get_extraction,
    stage_frame,
)
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest
from tests.pipeline.steps import OLD_PARTITION, WRITTEN_BY_AN_EARLIER_VERSION, task_context
from tests.whole_run import EIGHT


def extraction(folder: str, window: Window) -> Extraction:
    return Extraction(
        extraction_id="extraction-1",
        folder=folder,
        resend=False,
        started_at=EIGHT.isoformat(),
        window_start=window.start.isoformat(),
        window_end=window.end.isoformat(),
        is_regular=window.is_regular,
        is_resend=window.is_resend,
        read=0,
        superseded=0,
        held=0,
        missing="",
        newest=None,
        empty_spans=[],
        whole_days=False,
        loaded_until=None,
    )


@pytest.mark.parametrize(("is_regular", "is_resend"), [(True, False), (True, True), (False, False)])
def test_the_window_of_an_extraction_is_the_one_that_was_read(is_regular: bool, is_resend: bool) -> None:
    window = Window(datetime(2026, 3, 1, 7, 0, 0, 1, tzinfo=UTC), EIGHT, is_regular, is_resend)

    assert extracted_window(extraction("file:///staging", window)) == window


def test_a_descriptor_of_an_earlier_version_says_to_clear_the_run() -> None:
    with pytest.raises(RestartRunError, match=f"partition 0 {WRITTEN_BY_AN_EARLIER_VERSION}"):
        get_extraction(OLD_PARTITION)


def test_a_descriptor_of_this_version_has_its_extraction() -> None:
    mine = extraction("file:///staging", Window(EIGHT, EIGHT))

    assert get_extraction({"index": 0, "extraction": mine}) is mine


def test_a_frame_is_staged_beside_the_partitions_of_its_extraction(shop: ShopUnderTest) -> None:
    folder = f"file://{shop.folder}/staging/extraction-1"
    frame = pd.DataFrame({"order_id": ["1"], "status": ["new"]}, index=[7])

    path = stage_frame(frame, extraction(folder, Window(EIGHT, EIGHT)), "valid-0000.parquet")

    assert str(path) == f"{folder}/valid-0000.parquet"
    assert staging.read(path).to_pydict() == {"order_id": ["1"], "status": ["new"]}


@pytest.mark.parametrize(("dry_run", "stored"), [(False, [("1",)]), (True, [])], ids=["run", "dry-run"])
def test_only_a_dry_run_stores_no_rejected_rows(shop: ShopUnderTest, dry_run: bool, stored: list[Any]) -> None:
    run = RunContext(str(shop.shops / "test.yaml"), task_context(dry_run=dry_run))

    assert run.ledger is run.ledger  # opened once, with its tables
    run.quarantine([RejectedRow("1", "on_hold", str(EIGHT), "status_unmapped")])

    assert shop.ledger_rows("SELECT order_id FROM rees46_rejected_orders") == stored


@pytest.mark.parametrize(
    ("run_type", "is_history", "window"),
    [
        pytest.param("scheduled", False, Window(EIGHT - timedelta(hours=25), EIGHT, is_regular=True), id="scheduled"),
        pytest.param("scheduled", True, Window(EIGHT - timedelta(hours=1), EIGHT), id="history"),
        pytest.param("backfill", False, Window(EIGHT - timedelta(hours=1), EIGHT), id="backfill"),
    ],
)
def test_a_run_reads_the_window_of_its_kind(
    shop: ShopUnderTest, run_type: str, is_history: bool, window: Window
) -> None:
    context = task_context()
    context["dag_run"].run_type = run_type
    context["dag_run"].data_interval_start = EIGHT - timedelta(hours=1)
    context["dag_run"].data_interval_end = EIGHT

    assert RunContext(str(shop.shops / "test.yaml"), context).window(is_history=is_history) == window
