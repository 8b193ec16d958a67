"""A deferred module is loaded when it is first used, and costs nothing until then."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys
from rees46_sync.validation.lazy_imports import defer_import

sys.path.insert(0, sys.argv[1])
{before}
defer_import("package", "slow")
from package import slow
print("imported", flush=True)
{after}
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package whose module prints a line when it is loaded."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "slow.py").write_text("print('loaded', flush=True)\nANSWER = 42\n")
    return tmp_path


@pytest.mark.parametrize(
    ("before", "after", "printed"),
    [
        pytest.param("", "", ["imported"], id="not-used"),
        pytest.param("", "print(slow.ANSWER)", ["imported", "loaded", "42"], id="used"),
        pytest.param("import package.slow", "print(slow.ANSWER)", ["loaded", "imported", "42"], id="loaded-before"),
        pytest.param("defer_import('package', 'missing')", "", ["imported"], id="not-installed"),
    ],
)
def test_a_module_is_loaded_when_it_is_first_used(package: Path, before: str, after: str, printed: list[str]) -> None:
    command = [sys.executable, "-c", SCRIPT.format(before=before, after=after), str(package)]

    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=60)

    assert done.stdout.split() == printed


def test_validating_rows_does_not_load_modules_that_the_suite_does_not_use() -> None:
    script = """
import sys
from datetime import UTC, datetime
import pandas as pd
from rees46_sync.validation.expectations import RowValidator
from rees46_sync.warehouse.values import SCHEMA
from rees46_sync.window import Window

now = datetime.now(UTC)
RowValidator().validate(SCHEMA.empty_table().to_pandas(), ["new"], Window(now, now))
print("scipy.stats._stats_py" in sys.modules)
"""

    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, check=True, timeout=120)

    assert done.stdout.split()[-1] == "False"
