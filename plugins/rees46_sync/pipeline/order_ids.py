"""
The param ``order_ids``: a run about chosen orders, which are sent even if REES46 has their status already.

Rows of other orders are left out while the warehouse is read, and count as held.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rees46_sync.exceptions import WindowError
from rees46_sync.formatting import quoted

if TYPE_CHECKING:
    from rees46_sync.ledger.database import Ledger

MAX_SHOWN = 5
"""How many ids a message lists."""

ORDER_IDS_REMEDY = "correct order_ids, or set window_start to a time before their updated_at"


def oldest_update(ledger: Ledger, shop: str, order_ids: Sequence[str]) -> datetime:
    """
    Return the oldest of the times at which these orders changed last, as far as the ledger knows.

    :raises WindowError: it does not know one of them.
    """
    from rees46_sync.ledger.lookup import look_up

    known = look_up(ledger, shop, order_ids)
    unknown = sorted(set(order_ids).difference(known["order_id"]))
    if unknown:
        raise WindowError(
            f"Shop {shop}: order_ids names {listed(unknown)}, which the ledger does not know, so it is not known from "
            "when on to read; nothing was read",
            ORDER_IDS_REMEDY,
        )
    oldest: datetime = known["newest_updated_at"].min().to_pydatetime()
    return oldest


def listed(texts: Sequence[str]) -> str:
    """Return some of these texts, and how many more there are."""
    shown = ", ".join(quoted(text, 100) for text in texts[:MAX_SHOWN])
    more = len(texts) - MAX_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
