"""The report: no secret is in it, and it fits the terminal."""

from __future__ import annotations

import pytest

from rees46_sync.doctor import report
from rees46_sync.doctor.findings import Finding, Level, Report
from tests.conftest import SECRET, ShopUnderTest

from .conftest import examine_shop


def test_a_password_in_a_finding_is_masked(healthy: ShopUnderTest) -> None:
    examine_shop(healthy.configure())  # Airflow masks the passwords of the connections that it has read
    finding = Finding("x", Level.OK, f"it is {SECRET}", f"use {SECRET}", {"words": [f"yes {SECRET}"]})
    masked = report.without_secrets(Report("test", "", [finding]))
    assert SECRET not in report.as_text([masked]) + report.as_json([masked])
    assert "it is ***" in report.as_text([masked])


@pytest.mark.parametrize("columns", [60, 120])
def test_on_a_terminal_nothing_is_cut_off_however_narrow_it_is(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    path = "/home/me/" + "folder/" * 20 + "demo.yaml"
    report.show([Report("test", "", [Finding("warehouse.out_of_every_window", Level.OK, path, "look", {})])])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= columns
    assert "warehouse.out_of_every_window" in shown
    assert path in "".join(shown.split())
