"""A ledger on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from rees46_sync.ledger.database import Ledger


@pytest.fixture
def open_ledger(empty_database: str) -> Iterator[Callable[[], Ledger]]:
    """Open the same ledger, which may have no tables yet, with an engine of its own, as another process would."""
    opened: list[Ledger] = []

    def open_one() -> Ledger:
        opened.append(Ledger.from_conn_id(empty_database))
        return opened[-1]

    yield open_one
    for ledger in opened:
        ledger.engine.dispose()


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    """A ledger with current tables."""
    ledger = open_ledger()
    ledger.migrate()
    return ledger
