"""Why a run failed is said wherever a person looks first: in its record, its log, its error and its note in Airflow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from rees46_sync.airflow_adapters import retry_policy
from rees46_sync.pipeline.causes import Cause, fingerprint, leaving_cause
from tests.conftest import ShopUnderTest
from tests.pipeline.steps import task_context
from tests.whole_run import IN_WINDOW, Run, run_dag


def refuse_the_keys(shop: ShopUnderTest) -> None:
    shop.sandbox.reset(fault="403@1")


def leave_out_a_column(shop: ShopUnderTest) -> None:
    (shop.shops / "orders.sql").write_text(
        "SELECT order_id, status FROM orders WHERE updated_at >= :window_start AND updated_at < :window_end"
    )


def lose_the_warehouse(shop: ShopUnderTest) -> None:
    shop.connect("shop_warehouse", "sqlite:////nowhere/at/all/shop.db")


def exceed_a_limit(shop: ShopUnderTest) -> None:
    shop.configure(limits={"rejected_share": 0})
    shop.add_rows([("2", "lost", IN_WINDOW)])


FAILURES = [
    pytest.param(
        refuse_the_keys,
        "load_batches of partition 0 could not send 1 orders: ",
        "(Sandbox fault)",
        "check login",
        id="403",
    ),
    pytest.param(
        leave_out_a_column,
        "extract_orders did not finish, so nothing was read: ",
        "updated_at",
        "order_id, status and updated_at",
        id="a-column",
    ),
    pytest.param(
        lose_the_warehouse,
        "extract_orders did not finish, so nothing was read: ",
        "unable to open database file",
        "check that the database answers",
        id="the-warehouse",
    ),
    pytest.param(
        exceed_a_limit,
        "approve_changes stopped the run before anything was sent: ",
        "rejected_share: 0",
        "ignore_limits",
        id="a-limit",
    ),
]


def note_after(run: Run, *, note: str | None = None) -> str | None:
    """Return the note of a run after the scheduler has seen how it ended, as its listeners leave it in its session."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        dag_run = session.query(DagRun).filter_by(run_id=run.run_id).one()
        if note:
            dag_run.note = note
        dag_run.notify_dagrun_state_changed(msg="")
    with create_session() as session:
        left: str | None = session.query(DagRun).filter_by(run_id=run.run_id).one().note
    return left


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_policy, "MIN_DELAY", timedelta(milliseconds=1))


@pytest.mark.parametrize(("fail", "effect", "problem", "remedy"), FAILURES)
def test_the_cause_of_a_failure_and_its_remedy_are_everywhere(
    shop: ShopUnderTest,
    logged: Callable[[], str],
    fail: Callable[[ShopUnderTest], None],
    effect: str,
    problem: str,
    remedy: str,
) -> None:
    shop.configure()
    shop.add_rows([("1", "new", IN_WINDOW)])
    fail(shop)

    run = run_dag()

    assert run.state == "failed"
    [(cause, to_do)] = shop.ledger_rows("SELECT cause, remedy FROM rees46_sync_runs")
    assert cause.startswith(effect)
    assert problem in cause
    assert remedy in to_do
    assert note_after(run) == f"REES46: Shop test: {cause}. To do: {to_do}."[:1000]
    log = " ".join(logged().split())  # lines are wrapped
    assert f"! {' '.join(cause.split())}" in log
    assert f"To do: {' '.join(to_do.split())}." in log


def test_a_cause_that_several_partitions_share_is_said_once(shop: ShopUnderTest) -> None:
    shop.configure(partition_rows=1)
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "paid", IN_WINDOW)])
    refuse_the_keys(shop)

    run_dag()

    [(cause, to_do)] = shop.ledger_rows("SELECT cause, remedy FROM rees46_sync_runs")
    assert cause.startswith("load_batches of 2 partitions could not send 2 orders: http")
    assert cause.count("403") == to_do.count("check login") == 1


def test_the_note_goes_when_the_run_has_succeeded_and_that_of_a_person_stays(shop: ShopUnderTest) -> None:
    shop.configure()
    shop.add_rows([("1", "new", IN_WINDOW)])
    succeeded = run_dag()
    assert note_after(succeeded) is None
    assert note_after(succeeded, note="REES46: it failed") is None
    assert note_after(succeeded, note="looked at it") == "looked at it"

    refuse_the_keys(shop)
    shop.add_rows([("2", "new", IN_WINDOW)])
    assert note_after(run_dag(), note="looked at it") == "looked at it"


def cause(problem: str, kind: str = "WarehouseError") -> Cause:
    return Cause(task="extract_orders", partition=None, kind=kind, problem=problem, remedy="")


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        pytest.param(cause("no column a"), cause("no column b"), False, id="another-problem"),
        pytest.param(cause("3 orders of 12"), cause("4 orders of 9"), True, id="other-numbers"),
        pytest.param(cause("a", "LedgerError"), cause("a"), False, id="another-kind"),
        pytest.param(
            cause("answered 503", "Rees46UnavailableError"),
            cause("cannot be reached", "Rees46UnavailableError"),
            True,
            id="another-way-to-be-unavailable",
        ),
    ],
)
def test_a_cause_is_another_one_if_a_person_would_do_something_else(one: Cause, other: Cause, is_same: bool) -> None:
    assert (fingerprint([one]) == fingerprint([other])) == is_same
    assert fingerprint([one, other]) == fingerprint([other, one])


def test_an_unexpected_error_leaves_its_name_and_not_its_text() -> None:
    left: list[dict[str, Any]] = []
    ti = task_context()["ti"]
    ti.xcom_push = lambda **xcom: left.append(xcom)

    with pytest.raises(KeyError), leaving_cause(ti, 3):
        raise KeyError("order 17 of Jane")

    [xcom] = left
    assert xcom["key"] == "cause"
    assert (xcom["value"]["partition"], xcom["value"]["problem"]) == (3, "an unexpected KeyError")
    assert "Jane" not in str(xcom)
