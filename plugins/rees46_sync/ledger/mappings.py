"""The mappings of statuses that a shop's runs have used, so that a corrected one is noticed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import READ_UP_TO, has_delivered
from rees46_sync.ledger.tables import UtcDateTime, accepted_statuses, rejected_orders, sync_runs
from rees46_sync.shop.statuses import STATUS_NAMES

MAX_SHOWN = 5
"""How many moved statuses a message names."""

MAX_COUNTED = 10_000
"""Rows that are counted: the page counts each time it is loaded, and a ledger may have millions."""


@dataclass(frozen=True)
class FormerMapping:
    """
    A mapping that runs have used.

    :param codes: REES46's code of each of the shop's statuses.
    :param since: when the first of these runs started.
    :param until: when the last of them had finished.
    :param window_start: the earliest start of their windows; None if none of them had one.
    """

    codes: dict[str, int]
    since: datetime
    until: datetime
    window_start: datetime | None


def mapping_text(codes: Mapping[str, int]) -> str:
    """Return a mapping as text; equal mappings have equal texts."""
    return json.dumps(dict(sorted(codes.items())))


def mapping_hash(codes: Mapping[str, int]) -> str:
    """Return the SHA-256 of a mapping."""
    return hashlib.sha256(mapping_text(codes).encode()).hexdigest()


def is_new_mapping(ledger: Ledger, shop: str, codes: Mapping[str, int]) -> bool:
    """Return whether the shop's last run used another mapping than this one."""
    runs = sync_runs.c
    last = sa.select(runs.mapping_hash).where(runs.shop == shop).order_by(runs.finished_at.desc(), runs.id.desc())
    with ledger.transaction() as connection:
        return connection.scalar(last.limit(1)) not in (None, mapping_hash(codes))


def former_mappings(ledger: Ledger, shop: str, codes: Mapping[str, int]) -> list[FormerMapping]:
    """
    Return the mappings that a shop's runs have used before this one, the latest last.

    :param codes: the mapping of the shop file.
    """
    if ledger.version < 5:
        return []
    runs = sync_runs.c
    query = (
        sa.select(
            sa.func.max(runs.mapping),
            sa.func.min(runs.started_at, type_=UtcDateTime),
            sa.func.max(runs.finished_at, type_=UtcDateTime),
            sa.func.min(runs.window_start, type_=UtcDateTime),
        )
        .where(runs.shop == shop, runs.mapping_hash.is_not(None), runs.mapping_hash != mapping_hash(codes))
        .group_by(runs.mapping_hash)
    )
    with ledger.transaction() as connection:
        found = [FormerMapping(json.loads(text), *times) for text, *times in connection.execute(query)]
    return sorted(found, key=lambda former: former.until)


@dataclass(frozen=True)
class CorrectedMapping:
    """
    A mapping that was corrected, and that no run has applied yet to all that was sent by the earlier one.

    :param moved: each moved status with its former and its new code; None is not mapped.
    :param orders: how many orders were accepted in a former code, and rows quarantined: at most these are concerned;
        above :data:`MAX_COUNTED` there are more.
    :param start: the earliest change that a run with the earlier mapping may have read.
    """

    moved: Sequence[tuple[str, int | None, int | None]]
    orders: int
    start: datetime

    def __str__(self) -> str:
        names = [
            f"{status!r} was {'not mapped' if before is None else STATUS_NAMES[before]} and is now "
            f"{'not mapped' if now is None else STATUS_NAMES[now]}"
            for status, before, now in self.moved[:MAX_SHOWN]
        ]
        more = f", and {len(self.moved) - MAX_SHOWN} more" if len(self.moved) > MAX_SHOWN else ""
        most = f"at most {self.orders:,}" if self.orders <= MAX_COUNTED else f"perhaps more than {MAX_COUNTED:,}"
        return f"{'; '.join(names)}{more}: this concerns {most} orders sent or rejected before"


def corrected_mapping(ledger: Ledger, shop: str, codes: Mapping[str, int]) -> CorrectedMapping | None:
    """
    Return the correction that is not applied to everything yet; None if there is none, or it concerns nothing.

    It is applied once runs with this mapping have delivered all windows that runs with the earlier ones had.

    :param codes: the mapping of the shop file.
    """
    former = [one for one in former_mappings(ledger, shop, codes) if one.window_start and _moved(one.codes, codes)]
    if not former:
        return None
    start = min(one.window_start for one in former if one.window_start)
    until = max(one.until for one in former)
    if _is_applied(ledger, shop, codes, start, until):
        return None
    moved = _moved(former[-1].codes, codes) or _moved(former[0].codes, codes)
    orders = _count(ledger, shop, moved, until)
    return CorrectedMapping(moved, orders, start) if orders else None


def _moved(former: Mapping[str, int], codes: Mapping[str, int]) -> list[tuple[str, int | None, int | None]]:
    """Return the mapped statuses whose meaning has changed; rows of one that is no longer mapped are rejected."""
    return [(status, former.get(status), code) for status, code in sorted(codes.items()) if former.get(status) != code]


def _is_applied(ledger: Ledger, shop: str, codes: Mapping[str, int], start: datetime, until: datetime) -> bool:
    """Return whether the windows of runs with this mapping join up from one moment to another."""
    runs = sync_runs.c
    query = (
        sa.select(runs.window_start, sa.type_coerce(READ_UP_TO, UtcDateTime))
        .where(runs.shop == shop, runs.mapping_hash == mapping_hash(codes), has_delivered(sync_runs))
        .where(runs.window_start.is_not(None))
        .order_by(runs.window_start)
    )
    with ledger.transaction() as connection:
        reached = start
        for begin, end in connection.execute(query):
            if begin > reached:
                break
            reached = max(reached, end)
    return reached >= until


def _count(ledger: Ledger, shop: str, moved: Sequence[tuple[str, int | None, int | None]], until: datetime) -> int:
    """Return how many orders and rows are concerned at most; one more than :data:`MAX_COUNTED` if there are more."""
    former_codes = {before for _, before, _ in moved if before is not None}
    new = [status for status, before, _ in moved if before is None]
    accepted, rejected = accepted_statuses.c, rejected_orders.c
    orders = sa.select(accepted.order_id).where(
        accepted.shop == shop, accepted.status.in_(former_codes), accepted.accepted_at <= until
    )
    rows = sa.select(rejected.id).where(rejected.shop == shop, rejected.status.in_(new))
    with ledger.transaction() as connection:
        sent = connection.scalars(orders.limit(MAX_COUNTED + 1)).all() if former_codes else []
        quarantined = connection.scalars(rows.limit(MAX_COUNTED + 1)).all() if new else []
    if max(len(sent), len(quarantined)) > MAX_COUNTED:
        return MAX_COUNTED + 1
    return len(set(sent)) + len(quarantined)
