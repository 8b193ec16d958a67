"""
DuckDB files that are only read, by queries that can reach nothing but the database.

DuckDB has no roles: without this a query of a shop file could change the database, read any file of the worker, write
one, or download an extension.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import duckdb
from airflow.providers.duckdb.hooks.duckdb import IN_MEMORY_DATABASE, DuckDBHook

from rees46_sync.exceptions import ConnectionFieldsError, WarehouseError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MOTHERDUCK = ("md:", "motherduck:")
_PLACES = ("allowed_directories", "allowed_paths")
"""Settings that name what stays open without external access. DuckDB takes them only once it is open."""


class DatabaseInUseError(WarehouseError):
    """Another process has the DuckDB file open for writing."""


class ReadOnlyDuckDBHook(DuckDBHook):
    """
    Airflow's hook, which opens a file read-only and without access to anything outside of it.

    The extra's ``settings`` may name ``allowed_directories`` and ``allowed_paths``, which stay open, or turn
    ``enable_external_access`` on. The extensions of the extra are loaded before. MotherDuck is opened as Airflow's
    hook does it: there the rights are those of the token.
    """

    @property
    def read_only(self) -> bool:
        """Whether the database is opened read-only, which DuckDB can do with a file alone."""
        return self.get_database() != IN_MEMORY_DATABASE

    def get_conn(self) -> DuckDBPyConnection:
        """
        Open the database.

        :raises DatabaseInUseError: another process has it open for writing.
        :raises ConnectionFieldsError: it names no database, or asks for writing.
        """
        database = self.get_database()
        if database.startswith(_MOTHERDUCK):
            return super().get_conn()
        is_open = str(self.settings.get("enable_external_access", False)).lower() in ("true", "1")
        is_file = database != IN_MEMORY_DATABASE
        places = {name: self.settings[name] for name in _PLACES if name in self.settings}
        self._check(is_file=is_file, reaches_files=is_open or bool(places))
        try:
            connection = super().get_conn()
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise
            holder = re.search(r"held in (.+?\(PID \d+\))", str(error))
            raise DatabaseInUseError(
                f"Connection {self.get_conn_id()}: {holder[1] if holder else 'another process'} has {database} open "
                "for writing, and DuckDB lets no other process read it then",
                "let that process close the file when it has written, or give a copy of the file",
            ) from error
        try:
            if not is_open:
                for name, value in places.items():
                    connection.execute(f"SET {name} = ?", [value])
                connection.execute("SET enable_external_access = false")
        except BaseException:  # also when the task is stopped: the file may not stay open
            connection.close()
            raise
        return connection

    def get_connect_config(self) -> dict[str, Any]:
        """Return what DuckDB is opened with."""
        config: dict[str, Any] = super().get_connect_config()
        return {name: value for name, value in config.items() if name not in _PLACES}

    def _check(self, *, is_file: bool, reaches_files: bool) -> None:
        asked = self.connection_extra.get("read_only")
        if asked is not None and str(asked).lower() not in ("true", "1"):
            raise ConnectionFieldsError(
                self.get_conn_id(), f"extra read_only is {asked}", "remove it: a warehouse is only read"
            )
        if not is_file and not reaches_files:
            raise ConnectionFieldsError(
                self.get_conn_id(),
                "it names no file, and a database in memory is empty",
                "give the file as host, or the folders of Parquet or CSV files as settings.allowed_directories in the "
                "extra",
            )
