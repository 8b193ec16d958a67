"""Whole runs of the DAGs through Airflow, from rows in a real warehouse to the state of a real receiver."""

from __future__ import annotations

import csv
import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rees46_sync.exceptions import EarlierReadingError
from rees46_sync.ledger.confirmations import Readings
from rees46_sync.ledger.database import Ledger, RunRef
from rees46_sync.ledger.tables import metadata
from rees46_sync.pipeline import tasks
from rees46_sync.rees46.hook import Rees46Hook
from tests.conftest import PROJECT, QUERY, SECRET, ShopUnderTest, accept, open_request, rees46_connection
from tests.whole_run import EIGHT, metadata_text, run_dag

IN_WINDOW = EIGHT.replace(tzinfo=None) - timedelta(minutes=30)
"""A time inside the window of the hourly run of EIGHT."""

CODES = {"new": 0, "paid": 0, "delivered": 1, "cancelled": 2, "fraud": 2}


def sum_of(account: dict[str, int]) -> int:
    """Everything that the rows of an account became."""
    parts = ("sent", "unchanged", "superseded", "stale", "reopened", "rejected", "failed")
    return sum(account[part] for part in parts)


@pytest.mark.parametrize(
    ("extra", "sent"),
    [
        pytest.param({}, {"new": 0, "paid": 0, "delivered": 1, "cancelled": 2, "fraud": 2}, id="import_sync_orders"),
        pytest.param({"dialect": "sync_orders"}, {status: status for status in CODES}, id="sync_orders"),
    ],
)
def test_sends_each_order_in_its_status_with_its_exact_id(
    shop: ShopUnderTest, extra: dict[str, str], sent: dict[str, object]
) -> None:
    shop.connect("shop_rees46", rees46_connection(shop.sandbox, **extra))
    shop.add_rows(
        [
            ("007", "new", IN_WINDOW),
            (123, "delivered", IN_WINDOW),
            (124.0, " cancelled ", IN_WINDOW),
            ("IDDQD", "fraud", IN_WINDOW),
            ("{{ 1/0 }}", "paid", IN_WINDOW),
            ("заказ-😀", "paid", IN_WINDOW),
        ]
    )
    run = run_dag()
    assert run.state == "success"
    assert shop.sandbox.state() == {
        "007": sent["new"],
        "123": sent["delivered"],
        "124": sent["cancelled"],
        "IDDQD": sent["fraud"],
        "{{ 1/0 }}": sent["paid"],
        "заказ-😀": sent["paid"],
    }
    assert shop.sandbox.stats()["violations"] == {}
    assert run.account["read"] == run.account["sent"] == 6


def test_switching_the_dialect_needs_no_new_history_and_sends_nothing_by_itself(shop: ShopUnderTest) -> None:
    there = rees46_connection(shop.sandbox, dialect="sync_orders")
    back = rees46_connection(shop.sandbox, dialect="import_sync_orders")
    changes = iter(range(60))

    def run_after(*rows: tuple[str, str]) -> tuple[int, int]:
        """How many orders a run sent and left alone after these changes of the warehouse."""
        shop.add_rows([(*row, IN_WINDOW + timedelta(seconds=next(changes))) for row in rows])
        run = run_dag()
        assert run.state == "success"
        assert run.account["requests"] == (1 if run.account["sent"] else 0)
        return run.account["sent"], run.account["unchanged"]

    assert run_after(("1", "new"), ("2", "new"), ("3", "delivered")) == (3, 0)
    shop.connect("shop_rees46", there)
    assert run_after() == (0, 3)
    # Of these two changes one is none for REES46: new and paid are both created.
    assert run_after(("1", "delivered"), ("2", "paid")) == (1, 2)
    assert shop.sandbox.state() == {"1": "delivered", "2": 0, "3": 1}
    shop.connect("shop_rees46", back)
    assert run_after(("2", "fraud")) == (1, 2)
    assert shop.sandbox.state() == {"1": "delivered", "2": 2, "3": 1}
    assert shop.sandbox.stats()["requests"] == 3
    assert shop.sandbox.stats()["violations"] == {}


def test_a_second_run_posts_nothing(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "delivered", IN_WINDOW)])
    run_dag()
    run = run_dag()
    assert run.state == "success"
    assert (run.account["unchanged"], run.account["requests"]) == (2, 0)
    assert shop.sandbox.stats()["requests"] == 1


def test_every_one_of_2500_orders_arrives(shop: ShopUnderTest) -> None:
    shop.configure(partition_rows=1100)
    shop.add_rows([(f"{number:05}", "delivered", IN_WINDOW) for number in range(2500)])
    run = run_dag()
    assert run.account["sent"] == 2500
    assert len(shop.sandbox.state()) == 2500
    assert run.account["requests"] == shop.sandbox.stats()["requests"] == 5


