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

from rees46_sync.airflow_adapters.connection_settings import as_number, as_switch, read_settings
from rees46_sync.exceptions import ConnectionFieldsError

if TYPE_CHECKING:
    import sqlalchemy as sa

FLOAT_DIGITS = 6
"""Correct digits of a FLOAT, which are all that MySQL and MariaDB show."""

TLS_MODES = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")
"""The values of the extra ``ssl_mode``, as MySQL's own clients name them."""

VERIFIED = ("VERIFY_CA", "VERIFY_IDENTITY")
"""The modes that check the server's certificate."""

SWITCHES = {"ssl_disabled": ("DISABLED",), "ssl_verify_cert": VERIFIED, "ssl_verify_identity": ("VERIFY_IDENTITY",)}
"""The modes that each switch of the extra means."""

TLS_KEYS = ("ca", "capath", "cert", "cipher", "key")
"""The keys of the extra ``ssl``, which may also be written with ``ssl_`` before them."""

TLS_FILES = {"ssl", "ssl_key_password", *(f"ssl_{key}" for key in TLS_KEYS)}
"""If there is one of them without a mode, the server's certificate is checked."""

TEXTS = ("bind_address", "init_command", "program_name", "sql_mode", "unix_socket")
NUMBERS = ("connect_timeout", "max_allowed_packet", "read_timeout", "write_timeout")
"""Settings that PyMySQL takes under the same name."""


