"""
Read ClickHouse's rows as a stream by clickhouse-connect, whose PEP 249 cursor would hold all of them in memory.

Columns of texts, integers and times arrive as Arrow. Of other types (Enum, Decimal, UUID, Float64 …) Arrow does not
have ClickHouse's own value, or not exactly; if the query returns one, all columns are read in ClickHouse's own format.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from rees46_sync.shop.query import Query

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    from rees46_sync.warehouse.values import Chunk

_ARROW_TYPES = re.compile(
    r"(LowCardinality\()?(Nullable\()?"
    r"(String|U?Int(8|16|32|64)|DateTime(\('[^']*'\))?|DateTime64\([0-6](, '[^']*')?\))\)*"
)
_DATE_TIME = re.compile(r"(Nullable\()?DateTime(\('[^']*'\))?\)?")

_SESSION = {"readonly": "1", "session_timezone": "UTC", "cancel_http_readonly_queries_on_client_close": "1"}
_ARROW = {"output_format_arrow_string_as_string": "0", "output_format_arrow_low_cardinality_as_dictionary": "0"}
"""Texts as bytes: ClickHouse's need not be UTF-8."""

_ERROR = re.compile(rb"Code: \d+\. DB::\w*Exception: [^\r\n]*")


@contextmanager
def read(
    hook: DbApiHook, query: Query, bounds: Mapping[str, Any], rows: int, timeout_s: float | None
) -> Iterator[tuple[list[str], Iterator[Chunk]]]:
    """
    Run a query in a session that is read-only and whose time zone is UTC, if the user's profile lets it.

    :param hook: of Airflow's provider for ClickHouse.
    :param bounds: the values of the query's parameters; times are UTC without a zone.
    :param rows: at most so many are read at once.
    :param timeout_s: the longest time that the server may take; None: as long as it lets a query run.
    """
    with closing(hook.get_client()) as client:
        sql, parameters = _typed(query), {name: str(value) for name, value in bounds.items()}
        wanted = _SESSION | {"max_block_size": str(rows)}
        if timeout_s:
            wanted["max_execution_time"] = str(max(1, round(timeout_s)))
        settings = _changeable(client, wanted)
        columns = _describe(client, sql, parameters, settings)
        if columns and all(_ARROW_TYPES.fullmatch(kind) for _, kind in columns):
            settings |= _changeable(client, _ARROW)
            with closing(client.raw_stream(sql, parameters, settings, "ArrowStream")) as stream:
                yield [name for name, _ in columns], _arrow_columns(stream, [kind for _, kind in columns])
            return
        with client.query_column_block_stream(
            sql,
            parameters,
            settings,
            query_formats={"String": "bytes"},
            query_tz="UTC",
            tz_mode="aware",
        ) as blocks:
            yield [name for name, _ in columns] or list(blocks.source.column_names), iter(blocks)


def _typed(query: Query) -> str:
    """Write the parameters as the server binds them; a time is exact, and in UTC whatever the zone of the session."""
    types = {":window_start": "DateTime64(6, 'UTC')", ":window_end": "DateTime64(6, 'UTC')", ":order_id": "String"}
    return "".join(f"{{{part[1:]}:{types[part]}}}" if part in types else part for part in query.parts)


def _changeable(client: Any, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that this server has and lets this user change."""
    known = client.server_settings
    return {name: value for name, value in settings.items() if name in known and not known[name].readonly}


def _describe(
    client: Any, sql: str, parameters: Mapping[str, str], settings: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return the names and types of the result's columns; empty if the server says none of this statement."""
    from clickhouse_connect.driver.exceptions import DatabaseError

    with suppress(DatabaseError):  # running the query gives the error of the query
        return [(name, kind) for name, kind, *_ in client.query(f"DESCRIBE ({sql})", parameters, settings).result_rows]
    return []


class _LastBytes:
    """A stream that remembers what came last: an error after the first rows is the end of the answer."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.closed = False
        self.pieces: deque[bytes] = deque(maxlen=4)

    def read(self, size: int = -1) -> bytes:
        piece: bytes = self.stream.read(size)
        self.pieces.append(piece[-4_096:])
        return piece


def _arrow_columns(stream: Any, types: Sequence[str]) -> Iterator[Chunk]:
    noted = _LastBytes(stream)
    try:
        for batch in pa.ipc.open_stream(noted):
            yield [_column(column, kind) for column, kind in zip(batch.columns, types, strict=True)]
    except pa.ArrowInvalid as error:
        noted.read()
        said = _ERROR.search(b"".join(noted.pieces))
        raise ValueError(said[0].decode(errors="replace") if said else str(error)) from error


def _column(column: pa.Array, kind: str) -> Sequence[Any] | pa.Array:
    if _DATE_TIME.fullmatch(kind):  # Arrow has it as the seconds since 1970
        return column.cast(pa.int64()).cast(pa.timestamp("s", "UTC"))
    if pa.types.is_binary(column.type):
        try:
            return column.cast(pa.string())
        except pa.ArrowInvalid:
            return column.to_pylist()
    return column