def test_a_request_is_as_large_as_its_dialect_takes(shop: ShopUnderTest) -> None:
    shop.connect("shop_rees46", rees46_connection(shop.sandbox, dialect="sync_orders", status_text="mapped"))
    shop.add_rows([(f"{number:05}", "delivered", IN_WINDOW) for number in range(5001)])
    run = run_dag()
    assert (run.account["sent"], run.account["requests"]) == (5001, 2)
    assert sorted(row["orders"] or 0 for row in shop.sandbox.requests()) == [1, 5000]
    assert set(shop.sandbox.state().values()) == {"completed"}


def test_an_hour_without_orders_is_green_and_silent(shop: ShopUnderTest) -> None:
    run = run_dag()
    assert run.state == "success"
    assert set(run.account.values()) == {0}
    assert shop.sandbox.stats()["requests"] == 0


def test_an_unmapped_status_is_rejected_and_never_guessed(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    shop.add_rows([("1", "on_hold", IN_WINDOW), ("2", "new", IN_WINDOW)])
    with caplog.at_level(logging.INFO):
        run = run_dag()
    assert run.state == "success"
    assert run.account["rejected"] == 1
    assert shop.sandbox.state() == {"2": 0}
    # Airflow decides at its first run in a process which of the two its tasks write to.
    assert "created: [new, paid, on_hold]" in capsys.readouterr().out + caplog.text


def test_a_row_that_stays_broken_is_counted_again_and_stored_once(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "on_hold", IN_WINDOW), (None, "new", IN_WINDOW), (None, "new", IN_WINDOW)])
    assert [run_dag().account["rejected"] for _ in range(2)] == [3, 3]
    stored = shop.ledger_rows("SELECT order_id, status, reason FROM rees46_rejected_orders ORDER BY id")
    assert sorted(stored, key=str) == [
        ("1", "on_hold", "status_unmapped"),
        (None, "new", "order_id_missing"),
        (None, "new", "order_id_missing"),
    ]


def test_no_older_version_goes_out_in_place_of_a_rejected_newest_one(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW), ("1", "on_hold", IN_WINDOW + timedelta(minutes=1))])
    run = run_dag()
    assert (run.account["superseded"], run.account["rejected"], run.account["sent"]) == (1, 1, 0)
    assert shop.sandbox.stats()["requests"] == 0


def test_the_newest_version_goes_out_also_across_partitions(shop: ShopUnderTest) -> None:
    shop.configure(partition_rows=1)
    shop.add_rows(
        [
            (order, status, IN_WINDOW + timedelta(seconds=number))
            for order in "ab"
            for number, status in enumerate(("new", "paid", "delivered"))
        ]
    )
    run = run_dag()
    assert (run.account["sent"], run.account["superseded"]) == (2, 4)
    assert shop.sandbox.state() == {"a": 1, "b": 1}


def test_the_tasks_of_a_partition_bear_its_name_and_no_id_is_taken_for_a_template(shop: ShopUnderTest) -> None:
    shop.configure(partition_rows=2)
    shop.add_rows([(None, "new", IN_WINDOW), ("x", "new", IN_WINDOW), ("{{ 7 * 7 }}", "new", IN_WINDOW)])
    names = run_dag().task_names
    first, second = "0: 2 rows, without id to x", "1: 1 rows, {{ 7 * 7 }} to {{ 7 * 7 }}"
    for task_id in ("validate_statuses", "build_batches", "load_batches"):
        assert sorted(names[task_id], key=str) == [first, second]
    assert shop.sandbox.state() == {"x": 0, "{{ 7 * 7 }}": 0}


@pytest.mark.parametrize(
    ("limits", "rows", "figure"),
    [
        pytest.param(
            {"rejected_share": 0.4}, [("1", "on_hold"), ("2", "new")], "1 of 2 rows are rejected", id="rejected-share"
        ),
        pytest.param(
            {"rejected_share": 1, "changed_orders": 1},
            [("1", "paid"), ("2", "new")],
            "2 orders would change",
            id="changed-orders",
        ),
    ],
)
def test_a_limit_stops_the_run_before_it_sends_until_a_person_decides(
    shop: ShopUnderTest,
    capsys: pytest.CaptureFixture[str],
    limits: dict[str, float],
    rows: list[tuple[str, str]],
    figure: str,
) -> None:
    shop.configure(limits=limits)
    shop.add_rows([(*row, IN_WINDOW) for row in rows])
    stopped = run_dag()
    assert stopped.state == "failed"
    assert stopped.task_states["approve_changes"] == {"failed"}
    assert stopped.account["failed"] == stopped.account["read"] - stopped.account["rejected"]
    assert shop.sandbox.stats()["requests"] == 0
    log = capsys.readouterr().out
    assert figure in log
    assert "with ignore_limits, window_start 2026-02-28T07:00:00+00:00 and window_end 2026-03-01T08:00:00+00:00" in log

    decided = run_dag(ignore_limits=True)
    assert decided.state == "success"
    assert decided.account["sent"] == stopped.account["failed"]


