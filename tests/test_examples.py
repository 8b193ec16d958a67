"""
The queries and shop files of shop systems, each in a whole run over a table of that system's shape.

The tables are in ``tests/shop_systems``, with the systems' own column types: each documented status once, rows that
must not be read, the edges of the window, an undocumented status.
"""

from __future__ import annotations

import itertools
import re
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
import sqlparse
import yaml
from upath import UPath

from rees46_sync.airflow_adapters.connections import get_database_hook
from rees46_sync.doctor.connections import ask
from rees46_sync.shop.query import read_query
from rees46_sync.shop.shop import Shop
from rees46_sync.shop.shop_file import load_shop, load_shops
from rees46_sync.warehouse.databases import find_by_conn_type
from rees46_sync.warehouse.query_plans import mysql_scans
from rees46_sync.warehouse.reader import extract
from rees46_sync.window import Window
from tests.conftest import PROJECT, ShopUnderTest, rees46_connection
from tests.e2e.airflow_stack import postgres_connection, postgres_uri
from tests.mariadb import MariaDB
from tests.whole_run import EIGHT, run_dag

EXAMPLES = sorted((PROJECT / "include" / "shops" / "examples").glob("*.yaml"))
WINDOW = Window(EIGHT - timedelta(hours=25), EIGHT)
"""The window of a first hourly run at EIGHT: its hour, and the lookback of 24 hours."""

LOCAL_TIME = ("prestashop", "opencart")
"""The systems that write local time, here that of Paris."""

PARIS = ZoneInfo("Europe/Paris")
CREATED, COMPLETED, CANCELLED = 0, 1, 2
MISSING, UNREADABLE, OUTSIDE = "updated_at_missing", "updated_at_unreadable", "updated_at_outside_window"
UNMAPPED, NO_STATUS = "status_unmapped", "status_missing"


@dataclass(frozen=True)
class System:
    """
    The expected result of a run over a system's table.

    :param sent: REES46's status of each order id that is sent.
    :param rejected: the status and the reason of each order id that is rejected; no other order may be read.
    """

    sent: Mapping[str, int]
    rejected: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)


def ids(numbers: str, status: int, prefix: str = "") -> dict[str, int]:
    """These order ids, each with this status of REES46."""
    return dict.fromkeys((prefix + number for number in numbers.split()), status)


def outside(numbers: str, status: str, prefix: str = "") -> dict[str, tuple[str, str]]:
    """These order ids, each with this status of the shop, rejected because no window has their time."""
    return dict.fromkeys((prefix + number for number in numbers.split()), (status, OUTSIDE))


