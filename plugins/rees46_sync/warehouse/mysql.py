"""What reading MySQL and MariaDB by PyMySQL needs beyond SQLAlchemy."""

from __future__ import annotations

from typing import Any


def abandon(cursor: Any) -> None:
    """
    Keep PyMySQL from reading the rest of a server-side cursor's rows, of which there may be millions.

    PyMySQL reads them when such a cursor is closed or collected, and complains on stderr if the connection is gone by
    then. Afterwards the connection can only be closed.
    """
    if cursor is not None and cursor._result is not None:
        cursor._result.unbuffered_active = False
