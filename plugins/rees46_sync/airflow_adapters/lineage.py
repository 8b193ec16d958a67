"""
What a run reads and where it sends it, told to Airflow's lineage collector.

OpenLineage's provider takes it from there, where it is installed; nobody listens otherwise, and it costs nothing. The
query is told as it stands in its file, from which the provider finds the tables; an order id or a key is never told.
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
    """Tell that a query was read from the hook's database."""
    from airflow.providers.common.sql.hooks.lineage import send_sql_hook_lineage

    send_sql_hook_lineage(context=hook, sql=sql)


def sent_to(hook: BaseHook, url: str, shop: str) -> None:
    """Tell that orders of a shop were sent to an endpoint of REES46."""
    from airflow.sdk.lineage import get_hook_lineage_collector

    get_hook_lineage_collector().add_output_asset(hook, uri=f"{SCHEME}://{urlsplit(url).netloc}/{shop}/orders")


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the URI of an asset as Airflow is to compare it: as it is (Airflow asks for this function)."""
    return uri


def to_openlineage(asset: Asset, _context: object) -> Dataset:
    """Return OpenLineage's name of what :func:`sent_to` told: the host is the namespace, shop and orders the name."""
    from openlineage.client.event_v2 import Dataset

    parts = urlsplit(asset.uri)
    return Dataset(namespace=f"{SCHEME}://{parts.netloc}", name=parts.path.lstrip("/"))
