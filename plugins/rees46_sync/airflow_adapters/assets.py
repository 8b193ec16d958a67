"""
The asset of a shop, which tells other DAGs that REES46 has the statuses of a run's orders: ``rees46://<shop>``.

Airflow makes an event of each asset that is an outlet of a task when the task ends well, also after a dry run. Of an
alias it makes one only if the task has added an asset to it; so the outlet is an alias, with the same name.

The history DAG has an asset of its own, ``rees46://<shop>/history``: Airflow stores an asset when its first event is
made, and if the first runs of two DAGs end at the same moment, one of them would fail for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context


def delivery_asset(shop: str, *, history: bool) -> str:
    """Return the URI of a shop's asset, and the name of the alias."""
    return f"rees46://{shop}" + ("/history" if history else "")


def announce_delivery(context: Context | Mapping[str, Any], uri: str, account: Mapping[str, int]) -> None:
    """
    Have Airflow make an event of a shop's asset when the present task ends well.

    :param context: of the task, whose outlets include the alias.
    :param uri: of :func:`delivery_asset`.
    :param account: the extra of the event.
    """
    from airflow.sdk import Asset, AssetAlias

    context["outlet_events"][AssetAlias(uri)].add(Asset(uri), extra=dict(account))
