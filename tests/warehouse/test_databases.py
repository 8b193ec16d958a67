"""Every kind of database has one entry, whose names and settings are those of its hook, its dialect and its driver."""

from __future__ import annotations

import duckdb
import pytest
import sqlalchemy as sa
from airflow.providers.postgres.hooks.postgres import PostgresHook

from rees46_sync.airflow_adapters.connections import get_database_hook
from rees46_sync.warehouse.databases import (
    DATABASES,
    find_by_conn_type,
    find_by_dialect,
    find_by_driver,
    get_paramstyle,
)


def test_each_kind_is_found_by_each_of_its_names() -> None:
    assert [find_by_conn_type(database.conn_type) for database in DATABASES] == list(DATABASES)
    named = [database for database in DATABASES if database.dialect]
    assert [find_by_dialect(str(database.dialect)) for database in named] == named


@pytest.mark.parametrize("find", [find_by_conn_type, find_by_dialect])
def test_a_database_without_an_entry_is_read_without_settings(find: object) -> None:
    database = find("oracle")  # type: ignore[operator]

    assert (database.session, database.clock, database.in_process, database.explainer) == ((), None, False, None)


# Those with a reader of their own have their hooks in environments of their own.
@pytest.mark.parametrize("conn_type", [database.conn_type for database in DATABASES if database.reader is None])
def test_an_entry_has_the_names_and_the_parameter_style_of_its_hook(
    monkeypatch: pytest.MonkeyPatch, conn_type: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_KIND", f'{{"conn_type": "{conn_type}", "host": "localhost"}}')
    database, hook = find_by_conn_type(conn_type), get_database_hook("kind")

    assert hook.conn_type == conn_type
    if database.dialect is None:
        with pytest.raises(sa.exc.NoSuchModuleError):
            hook.get_sqlalchemy_engine()
    else:
        dialect = hook.get_sqlalchemy_engine().dialect
        assert (dialect.name, dialect.paramstyle) == (database.dialect, database.paramstyle)


def test_duckdb_is_known_by_its_driver_whatever_the_type_of_its_connection_is() -> None:
    with duckdb.connect() as connection:
        assert find_by_driver(connection) == find_by_conn_type("duckdb")


def test_the_parameter_style_of_a_driver_is_found_in_its_module_or_one_above() -> None:
    with duckdb.connect() as connection:
        assert get_paramstyle(connection) == duckdb.paramstyle == find_by_conn_type("duckdb").paramstyle
    assert get_paramstyle(PostgresHook()) == "qmark"  # no module above it declares one
