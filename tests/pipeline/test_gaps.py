"""The documents' own steps, followed to the letter, leave no order unread: what lies between is a gap that is named."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime, timedelta

import pytest

from rees46_sync.ledger.coverage import Span, coverage
from rees46_sync.ledger.database import Ledger
from rees46_sync.monitoring.gaps import closing_command
from tests.conftest import ShopUnderTest
from tests.whole_run import EIGHT, IN_WINDOW, run_dag

MARCH, JUNE = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 6, 15, 7, tzinfo=UTC)


def test_the_days_between_a_backfill_and_the_first_hourly_run_are_a_gap_that_its_command_closes(
    shop: ShopUnderTest,
) -> None:
    shop.add_rows([("of-january", "delivered", "2026-01-09"), ("of-february", "new", "2026-02-09")])
    shop.add_rows([("of-today", "new", IN_WINDOW)])
    run_dag()  # own-shop.md: unpause it
    # backfill.md: up to the last month that has ended; here January.
    run_dag("order_status_history_test", logical_date=datetime(2026, 2, 1, tzinfo=UTC))
    assert shop.sandbox.state() == {"of-january": 1, "of-today": 0}
    ledger = Ledger.from_conn_id("shop_ledger")
    [gap] = coverage(ledger, "test").gaps
    assert gap == (datetime(2026, 2, 1, tzinfo=UTC), EIGHT - timedelta(hours=25))

    *command, conf = shlex.split(closing_command("test", gap))
    assert command == ["airflow", "dags", "trigger", "order_status_sync_test", "--conf"]
    run_dag(**json.loads(conf))

    assert shop.sandbox.state() == {"of-january": 1, "of-february": 0, "of-today": 0}
    assert coverage(ledger, "test").gaps == ()
    ledger.engine.dispose()


@pytest.mark.parametrize(
    ("gap", "dates"),
    [
        ((MARCH, JUNE), ("2026-03-01", "2026-06-01")),
        ((MARCH + timedelta(days=9), datetime(2026, 7, 1, tzinfo=UTC)), ("2026-03-01", "2026-06-01")),
    ],
    ids=["into-a-month", "to-the-end-of-a-month"],
)
def test_a_long_gap_is_closed_by_a_backfill_of_its_months(gap: Span, dates: tuple[str, str]) -> None:
    command = shlex.split(closing_command("test", gap, 7))
    assert command[:5] == ["airflow", "backfill", "create", "--dag-id", "order_status_history_test"]
    assert (command[command.index("--from-date") + 1], command[command.index("--to-date") + 1]) == dates
    assert json.loads(command[-1]) == {"dry_run": False, "changed_orders": 7}
