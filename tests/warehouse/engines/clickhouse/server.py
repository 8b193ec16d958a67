"""
ClickHouse's HTTP interface in front of chdb, as far as clickhouse-connect and the tests use it.

`python server.py PORT` listens on 127.0.0.1. chdb is ClickHouse's own engine as a library: parsing, types, functions
and formats are ClickHouse's. Users, passwords, TLS, compression and the limits of a server are not there.
"""

from __future__ import annotations

import io
import re
import socket
import sys
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
import pyarrow as pa

FORMAT = re.compile(r"\s+FORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
OF_HTTP = {"database", "query", "query_id", "session_id", "compress", "wait_end_of_query", "client_protocol_version"}
OF_HTTP |= {"enable_http_compression", "send_progress_in_http_headers", "http_headers_progress_interval_ms"}
TAG = "abcdefghijklmnop"
"""A real server makes one for each answer; an error after the first rows is written between two of them."""

END_ALL = "SELECT 1 AS end_all_sessions"
"""The statement by which a test cuts the answers that are on their way."""

STREAMING: set[socket.socket] = set()


class Handler(BaseHTTPRequestHandler):
    """One request is one statement in a session of its own."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer the client's ping."""
        self._send(200, b"Ok.\n")

    def do_POST(self) -> None:
        """Run one statement."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        statement = "\n".join(part for part in (url.get("query", ""), body.decode()) if part)
        if self.headers.get("Authorization") == f"Basic {b64encode(b'rees46:hidden').decode()}":
            return self._send(403, b"Code: 516. DB::Exception: rees46: Authentication failed. (AUTHENTICATION_FAILED)")
        if statement.startswith(END_ALL):
            for streaming in STREAMING:
                streaming.shutdown(socket.SHUT_RDWR)
            return self._send(200, b"")
        connection = chdb.connect(":memory:")
        try:
            if url.get("database"):
                connection.query(f"USE {url['database']}")
            # A real server applies them all at once; here readonly must be the last.
            for name, value in sorted(url.items(), key=lambda setting: setting[0] == "readonly"):
                if name not in OF_HTTP and not name.startswith("param_"):
                    connection.query(f"SET {name} = '{value}'")
            parameters = {name.removeprefix("param_"): url[name] for name in url if name.startswith("param_")}
            self._answer(connection, statement, parameters)
        except (RuntimeError, chdb.ChdbError) as error:
            self._send(500, _message(error))
        finally:
            connection.close()

    def _answer(self, connection: Any, statement: str, parameters: dict[str, str]) -> None:
        named = FORMAT.search(statement)
        query, kind = (statement[: named.start()], named[1]) if named else (statement, "TabSeparated")
        if not named or not query.lstrip().upper().startswith(("SELECT", "WITH", "(")):  # chdb streams only these
            self._send(200, connection.query(query, kind, params=parameters).bytes())
            return
        chunks = connection.send_query(query, "Arrow" if kind == "ArrowStream" else kind, params=parameters)
        # An error before the first rows has a status of its own.
        pieces = _arrow_stream(chunks) if kind == "ArrowStream" else (chunk.bytes() for chunk in chunks)
        first = next(pieces, b"")
        if not first and kind == "ArrowStream":  # chdb returns no columns either if there are no rows
            first = b"".join(_arrow_stream([connection.query(query, "Arrow", params=parameters)]))
        self._head(200, "chunked")
        STREAMING.add(self.connection)
        try:
            self._chunk(first)
            for piece in pieces:
                self._chunk(piece)
        except (RuntimeError, chdb.ChdbError) as error:
            text = _message(error)
            self._chunk(
                f"\r\n__exception__\r\n{TAG}\r\n".encode() + text + f"\n{len(text)} {TAG}\r\n__exception__\r\n".encode()
            )
        finally:
            STREAMING.discard(self.connection)
        self.wfile.write(b"0\r\n\r\n")

    def _head(self, status: int, length: str) -> None:
        self.send_response(status)
        is_chunked = length == "chunked"
        self.send_header("Transfer-Encoding" if is_chunked else "Content-Length", length)
        self.send_header("X-ClickHouse-Timezone", "Asia/Tokyo")
        self.send_header("X-ClickHouse-Exception-Tag", TAG)
        self.end_headers()

    def _send(self, status: int, content: bytes) -> None:
        self._head(status, str(len(content)))
        self.wfile.write(content)

    def _chunk(self, content: bytes) -> None:
        if content:
            self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
        """Say nothing: the test's output is about the test."""


def _message(error: Exception) -> bytes:
    text = str(error)
    return text[max(text.find("Code: "), 0) :].strip().encode()


def _arrow_stream(chunks: Any) -> Iterator[bytes]:
    """Join the Arrow files, of which chdb makes one for each block, to one stream."""
    written = io.BytesIO()
    writer = None
    for chunk in chunks:
        table = pa.ipc.open_file(pa.py_buffer(chunk.bytes())).read_all()
        writer = writer or pa.ipc.new_stream(written, table.schema)
        writer.write_table(table)
        yield written.getvalue()
        written.seek(0)
        written.truncate()
    if writer:
        writer.close()
        yield written.getvalue()


if __name__ == "__main__":
    _keep = chdb.connect(":memory:")  # the tables live as long as one session is open
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
