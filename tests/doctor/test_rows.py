"""The rows that the query returns now."""

from __future__ import annotations

from datetime import timedelta

from tests.conftest import ShopUnderTest

from .conftest import AN_HOUR_AGO, NOW, about, examine_shop


def test_many_unmapped_statuses_do_not_flood_the_report(healthy: ShopUnderTest) -> None:
    healthy.add_rows([(str(n), f"odd-{n}", AN_HOUR_AGO) for n in range(100, 150)])
    found = about(examine_shop(healthy.configure()), "status.unmapped")
    assert len(found) == 21
    assert found[-1].value == "30 more statuses: UNMAPPED"


def test_more_days_read_more_rows(healthy: ShopUnderTest) -> None:
    healthy.add_rows([("old", "new", NOW - timedelta(days=5))])
    shop = healthy.configure()
    assert about(examine_shop(shop), "query.rows")[0].data["rows"] == 5
    assert about(examine_shop(shop, days=7), "query.rows")[0].data["rows"] == 6


def test_counts_are_summed_over_partitions(healthy: ShopUnderTest) -> None:
    healthy.add_rows([("5", "odd", AN_HOUR_AGO), ("6", "odd", AN_HOUR_AGO), (None, "new", None)])
    findings = examine_shop(healthy.configure(partition_rows=1))
    assert about(findings, "status.unmapped")[0].data["orders"] == 2
    assert about(findings, "limits.rejected_share")[0].value.startswith("3 of 8 rows")
    assert sum(one.data["orders"] for one in about(findings, "status.mapped")) == 5