WOOCOMMERCE = {**ids("101 102 103 104 402", CREATED), **ids("105 403", COMPLETED), **ids("106 107", CANCELLED)}
SHOPIFY = System(
    {
        **ids("101 102 103 104 111 112 121 122 402", CREATED, "5500000000"),
        **ids("113 123 131 403", COMPLETED, "5500000000"),
        **ids("105 106 114 124 141 142", CANCELLED, "5500000000"),
    },
    {
        "5500000000501": ("paid teleported", UNMAPPED),
        "5500000000502": ("paid unfulfilled", MISSING),
        "5500000000503": (None, NO_STATUS),
        **outside("601 602 603 604", "paid unfulfilled", "5500000000"),
        **dict.fromkeys(("5500000000606", "5500000000607", "5500000000608"), ("paid unfulfilled", UNREADABLE)),
    },
)
SYSTEMS = {
    "woocommerce": System(
        WOOCOMMERCE,
        {
            "501": ("wc-awaiting-pickup", UNMAPPED),
            "502": ("wc-processing", MISSING),
            "503": (None, NO_STATUS),
            "601": ("wc-processing", UNREADABLE),
            "606": ("wc-processing", UNREADABLE),
            **outside("602 603 604", "wc-processing"),
        },
    ),
    "woocommerce_classic": System(
        WOOCOMMERCE,
        {
            "501": ("wc-awaiting-pickup", UNMAPPED),
            "502": ("wc-processing", MISSING),
            **outside("602 603 604", "wc-processing"),
        },
    ),
    "magento": System(
        {
            **ids("101 102 103 104 105 106 107 108 109 110 2000000201 203-1 402", CREATED),
            **ids("111 MSK-0202 403", COMPLETED),
            **ids("112 113 114 203", CANCELLED),
        },
        {
            "501": ("picked", UNMAPPED),
            "503": (None, NO_STATUS),
            "601": ("processing", UNREADABLE),
            **outside("602 603 604", "processing"),
        },
    ),
    "prestashop": System(
        {
            **ids("101 102 103 104 109 110 111 112 113 201 402", CREATED),
            **ids("105 202 403", COMPLETED),
            **ids("106 107 108 203", CANCELLED),
        },
        {"501": ("14", UNMAPPED), "502": ("2", MISSING), **outside("602 603 604", "2")},
    ),
    "opencart": System(
        {
            **ids("101 102 103 109 112 115 201 402", CREATED),
            **ids("105 403", COMPLETED),
            **ids("107 108 110 111 113 114 116", CANCELLED),
        },
        {"501": ("17", UNMAPPED), "502": ("2", MISSING), **outside("602 603 604", "2")},
    ),
    "cscart": System(
        {
            **ids("101 102 103 104 201 212 402", CREATED),
            **ids("105 211 403", COMPLETED),
            **ids("106 107 108", CANCELLED),
        },
        {"501": ("A", UNMAPPED), "502": ("P", MISSING), **outside("602 603 604 612 614", "P")},
    ),
    "shopware": System(
        {
            **ids("10101 10102 10201 10203 10204 10214 10402", CREATED),
            **ids("10103 10213 10403", COMPLETED),
            **ids("10104 10211 10212", CANCELLED),
        },
        {
            "10501": ("on_hold", UNMAPPED),
            **dict.fromkeys(("10601", "10602", "10606", "10609"), ("open", MISSING)),
            **outside("10603 10604 10607 10608", "open"),
        },
    ),
    "shopify_fivetran": SHOPIFY,
    "shopify_airbyte": SHOPIFY,
}


_LONG_AGO = "'2024-01-01' + INTERVAL seq MINUTE"
OLD_ORDERS = {
    "woocommerce": [
        f"wp_wc_orders (id, status, type, date_updated_gmt) SELECT 999 + seq, 'wc-completed', 'shop_order', {_LONG_AGO}"
    ],
    "woocommerce_classic": [
        f"wp_posts (post_status, post_type, post_modified_gmt) SELECT 'wc-completed', 'shop_order', {_LONG_AGO}"
    ],
    "magento": [f"sales_order (increment_id, store_id, status, updated_at) SELECT seq, 9, 'complete', {_LONG_AGO}"],
    "prestashop": [f"ps_orders (id_cart, current_state, `date_add`, date_upd) SELECT seq, 5, {_LONG_AGO}, {_LONG_AGO}"],
    "opencart": [f"oc_order (order_status_id, date_added, date_modified) SELECT 5, {_LONG_AGO}, {_LONG_AGO}"],
    "cscart": [
        f"cscart_orders (timestamp, updated_at) SELECT UNIX_TIMESTAMP({_LONG_AGO}), UNIX_TIMESTAMP({_LONG_AGO})"
    ],
    "shopware": [
        "`order` (id, version_id, state_id, order_number, created_at, updated_at) SELECT UNHEX(MD5(seq + 99999)), "
        f"UNHEX('0FA91CE3E96A4BC2BE4BD9CE752C3425'), UNHEX(MD5('order.open')), seq, {_LONG_AGO}, {_LONG_AGO}",
        "order_transaction (id, version_id, order_id, order_version_id, state_id, created_at, updated_at) SELECT "
        "UNHEX(MD5(seq + 99999)), UNHEX('0FA91CE3E96A4BC2BE4BD9CE752C3425'), UNHEX(MD5(seq + 99999)), "
        f"UNHEX('0FA91CE3E96A4BC2BE4BD9CE752C3425'), UNHEX(MD5('payment.paid')), {_LONG_AGO}, {_LONG_AGO}",
    ],
}
"""Statements that insert old orders, without their FROM clause (a table of numbers ``seq``), for MariaDB."""


