"""
MySQL and MariaDB by PyMySQL, which is pure Python.

Airflow's own provider cannot be installed on Linux without a C compiler and a database's header files, which its driver
mysqlclient is built with. A connection of Airflow's type ``mysql`` is taken as it stands, whichever driver its extra
``client`` names.
"""

from __future__ import annotations

import json
import ssl
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.common.sql.hooks.sql import DbApiHook

from rees46_sync.exceptions import ConnectionFieldsError

if TYPE_CHECKING:
    import sqlalchemy as sa

CONNECT_TIMEOUT_S = 10
"""As long as a connection within a data centre may ever take; a retry of the task comes later."""

FLOAT_DIGITS = 6
"""Digits of a FLOAT that MySQL and MariaDB show, and that are right."""

TLS_MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
"""What extra ``ssl_mode`` may be, as MySQL's own clients call it."""


class MySqlHook(DbApiHook):
    """
    A MySQL or MariaDB server, as an Airflow connection of type ``mysql`` names it.

    Read of the connection's extra: ``unix_socket``, and for TLS ``ssl`` (ca, capath, cert, key), ``ssl_ca``,
    ``ssl_cert``, ``ssl_key``, ``ssl_mode``, ``ssl_verify_identity`` and ``ssl_disabled``. Text is exchanged as utf8mb4,
    whatever ``charset`` says: a server makes question marks of what a smaller one does not hold.
    """

    conn_name_attr = "mysql_conn_id"
    default_conn_name = "mysql_default"
    conn_type = "mysql"
    hook_name = "MySQL"

    @property
    def sqlalchemy_url(self) -> sa.URL:
        """Return SQLAlchemy's address of the database, with the password."""
        import sqlalchemy as sa

        connection = self.connection
        return sa.URL.create(
            "mysql+pymysql",
            username=connection.login,
            password=connection.password,
            host=connection.host or "localhost",
            port=connection.port or 3306,
            database=connection.schema or None,
        )

    @property
    def connect_args(self) -> dict[str, Any]:
        """
        Return PyMySQL's arguments that stand in no address.

        :raises ConnectionFieldsError: the extra asks for what cannot be done.
        """
        extra = self.connection.extra_dejson
        if extra.get("iam"):
            raise ConnectionFieldsError(
                self.get_conn_id(), "extra iam cannot be used here; give a user who has a password"
            )
        from pymysql.constants import FIELD_TYPE
        from pymysql.converters import conversions

        arguments: dict[str, Any] = {
            "charset": "utf8mb4",
            "connect_timeout": CONNECT_TIMEOUT_S,
            "conv": conversions | {FIELD_TYPE.FLOAT: _float, FIELD_TYPE.DATETIME: _time, FIELD_TYPE.TIMESTAMP: _time},
        }
        if extra.get("unix_socket"):
            arguments["unix_socket"] = extra["unix_socket"]
        tls = self._tls(extra)
        return arguments | ({"ssl": tls} if tls else {"ssl_disabled": True})

    def get_uri(self) -> str:
        """Return SQLAlchemy's address as text."""
        return self.sqlalchemy_url.render_as_string(hide_password=False)

    def get_conn(self) -> Any:
        """Return a connection of PyMySQL."""
        import pymysql

        return pymysql.connect(**self.sqlalchemy_url.translate_connect_args(username="user"), **self.connect_args)

    def get_sqlalchemy_engine(self, engine_kwargs: dict[str, Any] | None = None) -> sa.Engine:
        """Return an engine; ``connect_args`` among the arguments stand above the connection's own."""
        import sqlalchemy as sa

        arguments = dict(engine_kwargs or {})
        arguments["connect_args"] = self.connect_args | arguments.get("connect_args", {})
        return sa.create_engine(self.sqlalchemy_url, **arguments)

    def _tls(self, extra: dict[str, Any]) -> ssl.SSLContext | None:
        """Return what the extra says about TLS; None where it says nothing, or that there is to be none."""
        try:
            given = extra.get("ssl") or {}
            files = dict(json.loads(given) if isinstance(given, str) else given)
        except (TypeError, ValueError) as error:
            raise ConnectionFieldsError(
                self.get_conn_id(), 'extra ssl is no JSON object; write {"ca": "/path/to/ca.pem"}'
            ) from error
        files |= {name: extra[f"ssl_{name}"] for name in ("ca", "cert", "key") if extra.get(f"ssl_{name}")}
        mode = str(extra.get("ssl_mode") or ("VERIFY_CA" if files else "PREFERRED")).upper()
        if _is_set(extra.get("ssl_verify_identity")):
            mode = "VERIFY_IDENTITY"
        if mode not in TLS_MODES:
            raise ConnectionFieldsError(
                self.get_conn_id(), f"extra ssl_mode is {mode}; write one of {', '.join(TLS_MODES)}"
            )
        if _is_set(extra.get("ssl_disabled")) or mode in ("DISABLED", "PREFERRED"):
            return None
        try:
            context = ssl.create_default_context(cafile=files.get("ca"), capath=files.get("capath"))
            if files.get("cert"):
                context.load_cert_chain(files["cert"], files.get("key"))
        except OSError as error:
            raise ConnectionFieldsError(
                self.get_conn_id(), f"a file of extra ssl cannot be used ({error}); give the path of a PEM file"
            ) from error
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the certificates that MySQL makes itself fail it
        context.check_hostname = mode == "VERIFY_IDENTITY"
        context.verify_mode = ssl.CERT_NONE if mode == "REQUIRED" else ssl.CERT_REQUIRED
        return context


def abandon(cursor: Any) -> None:
    """
    Have PyMySQL not read the rest of a server-side cursor's rows, of which there may be millions.

    It tries to whenever such a cursor is closed or forgotten, and complains on stderr where the connection is gone by
    then. Nothing else can be done with the connection afterwards but to close it.
    """
    if cursor is not None and cursor._result is not None:
        cursor._result.unbuffered_active = False


class RoundedFloat(float):
    """A number that may be a neighbour's, so that it is not taken for a whole one even where it looks like it."""

    def is_integer(self) -> bool:
        """Return that nobody knows."""
        return False


def _float(text: str) -> float:
    """Read a FLOAT: the server writes six digits of it, so that 16777217 and 16777216 are both 16777200."""
    number = float(text)
    return number if abs(number) < 10**FLOAT_DIGITS else RoundedFloat(number)


def _time(text: str) -> datetime | str:
    """Read a DATETIME or TIMESTAMP; one that no calendar has, such as 0000-00-00 00:00:00, stays text."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def _is_set(value: object) -> bool:
    """Read a switch of an extra, which is text where the connection was written as a URI."""
    return str(value).lower() in ("true", "1")
