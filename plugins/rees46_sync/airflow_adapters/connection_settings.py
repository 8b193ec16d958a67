"""
The settings in a database connection's extra, and what its driver gets of them.

The query of a connection's URI is part of its extra. Airflow's hooks leave most of it out when they create an engine of
SQLAlchemy. Here each setting reaches the driver, or has a meaning of Airflow's own, or is refused by name: a setting
that is left out in silence may be the one that encrypts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rees46_sync.exceptions import ConnectionFieldsError

if TYPE_CHECKING:
    import sqlalchemy as sa
    from airflow.sdk import Connection


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OF_AIRFLOW = _names(
    "dialect escape_column_names escape_word_format insert_statement_format placeholder replace_statement_format "
    "sqlalchemy_scheme"
)
"""What Airflow's hooks of all databases read, for other purposes than connecting."""

_FIELDS = {
    "database": "schema",
    "db": "schema",
    "dbname": "schema",
    "host": "host",
    "login": "login",
    "passwd": "password",
    "password": "password",
    "port": "port",
    "schema": "schema",
    "user": "login",
    "username": "login",
}
"""Names that drivers have for the connection's own fields."""


@dataclass(frozen=True)
class KnownSettings:
    """
    What the extra of one kind of connection may hold.

    :param driver: settings of the driver, or of the hook that opens it.
    :param other: what has a meaning of Airflow's own, or none for a driver; it may stay there.
    :param other_names: what other drivers and tools call these settings, and how it is written here.
    """

    driver: frozenset[str]
    other: frozenset[str] = frozenset()
    other_names: Mapping[str, str] = field(default_factory=dict)


SETTINGS = {
    "postgres": KnownSettings(
        # The options of libpq 18, without the connection's own fields and those for replication.
        driver=_names(
            "application_name channel_binding client_encoding connect_timeout fallback_application_name gssdelegation "
            "gssencmode gsslib hostaddr keepalives keepalives_count keepalives_idle keepalives_interval krbsrvname "
            "load_balance_hosts max_protocol_version min_protocol_version oauth_client_id oauth_client_secret "
            "oauth_issuer oauth_scope options passfile require_auth requirepeer service ssl_max_protocol_version "
            "ssl_min_protocol_version sslcert sslcertmode sslcompression sslcrl sslcrldir sslkey sslmode "
            "sslnegotiation sslpassword sslrootcert sslsni target_session_attrs tcp_user_timeout"
        )
        | {"prepare_threshold"},
        other=_names(
            "aws_conn_id azure_conn_id cluster-identifier cursor iam redshift redshift-serverless sqlalchemy_query "
            "workgroup-name"
        ),
        other_names={
            "currentschema": "options, such as -c search_path=…",
            "search_path": "options, such as -c search_path=…",
            "ssl": "sslmode",
            "ssl_ca": "sslrootcert",
            "ssl_cert": "sslcert",
            "ssl_key": "sslkey",
            "ssl_mode": "sslmode",
            "timeout": "connect_timeout",
        },
    ),
    "mysql": KnownSettings(
        driver=_names(
            "bind_address charset connect_timeout init_command max_allowed_packet program_name read_timeout "
            "server_public_key sql_mode ssl ssl_ca ssl_capath ssl_cert ssl_cipher ssl_disabled ssl_key "
            "ssl_key_password ssl_mode ssl_verify_cert ssl_verify_identity unix_socket write_timeout"
        ),
        other=_names("allow_local_infile aws_conn_id client cursor iam local_infile use_unicode"),
        other_names={
            "socket": "unix_socket",
            "sslmode": "ssl_mode",
            "sslrootcert": "ssl_ca",
            "timeout": "connect_timeout",
            "usessl": "ssl_mode",
        },
    ),
    "sqlite": KnownSettings(
        driver=_names(
            "cache cached_statements check_same_thread detect_types immutable isolation_level mode nolock psow timeout "
            "uri vfs"
        ),
        other_names={"busy_timeout": "timeout, in seconds", "read_only": "mode, with the value ro"},
    ),
    "duckdb": KnownSettings(
        driver=_names(
            "allow_community_extensions autoinstall_extensions autoload_extensions database extension_directory "
            "extensions memory_limit motherduck_token read_only settings temp_directory threads"
        ),
        other_names={"access_mode": "read_only", "mode": "read_only", "readonly": "read_only"},
    ),
}
"""By the type of Airflow's connections. The settings of other types are those of their hooks."""

_SQLITE_URI = {"cache", "immutable", "mode", "nolock", "psow", "vfs"}
"""Settings that SQLite reads in a file's URI; the others are arguments of Python's driver."""

_DUCKDB_SWITCHES = ("allow_community_extensions", "autoinstall_extensions", "autoload_extensions", "read_only")

_POSTGRESQL_DRIVERS = ("postgresql", "postgresql+psycopg", "postgresql+psycopg2")