def test_a_dry_run_leaves_no_trace(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "on_hold", IN_WINDOW)])
    run = run_dag(dry_run=True)
    assert run.state == "success"
    assert (run.account["would_send"], run.account["sent"], run.account["rejected"]) == (1, 0, 1)
    assert shop.sandbox.stats()["requests"] == 0
    for table in metadata.tables.keys() - {"rees46_schema_versions"}:
        assert shop.ledger_rows(f"SELECT * FROM {table}") == []


def test_a_dry_run_changes_nothing_and_the_next_run_does_what_it_foretold(shop: ShopUnderTest) -> None:
    staging = shop.folder / "staging" / "test"

    def everything() -> dict[str, object]:
        """What a run could find: the ledger, staged files and REES46."""
        tables = [name for (name,) in shop.ledger_rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            **{name: shop.ledger_rows(f"SELECT * FROM {name} ORDER BY 1") for name in tables},
            "staged files": sorted(staging.rglob("*")),
            "requests": shop.sandbox.requests(),
            "statuses": shop.sandbox.state(),
        }

    shop.configure(staging=f"file://{shop.folder}/staging", partition_rows=2)
    shop.add_rows([(order_id, "delivered", IN_WINDOW) for order_id in ("refunded", "reopened", "unchanged")])
    run_dag()
    shop.add_rows([("refused", "new", IN_WINDOW)])
    shop.sandbox.reset(fault="400@x1", keep_state=True)
    assert run_dag().state == "failed"
    [failed] = staging.iterdir()
    failed.rename(staging / "20260101T000000-0a1b2c3d")  # as old as the next run removes it
    later = IN_WINDOW + timedelta(minutes=1)
    shop.add_rows([("refunded", "cancelled", later), ("reopened", "new", later), ("new", "paid", later)])
    shop.add_rows([("broken", "on_hold", later), (None, "new", later)])
    before = everything()
    assert before.keys() > metadata.tables.keys()
    assert before["staged files"]

    dry = run_dag(dry_run=True)

    assert dry.state == "success"
    assert everything() == before
    run = run_dag()
    foretold = dry.account | {"sent": dry.account["would_send"], "requests": 2}
    assert run.account | {"would_send": 3} == foretold
    assert shop.sandbox.state() == {"refunded": 2, "reopened": 1, "unchanged": 1, "refused": 0, "new": 0}
    assert list(staging.iterdir()) == []


def test_a_dry_run_with_nothing_to_send_says_so(shop: ShopUnderTest) -> None:
    assert run_dag(dry_run=True).account["would_send"] == 0


