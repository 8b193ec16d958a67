"""The layout stays readable: small files, classes and functions, few rooms with few arrows between them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT

PACKAGE = PROJECT / "plugins" / "rees46_sync"
FILES = sorted(PACKAGE.rglob("*.py"))
EACH_FILE = pytest.mark.parametrize("file", [pytest.param(file, id=str(file.relative_to(PACKAGE))) for file in FILES])

MAX_FILE_LINES, MAX_FUNCTION_LINES, MAX_PUBLIC_METHODS = 400, 60, 12
MAX_ROOMS, MAX_ARROWS = 20, 80


def test_there_are_files_to_look_at() -> None:
    assert len(FILES) > 80


@EACH_FILE
def test_a_file_can_be_read_in_a_sitting(file: Path) -> None:
    assert len(file.read_text("utf-8").splitlines()) <= MAX_FILE_LINES


@EACH_FILE
def test_a_function_and_a_class_do_one_thing(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name
        if isinstance(node, ast.ClassDef):
            methods = [part for part in node.body if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)]
            assert sum(not method.name.startswith("_") for method in methods) <= MAX_PUBLIC_METHODS, node.name


@EACH_FILE
def test_a_module_takes_only_public_names_of_another(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rees46_sync"):
            assert [alias.name for alias in node.names if alias.name.startswith("_")] == []


def test_there_are_few_rooms_and_few_arrows_between_them() -> None:
    parts = (PACKAGE, *(PROJECT / name for name in ("dags", "local", "bench")))
    rooms, arrows = set[str](), set[tuple[str, str]]()
    for file in (file for part in parts for file in part.rglob("*.py") if file.name != "__init__.py"):
        here = _room_of_file(file)
        rooms.add(here)
        arrows |= {(here, there) for there in _imported_rooms(file) if there != here}

    assert len(rooms) <= MAX_ROOMS, sorted(rooms)
    assert len(arrows) <= MAX_ARROWS, sorted(arrows)


def _room_of_file(file: Path) -> str:
    inside = file.relative_to(PACKAGE if file.is_relative_to(PACKAGE) else PROJECT)
    return inside.parts[0].removesuffix(".py")


def _imported_rooms(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module.split("."), *([*node.module.split("."), alias.name] for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        else:
            continue
        for parts in names:
            # In capitals: the version of the package itself.
            if parts[0] == "rees46_sync" and len(parts) > 1 and not parts[1].isupper():
                yield parts[1]
            elif parts[0] in ("local", "bench"):
                yield parts[0]
