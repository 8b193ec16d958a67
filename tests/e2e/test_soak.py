"""
Two hundred hours of one shop with random problems of rows, scheduler and REES46.

The test sets the time: at each step it puts the rows that are visible by then into the warehouse, and executes a run of
that time in this process. `SEED` decides everything random: orders and their changes, REES46's responses, hours without
a scheduler, runs by hand.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tenacity import wait_random_exponential

from rees46_sync.airflow_adapters import retry_policy as retries
from rees46_sync.rees46 import hook as hooks
from rees46_sync.rees46 import pace
from tests import ledger_log
from tests.conftest import ShopUnderTest, rees46_connection
from tests.whole_run import Run, run_dag

from .conftest import SUMMANDS

# A run takes some two seconds on an idle machine.
pytestmark = [pytest.mark.e2e, pytest.mark.soak, pytest.mark.timeout(3600)]

SEED = 46
HOURS = 200
FIRST = datetime(2026, 2, 24, 9, tzinfo=UTC)
"""The first run; a month ends during the test, so that there is history."""

LOOKBACK = timedelta(hours=3)
ORDERS_AN_HOUR = 5
PARTITION_ROWS = 45
"""One partition or two in most hours, more after an outage."""

CODES = {"new": 0, "paid": 0, "delivered": 1, "cancelled": 2, "fraud": 2}

LIVES = {
    ("new", "paid", "delivered"): 6,
    ("new", "cancelled"): 3,
    ("delivered",): 2,
    ("new", "paid", "fraud"): 1,
    ("new", "delivered", "cancelled"): 2,
    ("paid", "delivered", "cancelled", "delivered"): 3,  # flips back
    ("new", "delivered", "paid"): 1,  # reopened: held back
    ("new", "cancelled", "new", "delivered"): 1,
    ("new", "on_hold", "paid", "delivered"): 1,  # rejected, then valid again
    ("new", None): 1,
}
"""The histories of orders, and how frequent each is."""

ROUGH = (
    "503@0.07,500@0.05,429:1@0.02,429_date:0@0.02,reset_before@0.04,reset_after@0.06,never_after@0.01,redirect@0.01,"
    "cut_json_200@0.05,html_in_200@0.04,error_in_200@0.05,400@0.02,slow:0.2@0.04,slow:3@0.01,empty_200@0.03,ok_200@0.03"
)
WEATHER = {
    "calm": ("", 10),
    "rough": (ROUGH, 75),
    "accepted without a response, then refused": ("reset_after@x1,error_in_200@1", 8),
    "accepted with an unreadable response, then refused": ("cut_json_200@x1,403@1", 4),
    "outlasts every retry": ("500@1", 3),
}
"""REES46's responses during a run, and how frequent each is."""


@dataclass(frozen=True)
class Version:
    """
    A row of an order, visible in the warehouse from `visible_at` on, which may be long after `updated_at`.

    :ivar in_place: whether it replaces the order's earlier row, or is added as an event.
    """

    number: int
    order_id: str | None
    status: str | None
    updated_at: datetime | None
    visible_at: datetime
    in_place: bool = False

    @property
    def code(self) -> int | None:
        """Its REES46 status, None if it has none."""
        return CODES.get(self.status or "") if self.updated_at else None

    @property
    def age(self) -> tuple[datetime, int]:
        """Larger for the newer of two versions: a row in place counts from the time when it became visible."""
        assert self.updated_at
        return (self.visible_at if self.in_place else self.updated_at, self.number)

    def __str__(self) -> str:
        seen = f" seen {self.visible_at:%d %H:%M}" if self.visible_at != self.updated_at else ""
        return f"{self.status} {self.updated_at:%d %H:%M:%S}{seen}{' in place' if self.in_place else ''}"


def order_history(order_id: str, at: datetime, dice: random.Random) -> Iterator[Version]:
    """The versions of one order, the first one first."""
    in_place = dice.random() < 0.5
    seen, before = at, at - timedelta(1)
    for status in dice.choices([*LIVES], [*LIVES.values()])[0]:
        if dice.random() < 0.2:  # exactly at the edge of a window, or a microsecond before
            at = at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
            at -= timedelta(microseconds=dice.choice((0, 1)))
        if at == before and not in_place:  # two rows of one time would be ambiguous
            at += timedelta(microseconds=1)
        before = at
        updated_at, visible_at = at, at
        if dice.random() < 0.15:
            visible_at += dice.choice((LOOKBACK, LOOKBACK * dice.uniform(0.25, 1)))
        if in_place:
            visible_at = seen = max(visible_at, seen)
            if dice.random() < 0.1:  # the clock of its writer is slow
                updated_at = max(at - timedelta(minutes=dice.uniform(0, 15)), visible_at - LOOKBACK)
        yield Version(0, order_id, status, updated_at, visible_at, in_place)
        # The next change comes at the same time, soon, or some hours later.
        at += timedelta(minutes=dice.choice((0, dice.uniform(1, 50), dice.uniform(1, 50), dice.uniform(60, 700))))


