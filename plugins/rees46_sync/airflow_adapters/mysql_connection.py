"""PyMySQL's connection, which does not go on without TLS unless it may."""

from __future__ import annotations

import ssl

from pymysql.connections import Connection
from pymysql.constants import CLIENT, CR
from pymysql.err import OperationalError


class OptionalTls(ssl.SSLContext):
    """The settings of TLS for a server that may lack it."""

    def __new__(cls) -> OptionalTls:
        """Return the settings of a client."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)


class MySqlConnection(Connection):  # type: ignore[misc] # PyMySQL has no types
    """
    A connection to MySQL or MariaDB.

    PyMySQL itself logs in as plain text if the server, or one who pretends to be it, says that it has no TLS.
    """

    def _request_authentication(self) -> None:
        required = self.ssl and not isinstance(self.ctx, OptionalTls)
        if required and not self.server_capabilities & CLIENT.SSL:
            raise OperationalError(
                CR.CR_SSL_CONNECTION_ERROR, "the server has no TLS, which the connection's extra requires"
            )
        super()._request_authentication()
