"""Each setting of a connection reaches the driver, or is refused by name."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa
from psycopg import pq

from rees46_sync.airflow_adapters.connection_settings import SETTINGS
from rees46_sync.airflow_adapters.connections import create_engine, get_database_hook
from rees46_sync.exceptions import ConnectionFieldsError
from rees46_sync.ledger.database import Ledger
from rees46_sync.warehouse import postgresql
from tests.mariadb import MariaDB

Connect = Callable[..., sa.Connection]
PATHS = ["warehouse", "ledger"]


@pytest.fixture(params=PATHS)
def connect(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Connect as a warehouse is connected to, and as a ledger."""
    engines: list[sa.Engine] = []

    def connected(text: str) -> sa.Connection:
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", text)
        is_ledger = request.param == "ledger"
        engines.append(Ledger.from_conn_id("shop").engine if is_ledger else create_engine(get_database_hook("shop")))
        return engines[-1].connect()

    yield connected
    for engine in engines:
        engine.dispose()


def refusal(text: str, monkeypatch: pytest.MonkeyPatch) -> ConnectionFieldsError:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", text)
    with pytest.raises(ConnectionFieldsError) as caught:
        get_database_hook("shop")
    return caught.value


# Refused


@pytest.mark.parametrize(
    ("conn_type", "name", "remedy"),
    [
        pytest.param("postgres", "sslmod", "write sslmode instead of sslmod", id="postgres-typo"),
        pytest.param("postgres", "ssl_mode", "write sslmode instead", id="postgres-name-of-mysql"),
        pytest.param("postgres", "SSLMODE", "write sslmode instead", id="postgres-capitals"),
        pytest.param("postgres", "ssl", "write sslmode instead", id="postgres-name-of-java"),
        pytest.param("postgres", "search_path", "options, such as -c search_path", id="postgres-search-path"),
        pytest.param("postgres", "dbname", "own field schema", id="postgres-field"),
        pytest.param("postgres", "replication", "leave replication out", id="postgres-replication"),
        pytest.param("mysql", "sslmode", "write ssl_mode instead", id="mysql-name-of-postgresql"),
        pytest.param("mysql", "ssl-ca", "write ssl_ca instead", id="mysql-hyphen"),
        pytest.param("mysql", "read_default_file", "read_default_file", id="mysql-file"),
        pytest.param("mysql", "user", "own field login", id="mysql-field"),
        pytest.param("sqlite", "timeot", "write timeout instead", id="sqlite-typo"),
        pytest.param("sqlite", "read_only", "mode, with the value ro", id="sqlite-name-of-duckdb"),
        pytest.param("duckdb", "readonly", "write read_only instead", id="duckdb-typo"),
        pytest.param("duckdb", "s3_region", "leave s3_region out", id="duckdb-setting"),
    ],
)
def test_a_setting_without_effect_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, conn_type: str, name: str, remedy: str
) -> None:
    text = {"conn_type": conn_type, "host": f"{tmp_path}/db", "extra": {name: "hidden"}}

    error = refusal(json.dumps(text), monkeypatch)

    assert f"extra {name} is no setting of type {conn_type}" in error.problem
    assert remedy in error.remedy
    assert "hidden" not in str(error)


def test_all_of_them_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    error = refusal("postgres://a:b@localhost/c?sslmod=require&zzz=1&sslmode=require", monkeypatch)

    assert "extra sslmod, zzz are no setting" in error.problem
    assert "write sslmode instead of sslmod; leave zzz out" in error.remedy


@pytest.mark.parametrize(
    ("conn_type", "extra", "words"),
    [
        pytest.param("postgres", "sslmode=hidden", "no JSON object", id="text"),
        pytest.param("mysql", '["hidden"]', "no JSON object", id="list"),
        pytest.param("duckdb", {"read_only": "hidden"}, "read_only is neither true nor false", id="switch"),
        pytest.param("duckdb", {"threads": "hidden"}, "threads is no whole number", id="threads"),
        pytest.param("duckdb", {"settings": "hidden"}, "settings is no JSON object", id="settings"),
        pytest.param("mysql", {"read_timeout": "hidden"}, "read_timeout is no whole number", id="number"),
        pytest.param("mysql", {"charset": "latin1"}, "charset is not utf8mb4", id="charset"),
        pytest.param("mysql", {"ssl": {"verify_mode": "none"}}, "ssl has verify_mode", id="key-of-ssl"),
        pytest.param(
            "mysql",
            {"ssl_disabled": 1, "ssl_mode": "REQUIRED"},
            "contradict each other",
            id="disabled",
        ),
        pytest.param(
            "mysql",
            {"ssl_verify_identity": 1, "ssl_mode": "PREFERRED"},
            "contradict each other",
            id="preferred",
        ),
    ],
)
def test_a_value_that_cannot_be_obeyed_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, conn_type: str, extra: object, words: str
) -> None:
    error = refusal(json.dumps({"conn_type": conn_type, "host": f"{tmp_path}/db", "extra": extra}), monkeypatch)

    assert words in error.problem
    assert error.remedy
    assert "hidden" not in str(error)


