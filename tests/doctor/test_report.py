"""The report: no secret is in it."""

from __future__ import annotations

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