def schema_statements(system: str) -> list[str]:
    """The statements that make a system's table and its rows."""
    return sqlparse.split((PROJECT / "tests" / "shop_systems" / f"{system}.sql").read_text("utf-8"))


@pytest.fixture
def database(request: pytest.FixtureRequest, shop: ShopUnderTest, system: str) -> str:
    """The name of a new database with the system's table, which the connection my_warehouse names."""
    if not system.startswith("shopify"):
        mariadb: MariaDB = request.getfixturevalue("mariadb")
        if system in LOCAL_TIME:
            request.getfixturevalue("paris")
        name = mariadb.create_database()
        mariadb.execute(*schema_statements(system), database=name)
        shop.connect("my_warehouse", mariadb.connection(name))
        return name
    home = request.getfixturevalue("postgres_home")
    for database, statements in (
        ("postgres", [f"DROP DATABASE IF EXISTS {system}", f"CREATE DATABASE {system}"]),
        (system, schema_statements(system)),
    ):
        engine = sa.create_engine(postgres_uri(home, database), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))
        engine.dispose()
    shop.connect("my_warehouse", postgres_connection(home, system))
    return system


def install(shop: ShopUnderTest, system: str) -> Path:
    """Copy an example and its query as a user does; return the shop file."""
    (shop.shops / "test.yaml").unlink()
    queries = shop.folder / "sql"
    queries.mkdir()
    shop.connect("my_rees46", rees46_connection(shop.sandbox))
    shop.connect("my_ledger", f"sqlite:///{shop.ledger_file}")
    example = PROJECT / "include" / "shops" / "examples" / f"{system}.yaml"
    query = Path(yaml.safe_load(example.read_text("utf-8"))["query"]).name
    shutil.copy(PROJECT / "include" / "sql" / query, queries)
    return Path(shutil.copy(example, shop.shops))


@pytest.fixture(scope="session")
def paris(mariadb: MariaDB) -> None:
    """Load the time zone Europe/Paris into MariaDB, as mysql_tzinfo_to_sql does, for the years of these tests."""
    start = datetime(2025, 1, 1, tzinfo=UTC)
    hours = [start + timedelta(hours=hour) for hour in range(2 * 365 * 24)]
    mariadb.execute(
        "INSERT INTO mysql.time_zone VALUES (1, 'N')",
        "INSERT INTO mysql.time_zone_name VALUES ('Europe/Paris', 1)",
        "INSERT INTO mysql.time_zone_transition_type VALUES (1, 0, 3600, 0, 'CET'), (1, 1, 7200, 1, 'CEST')",
        *(
            f"INSERT INTO mysql.time_zone_transition VALUES (1, {hour.timestamp():.0f}, {_is_summer(hour):d})"
            for before, hour in itertools.pairwise(hours)
            if _is_summer(before) != _is_summer(hour)
        ),
    )


def _is_summer(moment: datetime) -> bool:
    return bool(moment.astimezone(PARIS).dst())


def extracted(shop: Shop, window: Window, folder: Path) -> list[dict[str, Any]]:
    """The rows that a run over a window reads."""
    return [
        row
        for partition in extract(shop, window, UPath(folder)).partitions
        for row in pq.read_table(partition.path).to_pylist()
    ]


@pytest.mark.databases
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.usefixtures("database")
def test_a_whole_run_over_a_shop_systems_table_sends_the_true_statuses(shop: ShopUnderTest, system: str) -> None:
    expected = SYSTEMS[system]
    example = load_shop(install(shop, system))

    run = run_dag(f"order_status_sync_{example.shop}", ignore_limits=True)

    assert shop.sandbox.state() == expected.sent
    assert shop.sandbox.stats()["violations"] == {}
    assert {
        order_id: (status, reason)
        for order_id, status, reason in shop.ledger_rows("SELECT order_id, status, reason FROM rees46_rejected_orders")
    } == expected.rejected
    assert (run.account["read"], run.account["sent"]) == (len(expected.sent | expected.rejected), len(expected.sent))
    assert run.state == "success"


