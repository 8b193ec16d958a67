"""
The asset of a shop, which tells other DAGs that REES46 has the statuses of a run's orders: ``rees46://<shop>``.

Airflow makes an event of each asset that is an outlet of a task when the task ends well, also after a dry run. Of an
alias it makes one only if the task has added an asset to it; so the outlet is an alias, with the same name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context


def delivery_asset(shop: str) -> str:
    """Return the URI of a shop's asset, and the name of the alias."""
    return f"rees46://{shop}"


def announce_delivery(context: Context | Mapping[str, Any], shop: str, account: Mapping[str, int]) -> None:
    """
    Have Airflow make an event of the shop's asset when the present task ends well.

    :param context: of the task, whose outlets include the alias.
    :param account: the extra of the event.
    """
    from airflow.sdk import Asset, AssetAlias

    uri = delivery_asset(shop)
    context["outlet_events"][AssetAlias(uri)].add(Asset(uri), extra=dict(account))