def all_versions(dice: random.Random) -> list[Version]:
    """All versions, in the order in which they become visible in the warehouse."""
    versions = []
    for number in range(HOURS * ORDERS_AN_HOUR):
        at = FIRST + timedelta(hours=dice.uniform(-1, HOURS - 1))
        versions += order_history(f"{number:04}", at, dice)
    for number in range(3):  # always rejected: without a time, each run reads them
        versions.append(Version(0, f"timeless-{number}", "new", None, FIRST + timedelta(hours=dice.uniform(0, HOURS))))
        at = FIRST + timedelta(hours=dice.uniform(0, HOURS))
        versions.append(Version(0, None, "paid", at, at))
    versions.sort(key=lambda version: version.visible_at)
    return [replace(version, number=number) for number, version in enumerate(versions)]


class Soak:
    """
    The shop as time goes by.

    :ivar reached: for each order the version that REES46 has reached.
    """

    def __init__(self, shop: ShopUnderTest) -> None:
        self.shop = shop
        self.dice = random.Random(SEED)
        self.to_come = all_versions(self.dice)[::-1]
        self.versions: dict[str, list[Version]] = defaultdict(list)
        self.reached: dict[str, Version] = {}
        self.now = FIRST
        self.runs: list[tuple[str, Run]] = []
        self.green_until = FIRST - timedelta(days=1)

    def advance(self, now: datetime) -> None:
        """Add the rows to the warehouse that are visible by now."""
        self.now = now
        with closing(sqlite3.connect(self.shop.warehouse)) as db, db:
            while self.to_come and self.to_come[-1].visible_at <= now:
                version = self.to_come.pop()
                if version.in_place:
                    db.execute("DELETE FROM orders WHERE order_id = ?", [version.order_id])
                at = version.updated_at and str(version.updated_at.replace(tzinfo=None))
                db.execute("INSERT INTO orders VALUES (?, ?, ?)", [version.order_id, version.status, at])
                if version.order_id and version.updated_at:
                    self.versions[version.order_id].append(version)

    def run(self, what: str, *, calm: bool = False, **how: Any) -> Run:
        """Execute one run; check its account, and that no order at REES46 went back to an older version."""
        weather = "calm" if calm else self.dice.choices([*WEATHER], [share for _, share in WEATHER.values()])[0]
        self.shop.sandbox.reset(WEATHER[weather][0], seed=len(self.runs), keep_state=True)
        run = run_dag(**how)
        self.runs.append((what, run))
        where = f"seed {SEED}, run {len(self.runs)} ({what} at {self.now:%d %H:%M}, {run.state}, weather: {weather})"

        stats = self.shop.sandbox.stats()
        columns = ", ".join(("outcome", "read", "requests", *SUMMANDS))
        if how.get("dry_run"):
            assert stats["requests"] == 0, where
        else:
            query = f"SELECT {columns} FROM rees46_sync_runs WHERE run_id = '{run.run_id}'"
            [(outcome, read, requests, *parts)] = self.shop.ledger_rows(query)
            assert (outcome, read) == (run.state, sum(parts)), where
            assert requests == stats["requests"], where
        assert stats["violations"] == {}, where
        wrong = [order_id for order_id, code in self.shop.sandbox.state().items() if not self._reach(order_id, code)]
        assert not wrong, f"{where}: older after newer{self._histories(wrong)}"
        return run

    def hourly(self, at: datetime, what: str = "hourly", **how: Any) -> None:
        """Execute a run that continues the last one; if it succeeds, REES46 must be up to date until its end."""
        run = self.run(what, **how)
        if run.state == "success":
            self.green_until = at
            state = self.shop.sandbox.state()
            wrong = [i for i in self.versions.keys() | state if state.get(i) not in self._right(i, at)]
            assert not wrong, f"seed {SEED}, {what} run of {at:%d %H:%M}: not the truth{self._histories(wrong)}"

    def _reach(self, order_id: str, code: int) -> bool:
        """Whether the order can have this status without having gone back to an older version."""
        reached = self.reached.get(order_id)
        later = [v for v in self._ordered(order_id) if v.code == code and (not reached or v.age >= reached.age)]
        if later:
            self.reached[order_id] = later[0]
        return bool(later)

    def _ordered(self, order_id: str) -> list[Version]:
        """An order's visible versions, the newest last."""
        return sorted(self.versions[order_id], key=lambda version: version.age)

    def _right(self, order_id: str, end: datetime) -> set[int | None]:
        """The statuses that an order may have at REES46 after a run that read everything up to `end`."""
        versions = self._ordered(order_id)
        if versions and not versions[-1].in_place:
            versions = [version for version in versions if version.updated_at and version.updated_at < end]
        if not versions:
            return {None}
        newest = versions[-1]
        earlier: set[int | None] = {version.code for version in versions[:-1]}
        if newest.code is None or (newest.updated_at and newest.updated_at >= end):
            return earlier | {None}  # rejected, or not read yet: its status does not change
        # An order that is created again after it was completed or cancelled is held back.
        return {newest.code} | (earlier & {1, 2} if newest.code == 0 else set())

    def _histories(self, order_ids: list[str]) -> str:
        """The last runs and the first of these orders: what REES46 has, what the ledger has, and their rows."""
        state = self.shop.sandbox.state()
        query = "SELECT window_start, window_end, window_widened, outcome, read, sent FROM rees46_sync_runs ORDER BY id"
        last = [
            f"[{r[0][5:19]}, {r[1][5:19]}){' is_regular' * r[2]} {r[3:]}" for r in self.shop.ledger_rows(query)[-8:]
        ]
        lines = [f": {len(order_ids)} orders, after the runs", *last]
        for order_id in sorted(order_ids)[:5]:
            query = f"SELECT status, source_updated_at FROM rees46_accepted_statuses WHERE order_id = '{order_id}'"
            accepted = ", ".join(f"{status} of {at[8:19]}" for status, at in self.shop.ledger_rows(query))
            rows = "; ".join(map(str, self._ordered(order_id)))
            lines.append(f"{order_id}: REES46 {state.get(order_id)}, ledger [{accepted}], warehouse [{rows}]")
        return "\n  ".join(lines)

    def check_ledger(self) -> None:
        """Nothing older was accepted after something newer, and no final order was made created again."""
        query = "SELECT order_id, status, source_updated_at FROM rees46_accepted_statuses ORDER BY id"
        reached: dict[str, Version] = {}
        for order_id, code, text in self.shop.ledger_rows(query):
            updated_at = datetime.fromisoformat(text).replace(tzinfo=UTC)
            before = reached.get(order_id)
            same = [v for v in self._ordered(order_id) if (v.code, v.updated_at) == (code, updated_at)]
            later = [version for version in same if not before or version.age >= before.age]
            assert later, f"seed {SEED}: the ledger accepted something older{self._histories([order_id])}"
            assert code or not (before and before.code), f"seed {SEED}: reopened{self._histories([order_id])}"
            reached[order_id] = later[0]

    def start_by_hand(self) -> None:
        """Start a run between two hours, as a user or the shop's feed would."""
        at = self.now + timedelta(minutes=self.dice.randint(5, 25))
        self.advance(at)
        start = at - timedelta(hours=self.dice.randint(2, 8))
        ends = (at, at, start + timedelta(minutes=self.dice.randint(30, 90)))
        window = {"window_start": start.isoformat(), "window_end": self.dice.choice(ends).isoformat()}
        kinds = {"window": 8, "first orders": 2, "resend": 2, "dry run": 1, "history": 4, "feed": 2}
        match self.dice.choices([*kinds], [*kinds.values()])[0]:
            case "window":
                self.run(f"by hand {window}", logical_date=at, **window)
            case "first orders":
                self.run(f"first orders of {window}", logical_date=at, first_orders=1, **window)
            case "resend":
                self.run(f"resend {window}", logical_date=at, resend=True, **window)
            case "dry run":
                self.run(f"dry run {window}", logical_date=at, dry_run=True, **window)
            case "history":
                first = at.replace(day=1, hour=0, minute=0)
                self.run("history", dag_id="order_status_history_test", logical_date=first)
            case "feed":
                self.hourly(at, "feed", logical_date=None, run_after=at)