class MySqlHook(DbApiHook):
    """
    A MySQL or MariaDB server, as an Airflow connection of type ``mysql`` names it.

    The keys of the connection's extra are in :data:`rees46_sync.airflow_adapters.connection_settings.SETTINGS`. Text is
    exchanged as utf8mb4: a server replaces characters that a smaller character set lacks with question marks.
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
        The arguments of PyMySQL that are not part of the URL, or that override it.

        :raises ConnectionFieldsError: the extra asks for something that is not supported.
        """
        from pymysql.constants import FIELD_TYPE
        from pymysql.converters import conversions

        connection, conn_id = self.connection, self.get_conn_id()
        settings = read_settings(connection)
        if as_switch(connection, "iam", connection.extra_dejson.get("iam")):
            raise ConnectionFieldsError(conn_id, "extra iam cannot be used here", "give a user who has a password")
        if not str(settings.get("charset", "utf8")).lower().startswith("utf8"):
            raise ConnectionFieldsError(
                conn_id, "extra charset is not utf8mb4, as which all text is exchanged", "leave it out"
            )
        arguments: dict[str, Any] = {
            "charset": "utf8mb4",
            "conv": conversions | {FIELD_TYPE.FLOAT: _float, FIELD_TYPE.DATETIME: _time, FIELD_TYPE.TIMESTAMP: _time},
        }
        if connection.password:
            # PyMySQL encodes text as latin-1, but a server has the bytes of utf8mb4.
            arguments["password"] = connection.password.encode()
        arguments |= {name: str(settings[name]) for name in TEXTS if name in settings}
        arguments |= {name: as_number(connection, name, settings[name]) for name in NUMBERS if name in settings}
        if "server_public_key" in settings:
            arguments["server_public_key"] = str(settings["server_public_key"]).encode()
        mode = self._tls_mode(settings)
        if mode == "DISABLED":
            return arguments | {"ssl_disabled": True}
        return arguments | {"ssl": self._tls(settings, mode)}

    def get_uri(self) -> str:
        """Return SQLAlchemy's URL as text, with the password."""
        return self.sqlalchemy_url.render_as_string(hide_password=False)

    def get_conn(self) -> Any:
        """Return a connection of PyMySQL."""
        from rees46_sync.airflow_adapters.mysql_connection import MySqlConnection

        return MySqlConnection(**self.sqlalchemy_url.translate_connect_args(username="user") | self.connect_args)

    def get_sqlalchemy_engine(self, engine_kwargs: dict[str, Any] | None = None) -> sa.Engine:
        """Return an engine; ``connect_args`` among the arguments override the connection's own."""
        import sqlalchemy as sa

        from rees46_sync.airflow_adapters.mysql_connection import MySqlConnection

        arguments = dict(engine_kwargs or {})
        arguments["connect_args"] = self.connect_args | arguments.get("connect_args", {})
        engine = sa.create_engine(self.sqlalchemy_url, **arguments)
        # Not by the event do_connect: what listens to it after a function that connects is not called.
        engine.dialect.connect = MySqlConnection  # type: ignore[method-assign]
        return engine

    def _tls_mode(self, settings: dict[str, Any]) -> str:
        """Return one of :data:`TLS_MODES`, the weakest that does all that the extra says."""
        connection, conn_id = self.connection, self.get_conn_id()
        given = str(settings.get("ssl_mode", "")).upper()
        if given and given not in TLS_MODES:
            raise ConnectionFieldsError(conn_id, f"extra ssl_mode is {given}", f"write one of {', '.join(TLS_MODES)}")
        allowed = list(TLS_MODES)
        if given:
            allowed = [given] if given in ("DISABLED", "PREFERRED") else allowed[allowed.index(given) :]
        for name, modes in SWITCHES.items():
            if name in settings:
                is_set = as_switch(connection, name, settings[name])
                if is_set or name != "ssl_disabled":  # "not disabled" does not say that TLS has to be used
                    allowed = [mode for mode in allowed if (mode in modes) == is_set]
        if not allowed:
            names = ", ".join(name for name in ("ssl_mode", *SWITCHES) if name in settings)
            raise ConnectionFieldsError(conn_id, f"extra {names} contradict each other", "write ssl_mode alone")
        least = TLS_MODES.index(given or ("VERIFY_CA" if settings.keys() & TLS_FILES else "DISABLED"))
        return next((mode for mode in allowed if TLS_MODES.index(mode) >= least), allowed[-1])

    def _tls(self, settings: dict[str, Any], mode: str) -> ssl.SSLContext:
        """Return the settings of TLS."""
        from rees46_sync.airflow_adapters.mysql_connection import OptionalTls

        conn_id = self.get_conn_id()
        given = settings.get("ssl") or {}
        try:
            files = dict(json.loads(given) if isinstance(given, str) else given)
        except (TypeError, ValueError) as error:
            raise ConnectionFieldsError(
                conn_id, "extra ssl is no JSON object", 'write {"ca": "/path/to/ca.pem"}'
            ) from error
        if unknown := sorted(files.keys() - TLS_KEYS):
            raise ConnectionFieldsError(
                conn_id, f"extra ssl has {', '.join(unknown)}", f"it may have {', '.join(TLS_KEYS)}; see also ssl_mode"
            )
        files |= {name: settings[f"ssl_{name}"] for name in TLS_KEYS if f"ssl_{name}" in settings}
        if not files.get("cert") and (files.get("key") or "ssl_key_password" in settings):
            raise ConnectionFieldsError(conn_id, "extra ssl_key has no ssl_cert", "give both, or none")
        try:
            context = OptionalTls() if mode == "PREFERRED" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if files.get("ca") or files.get("capath"):
                context.load_verify_locations(files.get("ca"), files.get("capath"))
            else:
                context.load_default_certs()
            if files.get("cert"):
                context.load_cert_chain(files["cert"], files.get("key"), settings.get("ssl_key_password"))
            if files.get("cipher"):
                context.set_ciphers(files["cipher"])
        except OSError as error:
            raise ConnectionFieldsError(
                conn_id, f"a file or cipher of extra ssl cannot be used ({error})", "give the path of a PEM file"
            ) from error
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the certificates that MySQL generates fail this check
        context.check_hostname = mode == "VERIFY_IDENTITY"
        context.verify_mode = ssl.CERT_REQUIRED if mode in VERIFIED else ssl.CERT_NONE
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
