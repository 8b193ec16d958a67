"""Prints the results of the contract tests as a table of promises and databases (`make test-databases`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from io import StringIO

import pytest
from rich.console import Console
from rich.table import Table

FILE = "tests/warehouse/test_contract.py"
_SIGNS = {"passed": "ok", "skipped": "—", "failed": "FAILED", "error": "FAILED"}
_WORST_FIRST = ["FAILED", "ok", "—"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table if contract tests ran."""
    # Imports Airflow, which must not happen before conftest.py has set AIRFLOW_HOME.
    from tests.warehouses import KINDS

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
    table = Table("promise", *KINDS)
    for name, kinds in cells.items():
        signs = [min(kinds[kind] or ["—"], key=_WORST_FIRST.index) for kind in KINDS]
        table.add_row(name.removeprefix("test_").replace("_", " "), *signs)
    drawn = StringIO()
    Console(file=drawn, width=120).print(table)
    terminalreporter.section("the contract")
    terminalreporter.write_line(drawn.getvalue().rstrip())
