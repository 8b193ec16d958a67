"""A whole run reports its query and its orders to Airflow's lineage collector, and OpenLineage names them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from airflow.sdk import Asset, plugins_manager
from airflow.sdk.lineage import HookLineageCollector, get_hook_lineage_collector
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from tests.conftest import SECRET, ShopUnderTest
from tests.whole_run import EIGHT, run_dag


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[HookLineageCollector]:
    """Airflow's own collector, as it is if a plugin reads it."""
    monkeypatch.setattr(plugins_manager, "get_hook_lineage_readers_plugins", lambda: [object()])
    get_hook_lineage_collector.cache_clear()
    yield get_hook_lineage_collector()
    get_hook_lineage_collector.cache_clear()


def test_a_run_reports_its_query_and_where_it_sends_the_orders_without_any_values(
    shop: ShopUnderTest, collector: HookLineageCollector
) -> None:
    shop.add_rows([("secret-order", "paid", EIGHT - timedelta(minutes=30))])

    assert run_dag().account["sent"] == 1

    reported = collector.collected_assets
    assert [output.asset.uri for output in reported.outputs] == [f"rees46://127.0.0.1:{shop.sandbox.port}/test/orders"]
    [query] = [extra.value["sql"] for extra in reported.extra if "FROM orders" in extra.value["sql"]]
    assert ":window_start" in query
    for secret in (SECRET, "secret-order"):
        assert secret not in repr(reported)


def test_openlineage_names_the_orders_by_host_and_shop() -> None:
    converter = ProvidersManagerTaskRuntime().asset_to_openlineage_converters["rees46"]

    dataset = converter(Asset(uri="rees46://api.rees46.com/demo/orders"), None)

    assert (dataset.namespace, dataset.name) == ("rees46://api.rees46.com", "demo/orders")