@pytest.mark.databases
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.usefixtures("database")
def test_a_row_that_is_dated_an_hour_ahead_is_read_by_the_window_of_that_hour(shop: ShopUnderTest, system: str) -> None:
    """The run above must leave it alone, so that a clock that is a little ahead costs nothing."""
    example = load_shop(install(shop, system))
    hook = get_database_hook("my_warehouse")
    [[now]] = ask(hook, find_by_conn_type(hook.conn_type).clock or "")
    window = Window(now.replace(tzinfo=UTC), now.replace(tzinfo=UTC) + timedelta(hours=2))

    rows = extracted(example, window, shop.folder / "staged")

    in_window = {
        row["order_id"] for row in rows if row["updated_at"] and window.start <= row["updated_at"] < window.end
    }
    assert {order_id[-3:] for order_id in in_window} == ({"605", "615"} if system == "cscart" else {"605"})
    of_no_window = {one for one, (_, reason) in SYSTEMS[system].rejected.items() if reason in (MISSING, OUTSIDE)}
    assert of_no_window <= {row["order_id"] for row in rows}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.usefixtures("database")
def test_each_status_of_an_example_is_in_its_table(shop: ShopUnderTest, system: str) -> None:
    """So the run above covers the whole mapping."""
    example = load_shop(install(shop, system))

    found = {row["status"] for row in extracted(example, WINDOW, shop.folder / "staged")}

    assert set(example.codes) - found == set()


@pytest.mark.databases
@pytest.mark.parametrize("system", LOCAL_TIME)
@pytest.mark.usefixtures("database")
def test_without_the_time_zones_tables_nothing_is_sent_and_the_run_says_why(shop: ShopUnderTest, system: str) -> None:
    file = install(shop, system)
    query = load_shop(file).query
    query.write_text(query.read_text("utf-8").replace("'Europe/Paris'", "'Antarctica/Troll'"))

    run = run_dag(f"order_status_sync_{system}")

    assert (run.state, shop.sandbox.state()) == ("failed", {})
    assert {reason for (reason,) in shop.ledger_rows("SELECT reason FROM rees46_rejected_orders")} == {
        MISSING,
        f"{UNMAPPED}, {MISSING}",
    }


@pytest.mark.databases
@pytest.mark.parametrize(
    ("system", "columns"),
    [
        pytest.param(
            "prestashop", "ps_orders (id_order, id_cart, current_state, `date_add`, date_upd)", id="prestashop"
        ),
        pytest.param(
            "opencart", "oc_order (order_id, store_id, order_status_id, date_added, date_modified)", id="opencart"
        ),
    ],
)
def test_an_hourly_run_reads_each_change_also_when_clocks_are_set_back_or_forth(
    database: str, mariadb: MariaDB, shop: ShopUnderTest, system: str, columns: str
) -> None:
    """In Paris the hour from two to three came twice on 26 October 2025, and not at all on 29 March 2026."""
    example = load_shop(install(shop, system))
    nights = [datetime(2025, 10, 25, 22, tzinfo=UTC), datetime(2026, 3, 28, 22, tzinfo=UTC)]
    changes = [night + timedelta(minutes=minutes) for night in nights for minutes in range(0, 360, 20)]
    local = [f"{change.astimezone(PARIS):%Y-%m-%d %H:%M}" for change in changes]
    values = ", ".join(f"({1000 + number}, 1, 2, '{time}', '{time}')" for number, time in enumerate(local))
    mariadb.execute(f"INSERT INTO {columns} VALUES {values}", database=database)

    for hour in (night + timedelta(hours=hours) for night in nights for hours in range(1, 7)):
        window = Window(hour - timedelta(hours=3), hour)
        rows = extracted(example, window, shop.folder / f"{hour:%m%d%H}")
        timed = [row for row in rows if row["updated_at"] and row["order_id"] not in SYSTEMS[system].rejected]
        found = {row["order_id"] for row in timed}
        of_this_hour = {
            str(1000 + number) for number, change in enumerate(changes) if hour - timedelta(hours=1) <= change < hour
        }
        assert of_this_hour <= found
        assert all(window.start <= row["updated_at"] < window.end for row in timed)


