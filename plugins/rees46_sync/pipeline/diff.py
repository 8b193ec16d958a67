"""
Today's rows minus what REES46 has: what a run sends.

The ledger's latest row of an order is what REES46 has. The status that is sent is always the one read now, whatever the
run's window is. The one thing to find out is whether the row at hand could be older than what REES46 has: see
:func:`compare`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from rees46_sync.exceptions import RestartRunError
from rees46_sync.shop.shop import CREATED, Shop

if TYPE_CHECKING:
    from rees46_sync.ledger.requests import ChangeToken

SEND, UNCHANGED, STALE, REOPENED = "send", "unchanged", "stale", "reopened"


@dataclass(frozen=True)
class DiffContext:
    """
    How the rows at hand were extracted, which decides what can be newer than they are.

    :param high_water_mark: the ledger's latest accepted row when the extraction started; later rows were accepted
        since.
    :param window_end: the end of the window that was read.
    :param resend: send orders even if REES46 has this status already, unless it has a newer version of them.
    :param allow_reopen: let a completed or cancelled order become created.
    """

    high_water_mark: int
    window_end: datetime
    resend: bool = False
    allow_reopen: bool = False

    @classmethod
    def from_extraction(cls, extraction: Mapping[str, Any], *, allow_reopen: bool) -> DiffContext:
        """Return the context of an extraction's descriptor, :class:`rees46_sync.pipeline.run.Extraction`."""
        return cls(
            high_water_mark=extraction["high_water_mark"],
            window_end=datetime.fromisoformat(extraction["window_end"]),
            resend=extraction["resend"],
            allow_reopen=allow_reopen,
        )


def comparison_token(token: ChangeToken, context: DiffContext) -> dict[str, int]:
    """Return what a comparison rested on. While it is unchanged, the actions that it found are still right."""
    # Of the context only this can change between two tasks of a run: it comes from the shop file.
    return {**asdict(token), "allow_reopen": int(context.allow_reopen)}


def add_codes(orders: pd.DataFrame, shop: Shop) -> pd.DataFrame:
    """
    Add REES46's status (0, 1 or 2) as the column ``code``.

    :raises RestartRunError: the shop file changed since the rows were validated and does not map all of them any more.
    """
    code = orders["status"].map(shop.codes)
    if code.isna().any():
        raise RestartRunError(f"Shop file {shop.file.name}: its statuses changed during this run")
    return orders.assign(code=code.astype("int64"))


def compare(orders: pd.DataFrame, known: pd.DataFrame, context: DiffContext) -> pd.Series:
    """
    Decide for each order what to do with it.

    * ``unchanged``: REES46 has this status. With ``resend`` it is sent all the same, unless REES46's version is newer:
      the ledger would then record the order as being as old as the row at hand, and an older version could follow it.
    * ``stale``: REES46 has another status (or, after a lost answer, may have one), and that one is newer. It is newer
      in three cases. Its version lies after the window that was read, so this run could not see it (a history run over
      a table of events). Or another run sent it after this extraction started, and its version is at least as new. Or
      another extraction found it, in such a version, in the status that REES46 has already
      (:mod:`rees46_sync.ledger.confirmations`).
    * ``reopened``: REES46 has the order as completed or cancelled, which are final, and the row says created.
    * ``send``: everything else. A version that was accepted before this extraction started and lies inside its window
      has just been read again, so the row at hand is the truth even if its timestamp is older (the clocks of two
      writers of the warehouse disagree).

    :param orders: columns order_id, code, updated_at.
    :param known: what REES46 has, as :func:`rees46_sync.ledger.lookup.look_up` returns it.
    :return: one action for each row, with the index of ``orders``.
    """
    both = orders[["order_id", "code", "updated_at"]].merge(known, on="order_id", how="left").set_axis(orders.index)
    # An uncertain order may have any status at REES46, so it is never "unchanged".
    same = (both["known_status"] == both["code"]) & (both["uncertain"] != True)  # noqa: E712 - absent orders have NaN
    accepted_since = both["known_id"] > context.high_water_mark
    after_window = both["newest_updated_at"] >= context.window_end
    confirmed = both["confirmed_at"] >= both["updated_at"]
    newer = after_window | confirmed | (accepted_since & (both["known_updated_at"] >= both["updated_at"]))
    final = both["known_status"] > CREATED
    action = pd.Series(SEND, index=orders.index)
    if not context.allow_reopen:
        action = action.mask(final & (both["code"] == CREATED), REOPENED)
    action = action.mask(newer & ~same, STALE)
    return action.mask(same & newer if context.resend else same, UNCHANGED)


def select_confirmable(orders: pd.DataFrame, known: pd.DataFrame, actions: pd.Series) -> pd.DataFrame:
    """
    Return the unchanged orders that were read in a newer version than REES46 has: other extractions must know of them.

    :param orders, known, actions: as :func:`compare` takes and returns them.
    """
    unchanged = orders[actions == UNCHANGED]
    newest = unchanged[["order_id"]].merge(known, on="order_id", how="left")["newest_updated_at"]
    return unchanged[unchanged["updated_at"].gt(newest.set_axis(unchanged.index))]


def split_batches(orders: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    """Split orders into batches of at most ``size``, in the order of their ids, so that a retry splits them alike."""
    ordered = orders.sort_values("order_id")
    for start in range(0, len(ordered), size):
        yield ordered.iloc[start : start + size]


def count_actions(actions: pd.Series) -> Mapping[str, int]:
    """Count the actions; each of the four has a count."""
    return {name: int((actions == name).sum()) for name in (SEND, UNCHANGED, STALE, REOPENED)}
