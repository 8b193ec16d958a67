"""Why an order is, or is not, at REES46: after whole runs, with a real warehouse, ledger and receiver."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import pytest

from rees46_sync.doctor import explain_warehouse
from rees46_sync.doctor.__main__ import main
from rees46_sync.doctor.explain import explain
from rees46_sync.doctor.explain_facts import Action, Case, Decision, Explanation
from rees46_sync.doctor.explain_report import WIDTH, as_json, as_text
from rees46_sync.doctor.explain_sentences import Describer
from rees46_sync.ledger.approvals import Approvals
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.refused_orders import RefusedOrders
from rees46_sync.ledger.requests import Requests
from rees46_sync.ledger.runs import RunRef
from tests.conftest import ShopUnderTest, accept, open_request, start_extraction
from tests.doctor.conftest import command_line
from tests.monitoring.builders import orders_of, save_run
from tests.whole_run import EIGHT, IN_WINDOW, run_dag

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = EIGHT + timedelta(minutes=10)
"""Ten minutes after the run of EIGHT; the next one is due at nine."""


def explained(shop: ShopUnderTest, order_id: str = "1", now: datetime = NOW, **keys: object) -> Explanation:
    return explain(shop.configure(**keys), order_id, now)


def sentence(found: Explanation) -> str:
    return Describer(found).describe().sentence


def decided(found: Explanation) -> list[Decision]:
    """What the runs decided, the latest first."""
    return [decision for _, decision in found.decisions]


# Each of these leaves a shop in whose runs the order "1" has come to its case.


def is_sent(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "paid", IN_WINDOW)])
    run_dag()


def fails(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "paid", IN_WINDOW)])
    shop.sandbox.reset(fault="403@1")
    run_dag()
    shop.sandbox.reset()


def is_stopped_by_a_limit(shop: ShopUnderTest) -> None:
    shop.configure(limits={"changed_orders": 1})
    shop.add_rows([("1", "paid", IN_WINDOW), ("2", "paid", IN_WINDOW)])
    run_dag()


def lies_before_the_windows(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "paid", IN_WINDOW - 9 * DAY), ("2", "paid", IN_WINDOW)])
    run_dag()


def is_dated_in_the_future(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "paid", IN_WINDOW), ("1", "delivered", IN_WINDOW + 3 * DAY)])
    run_dag()


def is_superseded(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "delivered", IN_WINDOW), ("1", "cancelled", IN_WINDOW + timedelta(minutes=1))])
    run_dag()


def is_stale(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "delivered", IN_WINDOW + 3 * DAY)])
    run_dag(window_start="2026-03-01T00:00:00Z", window_end="2026-03-09T00:00:00Z")
    shop.clear_rows()
    shop.add_rows([("1", "cancelled", IN_WINDOW)])
    run_dag()


def is_reopened(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "delivered", IN_WINDOW)])
    run_dag()
    shop.add_rows([("1", "paid", IN_WINDOW + timedelta(minutes=5))])
    run_dag()


def is_unmapped(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "on_hold", IN_WINDOW)])
    run_dag()


def changes_twice_within_settle(shop: ShopUnderTest) -> None:
    shop.add_rows([("1", "paid", IN_WINDOW)])
    run_dag()
    shop.add_rows([("1", "delivered", IN_WINDOW + timedelta(minutes=5))])
    run_dag()


def is_not_among_the_first(shop: ShopUnderTest) -> None:
    shop.add_rows([("0", "paid", IN_WINDOW), ("1", "paid", IN_WINDOW)])
    run_dag(first_orders=1)


def is_not_in_the_warehouse(shop: ShopUnderTest) -> None:
    shop.add_rows([("2", "paid", IN_WINDOW)])
    run_dag()


def is_gone_from_the_warehouse(shop: ShopUnderTest) -> None:
    is_sent(shop)
    shop.clear_rows()


def came_late(shop: ShopUnderTest) -> None:
    shop.add_rows([("2", "paid", IN_WINDOW)])
    run_dag()
    shop.add_rows([("1", "paid", IN_WINDOW)])


def is_newer_than_the_last_run(shop: ShopUnderTest) -> None:
    shop.add_rows([("2", "paid", IN_WINDOW)])
    run_dag()
    shop.add_rows([("1", "paid", IN_WINDOW + timedelta(minutes=35))])


def was_mapped_since(shop: ShopUnderTest) -> None:
    is_unmapped(shop)
    shop.configure(statuses={"created": ["on_hold"], "completed": ["delivered"], "cancelled": []})


CASES = [
    pytest.param(is_sent, Case.SENT, Decision.SENT, Action.UNCHANGED, "as created, as the warehouse has it", id="sent"),
    pytest.param(fails, Case.FAILED, Decision.FAILED, Action.SEND, "failed: load_batches", id="failed"),
    pytest.param(
        is_stopped_by_a_limit, Case.LIMIT, Decision.LIMIT, Action.SEND, "because a limit stopped run", id="limit"
    ),
    pytest.param(
        lies_before_the_windows,
        Case.NOT_READ,
        Decision.BEFORE,
        Action.NOT_READ,
        "is older than all that was read, which is from 2026-02-28 07:00:00 UTC on",
        id="not-read",
    ),
    pytest.param(
        is_dated_in_the_future,
        Case.FUTURE,
        Decision.SENT,
        Action.UNCHANGED,
        "dated in the future: 'delivered' → completed, 2026-03-04 07:30:00 UTC",
        id="future",
    ),
    pytest.param(
        is_superseded,
        Case.SUPERSEDED,
        Decision.SENT,
        Action.UNCHANGED,
        "('cancelled' → cancelled, 2026-03-01 07:31:00 UTC). That one supersedes 'delivered' → completed",
        id="superseded",
    ),
    pytest.param(
        is_stale, Case.STALE, Decision.STALE, Action.STALE, "newer version, completed of 2026-03-04 07:30", id="stale"
    ),
    pytest.param(
        is_reopened, Case.REOPENED, Decision.REOPENED, Action.REOPENED, "has it as completed since", id="reopened"
    ),
    pytest.param(
        is_unmapped,
        Case.REJECTED,
        Decision.REJECTED,
        Action.REJECTED,
        "is rejected: the shop file does not map the status",
        id="rejected",
    ),
    pytest.param(
        changes_twice_within_settle,
        Case.UNCERTAIN,
        Decision.SENT,
        Action.SEND,
        "another status went out less than 1 h (settle) before",
        id="uncertain",
    ),
    pytest.param(
        is_not_among_the_first, Case.HELD, Decision.HELD, Action.SEND, "was to send only some orders", id="held"
    ),
    pytest.param(
        is_not_in_the_warehouse,
        Case.UNKNOWN,
        Decision.UNKNOWN,
        Action.NOT_READ,
        "returns no row of order 1, and REES46 has accepted nothing of it",
        id="unknown",
    ),
    pytest.param(
        is_gone_from_the_warehouse,
        Case.UNKNOWN,
        Decision.SENT,
        Action.NOT_READ,
        "no row of order 1 any more. REES46 has it as created",
        id="gone",
    ),
    pytest.param(came_late, Case.LATE, Decision.NOT_FOUND, Action.SEND, "the row came later, or", id="late"),
    pytest.param(
        is_newer_than_the_last_run, Case.DUE, Decision.AFTER, Action.SEND, "is newer than what the last run", id="due"
    ),
    pytest.param(
        was_mapped_since, Case.CORRECTED, Decision.REJECTED, Action.SEND, "passes the checks now", id="corrected"
    ),
]


@pytest.mark.parametrize(("happens", "case", "decision", "action", "words"), CASES)
def test_the_first_sentence_is_the_reason_and_the_next_run_does_what_is_said(
    shop: ShopUnderTest,
    happens: Callable[[ShopUnderTest], None],
    case: Case,
    decision: Decision,
    action: Action,
    words: str,
) -> None:
    happens(shop)
    mapped = {"statuses": {"created": ["on_hold"], "completed": ["delivered"], "cancelled": []}}
    found = explained(shop, **(mapped if happens is was_mapped_since else {}))

    assert (found.case, decided(found)[0], found.next_run.action) == (case, decision, action)
    assert words in sentence(found)
    before = shop.sandbox.state()
    shop.sandbox.reset()
    run_dag(logical_date=EIGHT + HOUR)
    assert ("1" in shop.sandbox.state()) == (action is Action.SEND), before


def test_the_command_of_an_order_that_no_run_reads_sends_it_alone(shop: ShopUnderTest) -> None:
    shop.add_rows([("it's 1", "paid", IN_WINDOW - 9 * DAY), ("2", "paid", IN_WINDOW - 9 * DAY)])
    run_dag()
    found = explained(shop, "it's 1")

    *command, conf = shlex.split(found.next_run.command or "")

    assert command == ["airflow", "dags", "trigger", "order_status_sync_test", "--conf"]
    assert run_dag(logical_date=None, **json.loads(conf)).state == "success"
    assert shop.sandbox.state() == {"it's 1": 0}
    assert explained(shop, "it's 1").case is Case.SENT


def test_the_cause_and_the_remedy_of_a_failed_run_are_those_of_its_record(shop: ShopUnderTest) -> None:
    fails(shop)
    found = explained(shop)

    [(cause, remedy)] = shop.ledger_rows("SELECT cause, remedy FROM rees46_sync_runs")

    assert cause.rstrip(".") in sentence(found)
    assert Describer(found).describe().remedy == remedy


# What no whole run leaves by itself, from the ledger


RUN = RunRef("test", "order_status_sync_test", "run", "extraction")
AT = EIGHT - timedelta(minutes=30)


@pytest.fixture
def ledger(shop: ShopUnderTest) -> Iterator[Ledger]:
    """The ledger of a shop that has the paid order "1" in its warehouse."""
    shop.add_rows([("1", "paid", IN_WINDOW)])
    ledger = Ledger.open("shop_ledger")
    yield ledger
    ledger.engine.dispose()


def is_in_flight(ledger: Ledger) -> None:
    open_request(ledger, RUN, orders_of(("1", 0), at=AT))


def has_a_lost_answer(ledger: Ledger) -> None:
    is_in_flight(ledger)
    Requests(ledger).take_lease("test")


def is_refused_alone(ledger: Ledger) -> None:
    orders = orders_of(("1", 0), at=AT).assign(batch_size=1, reason="bad e-mail")
    RefusedOrders(ledger).record("test", orders)


def lies_in_a_gap(ledger: Ledger) -> None:
    for run_id, start, end in (("before", 2 * DAY, DAY), ("after", timedelta(0), -HOUR)):
        save_run(ledger, run_id, window_start=EIGHT - start, window_end=EIGHT - end, started_at=EIGHT + HOUR)


def waits_for_approval(ledger: Ledger) -> None:
    start_extraction(ledger, RUN, EIGHT - HOUR, EIGHT)
    Approvals(ledger).record(RUN, "asked", "2 orders would change (limit changed_orders: 1)")


def was_approved(ledger: Ledger) -> None:
    waits_for_approval(ledger)
    Approvals(ledger).record(RUN, "approved", "2 orders would change (limit changed_orders: 1)", "A. Person")


def has_no_run(ledger: Ledger) -> None:
    """The tables are there, and no run has ended."""


@pytest.mark.parametrize(
    ("leave", "case", "action", "words"),
    [
        pytest.param(is_in_flight, Case.IN_FLIGHT, Action.SEND, "in a request that has no answer yet", id="in-flight"),
        pytest.param(has_a_lost_answer, Case.UNCERTAIN, Action.SEND, "a request with it got no clear", id="lost"),
        pytest.param(is_refused_alone, Case.REFUSED, Action.REFUSED, "refused it even alone: bad e-mail", id="refused"),
        pytest.param(lies_in_a_gap, Case.NOT_READ, Action.SEND, "from 2026-02-28 08:00:00 to 2026-03-01 08", id="gap"),
        pytest.param(waits_for_approval, Case.WAITING, Action.SEND, "run run requested at 20", id="waiting"),
        pytest.param(was_approved, Case.DUE, Action.SEND, "no run of the shop has ended", id="approved"),
        pytest.param(has_no_run, Case.DUE, Action.SEND, "no run of the shop has ended", id="no-run"),
    ],
)
def test_what_only_the_ledger_knows_is_the_reason_as_well(
    shop: ShopUnderTest, ledger: Ledger, leave: Callable[[Ledger], None], case: Case, action: Action, words: str
) -> None:
    leave(ledger)

    found = explained(shop)

    assert (found.case, found.next_run.action) == (case, action)
    assert words in sentence(found)


def test_a_row_that_a_limit_stops_is_told_from_one_that_fails_by_the_words_of_the_run(
    shop: ShopUnderTest, ledger: Ledger
) -> None:
    window = {"window_start": EIGHT - HOUR, "window_end": EIGHT, "started_at": EIGHT, "outcome": "failed"}
    for cause, case in (
        ("Shop test: 2 orders would change (limit changed_orders: 1). Nothing was sent.", Case.LIMIT),
        ("load_batches of partition 0 could not send 2 orders: the limit of the disk", Case.FAILED),
    ):
        save_run(ledger, "run", cause=cause, **window)
        assert explained(shop).case is case


# When the warehouse does not answer


def test_without_a_warehouse_the_ledger_says_what_it_knows(shop: ShopUnderTest, ledger: Ledger) -> None:
    accept(ledger, RUN, 0, orders_of(("1", 1), at=AT))
    shop.connect("shop_warehouse", "postgres://reader:p4ssw0rd@127.0.0.1:1/warehouse")

    found = explained(shop)
    shown, hidden = Describer(found).describe(), Describer(found, shows_messages=False).describe()

    assert found.case is Case.NOT_ASKED
    assert "By the ledger REES46 has it as completed since" in shown.sentence
    assert "127.0.0.1" in shown.remedy
    assert "api-server's log" in hidden.remedy
    assert "127.0.0.1" not in str(hidden)
    assert "p4ssw0rd" not in str(shown)


SLOW = """
SELECT order_id, status, updated_at FROM orders
WHERE updated_at >= :window_start AND updated_at < :window_end AND
    (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT max(i) FROM n) > 0