def test_a_dry_run_shows_days_and_examples_and_its_account_stays_flat(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    shop.configure(partition_rows=2)
    earlier = IN_WINDOW - timedelta(hours=8)
    shop.add_rows([("1", "paid", earlier), ("2", "paid", earlier), ("3", "paid", earlier)])
    run_dag()
    shop.add_rows([("1", "delivered", IN_WINDOW), ("3", "fraud", earlier), ("5😀", "fraud", IN_WINDOW)])
    with caplog.at_level(logging.INFO):
        run = run_dag(dry_run=True)
    lines = [" ".join(line.split()) for line in (capsys.readouterr().out + caplog.text).splitlines()]
    for line in (
        "Would be sent, by day of updated_at",
        "2026-02-28 0 0 1",
        "2026-03-01 0 1 1",
        "1 delivered completed created 2026-03-01 07:30:00",
        "3 fraud cancelled created 2026-02-28 23:30:00",
        "5😀 fraud cancelled nothing 2026-03-01 07:30:00",
    ):
        assert line in lines
    assert list(run.account)[-2:] == ["requests", "would_send"]
    assert {type(value) for value in run.account.values()} == {int}


def test_a_dry_run_goes_on_over_a_limit_because_it_is_the_way_to_look_first(shop: ShopUnderTest) -> None:
    shop.configure(limits={"changed_orders": 0, "rejected_share": 1})
    shop.add_rows([("1", "new", IN_WINDOW)])
    run = run_dag(dry_run=True)
    assert run.state == "success"
    assert run.account["would_send"] == 1


def test_more_partitions_than_airflow_maps_is_an_error_that_says_what_to_set(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.configure(partition_rows=1)
    shop.add_rows([(str(number), "new", IN_WINDOW) for number in range(1025)])
    assert run_dag().state == "failed"
    assert "set it to 2 or more" in capsys.readouterr().out


def test_a_row_with_characters_that_no_database_takes_is_rejected_like_any_other(shop: ShopUnderTest) -> None:
    shop.add_rows([("nul\x00", "st\x00", IN_WINDOW), ("x" * 100_000, "new", IN_WINDOW), ("1", "new", IN_WINDOW)])
    run = run_dag()
    assert (run.state, run.account["rejected"], run.account["sent"]) == ("success", 2, 1)
    stored = dict(shop.ledger_rows("SELECT order_id, status FROM rees46_rejected_orders"))
    assert stored["nul\\x00"] == "st\\x00"
    assert max(map(len, stored)) == 1001


def test_resend_sends_what_rees46_has_already(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])
    run_dag()
    run = run_dag(resend=True)
    assert run.account["sent"] == 1
    assert shop.sandbox.stats()["orders"] == 2


def test_resend_sends_its_window_again_and_nothing_older_than_what_rees46_has(shop: ShopUnderTest) -> None:
    january = {"window_start": "2026-01-01T00:00:00Z", "window_end": "2026-02-01T00:00:00Z"}
    in_january = "2026-01-15 12:00:00"
    shop.add_rows([("same", "paid", in_january), ("changed since", "paid", in_january), ("later", "new", IN_WINDOW)])
    shop.add_rows([("changed since", "delivered", IN_WINDOW), ("final", "delivered", in_january)])
    run_dag(**january)
    run_dag()
    shop.add_rows([("final", "new", "2026-01-16 12:00:00")])
    shop.sandbox.reset()

    run = run_dag(**january, resend=True)

    assert run.state == "success"
    assert shop.sandbox.state() == {"same": 0}
    assert (run.account["sent"], run.account["stale"], run.account["reopened"]) == (1, 1, 1)


def test_a_resend_of_months_in_any_order_leaves_the_newest_status(shop: ShopUnderTest) -> None:
    shop.add_rows(
        [("1", "delivered", "2025-10-15"), ("1", "cancelled", "2025-11-15"), ("1", "delivered", "2025-12-15")]
    )
    run_dag(window_start="2025-10-01T00:00:00Z", window_end="2026-01-01T00:00:00Z")
    for end in ("2026-01-01", "2025-11-01", "2025-12-01"):
        month = datetime.fromisoformat(f"{end}T00:00:00Z")
        assert run_dag("order_status_history_test", logical_date=month, resend=True).account["read"] == 1
    assert shop.sandbox.state() == {"1": 1}


@pytest.mark.parametrize(
    ("before", "after", "allow_reopen", "ends_as", "held_back"),
    [
        pytest.param("delivered", "paid", False, 1, 1, id="completed-stays-completed"),
        pytest.param("cancelled", "new", False, 2, 1, id="cancelled-stays-cancelled"),
        pytest.param("delivered", "paid", True, 0, 0, id="reopened-where-the-shop-allows-it"),
        pytest.param("delivered", "cancelled", False, 2, 0, id="a-refund-is-sent"),
        pytest.param("paid", "cancelled", False, 2, 0, id="a-cancellation-is-sent"),
    ],
)
def test_final_means_final(
    shop: ShopUnderTest, before: str, after: str, allow_reopen: bool, ends_as: int, held_back: int
) -> None:
    shop.configure(allow_reopen=allow_reopen)
    shop.add_rows([("1", before, IN_WINDOW)])
    run_dag()
    shop.add_rows([("1", after, IN_WINDOW + timedelta(minutes=5))])
    run = run_dag()
    assert run.state == "success"
    assert run.account["reopened"] == held_back
    assert shop.sandbox.state() == {"1": ends_as}
    assert len(shop.ledger_rows("SELECT * FROM rees46_rejected_orders WHERE reason = 'reopened'")) == held_back


@pytest.mark.parametrize(
    "behind",
    [
        pytest.param(timedelta(minutes=40), id="by-40-minutes"),
        pytest.param(timedelta(0), id="at-the-time-of-the-newest-row-that-was-sent"),
        pytest.param(timedelta(hours=23, minutes=29), id="by-almost-the-lookback"),
    ],
)
def test_a_row_that_lands_late_behind_the_window_is_sent(shop: ShopUnderTest, behind: timedelta) -> None:
    shop.add_rows([("in-time", "new", IN_WINDOW)])
    run_dag()
    shop.add_rows([("late", "delivered", IN_WINDOW - behind)])
    run = run_dag(logical_date=EIGHT + timedelta(hours=1))
    assert (run.account["sent"], run.account["unchanged"]) == (1, 1)
    assert shop.sandbox.state() == {"in-time": 0, "late": 1}


def test_a_window_by_hand_does_not_shorten_how_far_the_next_run_looks_back(shop: ShopUnderTest) -> None:
    shop.configure(lookback="3h")
    run_dag()
    shop.add_rows([("late", "delivered", IN_WINDOW - timedelta(hours=2))])
    by_hand = {"window_start": "2026-03-01T07:30:00", "window_end": "2026-03-01T11:00:00"}
    assert run_dag(logical_date=EIGHT + timedelta(hours=3), **by_hand).account["read"] == 0
    run_dag(logical_date=EIGHT + timedelta(hours=4))
    assert shop.sandbox.state() == {"late": 1}


@pytest.mark.parametrize("cause", ["rees46-refuses", "query-without-its-columns"])
def test_nothing_is_lost_of_the_days_before_a_shops_first_success(shop: ShopUnderTest, cause: str) -> None:
    shop.configure(lookback="0h")
    shop.add_rows([("1", "delivered", IN_WINDOW)])
    if cause == "query-without-its-columns":
        (shop.shops / "orders.sql").write_text("SELECT 1 AS id WHERE :window_start < :window_end")
    shop.sandbox.reset(fault="403@1")
    assert [run_dag(logical_date=EIGHT + timedelta(hours=hours)).state for hours in (0, 1)] == ["failed", "failed"]
    (shop.shops / "orders.sql").write_text(QUERY)
    shop.sandbox.reset()
    assert run_dag(logical_date=EIGHT + timedelta(days=4)).state == "success"
    assert shop.sandbox.state() == {"1": 1}


def test_one_run_makes_good_an_outage_of_days(shop: ShopUnderTest) -> None:
    run_dag()
    shop.add_rows([("in-the-outage", "delivered", IN_WINDOW + timedelta(hours=3))])
    run_dag(logical_date=EIGHT + timedelta(days=4))
    assert shop.sandbox.state() == {"in-the-outage": 1}


@pytest.mark.parametrize(
    "ahead",
    [
        pytest.param(timedelta(0), id="at-its-edge"),
        pytest.param(timedelta(minutes=5), id="its-writer-has-a-fast-clock"),
    ],
)
def test_a_row_at_the_end_of_a_window_belongs_to_the_next_run(shop: ShopUnderTest, ahead: timedelta) -> None:
    shop.configure(lookback="0h")
    shop.add_rows([("edge", "delivered", EIGHT.replace(tzinfo=None) + ahead)])
    assert run_dag().account["read"] == 0
    assert run_dag(logical_date=EIGHT + timedelta(hours=1)).account["sent"] == 1


@pytest.mark.parametrize(
    ("dag_id", "of_its_own"),
    [
        pytest.param(
            "order_status_sync_test",
            {"window_start": "2026-03-01T10:00:00Z", "window_end": "2026-03-01T11:00:00Z"},
            id="by-hand",
        ),
        pytest.param("order_status_history_test", {"logical_date": EIGHT.replace(month=5)}, id="history"),
        pytest.param("order_status_sync_test", {"logical_date": EIGHT.replace(hour=11), "dry_run": True}, id="dry-run"),
    ],
)
def test_a_run_beside_the_schedule_does_not_make_the_next_scheduled_run_skip_a_row(
    shop: ShopUnderTest, dag_id: str, of_its_own: dict[str, Any]
) -> None:
    shop.configure(lookback="0h")
    run_dag()
    shop.add_rows([("1", "delivered", IN_WINDOW + timedelta(hours=1))])
    assert run_dag(dag_id, **of_its_own).state == "success"
    assert shop.sandbox.state() == {}
    run_dag(logical_date=EIGHT.replace(hour=12))
    assert shop.sandbox.state() == {"1": 1}


def test_a_second_change_within_the_same_second_is_sent(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])
    run_dag()
    shop.clear_rows()
    shop.add_rows([("1", "delivered", IN_WINDOW)])
    run_dag()
    assert shop.sandbox.state() == {"1": 1}


