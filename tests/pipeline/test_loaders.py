"""
A loader that is late, stops, replays or delivers out of order: its rows end at REES46, or in a gap that is named.

The warehouse, its query, the windows and the ledger are the real ones; what a run does between reading and its record
is left out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest
from upath import UPath

from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import Runs, new_account
from rees46_sync.monitoring.freshness import sync_progress
from rees46_sync.monitoring.late_data import DataRead, data_state
from rees46_sync.shop.shop import Shop
from rees46_sync.warehouse import reader
from rees46_sync.window import Window, compute_window
from tests.conftest import ShopUnderTest

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Row:
    """An order: when it changed in the shop, and when the loader brought it; both in hours after :data:`START`."""

    order_id: str
    changed: float
    loaded: float
    status: str = "new"


@dataclass
class SimulatedShop:
    """A shop of which only the windows, the warehouse and the ledger's records of runs are there."""

    under_test: ShopUnderTest
    shop: Shop
    ledger: Ledger
    known: dict[str, str] = field(default_factory=dict)
    late: list[datetime] = field(default_factory=list)

    def run(self, end: datetime, **window: object) -> Window:
        """Run at a moment: read the window, and remember what would be at REES46 then."""
        runs = Runs(self.ledger)
        latest = runs.latest_regular("test")
        window_read = compute_window(
            interval=(end - HOUR, end),
            requested_at=end,
            watermark=runs.watermark("test", self.shop.lookback),
            lookback=self.shop.lookback,
            whole_days=bool(latest and latest.whole_days),
            **window,  # type: ignore[arg-type] # the caller names only those
        )
        folder = UPath(self.under_test.folder / f"staged-{end:%d-%H}")
        loaded_until = reader.read_loaded_until(self.shop) if self.shop.loaded_until else None
        rows = reader.extract(self.shop, window_read, folder)
        for partition in rows.partitions:
            table = pq.read_table(UPath(partition.path).path)
            self.known |= dict(zip(table["order_id"].to_pylist(), table["status"].to_pylist(), strict=True))
        times = rows.times
        read = DataRead(window_read, end, times.newest, times.empty_spans, times.whole_days, loaded_until)
        data = data_state(self.ledger, self.shop, read)
        if data.is_late:
            self.late.append(end)
        runs.save(
            shop="test",
            dag_id="dag",
            run_id=f"run-{end}-{window}",
            window_start=window_read.start,
            window_end=window_read.end,
            window_widened=window_read.is_regular,
            outcome="success",
            started_at=end,
            finished_at=end,
            newest_updated_at=times.newest,
            data_until=data.until,
            data_late=data.is_late,
            whole_days=times.whole_days,
            **new_account(),
        )
        return window_read


@pytest.fixture
def simulated(shop: ShopUnderTest) -> Iterator[SimulatedShop]:
    ledger = Ledger.open("shop_ledger")
    yield SimulatedShop(shop, shop.configure(), ledger)
    ledger.engine.dispose()


def replay(simulated: SimulatedShop, rows: Sequence[Row], hours: Sequence[int]) -> None:
    """Run at these hours; the warehouse holds what the loader has brought by then."""
    loaded: set[Row] = set()
    for hour in hours:
        new = [row for row in rows if row.loaded <= hour and row not in loaded]
        simulated.under_test.add_rows(
            [(row.order_id, row.status, (START + row.changed * HOUR).replace(tzinfo=None)) for row in new]
        )
        loaded.update(new)
        simulated.run(START + hour * HOUR)


def every(hours: float, *, since: float, until: float, lag: float = 0.1, name: str = "o") -> list[Row]:
    """Return rows that are loaded at once."""
    count = int((until - since) / hours)
    return [Row(f"{name}{n}", since + n * hours, since + n * hours + lag) for n in range(count)]


STEADY = every(1, since=-30, until=48)
FIVE_DAYS = [*range(0, 48, 4), *range(48, 144, 2)]


