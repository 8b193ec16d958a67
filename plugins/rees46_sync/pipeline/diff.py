"""
Today's rows minus what REES46 has: what a run sends.

The ledger's latest row of an order is what REES46 has. The status that is sent is always the one read now, whatever the
run's window is. The one thing to find out is whether the row at hand could be older than what is known already: see
:func:`compare`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pandas as pd

from rees46_sync.exceptions import RestartRunError
from rees46_sync.shop.shop import CREATED, Shop

if TYPE_CHECKING:
    from rees46_sync.ledger.mappings import FormerMapping
    from rees46_sync.ledger.requests import ChangeToken

SEND, UNCHANGED, STALE, REOPENED = "send", "unchanged", "stale", "reopened"


@dataclass(frozen=True)
class DiffContext:
    """
    How the rows at hand were extracted, which decides what can be newer than they are.

    :param window_end: the end of the window that was read.
    :param settle: how long REES46 may take to process a request.
    :param resend: send orders even if REES46 has this status already, unless it has a newer version of them.
    :param allow_reopen: let a completed or cancelled order become created.
    :param is_resend: the same as ``resend``, on the schedule of ``resend_every``; an order that REES46 refused alone is
        not sent again then.
    """

    window_end: datetime
    settle: timedelta = timedelta(0)
    resend: bool = False
    allow_reopen: bool = False
    is_resend: bool = False

    @classmethod
    def from_extraction(cls, extraction: Mapping[str, Any], *, settle: timedelta, allow_reopen: bool) -> DiffContext:
        """Return the context of an extraction's descriptor, :class:`rees46_sync.pipeline.run.Extraction`."""
        return cls(
            settle=settle,
            window_end=datetime.fromisoformat(extraction["window_end"]),
            resend=extraction["resend"],
            allow_reopen=allow_reopen,
            is_resend=extraction["is_resend"],
        )


def comparison_token(token: ChangeToken, context: DiffContext) -> dict[str, int]:
    """Return what a comparison rested on. While it is unchanged, the actions that it found are still right."""
    # Of the context only these can change between two tasks of a run: they come from the shop file.
    settle_s = int(context.settle.total_seconds())
    return {**asdict(token), "allow_reopen": int(context.allow_reopen), "settle": settle_s}


FORMER = ("former_code", "former_until")
"""The columns of a corrected mapping, see :func:`add_codes`."""


def add_codes(orders: pd.DataFrame, shop: Shop, former: Sequence[FormerMapping] = ()) -> pd.DataFrame:
    """
    Add REES46's status (0, 1 or 2) as the column ``code``.

    If an earlier mapping made a status completed or cancelled that is created now, also as what (``former_code``) and
    until when (``former_until``): what REES46 has of such an order was our mistake, and to correct it reopens nothing.

    :param former: the earlier mappings, the latest last.
    :raises RestartRunError: the shop file changed since the rows were validated and does not map all of them any more.
    """
    code = orders["status"].map(shop.codes)
    if code.isna().any():
        raise RestartRunError(f"Shop file {shop.file.name}: its statuses changed during this run")
    coded = orders.assign(code=code.astype("int64"))
    corrected = {
        status: (mapping.codes[status], mapping.until)
        for mapping in former
        for status, now in shop.codes.items()
        if now == CREATED and mapping.codes.get(status, CREATED) != CREATED
    }
    if not corrected:
        return coded
    former_codes = {status: code for status, (code, _) in corrected.items()}
    ends = orders["status"].map({status: until for status, (_, until) in corrected.items()})
    return coded.assign(former_code=orders["status"].map(former_codes), former_until=pd.to_datetime(ends, utc=True))


