"""
``make matrix``: the tests on other versions of Python, Airflow and packages than those of ``make test``.

Each row has an environment of its own in ``build/matrix``, from the lock of this project. For another Airflow, a file
beside this one names the packages that differ from the lock; they are all that differ. One row has each package that
pyproject.toml asks for in the lowest version it allows.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
ENVIRONMENTS = PROJECT / "build" / "matrix"
OF_THE_LOCK = "3.3.2"


class Row(NamedTuple):
    """An environment; `quick` is whether the short form has it."""

    python: str
    airflow: str
    quick: bool = False
    lowest: bool = False

    @property
    def name(self) -> str:
        return f"Python {self.python}, Airflow {self.airflow}{', lowest versions' if self.lowest else ''}"

    @property
    def folder(self) -> Path:
        return ENVIRONMENTS / f"{self.python}-{self.airflow}{'-lowest' if self.lowest else ''}"

    @property
    def tests(self) -> Sequence[Sequence[str]]:
        """The arguments of one pytest after another."""
        return LOWEST if self.lowest else WHOLE


ROWS = [
    Row("3.11", OF_THE_LOCK, lowest=True),
    Row("3.12", OF_THE_LOCK),
    Row("3.13", OF_THE_LOCK),
    Row("3.13", "3.4.0b2", quick=True),
]

QUICK = [
    ["tests/test_dags.py", "tests/test_provider.py", "tests/airflow_adapters", "tests/pipeline/test_whole_runs.py"],
]
WHOLE = [
    ["tests/test_dags.py", "tests/test_provider.py", "tests/airflow_adapters", "tests/pipeline", "tests/monitoring"],
    ["tests/e2e/test_airflow_stack.py", "tests/e2e/test_alerts.py", "tests/e2e/test_asking_and_feed.py", "-m", "crash"],
    ["tests/e2e/test_browser.py", "-m", "browser"],
    ["tests/e2e/test_crashes.py", "-m", "crash", "-k", "waiting_as_long or loss_of_the_ledger or marked_failed"],
]
LOWEST = [
    ["tests/shop", "tests/validation", "tests/rees46", "tests/warehouse", "tests/ledger"],
    ["tests/test_dags.py", "tests/test_provider.py", "tests/airflow_adapters", "tests/pipeline/test_whole_runs.py"],
]
WITH_BOUNDS = ("postgres", "mysql", "sqlite", "duckdb", "s3", "celery", "slack", "http", "apprise")
"""Extras that ask for a lowest version."""


def interpreter(version: str) -> Path | None:
    """Return a Python of a version: on the PATH, or one that pyenv has installed; None if there is none that runs."""
    for candidate in _candidates(version):
        code = f"import sys; sys.exit(sys.version_info[:2] != {tuple(map(int, version.split('.')))})"
        if subprocess.run([candidate, "-c", code], capture_output=True, check=False).returncode == 0:
            return candidate
    return None


def _candidates(version: str) -> Iterator[Path]:
    if found := shutil.which(f"python{version}"):
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python"), reverse=True)


def install(row: Row, python: Path) -> Path:
    """Make the environment of a row anew, and return its Python."""
    uv = [Path(sys.executable).with_name("uv"), "--quiet"]
    subprocess.run([*uv, "venv", "--clear", "--python", python, row.folder], check=True)
    own = row.folder / "bin" / "python"
    to = [*uv, "pip", "install", "--python", own]
    other = []
    if row.airflow != OF_THE_LOCK:
        other += ["--override", Path(__file__).with_name(f"airflow-{row.airflow}.txt")]
    if row.lowest:
        other += ["--override", lowest_versions(row.folder, own, WITH_BOUNDS)]
    subprocess.run([*to, "--requirement", PROJECT / "requirements-dev.txt", *other, "--compile-bytecode"], check=True)
    subprocess.run([*to, "--no-deps", "--no-build-isolation", "--editable", PROJECT], check=True)
    return own


def lowest_versions(folder: Path, python: Path, extras: Sequence[str]) -> Path:
    """Return a file of requirements: what pyproject.toml asks for, in the lowest versions that it allows."""
    file = folder / "lowest.txt"
    asked = [argument for extra in extras for argument in ("--extra", extra)]
    compiling = [Path(sys.executable).with_name("uv"), "pip", "compile", "--quiet", "--resolution", "lowest-direct"]
    subprocess.run([*compiling, "--python", python, *asked, PROJECT / "pyproject.toml", "-o", file], check=True)
    return file


def run(row: Row, tests: Sequence[Sequence[str]]) -> str:
    """Run tests in the environment of a row, and return how they ended, for a line of the table."""
    if (python := interpreter(row.python)) is None:
        return f"not run: no Python {row.python} on the PATH or in pyenv"
    own = install(row, python)
    failed = [
        " ".join(arguments)
        for arguments in tests
        if subprocess.run(
            [own, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments], cwd=PROJECT, check=False
        ).returncode
    ]
    return f"FAILED: {'; '.join(failed)}" if failed else "passed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows; return 1 if tests of one failed."""
    parser = argparse.ArgumentParser("python -m tests.matrix", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the newest row, a few minutes")
    options = parser.parse_args(arguments)
    rows = [row for row in ROWS if row.quick or not options.quick]
    ends = {row.name: run(row, QUICK if options.quick else row.tests) for row in rows}
    width = max(map(len, ends))
    print("\n".join(f"{name:<{width}}  {end}" for name, end in ends.items()))
    return int(any(end.startswith("FAILED") for end in ends.values()))


if __name__ == "__main__":
    sys.exit(main())
