"""
What is particular to each kind of database: one entry of :data:`DATABASES` for each kind.

An entry holds its names, the settings that make a session read-only and UTC, the query for its clock and the reader of
its query plans. Other databases are read too, in whatever session their driver opens. To support a kind, add an entry.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from rees46_sync.warehouse import bigquery, clickhouse, duckdb_file, mysql, postgresql, redshift, snowflake
from rees46_sync.warehouse.query_plans import (
    SORTED_COLUMN,
    Explainer,
    duckdb_scans,
    mysql_scans,
    postgres_scans,
    sqlite_scans,
)

if TYPE_CHECKING:
    import sqlalchemy as sa
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    from rees46_sync.shop.query import Query
    from rees46_sync.warehouse.values import Chunk

ArrowReader: TypeAlias = (
    "Callable[[sa.Connection, Query, Mapping[str, datetime], Sequence[str]], "
    "AbstractContextManager[postgresql.ArrowResult | None]]"
)

Reader: TypeAlias = (
    "Callable[[DbApiHook, Query, Mapping[str, Any], int, float | None], "
    "AbstractContextManager[tuple[list[str], Iterable[Chunk]]]]"
)

READ_ONLY = {"postgresql_readonly": True}
"""SQLAlchemy's execution options for every session. They make PostgreSQL's read-only; other dialects ignore them."""


def _connect(hook: DbApiHook, _timeout_s: float | None) -> Any:
    return hook.get_conn()


def _as_is(moment: datetime) -> object:
    return moment


def _as_text(moment: datetime) -> object:
    # SQLite has no timestamps: its own functions, SQLAlchemy and pandas all write "YYYY-MM-DD HH:MM:SS[.ffffff]".
    return moment.isoformat(" ")


@dataclass(frozen=True)
class Database:
    """
    What is particular to one kind of database.

    :param conn_type: the type of its Airflow connections.
    :param dialect: SQLAlchemy's name for it; None if its driver is used without SQLAlchemy.
    :param connect: opens it without SQLAlchemy, for its hook and the seconds that a person waits, if one does.
    :param reader: runs a query without SQLAlchemy and PEP 249, see :func:`rees46_sync.warehouse.clickhouse.read`.
    :param prepare: called with the driver's connection before the query.
    :param session: statements that set a session to UTC and make it read-only (see also :data:`READ_ONLY`).
    :param clock: a query for the server's time in UTC, without a zone.
    :param in_process: whether it is a library that opens a file in this process, and so has this machine's clock.
    :param explainer: how to read its query plans.
    :param paramstyle: the parameter style (PEP 249) of the drivers that Airflow and SQLAlchemy use for it.
    :param text_type: the name of its type of texts, for a CAST.
    :param time_parameter: turns a time in UTC without a zone into a parameter of a query.
    :param arrow_reader: reads rows as Arrow columns, see :func:`rees46_sync.warehouse.postgresql.arrow_result`.
    :param time_limit: returns the statement that limits the time of the session's queries, for its dialect and seconds;
        None: they are interrupted, if the driver can do that.
    :param abandon: called with the driver's cursor if the rest of the rows is not to be read.
    """

    conn_type: str
    dialect: str | None
    connect: Callable[[DbApiHook, float | None], Any] = _connect
    reader: Reader | None = None
    prepare: Callable[[Any], None] | None = None
    session: tuple[str, ...] = ()
    clock: str | None = None
    in_process: bool = False
    explainer: Explainer | None = None
    paramstyle: str = "pyformat"
    text_type: str = "VARCHAR"
    time_parameter: Callable[[datetime], object] = _as_is
    arrow_reader: ArrowReader | None = None
    time_limit: Callable[[sa.Dialect, int], str] | None = None
    abandon: Callable[[Any], None] | None = None


# A role can have another encoding, in which most texts cannot be sent. A database without an encoding returns bytes.
_AS_UTF8 = "SELECT set_config('client_encoding', 'UTF8', false) WHERE current_setting('server_encoding') <> 'SQL_ASCII'"

DATABASES = (
    Database(
        conn_type="postgres",
        dialect="postgresql",
        prepare=postgresql.read_other_years,
        session=(_AS_UTF8, "SET TIME ZONE 'UTC'"),
        clock="SELECT clock_timestamp() AT TIME ZONE 'UTC'",
        explainer=Explainer("EXPLAIN (FORMAT JSON) ", postgres_scans),
        arrow_reader=postgresql.arrow_result,
        # For the transaction alone: a pooler may reuse the connection for another client afterwards.
        time_limit=lambda _dialect, seconds: f"SET LOCAL statement_timeout = '{seconds}s'",
    ),
    Database(  # and MariaDB, which Airflow's connections call mysql as well
        conn_type="mysql",
        dialect="mysql",
        # The zone as an offset: a server may know no zone by name.
        session=("SET time_zone = '+00:00'", "SET SESSION TRANSACTION READ ONLY"),
        clock="SELECT UTC_TIMESTAMP(6)",
        explainer=Explainer("EXPLAIN FORMAT=TRADITIONAL ", mysql_scans),
        text_type="CHAR",
        time_limit=mysql.time_limit,
        abandon=mysql.abandon,
    ),
    Database(
        conn_type="sqlite",
        dialect="sqlite",
        session=("PRAGMA query_only = ON",),
        in_process=True,
        explainer=Explainer("EXPLAIN QUERY PLAN ", sqlite_scans),
        paramstyle="qmark",
        time_parameter=_as_text,
    ),
    Database(
        conn_type="duckdb",
        dialect=None,
        connect=duckdb_file.connect,
        session=("SET TimeZone = 'UTC'", "BEGIN TRANSACTION READ ONLY"),
        in_process=True,
        explainer=Explainer("EXPLAIN (FORMAT JSON) ", duckdb_scans, SORTED_COLUMN),
        paramstyle="qmark",
    ),
    Database(
        conn_type="clickhouse",
        dialect="clickhousedb",
        reader=clickhouse.read,
        clock="SELECT now64(6, 'UTC')",
        text_type="Nullable(String)",
    ),
    Database(
        conn_type="snowflake",
        dialect="snowflake",
        reader=snowflake.read,
        clock="SELECT SYSDATE()",
    ),
    Database(
        conn_type="gcpbigquery",
        dialect="bigquery",
        reader=bigquery.read,
        clock="SELECT CURRENT_DATETIME()",
        text_type="STRING",
    ),
    Database(
        conn_type="redshift",
        dialect=None,
        reader=redshift.read,
        clock="SELECT SYSDATE",
    ),
)

_BY_CONN_TYPE = {database.conn_type: database for database in DATABASES}
_BY_DIALECT = {database.dialect: database for database in DATABASES if database.dialect}


def find_by_conn_type(conn_type: str) -> Database:
    """Return the entry for a type of Airflow connections; for an unknown type, an entry without any settings."""
    return _BY_CONN_TYPE.get(conn_type) or Database(conn_type, None)


def find_by_dialect(dialect: str) -> Database:
    """Return the entry for a dialect of SQLAlchemy; for an unknown dialect, an entry without any settings."""
    return _BY_DIALECT.get(dialect) or Database("", dialect)


def find_by_driver(connection: object) -> Database:
    """Return the entry for a driver's connection; of those without a dialect, the driver has the name of the type."""
    return find_by_conn_type(type(connection).__module__.partition(".")[0].lstrip("_"))


def get_paramstyle(connection: object) -> str:
    """Return the parameter style (PEP 249) that the module of a connection's driver, or one above it, declares."""
    path = type(connection).__module__.split(".")
    above = (sys.modules.get(".".join(path[:length])) for length in range(len(path), 0, -1))
    styles = (getattr(module, "paramstyle", None) for module in above)
    return next((style for style in styles if style), "qmark")
