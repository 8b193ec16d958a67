"""
What every warehouse promises: the same tests over SQLite, DuckDB, PostgreSQL and MariaDB.

`make test-databases` prints the results as one table.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from upath import UPath

from rees46_sync.exceptions import QueryColumnsError, TemporaryFilesError, WarehouseError
from rees46_sync.warehouse import newest, reader
from rees46_sync.warehouse.reader import extract
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest
from tests.warehouses import IN_WINDOW, KINDS, SERVERS, WINDOW, Row, ServerUnderTest, WarehouseUnderTest, warehouse_of

pytestmark = pytest.mark.contract

NOON = "2026-03-01 12:00:00"
LATER = "2026-03-01 12:00:00.000001"
BLANKS = [character for character in map(chr, range(sys.maxunicode + 1)) if character.isspace()]


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, shop: ShopUnderTest) -> WarehouseUnderTest:
    """A shop with a warehouse of each kind."""
    return warehouse_of(request.param, shop, request)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, shop: ShopUnderTest) -> ServerUnderTest:
    """A shop with a warehouse of each kind that is reached over a network."""
    made = warehouse_of(request.param, shop, request)
    if not isinstance(made, ServerUnderTest):
        pytest.skip("a test cannot end the session that reads")
    return made


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# Versions of an order


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        pytest.param([("new", NOON), ("paid", LATER)], "paid", id="newer-later"),
        pytest.param([("paid", LATER), ("new", NOON)], "paid", id="newer-first"),
        pytest.param([("paid", NOON), ("new", NOON)], "new", id="same-meaning"),
        pytest.param([("new", NOON), ("paid", NOON), ("old", "2026-02-01")], "new", id="same-meaning-and-older"),
        pytest.param([("a", NOON), ("b", LATER), ("b", LATER), ("d", NOON)], "b", id="older-tie"),
        pytest.param([("lost", None), ("paid", LATER)], "lost", id="missing-time-first"),
        pytest.param([("paid", LATER), ("lost", "")], "lost", id="missing-time-later"),
        pytest.param([("lost", "soon"), ("paid", "9999-12-31")], "lost", id="unreadable-time-first"),
        pytest.param([("lost", None), ("found", "soon")], "found", id="missing-before-unreadable"),
        pytest.param([("lost", "soon"), ("found", None)], "found", id="unreadable-before-missing"),
        pytest.param(
            [("paid", "2026-03-01 10:00:00"), ("new", "2026-03-01 12:00:00+03:00")], "paid", id="by-the-time-in-utc"
        ),
        pytest.param([("paid", "2026-03-01T00:00:00"), ("new", "2026-02-28 23:59")], "paid", id="by-time-not-by-text"),
        pytest.param([("same", NOON)] * 3, "same", id="equal-rows"),
        pytest.param([("paid", LATER), (None, NOON)], "paid", id="older-without-status"),
        pytest.param([("paid", NOON), (None, LATER)], None, id="newer-without-status"),
    ],
)
def test_an_order_has_its_newest_version(
    database: WarehouseUnderTest, versions: list[tuple[str | None, str | None]], newest: str | None
) -> None:
    database.fill([("0", "other", NOON), *(("1", *version) for version in versions), ("2", "other", NOON)])

    staged = database.staged(partition_rows=1)

    assert staged.statuses == [("0", "other"), ("1", newest), ("2", "other")]
    assert (staged.extraction.read, staged.extraction.superseded) == (len(versions) + 2, len(versions) - 1)


@pytest.mark.parametrize("statuses", [["new", "delivered"], ["delivered", "new"]])
def test_an_order_whose_newest_rows_mean_different_things_is_ambiguous_and_has_all_of_them(
    database: WarehouseUnderTest, statuses: list[str]
) -> None:
    database.fill([("1", "old", NOON), *(("1", status, LATER) for status in statuses), ("2", "new", LATER)])

    staged = database.staged(partition_rows=1)

    assert [(row["order_id"], row["status"], row["copy"], row["order_unambiguous"]) for row in staged.rows] == [
        ("1", "delivered", 1, False),
        ("1", "new", 2, False),
        ("2", "new", 1, True),
    ]
    assert (staged.extraction.read, staged.extraction.superseded) == (4, 1)


def test_the_newest_version_is_found_across_all_chunks_and_partitions(database: WarehouseUnderTest) -> None:
    """Runs of seven rows cross the borders of the chunks of 10,000 rows, both of those read and of those sorted."""
    orders, versions = 5_000, 7
    start = datetime(2026, 3, 1)  # noqa: DTZ001 - as databases have them
    rows = [
        (f"{order:04}", f"s{order}-{version}", str(start + timedelta(seconds=version * 3 % versions)))
        for version in range(versions)
        for order in range(orders)
    ]
    database.fill(rows)

    staged = database.staged(partition_rows=1_001)

    assert staged.statuses == [(f"{order:04}", f"s{order}-2") for order in range(orders)]  # 2 * 3 % 7 = 6 is the latest
    assert [len(partition) for partition in staged.partitions] == [1_001] * 4 + [996]
    assert (staged.extraction.read, staged.extraction.superseded) == (35_000, 30_000)


def test_an_order_of_more_versions_than_a_chunk_is_kept_once(database: WarehouseUnderTest) -> None:
    many = [
        ("b", f"s{version}", f"2026-03-01 {version // 3600:02}:{version // 60 % 60:02}:{version % 60:02}")
        for version in range(21_000)
    ]
    database.fill([("a", "first", NOON), *many, ("c", "last", NOON)])

    assert database.staged().statuses == [("a", "first"), ("b", "s20999"), ("c", "last")]


def test_rows_without_an_id_are_never_merged_and_numbered(database: WarehouseUnderTest) -> None:
    rows = [
        ("b", "new", NOON),
        (None, "new", NOON),
        ("", "new", NOON),
        (None, "new", NOON),
        (None, "paid", NOON),
        (None, "new", LATER),
        ("\u00a0", "new", None),
        ("\u00a0", "new", None),
        (None, "new", NOON),
        ("a", "new", NOON),
    ]
    database.fill(rows)

    staged = database.staged(partition_rows=4)

    assert [(row["order_id"], row["status"], row["copy"]) for row in staged.rows] == [
        (None, "new", 1),
        ("", "new", 1),
        (None, "new", 2),
        (None, "paid", 1),
        (None, "new", 1),
        ("\u00a0", "new", 1),
        ("\u00a0", "new", 2),
        (None, "new", 3),
        ("a", "new", 1),
        ("b", "new", 1),
    ]
    assert (staged.extraction.read, staged.extraction.superseded) == (10, 0)


def test_an_id_of_only_blanks_is_no_id(database: WarehouseUnderTest) -> None:
    database.fill([(blank * width, "new", NOON) for blank in BLANKS for width in (1, 2) for _ in range(2)])

    extraction = database.staged().extraction

    assert (extraction.read, extraction.superseded) == (4 * len(BLANKS), 0)


def test_an_odd_id_is_an_id(database: WarehouseUnderTest) -> None:
    ids = ["0", "\u00a00", "\u200b", "\ufeff", "nan", "NULL", "'", *["\x00"] * database.holds_nul]
    database.fill([(order_id, status, NOON) for status in ("new", "paid") for order_id in ids])

    assert database.staged().statuses == [(order_id, "new") for order_id in sorted(ids)]


def test_ids_that_differ_in_anything_are_different_orders(database: WarehouseUnderTest) -> None:
    ids = [
        "1",
        "01",
        " 1",
        "1 ",
        "1.0",
        "a",
        "A",
        "é",
        "e\u0301",
        "ﬁ",
        "fi",
        "ß",
        "ss",
        *["a\x00"] * database.holds_nul,
    ]
    database.fill([(order_id, "new", NOON) for order_id in ids])

    assert {row["order_id"] for row in database.staged().rows} == set(ids)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        pytest.param("text", "007", "007", id="text"),
        pytest.param("text", "заказ-😀", "заказ-😀", id="unicode"),
        pytest.param("integer", 7, "7", id="integer"),
        pytest.param("integer", 2**63 - 1, "9223372036854775807", id="largest-integer"),
        pytest.param("integer", -(2**63), "-9223372036854775808", id="smallest-integer"),
        pytest.param("decimal", Decimal("9" * 38), "9" * 38, id="decimal-of-38-digits"),
        pytest.param("double", 1e15, "1000000000000000", id="double"),
        pytest.param("double", float(2**53 - 1), "9007199254740991", id="largest-exact-double"),
    ],
)
def test_an_id_keeps_its_exact_text_or_digits(
    database: WarehouseUnderTest, kind: str, value: object, text: str
) -> None:
    if kind not in database.types:
        pytest.skip(f"{database.kind} has no type for it")
    database.fill([(value, "new", NOON), (None, "new", NOON)], id_type=kind)

    assert [(row["order_id"], row["order_id_exact"]) for row in database.staged().rows] == [(None, True), (text, True)]


def test_a_double_that_may_be_two_numbers_is_no_id(database: WarehouseUnderTest) -> None:
    database.fill([(float(2**53), "new", NOON), (float(2**60), "delivered", NOON)], id_type="double")

    assert [row["order_id_exact"] for row in database.staged().rows] == [False, False]


def test_two_changes_within_a_microsecond_are_ambiguous(database: WarehouseUnderTest) -> None:
    database.fill([("1", "paid", LATER), ("1", "new", NOON), ("1", "cancelled", LATER)], "naive")

    staged = database.staged()

    assert staged.statuses == [("1", "cancelled"), ("1", "paid")]
    assert [(row["updated_at"], row["order_unambiguous"]) for row in staged.rows] == [(utc(LATER), False)] * 2


# Partitions


@pytest.mark.parametrize(
    ("rows", "partition_rows", "sizes"),
    [
        pytest.param(0, 3, [], id="nothing"),
        pytest.param(1, 3, [1], id="one"),
        pytest.param(2, 3, [2], id="one-less"),
        pytest.param(3, 3, [3], id="full"),
        pytest.param(4, 3, [3, 1], id="one-more"),
        pytest.param(9, 3, [3, 3, 3], id="multiple"),
        pytest.param(5, 1, [1] * 5, id="single-rows"),
        pytest.param(5, 250_000, [5], id="default"),
        pytest.param(20_000, 10_000, [10_000, 10_000], id="chunks"),
    ],
)
def test_a_partition_has_the_number_of_rows_of_the_shop_file(
    database: WarehouseUnderTest, rows: int, partition_rows: int, sizes: list[int]
) -> None:
    ids = [f"{number:05}" for number in range(rows)]
    database.fill([(order_id, "new", NOON) for order_id in reversed(ids)])

    staged = database.staged(partition_rows=partition_rows)

    assert [len(partition) for partition in staged.partitions] == sizes
    assert [row["order_id"] for row in staged.rows] == ids
    assert [(p.index, p.rows, p.first_id, p.last_id) for p in staged.extraction.partitions] == [
        (index, len(partition), partition[0]["order_id"], partition[-1]["order_id"])
        for index, partition in enumerate(staged.partitions)
    ]


def test_a_partitions_first_and_last_ids_are_printable(database: WarehouseUnderTest) -> None:
    database.fill([("a\x01", "new", NOON), ("b" * 101, "new", NOON)])

    [partition] = database.staged().extraction.partitions

    assert (partition.first_id, partition.last_id) == ("a\\x01", "b" * 100 + "…")


def test_orders_are_sorted_by_their_code_points(database: WarehouseUnderTest) -> None:
    ids = ["", "10", "2", "A", "Z", "a", "é", "я", "\ue000", "\uffee", "😀", "\U0010fffd"]
    database.fill([(order_id, "new", NOON) for order_id in reversed(ids)])

    assert [row["order_id"] for row in database.staged(partition_rows=3).rows] == sorted(ids)


def test_a_staged_row_has_all_its_columns(database: WarehouseUnderTest) -> None:
    database.fill([("7", " paid ", "2026-03-01 12:00:00.5+03:00"), ("8", None, "soon")])

    assert database.staged().rows == [
        {
            "order_id": "7",
            "order_id_exact": True,
            "status": "paid",
            "updated_at": utc("2026-03-01 09:00:00.5"),
            "updated_at_given": True,
            "updated_at_readable": True,
            "updated_at_text": "2026-03-01 12:00:00.5+03:00",
            "copy": 1,
            "order_unambiguous": True,
        },
        {
            "order_id": "8",
            "order_id_exact": True,
            "status": None,
            "updated_at": None,
            "updated_at_given": True,
            "updated_at_readable": False,
            "updated_at_text": "soon",
            "copy": 1,
            "order_unambiguous": True,
        },
    ]


# The window


TICK = timedelta(microseconds=1)
WINDOWS = [
    pytest.param(WINDOW, id="whole-seconds"),
    pytest.param(Window(utc("2026-03-01 08:00:00.000001"), utc("2026-03-01 08:00:00.000004")), id="microseconds"),
]


def rows_at_the_edges(window: Window) -> list[Row]:
    """One order at each edge of a window, named by whether the window holds it."""
    times = {
        "out-before": window.start - TICK,
        "in-first": window.start,
        "in-second": window.start + TICK,
        "in-last": window.end - TICK,
        "out-end": window.end,
        "out-after": window.end + TICK,
    }
    return [(name, "new", f"{time.replace(tzinfo=None)}") for name, time in times.items()]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("kind", ["naive", "zoned"])
def test_the_window_holds_its_start_and_not_its_end_whatever_the_zone_of_process_and_database(
    database: WarehouseUnderTest, window: Window, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind not in database.types:
        pytest.skip(f"{database.kind} has no type of time with a zone")
    monkeypatch.setenv("TZ", "America/New_York")
    database.fill([*rows_at_the_edges(window), ("never", "new", None)], kind)

    staged = database.staged(
        f"SELECT order_id, status, updated_at FROM orders {IN_WINDOW} OR updated_at IS NULL", window=window
    )

    assert {row["order_id"]: row["updated_at"] for row in staged.rows} == {
        "in-first": window.start,
        "in-second": window.start + TICK,
        "in-last": window.end - TICK,
        "never": None,
    }


def test_a_query_can_convert_times_of_the_shops_own_zone(database: WarehouseUnderTest) -> None:
    times = {"out-before": "2026-03-01 02:59:59", "in-first": "2026-03-01 03:00:00", "in-last": "2026-03-02 02:59:59"}
    database.fill([(name, "new", time) for name, time in times.items()], "naive")

    staged = database.staged(
        f"SELECT order_id, status, {database.from_moscow.format('updated_at')} AS updated_at FROM orders o "
        f"WHERE o.updated_at >= {database.to_moscow.format(':window_start')} "
        f"AND o.updated_at < {database.to_moscow.format(':window_end')}"
    )

    assert {row["order_id"]: row["updated_at"] for row in staged.rows} == {
        "in-first": WINDOW.start,
        "in-last": WINDOW.end - timedelta(seconds=1),
    }


def test_a_parameter_may_occur_more_than_once_and_in_any_order(database: WarehouseUnderTest) -> None:
    times = {"old": "2026-02-28 12:00:00", "now": NOON, "next": "2026-03-02 00:00:00"}
    database.fill([(name, "new", time) for name, time in times.items()], "naive")
    sql = """
    -- the orders of the window: it's enough
    SELECT order_id, status, updated_at FROM orders
    WHERE updated_at < :window_end AND updated_at >= :window_start AND status <> ':window_end' /* :window_x */
    UNION ALL SELECT order_id, ':late', updated_at FROM orders WHERE updated_at >= :window_end;
    """

    assert database.staged(sql).statuses == [("next", ":late"), ("now", "new")]


def test_percent_signs_and_colons_of_the_query_reach_the_database(database: WarehouseUnderTest) -> None:
    database.fill([("1", "new", NOON)], "naive")
    sql = (
        f"SELECT '100%' AS order_id, 'a:b %s %(c)s' AS status, updated_at FROM orders {IN_WINDOW} AND 'a:b' LIKE '%:%'"
    )

    assert database.staged(sql).statuses == [("100%", "a:b %s %(c)s")]


# Columns


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param("order_id, status, updated_at", id="as-agreed"),
        pytest.param("updated_at, order_id, status", id="another-order"),
        pytest.param("order_id AS ORDER_ID, status AS Status, updated_at AS UPDATED_AT", id="upper-case"),
        pytest.param("n, order_id, status, updated_at, 1 AS price", id="more-columns"),
        pytest.param("*", id="star"),
        pytest.param("n, n, order_id, status, updated_at", id="another-column-twice"),
    ],
)
def test_the_three_columns_are_found_by_their_names(database: WarehouseUnderTest, columns: str) -> None:
    database.fill([("7", "new", NOON)])

    staged = database.staged(f"SELECT {columns} FROM orders WHERE :window_start < :window_end")

    assert [(row["order_id"], row["status"], row["updated_at"]) for row in staged.rows] == [("7", "new", utc(NOON))]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        pytest.param("order_id, status", ["updated_at not at all", "(its columns: order_id, status)"], id="missing"),
        pytest.param("n AS id, status, updated_at", ["order_id not at all", "id, status, updated_at"], id="other-name"),
        pytest.param("order_id, status, status, updated_at", ["status twice"], id="twice"),
        pytest.param(
            'order_id, status, n AS "STATUS", updated_at', ["status twice", "STATUS"], id="twice-in-two-cases"
        ),
        pytest.param('order_id, status, updated_at AS "updated_at_"', ["updated_at not"], id="longer-name"),
        pytest.param("1", ["order_id not at all"], id="none"),
    ],
)
def test_a_column_that_is_missing_or_there_twice_is_named(
    database: WarehouseUnderTest, columns: str, words: list[str]
) -> None:
    database.fill([])

    message = database.error(QueryColumnsError, f"SELECT {columns} FROM orders WHERE :window_start < :window_end")

    expected = ["Shop test", "orders.sql", "order_id, status and updated_at, each once", *words]
    # Snowflake writes names that are not quoted in upper case.
    assert [word for word in expected if word.lower() not in message.lower()] == []


# Errors

FAILING_SQL = [
    pytest.param("SELECT order_id FROM nowhere WHERE :window_start < :window_end", "nowhere", id="no-such-table"),
    pytest.param("SELECT price FROM orders WHERE :window_start < :window_end", "price", id="no-such-column"),
    # MariaDB quotes eighty characters of the statement.
    pytest.param(f"SELEC order_id{' ' * 80} FROM orders WHERE :window_start < :window_end", "SELEC", id="no-sql"),
    pytest.param("SELECT nosuch(1) FROM orders WHERE :window_start < :window_end", "nosuch", id="no-such-function"),
]


@pytest.mark.parametrize(("sql", "cause"), FAILING_SQL)
def test_a_query_that_fails_is_named_with_its_cause(database: WarehouseUnderTest, sql: str, cause: str) -> None:
    database.fill([])

    message = database.error(WarehouseError, sql)

    assert message.startswith("Shop test: reading orders.sql from connection shop_warehouse failed: ")
    assert message.endswith("; check that the database answers and that the query runs there.")
    assert cause.lower() in message.lower()  # Snowflake's names are in upper case
    assert "\n" not in message
    assert "2026" not in message  # neither parameters nor rows


def test_a_query_that_fails_halfway_stages_nothing(database: WarehouseUnderTest) -> None:
    failure, words = database.overflow
    database.fill([(f"{number}", "new", NOON) for number in range(15_000)])

    message = database.error(
        WarehouseError,
        f"SELECT CASE WHEN n = 14999 THEN {failure} ELSE n END AS order_id, status, updated_at FROM orders "
        "WHERE :window_start < :window_end",
    )

    assert words in message


def test_a_query_that_writes_is_refused(database: WarehouseUnderTest) -> None:
    database.fill([("1", "new", NOON)])

    message = database.error(WarehouseError, database.query_that_writes())

    assert re.search("read.?only", message, re.IGNORECASE)
    assert len(database.execute("SELECT * FROM orders")) == 1


def test_a_connection_that_is_lost_halfway_stages_nothing_and_is_retried(
    server: ServerUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.generate(100_000, 100)
    staged_rows = reader.staged_rows
    chunks = []

    def cut_after_the_first(*columns: Sequence[Any]) -> pa.Table:
        chunks.append(len(columns[0]))
        if len(chunks) == 1:
            server.end_the_reading_session()
        return staged_rows(*columns)

    monkeypatch.setattr(reader, "staged_rows", cut_after_the_first)

    message = server.error(WarehouseError, f"SELECT * FROM orders {IN_WINDOW}")

    assert message.startswith("Shop test: reading orders.sql from connection shop_warehouse failed: ")
    assert re.search("lost|terminat|closed|broken", message, re.IGNORECASE)
    assert 0 < sum(chunks) < 100_000
    assert "000001" not in message


def test_a_full_temporary_folder_is_not_reported_as_an_error_of_the_warehouse(
    database: WarehouseUnderTest,
) -> None:
    database.fill([(f"{number}", "new", NOON) for number in range(30_000)])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        message = database.error(TemporaryFilesError)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert message.startswith(f"Temporary files in {tempfile.gettempdir()} cannot be written (")
    assert message.endswith("make room, or set TMPDIR to another folder.")


def test_the_error_of_an_unreachable_database_does_not_show_its_password(database: WarehouseUnderTest) -> None:
    for wrong, connection in database.unreachable().items():
        database.shop.connect("shop_warehouse", connection)

        message = database.error(WarehouseError)

        assert message.startswith("Shop test: reading orders.sql from connection shop_warehouse failed: "), wrong
        assert message.endswith("; check that the database answers and that the query runs there."), wrong
        assert len(message) > 150, wrong
        assert "hidden" not in message, wrong


def test_a_time_whose_year_does_not_exist_in_utc_stops_no_other_row(database: WarehouseUnderTest) -> None:
    database.fill([("bad", "new", "9999-12-31 23:59:59-05:00"), ("good", "new", NOON)])

    extraction = extract(database.configured(), WINDOW, UPath(database.shop.folder / "staged"))

    table = pq.read_table(extraction.partitions[0].path)
    assert table["order_id"].to_pylist() == ["bad", "good"]
    assert table["updated_at"][1].as_py() == utc(NOON)


@pytest.mark.parametrize("kind", ["naive", "zoned"])
def test_a_time_that_python_does_not_have_is_in_no_window_and_affects_no_other(
    database: WarehouseUnderTest, kind: str
) -> None:
    if not database.odd_times or kind not in database.types:
        pytest.skip(f"{database.kind} has no such times")
    if kind == "zoned" and database.kind == "mariadb":
        pytest.skip("a TIMESTAMP holds no time before 1970")
    database.fill([*((time, "new", time) for time in database.odd_times), ("good", "new", NOON)], kind)

    rows = database.staged().rows

    times = {row["order_id"]: row["updated_at"] for row in rows}
    assert times.pop("good") == utc(NOON)
    assert sorted(times) == sorted(database.odd_times)
    assert [time for time in times.values() if time and WINDOW.start <= time < WINDOW.end] == []


def test_the_error_of_a_row_does_not_show_the_row(database: WarehouseUnderTest) -> None:
    database.fill([("7", "private-remark", NOON)])

    message = database.error(
        WarehouseError,
        f"SELECT order_id, {database.shows_status} AS status, updated_at FROM orders WHERE :window_start < :window_end",
    )

    assert "private-remark" not in message


# Memory


def test_the_rows_of_the_driver_are_never_all_in_memory(
    database: WarehouseUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, note = 10_000, "x" * 1_000
    database.fill([(f"{number:06}{note}", "new", NOON) for number in range(rows)])
    shop = database.configured(partition_rows=1_000)
    monkeypatch.setattr(reader, "FETCH_ROWS", 1_000)
    monkeypatch.setattr(newest, "CHUNK_ROWS", 1_000)
    tracemalloc.start()
    try:
        extract(shop, WINDOW, UPath(database.shop.folder / "staged"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < rows * len(note) / 2


EXTRACT = """
import resource
import sys
from datetime import datetime
from pathlib import Path

