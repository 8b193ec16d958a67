"""Airflow's connections, with errors that say what to correct."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow.providers.common.sql.hooks.sql import DbApiHook
from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowException, AirflowNotFoundException

from rees46_sync.airflow_adapters.mysql_hook import MySqlHook
from rees46_sync.exceptions import ConnectionFieldsError

if TYPE_CHECKING:
    from airflow.sdk import Connection


def get_connection(conn_id: str) -> Connection:
    """
    Return an Airflow connection.

    :raises ConnectionFieldsError: it does not exist, or cannot be read.
    """
    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException as error:
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        if os.environ.get(variable):
            problem, remedy = f"{variable} cannot be read", "write it as JSON, or percent-encode the parts of its URI"
        else:
            problem, remedy = "does not exist", f"create it in Airflow, or set {variable}"
        raise ConnectionFieldsError(conn_id, problem, remedy) from error


def get_database_hook(conn_id: str) -> DbApiHook:
    """
    Return the hook of a SQL connection.

    :raises ConnectionFieldsError: it does not exist, its provider is not installed, or it is not to a database.
    """
    connection = get_connection(conn_id)
    if connection.conn_type == MySqlHook.conn_type:
        # Also if Airflow's own provider is installed: PyMySQL is the driver that is tested.
        return MySqlHook(conn_id)
    try:
        hook: object = connection.get_hook()  # type: ignore[no-untyped-call] # Airflow does not say
    except (AirflowException, ImportError, AttributeError) as error:
        raise ConnectionFieldsError(
            conn_id, f"type {connection.conn_type} has no hook here ({error})", "install its Airflow provider"
        ) from error
    if not isinstance(hook, DbApiHook):
        raise ConnectionFieldsError(conn_id, f"type {connection.conn_type} is not a database", "use a SQL connection")
    return hook
