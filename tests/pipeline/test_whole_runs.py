"""Whole runs of the DAGs through Airflow, from rows in a real warehouse to the state of a real receiver."""

from __future__ import annotations

import csv
import logging
from contextlib import closing
from datetime import datetime, timedelta

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import PROJECT, SECRET, ShopUnderTest, rees46_connection
from tests.whole_run import CODES, IN_WINDOW, accounted, metadata_text, run_dag


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
    shop.configure(settle="0s")
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


def test_the_tasks_of_a_partition_carry_its_name_and_no_id_is_taken_for_a_template(shop: ShopUnderTest) -> None:
    shop.configure(partition_rows=2)
    shop.add_rows([(None, "new", IN_WINDOW), ("x", "new", IN_WINDOW), ("{{ 7 * 7 }}", "new", IN_WINDOW)])
    names = run_dag().task_names
    first, second = "0: 2 rows, without id to x", "1: 1 rows, {{ 7 * 7 }} to {{ 7 * 7 }}"
    for task_id in ("validate_statuses", "build_batches", "load_batches"):
        assert sorted(names[task_id], key=str) == [first, second]
    assert shop.sandbox.state() == {"x": 0, "{{ 7 * 7 }}": 0}


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
        pytest.param("delivered", "paid", True, 0, 0, id="reopened-if-the-shop-allows-it"),
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


def test_a_second_change_within_the_same_second_is_sent(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])
    run_dag()
    shop.clear_rows()
    shop.add_rows([("1", "delivered", IN_WINDOW)])
    run_dag()
    assert shop.sandbox.state() == {"1": 1}


def test_the_row_read_now_counts_even_if_its_writer_has_a_slow_clock(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "new", IN_WINDOW)])
    run_dag()
    shop.clear_rows()
    shop.add_rows([("1", "delivered", IN_WINDOW - timedelta(minutes=3))])
    run_dag()
    assert shop.sandbox.state() == {"1": 1}


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

    run = run_dag(window_start="2016-01-01T00:00:00Z", window_end="2019-01-01T00:00:00Z")

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
    """
    What REES46 must end with, by plain rules.

    The rows of an order's latest minute decide (one without a time counts as latest), if all of them mean the same.
    """
    latest: dict[str, tuple[float, set[int | None]]] = {}
    for order_id, status, minute in rows:
        key, time = str(order_id), float("inf") if minute is None else minute
        if order_id is not None and key.strip() and time >= latest.get(key, (time, ()))[0]:
            known = latest[key][1] if key in latest and latest[key][0] == time else set()
            latest[key] = (time, {*known, CODES.get((status or "").strip())})
    return {
        order_id: code
        for order_id, (time, codes) in latest.items()
        for code in codes
        if len(codes) == 1
        and code is not None
        and time != float("inf")
        and len(order_id) <= 255
        and "\n" not in order_id
    }


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
    assert run.account["read"] == accounted(run.account) == len(rows)
    assert shop.sandbox.state() == expected_state(rows)
    assert shop.sandbox.stats()["violations"] == {}
    assert len(shop.ledger_rows("SELECT id FROM rees46_rejected_orders")) == run.account["rejected"]
