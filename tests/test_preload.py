"""The modules that a worker imports before it forks its tasks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from local import up

AS_A_TASK = """
import sys

import rees46_sync.preload

before = set(sys.modules)
from rees46_sync.airflow_adapters import staging
from rees46_sync.ledger import confirmations, database, extractions, lookup, quarantine, requests, retention
from rees46_sync.monitoring import alert_rules
from rees46_sync.pipeline import (
    account_for_rows, approve_changes, build_batches, comparison, delivery, diff, extract_orders, load_batches, report,
    validate_statuses,
)
from rees46_sync.rees46 import hook
from rees46_sync.validation import data_docs
from rees46_sync.validation.expectations import RowValidator
from rees46_sync.warehouse import reader

RowValidator()
heavy = {"pandas", "numpy", "pyarrow", "duckdb", "sqlalchemy", "psycopg", "requests", "great_expectations", "boto3"}
print(heavy & {name.partition(".")[0] for name in set(sys.modules) - before})
"""


def test_a_task_imports_nothing_heavy_that_its_worker_has_imported_and_nothing_is_logged() -> None:
    done = subprocess.run([sys.executable, "-c", AS_A_TASK], capture_output=True, text=True, timeout=120)

    assert (done.stdout, done.stderr, done.returncode) == ("set()\n", "", 0)


def test_make_up_has_its_workers_import_first_and_leaves_settings_of_ones_own(tmp_path: Path) -> None:
    settings = tmp_path / "config" / "airflow_local_settings.py"

    up.write_preload_settings(tmp_path)
    assert settings.read_text() == up.LOCAL_SETTINGS
    settings.write_text("own = True\n")
    up.write_preload_settings(tmp_path)

    assert settings.read_text() == "own = True\n"