@pytest.mark.parametrize("system", OLD_ORDERS)
def test_a_query_reads_by_the_index_that_its_file_names_and_no_table_as_a_whole(
    database: str, mariadb: MariaDB, shop: ShopUnderTest, system: str
) -> None:
    example = load_shop(install(shop, system))
    indexes = re.findall(r"CREATE INDEX (\w+) ON ([^)]*\))", example.query.read_text("utf-8"))
    for name, columns in indexes:
        mariadb.execute(f"CREATE INDEX {name} ON {columns}", database=database)
    for orders in OLD_ORDERS[system]:
        table = orders.split()[0]
        mariadb.execute(f"INSERT INTO {orders} FROM seq_1_to_5000", f"ANALYZE TABLE {table}", database=database)

    bounds = {"window_start": WINDOW.start.replace(tzinfo=None), "window_end": WINDOW.end.replace(tzinfo=None)}
    statement, parameters = read_query(example.query).for_driver("pyformat", bounds)
    plan = ask(get_database_hook("my_warehouse"), f"EXPLAIN {statement}", parameters)

    assert mysql_scans(plan) == []
    assert {name for name, _ in indexes} <= {row[5] for row in plan}


@pytest.mark.clock
@pytest.mark.parametrize(
    ("time", "windows"),
    [
        pytest.param("NULL", ["now", "last year"], id="none"),
        pytest.param("''", ["now", "last year"], id="empty"),
        pytest.param("'0000-00-00 00:00:00'", ["now", "last year"], id="zero"),
        pytest.param("0", ["now", "last year"], id="number"),
        pytest.param("'1970-01-01 00:00:00'", ["now", "last year"], id="1970"),
        pytest.param("datetime('now', '+2 days')", ["now", "last year"], id="in-two-days"),
        pytest.param("'2647-01-01 00:00:00'", ["now", "last year"], id="2647"),
        pytest.param("'soon'", ["now", "last year"], id="text"),
        pytest.param("datetime('now', '+1 hour')", ["now"], id="in-an-hour"),
        pytest.param("datetime('now', '-1 month')", [], id="a-month-ago"),
    ],
)
def test_the_demos_query_returns_in_every_window_what_belongs_to_none(
    shop: ShopUnderTest, time: str, windows: list[str]
) -> None:
    (shop.shops / "orders.sql").write_bytes((PROJECT / "include" / "sql" / "demo_orders.sql").read_bytes())
    with closing(sqlite3.connect(shop.warehouse)) as db, db:
        db.execute(f"INSERT INTO orders VALUES ('1', 'paid', {time})")
        [[text]] = db.execute("SELECT datetime('now')")
    now = datetime.fromisoformat(text).replace(tzinfo=UTC)
    spans = {
        "now": Window(now, now + timedelta(hours=2)),
        "last year": Window(now - timedelta(days=365), now - timedelta(days=364)),
    }

    rows = {name: extracted(shop.configure(), span, shop.folder / name) for name, span in spans.items()}

    assert [name for name in spans if rows[name]] == windows


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def example(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_example_is_tested() -> None:
    assert [path.stem for path in EXAMPLES] == sorted(SYSTEMS)


def test_an_example_can_be_used_once_it_is_copied_into_the_shops_folder(example: Path, tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "include" / "sql", tmp_path / "sql")
    (tmp_path / "shops").mkdir()
    copy = shutil.copy(example, tmp_path / "shops")

    assert load_shop(Path(copy)).query.parent == tmp_path / "sql"


def test_an_example_is_no_shop_before_it_is_copied() -> None:
    shops, errors = load_shops(PROJECT / "include" / "shops")

    assert [shop.shop for shop in shops] == ["demo"]
    assert errors == []
