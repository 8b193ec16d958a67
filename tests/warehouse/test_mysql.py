"""A warehouse in MySQL or MariaDB: the types, settings and limits that only these have."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from rees46_sync.exceptions import TemporaryFilesError, WarehouseError
from rees46_sync.warehouse import reader
from tests.conftest import ShopUnderTest
from tests.mariadb import MariaDB
from tests.warehouses import IN_WINDOW, MySQL

NOON = "2026-03-01 12:00:00"
ONE_ROW = f"'{NOON}' AS updated_at FROM DUAL WHERE :window_start < :window_end"


@pytest.fixture
def database(shop: ShopUnderTest, mariadb: MariaDB) -> MySQL:
    made = MySQL(shop, mariadb)
    shop.connect("shop_warehouse", made.connection())
    return made


@pytest.fixture
def old_sql_mode(mariadb: MariaDB) -> Iterator[None]:
    """The settings of old servers: dates that do not exist are allowed, quotes and backslashes have other meanings."""
    [[usual]] = mariadb.execute("SELECT @@GLOBAL.sql_mode")
    mariadb.execute("SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'")
    yield
    mariadb.execute(f"SET GLOBAL sql_mode = '{usual}'")


@pytest.mark.parametrize(
    ("kind", "value", "text", "exact"),
    [
        pytest.param("BIGINT UNSIGNED", "18446744073709551615", "18446744073709551615", True, id="unsigned"),
        pytest.param("DECIMAL(65, 0)", "9" * 65, "9" * 65, True, id="decimal-of-65-digits"),
        pytest.param("DECIMAL(12, 2)", "123.00", "123", True, id="decimal-with-zeros"),
        pytest.param("INT(8) ZEROFILL", "7", "7", True, id="zerofill"),
        pytest.param("TINYINT(1)", "1", "1", True, id="boolean"),
        pytest.param("YEAR", "2026", "2026", True, id="year"),
        pytest.param("ENUM('007')", "'007'", "007", True, id="enum"),
        pytest.param("CHAR(36)", "'0e37df36-f698-11e6-8dd4-cb9ced3df976'", "0e37df36-f698-11e6-8dd4-cb9ced3df976", True,
                     id="uuid-in-text"),
        pytest.param("UUID", "'0e37df36-f698-11e6-8dd4-cb9ced3df976'", "0e37df36-f698-11e6-8dd4-cb9ced3df976", True,
                     id="uuid"),
        pytest.param("VARBINARY(16)", "'007'", "007", True, id="text-in-binary"),
        pytest.param("BINARY(4)", "0xffeeddcc", "ffeeddcc", False, id="binary"),
        pytest.param("FLOAT", "999999", "999999", True, id="small-float"),
        pytest.param("FLOAT", "16777216", "16777200.0", False, id="float-of-which-six-digits-are-shown"),
    ],
)  # fmt: skip
def test_an_id_of_any_type_is_exact_or_marked_as_inexact(
    database: MySQL, kind: str, value: str, text: str, exact: bool
) -> None:
    database.execute(f"CREATE TABLE ids (id {kind})", f"INSERT INTO ids VALUES ({value})")

    [row] = database.staged(
        f"SELECT id AS order_id, 'new' AS status, '{NOON}' AS updated_at FROM ids WHERE :window_start < :window_end"
    ).rows

    assert (row["order_id"], row["order_id_exact"]) == (text, exact)


def test_two_orders_whose_float_ids_are_shown_as_one_are_not_merged(database: MySQL) -> None:
    database.execute("CREATE TABLE ids (id FLOAT)", "INSERT INTO ids VALUES (1000001), (1000002)")

    staged = database.staged(
        f"SELECT id AS order_id, 'new' AS status, '{NOON}' AS updated_at FROM ids WHERE :window_start < :window_end"
    )

    assert (len(staged.rows), staged.extraction.superseded) == (2, 0)


@pytest.mark.parametrize("zero", ["0000-00-00 00:00:00", "2026-00-00 00:00:00", "2026-02-31 00:00:00"])
def test_a_date_that_does_not_exist_is_unreadable_and_affects_no_other(
    database: MySQL, mariadb: MariaDB, old_sql_mode: None, zero: str
) -> None:
    mariadb.execute("SET GLOBAL sql_mode = 'ALLOW_INVALID_DATES'")
    database.fill([("bad", "new", zero), ("good", "new", NOON)], "naive")

    bad, good = database.staged().rows

    assert (bad["updated_at"], bad["updated_at_readable"], bad["updated_at_text"]) == (None, False, f"{zero}.000000")
    assert good["updated_at"] == datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_a_query_runs_in_the_servers_own_sql_mode(database: MySQL, old_sql_mode: None) -> None:
    database.fill([("7", "new", NOON)], "naive")

    staged = database.staged(
        f"""SELECT "order_id" || '-\\' AS order_id, 'it''s %' AS status, updated_at FROM orders {IN_WINDOW}"""
    )

    assert staged.statuses == [("7-\\", "it's %")]


@pytest.mark.parametrize("charset", ["utf8mb4", "utf8mb3", "latin1", "utf16"])
def test_text_of_any_character_set_is_read_correctly(database: MySQL, charset: str) -> None:
    text = {"utf8mb4": "заказ-😀", "utf8mb3": "заказ-é", "latin1": "café-€", "utf16": "я😀"}[charset]
    database.execute(f"CREATE TABLE ids (id VARCHAR(20) CHARACTER SET {charset})", f"INSERT INTO ids VALUES ('{text}')")

    staged = database.staged(f"SELECT id AS order_id, '😀' AS status, {ONE_ROW.replace('DUAL', 'ids')}")

    assert staged.statuses == [(text, "😀")]


@pytest.mark.parametrize("quoted", ["'it\\'s :late'", "`a:b`", '"a:b"', "'\\\\'", "'100%s'"])
def test_colons_in_mysqls_quotes_bind_nothing(database: MySQL, quoted: str) -> None:
    expression = f"(SELECT 'x' AS {quoted})" if quoted.startswith("`") else quoted

    [row] = database.staged(f"# :comment\nSELECT '1' AS order_id, {expression} AS status, {ONE_ROW}").rows

    assert row["status"] in ("it's :late", "x", "a:b", "\\", "100%s")


def test_the_users_time_limit_fails_the_extraction_with_a_clear_error_and_nothing_is_staged(
    database: MySQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.server.execute(f"GRANT SELECT ON {database.database}.* TO {database.login} WITH MAX_STATEMENT_TIME 1")
    staged_rows = reader.staged_rows

    def slow(*columns: Any) -> pa.Table:
        time.sleep(0.5)
        return staged_rows(*columns)

    monkeypatch.setattr(reader, "staged_rows", slow)

    message = database.error(
        WarehouseError,
        f"SELECT seq AS order_id, REPEAT('x', 100) AS status, {ONE_ROW.replace('DUAL', 'seq_1_to_300000')}",
    )

    assert "max_statement_time exceeded" in message


def test_a_query_that_is_killed_halfway_stages_nothing(database: MySQL, monkeypatch: pytest.MonkeyPatch) -> None:
    staged_rows = reader.staged_rows

    def killed(*columns: Any) -> pa.Table:
        database.execute(f"KILL QUERY USER {database.login}")
        return staged_rows(*columns)

    monkeypatch.setattr(reader, "staged_rows", killed)

    message = database.error(
        WarehouseError,
        f"SELECT seq AS order_id, REPEAT('x', 100) AS status, {ONE_ROW.replace('DUAL', 'seq_1_to_300000')}",
    )

    assert "interrupted" in message


def test_the_remaining_rows_are_not_read_if_the_extraction_fails(
    database: MySQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading a thousand million rows would take hours; and the driver reports no error when it cleans up."""
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)

    def no_room(*columns: Any) -> pa.Table:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reader, "staged_rows", no_room)
    began = time.monotonic()

    database.error(
        TemporaryFilesError,
        f"SELECT seq AS order_id, 'new' AS status, {ONE_ROW.replace('DUAL', 'seq_1_to_1000000000')}",
    )

    assert time.monotonic() - began < 60
    deadline = time.monotonic() + 20
    while database.execute(f"SELECT 1 FROM information_schema.processlist WHERE user = '{database.login}'"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    gc.collect()
    assert complaints == []