from upath import UPath

from rees46_sync.shop.shop_file import load_shop
from rees46_sync.warehouse import newest, reader
from rees46_sync.window import Window

newest.SORT_MEMORY = "64MB"
shop_file, folder, *edges = sys.argv[1:]
early, start, end = map(datetime.fromisoformat, edges)
for window in (Window(early, start), Window(start, end)):
    extraction = reader.extract(load_shop(Path(shop_file)), window, UPath(folder) / str(window.start.date()))
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    print("extracted", extraction.read, len(extraction.partitions), kilobytes)
"""
"""A program that extracts two windows, and prints the rows and partitions of each and its peak memory so far."""


@pytest.mark.databases
@pytest.mark.timeout(1200)
def test_a_million_rows_take_no_more_memory_than_a_tenth_of_them(database: WarehouseUnderTest) -> None:
    """Long ids, and a smaller memory limit for the sort, stand in for more rows."""
    few, many, id_length, partition_rows = 100_000, 1_000_000, 100, 50_000
    database.generate(few + many, id_length, early=few)
    shop = database.configured(f"SELECT * FROM orders {IN_WINDOW}", partition_rows=partition_rows)
    edges = (moment.isoformat() for moment in (WINDOW.start - timedelta(days=1), WINDOW.start, WINDOW.end))
    command = [sys.executable, "-c", EXTRACT, str(shop.file), str(shop.file.with_suffix("")), *edges]
    environment = os.environ | {"AIRFLOW_CONN_SHOP_WAREHOUSE": database.connection()}

    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, timeout=900)

    # Airflow may print lines as well.
    printed = [list(map(int, line.split()[1:])) for line in done.stdout.splitlines() if line.startswith("extracted")]
    assert [row[:2] for row in printed] == [[rows, rows // partition_rows] for rows in (few, many)]
    growth = (printed[1][2] - printed[0][2]) * 1024
    assert growth < (many - few) * id_length


# How far the loader has come


def test_the_loader_says_how_far_it_has_come(database: WarehouseUnderTest) -> None:
    database.fill([("1", "new", NOON), ("2", "new", LATER)])
    until = database.shop.shops / "until.sql"
    until.write_text("SELECT max(updated_at) FROM orders -- of all loads")
    assert reader.read_loaded_until(database.configured(loaded_until="until.sql")) == utc(LATER)


def test_a_query_of_the_loader_that_fails_is_named(database: WarehouseUnderTest) -> None:
    database.fill([("1", "new", NOON)])
    (database.shop.shops / "until.sql").write_text("SELECT max(at) FROM no_such_table")
    with pytest.raises(WarehouseError, match=r"Shop test: reading until\.sql from connection shop_warehouse failed: "):
        reader.read_loaded_until(database.configured(loaded_until="until.sql"))


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("SELECT NULL", "a value that is no time"),
        ("SELECT 'soon'", "a value that is no time"),
        ("SELECT 1, 2", "2 values in 2 columns"),
        ("SELECT updated_at FROM orders WHERE 1 = 0", "0 values in 1 columns"),
    ],
    ids=["null", "no-time", "two-columns", "no-row"],
)
def test_an_answer_of_the_loader_that_is_no_time_is_an_error(
    database: WarehouseUnderTest, query: str, found: str
) -> None:
    database.fill([("1", "new", NOON)])
    (database.shop.shops / "until.sql").write_text(query)
    with pytest.raises(QueryColumnsError, match=rf"until\.sql \(loaded_until\) returns {found}; return one row"):
        reader.read_loaded_until(database.configured(loaded_until="until.sql"))
