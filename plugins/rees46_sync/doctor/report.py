"""A doctor's report: coloured tables on a terminal, plain text elsewhere, or one JSON document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from rees46_sync.doctor.findings import Finding, Level, Report, worst
from rees46_sync.formatting import escape_unprintable

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.ERROR: "bold red"}


WIDE_COLUMNS = 100
"""From so many columns of a terminal on, the names of the checks have a column of their own."""


def without_secrets(report: Report) -> Report:
    """Return a report in which Airflow has covered the passwords of all connections that were read, should one be."""
    from airflow.sdk.log import redact  # type: ignore[attr-defined] # Airflow's own name for it

    def covered(finding: Finding) -> Finding:
        data: Any = redact(dict(finding.data))
        return replace(finding, value=str(redact(finding.value)), remedy=str(redact(finding.remedy)), data=data)

    return replace(report, findings=[covered(finding) for finding in report.findings])


def as_json(reports: Sequence[Report]) -> str:
    """Return the reports as one JSON document; ``docs/doctor.md`` describes its keys."""
    shops = [
        {
            "shop": report.shop,
            "file": report.file,
            "level": worst(report.findings),
            "findings": [
                {"check": one.check, "level": one.level, "value": one.value, "remedy": one.remedy, "data": one.data}
                for one in report.findings
            ],
        }
        for report in reports
    ]
    return json.dumps({"level": _worst_level(reports), "shops": shops}, indent=2, default=str)


def as_text(reports: Sequence[Report]) -> str:
    """Return the reports as plain lines."""
    return "\n".join(line for report in reports for line in _lines(report)) + f"\n{summary(reports)}\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"Shop {_printable(report.shop)}"
    width = max(len(finding.check) for finding in report.findings)
    for finding in report.findings:
        first, *others = [*_printable(finding.value).split("\n"), *_remedy(finding)]
        yield f"  {finding.level:<8} {finding.check:<{width}}  {first}"
        for line in others:
            yield " " * (width + 13) + line
    yield ""


def show(reports: Sequence[Report]) -> None:
    """Print the reports as tables, for a person at a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    is_narrow = console.width < WIDE_COLUMNS
    for report in reports:
        table = Table("", box=SIMPLE_HEAD, title=f"Shop {_printable(report.shop)}", title_justify="left")
        if not is_narrow:
            table.add_column("check")
        table.add_column("what was found, and what to do", overflow="fold")
        for finding in report.findings:
            found = Text(f"{finding.check}\n" if is_narrow else "", style="bold" if is_narrow else "")
            found = Text.assemble(found, _printable(finding.value))
            for line in _remedy(finding):
                found.append(f"\n{line}", style="dim" if finding.level is Level.OK else "cyan")
            level = Text(finding.level, style=_COLOURS[finding.level])
            table.add_row(level, *([] if is_narrow else [finding.check]), found)
        console.print(table)
    console.print(Text(summary(reports), style=_COLOURS[_worst_level(reports)]))


def summary(reports: Sequence[Report]) -> str:
    """Return one line that counts."""
    levels = [finding.level for report in reports for finding in report.findings]
    errors, warnings = levels.count(Level.ERROR), levels.count(Level.WARNING)
    return f"{_counted(len(reports), 'shop')}: {_counted(errors, 'error')}, {_counted(warnings, 'warning')}."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _remedy(finding: Finding) -> list[str]:
    return [
        f"→ {line}" if n == 0 else f"  {line}" for n, line in enumerate(_printable(finding.remedy).split("\n")) if line
    ]


def _worst_level(reports: Sequence[Report]) -> Level:
    return worst(finding for report in reports for finding in report.findings)


def _printable(text: str) -> str:
    """Return a text in which nothing moves the cursor of a terminal: a database may say anything."""
    return escape_unprintable(text, keep="\n")
