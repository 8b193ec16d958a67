"""The comparison of a long span of the warehouse with the ledger: what it finds, and that its commands mend it."""

from __future__ import annotations

import json
import shlex
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rees46_sync.doctor import reconcile
from rees46_sync.doctor.__main__ import main
from rees46_sync.doctor.reconcile import Example, Kind, Reconciliation, compare
from rees46_sync.doctor.reconcile_report import as_json, as_text, commands
from rees46_sync.ledger.confirmations import Confirmations
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.extractions import OtherExtractions
from rees46_sync.ledger.mappings import mapping_text
from rees46_sync.ledger.refused_orders import RefusedOrders
from rees46_sync.ledger.requests import Requests
from rees46_sync.ledger.runs import RunRef, Runs, new_account
from rees46_sync.shop.shop import Shop
from rees46_sync.warehouse import reader
from rees46_sync.window import Window
from tests.conftest import ShopUnderTest, accept, open_request
from tests.ledger.builders import build_orders
from tests.whole_run import CODES, EIGHT, IN_WINDOW, run_dag

from .conftest import command_line

NOW = datetime(2026, 3, 10, tzinfo=UTC)
MONDAY = datetime(2026, 3, 2, 10, tzinfo=UTC)
RUN = RunRef("test", "order_status_sync_test", "run-1", "extraction-1")
SPAN = timedelta(days=30)


def local(moment: datetime) -> datetime:
    """Return a time as a warehouse without time zones stores it."""
    return moment.replace(tzinfo=None)


def save_success(ledger: Ledger, until: datetime) -> None:
    """Record a regular run that has delivered everything up to a time."""
    times = dict.fromkeys(("window_end", "started_at", "finished_at"), until)
    run = {"shop": "test", "dag_id": RUN.dag_id, "run_id": RUN.run_id, "window_start": until - timedelta(days=9)}
    Runs(ledger).save(**new_account(), **run, **times, window_widened=True, outcome="success")


def example_ids(found: Reconciliation) -> dict[Kind, list[str]]:
    return {kind: [one.order_id for one in examples] for kind, examples in found.examples.items() if examples}


def totals(found: Reconciliation) -> dict[Kind, int]:
    return {kind: found.total(kind) for kind in Kind if found.total(kind)}


@pytest.fixture
def one_of_each(shop: ShopUnderTest, empty_database: str) -> tuple[Shop, Ledger]:
    """A shop with an order of each kind, and a ledger in each database."""
    ledger = Ledger.open(empty_database)
    save_success(ledger, NOW - timedelta(hours=1))
    accept(ledger, RUN, 0, build_orders(("agree", 1), ("different", 0), ("reopened", 1), ("extra", 2), at=MONDAY))
    accept(ledger, RUN, 0, build_orders(("too old", 1), ("refused", 0), at=NOW - SPAN - timedelta(seconds=1)))
    accept(ledger, RunRef("another", "dag", "run", "extraction-2"), 0, build_orders(("elsewhere", 1), at=MONDAY))
    RefusedOrders(ledger).record("test", build_orders(("refused", 1)).assign(batch_size=1, reason="no"))
    # Nothing is known any more of the request because of which a run confirmed it.
    confirmed = build_orders(("missing", 2), at=MONDAY + timedelta(days=1)).assign(is_newer=True)
    Confirmations(ledger).confirm(RUN, confirmed, OtherExtractions())
    open_request(ledger, RUN, build_orders(("uncertain", 2), at=MONDAY))
    Requests(ledger).take_lease("test")
    shop.add_rows(
        [
            ("agree", "delivered", local(MONDAY)),
            ("different", "delivered", local(MONDAY)),
            ("missing", "cancelled", local(MONDAY + timedelta(days=1))),
            ("reopened", "new", local(MONDAY)),
            ("uncertain", "fraud", local(MONDAY)),
            ("refused", "delivered", local(MONDAY)),
            ("rejected", "odd", local(MONDAY)),
            ("later", "new", local(NOW - timedelta(minutes=30))),
        ]
    )
    return shop.configure(ledger_conn_id=empty_database), ledger


