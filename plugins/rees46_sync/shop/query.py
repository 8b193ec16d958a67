"""A shop's query file: one SELECT that binds the window."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlparse

from rees46_sync.exceptions import Problem
from rees46_sync.shop.text_file import read_text

MAX_BYTES = 200_000
"""How long a query file may be."""

WINDOW_PARAMETERS = (":window_start", ":window_end")
ORDER_PARAMETER = ":order_id"
"""Bound by :meth:`Query.of_order` alone; no query file may bind it."""

_PARAMETERS = (*WINDOW_PARAMETERS, ORDER_PARAMETER)

# Made at import, like a compiled pattern, so that forked processes share it.
_LEXER = sqlparse.lexer.Lexer.get_default_instance()  # type: ignore[no-untyped-call] # it has no types


@dataclass(frozen=True)
class Query:
    """
    A shop's query.

    :param parts: the text in pieces; a piece ``:window_start``, ``:window_end`` or ``:order_id`` is a parameter.
    """

    parts: tuple[str, ...]

    def of_order(self, text_type: str = "") -> Query:
        """
        Return the query for the rows of one order. It is filtered from outside, so that every query can be.

        :param text_type: compare the order id as this type; empty: as that of its column, which may have an index.
        """
        column = f"CAST(order_id AS {text_type})" if text_type else "order_id"
        return Query(("SELECT * FROM (\n", *self.parts, f"\n) AS rows_of_all WHERE {column} = ", ORDER_PARAMETER))

    def for_driver(
        self, paramstyle: str, bounds: Mapping[str, object]
    ) -> tuple[str, tuple[object, ...] | dict[str, object]]:
        """
        Return the query in the parameter style of a database driver (PEP 249), otherwise unchanged.

        :param bounds: the value of each parameter.
        :return: the statement and its parameters.
        """
        names = [part[1:] for part in self.parts if part in _PARAMETERS]
        numbers = itertools.count(1)
        styles: dict[str, Callable[[str], str]] = {
            "qmark": lambda _: "?",
            "format": lambda _: "%s",
            "numeric": lambda _: f":{next(numbers)}",
            "numeric_dollar": lambda _: f"${next(numbers)}",
            "named": lambda name: f":{name}",
            "pyformat": lambda name: f"%({name})s",
        }
        percent = "%%" if paramstyle in ("format", "pyformat") else "%"
        text = "".join(
            styles[paramstyle](part[1:]) if part in _PARAMETERS else part.replace("%", percent) for part in self.parts
        )
        if paramstyle in ("named", "pyformat"):
            return text, dict(bounds)
        return text, tuple(bounds[name] for name in names)


def read_query(path: Path, parameters: Sequence[str] = WINDOW_PARAMETERS) -> Query:
    """
    Read a query file: one SELECT. Comments and a semicolon at the end are removed.

    :param parameters: what it has to bind.

    :raises Problem: the file is missing or unreadable, holds no or several statements, is not a SELECT, or does not
        bind exactly these parameters.
    """
    try:
        text = read_text(path, MAX_BYTES)
    except Problem as error:
        raise Problem(f"{path} {error.problem}", error.remedy) from error
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(
            f"{path} cannot be read ({type(error).__name__})",
            "give the path of a UTF-8 file, relative to the shop file",
        ) from error
    types = sqlparse.tokens
    statements: list[list[str]] = [[]]
    binds = set()
    tokens: Iterator[tuple[Any, str]] = _LEXER.get_tokens(text)
    for kind, value in tokens:
        if kind in types.Comment and kind not in types.Comment.Single.Hint and kind not in types.Comment.Multiline.Hint:
            statements[-1].append("\n" if value.endswith("\n") else " ")
        elif kind in types.Punctuation and value == ";":
            statements.append([])
        else:
            is_first_word = not any(part.strip() for part in statements[-1])
            if is_first_word and (
                kind in types.Keyword.DDL or (kind in types.Keyword.DML and value.upper() != "SELECT")
            ):
                raise Problem(f"begins with {value.upper()}", "write one SELECT")
            if kind in types.Name.Placeholder:
                binds.add(value)
            statements[-1].append(value)
    full = [parts for parts in statements if "".join(parts).strip()]
    if len(full) != 1:
        raise Problem(f"holds {len(full)} statements", "write one SELECT")
    missing = [name for name in parameters if name not in binds]
    unknown = sorted(binds - set(parameters))
    if missing:
        raise Problem(
            f"does not bind {' and '.join(missing)} outside comments and quotes",
            "write updated_at >= :window_start AND updated_at < :window_end",
        )
    if unknown:
        only = "bind only :window_start and :window_end" if parameters else "bind nothing: it is about no window"
        raise Problem(f"binds {', '.join(unknown)}", only)
    return Query(tuple(full[0]))
