"""
Look up what REES46 has of many orders at once, as a data frame.

Millions of orders are looked up, and turning each row into Python objects would take four fifths of the time. So the
order ids are one JSON parameter, and the result is one row of JSON arrays, one per column, which Arrow reads directly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa
from more_itertools import chunked

from rees46_sync.ledger.database import Ledger, retry_transaction
from rees46_sync.ledger.dialects import as_json, get_dialect
from rees46_sync.ledger.extractions import OtherExtractions
from rees46_sync.ledger.tables import UtcDateTime, confirmations, in_flight_requests, uncertain_orders
from rees46_sync.shop.statuses import CREATED

LOOKUP_CHUNK = 12_000
"""Order ids in one lookup statement. It bounds the memory for the result; with the longest ids, at four bytes a
character, parameter and result stay below the 16 MB that MariaDB accepts."""

NOTHING_ACCEPTED = -1
"""In place of a status: REES46 has accepted none. It may have received one, if the order is uncertain."""

_UNKNOWN_STATUS = -2
"""In place of the status of an uncertain order that an earlier version of the project recorded."""

_NOT_EARLIER, _OWN = 1, 2
"""How the extraction of a row relates to the one that looks up, see ``lookup_accepted``; 0: it read earlier."""

_UTC = pa.timestamp("us", "UTC")
_REQUESTED = pa.schema(
    {
        "order_id": pa.string(),
        "status": pa.int64(),
        "updated_at": _UTC,
        "sent_at": _UTC,
        "extraction": pa.int64(),
        "extraction_id": pa.string(),
    }
)
_CONFIRMED = pa.schema({"order_id": pa.string(), "confirmed_at": _UTC, "confirmed_since": _UTC})


@retry_transaction
def look_up(
    ledger: Ledger,
    shop: str,
    order_ids: Sequence[str],
    extraction_id: str = "",
    others: OtherExtractions | None = None,
    settle: timedelta = timedelta(0),
) -> pd.DataFrame:
    """
    Return what REES46 has of these orders; orders that were neither sent nor confirmed are absent.

    An order is certain if a request with its latest accepted status went out at least ``settle`` after the last moment
    at which one with another status may have gone out: until then REES46 may process them in any order, accepted ones
    as well as those whose answer was lost.

    :param extraction_id: the extraction that looks up.
    :param others: how the other extractions of the shop relate to it; None: all had read before it started.
    :param settle: how long REES46 may take to process a request.
    :return: columns

        * order_id
        * known_id, known_status, known_updated_at: of the latest accepted row; 0, :data:`NOTHING_ACCEPTED` and missing
          if nothing was accepted, but something may have arrived, or the order was confirmed (because of a request
          that was cancelled)
        * accepted_at: when that row was recorded
        * sent_here: whether one of the order's accepted rows came from this extraction
        * uncertain: whether REES46 may have another status than known_status
        * may_be_final: whether REES46 has, or may have, the order as completed or cancelled
        * newest_updated_at: of the newest version that any extraction sent or confirmed
        * sent_since: of the newest version that was sent by an extraction that had not read everything before this one
          started; sent_since_status: its status, or a number below 0; confirmed_since: of the newest version that such
          an extraction confirmed
        * read_later: the windows, start and end, of extractions that found the order, and that started after this one
          had read everything; missing if there are none
    """
    with ledger.transaction() as connection:
        return _look_up(connection, shop, order_ids, extraction_id, others or OtherExtractions(), settle)


def _look_up(
    connection: sa.Connection,
    shop: str,
    order_ids: Sequence[str],
    extraction_id: str,
    others: OtherExtractions,
    settle: timedelta,
) -> pd.DataFrame:
    in_flight = _in_flight(connection, shop, extraction_id, others)
    any_uncertain = _any(connection, uncertain_orders, shop)
    any_confirmed = _any(connection, confirmations, shop)
    accepted = get_dialect(connection).lookup_accepted
    parameters = {
        "shop": shop,
        "extraction_id": extraction_id,
        "not_earlier": sorted(others.not_earlier),
        "later": sorted(others.later),
    }
    parts = []
    for chunk in list(chunked(order_ids, LOOKUP_CHUNK)) or [[]]:
        ids = {"ids": as_json(chunk)}
        known, read_later = _latest(connection.execute(accepted, {**ids, **parameters}).one())
        wanted = set(chunk)
        requested = _frame([row for row in in_flight if row[0] in wanted], _REQUESTED)
        if any_uncertain:
            requested = pd.concat([requested, _uncertain(connection, shop, ids, extraction_id, others)])
        known = _with_requested(known, requested, settle)
        read_later |= set(zip(requested["order_id"], requested["extraction_id"], strict=True))
        if any_confirmed:
            known = _with_confirmed(connection, known, shop, ids, others)
            read_later |= _confirmed_later(connection, shop, ids, others)
        parts.append(_with_windows(known, read_later, others))
    return pd.concat(parts, ignore_index=True)


def _any(connection: sa.Connection, table: sa.Table, shop: str) -> bool:
    return connection.scalar(sa.select(table.c.id).where(table.c.shop == shop).limit(1)) is not None


def _latest(arrays: Sequence[str | None]) -> tuple[pd.DataFrame, set[tuple[str, str]]]:
    """
    Turn the result of ``lookup_accepted`` into the latest row of each order.

    :return: most columns of :func:`look_up`, and same_sent_at, when a request with the order's status went out last,
        and other_sent_at, until when one with another status may have gone out: a worker may freeze before it sends,
        so only its answer says that it is over. And the orders that later extractions sent, with the extractions' ids.
    """
    ids, numbers, statuses, times, sent_at, accepted_at, extractions, later = (
        msgspec.json.decode(array or "[]") for array in arrays
    )
    table = pa.table(
        {
            "order_id": pa.array(ids, pa.string()),
            "known_id": pa.array(numbers, pa.int64()),
            "known_status": pa.array(statuses, pa.int64()),
            "known_updated_at": pa.array(times, pa.string()).cast(pa.timestamp("us")).cast(_UTC),
            "same_sent_at": pa.array(sent_at, pa.string()).cast(pa.timestamp("us")).cast(_UTC),
            "other_sent_at": pa.array(accepted_at, pa.string()).cast(pa.timestamp("us")).cast(_UTC),
            "extraction": pa.array(extractions, pa.int8()),
        }
    )
    rows: pd.DataFrame = table.sort_by("known_id").to_pandas()
    known = rows.drop_duplicates("order_id", keep="last", ignore_index=True)
    since = known["known_updated_at"].where(known["extraction"] == _NOT_EARLIER)
    own = rows["order_id"][rows["extraction"] == _OWN]
    known = known.assign(
        accepted_at=known["other_sent_at"],
        # Usually there are none, and isin takes longer than all of the rest.
        sent_here=known["order_id"].isin(own) if len(own) else False,
        may_be_final=known["known_status"] > CREATED,
        newest_updated_at=known["known_updated_at"],
        sent_since=since,
        sent_since_status=known["known_status"].where(since.notna(), _UNKNOWN_STATUS),
        confirmed_since=pd.Series(pd.NaT, index=known.index, dtype="datetime64[us, UTC]"),
        other_sent_at=pd.Series(pd.NaT, index=known.index, dtype="datetime64[us, UTC]"),
    ).drop(columns="extraction")
    several = rows[rows.duplicated("order_id", keep=False)]
    if len(several):
        is_same = several["known_status"] == several.groupby("order_id")["known_status"].transform("last")
        known["same_sent_at"] = _latest_of(known["same_sent_at"], known, several[is_same], "same_sent_at")
        known["other_sent_at"] = _latest_of(known["other_sent_at"], known, several[~is_same], "other_sent_at")
    return known, {(order_id, one) for order_id, one in zip(ids, later, strict=True) if one}


def _latest_of(times: pd.Series, known: pd.DataFrame, rows: pd.DataFrame, column: str) -> pd.Series:
    """Return of each order the latest of its time and of those that its rows have in a column."""
    found = rows.groupby("order_id")[column].max().reindex(known["order_id"]).set_axis(known.index)
    return times.where(found.isna() | (times >= found), found)


def _in_flight(
    connection: sa.Connection, shop: str, extraction_id: str, others: OtherExtractions
) -> list[tuple[Any, ...]]:
    """Return the orders of requests that are in flight, as :data:`_REQUESTED`; they may go out at any moment."""
    table, now, relation = in_flight_requests.c, datetime.now(UTC), partial(_relation, extraction_id, others)
    return [
        (order_id, status, datetime.fromisoformat(time).replace(tzinfo=UTC), now, relation(one), one)
        for one, orders in connection.execute(sa.select(table.extraction_id, table.orders).where(table.shop == shop))
        for order_id, status, time in json.loads(orders)
    ]


def _uncertain(
    connection: sa.Connection, shop: str, ids: dict[str, str], extraction_id: str, others: OtherExtractions
) -> pd.DataFrame:
    table = uncertain_orders.c
    columns = (table.order_id, table.status, table.source_updated_at, table.sent_at, table.extraction_id)
    one_of_ids, relation = sa.text(get_dialect(connection).one_of_ids), partial(_relation, extraction_id, others)
    rows = [
        (order_id, _UNKNOWN_STATUS if status is None else status, time, sent_at, relation(one), one)
        for order_id, status, time, sent_at, one in connection.execute(
            sa.select(*columns).where(table.shop == shop, one_of_ids), ids
        )
    ]
    return _frame(rows, _REQUESTED)


def _relation(own: str, others: OtherExtractions, extraction_id: str) -> int:
    return _OWN if extraction_id == own else _NOT_EARLIER if extraction_id in others.not_earlier else 0


def _frame(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pd.DataFrame:
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    frame: pd.DataFrame = pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema).to_pandas()
    return frame


def _with_requested(known: pd.DataFrame, requested: pd.DataFrame, settle: timedelta) -> pd.DataFrame:
    """
    Add what requests without a clear answer may have done.

    :param requested: columns as in :data:`_REQUESTED`.
    """
    if len(requested):
        known = _with_orders(known, requested)
        rows = requested.merge(known[["order_id", "known_status", "same_sent_at"]], on="order_id")
        others = rows[rows["status"] != rows["known_status"]]
        unsettled = others[~(others["same_sent_at"] >= others["sent_at"] + settle)]
        finals = unsettled["order_id"][unsettled["status"] != CREATED]
        since = rows[rows["extraction"] == _NOT_EARLIER]
        known = known.assign(
            other_sent_at=_latest_of(known["other_sent_at"], known, others, "sent_at"),
            may_be_final=known["may_be_final"] | known["order_id"].isin(finals),
            newest_updated_at=_latest_of(known["newest_updated_at"], known, rows, "updated_at"),
        )
        known = _with_sent_since(known, since) if len(since) else known
    is_settled = known["other_sent_at"].isna() | (known["same_sent_at"] >= known["other_sent_at"] + settle)
    return known.assign(uncertain=~is_settled | (known["known_status"] == NOTHING_ACCEPTED))


def _with_orders(known: pd.DataFrame, found: pd.DataFrame) -> pd.DataFrame:
    """Add the orders of which nothing was accepted."""
    types = known.dtypes[["known_id", "known_status", "sent_since_status", "sent_here", "may_be_final"]].to_dict()
    values = (0, NOTHING_ACCEPTED, _UNKNOWN_STATUS, False, False)
    both = known.merge(found[["order_id"]].drop_duplicates(), on="order_id", how="outer")
    return both.fillna(dict(zip(types, values, strict=True))).astype(types)


def _with_sent_since(known: pd.DataFrame, since: pd.DataFrame) -> pd.DataFrame:
    """Add requests of extractions that had not read everything before this one started."""
    accepted = known[known["sent_since"].notna()]
    accepted = accepted[["order_id", "sent_since", "sent_since_status"]].set_axis(["order_id", "at", "status"], axis=1)
    requested = since[["order_id", "updated_at", "status"]].set_axis(["order_id", "at", "status"], axis=1)
    rows = pd.concat([accepted, requested])
    newest = rows[rows["at"] == rows.groupby("order_id")["at"].transform("max")].groupby("order_id")
    status = newest["status"].first().where(newest["status"].nunique() == 1, _UNKNOWN_STATUS)
    return known.assign(
        sent_since=newest["at"].first().reindex(known["order_id"]).set_axis(known.index),
        sent_since_status=status.reindex(known["order_id"], fill_value=_UNKNOWN_STATUS).set_axis(known.index),
    )


def _with_confirmed(
    connection: sa.Connection, known: pd.DataFrame, shop: str, ids: dict[str, str], others: OtherExtractions
) -> pd.DataFrame:
    """Add in which versions, and by which later extractions, the orders were confirmed."""
    table = confirmations.c
    one_of_ids = sa.text(get_dialect(connection).one_of_ids)
    since = sa.case((table.extraction_id.in_(sorted(others.not_earlier)), table.source_updated_at))
    newest = (
        sa.select(
            table.order_id,
            sa.func.max(table.source_updated_at, type_=UtcDateTime),
            sa.func.max(since, type_=UtcDateTime),
        )
        .where(table.shop == shop, one_of_ids)
        .group_by(table.order_id)
    )
    confirmed = _frame(connection.execute(newest, ids).all(), _CONFIRMED)
    # Nothing may be known any more of the request because of which an order was confirmed: it was cancelled.
    if len(pd.Index(confirmed["order_id"]).difference(known["order_id"], sort=False)):
        known = _with_orders(known, confirmed).fillna({"uncertain": False}).astype({"uncertain": bool})
    return known.assign(
        newest_updated_at=_latest_of(known["newest_updated_at"], known, confirmed, "confirmed_at"),
        confirmed_since=_latest_of(known["confirmed_since"], known, confirmed, "confirmed_since"),
    )


def _confirmed_later(
    connection: sa.Connection, shop: str, ids: dict[str, str], others: OtherExtractions
) -> set[tuple[str, str]]:
    """Return the orders that later extractions confirmed, with the extractions' ids."""
    table = confirmations.c
    if not others.later:
        return set()
    query = (
        sa.select(table.order_id, table.extraction_id)
        .where(table.shop == shop, table.extraction_id.in_(sorted(others.later)))
        .where(sa.text(get_dialect(connection).one_of_ids))
    )
    return {(row.order_id, row.extraction_id) for row in connection.execute(query, ids)}


def _with_windows(known: pd.DataFrame, read_later: Iterable[tuple[str, str]], others: OtherExtractions) -> pd.DataFrame:
    """Add the windows of the extractions that read later; drop what :func:`look_up` does not return."""
    windows: dict[str, list[tuple[datetime, datetime]]] = {}
    for order_id, extraction_id in read_later:
        if extraction_id in others.later:
            windows.setdefault(order_id, []).append(others.later[extraction_id])
    known = known.drop(columns=["same_sent_at", "other_sent_at"])
    read = list(map(windows.get, known["order_id"])) if windows else [None] * len(known)
    return known.assign(read_later=pd.Series(read, known.index, dtype=object))