def test_each_order_is_of_one_kind(one_of_each: tuple[Shop, Ledger]) -> None:
    shop, _ = one_of_each

    found = compare(shop, SPAN, NOW)

    assert found.counts == {
        ("2026-03-02", "completed", Kind.AGREE): 1,
        ("2026-03-02", "completed", Kind.DIFFERENT): 1,
        ("2026-03-03", "cancelled", Kind.MISSING): 1,
        ("2026-03-02", "created", Kind.REOPENED): 1,
        ("2026-03-02", "cancelled", Kind.UNCERTAIN): 1,
        ("2026-03-02", "cancelled", Kind.EXTRA): 1,
        ("2026-03-02", "completed", Kind.REJECTED): 1,
        ("2026-03-02", "", Kind.REJECTED): 1,
        ("2026-03-09", "created", Kind.NOT_DUE): 1,
    }
    assert found.examples == {
        Kind.DIFFERENT: [Example("different", "completed", "created")],
        Kind.MISSING: [Example("missing", "cancelled")],
        Kind.REOPENED: [Example("reopened", "created", "completed")],
        Kind.UNCERTAIN: [Example("uncertain", "cancelled")],
        Kind.EXTRA: [Example("extra", None, "cancelled")],
        Kind.REJECTED: [
            Example("rejected", "odd", None, "status_unmapped"),
            Example("refused", "completed", "created", "refused_by_rees46"),
        ],
        Kind.NOT_DUE: [Example("later", "created")],
    }
    assert +found.reasons == {"status_unmapped": 1, "refused_by_rees46": 1}
    assert found.differs


def test_an_order_that_may_be_reopened_is_only_different(one_of_each: tuple[Shop, Ledger], shop: ShopUnderTest) -> None:
    conn_id = one_of_each[0].ledger_conn_id

    found = compare(shop.configure(ledger_conn_id=conn_id, allow_reopen=True), SPAN, NOW)

    assert example_ids(found)[Kind.DIFFERENT] == ["different", "reopened"]
    assert Kind.REOPENED not in totals(found)


@pytest.mark.clock
def test_an_order_that_an_earlier_mapping_made_final_is_only_different(one_of_each: tuple[Shop, Ledger]) -> None:
    configured, ledger = one_of_each
    now = datetime.now(UTC)
    times = {"window_end": NOW, "started_at": now, "finished_at": now, "window_start": NOW - SPAN}
    record = {**new_account(), **times, "shop": "test", "dag_id": RUN.dag_id, "run_id": "run-0", "outcome": "success"}
    mapping = mapping_text(CODES | {"new": 1})
    Runs(ledger).save(**record, window_widened=False, mapping=mapping, mapping_hash="of an earlier shop file")

    found = compare(configured, SPAN, NOW)

    assert example_ids(found)[Kind.DIFFERENT] == ["different", "reopened"]
    assert Kind.REOPENED not in totals(found)


def test_before_the_first_success_everything_is_due(shop: ShopUnderTest) -> None:
    Ledger.open("shop_ledger").engine.dispose()
    shop.add_rows([("1", "new", local(NOW - timedelta(minutes=1)))])

    found = compare(shop.configure(), SPAN, NOW)

    assert (found.due_before, totals(found)) == (None, {Kind.MISSING: 1})


def test_only_the_latest_version_of_an_order_says_whether_it_is_from_the_span(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "PAGE_IDS", 2)
    ledger = Ledger.open("shop_ledger")
    ids = ["Z", "a", "B", "ä", "extra", "😀"]
    for order_id in ids:
        accept(ledger, RUN, 0, build_orders((order_id, 0), at=MONDAY))
    accept(ledger, RUN, 0, build_orders(("moved on", 0), at=MONDAY))
    accept(ledger, RUN, 0, build_orders(("moved on", 1), at=NOW - 2 * SPAN))
    accept(ledger, RUN, 0, build_orders(("twice", 0), ("twice too", 2), at=MONDAY))
    accept(ledger, RUN, 0, build_orders(("twice", 1), at=MONDAY))
    shop.add_rows([(order_id, "new", local(MONDAY)) for order_id in ids if order_id != "extra"])

    found = compare(shop.configure(partition_rows=2), SPAN, NOW)

    assert totals(found) == {Kind.AGREE: 5, Kind.EXTRA: 3}
    assert found.examples[Kind.EXTRA] == [
        Example("extra", None, "created"),
        Example("twice", None, "completed"),
        Example("twice too", None, "cancelled"),
    ]


