"""The views for other tools: what they show, in each database, and that the ledger works without them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from rees46_sync.ledger import shop_names
from rees46_sync.ledger.__main__ import main
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from rees46_sync.ledger.runs import Runs, new_account
from rees46_sync.ledger.tables import schema_versions
from rees46_sync.ledger.views import VIEWS, create_views, drop_views
from tests.conftest import accept
from tests.ledger.builders import NOON, RUN, build_orders, regular, run_record


def rows_of(ledger: Ledger, view: str, *columns: str) -> list[tuple[Any, ...]]:
    with ledger.engine.connect() as connection:
        found = connection.execute(sa.select(*map(sa.column, columns)).select_from(sa.table(view)))
        return sorted(map(tuple, found), key=repr)


def views_of(ledger: Ledger) -> set[str]:
    return set(sa.inspect(ledger.engine).get_view_names()) & VIEWS.keys()


def test_an_order_has_the_latest_status_that_rees46_accepted(ledger: Ledger) -> None:
    for status in (0, 1):
        accept(ledger, RUN, 0, build_orders(("1", status), ("2", 0), ("a", 2), ("A", 0)))

    rows = rows_of(ledger, "rees46_orders_view", "shop", "order_id", "status", "status_code", "run_id")

    assert rows == [
        ("test", "1", "completed", 1, RUN.run_id),
        ("test", "2", "created", 0, RUN.run_id),
        ("test", "A", "created", 0, RUN.run_id),
        ("test", "a", "cancelled", 2, RUN.run_id),
    ]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        pytest.param({}, (0, 1), id="delivered"),
        pytest.param({"outcome": "failed", "cause": "403"}, (0, 0), id="failed"),
        pytest.param({"held": 1}, (0, 0), id="held-orders-back"),
        pytest.param({"dag_id": "order_status_history_test"}, (1, 1), id="history"),
    ],
)
def test_a_run_says_whether_it_has_delivered(ledger: Ledger, record: dict[str, Any], expected: tuple[int, int]) -> None:
    Runs(ledger).save(**(new_account() | run_record("run-1", **regular(0, 1)) | record))

    [(is_history, has_delivered, cause)] = rows_of(ledger, "rees46_runs_view", "is_history", "has_delivered", "cause")

    assert (int(is_history), int(has_delivered)) == expected
    assert cause == record.get("cause")


@pytest.mark.clock
def test_a_quarantined_row_says_whether_its_order_was_accepted_since(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("before", 1)))
    rows = [RejectedRow(name, "odd", "", "status_unmapped") for name in ("before", "since", "never")]
    Quarantine(ledger).store("test", "run-1", rows)
    accept(ledger, RUN, 1, build_orders(("since", 1)))

    found = rows_of(ledger, "rees46_quarantine_view", "order_id", "is_accepted_since")

    assert {name: bool(is_accepted) for name, is_accepted in found} == {"before": False, "since": True, "never": False}


def test_a_renamed_shop_has_its_new_name_in_the_views(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 1)))

    shop_names.rename(ledger, "test", "new")

    assert rows_of(ledger, "rees46_orders_view", "shop", "order_id") == [("new", "1")]


def test_a_migration_makes_the_views_anew_although_their_tables_change(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drop_a_column_that_a_view_reads(connection: sa.Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE rees46_sync_runs DROP COLUMN cause")
        connection.exec_driver_sql("ALTER TABLE rees46_sync_runs ADD COLUMN cause varchar(10)")

    with ledger.engine.begin() as connection:
        newest = connection.scalar(sa.select(sa.func.max(schema_versions.c.version)))
        connection.execute(sa.update(schema_versions).values(version=newest - 1))
    monkeypatch.setattr("rees46_sync.ledger.migrations.STEPS", {newest: drop_a_column_that_a_view_reads})
    Ledger(ledger.engine, 20).migrate()

    assert views_of(ledger) == VIEWS.keys()
    assert rows_of(ledger, "rees46_runs_view", "cause") == []


def test_views_that_were_dropped_or_refused_are_created_by_the_command(
    open_ledger: Callable[[], Ledger], empty_database: str
) -> None:
    ledger = open_ledger()
    ledger.migrate()
    with ledger.engine.begin() as connection:
        drop_views(connection)
    assert views_of(ledger) == set()

    for _ in range(2):
        assert main([empty_database]) == 0
        assert views_of(ledger) == VIEWS.keys()


def test_a_ledger_works_without_the_views_if_the_database_refuses_them(
    open_ledger: Callable[[], Ledger], caplog: pytest.LogCaptureFixture
) -> None:
    ledger = open_ledger()
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE rees46_runs_view (taken integer)")

    with caplog.at_level(logging.WARNING):
        ledger.migrate()

    [warning] = [record.getMessage() for record in caplog.records if record.name == "rees46_sync.ledger.views"]
    assert warning.startswith("CREATE ")
    assert "VIEW rees46_runs_view was refused (" in warning
    assert "run python -m rees46_sync.ledger" in warning
    accept(ledger, RUN, 0, build_orders(("1", 1)))
    assert views_of(ledger) == {"rees46_orders_view"}
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE rees46_runs_view")
        create_views(connection)
    assert views_of(ledger) == VIEWS.keys()


@pytest.mark.parametrize("empty_database", ["sqlite", "postgresql"], indirect=True)
def test_an_order_of_a_large_ledger_is_found_by_its_index(ledger: Ledger) -> None:
    explain = "EXPLAIN QUERY PLAN" if ledger.engine.dialect.name == "sqlite" else "EXPLAIN"
    query = "SELECT status FROM rees46_orders_view WHERE shop = 'test' AND order_id = '1'"
    with ledger.engine.begin() as connection:
        if ledger.engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET enable_seqscan = off")  # an empty table is read faster
        plan = "\n".join(str(row) for row in connection.exec_driver_sql(f"{explain} {query}"))
        connection.rollback()

    assert plan.count("rees46_accepted_statuses_order") == 2


def test_times_of_the_views_are_utc(ledger: Ledger) -> None:
    accept(ledger, RUN, 0, build_orders(("1", 1), at=NOON + timedelta(microseconds=7)))

    [(at,)] = rows_of(ledger, "rees46_orders_view", "source_updated_at")

    if ledger.engine.dialect.name == "postgresql":
        assert at == NOON + timedelta(microseconds=7)
    else:
        assert str(at) == "2026-03-01 12:00:00.000007"
