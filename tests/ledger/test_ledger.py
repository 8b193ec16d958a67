"""The ledger on SQLite, PostgreSQL and MariaDB: what it holds is what REES46 has, and nothing gets lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Timer
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from rees46_sync.exceptions import ConnectionFieldsError, LedgerError
from rees46_sync.ledger import tables as ledger_tables
from rees46_sync.ledger.database import QUARANTINE_CHUNK, Answer, Ledger, OpenRequest, RejectedRow, RunRef
from rees46_sync.ledger.lookup import LOOKUP_CHUNK
from rees46_sync.rees46.payload import DIALECTS
from tests.conftest import accept, open_request

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKYO = timezone(timedelta(hours=9))
RUN = RunRef(shop="test", dag_id="dag", run_id="run-1", extraction_id="reading-1")
MOST_ORDERS = max(dialect.max_orders for dialect in DIALECTS.values())
LATER_RUN = RunRef(shop="test", dag_id="dag", run_id="run-2", extraction_id="reading-2")


@pytest.fixture
def open_ledger(empty_database: str) -> Iterator[Callable[[], Ledger]]:
    """Open the same ledger once more, with an engine of its own, as another process would."""
    opened: list[Ledger] = []

    def open_one() -> Ledger:
        opened.append(Ledger.of_connection(empty_database))
        return opened[-1]

    yield open_one
    for ledger in opened:
        ledger.engine.dispose()


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    ledger = open_ledger()
    ledger.create()
    return ledger


def orders_of(*orders: tuple[str, int], at: datetime = NOON) -> pd.DataFrame:
    frame = pd.DataFrame(orders, columns=["order_id", "code"])
    return frame.assign(updated_at=pd.Series([at] * len(orders), dtype="datetime64[us, UTC]"))


def statuses_in(known: pd.DataFrame) -> dict[str, int]:
    return dict(zip(known["order_id"], known["known_status"], strict=True))


def rows_of(ledger: Ledger, table: sa.Table) -> list[dict[str, Any]]:
    with ledger.engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()]


def chain_of(error: BaseException | None) -> list[BaseException]:
    chain = []
    while error is not None:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


# The tables


def test_creating_the_tables_again_keeps_what_is_in_them(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("1", 1)), 1)

    ledger.create()

    assert statuses_in(ledger.lookup("test", ["1"])) == {"1": 1}


def test_several_tasks_can_create_the_tables_at_once(open_ledger: Callable[[], Ledger]) -> None:
    ledgers = [open_ledger() for _ in range(4)]

    with ThreadPoolExecutor(len(ledgers)) as threads:
        for done in [threads.submit(ledger.create) for ledger in ledgers]:
            done.result()

    assert set(sa.inspect(ledgers[0].engine).get_table_names()) >= ledger_tables.metadata.tables.keys()


def test_opening_a_new_sqlite_ledger_waits_for_a_task_that_writes_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "ledger.db"
    monkeypatch.setenv("AIRFLOW_CONN_NEW_LEDGER", f"sqlite:///{database}")
    ledger = Ledger.of_connection("new_ledger")
    other_task = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    other_task.execute("CREATE TABLE of_another_project (id INTEGER)")
    other_task.execute("BEGIN IMMEDIATE")
    Timer(0.5, other_task.rollback).start()

    ledger.create()

    assert ledger.mark() == 0
    ledger.engine.dispose()
    other_task.close()


def test_the_lookup_has_an_index_to_use(ledger: Ledger) -> None:
    indexes = {index["name"] for index in sa.inspect(ledger.engine).get_indexes("rees46_accepted_statuses")}

    assert "rees46_accepted_statuses_order" in indexes


# What REES46 has


def test_a_ledger_without_rows_knows_nothing(ledger: Ledger) -> None:
    known = ledger.lookup("test", ["1", "2"])

    assert ledger.mark() == 0
    assert known.empty
    assert known.dtypes.astype(str).to_dict() == {
        "order_id": "str",
        "known_id": "int64",
        "known_status": "int64",
        "known_updated_at": "datetime64[us, UTC]",
        "sent_here": "bool",
        "newest_updated_at": "datetime64[us, UTC]",
        "uncertain": "bool",
        "overtaken_at": "datetime64[us, UTC]",
    }
    assert ledger.lookup("test", []).dtypes.equals(known.dtypes)


def test_the_latest_accepted_row_is_what_rees46_has(ledger: Ledger) -> None:
    for run, status, hours in ((RUN, 0, 0), (RUN, 2, 3), (LATER_RUN, 1, 1)):
        accept(ledger, run, 0, orders_of(("1", status), at=NOON + timedelta(hours=hours)), 1)

    known = ledger.lookup("test", ["1", "unheard-of"])

    assert known[["order_id", "known_status", "known_updated_at"]].values.tolist() == [
        ["1", 1, pd.Timestamp(NOON + timedelta(hours=1))]
    ]


def test_the_mark_separates_before_from_after(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("1", 1), ("2", 1)), 1)
    mark = ledger.mark()
    accept(ledger, LATER_RUN, 0, orders_of(("2", 2)), 1)

    since = ledger.lookup("test", ["1", "2"]).set_index("order_id")["known_id"] > mark

    assert since.to_dict() == {"1": False, "2": True}
    assert ledger.mark() > mark


@pytest.mark.parametrize("count", [LOOKUP_CHUNK, LOOKUP_CHUNK + 1, 2 * LOOKUP_CHUNK + 345])
def test_more_orders_than_one_statement_takes_are_looked_up(ledger: Ledger, count: int) -> None:
    sent = {f"order-{number}": number % 3 for number in range(count)}
    accept(ledger, RUN, 0, orders_of(*sent.items()), 1)

    known = ledger.lookup("test", [*sent, "unheard-of"], RUN.extraction_id)

    assert statuses_in(known) == sent
    assert len(known) == count
    assert known["sent_here"].all()


ODD_IDS = ["a1", "A1", "007", "7", "7.0", " 7", "7 ", "it's", 'say "hi"', "%s", ":ids", "a\\b", "заказ-🎁", "e\u0301"]


def test_ids_are_compared_exactly(ledger: Ledger) -> None:
    sent = {order_id: number % 3 for number, order_id in enumerate(ODD_IDS)}
    accept(ledger, RUN, 0, orders_of(*sent.items()), 1)

    assert statuses_in(ledger.lookup("test", ODD_IDS)) == sent
    for order_id in ODD_IDS:
        assert statuses_in(ledger.lookup("test", [order_id])) == {order_id: sent[order_id]}
    assert ledger.lookup("test", ["07", "A1 ", "заказ-🎀", "E\u0301"]).empty


def test_the_longest_id_that_is_valid_has_room(ledger: Ledger) -> None:
    longest = "🎁" * 255
    accept(ledger, RUN, 0, orders_of((longest, 1)), 1)

    assert statuses_in(ledger.lookup("test", [longest])) == {longest: 1}


def test_two_shops_of_one_database_do_not_mix(ledger: Ledger) -> None:
    other = RunRef(shop="other", dag_id="dag", run_id="run-1", extraction_id="reading-other")
    accept(ledger, RUN, 0, orders_of(("1", 1), ("2", 1)), 1)
    accept(ledger, other, 0, orders_of(("1", 2)), 1)

    assert statuses_in(ledger.lookup("test", ["1", "2"])) == {"1": 1, "2": 1}
    assert statuses_in(ledger.lookup("other", ["1", "2"])) == {"1": 2}


@pytest.mark.parametrize(
    ("readings", "sent_here"),
    [
        pytest.param([RUN], True, id="by-this-reading"),
        pytest.param([LATER_RUN], False, id="by-another-reading"),
        pytest.param([LATER_RUN, RUN], True, id="by-this-reading-after-another"),
        pytest.param([RUN, LATER_RUN], True, id="by-this-reading-before-another"),
    ],
)
def test_says_whether_a_reading_sent_an_order_itself(ledger: Ledger, readings: list[RunRef], sent_here: bool) -> None:
    for reading in readings:
        accept(ledger, reading, 0, orders_of(("1", 1)), 1)

    assert ledger.lookup("test", ["1"], RUN.extraction_id)["sent_here"].tolist() == [sent_here]
    assert ledger.lookup("test", ["1"])["sent_here"].tolist() == [False]


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC), id="utc-microseconds"),
        pytest.param(datetime(2026, 3, 1, 0, 30, tzinfo=TOKYO), id="another-zone-another-day"),
        pytest.param(datetime(2026, 3, 29, 2, 30, tzinfo=timezone(timedelta(hours=-3, minutes=-30))), id="half-hour"),
        pytest.param(datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), id="last-century"),
    ],
)
def test_timestamps_come_back_as_the_same_moment_in_utc(ledger: Ledger, moment: datetime) -> None:
    accept(ledger, RUN, 0, orders_of(("1", 1), at=moment), 1)

    known = ledger.lookup("test", ["1"])["known_updated_at"]

    assert str(known.dtype) == "datetime64[us, UTC]"
    assert known.tolist() == [pd.Timestamp(moment.astimezone(UTC))]


def test_a_timestamp_without_a_zone_is_refused_and_nothing_is_stored(ledger: Ledger) -> None:
    naive = orders_of(("1", 1)).assign(updated_at=pd.to_datetime(["2026-03-01 12:00"]))

    with pytest.raises(ValueError, match="timestamps without a time zone"):
        accept(ledger, RUN, 0, naive, 1)
    with pytest.raises((ValueError, sa.exc.StatementError), match="a timestamp without a time zone"):
        ledger.save_run(**run_record("run-1", window_end=datetime(2026, 3, 1)))  # noqa: DTZ001 - naive on purpose

    assert ledger.lookup("test", ["1"]).empty
    assert ledger.delivered(RUN.extraction_id) == {}


ACCEPTED, UNANSWERED = "accepted", "unanswered"


@pytest.mark.parametrize(
    ("events", "uncertain"),
    [
        pytest.param([(ACCEPTED, "1")], [False], id="accepted"),
        pytest.param([(ACCEPTED, "1"), (UNANSWERED, "1")], [True], id="then-unanswered"),
        pytest.param([(UNANSWERED, "1"), (ACCEPTED, "1")], [False], id="unanswered-then-accepted"),
        pytest.param([(ACCEPTED, "1"), (UNANSWERED, "1"), (ACCEPTED, "1")], [False], id="accepted-again"),
        pytest.param([(ACCEPTED, "1"), (UNANSWERED, "1"), (ACCEPTED, "2")], [True], id="another-order-accepted"),
        pytest.param([(ACCEPTED, "1"), (ACCEPTED, "2"), (UNANSWERED, "2")], [False], id="another-order-unanswered"),
        pytest.param([(UNANSWERED, "1"), (ACCEPTED, "1"), (UNANSWERED, "1")], [True], id="unanswered-again"),
        pytest.param([(UNANSWERED, "1")], [True], id="never-accepted"),
        pytest.param([(UNANSWERED, "2")], [], id="never-sent"),
    ],
)
def test_an_order_is_uncertain_from_a_missing_answer_until_it_is_accepted_again(
    ledger: Ledger, events: list[tuple[str, str]], uncertain: list[bool]
) -> None:
    for event, order_id in events:
        if event == ACCEPTED:
            accept(ledger, RUN, 0, orders_of((order_id, 1)), 1)
        else:
            open_request(ledger, RUN, orders_of((order_id, 1)))
            ledger.note_unanswered("test")

    assert ledger.lookup("test", ["1"])["uncertain"].tolist() == uncertain


def test_a_batch_as_large_as_any_dialect_takes_is_opened_recorded_and_uncertain_as_a_whole(ledger: Ledger) -> None:
    orders = orders_of(*((f"order-{number}", number % 3) for number in range(MOST_ORDERS)))
    ids = orders["order_id"].tolist()

    accept(ledger, RUN, 0, orders)
    assert statuses_in(ledger.lookup("test", ids)) == dict(zip(ids, orders["code"], strict=True))
    open_request(ledger, LATER_RUN, orders)
    ledger.note_unanswered("test")

    assert ledger.lookup("test", ids)["uncertain"].tolist() == [True] * len(ids)
    assert ledger.delivered("reading-1") == {0: len(ids)}


def test_the_longest_ids_fit_into_a_batch_and_into_a_lookup_as_large_as_there_are(ledger: Ledger) -> None:
    ids = ["🎁" * 250 + f"{number:05}" for number in range(LOOKUP_CHUNK)]
    orders = orders_of(*((order_id, 1) for order_id in ids[:MOST_ORDERS]))

    accept(ledger, RUN, 0, orders)

    assert statuses_in(ledger.lookup("test", ids)) == dict.fromkeys(ids[:MOST_ORDERS], 1)
    assert ledger.lookup("test", ['"' * 255, *["\\" * 250 + order_id[-5:] for order_id in ids[1:]]]).empty


def test_a_request_that_an_earlier_version_left_open_is_understood(ledger: Ledger) -> None:
    table = ledger_tables.open_requests
    with ledger.engine.begin() as connection:
        connection.execute(sa.insert(table).values(shop="test", orders=f'{{"1": "{NOON.isoformat()}"}}'))

    ledger.note_unanswered("test")

    known = ledger.lookup("test", ["1"])
    assert known["uncertain"].tolist() == [True]
    assert known["newest_updated_at"].tolist() == [pd.Timestamp(NOON)]


def test_a_missing_answer_makes_only_the_orders_of_its_shop_and_batch_uncertain(ledger: Ledger) -> None:
    ids = [f"order-{number}" for number in range(LOOKUP_CHUNK + 200)]
    accept(ledger, RUN, 0, orders_of(*((order_id, 1) for order_id in ids)), 1)
    orders = orders_of(*((order_id, 1) for order_id in ids))
    open_request(ledger, replace(RUN, shop="another-shop"), orders)
    open_request(ledger, RUN, orders[LOOKUP_CHUNK - 5 : LOOKUP_CHUNK + 5])
    ledger.note_unanswered("another-shop")
    ledger.note_unanswered("test")

    known = ledger.lookup("test", ids)

    assert sorted(known.loc[known["uncertain"], "order_id"]) == sorted(ids[LOOKUP_CHUNK - 5 : LOOKUP_CHUNK + 5])


# Deliveries


def test_deliveries_add_up_by_partition_and_reading(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("1", 1), ("2", 1)), requests=1)
    accept(ledger, RUN, 0, orders_of(("3", 1)), requests=4)
    five, seven = (orders_of(*((str(number), 1) for number in range(count))) for count in (5, 7))
    ledger.record_answer(RUN, 0, Answer(open_request(ledger, RUN, five), 1, "rejected"))
    accept(ledger, RUN, 2, orders_of(("4", 1)), requests=2)
    ledger.record_answer(RUN, 3, Answer(open_request(ledger, RUN, seven), 4, "unknown", may_have_arrived=True))
    accept(ledger, LATER_RUN, 0, orders_of(("5", 1)), requests=1)

    assert ledger.delivered(RUN.extraction_id) == {0: 3, 2: 1}
    assert ledger.requests_made(RUN.extraction_id) == 12
    assert ledger.delivered(LATER_RUN.extraction_id) == {0: 1}
    assert ledger.requests_made(LATER_RUN.extraction_id) == 1
    assert ledger.delivered("unheard-of") == {}
    assert ledger.requests_made("unheard-of") == 0


@pytest.mark.clock
def test_a_delivery_says_who_sent_what_and_when(ledger: Ledger) -> None:
    before = datetime.now(UTC)
    accept(ledger, RUN, 3, orders_of(("1", 2)), requests=2)
    nine = open_request(ledger, RUN, orders_of(*((str(number), 1) for number in range(9))))
    ledger.record_answer(RUN, 3, Answer(nine, 1, "rejected"))

    accepted, refused = rows_of(ledger, ledger_tables.deliveries)
    status = rows_of(ledger, ledger_tables.accepted_statuses)[0]

    origin = {"shop": "test", "dag_id": "dag", "run_id": "run-1", "extraction_id": "reading-1"}
    assert accepted.items() >= {**origin, "partition": 3, "orders": 1, "requests": 2, "outcome": "accepted"}.items()
    assert refused.items() >= {**origin, "partition": 3, "orders": 9, "requests": 1, "outcome": "rejected"}.items()
    assert status.items() >= {**origin, "order_id": "1", "status": 2, "source_updated_at": NOON}.items()
    assert before <= status["accepted_at"] <= accepted["answered_at"] <= refused["answered_at"] <= datetime.now(UTC)


def test_a_batch_and_its_delivery_are_stored_together_or_not_at_all(ledger: Ledger) -> None:
    request = open_request(ledger, RUN, orders_of(("1", 1)))
    ledger_tables.deliveries.drop(ledger.engine)

    with pytest.raises(LedgerError, match="rees46_deliveries"):
        ledger.record_answer(RUN, 0, Answer(request, 1))

    assert ledger.lookup("test", ["1"]).empty


# The quarantine


BROKEN = [
    RejectedRow("1", "sent back", "2026-03-01 12:00:00", "status_unmapped"),
    RejectedRow(None, "new", "2026-03-01 12:00:00", "order_id_missing"),
    RejectedRow("", None, None, "order_id_blank, status_missing, updated_at_missing"),
    RejectedRow("заказ-🎁 '\"", "new", "yesterday", "updated_at_unreadable"),
]


def test_the_latest_word_about_an_approval_of_a_run_counts_and_all_of_them_stay(ledger: Ledger) -> None:
    another = replace(RUN, run_id="run-2")
    ledger.record_approval(RUN, "asked", "2 orders would change")
    ledger.record_approval(RUN, "approved", "2 orders would change", "jane")
    ledger.record_approval(another, "asked", "9 orders would change")

    latest = ledger.latest_approval(RUN.dag_id, RUN.run_id)

    assert latest is not None
    assert (latest.extraction_id, latest.outcome, latest.decided_by) == ("reading-1", "approved", "jane")
    assert latest.recorded_at.tzinfo is UTC
    assert str(latest).startswith("2 orders would change: approved by jane, 20")
    assert ledger.latest_approval(RUN.dag_id, "run-3") is None
    assert ledger.latest_approval("another dag", RUN.run_id) is None
    assert [row["outcome"] for row in rows_of(ledger, ledger_tables.approvals)] == ["asked", "approved", "asked"]


def test_a_broken_row_is_quarantined_once_as_the_warehouse_gave_it(ledger: Ledger) -> None:
    assert ledger.quarantine("test", "run-1", BROKEN) == len(BROKEN)
    assert ledger.quarantine("test", "run-1", BROKEN) == 0
    assert ledger.quarantine("test", "run-2", BROKEN) == 0

    stored = rows_of(ledger, ledger_tables.rejected_orders)
    assert [(row["order_id"], row["status"], row["updated_at"], row["reason"]) for row in stored] == [
        (row.order_id, row.status, row.updated_at, row.reason) for row in BROKEN
    ]
    assert {row["run_id"] for row in stored} == {"run-1"}


@pytest.mark.parametrize(
    ("order_id", "stored"),
    [
        pytest.param("1\x00", r"1\x00", id="nul"),
        pytest.param("1\n2\t3", r"1\n2\t3", id="line-break-and-tab"),
        pytest.param("1\x85\u200b", r"1\x85\u200b", id="invisible-characters"),
        pytest.param("1\ud800", r"1\ud800", id="half-a-character"),
        pytest.param("x" * 1000, "x" * 1000, id="1000-characters"),
        pytest.param("x" * 5000, "x" * 1000 + "…", id="5000-characters"),
    ],
)
def test_whatever_an_id_holds_can_be_quarantined_in_a_printable_form(
    ledger: Ledger, order_id: str, stored: str
) -> None:
    row = RejectedRow(order_id, order_id, order_id, "order_id_control_character")

    assert ledger.quarantine("test", "run-1", [row]) == 1
    assert ledger.quarantine("test", "run-2", [row]) == 0

    found = rows_of(ledger, ledger_tables.rejected_orders)[0]
    assert (found["order_id"], found["status"], found["updated_at"]) == (stored, stored, stored)


def test_rows_that_look_alike_when_they_are_printed_are_stored_each(ledger: Ledger) -> None:
    alike = [RejectedRow(order_id, "new", "", "reason") for order_id in ("1\x00", r"1\x00", "x" * 1001, "x" * 1002)]

    assert ledger.quarantine("test", "run-1", alike) == 4
    assert ledger.quarantine("test", "run-2", alike) == 0


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(RejectedRow("2", "new", "2026-03-01", "status_unmapped"), id="id"),
        pytest.param(RejectedRow("1", "NEW", "2026-03-01", "status_unmapped"), id="status"),
        pytest.param(RejectedRow("1", "new", "2026-03-02", "status_unmapped"), id="updated-at"),
        pytest.param(RejectedRow("1", "new", "2026-03-01", "status_missing"), id="reason"),
        pytest.param(RejectedRow(None, "new", "2026-03-01", "status_unmapped"), id="no-id"),
        pytest.param(RejectedRow("1", "new", "2026-03-01", "status_unmapped", copy=2), id="copy"),
    ],
)
def test_a_row_that_is_broken_in_another_way_is_another_row(ledger: Ledger, changed: RejectedRow) -> None:
    row = RejectedRow("1", "new", "2026-03-01", "status_unmapped")

    assert ledger.quarantine("test", "run-1", [row]) == 1
    assert ledger.quarantine("test", "run-2", [row, changed]) == 1


def test_equal_rows_of_one_run_are_stored_each_and_only_once(ledger: Ledger) -> None:
    copies = [RejectedRow(None, "new", "2026-03-01", "order_id_missing", copy) for copy in (1, 2, 3)]

    assert ledger.quarantine("test", "run-1", copies[:2]) == 2
    assert ledger.quarantine("test", "run-2", copies) == 1
    assert len(rows_of(ledger, ledger_tables.rejected_orders)) == 3


def test_the_same_broken_row_of_two_shops_is_stored_for_both(ledger: Ledger) -> None:
    assert ledger.quarantine("test", "run-1", BROKEN[:1]) == 1
    assert ledger.quarantine("other", "run-1", BROKEN[:1]) == 1


def test_nothing_to_quarantine_is_fine(ledger: Ledger) -> None:
    assert ledger.quarantine("test", "run-1", []) == 0


def many_broken(count: int) -> list[RejectedRow]:
    return [RejectedRow(f"{number}", "sent back", "2026-03-01", "status_unmapped") for number in range(count)]


def test_several_threads_that_quarantine_the_same_rows_store_each_once(
    ledger: Ledger, open_ledger: Callable[[], Ledger]
) -> None:
    rows = many_broken(2 * QUARANTINE_CHUNK + 50)
    ledgers = [open_ledger() for _ in range(4)]

    with ThreadPoolExecutor(len(ledgers)) as threads:
        new = list(threads.map(lambda one: one.quarantine("test", "run-1", rows), ledgers))

    assert sum(new) == len(rows) == len(rows_of(ledger, ledger_tables.rejected_orders))


QUARANTINE_IN_A_PROCESS = """
import sys
import sqlalchemy as sa
from rees46_sync.ledger.database import Ledger, RejectedRow
ledger = Ledger(sa.create_engine(sys.argv[1], connect_args={"timeout": 60}))
rows = [RejectedRow(str(number), "sent back", "2026-03-01", "status_unmapped") for number in range(1500)]
print("ready", flush=True)
sys.stdin.readline()
print(ledger.quarantine("test", "run-1", rows))
"""


@pytest.mark.parametrize("empty_database", ["sqlite"], indirect=True)  # its locks differ between threads and processes
def test_two_processes_that_quarantine_the_same_rows_store_each_once(ledger: Ledger) -> None:
    command = [sys.executable, "-c", QUARANTINE_IN_A_PROCESS, str(ledger.engine.url)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as one, subprocess.Popen(command, **pipes) as other:
        assert [one.stdout.readline(), other.stdout.readline()] == ["ready\n", "ready\n"]  # type: ignore[union-attr]
        for process in (one, other):
            process.stdin.write("go\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        new = [int(process.communicate(timeout=60)[0]) for process in (one, other)]

    assert sum(new) == 1500 == len(rows_of(ledger, ledger_tables.rejected_orders))


# The runs


def run_record(run_id: str, **columns: Any) -> dict[str, Any]:
    counts = ("read", "sent", "unchanged", "superseded", "stale", "reopened", "rejected", "failed", "requests")
    return {
        "shop": "test",
        "dag_id": "dag",
        "run_id": run_id,
        "window_start": NOON - timedelta(hours=1),
        "window_end": NOON,
        "window_widened": True,
        "outcome": "success",
        "started_at": NOON + timedelta(minutes=5),
        "finished_at": NOON + timedelta(minutes=6),
        **dict.fromkeys(counts, 0),
        **columns,
    }


def test_the_record_of_a_run_is_kept_whole(ledger: Ledger) -> None:
    record = run_record("run-1", read=7, sent=1, unchanged=2, superseded=1, stale=1, reopened=1, rejected=1, requests=2)

    ledger.save_run(**record)

    stored = rows_of(ledger, ledger_tables.sync_runs)
    assert [{name: row[name] for name in record} for row in stored] == [record]


def test_the_record_of_a_run_that_is_run_again_replaces_its_earlier_one(ledger: Ledger) -> None:
    ledger.save_run(**run_record("run-1", outcome="failed", failed=3))
    ledger.save_run(**run_record("run-1", dag_id="another-dag", failed=9))
    ledger.save_run(**run_record("run-1", outcome="success", sent=3))

    stored = rows_of(ledger, ledger_tables.sync_runs)
    assert {(row["dag_id"], row["outcome"], row["sent"], row["failed"]) for row in stored} == {
        ("dag", "success", 3, 0),
        ("another-dag", "success", 0, 9),
    }
    assert len(stored) == 2


def test_counts_beyond_32_bits_have_room(ledger: Ledger) -> None:
    ledger.save_run(**run_record("run-1", read=2**40))

    assert rows_of(ledger, ledger_tables.sync_runs)[0]["read"] == 2**40


def hour(number: float) -> datetime:
    return NOON + timedelta(hours=number)


def widened(start: float, end: float, *, read_at: float = 99, outcome: str = "success") -> dict[str, Any]:
    return window(start, end, read_at=read_at, outcome=outcome) | {"window_widened": True}


def named(start: float, end: float, *, read_at: float = 99, outcome: str = "success") -> dict[str, Any]:
    return window(start, end, read_at=read_at, outcome=outcome) | {"window_widened": False}


def window(start: float, end: float, *, read_at: float, outcome: str) -> dict[str, Any]:
    return {"window_start": hour(start), "window_end": hour(end), "started_at": hour(read_at), "outcome": outcome}


NO_LOOKBACK = timedelta(0)
NO_WINDOW = {"window_start": None, "window_end": None, "window_widened": False}
A_MOMENT = 1e-6 / 3600 * 1000  # a millisecond, in hours


@pytest.mark.parametrize(
    ("runs", "covered"),
    [
        pytest.param([], None, id="no-run"),
        pytest.param([widened(0, 1)], 1, id="one-run"),
        pytest.param([widened(0, 1), widened(0, 2)], 2, id="two-runs"),
        pytest.param([widened(0, 2), widened(0, 1)], 2, id="an-older-run-was-run-again"),
        pytest.param([widened(0, 1, outcome="failed")], 0, id="only-a-failed-run"),
        pytest.param([widened(0, 1, outcome="failed"), widened(1, 2, outcome="failed")], 0, id="only-failed-runs"),
        pytest.param([named(0, 1, outcome="failed")], None, id="only-a-named-window-that-failed"),
        pytest.param([widened(0, 1), widened(0, 2, outcome="failed")], 1, id="the-last-run-failed"),
        pytest.param([widened(0, 1), widened(1, 2, outcome="failed"), widened(1, 3)], 3, id="a-failed-run-in-between"),
        pytest.param([widened(0, 1), NO_WINDOW | {"outcome": "failed"}], 1, id="a-run-that-knew-no-window"),
        pytest.param([NO_WINDOW], None, id="a-success-that-knew-no-window"),
        pytest.param([named(0, 1)], None, id="only-a-named-window"),
        pytest.param([widened(0, 1), named(1, 2)], 2, id="a-named-window-continues"),
        pytest.param([widened(0, 2), named(1, 5)], 5, id="a-named-window-overlaps"),
        pytest.param([widened(0, 3), named(1, 2)], 3, id="a-named-window-inside"),
        pytest.param([widened(0, 1), named(2, 5)], 1, id="a-named-window-beyond-a-gap"),
        pytest.param([widened(0, 1), named(1 + A_MOMENT, 5)], 1, id="a-gap-of-a-moment"),
        pytest.param([widened(0, 1), named(1, 2, outcome="failed")], 1, id="a-named-window-failed"),
        pytest.param([widened(0, 1), named(1, 2), named(2, 3)], 3, id="two-named-windows-continue"),
        pytest.param([widened(0, 1), named(2, 3), named(1, 2)], 3, id="a-gap-that-was-closed-later"),
        pytest.param([widened(0, 1), named(1, 2, outcome="failed"), named(2, 3)], 1, id="a-gap-that-was-not-closed"),
        pytest.param([widened(0, 1), named(0, 9), named(3, 4)], 9, id="a-short-window-does-not-shorten"),
        pytest.param([named(0, 5), widened(0, 1), widened(0, 7)], 7, id="a-widened-run-after-it-all"),
        pytest.param([widened(0, 10, read_at=2)], 2, id="a-window-that-ends-in-the-future"),
        pytest.param([widened(0, 1), named(1, 10, read_at=3)], 3, id="a-named-window-that-ends-in-the-future"),
        pytest.param([widened(0, 10, read_at=2), named(2, 4)], 4, id="continued-from-when-it-was-read"),
        pytest.param([widened(0, 10, read_at=2), named(3, 4)], 2, id="not-continued-from-when-it-was-read"),
        pytest.param([widened(0, 5), named(6, 9, read_at=4)], 5, id="a-window-wholly-in-the-future"),
    ],
)  # fmt: skip
def test_the_time_up_to_which_changes_were_really_read_and_delivered(
    ledger: Ledger, runs: list[dict[str, Any]], covered: float | None
) -> None:
    for number, run in enumerate(runs):
        ledger.save_run(**run_record(f"run-{number}", **run))

    assert ledger.covered_until("test", NO_LOOKBACK) == (None if covered is None else hour(covered))


@pytest.mark.parametrize(
    ("runs", "covered"),
    [
        pytest.param([widened(0, 9)], 9, id="a-widened-run-looks-back-itself"),
        pytest.param([widened(0, 9, outcome="failed")], 2, id="so-does-the-one-after-a-failed-first"),
        pytest.param([widened(0, 9), named(7 + A_MOMENT, 10)], 9, id="too-short-by-a-moment"),
        pytest.param([widened(0, 9), named(7, 10)], 10, id="as-far-back-as-the-lookback"),
        pytest.param([widened(0, 9), named(7, 10), named(9, 12)], 10, id="the-second-looks-not-back-from-the-first"),
        pytest.param([widened(0, 9), named(7, 10), named(8, 12)], 12, id="each-looks-back-from-the-one-before"),
    ],
)
def test_a_named_window_counts_only_where_it_looks_back_for_late_rows(
    ledger: Ledger, runs: list[dict[str, Any]], covered: float
) -> None:
    for number, run in enumerate(runs):
        ledger.save_run(**run_record(f"run-{number}", **run))

    assert ledger.covered_until("test", timedelta(hours=2)) == hour(covered)


def test_a_run_that_is_run_again_and_fails_covers_nothing_any_more(ledger: Ledger) -> None:
    ledger.save_run(**run_record("run-1", **widened(0, 1)))
    ledger.save_run(**run_record("run-2", **widened(0, 2)))
    ledger.save_run(**run_record("run-2", **widened(0, 2, outcome="failed")))

    assert ledger.covered_until("test", NO_LOOKBACK) == hour(1)


def test_each_shop_is_covered_by_its_own_runs(ledger: Ledger) -> None:
    ledger.save_run(**run_record("run-1", **widened(0, 1)))
    ledger.save_run(**run_record("run-2", shop="other", **widened(0, 5)))
    ledger.save_run(**run_record("run-3", shop="third", **named(1, 9)))

    assert [ledger.covered_until(shop, NO_LOOKBACK) for shop in ("test", "other", "third")] == [hour(1), hour(5), None]


def test_the_covered_time_is_aware_and_in_utc(ledger: Ledger) -> None:
    ledger.save_run(**run_record("run-1", window_end=datetime(2026, 3, 1, 20, tzinfo=TOKYO)))

    covered = ledger.covered_until("test", NO_LOOKBACK)

    assert covered == datetime(2026, 3, 1, 11, tzinfo=UTC)
    assert covered.utcoffset() == timedelta(0)


# Several at once, and none at all


def test_writers_at_the_same_time_lose_nothing(ledger: Ledger, open_ledger: Callable[[], Ledger]) -> None:
    ledgers = [open_ledger() for _ in range(4)]

    def write(writer: int) -> None:
        run = RunRef("test", "dag", f"run-{writer}", f"reading-{writer}")
        for batch in range(15):
            frame = orders_of(*((f"{writer}-{batch}-{number}", number % 3) for number in range(20)))
            accept(ledgers[writer], run, batch, frame, requests=1)
            ledgers[writer].lookup("test", frame["order_id"].tolist(), run.extraction_id)
        ledgers[writer].save_run(**run_record(run.run_id))

    with ThreadPoolExecutor(len(ledgers)) as threads:
        for done in [threads.submit(write, number) for number in range(len(ledgers))]:
            done.result()

    for writer in range(len(ledgers)):
        assert ledger.delivered(f"reading-{writer}") == dict.fromkeys(range(15), 20)
        assert ledger.requests_made(f"reading-{writer}") == 15
    rows = rows_of(ledger, ledger_tables.accepted_statuses)
    assert len(rows) == 4 * 15 * 20
    assert ledger.mark() == rows[-1]["id"]  # MySQL leaves numbers out
    assert len(rows_of(ledger, ledger_tables.sync_runs)) == 4


def test_two_tries_that_close_the_same_run_at_once_leave_one_record(
    ledger: Ledger, open_ledger: Callable[[], Ledger]
) -> None:
    ledgers = [open_ledger() for _ in range(2)]

    with ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            list(threads.map(lambda one: one.save_run(**run_record("run-1")), ledgers))

    assert len(rows_of(ledger, ledger_tables.sync_runs)) == 1


REQUEST_4711 = OpenRequest(1, 1, '[["order-4711", 1, "2026-03-01 12:00:00"]]')
BAD_4711 = RejectedRow("order-4711", "new", "2026-03-01", "status_unmapped")
UNREACHABLE = [
    pytest.param("sqlite:////no/such/folder/ledger.db", "unable to open database file", id="sqlite"),
    pytest.param("postgres://writer:top-secret@127.0.0.1:9/ledger", "Connection refused", id="postgresql"),
    pytest.param("mysql://writer:top-secret@127.0.0.1:9/ledger", "Connection refused", id="mysql"),
]


@pytest.mark.parametrize(("connection", "cause"), UNREACHABLE)
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda ledger: ledger.lookup("test", ["order-4711"]), id="lookup"),
        pytest.param(lambda ledger: open_request(ledger, RUN, orders_of(("order-4711", 1))), id="open"),
        pytest.param(lambda ledger: ledger.record_answer(RUN, 0, Answer(REQUEST_4711, 1)), id="record"),
        pytest.param(
            lambda ledger: ledger.quarantine("test", "run-1", [RejectedRow("order-4711", "", "", "")]), id="q"
        ),
        pytest.param(lambda ledger: ledger.covered_until("test", NO_LOOKBACK), id="covered-until"),
    ],
)
def test_an_unreachable_database_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, connection: str, cause: str, call: Callable[[Ledger], object]
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_LEDGER", connection)

    with pytest.raises(LedgerError, match=f"Ledger .*{cause}.*Check the database of ledger_conn_id") as caught:
        call(Ledger.of_connection("ledger"))

    texts = " ".join(f"{error} {error!r}" for error in chain_of(caught.value))
    assert "top-secret" not in texts
    assert "4711" not in texts


def test_an_error_of_the_database_quotes_no_rows(open_ledger: Callable[[], Ledger]) -> None:
    ledger = open_ledger()  # without tables

    with pytest.raises(LedgerError, match="rees46_accepted_statuses") as caught:
        ledger.record_answer(RUN, 0, Answer(REQUEST_4711, 1))

    assert "4711" not in " ".join(f"{error} {error!r}" for error in chain_of(caught.value))


@pytest.mark.parametrize(
    ("connection", "fault"),
    [
        pytest.param(None, "does not exist; create it in Airflow, or set AIRFLOW_CONN_LEDGER", id="missing"),
        pytest.param("http://127.0.0.1:9", "type http.*(is not a database|has no hook here)", id="no-database"),
        pytest.param("oracle://user@127.0.0.1/x", "type oracle has no hook here.*install its", id="no-provider"),
        pytest.param("duckdb:///:memory:", "use SQLite, PostgreSQL, MySQL or MariaDB", id="no-dialect"),
    ],
)
def test_a_connection_that_can_be_no_ledger_says_why(
    monkeypatch: pytest.MonkeyPatch, connection: str | None, fault: str
) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_LEDGER", raising=False)
    if connection:
        monkeypatch.setenv("AIRFLOW_CONN_LEDGER", connection)

    with pytest.raises(ConnectionFieldsError, match=f"Connection ledger: .*{fault}"):
        Ledger.of_connection("ledger")