def test_the_row_read_now_counts_also_where_its_writer_has_a_slow_clock(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])
    run_dag()
    shop.clear_rows()
    shop.add_rows([("1", "delivered", IN_WINDOW - timedelta(minutes=3))])
    run_dag()
    assert shop.sandbox.state() == {"1": 1}


def begin_older_reading() -> RunRef:
    """Let another run have read the warehouse a moment ago, and not have loaded yet."""
    run = RunRef("test", "order_status_history_test", "older-run", "older-reading")
    ledger = Ledger.of_connection("shop_ledger")
    Readings(ledger).begin(run, datetime.now(UTC), EIGHT - timedelta(days=1))
    return run


@pytest.mark.clock
def test_a_run_that_has_nothing_to_send_tells_an_older_reading_what_it_saw(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "delivered", IN_WINDOW), ("2", "delivered", IN_WINDOW)])
    run_dag()
    older = begin_older_reading()
    shop.clear_rows()
    shop.add_rows([("1", "delivered", IN_WINDOW + timedelta(minutes=1)), ("2", "delivered", IN_WINDOW)])
    run = run_dag()
    assert (run.account["unchanged"], run.account["sent"]) == (2, 0)
    known = Ledger.of_connection("shop_ledger").lookup("test", ["1", "2"], older.extraction_id)
    assert known.set_index("order_id")["overtaken_at"].notna().to_dict() == {"1": True, "2": False}