def test_settings_are_refused_if_another_driver_would_have_to_obey_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_SHOP", "postgres://a@localhost/b?sslmode=require&sqlalchemy_scheme=postgresql%2Bpg8000"
    )

    with pytest.raises(ConnectionFieldsError, match="sslmode does not reach the driver of extra sqlalchemy_scheme"):
        create_engine(get_database_hook("shop"))


@pytest.mark.parametrize(
    ("conn_type", "extra"),
    [
        pytest.param("postgres", {"cursor": "dictcursor", "iam": False, "aws_conn_id": "aws"}, id="postgres"),
        pytest.param("postgres", {"sslmode": "", "options": None}, id="fields-left-empty"),
        pytest.param("postgres", {"placeholder": "?", "dialect": "postgresql"}, id="of-all-hooks"),
        pytest.param("mysql", {"client": "mysqlclient", "cursor": "SSCursor", "local_infile": True}, id="mysql"),
        pytest.param("http", {"anything": 1}, id="another-type"),
    ],
)
def test_what_airflow_knows_may_stay(monkeypatch: pytest.MonkeyPatch, conn_type: str, extra: dict[str, object]) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": conn_type, "host": "localhost", "extra": extra}))

    if conn_type == "http":
        with pytest.raises(ConnectionFieldsError, match="is not a database"):
            get_database_hook("shop")
    else:
        get_database_hook("shop")


# PostgreSQL


def postgresql_connection(home: Path, **extra: object) -> str:
    fields = {"conn_type": "postgres", "host": f"{home}/postgres", "login": "postgres", "schema": "postgres"}
    return json.dumps(fields | {"extra": extra})


def test_every_option_of_libpq_is_a_setting_or_a_field_of_the_connection() -> None:
    options = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    of_the_connection = {"user", "password", "host", "port", "dbname"}
    not_for_a_session = {"replication", "scram_client_key", "scram_server_key", "sslkeylogfile"}

    assert options - of_the_connection - not_for_a_session - SETTINGS["postgres"].driver == set()


POSTGRESQL = [
    pytest.param({"application_name": "orders"}, "SELECT current_setting('application_name')", "orders", id="name"),
    pytest.param({"options": "-c work_mem=5MB"}, "SELECT current_setting('work_mem')", "5MB", id="options"),
    pytest.param({"client_encoding": "LATIN1"}, "SELECT current_setting('client_encoding')", "LATIN1", id="encoding"),
]


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql+psycopg2"])
@pytest.mark.parametrize(("extra", "query", "value"), POSTGRESQL)
def test_the_server_sees_the_settings_of_postgresql(
    connect: Connect, postgres_home: Path, extra: dict[str, str], query: str, value: str, scheme: str
) -> None:
    with connect(postgresql_connection(postgres_home, **extra, sqlalchemy_scheme=scheme)) as session:
        assert session.exec_driver_sql(query).scalar() == value


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "postgresql+psycopg2"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("connect_timeout", 7),
        ("channel_binding", "disable"),
        ("keepalives", 0),
        ("keepalives_count", 2),
        ("keepalives_idle", 5),
        ("keepalives_interval", 6),
        ("passfile", "/none"),
        ("sslcert", "/none.pem"),
        ("sslcrl", "/none.crl"),
        ("sslkey", "/none.key"),
        ("sslmode", "allow"),
        ("sslrootcert", "/none.pem"),
        ("target_session_attrs", "read-write"),
        ("tcp_user_timeout", 9000),
    ],
)
def test_libpq_has_the_settings_of_postgresql(
    connect: Connect, postgres_home: Path, name: str, value: object, scheme: str
) -> None:
    with connect(postgresql_connection(postgres_home, **{name: value, "sqlalchemy_scheme": scheme})) as session:
        driver: Any = session.connection.driver_connection
        # Airflow's older provider connects with psycopg whatever the scheme says.
        is_psycopg = isinstance(driver, psycopg.Connection)
        found = driver.info.get_parameters() if is_psycopg else driver.info.dsn_parameters

    assert found[name] == str(value)


def test_adbc_has_the_settings_of_psycopg(monkeypatch: pytest.MonkeyPatch, postgres_home: Path) -> None:
    import adbc_driver_postgresql.dbapi

    extra = {"application_name": "orders", "sslmode": "allow", "connect_timeout": 7}
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", postgresql_connection(postgres_home, **extra))
    given: list[str] = []
    connect = adbc_driver_postgresql.dbapi.connect

    def recorded(dsn: str) -> object:
        given.append(dsn)
        return connect(dsn)

    monkeypatch.setattr(adbc_driver_postgresql.dbapi, "connect", recorded)
    engine = create_engine(get_database_hook("shop"))
    with engine.connect() as session:
        from rees46_sync.shop.query import Query

        with postgresql.arrow_result(session, Query(("SELECT 'a' AS order_id",)), {}, ["order_id"]) as result:
            assert result is not None
            assert [[list(column) for column in chunk] for chunk in result[1]] == [[[pa.scalar("a")]]]
    engine.dispose()

    assert [f"{name}={value}" in given[0].split() for name, value in extra.items()] == [True] * 3


