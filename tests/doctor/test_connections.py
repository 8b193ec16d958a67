"""Whether databases can be reached, and their clocks."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import sqlalchemy as sa

from rees46_sync.doctor import connections
from rees46_sync.doctor.findings import Level
from tests.conftest import ShopUnderTest
from tests.e2e.airflow_stack import postgres_connection, postgres_uri
from tests.mariadb import MariaDB

from .conftest import PASSWORD, about, examine_shop


def test_a_missing_file_is_not_created(healthy: ShopUnderTest) -> None:
    healthy.connect("shop_warehouse", f"sqlite:///{healthy.folder}/none.db")
    healthy.connect("shop_ledger", f"sqlite:///{healthy.folder}/none-either.db")
    examine_shop(healthy.configure())
    assert list(healthy.folder.glob("none*")) == []


def test_a_database_that_never_answers_is_an_error_after_the_timeout(
    healthy: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = f"postgres://reader:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/db"
        healthy.connect("shop_warehouse", connection)
        findings = examine_shop(healthy.configure())
    [finding] = about(findings, "warehouse.connection")
    assert (finding.level, finding.value[-34:]) == (Level.ERROR, "not answer: no answer within 0.5 s")


@pytest.mark.parametrize(("hours", "level"), [(-2, Level.WARNING), (2, Level.WARNING), (0, Level.OK)])
def test_a_wrong_clock_of_mysql_is_a_warning(
    mariadb: MariaDB, healthy: ShopUnderTest, hours: int, level: Level
) -> None:
    database = mariadb.create_database()
    reader = mariadb.create_user("secret", f"SELECT ON {database}.*")
    healthy.connect("shop_warehouse", mariadb.connection(database, reader, "secret"))
    # A user who is not an administrator gets this clock.
    mariadb.execute(f"SET GLOBAL init_connect = 'SET timestamp = UNIX_TIMESTAMP() + {hours} * 3600'")
    try:
        [clock] = about(examine_shop(healthy.configure()), "warehouse.clock")
    finally:
        mariadb.execute("SET GLOBAL init_connect = ''")

    assert clock.level == level
    assert clock.data["difference_s"] == pytest.approx(hours * 3600, abs=10)


@pytest.mark.parametrize(("hours", "level"), [(-2, Level.WARNING), (2, Level.WARNING), (0, Level.OK)])
def test_a_wrong_clock_is_a_warning_that_says_why(
    postgres_home: Path, healthy: ShopUnderTest, hours: int, level: Level
) -> None:
    engine = sa.create_engine(postgres_uri(postgres_home, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text("DROP DATABASE IF EXISTS wrong_clock"))
        connection.execute(sa.text("CREATE DATABASE wrong_clock"))
        # PostgreSQL calls the first function of this name in the search path.
        connection.execute(sa.text("ALTER DATABASE wrong_clock SET search_path TO public, pg_catalog"))
    inside = sa.create_engine(postgres_uri(postgres_home, "wrong_clock"), isolation_level="AUTOCOMMIT")
    with inside.connect() as connection:
        connection.execute(
            sa.text(
                "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS "
                f"$$ SELECT pg_catalog.clock_timestamp() + interval '{hours} hours' $$"
            )
        )
    inside.dispose()
    engine.dispose()
    healthy.connect("shop_warehouse", postgres_connection(postgres_home, "wrong_clock"))
    [clock] = about(examine_shop(healthy.configure()), "warehouse.clock")
    assert clock.level == level
    assert clock.data["difference_s"] == pytest.approx(hours * 3600, abs=10)
    assert ("window" in clock.remedy) == (level is Level.WARNING)


def test_a_token_in_the_host_field_is_not_shown(shop: ShopUnderTest) -> None:
    from rees46_sync.airflow_adapters.connections import get_database_hook

    shop.connect("a", json.dumps({"conn_type": "duckdb", "host": f"md:orders?motherduck_token={PASSWORD}"}))
    shop.connect("b", json.dumps({"conn_type": "postgres", "host": f"me:{PASSWORD}@db?key={PASSWORD}"}))
    assert connections.describe_connection(get_database_hook("a")) == "a (duckdb without a file)"
    assert connections.describe_connection(get_database_hook("b")) == "b (postgres, host db)"
