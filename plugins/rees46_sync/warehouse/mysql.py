"""What reading MySQL and MariaDB by PyMySQL needs beyond SQLAlchemy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy as sa


def abandon(cursor: Any) -> None:
    """
    Keep PyMySQL from reading the rest of a server-side cursor's rows, of which there may be millions.

    PyMySQL reads them when such a cursor is closed or collected, and complains on stderr if the connection is gone by
    then. Afterwards the connection can only be closed.
    """
    if cursor is not None and cursor._result is not None:
        cursor._result.unbuffered_active = False


def time_limit(dialect: sa.Dialect, seconds: int) -> str:
    """Return the statement that limits the time of a session's queries."""
    if getattr(dialect, "is_mariadb", False):
        return f"SET SESSION max_statement_time = {seconds}"
    return f"SET SESSION max_execution_time = {1000 * seconds}"
