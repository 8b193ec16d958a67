"""
Look up what REES46 has of many orders at once, as a data frame.

Millions of orders are looked up, and turning each row into Python objects would take four fifths of the time. So the
order ids are one JSON parameter, and the result is one row of JSON arrays, one per column, which Arrow reads directly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from more_itertools import chunked

from rees46_sync.ledger.dialects import as_json, get_dialect
from rees46_sync.ledger.tables import UtcDateTime, confirmations, open_extractions, uncertain_orders

if TYPE_CHECKING:
    from rees46_sync.ledger.database import Ledger

LOOKUP_CHUNK = 12_000
"""Order ids in one lookup statement. It bounds the memory for the result; with the longest ids, at four bytes a
character, parameter and result stay below the 16 MB that MariaDB accepts."""

NOTHING_ACCEPTED = -1
"""In place of a status: REES46 has accepted none, but may have received one."""

_NAIVE, _UTC = pa.timestamp("us"), pa.timestamp("us", "UTC")
_UNCERTAIN = pa.schema({"order_id": pa.string(), "high_water_mark": pa.int64(), "uncertain_at": _UTC})
_CONFIRMED = pa.schema({"order_id": pa.string(), "confirmed_at": _UTC})


def look_up(ledger: Ledger, shop: str, order_ids: Sequence[str], extraction_id: str = "") -> pd.DataFrame:
    """
    Return what REES46 has of these orders; orders that were never sent are absent.

    :param extraction_id: the extraction that ``sent_here`` and ``confirmed_at`` are about.
    :return: columns order_id; known_id, known_status and known_updated_at of the latest accepted row; sent_here,
        whether one of the order's accepted rows came from that extraction; uncertain, whether a later request with the
        order has no clear answer; newest_updated_at, known_updated_at or that of such a request; confirmed_at, the time
        of the newest version in which another extraction confirmed the order after that extraction had started.
        For an uncertain order of which nothing was accepted, known_id is 0, known_status :data:`NOTHING_ACCEPTED` and
        known_updated_at missing.
    """
    with ledger.transaction() as connection:
        return _look_up(connection, shop, order_ids, extraction_id)


def _look_up(connection: sa.Connection, shop: str, order_ids: Sequence[str], extraction_id: str) -> pd.DataFrame:
    uncertain, confirmation = uncertain_orders.c, confirmations.c
    any_uncertain = connection.scalar(sa.select(uncertain.id).where(uncertain.shop == shop).limit(1))
    any_confirmed = connection.scalar(
        sa.select(confirmation.id).where(confirmed_by_others(shop, extraction_id)).limit(1)
    )
    accepted = get_dialect(connection).lookup_accepted
    uncertain_query, confirmed_query = _rare_queries(connection, shop, extraction_id)
    parts = []
    for chunk in chunked(order_ids, LOOKUP_CHUNK):
        ids = {"ids": as_json(chunk)}
        known = _newest(connection.execute(accepted, {**ids, "shop": shop, "extraction_id": extraction_id}).one())
        if any_uncertain is not None:
            known = _with_uncertain(known, connection.execute(uncertain_query, ids).all())
        if any_confirmed is not None:
            known = _with_confirmed(known, connection.execute(confirmed_query, ids).all())
        parts.append(known)
    return pd.concat(parts, ignore_index=True) if parts else _newest(["[]"] * 5)


Text: TypeAlias = str | sa.BindParameter[str]


def confirmed_by_others(shop: Text, extraction_id: Text) -> sa.ColumnElement[bool]:
    """Return the condition that another extraction recorded a confirmation after an open extraction had started."""
    confirmation, extraction = confirmations.c, open_extractions.c
    latest_before = (
        sa.select(extraction.latest_confirmation_id).where(extraction.extraction_id == extraction_id).scalar_subquery()
    )
    return (
        (confirmation.shop == shop) & (confirmation.id > latest_before) & (confirmation.extraction_id != extraction_id)
    )


def _rare_queries(connection: sa.Connection, shop: str, extraction_id: str) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """Return the queries for those of the orders ``:ids`` that are uncertain, and that are confirmed."""
    uncertain, confirmation = uncertain_orders.c, confirmations.c
    one_of_ids = sa.text(get_dialect(connection).one_of_ids)
    newest = sa.func.max(uncertain.source_updated_at, type_=UtcDateTime)
    uncertain_query = sa.select(uncertain.order_id, sa.func.max(uncertain.high_water_mark), newest).where(
        uncertain.shop == shop, one_of_ids
    )
    confirmed_query = sa.select(
        confirmation.order_id, sa.func.max(confirmation.source_updated_at, type_=UtcDateTime)
    ).where(confirmed_by_others(shop, extraction_id), one_of_ids)
    return uncertain_query.group_by(uncertain.order_id), confirmed_query.group_by(confirmation.order_id)


def _newest(arrays: Sequence[str | None]) -> pd.DataFrame:
    """Turn the result of ``lookup_accepted`` into the newest row of each order."""
    ids, numbers, statuses, times, sent_here = (msgspec.json.decode(array or "[]") for array in arrays)
    table = pa.table(
        {
            "order_id": pa.array(ids, pa.string()),
            "known_id": pa.array(numbers, pa.int64()),
            "known_status": pa.array(statuses, pa.int64()),
            "known_updated_at": pa.array(times, pa.string()).cast(_NAIVE).cast(_UTC),
            "sent_here": pa.array(sent_here, pa.int8()).cast(pa.bool_()),
        }
    )
    sent = table["order_id"].filter(table["sent_here"])
    table = table.set_column(4, "sent_here", pc.is_in(table["order_id"], sent))
    known: pd.DataFrame = table.sort_by("known_id").to_pandas()
    known = known.drop_duplicates("order_id", keep="last", ignore_index=True)
    return known.assign(
        newest_updated_at=known["known_updated_at"],
        uncertain=False,
        confirmed_at=pd.Series(pd.NaT, index=known.index, dtype=known["known_updated_at"].dtype),
    )


def _frame(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pd.DataFrame:
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    frame: pd.DataFrame = pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema).to_pandas()
    return frame


def _with_uncertain(known: pd.DataFrame, uncertain: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Add the uncertain orders: of each its id, the high-water mark and the time of its newest uncertain version."""
    both = known.merge(_frame(uncertain, _UNCERTAIN), on="order_id", how="outer")
    both = both.fillna({"known_id": 0, "known_status": NOTHING_ACCEPTED, "sent_here": False})
    is_uncertain = both["high_water_mark"] >= both["known_id"]
    newest = both[["known_updated_at", "uncertain_at"]].max(axis=1).where(is_uncertain, both["known_updated_at"])
    return both.assign(uncertain=is_uncertain, newest_updated_at=newest)[list(known.columns)].astype(known.dtypes)


def _with_confirmed(known: pd.DataFrame, confirmed: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Add the newest confirmed version of the orders that another extraction confirmed."""
    return known.drop(columns="confirmed_at").merge(_frame(confirmed, _CONFIRMED), on="order_id", how="left")
