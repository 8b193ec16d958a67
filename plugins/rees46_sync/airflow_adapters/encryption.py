"""Whether the session with a database is encrypted, and a warning if it is not and leaves this machine."""

from __future__ import annotations

import ipaddress
import logging
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import sqlalchemy as sa
    from airflow.sdk import Connection

log = logging.getLogger(__name__)

_REMEDIES = {
    "postgres": "set sslmode verify-full, and sslrootcert, in the connection's extra; or sslmode disable, if nobody "
    "can listen in between",
    "mysql": "set ssl_mode VERIFY_IDENTITY, and ssl_ca, in the connection's extra; or ssl_mode DISABLED, if nobody can "
    "listen in between",
}
"""By the type of the connection. Other types are not examined."""

_warned: set[str] = set()


class PlainText(NamedTuple):
    """A session that is not encrypted although it should be; what is wrong, and what to do."""

    problem: str
    remedy: str


def plain_text(connection: Connection, session: object) -> PlainText | None:
    """
    Return what is wrong if rows go unencrypted to another machine, or although the connection prefers TLS.

    :param session: the driver's open connection.
    :return: None as well if the connection turns TLS off by name.
    """
    remedy = _REMEDIES.get(connection.conn_type or "")
    if remedy is None or _is_encrypted(session):
        return None
    extra = connection.extra_dejson
    mode = str(extra.get("sslmode") or extra.get("ssl_mode") or "").lower()
    if mode in ("disable", "disabled") or str(extra.get("ssl_disabled")).lower() in ("true", "1"):
        return None
    if extra.get("unix_socket") or (mode not in ("prefer", "preferred", "allow") and _is_here(connection.host or "")):
        return None
    return PlainText(f"the session is not encrypted: rows go to {_name(connection)} as plain text", remedy)


def warn_if_plain(engine: sa.Engine, connection: Connection) -> None:
    """Log once in this process if a connection of the engine is one of :func:`plain_text`."""
    import sqlalchemy as sa

    def warn(session: Any, _record: object) -> None:
        if connection.conn_id not in _warned and (found := plain_text(connection, session)):
            _warned.add(connection.conn_id)
            log.warning("Connection %s: %s; %s.", connection.conn_id, found.problem, found.remedy)

    if connection.conn_type in _REMEDIES:
        sa.event.listen(engine, "connect", warn)


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, so that what is sent to it stays here."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_here(host: str) -> bool:
    """Return whether all hosts of a connection, of which PostgreSQL takes several, are this machine; a path is."""
    return all(not one or one.startswith(("/", "@")) or is_loopback(one) for one in host.split(","))


def _name(connection: Connection) -> str:
    # A host that was written with a login or a query may hold a secret.
    return (connection.host or "this machine").rpartition("@")[2].partition("?")[0]


def _is_encrypted(session: Any) -> bool:
    """Return whether psycopg, psycopg2 or PyMySQL uses TLS."""
    places = (getattr(session, name, None) for name in ("pgconn", "info"))
    return any(getattr(place, "ssl_in_use", False) for place in places) or bool(getattr(session, "_secure", False))