def read_settings(connection: Connection) -> dict[str, Any]:
    """
    Return the driver's settings in a connection's extra; those that are empty are left out, as Airflow's form has them.

    :return: nothing for a type that is not in :data:`SETTINGS`.
    :raises ConnectionFieldsError: the extra is no JSON object, or holds a setting that would have no effect.
    """
    known = SETTINGS.get(connection.conn_type or "")
    if known is None:
        return {}
    extra = _extra(connection)
    unknown = sorted(extra.keys() - known.driver - known.other - _OF_AIRFLOW)
    if unknown:
        remedies = "; ".join(_remedy(name, known) for name in unknown)
        names = f"extra {unknown[0]} is" if len(unknown) == 1 else f"extra {', '.join(unknown)} are"
        raise ConnectionFieldsError(
            connection.conn_id,
            f"{names} no setting of type {connection.conn_type}, so it would have no effect",
            f"{remedies} (docs/warehouses.md lists the settings)",
        )
    return {name: value for name, value in extra.items() if name in known.driver}


def postgresql_arguments(connection: Connection) -> dict[str, Any]:
    """
    Return the arguments of psycopg and psycopg2 beside those of the URL.

    ADBC's driver gets them from the session of psycopg, see :mod:`rees46_sync.warehouse.postgresql`.

    :raises ConnectionFieldsError: as :func:`read_settings`; or the extra names a driver that has other settings.
    """
    settings = read_settings(connection)
    scheme = _extra(connection).get("sqlalchemy_scheme") or _POSTGRESQL_DRIVERS[0]
    if settings and scheme not in _POSTGRESQL_DRIVERS:
        raise ConnectionFieldsError(
            connection.conn_id,
            f"extra {min(settings)} does not reach the driver of extra sqlalchemy_scheme",
            f"leave sqlalchemy_scheme out, or write {' or '.join(_POSTGRESQL_DRIVERS[1:])}",
        )
    arguments: dict[str, Any] = {name: _text(value) for name, value in settings.items()}
    if "prepare_threshold" in settings:
        given = arguments["prepare_threshold"]
        never = given.lower() in ("none", "null", "")
        arguments["prepare_threshold"] = None if never else as_number(connection, "prepare_threshold", given)
    return arguments


def sqlite_url(connection: Connection, uri: str) -> sa.URL:
    """
    Return SQLAlchemy's URL of a file.

    :param uri: the hook's URI; its query is not used.
    :raises ConnectionFieldsError: as :func:`read_settings`.
    """
    import sqlalchemy as sa

    url = sa.make_url(uri.partition("?")[0])
    settings = {name: _text(value) for name, value in read_settings(connection).items() if name != "uri"}
    database = url.database or ""
    if settings.keys() & _SQLITE_URI or database.startswith("file:"):
        settings["uri"] = "true"
        if not database.startswith("file:"):
            # More than one slash at its start would make the first folder a host.
            database = f"file:{quote(re.sub('^/+', '/', database))}"
    return url.set(database=database or None, query=settings)


def duckdb_parameters(connection: Connection) -> dict[str, Any]:
    """
    Return the parameters of Airflow's hook that it would misread as text, as the query of a URI has them.

    :raises ConnectionFieldsError: as :func:`read_settings`, or a value is none for its setting.
    """
    settings = read_settings(connection)
    parameters: dict[str, Any] = {
        name: as_switch(connection, name, settings[name]) for name in _DUCKDB_SWITCHES if name in settings
    }
    if "threads" in settings:
        parameters["threads"] = as_number(connection, "threads", settings["threads"])
    if isinstance(extensions := settings.get("extensions"), str):
        parameters["extensions"] = [name.strip() for name in extensions.split(",") if name.strip()]
    if not isinstance(settings.get("settings", {}), dict):
        raise ConnectionFieldsError(
            connection.conn_id, "extra settings is no JSON object", "write the connection as JSON, with an object there"
        )
    return parameters


def as_number(connection: Connection, name: str, value: object) -> int:
    """
    Return a whole number of the extra; it is text if the connection was written as a URI.

    :raises ConnectionFieldsError: it is none.
    """
    try:
        return int(str(value))
    except ValueError:
        raise ConnectionFieldsError(connection.conn_id, f"extra {name} is no whole number", "write one") from None


def as_switch(connection: Connection, name: str, value: object) -> bool:
    """
    Return an on/off value of the extra; it is text if the connection was written as a URI.

    :raises ConnectionFieldsError: it is none.
    """
    match str(value).strip().lower():
        case "true" | "1":
            return True
        case "false" | "0" | "none" | "":
            return False
    raise ConnectionFieldsError(connection.conn_id, f"extra {name} is neither true nor false", "write true or false")


def _extra(connection: Connection) -> dict[str, Any]:
    """Return the extra without empty values; Airflow takes one that cannot be read as empty."""
    try:
        given = json.loads(connection.extra or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise ConnectionFieldsError(
            connection.conn_id, "extra is no JSON object", 'write an object, such as {"connect_timeout": 10}'
        )
    _ = connection.extra_dejson  # so that Airflow masks its secrets
    # For psycopg, null means that it prepares no statements.
    return {
        name: value for name, value in given.items() if value not in (None, "", {}, []) or name == "prepare_threshold"
    }


def _remedy(name: str, known: KnownSettings) -> str:
    plain = name.lower().strip()
    if plain in _FIELDS:
        return f"write {name} into the connection's own field {_FIELDS[plain]}"
    nearest = known.other_names.get(plain) or next(iter(get_close_matches(plain, known.driver, 1, 0.7)), None)
    return f"write {nearest} instead of {name}" if nearest else f"leave {name} out"


def _text(value: object) -> str:
    """Return a value as libpq and SQLite read it."""
    return str(int(value)) if isinstance(value, bool) else str(value)
