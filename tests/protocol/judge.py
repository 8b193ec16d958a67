"""Watches real runs, and says which promise they break; the promises are those of :mod:`tests.protocol.model`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import sqlalchemy as sa

from rees46_sync.ledger.requests import order_ids
from rees46_sync.ledger.tables import accepted_statuses, extractions, in_flight_requests, leases, uncertain_orders
from tests.protocol.model import CREATED, ENDLESS, Row
from tests.protocol.real_shop import EVER, REFUSED, SHOP, TRIES, version_at

if TYPE_CHECKING:
    from rees46_sync.ledger.runs import RunRef
    from tests.protocol.attempts import Attempt, Run
    from tests.protocol.real_runs import RealRuns


@dataclass
class Read:
    """What a run has read: its rows, and which of them are those of the warehouse still."""

    run: Run
    extraction_id: str
    rows: dict[str, Row]
    fresh: set[str]
    number: int = 0
    read_mark: int | None = None
    posted: set[str] = field(default_factory=set)
    held_back: set[str] = field(default_factory=set)


class Judge:
    """The promises that runs have broken."""

    def __init__(self, runs: RealRuns) -> None:
        self.of = runs
        self.broken: list[str] = []
        self.reads_of: dict[str, Read] = {}
        """By extraction."""
        self.posted: list[tuple[str, str, int, str]] = []
        """Extraction, order, status and answer of each order that went out."""
        self._forbidden: dict[int, dict[str, str]] = {}
        """Of each run the orders that must not go out, as of its last check."""

    # What happens

    def changed(self, order_id: str) -> None:
        """Note that the warehouse has changed."""
        for read in self.reads_of.values():
            read.fresh.discard(order_id)

    def reads(self, run: Run, ref: RunRef, rows: Mapping[str, Row]) -> None:
        """Note what a run reads."""
        self.reads_of[ref.extraction_id] = Read(run, ref.extraction_id, dict(rows), set(rows))

    def holds_back(self, run: Run, orders: Sequence[str]) -> None:
        """Note which orders a run does not send because they would be reopened."""
        self._read_of(run).held_back = set(orders)

    def posts(self, attempt: Attempt, statuses: Mapping[str, int], fate: str) -> None:
        """Note a request."""
        read = self._read_of(attempt.run)
        for order_id, status in statuses.items():
            self.posted.append((read.extraction_id, order_id, status, fate))
            if why := self._forbidden.get(id(attempt), {}).get(order_id):
                self.broken.append(f"{why} (order {order_id} of run {attempt.run.index})")
            if attempt.greenlet is None and status == CREATED and not self.of.allow_reopen and self._is_final(order_id):
                self.broken.append(f"P4: the calm run reopens order {order_id}")
        if fate != REFUSED:
            read.posted |= set(statuses)

    def _read_of(self, run: Run) -> Read:
        assert run.ref
        return self.reads_of[run.ref.extraction_id]

    def _is_final(self, order_id: str) -> bool:
        return bool(self.of.receiver.statuses.get(order_id))

    def see(self, place: str, connection: sa.Connection) -> None:
        """Look at the ledger at the end of a transaction."""
        attempt = self.of._actor
        if attempt is None:
            return
        method = place.rpartition("/")[2]
        if place.endswith("may_post/state"):
            attempt.checked_at, attempt.has_checked = self.of.now, True
            self._forbidden[id(attempt)] = self._find_forbidden(connection, attempt.run)
        elif method == "record_result":
            attempt.is_late = False
        elif method in ("take_lease", "record_requests"):
            lease = sa.select(leases.c.lease).where(leases.c.shop == SHOP).scalar_subquery()
            if connection.scalar(sa.select(in_flight_requests.c.id).where(in_flight_requests.c.lease != lease)):
                self.broken.append("P3: a request is in flight under an old lease")

    def _find_forbidden(self, connection: sa.Connection, run: Run) -> dict[str, str]:
        """Return the orders of a run that must not go out now, and why."""
        own, table = self._read_of(run), accepted_statuses.c
        columns = (table.order_id, table.extraction_id, table.status, table.source_updated_at)
        known, forbidden = {}, {}
        for order_id, extraction_id, status, at in connection.execute(sa.select(*columns).order_by(table.id)):
            known[order_id] = Row(status, version_at(at))
            if extraction_id == own.extraction_id:
                forbidden[order_id] = "P5: a run sends again what was accepted from it"
        self._read_registry(connection)
        for order_id, row in own.rows.items():
            if known.get(order_id) != row and self._is_outdated(own, order_id, row):
                forbidden[order_id] = "P6: an older version goes out after a newer one"
        return forbidden

    def _read_registry(self, connection: sa.Connection) -> None:
        table = extractions.c
        rows = connection.execute(sa.select(table.extraction_id, table.id, table.read_mark)).all()
        found = {extraction_id: numbers for extraction_id, *numbers in rows}
        for read in self.reads_of.values():
            read.number, read.read_mark = found[read.extraction_id]

    def _is_outdated(self, own: Read, order_id: str, row: Row) -> bool:
        newest, newest_before = 0, 0
        for other in self.reads_of.values():
            version = other.rows[order_id].version if order_id in other.rows else 0
            if other.read_mark is not None and other.read_mark < own.number:
                newest_before = max(newest_before, version)
            elif order_id in other.posted or (order_id in other.held_back and other.run.outcome == "green"):
                newest = max(newest, version)
        return newest > max(row.version, newest_before)

    # How it ends

    def judge_green_runs(self) -> None:
        """Without faults, and if all runs are green, REES46 has what a regular run has read last."""
        of = self.of
        if of.has_faults or not of.runs or any(run.outcome != "green" for run in of.runs):
            return
        with of.ledger.engine.begin() as connection:
            self._read_registry(connection)
        for order_id, row in of.warehouse.read(EVER, ENDLESS).items():
            if row.status == CREATED and not of.allow_reopen:
                continue
            has_read = [
                read
                for read in self.reads_of.values()
                if order_id in read.fresh and read.run.window_end == ENDLESS and not self._is_ambiguous(read, order_id)
            ]
            if has_read and of.receiver.statuses.get(order_id) != row.status:
                self.broken.append(f"P2: all runs are green, and order {order_id} is not {row} at REES46")

    def _is_ambiguous(self, read: Read, order_id: str) -> bool:
        row = read.rows[order_id]
        return any(
            order_id in other.rows
            and not (other.read_mark is not None and other.read_mark < read.number)
            and other.rows[order_id].version >= row.version
            and other.rows[order_id] != row
            for other in self.reads_of.values()
            if other is not read
        )

    def judge_calm_run(self, run: Run) -> None:
        """After everything has settled and a calm run, REES46 and the ledger have what the warehouse has."""
        of = self.of
        if run.outcome != "green":
            self.broken.append(f"P1: the calm run is {run.outcome}")
        truth = of.warehouse.read(EVER, ENDLESS)
        held_back = self._read_of(run).held_back
        known = self._known_statuses()
        may_be_final = self._maybe_final()
        for order_id, row in truth.items():
            has = of.receiver.statuses.get(order_id)
            if order_id not in run.rows and of.codes[row.status] == CREATED and has:
                continue  # an earlier run has held it back, and it has not changed since
            if order_id in held_back:
                if order_id not in may_be_final:
                    self.broken.append(f"P1: order {order_id} is held back, and no final status was ever sent")
            elif not has == known.get(order_id) == of.codes[row.status]:
                self.broken.append(
                    f"P1: after a calm run order {order_id} is {has} at REES46, {known.get(order_id)} in the ledger, "
                    f"and {row} in the warehouse"
                )
        self._judge_log()

    def _known_statuses(self) -> dict[str, int]:
        table = accepted_statuses.c
        with self.of.ledger.engine.begin() as connection:
            rows = connection.execute(sa.select(table.order_id, table.status).order_by(table.id)).all()
        return {row.order_id: row.status for row in rows}

    def _maybe_final(self) -> set[str]:
        """Return the orders of which a final status went out, or was about to."""
        found = {order_id for _, order_id, status, _ in self.posted if status != CREATED}
        with self.of.ledger.engine.begin() as connection:
            table = uncertain_orders.c
            found.update(connection.scalars(sa.select(table.order_id).where(table.status != CREATED)))
            for orders in connection.scalars(sa.select(in_flight_requests.c.orders)):
                found |= {order_id for order_id, status, _ in json.loads(orders) if status != CREATED}
        return found

    def _judge_log(self) -> None:
        """Each order that went out is accepted, uncertain or in flight, and accepted no more often than answered so."""
        with self.of.ledger.engine.begin() as connection:
            accepted = Counter(
                (row.extraction_id, row.order_id, row.status)
                for row in connection.execute(sa.select(accepted_statuses))
            )
            uncertain = {(row.extraction_id, row.order_id) for row in connection.execute(sa.select(uncertain_orders))}
            for row in connection.execute(sa.select(in_flight_requests)):
                uncertain |= {(row.extraction_id, order_id) for order_id in order_ids(row.orders)}
        answered = Counter(post[:3] for post in self.posted if post[3] in TRIES[:2])
        if accepted - answered:
            self.broken.append(f"P3: accepted more often than answered so: {dict(accepted - answered)}")
        for extraction_id, order_id, status, fate in self.posted:
            one = (extraction_id, order_id, status)
            if fate != REFUSED and not accepted[one] and one[:2] not in uncertain:
                self.broken.append(f"P3: nothing is known of a request: {one}")