def test_200_hours_of_faults_end_with_the_statuses_of_the_warehouse(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The waits between attempts are milliseconds instead of seconds and minutes.
    monkeypatch.setattr(hooks, "_backoff", wait_random_exponential(multiplier=0.01, max=0.05))
    monkeypatch.setattr(hooks, "_throttled_backoff", wait_random_exponential(multiplier=0.01, max=0.05))
    monkeypatch.setattr(pace, "DOCUMENTED_INTERVAL_S", 0.01)
    monkeypatch.setattr(retries, "MIN_DELAY", timedelta(milliseconds=1))
    monkeypatch.setattr(retries, "MAX_DELAY", timedelta(milliseconds=1))
    shop.connect("shop_rees46", rees46_connection(shop.sandbox, timeout_s=1))
    shop.configure(lookback=f"{LOOKBACK // timedelta(hours=1)}h", partition_rows=PARTITION_ROWS)
    soak = Soak(shop)
    down = 0

    for hour in range(HOURS):
        at = FIRST + timedelta(hours=hour)
        soak.advance(at)
        if not down and soak.dice.random() < 0.03:
            down = soak.dice.randint(1, 9)
        if down:
            down -= 1
        else:
            soak.hourly(at, logical_date=at)
        if soak.dice.random() < 0.12:
            soak.start_by_hand()
    end = FIRST + timedelta(hours=HOURS + 1)
    soak.advance(end)
    soak.hourly(end, "last", logical_date=end, calm=True)

    assert soak.green_until == end
    soak.check_ledger()
    with sa.create_engine(f"sqlite:///{shop.ledger_file}").begin() as connection:
        assert ledger_log.unaccounted(connection) == []
    states = Counter(run.state for _, run in soak.runs)
    assert states["failed"] > HOURS / 20
    assert states["success"] > HOURS / 2
    # Everything that the test is meant to cover did happen.
    counts = sum((Counter(run.account) for _, run in soak.runs), Counter())
    assert [name for name in SUMMANDS if not counts[name]] == []
    assert shop.ledger_rows("SELECT count(*) FROM rees46_uncertain_orders") > [(100,)]
