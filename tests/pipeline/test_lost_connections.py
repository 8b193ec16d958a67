"""The connection to the ledger dies at each statement, and after each commit: one clean run later all is right."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine.default import DefaultDialect

from tests.conftest import ShopUnderTest
from tests.whole_run import IN_WINDOW, accounted, run_dag

pytestmark = pytest.mark.soak

A_MINUTE = timedelta(minutes=1)


class Countdown:
    """
    Counts what happens at a ledger.

    :param at: at which one the connection dies, counted from 1.
    """

    def __init__(self, ledger: str, at: int) -> None:
        self.ledger = ledger
        self.at = at
        self.count = 0

    def is_over(self, database: str | None) -> bool:
        if database is None or not database.endswith(self.ledger):
            return False
        self.count += 1
        return self.count == self.at


@contextmanager
def dying_before_a_statement(countdown: Countdown, _monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def before(connection: sa.Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if countdown.is_over(connection.engine.url.database):
            raise sa.exc.OperationalError(statement, {}, sqlite3.OperationalError("the connection is lost"))

    sa.event.listen(sa.Engine, "before_cursor_execute", before)
    yield
    sa.event.remove(sa.Engine, "before_cursor_execute", before)


@contextmanager
def dying_after_a_commit(countdown: Countdown, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    commit = DefaultDialect.do_commit

    def commit_and_die(dialect: Any, connection: Any) -> None:
        commit(dialect, connection)
        is_sqlite = isinstance(getattr(connection, "driver_connection", None), sqlite3.Connection)
        file = connection.driver_connection.execute("PRAGMA database_list").fetchone()[2] if is_sqlite else None
        if countdown.is_over(file):
            raise sqlite3.OperationalError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr(DefaultDialect, "do_commit", commit_and_die)
        yield


@pytest.mark.parametrize("dying", [dying_before_a_statement, dying_after_a_commit])
def test_whenever_the_connection_dies_one_clean_run_later_rees46_has_what_the_warehouse_has(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch, dying: Callable[..., Any]
) -> None:
    shop.configure(settle="0s")
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "new", IN_WINDOW), ("3", "delivered", IN_WINDOW)])
    assert run_dag().state == "success"
    shop.add_rows([("1", "delivered", IN_WINDOW + A_MINUTE), ("2", "paid", IN_WINDOW + A_MINUTE)])
    shop.add_rows([("4", "sent back", IN_WINDOW), ("5", "cancelled", IN_WINDOW)])
    at, reached = 0, True
    while reached:
        at += 1
        name = f"ledger-{at}.db"
        with closing(sqlite3.connect(shop.ledger_file)) as first, closing(sqlite3.connect(shop.folder / name)) as copy:
            first.backup(copy)
        shop.connect("shop_ledger", f"sqlite:///{shop.folder / name}")
        shop.sandbox.reset()
        countdown = Countdown(name, at)

        with dying(countdown, monkeypatch):
            run_dag()
        reached = countdown.count >= at
        clean = run_dag()

        assert clean.state == "success", at
        assert accounted(clean.account) == clean.account["read"], at
        assert shop.sandbox.state().items() >= {"1": 1, "5": 2}.items(), at
        assert "4" not in shop.sandbox.state(), at
    assert at > 20
