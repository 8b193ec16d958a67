"""
Prints the results of the contract tests as a table of promises and databases (`make test-databases`).

`make test-warehouses` keeps its columns below `build/warehouses/`, and `make test-databases` shows those that are
there.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

FILE = "tests/warehouse/test_contract.py"
COLUMNS = Path(__file__).parents[1] / "build" / "warehouses"
_SIGNS = {"passed": "ok", "skipped": "—", "failed": "FAILED", "error": "FAILED"}
_WORST_FIRST = ["FAILED", "ok", "—"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table if contract tests ran."""
    # Imports Airflow, which must not happen before conftest.py has set AIRFLOW_HOME.
    from tests.warehouses import ENGINE, KINDS

    cells: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for outcome, sign in _SIGNS.items():
        for report in terminalreporter.getreports(outcome):
            file, _, test = report.nodeid.partition("::")
            name, _, parameters = test.partition("[")
            # The database is one of the parameters; another one may hold a dash.
            kind = next((kind for kind in KINDS if kind in parameters.rstrip("]").split("-")), None)
            if file.endswith(FILE) and kind:
                cells[name][kind][sign] += 1
    if not cells:
        return
    columns = {
        kind: {name: min(kinds[kind] or ["—"], key=_WORST_FIRST.index) for name, kinds in cells.items()}
        for kind in KINDS
    }
    if ENGINE:
        (COLUMNS / ENGINE / "contract.json").write_text(json.dumps(columns[ENGINE]))
    else:
        kept = sorted(COLUMNS.glob("*/contract.json"))
        columns |= {file.parent.name: json.loads(file.read_text()) for file in kept}
    table = Table("promise", *columns)
    for name in cells:
        signs = [column.get(name, "—") for column in columns.values()]
        table.add_row(name.removeprefix("test_").replace("_", " "), *signs)
    drawn = StringIO()
    Console(file=drawn, width=120).print(table)
    terminalreporter.section("the contract")
    terminalreporter.write_line(drawn.getvalue().rstrip())
