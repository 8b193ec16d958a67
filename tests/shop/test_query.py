"""A query file: an unusable one says what to write, and the database gets the query as it is written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rees46_sync.shop.query import Query, read_query
from tests.shop.conftest import IN_WINDOW, QUERY, SELECT, load, problem_of, shop_text

UNUSABLE_QUERIES = [
    pytest.param("", ["0 statements", "one SELECT"], id="empty"),
    pytest.param("-- " + QUERY, ["0 statements", "one SELECT"], id="only-a-comment"),
    pytest.param("/* " + QUERY + " */", ["0 statements", "one SELECT"], id="only-a-block-comment"),
    pytest.param(QUERY + ";\n" + QUERY, ["2 statements", "one SELECT"], id="two-statements"),
    pytest.param("SET x = 1; " + QUERY, ["2 statements", "one SELECT"], id="statement-before"),
    pytest.param("DELETE FROM orders WHERE " + IN_WINDOW, ["SELECT"], id="delete"),
    pytest.param("UPDATE orders SET status = '' WHERE " + IN_WINDOW, ["SELECT"], id="update"),
    pytest.param("INSERT INTO orders " + QUERY, ["SELECT"], id="insert"),
    pytest.param("CREATE TABLE copies AS " + QUERY, ["SELECT"], id="create"),
    pytest.param(SELECT + "1 = 1", [":window_start and :window_end", "write"], id="no-parameter"),
    pytest.param(SELECT + "updated_at >= :window_start", ["not bind :window_end", "write"], id="only-start"),
    pytest.param(SELECT + "updated_at < :window_end", ["not bind :window_start", "write"], id="only-end"),
    pytest.param(SELECT + IN_WINDOW.upper(), [":window_start and :window_end", "write"], id="upper-case"),
    pytest.param(SELECT + IN_WINDOW.replace("end", "end2"), ["not bind :window_end", "write"], id="longer-name"),
    pytest.param(QUERY + " AND shop = :shop", ["binds :shop", "only :window_start"], id="third-parameter"),
    pytest.param(SELECT + "1 = 1 -- " + IN_WINDOW, ["not bind", "outside comments"], id="in-a-comment"),
    pytest.param(SELECT + "1 = 1 /* " + IN_WINDOW + " */", ["not bind", "outside comments"], id="in-a-block-comment"),
    pytest.param(SELECT + f"status <> '{IN_WINDOW}'", ["not bind", "quotes"], id="in-a-string"),
    pytest.param(SELECT + f'"{IN_WINDOW}" = 1', ["not bind", "quotes"], id="in-a-quoted-name"),
    pytest.param(SELECT + "updated_at >= ? AND updated_at < ?", ["not bind", ":window_start"], id="question-marks"),
    pytest.param(QUERY + " AND shop = ?", ["binds ?", "only :window_start"], id="question-mark-beside"),
    pytest.param(SELECT + "updated_at >= %s AND updated_at < %s", ["not bind", ":window_start"], id="percent-s"),
    pytest.param(
        SELECT + "updated_at >= %(window_start)s AND updated_at < %(window_end)s", ["not bind"], id="pyformat"
    ),
    pytest.param(SELECT + "updated_at >= $1 AND updated_at < $2", ["not bind", ":window_start"], id="dollars"),
    pytest.param(SELECT + "updated_at >= @window_start AND updated_at < @window_end", ["not bind"], id="at-signs"),
    pytest.param(SELECT + "updated_at >= {{ ds }} AND updated_at < {{ ds }}", ["not bind"], id="template"),
    pytest.param(("-- caf\xe9\n" + QUERY).encode("latin-1"), ["cannot be read", "UTF-8"], id="latin-1"),
]


@pytest.mark.parametrize(("query", "words"), UNUSABLE_QUERIES)
def test_an_unusable_query_is_named_with_what_to_write(folder: Path, query: str | bytes, words: list[str]) -> None:
    (folder / "broken.sql").write_bytes(query if isinstance(query, bytes) else query.encode())

    problem = problem_of(folder, shop_text({"query": "broken.sql"}))

    assert problem.startswith("query is 'broken.sql' and ")
    assert [word for word in words if word not in problem] == []


def rows_by_sqlite_itself(sql: str) -> list[Any]:
    """The result of a query file's own text, with SQLite's own named parameters."""
    with closing(sqlite3.connect(":memory:")) as db:
        return db.execute(sql, {"window_start": "2026-03-01 00:00:00", "window_end": "2026-03-02 00:00:00"}).fetchall()


def rows_by_sqlalchemy(query: Query) -> list[Any]:
    """The result of a query as the sync sends it."""
    bounds = {"window_start": "2026-03-01 00:00:00", "window_end": "2026-03-02 00:00:00"}
    engine = sa.create_engine("sqlite://")
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(*query.for_driver("qmark", bounds))]
    finally:
        engine.dispose()


WINDOW_COLUMNS = "SELECT :window_start, :window_end"


@pytest.mark.parametrize(
    "sql",
    [
        pytest.param(WINDOW_COLUMNS + ", ':window_start'", id="parameter-in-a-string"),
        pytest.param(WINDOW_COLUMNS + ", 'state:paid', 'a:b:c'", id="colons-in-strings"),
        pytest.param(WINDOW_COLUMNS + ", ':a:', 'HH24:MI:', 'a:b:'", id="colon-at-the-end-of-a-string"),
        pytest.param(WINDOW_COLUMNS + ", '::a', 'a::b', 'a:::b'", id="double-colons-in-strings"),
        pytest.param(WINDOW_COLUMNS + r", '\:a', '\\:a', '\: '", id="backslash-before-a-colon"),
        pytest.param(WINDOW_COLUMNS + ", strftime('%H:%M:%S', '2026-01-01 12:30:45')", id="time-format"),
        pytest.param(WINDOW_COLUMNS + ", 'it''s :a; -- no comment', '/* nor this */'", id="quotes-in-a-string"),
        pytest.param(WINDOW_COLUMNS + ", '?', '%s', '%(a)s', '%', '$1', '{a}'", id="other-parameters-in-strings"),
        pytest.param(WINDOW_COLUMNS + ', 1 AS "a:b", 2 AS `c:d`, 3 AS [e:f]', id="colons-in-names"),
        pytest.param(WINDOW_COLUMNS + ", 7 % 4", id="modulo"),
        pytest.param(WINDOW_COLUMNS + ", 'заказ:да', '🛒:a'", id="unicode"),
        pytest.param(WINDOW_COLUMNS + ", 'two\nlines:a'", id="line-end-in-a-string"),
        pytest.param("-- it's a :comment; really\n" + WINDOW_COLUMNS + "\n-- the end", id="line-comments"),
        pytest.param("SELECT/* it's\n:a; */:window_start,:window_end/**/", id="block-comments"),
        pytest.param("SELECT 1,-- one\n:window_start -- :a\n, :window_end", id="comments-between"),
        pytest.param(f"{WINDOW_COLUMNS} UNION/**/ALL--\n{WINDOW_COLUMNS}", id="comments-as-the-only-space"),
        pytest.param(WINDOW_COLUMNS + ";\n\n-- the end\n", id="semicolon-before-a-comment"),
        pytest.param(WINDOW_COLUMNS + "\n-- the end\n;\n", id="semicolon-after-a-comment"),
        pytest.param("WITH a AS (SELECT :window_start AS x) SELECT x, :window_end FROM a", id="common-table"),
        pytest.param(WINDOW_COLUMNS + " UNION ALL " + WINDOW_COLUMNS, id="parameters-twice"),
        pytest.param("SELECT(:window_start)||(:window_end)", id="no-spaces"),
        pytest.param("VALUES (:window_start, :window_end)", id="values"),
        pytest.param(WINDOW_COLUMNS + ", 'a' IN (" + ", ".join(f"'{n}'" for n in range(3500)) + ")", id="long-list"),
    ],
)
def test_the_database_gets_the_query_of_the_file(folder: Path, sql: str) -> None:
    (folder / "orders.sql").write_text(sql)

    query = load(folder, shop_text()).query

    assert rows_by_sqlalchemy(read_query(query)) == rows_by_sqlite_itself(sql)


@pytest.fixture(scope="module")
def query_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("query") / "query.sql"


def in_dialect_free_quotes(text: str) -> bool:
    """Databases do not agree on a backslash before a quote."""
    return "\\'" not in text and not text.endswith("\\")


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.sampled_from(":\\ab1 _;-/*'\"?%${}\n") | st.characters(categories=["L", "N", "P"])).filter(
        in_dialect_free_quotes
    )
)
@example(":window_start")
@example("a:b:")
@example("\\:a")
def test_any_string_reaches_the_database_unchanged(query_file: Path, text: str) -> None:
    literal = text.replace("'", "''")
    query_file.write_text(f"SELECT '{literal}' AS text WHERE :window_start < :window_end", newline="")

    assert rows_by_sqlalchemy(read_query(query_file)) == [(text,)]


@pytest.mark.parametrize(
    "condition",
    [
        pytest.param("order_id::VARCHAR = '1'", id="cast"),
        pytest.param("updated_at >= :window_start::TIMESTAMP", id="cast-of-a-parameter"),
        pytest.param("updated_at >= (:window_start)::TIMESTAMP", id="cast-of-a-parameter-in-brackets"),
        pytest.param("updated_at >= CAST(:window_start AS TIMESTAMP)", id="sql-cast"),
        pytest.param("updated_at >= :window_start - INTERVAL '1 day'", id="interval"),
        pytest.param("order_id::VARCHAR::INT + 0::BIGINT = 1", id="cast-of-a-cast"),
        pytest.param("'12:30:00'::TIME < TIME '13:00:00'", id="times"),
        pytest.param("[1, 2, 3][1:2] = [1, 2]", id="slice"),
        pytest.param("strftime(updated_at, '%H:%M:%S') = '12:00:00'", id="time-format"),
        pytest.param("$$it's :a$$ <> $tag$ :b; $tag$", id="dollar-quotes"),
        pytest.param("{'a': 1}.a = 1", id="struct"),
        pytest.param("status <> '?' AND status NOT LIKE '%s%'", id="other-parameters-in-strings"),
    ],
)
def test_only_the_window_is_bound_if_colons_have_other_meanings(folder: Path, condition: str) -> None:
    file = folder / "orders.sql"
    file.write_text(f"{QUERY} AND {condition};")
    bounds = {"window_start": datetime(2026, 3, 1), "window_end": datetime(2026, 3, 2)}  # noqa: DTZ001 - as databases take them

    assert read_query(file).for_driver("named", bounds) == (f"{QUERY} AND {condition}", bounds)
    with closing(duckdb.connect()) as db:
        db.execute(
            "CREATE TABLE orders AS SELECT 1 AS order_id, 'new' AS status, TIMESTAMP '2026-03-01 12:00' AS updated_at"
        )
        answer = db.execute(*read_query(file).for_driver("qmark", bounds))
        assert [row[:2] for row in answer.fetchall()] == [(1, "new")]


@pytest.mark.parametrize(
    ("paramstyle", "statement", "parameters"),
    [
        ("qmark", "SELECT 5 % 2 WHERE ? < ? OR ? IS NULL", (1, 2, 1)),
        ("format", "SELECT 5 %% 2 WHERE %s < %s OR %s IS NULL", (1, 2, 1)),
        ("numeric", "SELECT 5 % 2 WHERE :1 < :2 OR :3 IS NULL", (1, 2, 1)),
        ("numeric_dollar", "SELECT 5 % 2 WHERE $1 < $2 OR $3 IS NULL", (1, 2, 1)),
        (
            "named",
            "SELECT 5 % 2 WHERE :window_start < :window_end OR :window_start IS NULL",
            {"window_start": 1, "window_end": 2},
        ),
        (
            "pyformat",
            "SELECT 5 %% 2 WHERE %(window_start)s < %(window_end)s OR %(window_start)s IS NULL",
            {"window_start": 1, "window_end": 2},
        ),
    ],
)
def test_a_query_is_written_in_the_style_of_every_driver(
    query_file: Path, paramstyle: str, statement: str, parameters: object
) -> None:
    query_file.write_text("SELECT 5 % 2 WHERE :window_start < :window_end OR :window_start IS NULL")

    assert read_query(query_file).for_driver(paramstyle, {"window_start": 1, "window_end": 2}) == (
        statement,
        parameters,
    )
