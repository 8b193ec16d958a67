"""Airflow's connections, with errors that say what to correct."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from rees46_sync.airflow_adapters import connection_settings, encryption
from rees46_sync.airflow_adapters.mysql_hook import MySqlHook
from rees46_sync.airflow_adapters.secret_forms import mask_secret
from rees46_sync.exceptions import ConnectionFieldsError

if TYPE_CHECKING:
    import sqlalchemy as sa

_TEXT_FIELDS = ("host", "login", "password", "schema")


def get_connection(conn_id: str) -> Connection:
    """
    Return an Airflow connection; from here on, Airflow's logs show its password in no form.

    :raises ConnectionFieldsError: it does not exist, or cannot be read.
    """
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        found = _with_numbers(conn_id, os.environ.get(variable, ""))
        if found is None:
            if os.environ.get(variable):
                problem = f"{variable} cannot be read"
                remedy = "write it as JSON, or percent-encode the parts of its URI"
            else:
                problem, remedy = "does not exist", f"create it in Airflow, or set {variable}"
            raise ConnectionFieldsError(conn_id, problem, remedy) from error
        connection = found
    if connection.password:
        mask_secret(connection.password)
    return connection


def get_database_hook(conn_id: str) -> DbApiHook:
    """
    Return the hook of a SQL connection.

    :raises ConnectionFieldsError: it does not exist, its provider is not installed, it is not to a database, or it has
        a setting that would have no effect.
    """
    connection = get_connection(conn_id)
    if connection.conn_type == MySqlHook.conn_type:
        # Also if Airflow's own provider is installed: PyMySQL is the driver that is tested.
        mysql = MySqlHook(conn_id, connection=connection)
        _ = mysql.connect_args  # refuses what it cannot use
        return mysql
    parameters: dict[str, Any] = {}
    if connection.conn_type in connection_settings.SETTINGS:
        connection_settings.read_settings(connection)
        parameters["connection"] = connection
    try:
        if connection.conn_type == "duckdb":
            from rees46_sync.airflow_adapters.duckdb_hook import ReadOnlyDuckDBHook

            parameters |= connection_settings.duckdb_parameters(connection)
            return ReadOnlyDuckDBHook(duckdb_conn_id=conn_id, **parameters)
        hook: object = connection.get_hook(hook_params=parameters)  # type: ignore[no-untyped-call] # Airflow does not say
    except (AirflowException, ImportError, AttributeError) as error:
        raise ConnectionFieldsError(
            conn_id, f"type {connection.conn_type} has no hook here ({error})", "install its Airflow provider"
        ) from error
    if not isinstance(hook, DbApiHook):
        raise ConnectionFieldsError(conn_id, f"type {connection.conn_type} is not a database", "use a SQL connection")
    return hook


def create_engine(hook: DbApiHook, **arguments: Any) -> sa.Engine:
    """
    Return an engine for a hook's database, whose driver gets all settings of the connection.

    It logs a warning if rows go unencrypted to another machine. Its errors hide parameters, which may be order ids.

    :param arguments: of SQLAlchemy's ``create_engine``.
    :raises sqlalchemy.exc.NoSuchModuleError: SQLAlchemy has no dialect for the database.
    :raises ConnectionFieldsError: a setting of the connection cannot be used.
    """
    import sqlalchemy as sa

    connection = hook.connection
    arguments = {"hide_parameters": True, **arguments}
    match connection.conn_type:
        case "sqlite":
            return sa.create_engine(connection_settings.sqlite_url(connection, hook.get_uri()), **arguments)
        case "postgres":
            arguments["connect_args"] = connection_settings.postgresql_arguments(connection)
    engine: sa.Engine = hook.get_sqlalchemy_engine(arguments)
    encryption.warn_if_plain(engine, connection)
    return engine


def _with_numbers(conn_id: str, text: str) -> Connection | None:
    """
    Return the connection of an environment variable whose login is a JSON number, which Airflow does not read.

    Other fields that are texts are read in the same way. None if it has no such number, or is no JSON.
    """
    try:
        given, digits = json.loads(text), json.loads(text, parse_int=str, parse_float=str)
        numbers = {name: digits[name] for name in _TEXT_FIELDS if type(given.get(name)) in (int, float)}
        if not numbers:
            return None
        return Connection.from_json(json.dumps(given | numbers), conn_id=conn_id)
    except (ValueError, TypeError, AttributeError):
        return None
