"""
Whether the warehouse's role may use files of its server.

A read-only session does not keep a query from ``COPY … TO``, ``pg_read_file`` or ``INTO OUTFILE``; the role's rights
do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rees46_sync.doctor.connections import ask
from rees46_sync.doctor.findings import Finding, ok, warning

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

_RIGHTS = {
    "postgres": """
        SELECT 'is a superuser' FROM pg_roles WHERE rolname = current_user AND rolsuper
        UNION ALL
        SELECT 'has the role ' || rolname FROM pg_roles WHERE pg_has_role(current_user, oid, 'USAGE')
            AND rolname IN ('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program')
        ORDER BY 1 DESC
    """,
    "mysql": """
        SELECT 'has the privilege FILE' FROM information_schema.user_privileges WHERE privilege_type = 'FILE'
            AND REPLACE(grantee, '''', '') = CURRENT_USER()
    """,
}
"""By the type of connections, a query for the rights to files that the session's role has."""


def findings(check: str, hook: DbApiHook) -> Iterator[Finding]:
    """Yield whether the role of a connection has a right to its server's files; nothing if that is not known."""
    if query := _RIGHTS.get(hook.conn_type):
        if rights := [str(right) for (right,) in ask(hook, query)]:
            yield warning(
                check,
                f"the warehouse's role {rights[0]}: a query could read and write files of its server",
                "let the connection use a role that may SELECT what the query reads, and nothing more",
            )
        else:
            yield ok(check, "the warehouse's role may not use files of its server")