def compare(orders: pd.DataFrame, known: pd.DataFrame, context: DiffContext) -> pd.Series:
    """
    Decide for each order what to do with it.

    * ``unchanged``: REES46 has this status, for certain. With ``resend`` it is sent all the same, unless a newer
      version is known: the ledger would then record the order as being as old as the row at hand, and an older version
      could follow it.
    * ``stale``: a newer row is known, which another extraction sent (or tried to), or found in the status that REES46
      has. It is newer in three cases. Its version lies after the window that was read, so this run could not see it (a
      history run over a table of changes). Or its extraction had not read everything before this one started, and its
      version is newer, or as new in another status (the same row is not newer: two runs could each leave it to the
      other). Or its extraction started after this one had read everything, and its window holds
      the time of the row at hand: if its version is older, the row has gone back since.
    * ``reopened``: REES46 has the order as completed or cancelled, which are final, or may have it so, and the row says
      created; unless an earlier, wrong mapping made it so.
    * ``send``: everything else. What an extraction found that had ended before this one started has just been read
      again, so the row at hand is the truth even if its timestamp is older (the clocks of two writers of the warehouse
      disagree).

    :param orders: columns order_id, code, updated_at; and :data:`FORMER` if the mapping was corrected.
    :param known: what REES46 has, as :func:`rees46_sync.ledger.lookup.look_up` returns it for this extraction.
    :return: one action for each row, with the index of ``orders``.
    """
    both = _with_known(orders, known)
    same = _has_status(both)
    after_window = both["newest_updated_at"] >= context.window_end
    is_other = both["sent_since_status"] != both["code"]
    sent_since = (both["sent_since"] > both["updated_at"]) | (is_other & (both["sent_since"] == both["updated_at"]))
    newer_since = sent_since | (both["confirmed_since"] > both["updated_at"])
    newer = after_window | newer_since | _was_read_later(both)
    action = pd.Series(SEND, index=orders.index)
    if not context.allow_reopen:
        is_final = both["may_be_final"] == True  # noqa: E712 - absent orders have NaN
        action = action.mask(is_final & (both["code"] == CREATED) & ~is_correction(both), REOPENED)
    action = action.mask(newer & ~same, STALE)
    return action.mask(same & newer if context.resend or context.is_resend else same, UNCHANGED)


def count_unchanged(orders: pd.DataFrame, known: pd.DataFrame) -> int:
    """Return of how many orders REES46 has the status, for certain: to send them all the same is to resend them."""
    return int(_has_status(_with_known(orders, known)).sum())


def _has_status(both: pd.DataFrame) -> pd.Series:
    return (both["known_status"] == both["code"]) & (both["uncertain"] == False)  # noqa: E712 - absent orders have NaN


def is_correction(both: pd.DataFrame) -> pd.Series:
    """
    Return whether REES46 has, for certain, what an earlier mapping made of the shop's status.

    :param both: orders with :data:`FORMER`, if the mapping was corrected, beside what REES46 has of them.
    """
    if FORMER[0] not in both:
        return pd.Series(False, index=both.index)
    was_ours = (both["known_status"] == both["former_code"]) & (both["accepted_at"] <= both["former_until"])
    return was_ours & (both["uncertain"] == False)  # noqa: E712 - absent orders have NaN


def _was_read_later(both: pd.DataFrame) -> pd.Series:
    """Return whether an extraction that read later, in a window that holds the row at hand, found the order."""
    found = both[both["read_later"].notna()]
    holds = [
        any(start <= at < end for start, end in windows)
        for windows, at in zip(found["read_later"], found["updated_at"], strict=True)
    ]
    return pd.Series(both.index.isin(found.index[holds]), index=both.index)


def select_confirmable(orders: pd.DataFrame, known: pd.DataFrame, actions: pd.Series) -> pd.DataFrame:
    """
    Return the orders that need nothing: other extractions must know that this one saw them.

    :param orders, known, actions: as :func:`compare` takes and returns them.
    :return: columns order_id, updated_at, and is_newer: whether this version is newer than all that are known.
    """
    settled = orders[actions.isin((UNCHANGED, REOPENED))]
    both = _with_known(settled, known)
    return both[["order_id", "updated_at"]].assign(is_newer=both["updated_at"] > both["newest_updated_at"])


def _with_known(orders: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    rows = orders[["order_id", "code", "updated_at", *(column for column in FORMER if column in orders)]]
    return rows.merge(known, on="order_id", how="left").set_axis(orders.index)


def split_batches(orders: pd.DataFrame, size: int) -> Iterator[pd.DataFrame]:
    """Split orders into batches of at most ``size``, in the order of their ids, so that a retry splits them alike."""
    ordered = orders.sort_values("order_id")
    for start in range(0, len(ordered), size):
        yield ordered.iloc[start : start + size]


def count_actions(actions: pd.Series) -> Mapping[str, int]:
    """Count the actions; each of the four has a count."""
    return {name: int((actions == name).sum()) for name in (SEND, UNCHANGED, STALE, REOPENED)}
