"""A DuckDB file is only read, its queries reach nothing else, and a writer is waited for."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from rees46_sync.airflow_adapters.connections import get_database_hook
from rees46_sync.airflow_adapters.duckdb_hook import DatabaseInUseError
from rees46_sync.doctor.connections import answers
from rees46_sync.doctor.findings import Level
from rees46_sync.exceptions import ConnectionFieldsError
from rees46_sync.warehouse import duckdb_file
from rees46_sync.warehouse.reader import stream
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest
from tests.whole_run import EIGHT, IN_WINDOW

WINDOW = Window(EIGHT - timedelta(hours=1), EIGHT)
WRITER = "import duckdb, sys; db = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.readline()"


@pytest.fixture
def file(shop: ShopUnderTest) -> Path:
    """The shop's warehouse, with one order."""
    file = shop.folder / "warehouse.duckdb"
    with closing(duckdb.connect(file)) as db:
        db.execute("CREATE TABLE orders (order_id TEXT, status TEXT, updated_at TIMESTAMP)")
        db.execute("INSERT INTO orders VALUES ('1', 'new', ?)", [IN_WINDOW])
    connect(shop, host=str(file))
    return file


def connect(shop: ShopUnderTest, **fields: Any) -> None:
    shop.connect("shop_warehouse", json.dumps({"conn_type": "duckdb", **fields}))


def read(shop: ShopUnderTest) -> list[str]:
    return [order_id for rows in stream(shop.configure(), WINDOW) for order_id in rows["order_id"].to_pylist()]


@contextmanager
def written_by_another_process(file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The file is open for writing until a line is written to the process."""
    command = [sys.executable, "-c", WRITER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        try:
            yield writer
        finally:
            writer.kill()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT content FROM read_text('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "COPY orders TO '{folder}/copied.csv'",
        "EXPORT DATABASE '{folder}/exported'",
        "ATTACH '{folder}/other.duckdb'",
        "LOAD httpfs",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/etc']",
        "INSERT INTO orders VALUES ('2', 'new', now())",
        "DROP TABLE orders",
    ],
)
def test_a_statement_reaches_nothing_outside_of_the_database_and_changes_nothing_in_it(
    shop: ShopUnderTest, file: Path, statement: str
) -> None:
    before = sorted(shop.folder.iterdir())

    with (
        closing(get_database_hook("shop_warehouse").get_conn()) as connection,
        pytest.raises((duckdb.PermissionException, duckdb.InvalidInputException)),
    ):
        connection.execute(statement.format(folder=shop.folder))

    assert sorted(shop.folder.iterdir()) == before
    assert read(shop) == ["1"]


def test_two_read_the_file_at_once(shop: ShopUnderTest, file: Path) -> None:
    reader_code = WRITER.replace("connect(sys.argv[1])", "connect(sys.argv[1], read_only=True)")
    command = [sys.executable, "-c", reader_code, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"

        assert read(shop) == ["1"]

        other.kill()


def test_a_query_waits_until_another_process_has_written(
    shop: ShopUnderTest, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with written_by_another_process(file) as writer:
        assert writer.stdin is not None
        done = threading.Timer(1, writer.stdin.close)
        done.start()

        with caplog.at_level("INFO", duckdb_file.__name__):
            assert read(shop) == ["1"]

        done.join()
    assert "open for writing" in caplog.text


def test_a_process_that_writes_for_too_long_is_named_with_the_remedy(
    shop: ShopUnderTest, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_file, "WAIT_FOR_WRITER_S", 0)
    with written_by_another_process(file) as writer:
        with pytest.raises(DatabaseInUseError, match=rf"\(PID {writer.pid}\) has {file} open.*let that process close"):
            read(shop)

        [finding] = [answers("warehouse.connection", get_database_hook("shop_warehouse"))]

    assert finding.level is Level.ERROR
    assert f"(PID {writer.pid}) has {file} open for writing" in finding.value


def test_files_in_an_allowed_folder_are_read_and_no_others(shop: ShopUnderTest) -> None:
    folder = shop.folder / "parquet"
    folder.mkdir()
    with closing(duckdb.connect()) as db:
        row = f"SELECT '7' AS order_id, 'new' AS status, TIMESTAMP '{IN_WINDOW}' AS updated_at"
        for place in (folder, shop.folder):
            db.execute(f"COPY ({row}) TO '{place}/orders.parquet'")
    bounds = "WHERE updated_at >= :window_start AND updated_at < :window_end"
    query = f"SELECT * FROM read_parquet('{{}}/orders.parquet') {bounds}"
    connect(shop, extra={"settings": {"allowed_directories": [str(folder)]}})

    (shop.shops / "orders.sql").write_text(query.format(folder))
    assert read(shop) == ["7"]
    (shop.shops / "orders.sql").write_text(query.format(shop.folder))
    with pytest.raises(Exception, match="Cannot access file"):
        read(shop)
    connect(shop, extra={"settings": {"enable_external_access": True}})
    assert read(shop) == ["7"]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        pytest.param({}, "names no file.*allowed_directories", id="in-memory"),
        pytest.param({"host": "{file}", "extra": {"read_only": False}}, "read_only is False; remove it", id="writable"),
    ],
)
def test_a_connection_that_cannot_be_only_read_is_refused(
    shop: ShopUnderTest, file: Path, fields: dict[str, Any], problem: str
) -> None:
    connect(shop, **{name: str(file) if value == "{file}" else value for name, value in fields.items()})

    with pytest.raises(ConnectionFieldsError, match=f"Connection shop_warehouse: .*{problem}"):
        get_database_hook("shop_warehouse").get_conn()
