"""
Report what a run reads and where it sends it to Airflow's lineage collector.

If OpenLineage's provider is installed, it takes the reports from there; otherwise they are dropped at no cost. The
query is reported as its file has it, without values, and the provider finds the tables in it. Order ids and keys are
never reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook
    from airflow.sdk import Asset, BaseHook
    from openlineage.client.event_v2 import Dataset

SCHEME = "rees46"


def read_from(hook: DbApiHook, sql: str) -> None:
    """Report that a query was run in the hook's database."""
    from airflow.providers.common.sql.hooks.lineage import send_sql_hook_lineage

    send_sql_hook_lineage(context=hook, sql=sql)


def sent_to(hook: BaseHook, url: str, shop: str) -> None:
    """Report that orders of a shop were sent to an endpoint of REES46."""
    from airflow.sdk.lineage import get_hook_lineage_collector

    get_hook_lineage_collector().add_output_asset(hook, uri=f"{SCHEME}://{urlsplit(url).netloc}/{shop}/orders")


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the URI of an asset unchanged; Airflow requires this function, and compares what it returns."""
    return uri


def to_openlineage(asset: Asset, _context: object) -> Dataset:
    """Return OpenLineage's name for an asset of :func:`sent_to`: host as namespace, shop and orders as name."""
    from openlineage.client.event_v2 import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(namespace=f"{SCHEME}://{parts.netloc}", name=parts.path.lstrip("/"))
