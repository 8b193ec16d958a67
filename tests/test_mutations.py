"""
Each safeguard can be seen to be guarded: with it broken on purpose, the test that is named for it fails.

``make test`` only checks that the list is true to the code and to docs/reliability.md; ``make test-mutations`` breaks
one safeguard after the other, each in a copy of the project.
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import mariadb, pgbouncer
from tests.conftest import PROJECT

MUTATIONS = yaml.safe_load((PROJECT / "tests" / "mutations.yaml").read_text())
EACH = pytest.mark.parametrize("mutation", [pytest.param(one, id=one["breaks"]) for one in MUTATIONS])


@EACH
def test_a_safeguard_and_its_test_stand_where_the_list_says(mutation: dict[str, str]) -> None:
    assert (PROJECT / mutation["file"]).read_text().count(mutation["text"]) == 1
    file, _, name = mutation["test"].partition("::")
    tree = ast.parse((PROJECT / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert f"| {mutation['breaks']} | `{name}` |" in (PROJECT / "docs" / "reliability.md").read_text()


def test_every_test_that_the_document_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (PROJECT / "docs" / "reliability.md").read_text()))
    defined = {
        name
        for file in (PROJECT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert len(named) >= 50
    assert named - defined == set()


@pytest.mark.mutation
@EACH
def test_without_its_safeguard_a_promise_is_broken(tmp_path: Path, mutation: dict[str, str]) -> None:
    if mutation.get("needs") == "mariadb" and mariadb.missing:
        pytest.skip(mariadb.missing)
    if mutation.get("needs") == "pgbouncer" and pgbouncer.missing:
        pytest.skip(pgbouncer.missing)
    for part in ("plugins", "dags", "include", "local", "tests"):
        shutil.copytree(PROJECT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    file = tmp_path / mutation["file"]
    file.write_text(file.read_text().replace(mutation["text"], mutation["becomes"]))

    command = [sys.executable, "-m", "pytest", "-q", "-m", "", "-p", "no:cacheprovider", mutation["test"]]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "plugins")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)

    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout[-2000:]
