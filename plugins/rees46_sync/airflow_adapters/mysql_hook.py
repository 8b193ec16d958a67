"""
MySQL and MariaDB by PyMySQL, which is pure Python.

Airflow's own provider cannot be installed on Linux without a C compiler and a database's header files, which its driver
mysqlclient is built with. Connections of Airflow's type ``mysql`` work unchanged, whichever driver their extra
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
"""No connection within a data centre takes longer; after that the task fails and is retried."""

FLOAT_DIGITS = 6
"""Correct digits of a FLOAT, which are all that MySQL and MariaDB show."""

TLS_MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
"""The values of the extra ``ssl_mode``, as MySQL's own clients name them."""


class MySqlHook(DbApiHook):
    """
    A MySQL or MariaDB server, as an Airflow connection of type ``mysql`` names it.

    It reads these keys of the connection's extra: ``unix_socket``, and for TLS ``ssl`` (ca, capath, cert, key),
    ``ssl_ca``, ``ssl_cert``, ``ssl_key``, ``ssl_mode``, ``ssl_verify_identity`` and ``ssl_disabled``. Text is exchanged
    as utf8mb4, whatever ``charset`` says: a server replaces characters that a smaller character set lacks with
    question marks.
    """

    conn_name_attr = "mysql_conn_id"
    default_conn_name = "mysql_default"
    conn_type = "mysql"
    hook_name = "MySQL"

    @property
    def sqlalchemy_url(self) -> sa.URL:
        """The database's URL for SQLAlchemy, with the password."""
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
        The arguments of PyMySQL that are not part of the URL.

        :raises ConnectionFieldsError: the extra asks for something that is not supported.
        """
        extra = self.connection.extra_dejson
        if extra.get("iam"):
            raise ConnectionFieldsError(
                self.get_conn_id(), "extra iam cannot be used here", "give a user who has a password"
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
        """Return SQLAlchemy's URL as text, with the password."""
        return self.sqlalchemy_url.render_as_string(hide_password=False)

    def get_conn(self) -> Any:
        """Return a connection of PyMySQL."""
        import pymysql

        return pymysql.connect(**self.sqlalchemy_url.translate_connect_args(username="user"), **self.connect_args)

    def get_sqlalchemy_engine(self, engine_kwargs: dict[str, Any] | None = None) -> sa.Engine:
        """Return an engine; ``connect_args`` among the arguments override the connection's own."""
        import sqlalchemy as sa

        arguments = dict(engine_kwargs or {})
        arguments["connect_args"] = self.connect_args | arguments.get("connect_args", {})
        return sa.create_engine(self.sqlalchemy_url, **arguments)

    def _tls(self, extra: dict[str, Any]) -> ssl.SSLContext | None:
        """Return the TLS settings of the extra; None if it has none, or turns TLS off."""
        try:
            given = extra.get("ssl") or {}
            files = dict(json.loads(given) if isinstance(given, str) else given)
        except (TypeError, ValueError) as error:
            raise ConnectionFieldsError(
                self.get_conn_id(), "extra ssl is no JSON object", 'write {"ca": "/path/to/ca.pem"}'
            ) from error
        files |= {name: extra[f"ssl_{name}"] for name in ("ca", "cert", "key") if extra.get(f"ssl_{name}")}
        mode = str(extra.get("ssl_mode") or ("VERIFY_CA" if files else "PREFERRED")).upper()
        if _is_set(extra.get("ssl_verify_identity")):
            mode = "VERIFY_IDENTITY"
        if mode not in TLS_MODES:
            raise ConnectionFieldsError(
                self.get_conn_id(), f"extra ssl_mode is {mode}", f"write one of {', '.join(TLS_MODES)}"
            )
        if _is_set(extra.get("ssl_disabled")) or mode in ("DISABLED", "PREFERRED"):
            return None
        try:
            context = ssl.create_default_context(cafile=files.get("ca"), capath=files.get("capath"))
            if files.get("cert"):
                context.load_cert_chain(files["cert"], files.get("key"))
        except OSError as error:
            raise ConnectionFieldsError(
                self.get_conn_id(), f"a file of extra ssl cannot be used ({error})", "give the path of a PEM file"
            ) from error
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the certificates that MySQL generates fail this check
        context.check_hostname = mode == "VERIFY_IDENTITY"
        context.verify_mode = ssl.CERT_NONE if mode == "REQUIRED" else ssl.CERT_REQUIRED
        return context


class RoundedFloat(float):
    """A number that the server rounded, so that it never counts as a whole number, even if it looks like one."""

    def is_integer(self) -> bool:
        """Return False: the number before rounding is not known."""
        return False


def _float(text: str) -> float:
    """Convert a FLOAT: the server writes six digits, so that 16777217 and 16777216 both arrive as 16777200."""
    number = float(text)
    return number if abs(number) < 10**FLOAT_DIGITS else RoundedFloat(number)


def _time(text: str) -> datetime | str:
    """Convert a DATETIME or TIMESTAMP; a date that does not exist, such as 0000-00-00 00:00:00, stays text."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def _is_set(value: object) -> bool:
    """Read an on/off value of an extra; it is text if the connection was written as a URI."""
    return str(value).lower() in ("true", "1")