@pytest.mark.clock
def test_what_an_older_reading_sends_at_the_moment_it_is_overtaken_is_put_right_by_the_one_that_overtook_it(
    shop: ShopUnderTest,
) -> None:
    shop.add_rows([("1", "delivered", IN_WINDOW)])
    run_dag()
    older = begin_older_reading()
    shop.clear_rows()
    shop.add_rows([("1", "delivered", IN_WINDOW + timedelta(minutes=2))])
    at = pd.Series([IN_WINDOW + timedelta(minutes=1)], dtype="datetime64[us]").dt.tz_localize("UTC")
    cancelled = pd.DataFrame({"order_id": ["1"], "code": 2, "updated_at": at})
    sent_already = False

    def send_right_before_the_note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal sent_already
        if "INTO rees46_overtaken_orders" in statement and not sent_already:
            sent_already = True
            Rees46Hook("shop_rees46").send([("1", 2)])
            accept(Ledger.of_connection("shop_ledger"), older, 0, cancelled)

    sa.event.listen(sa.Engine, "before_cursor_execute", send_right_before_the_note)
    try:
        run = run_dag()
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", send_right_before_the_note)
    assert sent_already
    assert (run.account["sent"], run.account["unchanged"]) == (1, 0)
    assert shop.sandbox.state() == {"1": 1}


def test_a_reading_is_open_until_its_run_succeeds_or_its_staged_files_are_too_old(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])
    run_dag()
    assert shop.ledger_rows("SELECT count(*) FROM rees46_open_readings") == [(0,)]
    shop.add_rows([("2", "new", IN_WINDOW)])
    shop.sandbox.reset(fault="400@x1", keep_state=True)
    assert run_dag().state == "failed"
    assert shop.ledger_rows("SELECT count(*) FROM rees46_open_readings") == [(1,)]
    run_dag()
    assert shop.ledger_rows("SELECT count(*) FROM rees46_open_readings") == [(1,)]
    with closing(sqlite3.connect(shop.ledger_file)) as db, db:
        db.execute("UPDATE rees46_open_readings SET began_at = '2026-01-01 00:00:00.000000'")
    run_dag()
    assert shop.ledger_rows("SELECT count(*) FROM rees46_open_readings") == [(0,)]


def test_history_over_a_table_of_events_never_overwrites_what_came_later(shop: ShopUnderTest) -> None:
    january = "2026-01-15 12:00:00"
    shop.add_rows([("1", "paid", january), ("2", "paid", january), ("1", "delivered", IN_WINDOW)])
    run_dag()
    assert shop.sandbox.state() == {"1": 1}
    run = run_dag("order_status_history_test", logical_date=EIGHT.replace(month=2, day=1, hour=0))
    assert run.state == "success"
    assert (run.account["stale"], run.account["sent"]) == (1, 1)
    assert shop.sandbox.state() == {"1": 1, "2": 0}


def test_a_run_by_hand_reads_the_window_that_it_names(shop: ShopUnderTest) -> None:
    shop.add_rows([("old", "new", "2025-05-05 05:05:05"), ("new", "new", IN_WINDOW)])
    run = run_dag(window_start="2025-05-05T05:05:05Z", window_end="2025-05-05T05:05:06Z")
    assert run.account["read"] == 1
    assert shop.sandbox.state() == {"old": 0}