def test_a_warehouse_without_rows_leaves_all_orders_of_the_span_extra(shop: ShopUnderTest) -> None:
    accept(Ledger.open("shop_ledger"), RUN, 0, build_orders(("1", 0), ("2", 1), at=MONDAY))

    assert totals(compare(shop.configure(), SPAN, NOW)) == {Kind.EXTRA: 2}


def test_an_order_whose_row_is_rejected_now_is_not_extra(shop: ShopUnderTest) -> None:
    accept(Ledger.open("shop_ledger"), RUN, 0, build_orders(("1", 0), at=MONDAY))
    shop.add_rows([("1", "odd", local(MONDAY)), (None, "new", None), ("2", None, None)])

    found = compare(shop.configure(partition_rows=1), SPAN, NOW)

    assert totals(found) == {Kind.REJECTED: 3}
    assert ("", "", Kind.REJECTED) in found.counts
    assert not found.differs


def test_what_runs_send_while_it_compares_is_not_a_difference(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.open("shop_ledger")
    accept(ledger, RUN, 0, build_orders(("changed", 0), at=MONDAY))
    shop.add_rows([("changed", "new", local(MONDAY))])
    extract = reader.extract

    def extract_and_sync(*arguments: Any) -> Any:
        extracted = extract(*arguments)
        accept(ledger, RUN, 0, build_orders(("changed", 1), ("new", 0), at=NOW + timedelta(minutes=1)))
        return extracted

    monkeypatch.setattr(reader, "extract", extract_and_sync)

    assert totals(compare(shop.configure(), SPAN, NOW)) == {Kind.NOT_DUE: 1}


def test_a_clock_ahead_of_ours_makes_no_order_extra(shop: ShopUnderTest) -> None:
    ahead = NOW + timedelta(hours=14)
    accept(Ledger.open("shop_ledger"), RUN, 0, build_orders(("1", 0), at=ahead))
    shop.add_rows([("1", "new", local(ahead))])

    assert totals(compare(shop.configure(), SPAN, NOW)) == {Kind.AGREE: 1}


def test_at_most_ten_examples_of_a_kind_are_kept(shop: ShopUnderTest) -> None:
    accept(Ledger.open("shop_ledger"), RUN, 0, build_orders(*((f"extra-{n:02}", 0) for n in range(12)), at=MONDAY))
    shop.add_rows([(f"missing-{n:02}", "new", local(MONDAY)) for n in range(12)])
    shop.add_rows([(f"odd-{n:02}", "odd", local(MONDAY)) for n in range(12)])

    found = compare(shop.configure(partition_rows=5), SPAN, NOW)

    assert {kind: len(ids) for kind, ids in example_ids(found).items()} == {
        Kind.EXTRA: 10,
        Kind.MISSING: 10,
        Kind.REJECTED: 10,
    }
    assert example_ids(found)[Kind.MISSING] == [f"missing-{n:02}" for n in range(10)]
    assert "and 2 more" in as_text(shop.configure(), found)


def change(shop: ShopUnderTest, statement: str) -> None:
    with closing(sqlite3.connect(shop.warehouse)) as db, db:
        db.execute(statement)


@pytest.mark.parametrize(
    ("orders", "has_ids"),
    [pytest.param(3, True, id="a-few-by-their-ids"), pytest.param(12, False, id="many-by-window")],
)
def test_the_printed_commands_look_first_and_then_mend_what_no_hourly_run_sees(
    shop: ShopUnderTest, orders: int, has_ids: bool
) -> None:
    """Statuses that change while updated_at does not, or goes back; and a row that arrives long after its time."""
    configured = shop.configure(settle="0s", lookback="0s")
    ids = [f"it's {n:02}" for n in range(orders)]
    shop.add_rows([(order_id, "new", IN_WINDOW) for order_id in ids])
    shop.add_rows([("fresh", "delivered", IN_WINDOW + timedelta(hours=1))])
    for hours in (0, 1):
        run_dag(logical_date=EIGHT + timedelta(hours=hours))
    change(shop, "UPDATE orders SET status = 'delivered'")
    change(shop, f"UPDATE orders SET updated_at = '{IN_WINDOW - timedelta(days=3)}' WHERE order_id = \"{ids[0]}\"")
    shop.add_rows([("late", "cancelled", IN_WINDOW - timedelta(days=9))])
    assert run_dag(logical_date=EIGHT + timedelta(hours=2)).account["sent"] == 0

    found = compare(configured, SPAN, NOW)

    assert totals(found) == {Kind.AGREE: 1, Kind.MISSING: 1, Kind.DIFFERENT: orders}
    look, send = (json.loads(shlex.split(command)[-1]) for command in commands(configured, found) or ())
    assert look == send | {"dry_run": True}
    assert ("order_ids" in send) == has_ids
    before = shop.sandbox.state()
    assert run_dag(logical_date=None, **look).state == "success"
    assert shop.sandbox.state() == before
    assert run_dag(logical_date=None, **send).account["sent"] == orders + 1
    assert shop.sandbox.state() == dict.fromkeys([*ids, "fresh"], 1) | {"late": 2}
    assert totals(compare(configured, SPAN, NOW)) == {Kind.AGREE: orders + 2}


def test_the_window_of_the_commands_holds_the_newest_version_that_is_known(shop: ShopUnderTest) -> None:
    """A run whose window ends before that version leaves the order out as stale."""
    accept(Ledger.open("shop_ledger"), RUN, 0, build_orders(("gone back", 0), at=MONDAY + timedelta(days=3)))
    shop.add_rows([("gone back", "delivered", local(MONDAY))])
    configured = shop.configure()

    look, _ = commands(configured, compare(configured, SPAN, NOW)) or ("", "")

    assert '"window_start": "2026-03-02T00:00:00+00:00", "window_end": "2026-03-06T00:00:00+00:00"' in look


def test_more_orders_than_the_limit_allows_are_sent_with_a_limit_of_their_own(shop: ShopUnderTest) -> None:
    Ledger.open("shop_ledger").engine.dispose()
    shop.add_rows([(str(n), "new", local(MONDAY)) for n in range(12)])
    limited = shop.configure(limits={"changed_orders": 11})

    found = compare(limited, SPAN, NOW)

    *_, conf = shlex.split((commands(limited, found) or ("", ""))[1])
    assert json.loads(conf)["changed_orders"] == 12
    assert "because they are more than limits.changed_orders, 11" in as_text(limited, found)
    assert "changed_orders" not in as_text(shop.configure(), found)


def test_days_without_differences_are_one_line(shop: ShopUnderTest) -> None:
    found = Reconciliation(Window(NOW - SPAN, NOW), None)
    for day in range(1, 10):
        found.counts[f"2026-03-{day:02}", "completed", Kind.AGREE] = 1000
        found.counts[f"2026-03-{day:02}", "created", Kind.AGREE] = 1
    found.counts["2026-03-05", "created", Kind.MISSING] = 2

    lines = [line.split() for line in as_text(shop.configure(), found).splitlines() if "missing" not in line]

    assert ["2026-03-05", "created", "1", "2"] in lines
    assert ["others", "9", "days", "9,008"] in lines
    assert ["all", "9,009", "2"] in lines
    assert sum(line[:1] == ["2026-03-05"] for line in lines) == 1


def test_the_table_of_millions_of_orders_has_at_most_100_columns(shop: ShopUnderTest) -> None:
    found = Reconciliation(Window(NOW - SPAN, NOW), NOW)
    found.counts = Counter({("2026-03-05", "completed", kind): 9_999 for kind in Kind})
    found.counts["2026-03-05", "completed", Kind.AGREE] = 9_999_999

    text = as_text(shop.configure(), found)

    assert max(len(line) for line in text.splitlines() if line.startswith(("day", "2026", "others", "all"))) <= 100


def test_what_a_database_says_moves_no_cursor(shop: ShopUnderTest) -> None:
    found = Reconciliation(Window(NOW - SPAN, NOW), None)
    found.examples[Kind.REJECTED] = [Example("\x1b[2J", "\x1b[31m", None, "status_unmapped")]
    found.counts["", "", Kind.REJECTED] = 1

    assert "\x1b" not in as_text(shop.configure(), found) + as_json(shop.configure(), found)


# The command line


@pytest.fixture
def synced(shop: ShopUnderTest, clean_environment: None) -> ShopUnderTest:
    """A shop whose only order has agreed since an hour ago, by the clock of this machine."""
    moment = datetime.now(UTC) - timedelta(hours=1)
    ledger = Ledger.open("shop_ledger")
    accept(ledger, RUN, 0, build_orders(("1", 0), at=moment))
    save_success(ledger, datetime.now(UTC))
    ledger.engine.dispose()
    shop.add_rows([("1", "new", local(moment))])
    return shop


@pytest.mark.clock
def test_the_exit_code_says_whether_something_differs_and_the_ledger_is_not_changed_by_a_byte(
    synced: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    content = synced.ledger_file.read_bytes()
    arguments = command_line(synced, "--reconcile", "90d", "test")

    assert main(arguments) == 0
    assert capfd.readouterr().out.endswith("\nNothing differs.\n")
    change(synced, "UPDATE orders SET status = 'fraud'")
    assert main(arguments) == 1

    shown = capfd.readouterr().out
    assert "    '1': warehouse cancelled, REES46 created\n" in shown
    assert """airflow dags trigger order_status_sync_test --conf '{"window_start": """ in shown
    assert "\x1b" not in shown
    assert synced.ledger_file.read_bytes() == content


@pytest.mark.clock
def test_the_json_has_the_counts_the_examples_and_the_commands(
    synced: ShopUnderTest, capfd: pytest.CaptureFixture[str]
) -> None:
    change(synced, "UPDATE orders SET status = 'fraud'")

    assert main(command_line(synced, "--reconcile", "2h", "test", "--json")) == 1

    found = json.loads(capfd.readouterr().out)
    assert found["differs"] is True
    assert found["totals"] == dict.fromkeys(found["totals"], 0) | {"different": 1}
    [day] = found["days"]
    assert (day["status"], day["different"], day["not_due"]) == ("cancelled", 1, 0)
    assert found["examples"]["different"] == [
        {"order_id": "1", "warehouse": "cancelled", "rees46": "created", "reason": ""}
    ]
    assert found["dry_run_command"].startswith("airflow dags trigger order_status_sync_test --conf ")


@pytest.mark.parametrize("wrong", [["90d"], ["ninety", "test"], ["0d", "test"], ["5000d", "test"]])
def test_a_span_needs_a_unit_and_a_shop(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str], wrong: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command_line(shop, "--reconcile", *wrong))

    assert ended.value.code == 2
    assert "90d" in capsys.readouterr().err


def test_without_a_ledger_nothing_is_compared_and_no_file_is_made(
    shop: ShopUnderTest, clean_environment: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(command_line(shop, "--reconcile", "90d", "test")) == 2

    shown = capfd.readouterr()
    assert "The ledger of connection shop_ledger has no tables yet" in shown.err
    assert shown.out == ""
    assert not shop.ledger_file.exists()


def test_a_shop_file_that_cannot_be_used_is_said_and_nothing_compared(
    shop: ShopUnderTest, clean_environment: None, capfd: pytest.CaptureFixture[str]
) -> None:
    (shop.shops / "test.yaml").write_text("shop: test\n")

    assert main(command_line(shop, "--reconcile", "90d", "test")) == 2
    assert "Shop file test.yaml" in capfd.readouterr().err