@pytest.mark.parametrize(("given", "threshold"), [(0, 0), ("3", 3), (None, None), ("none", None)])
def test_psycopg_prepares_statements_as_the_connection_says(
    connect: Connect, postgres_home: Path, given: object, threshold: int | None
) -> None:
    with connect(postgresql_connection(postgres_home, prepare_threshold=given)) as session:
        driver: Any = session.connection.driver_connection
        assert driver.prepare_threshold == threshold


# SQLite


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    file = tmp_path / "a b%.db"
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("CREATE TABLE orders (n)")
    return file


def sqlite_connection(file: Path, **extra: object) -> str:
    return json.dumps({"conn_type": "sqlite", "host": str(file), "extra": extra})


def test_a_file_that_is_opened_read_only_is_not_written(sqlite_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", sqlite_connection(sqlite_file, mode="ro"))
    engine = create_engine(get_database_hook("shop"))
    with engine.connect() as session, pytest.raises(sa.exc.OperationalError, match="readonly"):
        session.exec_driver_sql("INSERT INTO orders VALUES (1)")
    engine.dispose()


def test_the_mode_may_stand_in_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", f"sqlite:///{tmp_path}/none.db?mode=rw")
    engine = create_engine(get_database_hook("shop"))
    with pytest.raises(sa.exc.OperationalError, match="unable to open"):
        engine.connect()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extra", [{"timeout": 3}, {"timeout": "3", "cache": "private", "uri": True}])
def test_sqlite_waits_for_a_lock_as_long_as_the_connection_says(
    connect: Connect, sqlite_file: Path, extra: dict[str, object]
) -> None:
    with connect(sqlite_connection(sqlite_file, **extra)) as session:
        assert session.exec_driver_sql("PRAGMA busy_timeout").scalar() == 3000


# DuckDB


def test_the_settings_of_duckdb_may_stand_in_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb.connect(tmp_path / "shop.duckdb").close()
    settings = "threads=1&memory_limit=100MB&autoload_extensions=false&allow_community_extensions=true"
    uri = f"duckdb://{str(tmp_path / 'shop.duckdb').replace('/', '%2F')}?{settings}"
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", uri)

    with closing(get_database_hook("shop").get_conn()) as session:
        names = ("threads", "memory_limit", "autoload_known_extensions", "allow_community_extensions")
        found = [session.execute(f"SELECT current_setting('{name}')").fetchone()[0] for name in names]

    assert found == [1, "95.3 MiB", False, True]


def test_duckdb_loads_the_extensions_of_a_uri(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", f"duckdb://{str(tmp_path).replace('/', '%2F')}?extensions=json,%20parquet")

    hook: Any = get_database_hook("shop")

    assert hook.get_extensions() == ["json", "parquet"]


# MySQL and MariaDB


@pytest.mark.databases
@pytest.mark.parametrize(
    ("extra", "query", "value"),
    [
        pytest.param({"init_command": "SET @given = 7"}, "SELECT @given", 7, id="init_command"),
        pytest.param({"sql_mode": "ANSI_QUOTES"}, "SELECT @@sql_mode LIKE 'ANSI_QUOTES%%'", 1, id="sql_mode"),
        pytest.param({"charset": "utf8"}, "SELECT @@character_set_client", "utf8mb4", id="charset"),
    ],
)
def test_the_server_sees_the_settings_of_mysql(
    connect: Connect, mariadb: MariaDB, extra: dict[str, object], query: str, value: object
) -> None:
    with connect(mariadb.connection("mysql", **extra)) as session:
        assert session.exec_driver_sql(query).scalar() == value


@pytest.mark.databases
@pytest.mark.parametrize("given", [7, "7"])
def test_pymysql_has_the_settings_of_mysql(connect: Connect, mariadb: MariaDB, given: object) -> None:
    names = {
        "connect_timeout": "connect_timeout",
        "max_allowed_packet": "max_allowed_packet",
        "read_timeout": "_read_timeout",
        "write_timeout": "_write_timeout",
    }
    with connect(mariadb.connection("mysql", **dict.fromkeys(names, given))) as session:
        driver = session.connection.driver_connection
        assert [getattr(driver, inside) for inside in names.values()] == [7, 7, 7, 7]


@pytest.mark.databases
@pytest.mark.parametrize("given", ["pässword", "пароль", "密码😀", "p@ss:/%?#"])
def test_a_password_may_have_any_characters(connect: Connect, mariadb: MariaDB, given: str) -> None:
    login = mariadb.create_user(given)
    with connect(mariadb.connection("", login, given)) as session:
        assert session.exec_driver_sql("SELECT USER()").scalar() == f"{login}@127.0.0.1"
