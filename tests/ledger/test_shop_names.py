"""The names of shops in a ledger: who is missed, who gets another name, who was taken out; on each database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from rees46_sync.exceptions import NonRetryableError
from rees46_sync.ledger.approvals import Approvals
from rees46_sync.ledger.confirmations import Confirmations
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.extractions import Extractions
from rees46_sync.ledger.lookup import look_up
from rees46_sync.ledger.quarantine import Quarantine, RejectedRow
from rees46_sync.ledger.refused_orders import RefusedOrders
from rees46_sync.ledger.requests import Requests, request_orders
from rees46_sync.ledger.runs import RunRef, Runs
from rees46_sync.ledger.shop_names import rename, retire, shops_without_file
from rees46_sync.ledger.tables import alerts, metadata, rejected_orders, retention, sync_runs
from rees46_sync.monitoring.alerts import AlertName, Alerts
from tests.conftest import accept, open_request
from tests.ledger.builders import (
    FIRING,
    NO_LOOKBACK,
    NOON,
    OPS,
    build_message,
    build_orders,
    known_statuses,
    run_record,
)

OLD = RunRef(shop="old", dag_id="order_status_sync_old", run_id="run-1", extraction_id="extraction-1")
HISTORY = RunRef(shop="old", dag_id="order_status_history_old", run_id="run-2", extraction_id="extraction-2")
OTHER = RunRef(shop="other", dag_id="order_status_sync_other", run_id="run-1", extraction_id="extraction-3")


def save_run(ledger: Ledger, run: RunRef, **columns: Any) -> None:
    Runs(ledger).save(**run_record(run.run_id, shop=run.shop, dag_id=run.dag_id, **columns))


def rows_by_shop(ledger: Ledger, shop: str) -> dict[str, int]:
    """Count the rows of a shop in each table that has one."""
    counts = {}
    with ledger.engine.connect() as connection:
        for table in metadata.sorted_tables:
            if "shop" in table.c:
                query = sa.select(sa.func.count()).select_from(table).where(table.c.shop == shop)
                counts[table.name] = connection.scalar(query) or 0
    return counts


@pytest.fixture
def full_ledger(ledger: Ledger) -> Ledger:
    """A ledger with rows of the shop "old" in nearly every table, and with another shop."""
    for run in (OLD, HISTORY, OTHER):
        accept(ledger, run, 0, build_orders(("1", 1), ("2", 0)))
        save_run(ledger, run)
        Approvals(ledger).record(run, "approved", "3 orders", "somebody")
    Extractions(ledger).start(OLD, NOON, (NOON, NOON))
    Confirmations(ledger).confirm(OLD, build_orders(("3", 0)).assign(is_newer=True), Extractions(ledger).others(OLD))
    open_request(ledger, OLD, build_orders(("4", 2)))
    Requests(ledger).take_lease("old")
    Quarantine(ledger).store("old", "run-1", [RejectedRow("9", "odd", None, "status_unmapped")])
    refused = build_orders(("5", 1)).assign(batch_size=1, reason="no")
    RefusedOrders(ledger).record("old", refused)
    Alerts(ledger, "old").record(FIRING, [OPS], build_message, NOON)
    with ledger.engine.begin() as connection:
        connection.execute(sa.insert(retention).values(shop="old", checked_up_to_id=1))
    return ledger


def test_a_renamed_shop_has_all_its_rows_under_the_new_name(full_ledger: Ledger) -> None:
    before, other = rows_by_shop(full_ledger, "old"), rows_by_shop(full_ledger, "other")
    assert sum(count > 0 for count in before.values()) > 10

    changed = rename(full_ledger, "old", "new")

    assert not any(rows_by_shop(full_ledger, "old").values())
    assert (before, other) == (rows_by_shop(full_ledger, "new"), rows_by_shop(full_ledger, "other"))
    assert changed == {table: count for table, count in before.items() if count}


def test_a_renamed_shop_continues_where_it_was(full_ledger: Ledger) -> None:
    watermark = Runs(full_ledger).watermark("old", NO_LOOKBACK)
    known = look_up(full_ledger, "old", ["1", "2", "3", "4"])

    rename(full_ledger, "old", "new")

    assert Runs(full_ledger).watermark("new", NO_LOOKBACK) == watermark == NOON
    renamed = look_up(full_ledger, "new", ["1", "2", "3", "4"])
    assert known_statuses(renamed) == known_statuses(known) == {"1": 1, "2": 0, "3": -1, "4": -1}
    assert renamed["uncertain"].tolist() == known["uncertain"].tolist()
    with full_ledger.engine.connect() as connection:
        assert set(connection.execute(sa.select(sync_runs.c.shop, sync_runs.c.dag_id))) == {
            ("new", "order_status_sync_new"),
            ("new", "order_status_history_new"),
            ("other", "order_status_sync_other"),
        }


def test_a_row_that_was_quarantined_before_is_not_stored_again_under_the_new_name(ledger: Ledger) -> None:
    twice = [RejectedRow(None, "paid", None, "order_id_missing", copy) for copy in (1, 2, 3)]
    rows = [*twice, RejectedRow("A-1", "odd", "2026-03-01", "status_unmapped")]
    cut = RejectedRow("A-2", "odd\x00", None, "status_unmapped")
    quarantine = Quarantine(ledger)
    quarantine.store("old", "run-1", [*rows, cut])
    quarantine.store("other", "run-1", rows)

    rename(ledger, "old", "new")

    assert quarantine.store("new", "run-2", rows) == 0
    assert quarantine.store("other", "run-2", rows) == 0
    assert quarantine.store("new", "run-2", [cut]) == 1, "it is not stored as it was read, so it cannot be recognised"


def test_what_monitoring_wrote_about_the_new_name_does_not_hinder(full_ledger: Ledger) -> None:
    Alerts(full_ledger, "new").first_seen(AlertName.FRESHNESS, NOON)

    rename(full_ledger, "old", "new")

    with full_ledger.engine.connect() as connection:
        assert connection.scalars(sa.select(alerts.c.alert).where(alerts.c.shop == "new")).all() == [FIRING.alert]


def with_rows_of_the_new_name(ledger: Ledger) -> None:
    accept(ledger, RunRef("new", "dag", "run", "extraction-4"), 0, build_orders(("1", 1)))


def with_a_request_in_flight(ledger: Ledger) -> None:
    open_request(ledger, OLD, build_orders(("7", 2)))


def with_a_run_under_way(ledger: Ledger) -> None:
    Extractions(ledger).start(
        RunRef("old", "order_status_sync_old", "run-9", "extraction-9"), datetime.now(UTC), (NOON, NOON)
    )


@pytest.mark.clock
@pytest.mark.parametrize(
    ("hinder", "names", "said"),
    [
        pytest.param(with_rows_of_the_new_name, ("old", "new"), "rows of shop 'new' already, in", id="taken"),
        pytest.param(with_a_request_in_flight, ("old", "new"), "'old' has requests in flight", id="in-flight"),
        pytest.param(with_a_run_under_way, ("old", "new"), "'old' has a run under way since", id="under-way"),
        pytest.param(lambda _: None, ("odd", "new"), r"no rows of shop 'odd' \(its shops: old, other\)", id="unknown"),
        pytest.param(lambda _: None, ("old", "other"), "rows of shop 'other' already", id="another-shop"),
    ],
)
def test_a_rename_that_could_mix_two_shops_or_disturb_a_run_is_refused_and_changes_nothing(
    full_ledger: Ledger, hinder: Any, names: tuple[str, str], said: str
) -> None:
    hinder(full_ledger)
    before = {shop: rows_by_shop(full_ledger, shop) for shop in ("old", "new", "other")}

    with pytest.raises(NonRetryableError, match=f"{said}.*; nothing was changed"):
        rename(full_ledger, *names)

    assert {shop: rows_by_shop(full_ledger, shop) for shop in ("old", "new", "other")} == before


@pytest.mark.clock
@pytest.mark.parametrize(
    ("started_ago", "has_account"),
    [
        pytest.param(timedelta(minutes=5), True, id="failed-and-accounted-for"),
        pytest.param(timedelta(days=1, minutes=1), False, id="lost-long-ago"),
    ],
)
def test_an_open_extraction_of_a_run_that_is_over_does_not_hinder(
    ledger: Ledger, frozen_now: datetime, started_ago: timedelta, has_account: bool
) -> None:
    started = frozen_now - started_ago
    Extractions(ledger).start(OLD, started, (NOON, NOON))
    if has_account:
        save_run(ledger, OLD, started_at=started, outcome="failed")

    assert rename(ledger, "old", "new")["rees46_extractions"] == 1


def test_a_load_that_started_before_the_rename_sends_nothing_after_it(full_ledger: Ledger) -> None:
    requests = Requests(full_ledger)
    lease = requests.take_lease("old")

    rename(full_ledger, "old", "new")

    assert requests.record_requests(OLD, lease, request_orders(build_orders(("8", 1)))) == []


def test_a_shop_without_a_file_is_missed_with_the_end_of_its_last_run(ledger: Ledger) -> None:
    accept(ledger, OTHER, 0, build_orders(("1", 1)))
    save_run(ledger, OLD, finished_at=NOON)
    save_run(ledger, HISTORY, finished_at=NOON - timedelta(hours=1))

    assert shops_without_file(ledger, ["test"]) == {"old": NOON, "other": None}
    assert shops_without_file(ledger, ["old", "other"]) == {}


def test_a_database_without_a_ledger_knows_no_shop_and_gets_no_tables(empty_database: str) -> None:
    ledger = Ledger.from_conn_id(empty_database)

    assert shops_without_file(ledger, []) == {}
    assert not [name for name in sa.inspect(ledger.engine).get_table_names() if name.startswith("rees46_")]
    ledger.engine.dispose()


@pytest.mark.clock
def test_a_shop_that_was_taken_out_is_not_missed_until_it_runs_again(ledger: Ledger, frozen_now: datetime) -> None:
    save_run(ledger, OLD, finished_at=frozen_now - timedelta(hours=1))
    rows = rows_by_shop(ledger, "old")

    for _ in range(2):
        retire(ledger, "old")

    assert shops_without_file(ledger, []) == {}
    assert rows_by_shop(ledger, "old") == rows | {"rees46_alerts": 1}
    assert not Alerts(ledger, "old").firing()
    save_run(ledger, HISTORY, finished_at=frozen_now + timedelta(hours=1))
    assert shops_without_file(ledger, []) == {"old": frozen_now + timedelta(hours=1)}


def test_a_shop_that_the_ledger_does_not_know_cannot_be_taken_out(ledger: Ledger) -> None:
    save_run(ledger, OLD)

    with pytest.raises(NonRetryableError, match=r"no rows of shop 'odl' \(its shops: old\)"):
        retire(ledger, "odl")

    with ledger.engine.connect() as connection:
        assert not connection.execute(sa.select(alerts)).all()


def test_the_quarantine_is_renamed_page_by_page(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rees46_sync.ledger.shop_names.QUARANTINE_CHUNK", 2)
    rows = [RejectedRow(str(number), "odd", None, "status_unmapped") for number in range(5)]
    Quarantine(ledger).store("old", "run-1", rows)

    rename(ledger, "old", "new")

    with ledger.engine.connect() as connection:
        stored = set(connection.scalars(sa.select(rejected_orders.c.fingerprint)))
    assert stored == {row.fingerprint("new") for row in rows}