"""


def test_a_warehouse_that_takes_too_long_is_interrupted_and_that_is_said(
    shop: ShopUnderTest, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_warehouse, "NEXT_TIMEOUT_S", 0.5)
    monkeypatch.setattr(explain_warehouse, "HANGS_S", 60)
    (shop.shops / "orders.sql").write_text(SLOW)

    found = explained(shop)

    assert found.case is Case.NOT_ASKED
    assert "did not answer in time" in Describer(found).describe().remedy


def test_more_explanations_than_the_warehouse_is_to_bear_are_told_to_come_again(
    shop: ShopUnderTest, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_warehouse, "HANGS_S", 0.01)
    for _ in range(explain_warehouse.MAX_QUERIES):
        assert explain_warehouse._asking.acquire(blocking=False)
    try:
        found = explained(shop)
    finally:
        explain_warehouse._asking.release(explain_warehouse.MAX_QUERIES)

    assert "try again" in Describer(found).describe().remedy
    assert explained(shop).case is Case.DUE


# The text, and the command line


def test_the_text_fits_a_narrow_terminal_and_what_a_database_says_moves_no_cursor(
    shop: ShopUnderTest, ledger: Ledger
) -> None:
    shop.add_rows([("\x1b[2J 2", "\x1b[31mred", IN_WINDOW - 9 * DAY)])
    shop.add_rows([("3", "paid", IN_WINDOW - 9 * DAY)])
    save_run(ledger, "run")
    for order_id in ("1", "\x1b[2J 2", "3"):
        text = as_text(explained(shop, order_id))
        assert "\x1b" not in text
        assert not [line for line in text.splitlines() if len(line) > WIDTH and "airflow dags trigger" not in line]
    assert text.splitlines()[-1].startswith("    airflow dags trigger order_status_sync_test --conf '{")


def test_an_id_of_no_order_is_no_error(shop: ShopUnderTest, ledger: Ledger) -> None:
    for order_id in ("", " ", "a\0b", "' OR '1' = '1", "%s", ":window_start", "1 "):
        assert explained(shop, order_id).case is Case.UNKNOWN


def test_the_json_has_the_sentences_and_the_facts(shop: ShopUnderTest, ledger: Ledger) -> None:
    document = json.loads(as_json(explained(shop)))

    assert document["explanation"]["sentence"].startswith("Order 1 was not sent yet")
    assert document["facts"]["case"] == "due"
    assert document["facts"]["warehouse"]["rows"][0]["status"] == "paid"
    assert document["facts"]["next_run"]["action"] == "send"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        pytest.param(["--explain", "1", "test"], 1, id="not-sent"),
        pytest.param(["--explain=-1", "test"], 0, id="sent"),
        pytest.param(["--explain", "1", "nobody"], 2, id="no-such-shop"),
    ],
)
def test_the_exit_code_says_whether_rees46_has_the_order_as_the_warehouse_has_it(
    shop: ShopUnderTest,
    ledger: Ledger,
    clean_environment: None,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
) -> None:
    shop.add_rows([("-1", "delivered", IN_WINDOW)])
    accept(ledger, RUN, 0, orders_of(("-1", 1), at=AT))
    ledger.engine.dispose()
    content = shop.ledger_file.read_bytes()

    assert main(command_line(shop, *arguments)) == code

    shown = capfd.readouterr().out
    assert bool(shown) == (code < 2)
    assert shop.ledger_file.read_bytes() == content


def test_without_a_ledger_nothing_is_explained_and_no_file_is_made(
    shop: ShopUnderTest, clean_environment: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(command_line(shop, "--explain", "1", "test")) == 2
    assert "has no tables yet" in capfd.readouterr().err
    assert not shop.ledger_file.exists()
