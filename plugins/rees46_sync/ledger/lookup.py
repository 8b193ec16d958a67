"""
What the ledger knows of many orders at once, as a frame.

It is asked of millions of orders, and what costs is a row that becomes a Python object: four fifths of the time. So the
orders that are asked for are one parameter, JSON, and the answer is one row of JSON arrays, a column each, that go into
Arrow as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from more_itertools import chunked

from rees46_sync.ledger.dialects import as_json, dialect_of
from rees46_sync.ledger.tables import UtcDateTime, open_readings, overtaken_orders, unanswered_orders

LOOKUP_CHUNK = 12_000
"""Order ids in one lookup statement; it bounds what of its answer is in memory at once, and of the longest ids, at four
bytes a character, both are less than the 16 MB that MariaDB takes and gives at once."""

NOTHING_ACCEPTED = -1
"""In the place of a status: REES46 has accepted none, and may have taken one all the same."""

_NAIVE, _UTC = pa.timestamp("us"), pa.timestamp("us", "UTC")
_MISSED = pa.schema({"order_id": pa.string(), "mark": pa.int64(), "missed_at": _UTC})
_OVERTAKEN = pa.schema({"order_id": pa.string(), "overtaken_at": _UTC})


def look_up(connection: sa.Connection, shop: str, order_ids: Sequence[str], extraction_id: str) -> pd.DataFrame:
    """Return what :meth:`rees46_sync.ledger.database.Ledger.lookup` does, in a transaction of its own."""
    missed, noted = unanswered_orders.c, overtaken_orders.c
    some_missed = connection.scalar(sa.select(missed.id).where(missed.shop == shop).limit(1))
    some_overtaken = connection.scalar(sa.select(noted.id).where(overtakes(shop, extraction_id)).limit(1))
    accepted = dialect_of(connection).lookup_accepted
    unanswered, overtaken = _rare_queries(connection, shop, extraction_id)
    parts = []
    for chunk in chunked(order_ids, LOOKUP_CHUNK):
        ids = {"ids": as_json(chunk)}
        known = _newest(connection.execute(accepted, {**ids, "shop": shop, "extraction_id": extraction_id}).one())
        if some_missed is not None:
            known = _with_uncertain(known, connection.execute(unanswered, ids).all())
        if some_overtaken is not None:
            known = _with_overtaken(known, connection.execute(overtaken, ids).all())
        parts.append(known)
    return pd.concat(parts, ignore_index=True) if parts else _newest(["[]"] * 5)


Text: TypeAlias = str | sa.BindParameter[str]


def overtakes(shop: Text, extraction_id: Text) -> sa.ColumnElement[bool]:
    """Return whether a row of ``rees46_overtaken_orders`` is news to an open reading: another found it out since."""
    noted, reading = overtaken_orders.c, open_readings.c
    began_after = sa.select(reading.after_id).where(reading.extraction_id == extraction_id).scalar_subquery()
    return (noted.shop == shop) & (noted.id > began_after) & (noted.extraction_id != extraction_id)


def _rare_queries(connection: sa.Connection, shop: str, extraction_id: str) -> tuple[sa.Select[Any], sa.Select[Any]]:
    """Return what is asked of the orders of the parameter ids where there is any: left unanswered, and overtaken."""
    missed, noted = unanswered_orders.c, overtaken_orders.c
    one_of_ids = sa.text(dialect_of(connection).one_of_ids)
    newest = sa.func.max(missed.source_updated_at, type_=UtcDateTime)
    unanswered = sa.select(missed.order_id, sa.func.max(missed.after_id), newest).where(missed.shop == shop, one_of_ids)
    overtaken = sa.select(noted.order_id, sa.func.max(noted.source_updated_at, type_=UtcDateTime)).where(
        overtakes(shop, extraction_id), one_of_ids
    )
    return unanswered.group_by(missed.order_id), overtaken.group_by(noted.order_id)


def _newest(arrays: Sequence[str | None]) -> pd.DataFrame:
    """Turn the answer to ``lookup_accepted`` into the newest row of each order."""
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
        overtaken_at=pd.Series(pd.NaT, index=known.index, dtype=known["known_updated_at"].dtype),
    )


def _frame(rows: Sequence[Sequence[Any]], schema: pa.Schema) -> pd.DataFrame:
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    frame: pd.DataFrame = pa.table(dict(zip(schema.names, columns, strict=True)), schema=schema).to_pandas()
    return frame


def _with_uncertain(known: pd.DataFrame, missed: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Add what requests without a clear answer may have told REES46: order id, mark and time of the newest of each."""
    both = known.merge(_frame(missed, _MISSED), on="order_id", how="outer")
    both = both.fillna({"known_id": 0, "known_status": NOTHING_ACCEPTED, "sent_here": False})
    uncertain = both["mark"] >= both["known_id"]
    newest = both[["known_updated_at", "missed_at"]].max(axis=1).where(uncertain, both["known_updated_at"])
    return both.assign(uncertain=uncertain, newest_updated_at=newest)[list(known.columns)].astype(known.dtypes)


def _with_overtaken(known: pd.DataFrame, notes: Sequence[Sequence[Any]]) -> pd.DataFrame:
    """Add the time at which another reading overtook this one: order id and time of each order that it did."""
    return known.drop(columns="overtaken_at").merge(_frame(notes, _OVERTAKEN), on="order_id", how="left")