def outage(order: str) -> list[Row]:
    """A loader that is down from hour 48 to hour 120, three days, and brings what it missed from then on."""
    missed = [Row(f"m{n}", 48 + n, 0) for n in range(72)]
    delays = {
        "at-once": [0.5] * 72,
        "oldest-first": [n / 4 for n in range(72)],
        "newest-first": [(71 - n) / 4 for n in range(72)],
        "a-day-per-file": [n // 24 * 4 + 0.5 for n in range(72)],
    }[order]
    return [Row(row.order_id, row.changed, 120 + delay) for row, delay in zip(missed, delays, strict=True)]


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([*STEADY, *outage("at-once")], id="stopped-and-resumed"),
        pytest.param([*STEADY, *outage("oldest-first")], id="resumed-with-the-oldest-rows"),
        pytest.param([*STEADY, *outage("newest-first"), *every(1, since=120, until=144, name="n")], id="out-of-order"),
        pytest.param([*STEADY, *outage("a-day-per-file")], id="a-day-per-file"),
        pytest.param([Row(f"l{n}", n, n + 20) for n in range(-30, 120)], id="always-late"),
        pytest.param(
            [*every(1, since=-30, until=140), Row("b", 100, 121), Row("c", 99, 122)], id="backdated-within-lookback"
        ),
        pytest.param([*STEADY, *(Row(row.order_id, row.changed, 121, "paid") for row in STEADY[-9:])], id="replayed"),
        pytest.param([*STEADY, *(Row(f"f{n}", n, 120.5) for n in range(48, 120))], id="a-full-reload-after-an-outage"),
    ],
)
def test_whatever_the_loader_does_the_rows_are_read(simulated: SimulatedShop, rows: Sequence[Row]) -> None:
    replay(simulated, rows, FIVE_DAYS)
    # Rows from before the first window are those of a backfill.
    due = {row.order_id for row in rows if row.changed >= -24 and row.changed < 143 and row.loaded <= 142}
    assert due <= simulated.known.keys()
    assert not sync_progress(simulated.ledger, "test", simulated.shop.lookback).coverage.gaps


def test_while_the_loader_is_down_the_coverage_stands_still_and_that_is_said(simulated: SimulatedShop) -> None:
    replay(simulated, STEADY, range(0, 97, 4))
    progress = sync_progress(simulated.ledger, "test", simulated.shop.lookback)
    assert progress.watermark == START + 47 * HOUR
    assert progress.read_until == START + 96 * HOUR
    assert (progress.is_data_late, progress.oldest_due) == (True, progress.watermark)
    assert simulated.late == [START + hour * HOUR for hour in range(72, 97, 4)]


def test_a_quiet_shop_is_not_late_and_its_windows_cost_nothing(simulated: SimulatedShop) -> None:
    replay(simulated, [Row("1", -20, -19)], range(4))
    progress = sync_progress(simulated.ledger, "test", simulated.shop.lookback)
    assert (progress.is_data_late, progress.oldest_due) == (False, START + 3 * HOUR)
    assert simulated.run(START + 4 * HOUR).start == START - 25 * HOUR


def test_of_two_loaders_the_one_that_is_down_is_waited_for_if_the_shop_says_so(simulated: SimulatedShop) -> None:
    (simulated.under_test.shops / "until.sql").write_text("SELECT '2026-03-03 23:00:00'")
    simulated.shop = simulated.under_test.configure(loaded_until="until.sql")
    of_a = every(1, since=-30, until=144, name="a")
    of_b = [Row(f"b{n}", n, n + 0.1 if n < 47 else 130) for n in range(-24, 120)]
    replay(simulated, [*of_a, *of_b], range(0, 129, 4))
    assert sync_progress(simulated.ledger, "test", simulated.shop.lookback).is_data_late
    (simulated.under_test.shops / "until.sql").write_text("SELECT '2026-03-07 12:00:00'")
    simulated.under_test.add_rows(
        [(row.order_id, "new", (START + row.changed * HOUR).replace(tzinfo=None)) for row in of_b if row.loaded == 130]
    )
    simulated.run(START + 132 * HOUR)
    assert {row.order_id for row in of_b} <= simulated.known.keys()


def test_a_change_of_a_day_that_is_loaded_after_midnight_is_read(simulated: SimulatedShop) -> None:
    with closing(sqlite3.connect(simulated.under_test.warehouse)) as db, db:
        db.executemany("INSERT INTO orders VALUES (?, 'new', ?)", [(f"d{n}", f"2026-03-0{n}") for n in (1, 2, 3)])
    for hour in (0, 24, 25):
        simulated.run(START + hour * HOUR)
    with closing(sqlite3.connect(simulated.under_test.warehouse)) as db, db:
        db.execute("INSERT INTO orders VALUES ('late', 'cancelled', '2026-03-02')")
    simulated.run(START + 26 * HOUR)
    assert simulated.known["late"] == "cancelled"