def test_a_window_that_ends_before_it_starts_is_refused_with_both_ends(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_dag(window_start="2026-03-02T00:00:00Z", window_end="2026-03-01T00:00:00Z")
    assert run.state == "failed"
    assert "window_start 2026-03-02T00:00:00+00:00 is not before window_end 2026-03-01" in capsys.readouterr().out


def test_a_run_without_a_data_interval_takes_its_window_from_the_last_success(shop: ShopUnderTest) -> None:
    run_dag()
    shop.add_rows([("1", "new", IN_WINDOW + timedelta(hours=5))])
    assert run_dag(logical_date=None, run_after=EIGHT + timedelta(hours=6)).account["sent"] == 1


@pytest.mark.parametrize("fault", ["error_in_200@x1", "400@x1"])
def test_what_was_refused_is_failed_and_red_and_a_later_run_sends_it(shop: ShopUnderTest, fault: str) -> None:
    shop.configure(lookback="0h")
    run_dag(logical_date=EIGHT - timedelta(hours=1))
    shop.add_rows([(f"{number:04}", "new", IN_WINDOW) for number in range(1500)])
    shop.sandbox.reset(fault=fault)
    refused = run_dag()
    assert refused.state == "failed"
    assert refused.task_states["load_batches"] == {"failed"}
    assert sum_of(refused.account) == refused.account["read"] == 1500
    assert refused.account["failed"] in (500, 1000)
    assert refused.account["sent"] == 1500 - refused.account["failed"]
    made_good = run_dag(logical_date=EIGHT + timedelta(hours=1))
    assert made_good.state == "success"
    assert made_good.account["sent"] == refused.account["failed"]
    assert len(shop.sandbox.state()) == 1500


def test_what_a_killed_task_left_open_is_sent_once_more(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "cancelled", IN_WINDOW), ("2", "cancelled", IN_WINDOW)])
    run_dag()
    at = pd.Series([IN_WINDOW], dtype="datetime64[us, UTC]")
    orders = pd.DataFrame({"order_id": ["1"], "code": 2, "updated_at": at})
    killed = RunRef("test", "order_status_sync_test", "killed-run", "killed-reading")
    open_request(Ledger.of_connection("shop_ledger"), killed, orders)
    assert [run_dag().account["sent"] for _ in range(2)] == [1, 0]


def test_rows_of_an_earlier_reading_go_no_further(shop: ShopUnderTest) -> None:
    judged = {"index": 0, "reading": {"extraction_id": "20260301T080000-0a1b2c3d"}, "path": "not looked at"}
    partition = {"index": 0, "name": "0", "reading": {"extraction_id": "20260301T090000-0a1b2c3d"}}
    kept_by_airflow = SimpleNamespace(map_index=0, xcom_pull=lambda **_: judged)
    with pytest.raises(EarlierReadingError, match=r"reading 20260301T080000.*about reading 20260301T090000.*clear"):
        tasks.build_batches(str(shop.shops / "test.yaml"), partition, ti=kept_by_airflow)  # type: ignore[arg-type]


def test_the_secret_is_in_no_log_xcom_staged_file_or_ledger(
    shop: ShopUnderTest, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    shop.configure(staging=f"file://{shop.folder}/staging")
    shop.add_rows([("1", "new", IN_WINDOW)])
    shop.sandbox.reset(fault="error_in_200@1")
    with caplog.at_level(logging.DEBUG):
        assert run_dag().state == "failed"
    places = {
        "logs": caplog.text + "".join(capfd.readouterr()),
        "metadata": metadata_text("order_status_sync_test"),
        "staged files": "".join(
            file.read_bytes().decode("latin-1") for file in (shop.folder / "staging").rglob("*") if file.is_file()
        ),
        "ledger": shop.ledger_file.read_bytes().decode("latin-1"),
    }
    assert all(places.values())
    assert [place for place, text in places.items() if SECRET in text] == []


def test_the_ledger_records_the_run_as_the_account_says(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "on_hold", IN_WINDOW), ("1", "paid", IN_WINDOW)])
    run = run_dag()
    columns = ", ".join(run.account)
    assert shop.ledger_rows(f"SELECT outcome, {columns} FROM rees46_sync_runs") == [("success", *run.account.values())]
    assert list(run.account) == [
        "read", "sent", "unchanged", "superseded", "stale", "reopened", "rejected", "failed", "requests"
    ]  # fmt: skip


def test_staged_files_go_with_success_and_stay_with_failure(shop: ShopUnderTest) -> None:
    staging = shop.folder / "staging"
    shop.configure(staging=f"file://{staging}")
    shop.add_rows([("1", "new", IN_WINDOW)])
    shop.sandbox.reset(fault="error_in_200@x1")
    run_dag()
    assert len(list((staging / "test").iterdir())) == 1
    shop.sandbox.reset()
    run_dag()
    assert len(list((staging / "test").iterdir())) == 1


