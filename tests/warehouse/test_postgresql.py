"""Arrow columns of PostgreSQL have the same values as psycopg's rows, and psycopg reads all other types."""

from __future__ import annotations

import gc
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rees46_sync.exceptions import TemporaryFilesError
from rees46_sync.warehouse import postgresql, reader
from tests.conftest import ShopUnderTest
from tests.warehouses import PostgreSQL

ANY_WINDOW = "WHERE :window_start < :window_end"
NOON = "timestamp '2026-03-01 12:00:00'"
AT_NOON = f"'new' AS status, {NOON} AS updated_at"


@pytest.fixture
def database(shop: ShopUnderTest, postgres_home: Path) -> PostgreSQL:
    made = PostgreSQL(shop, postgres_home)
    shop.connect("shop_warehouse", made.connection())
    return made


@pytest.fixture
def arrow(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each chunk came as Arrow columns."""
    chunks: list[bool] = []
    staged_rows = reader.staged_rows

    def recorded(*columns: Any) -> pa.Table:
        chunks.append(isinstance(columns[0], pa.Array))
        return staged_rows(*columns)

    monkeypatch.setattr(reader, "staged_rows", recorded)
    return chunks


@pytest.mark.parametrize(
    ("columns", "by_arrow"),
    [
        pytest.param(f"'é ' AS order_id, {AT_NOON}", True, id="text"),
        pytest.param(f"'7'::varchar AS order_id, {AT_NOON}", True, id="varchar"),
        pytest.param(f"'7'::char(3) AS order_id, {AT_NOON}", True, id="char"),
        pytest.param(f"(-7)::int2 AS order_id, {AT_NOON}", True, id="int2"),
        pytest.param(f"7 AS order_id, {AT_NOON}", True, id="int4"),
        pytest.param(f"9223372036854775807 AS order_id, {AT_NOON}", True, id="int8"),
        pytest.param(f"NULL::bigint AS order_id, {AT_NOON}", True, id="null"),
        pytest.param(f"7 AS n, 7 AS n, 7 AS ORDER_ID, {AT_NOON}", True, id="more-columns"),
        pytest.param(f"'7' AS order_id, 12 AS status, {NOON} AS updated_at", True, id="status-of-a-number"),
        pytest.param("'7' AS order_id, ' new' AS status, '2026-03-01 12:00:00+03' AS updated_at", True, id="text-time"),
        pytest.param("'7' AS order_id, 'new' AS status, 1772366400 AS updated_at", True, id="time-of-a-number"),
        pytest.param(
            "'7' AS order_id, 'new' AS status, timestamptz '2026-03-01 12:00:00.123456+03' AS updated_at",
            True,
            id="zoned-time",
        ),
        pytest.param("'7' AS order_id, 'new' AS status, :window_start AS updated_at", True, id="time-of-a-parameter"),
        pytest.param(
            "'7' AS order_id, 'new' AS status, :window_start::date + interval '1 day' AS updated_at",
            True,
            id="calculation-with-a-parameter",
        ),
        pytest.param(
            "'7' AS order_id, pg_typeof(:window_start)::text AS status, NULL::timestamp AS updated_at",
            True,
            id="type-of-a-parameter",
        ),
        pytest.param(
            "'7' AS order_id, 'new' AS status, timestamp '9999-12-31 23:59:59.999999' AS updated_at",
            True,
            id="last-microsecond",
        ),
        pytest.param("'7' AS order_id, 'new' AS status, timestamp '0001-01-01' AS updated_at", True, id="first-year"),
        pytest.param(f"1.50 AS order_id, {AT_NOON}", False, id="numeric"),
        pytest.param(f"1e15::float8 AS order_id, {AT_NOON}", False, id="float8"),
        pytest.param(
            f"'0e37df36-f698-11e6-8dd4-cb9ced3df976'::uuid AS order_id, {AT_NOON}", False, id="uuid"
        ),
        pytest.param(f"'7'::bytea AS order_id, {AT_NOON}", False, id="bytea"),
        pytest.param(f"'7' AS order_id, true AS status, {NOON} AS updated_at", False, id="boolean"),
        pytest.param("'7' AS order_id, 'new' AS status, date '2026-03-01' AS updated_at", False, id="date"),
    ],
)  # fmt: skip
def test_a_row_is_the_same_by_arrow_and_by_psycopg(
    database: PostgreSQL, arrow: list[bool], columns: str, by_arrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql = f"SELECT {columns} {ANY_WINDOW}"
    rows = database.staged(sql).rows

    monkeypatch.setattr(postgresql, "TYPES", set())

    assert (rows, arrow) == (database.staged(sql).rows, [by_arrow, False])
    assert len(rows) == 1


@pytest.mark.parametrize("by_arrow", [True, False], ids=["arrow", "psycopg"])
def test_text_is_correct_whatever_encoding_the_roles_sessions_have(
    database: PostgreSQL, arrow: list[bool], by_arrow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not by_arrow:
        monkeypatch.setattr(postgresql, "TYPES", set())
    database.execute("ALTER ROLE postgres SET client_encoding = 'LATIN1'")
    try:
        rows = database.staged(f"SELECT 'заказ' AS order_id, {AT_NOON} {ANY_WINDOW}").rows
    finally:
        database.execute("ALTER ROLE postgres RESET client_encoding")

    assert ([row["order_id"] for row in rows], arrow) == (["заказ"], [by_arrow])


def test_psycopg_reads_if_adbc_cannot_connect(
    database: PostgreSQL, arrow: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    from adbc_driver_manager import AdbcStatusCode
    from adbc_driver_postgresql import dbapi

    def refused(*_: Any) -> None:
        raise dbapi.OperationalError("its libpq lacks a way to log in", status_code=AdbcStatusCode.IO)

    monkeypatch.setattr(dbapi, "connect", refused)

    assert len(database.staged(f"SELECT '7' AS order_id, {AT_NOON} {ANY_WINDOW}").rows) == 1
    assert arrow == [False]


def test_psycopg_reads_if_adbc_is_not_installed(
    database: PostgreSQL, arrow: list[bool], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "adbc_driver_postgresql", None)

    with caplog.at_level("INFO", logger=postgresql.log.name):
        staged = database.staged(f"SELECT '7' AS order_id, {AT_NOON} {ANY_WINDOW}")

    assert (len(staged.rows), arrow) == (1, [False])
    assert "install airflow-provider-rees46[postgres]" in caplog.text


@pytest.mark.parametrize(
    "time",
    [
        "infinity",
        "-infinity",
        "10000-01-01",
        "200000-02-29 01:02:03.45",
        "294276-12-31 23:59:59.999999",
        "0001-12-31 BC",
        "4713-01-01 12:00:00.000001 BC",
    ],
)
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date"])
def test_a_time_that_python_does_not_have_is_unreadable_and_affects_no_other(
    database: PostgreSQL, arrow: list[bool], kind: str, time: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [[text]] = database.execute(f"SELECT ({kind} '{time}')::text")
    columns = f"AS order_id, 'new' AS status, {kind}"
    sql = " UNION ALL ".join(
        f"SELECT {order_id} {columns} '{value}' AS updated_at {ANY_WINDOW}"
        for order_id, value in [(7, time), (8, "2026-03-01")]
    )
    rows = database.staged(sql).rows

    monkeypatch.setattr(postgresql, "TYPES", set())

    assert (rows, arrow) == (database.staged(sql).rows, [kind != "date", False])
    bad, good = rows
    assert (bad["updated_at"], bad["updated_at_readable"], bad["updated_at_text"]) == (None, False, text)
    assert good["updated_at"] == datetime(2026, 3, 1, tzinfo=UTC)


def test_the_remaining_rows_are_not_read_if_the_extraction_fails(
    database: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a thousand million rows would take hours; and the driver reports no error when it cleans up."""
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)

    def no_room(*_: Any) -> pa.Table:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reader, "staged_rows", no_room)
    began = time.monotonic()

    database.error(
        TemporaryFilesError,
        f"SELECT n AS order_id, {AT_NOON} FROM generate_series(1, 30000) AS n, generate_series(1, 30000) {ANY_WINDOW}",
    )

    assert time.monotonic() - began < 60
    deadline = time.monotonic() + 20
    while database.execute("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY (%'"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    gc.collect()
    assert complaints == []
