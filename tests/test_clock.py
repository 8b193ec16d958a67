"""What ``make test-clock`` moves, and that no test that reads the clock is left out of it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests import clock
from tests.clock import Moment, environment_at
from tests.conftest import PROJECT

TESTS = PROJECT / "tests"
NAMES = (ast.Name, ast.arg)

COMMANDS = {"rees46_sync.doctor.dry_run"}
"""Processes that go by the time at which they are started."""

PRODUCT = {"check_freshness", "demo.main"}
"""What of the product goes by the time at which it is called."""


LEFT_OUT = {
    "conftest.py::accept": "what it records is compared only with what is recorded beside it",
    "conftest.py::NOW": "an hour or two before it is within the day that the doctor reads",
    "test_checks.py::test_each_problem_is_found_and_hides_no_other_check": "its parameters that do are marked",
    "test_duckdb_hook.py::test_a_statement_reaches_nothing_outside_of_the_database_and_changes_nothing_in_it": "now is "
    "a word of a statement",
    "test_demo.py::test_the_demo_runs_twice_and_a_dry_run_after_it_finds_nothing_to_send": "it names its window",
    "test_new_shop.py::test_the_query_to_fill_in_is_in_the_warehouses_own_words": "now is a word of the query",
    "test_new_shop.py::warehouse": "an hour before it is within the days that the doctor reads",
    "test_clock.py": "it starts clocks of its own",
    "test_staging_s3.py": "an S3 server, whose clock is not moved, refuses who has another time",
    "test_hook.py::test_requests_start_as_far_apart_as_the_connection_asks": "it measures seconds, ten of them",
    "test_lazy_imports.py": "the window has no rows",
}
"""Reads of the clock that no outcome depends on, and why."""

ON_THEIR_OWN = {"crash", "soak", "cluster", "databases", "browser", "mutation", "wheel"}
"""Markers of the other targets: a live Airflow of minutes beside a PostgreSQL, whose clock is not moved."""


def definitions(file: Path) -> dict[str, ast.AST]:
    """What a file defines at its top, by name."""
    found: dict[str, ast.AST] = {}
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return found


def reads_the_clock(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr="now" | "today" | "utcnow"):
            return True
        case ast.Attribute(value=ast.Name("time"), attr="time" | "time_ns" | "localtime" | "gmtime"):
            return True
        case ast.Call(func):
            return ast.unparse(func) in PRODUCT
        case ast.Constant(str(text)):
            return text in COMMANDS or re.search(r"'now'|\bnow\(|CURRENT_TIME", text) is not None
    return False


def names_in(node: ast.AST) -> set[str]:
    """What a definition uses of others: by name, or as a fixture."""
    return {one.id if isinstance(one, ast.Name) else one.arg for one in ast.walk(node) if isinstance(one, NAMES)}


def readers(known: dict[str, ast.AST]) -> set[str]:
    """Which of the definitions read the clock, or use one that does."""
    found = {name for name, node in known.items() if any(map(reads_the_clock, ast.walk(node)))}
    while more := {name for name, node in known.items() if name not in found and names_in(node) & found}:
        found |= more
    return found


def markers_of(node: ast.AST | None) -> set[str]:
    return set(re.findall(r"pytest\.mark\.(\w+)", ast.unparse(node))) if node else set()


@pytest.mark.parametrize("file", sorted(TESTS.rglob("test_*.py")), ids=lambda file: file.name)
def test_every_test_that_reads_the_clock_is_run_at_hard_moments(file: Path) -> None:
    if file.name in LEFT_OUT:
        return
    folders = [folder for folder in reversed(file.parents) if folder.is_relative_to(TESTS)]
    known: dict[str, ast.AST] = {}
    for part in (*(folder / "conftest.py" for folder in folders), file):
        if part.is_file():
            known |= {k: node for k, node in definitions(part).items() if f"{part.name}::{k}" not in LEFT_OUT}
    ours = definitions(file)
    of_file = markers_of(ours.get("pytestmark"))
    tests = {name for name in readers(known) if name.startswith("test_") and name in ours}

    of_tests = {name: of_file | set[str]().union(*map(markers_of, ours[name].decorator_list)) for name in tests}

    assert [name for name, markers in of_tests.items() if not markers & {"clock", *ON_THEIR_OWN}] == []


def test_the_clock_of_a_moment_is_that_of_the_processes_that_are_started_as_well() -> None:
    say = "from datetime import datetime; print(datetime.now().astimezone().isoformat(), flush=True)"
    start = f"import subprocess, sys; {say}; subprocess.run([sys.executable, '-c', {say!r}], check=True)"
    moment = datetime(2028, 2, 29, 23, 30, tzinfo=ZoneInfo("Europe/Berlin"))

    done = subprocess.run(
        [sys.executable, "-c", start], env=environment_at(moment), stdout=subprocess.PIPE, text=True, check=True
    )

    shown = done.stdout.split()
    assert [line[:13] + line[-6:] for line in shown] == ["2028-02-29T23+01:00"] * 2


def test_a_moment_at_which_a_test_fails_makes_the_whole_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "test_it.py").write_text(
        "from datetime import datetime\nimport pytest\n\n"
        "@pytest.mark.clock\ndef test_it():\n    assert datetime.now().minute < 30\n"
    )
    early, late = (Moment(f"minute {minute}", datetime(2027, 3, 10, 9, minute, tzinfo=UTC)) for minute in (1, 31))
    monkeypatch.setattr(clock, "MOMENTS", [early, late])

    assert clock.main(["--", str(tmp_path)]) == 1

    said = re.findall(r"^(green|red) .*(1 passed|1 failed)", capsys.readouterr().out, re.MULTILINE)
    assert said == [("green", "1 passed"), ("red", "1 failed")]