def test_a_warehouse_that_is_duckdb_serves_as_well(shop: ShopUnderTest) -> None:
    file = shop.folder / "warehouse.duckdb"
    with closing(duckdb.connect(str(file))) as db:
        db.execute("CREATE TABLE orders (order_id BIGINT, status TEXT, updated_at TIMESTAMP)")
        db.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(n, "delivered", IN_WINDOW) for n in range(3)])
    shop.connect("shop_warehouse", f'{{"conn_type": "duckdb", "host": "{file}"}}')
    assert run_dag().state == "success"
    assert shop.sandbox.state() == {"0": 1, "1": 1, "2": 1}


OLIST = PROJECT.parent / "shared" / "data" / "olist_orders.csv"


@pytest.mark.skipif(
    not OLIST.exists(), reason=f"the real orders are not at {OLIST}; their licence keeps them out of here"
)
def test_real_orders_end_at_rees46_exactly(shop: ShopUnderTest) -> None:
    file = shop.folder / "olist.duckdb"
    with closing(duckdb.connect(str(file))) as db:
        db.execute("CREATE TABLE orders AS SELECT * FROM read_csv($csv, all_varchar = true)", {"csv": str(OLIST)})
    (shop.shops / "olist.sql").write_text(
        """
        SELECT order_id, order_status AS status, updated_at FROM (
            SELECT *, greatest(
                order_purchase_timestamp::TIMESTAMP, order_approved_at::TIMESTAMP,
                order_delivered_carrier_date::TIMESTAMP, order_delivered_customer_date::TIMESTAMP
            ) AS updated_at
            FROM orders
        ) WHERE updated_at >= :window_start AND updated_at < :window_end
        """
    )
    shop.connect("shop_warehouse", f'{{"conn_type": "duckdb", "host": "{file}"}}')
    statuses = {
        "created": ["created", "approved", "processing", "invoiced", "shipped"],
        "completed": ["delivered"],
        "cancelled": ["canceled", "unavailable"],
    }
    shop.configure(query="olist.sql", statuses=statuses, partition_rows=1500)
    codes = {status: code for code, name in enumerate(statuses) for status in statuses[name]}
    with OLIST.open(newline="") as lines:
        truth = {row["order_id"]: codes[row["order_status"]] for row in csv.DictReader(lines)}

    run = run_dag(window_start="2016-01-01T00:00:00", window_end="2019-01-01T00:00:00")

    assert run.state == "success"
    assert shop.sandbox.state() == truth
    assert (run.account["sent"], run.account["rejected"]) == (4084, 0)


STATUS = st.sampled_from([*CODES, "on_hold", " paid ", "", None])
ORDER_ID = st.one_of(st.sampled_from(["1", 1, "01", "a", "A", None, " ", "x" * 256, "a\nb"]), st.text(max_size=3))
MINUTE = st.one_of(st.integers(0, 59), st.none())
ROWS = st.lists(
    st.tuples(ORDER_ID.filter(lambda i: not isinstance(i, str) or i.isprintable() or "\n" in i), STATUS, MINUTE),
    max_size=40,
)


def expected_state(rows: list[tuple[object, str | None, int | None]]) -> dict[str, int]:
    """What REES46 must end with, by plain rules: an order's last row (one without a time counts as last) decides."""
    newest: dict[str, tuple[float, int]] = {}
    for number, (order_id, _, minute) in enumerate(rows):
        if order_id is not None and str(order_id).strip():
            version = (float("inf") if minute is None else minute, number)
            newest[str(order_id)] = max(newest.get(str(order_id), version), version)
    state = {}
    for order_id, (minute, number) in newest.items():
        status = (rows[number][1] or "").strip()
        if status in CODES and minute != float("inf") and len(order_id) <= 255 and "\n" not in order_id:
            state[order_id] = CODES[status]
    return state


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=ROWS, partition_rows=st.integers(1, 9))
def test_any_mix_of_rows_closes_the_sum_and_ends_right(
    tmp_path_factory: pytest.TempPathFactory,
    shop: ShopUnderTest,
    rows: list[tuple[object, str | None, int | None]],
    partition_rows: int,
) -> None:
    shop.clear_rows()
    shop.sandbox.reset()
    shop.ledger_file = tmp_path_factory.mktemp("ledger") / "ledger.db"
    shop.connect("shop_ledger", f"sqlite:///{shop.ledger_file}")
    shop.configure(partition_rows=partition_rows)
    start = IN_WINDOW.replace(minute=0)
    shop.add_rows([(i, s, None if m is None else start + timedelta(minutes=m)) for i, s, m in rows])

    run = run_dag()

    assert run.state == "success"
    assert run.account["read"] == sum_of(run.account) == len(rows)
    assert shop.sandbox.state() == expected_state(rows)
    assert shop.sandbox.stats()["violations"] == {}
    assert len(shop.ledger_rows("SELECT id FROM rees46_rejected_orders")) == run.account["rejected"]
