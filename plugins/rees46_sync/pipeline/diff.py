"""
Today's rows minus what REES46 has: what a run sends.

The ledger's latest row of an order is what REES46 has. What is sent is the status read now, whatever the run's window
is; the one thing to find out is whether the row in hand could be older than what REES46 has. See :func:`compare`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd

from rees46_sync.exceptions import ShopFileError
from rees46_sync.shop.shop import CREATED, Shop

if TYPE_CHECKING:
    from rees46_sync.ledger.database import News

SEND, UNCHANGED, STALE, REOPENED = "send", "unchanged", "stale", "reopened"


@dataclass(frozen=True)
class Reading:
    """
    How the rows in hand were read, which decides what can be newer than they are.

    :param mark: the ledger's latest row when the reading began: what is above it was accepted since.
    :param window_end: the end of the window that was read.
    :param resend: send orders that REES46 has in this status already, too, unless it has a newer version of them.
    :param allow_reopen: let a completed or cancelled order become created.
    """

    mark: int
    window_end: datetime
    resend: bool = False
    allow_reopen: bool = False


def basis_of(news: News, reading: Reading) -> dict[str, int]:
    """Return what the verdicts about a reading's orders rest on: as long as it stays the same, so do they."""
    # The shop file can change between two steps of a run; all else that counts is the reading's own.
    return {**asdict(news), "allow_reopen": int(reading.allow_reopen)}


def with_codes(orders: pd.DataFrame, shop: Shop) -> pd.DataFrame:
    """
    Add REES46's status (0, 1 or 2) as the column ``code``.

    :raises ShopFileError: the shop file changed since the rows were validated and does not map all of them any more.
    """
    code = orders["status"].map(shop.codes)
    if code.isna().any():
        raise ShopFileError(
            shop.file.name, "statuses changed while the run was under way; clear this run from extract_orders"
        )
    return orders.assign(code=code.astype("int64"))


def compare(orders: pd.DataFrame, known: pd.DataFrame, reading: Reading) -> pd.Series:
    """
    Say for each order whether it is to be sent.

    * ``unchanged``: REES46 has this status. With ``resend`` it is sent nevertheless, unless REES46's version is newer:
      the ledger would then take the order for as old as the row in hand, and let something in between overtake it.
    * ``stale``: REES46 has another status (or, where an answer is missing, may have one), and that one is newer.
      Three things can make it so. Its version lies after the window that was read, so this run could not see it (a
      history run over a table of events). Or another run sent it after this run had begun to read, and its version is
      as new as ours or newer. Or another run found it, in such a version, in the status that REES46 has already
      (:mod:`rees46_sync.ledger.confirmations`).
    * ``reopened``: REES46 has the order as completed or cancelled, which are final, and the row says created.
    * ``send``: everything else. A version that was accepted before this reading began and lies inside its window has
      been read again just now, so the row in hand is the truth even where its timestamp is older (the clocks of two
      writers of the warehouse disagree).

    :param orders: columns order_id, code, updated_at.
    :param known: what REES46 has, as :meth:`rees46_sync.ledger.database.Ledger.lookup` returns it.
    :return: one verdict a row, with the index of ``orders``.
    """
    both = orders[["order_id", "code", "updated_at"]].merge(known, on="order_id", how="left").set_axis(orders.index)
    # A request without a clear answer may have reached REES46: nobody knows its status then, so nothing is "unchanged".
    same = (both["known_status"] == both["code"]) & (both["uncertain"] != True)  # noqa: E712 - absent orders have NaN
    accepted_since = both["known_id"] > reading.mark
    unseen = both["newest_updated_at"] >= reading.window_end
    overtaken = both["overtaken_at"] >= both["updated_at"]
    newer = unseen | overtaken | (accepted_since & (both["known_updated_at"] >= both["updated_at"]))
    final = both["known_status"] > CREATED
    verdict = pd.Series(SEND, index=orders.index)
    if not reading.allow_reopen:
        verdict = verdict.mask(final & (both["code"] == CREATED), REOPENED)
    verdict = verdict.mask(newer & ~same, STALE)
    return verdict.mask(same & newer if reading.resend else same, UNCHANGED)


def newly_unchanged(orders: pd.DataFrame, known: pd.DataFrame, verdicts: pd.Series) -> pd.DataFrame:
    """
    Return the orders that REES46 has in this status, but not from so new a version: readings before it are overtaken.

    :param orders, known, verdicts: as :func:`compare` takes and returns them.
    """
    unchanged = orders[verdicts == UNCHANGED]
    newest = unchanged[["order_id"]].merge(known, on="order_id", how="left")["newest_updated_at"]
    return unchanged[unchanged["updated_at"].gt(newest.set_axis(unchanged.index))]


def in_batches(orders: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    """Cut orders into batches of at most ``size``, in the order of their ids, so that a retry cuts them alike."""
    ordered = orders.sort_values("order_id")
    for start in range(0, len(ordered), size):
        yield ordered.iloc[start : start + size]


def counts_of(verdicts: pd.Series) -> Mapping[str, int]:
    """Count the verdicts; each of the four has a count."""
    return {name: int((verdicts == name).sum()) for name in (SEND, UNCHANGED, STALE, REOPENED)}
