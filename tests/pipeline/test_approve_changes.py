"""The limits of a shop, and the task that compares a run with them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from rees46_sync.exceptions import RestartRunError, RowValidationError
from rees46_sync.pipeline.approve_changes import approve_changes
from rees46_sync.pipeline.limits import exceeded_limits
from rees46_sync.shop.shop import Limits
from tests.conftest import ShopUnderTest
from tests.pipeline.results import built, extraction, validated
from tests.pipeline.steps import OLD_PARTITION, WRITTEN_BY_AN_EARLIER_VERSION, task_context
from tests.whole_run import IN_WINDOW, run_dag


@pytest.mark.parametrize(
    ("share", "changed", "reopened", "exceeded"),
    [
        pytest.param(0, 0, 0, [], id="nothing"),
        pytest.param(0.049, 9, 2, [], id="below"),
        pytest.param(5 / 100, 10, 3, [], id="at"),
        pytest.param(0.1 / 2, 10, 3, [], id="at-by-another-sum"),
        pytest.param(0.05 + 1e-9, 10, 3, ["rejected_share"], id="share-just-above"),
        pytest.param(0.05, 11, 3, ["changed_orders"], id="changed-just-above"),
        pytest.param(0.05, 10, 4, ["reopened_orders"], id="reopened-just-above"),
        pytest.param(1.0, 0, 0, ["rejected_share"], id="all-rejected"),
        pytest.param(0.0, 10**9, 0, ["changed_orders"], id="very-many"),
        pytest.param(0.5, 11, 4, ["changed_orders", "rejected_share", "reopened_orders"], id="all"),
    ],
)
def test_a_limit_is_exceeded_above_it_and_not_at_it(
    share: float, changed: int, reopened: int, exceeded: list[str]
) -> None:
    limits = Limits(rejected_share=0.05, changed_orders=10, reopened_orders=3)
    metrics = {"rejected_share": share, "changed_orders": changed, "reopened_orders": reopened}

    assert exceeded_limits(metrics, limits) == exceeded


@pytest.mark.parametrize(
    ("limits", "share", "changed", "exceeded"),
    [
        pytest.param(Limits(rejected_share=0, changed_orders=0), 0.0, 0, [], id="zero-of-nothing"),
        pytest.param(
            Limits(rejected_share=0, changed_orders=0), 1e-6, 1, ["changed_orders", "rejected_share"], id="zero"
        ),
        pytest.param(Limits(rejected_share=1, changed_orders=5), 1.0, 5, [], id="one-takes-every-row"),
        pytest.param(Limits.model_validate({}), 0.05, 100_000, [], id="at-the-defaults"),
        pytest.param(
            Limits.model_validate({}), 0.0501, 100_001, ["changed_orders", "rejected_share"], id="above-the-defaults"
        ),
    ],
)
def test_each_shop_has_its_own_limits(limits: Limits, share: float, changed: int, exceeded: list[str]) -> None:
    metrics = {"rejected_share": share, "changed_orders": changed, "reopened_orders": 100}

    assert exceeded_limits(metrics, limits) == exceeded


@pytest.mark.parametrize(
    ("metrics", "name"),
    [
        pytest.param({"rejected_share": 0.0}, "changed_orders", id="one-missing"),
        pytest.param({"changed_orders": 0}, "rejected_share", id="other-missing"),
        pytest.param({"changed_orders": 0, "rejected_share": 0.0}, "reopened_orders", id="third-missing"),
        pytest.param({"rejected_share": "low", "changed_orders": 0}, "rejected_share", id="text"),
        pytest.param({"rejected_share": float("nan"), "changed_orders": 0}, "rejected_share", id="nan"),
    ],
)
def test_a_run_whose_metrics_cannot_be_compared_is_stopped(metrics: dict[str, Any], name: str) -> None:
    with pytest.raises(
        RowValidationError, match=f"{name} of this run is .*, which cannot be compared with its limit; nothing was sent"
    ):
        exceeded_limits(metrics, Limits.model_validate({}))


def test_the_task_that_checks_the_limits_imports_nothing_heavy(shop: ShopUnderTest) -> None:
    counts = {"rejected": 0, "newly_rejected": 0, "orders": 1, "resent": 0, "reopened": 0, "newly_reopened": 0}
    partition = {"extraction": {"read": 10, "is_resend": False}, **counts}
    code = (
        "import json, sys; import airflow.sdk; before = set(sys.modules); "
        "from rees46_sync.pipeline.approve_changes import approve_changes; "
        "context = {'params': {'ignore_limits': False, 'dry_run': False}, 'ti': None, 'dag_run': None}; "
        f"sent = approve_changes({str(shop.shops / 'test.yaml')!r}, [{partition!r}], [{partition!r}], **context); "
        "print(json.dumps([len(sent), sorted(set(sys.modules) - before)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    sent, modules = json.loads(done.stdout.splitlines()[-1])
    imported = {module.partition(".")[0] for module in modules}
    assert sent == 1
    assert "rees46_sync" in imported
    assert imported & {"great_expectations", "pandas", "pyarrow", "sqlalchemy", "duckdb", "requests"} == set()


@pytest.mark.parametrize(
    ("limits", "rows", "exceeded", "param"),
    [
        pytest.param(
            {"rejected_share": 0.009},
            [("1", "on_hold"), ("2", "new")],
            "1 of 2 rows are rejected, 1 of them for the first time, a share of 0.0100 of at least 100 rows (limit",
            {"ignore_limits": True},
            id="rejected-share",
        ),
        pytest.param(
            {"rejected_share": 1, "changed_orders": 1},
            [("1", "paid"), ("2", "new")],
            "2 orders would change",
            {"changed_orders": 2},
            id="changed-orders",
        ),
        pytest.param(
            {"rejected_share": 0, "changed_orders": 0},
            [("1", "on_hold"), ("2", "new")],
            "1 orders would change",
            {"ignore_limits": True},
            id="both",
        ),
    ],
)
def test_a_limit_stops_the_run_before_it_sends_until_a_person_decides(
    shop: ShopUnderTest,
    capsys: pytest.CaptureFixture[str],
    limits: dict[str, float],
    rows: list[tuple[str, str]],
    exceeded: str,
    param: dict[str, int],
) -> None:
    shop.configure(limits=limits)
    shop.add_rows([(*row, IN_WINDOW) for row in rows])
    stopped = run_dag()
    assert stopped.state == "failed"
    assert stopped.task_states["approve_changes"] == {"failed"}
    assert stopped.account["failed"] == stopped.account["read"] - stopped.account["rejected"]
    assert shop.sandbox.stats()["requests"] == 0
    log = capsys.readouterr().out
    assert exceeded in log
    window = {"window_start": "2026-02-28T07:00:00+00:00", "window_end": "2026-03-01T08:00:00+00:00"}
    set_to = "changed_orders: 2" if "changed_orders" in param else "ignore_limits"
    assert f"with {set_to}, window_start {window['window_start']} and window_end {window['window_end']}" in log

    decided = run_dag(**param, **window)
    assert decided.state == "success"
    assert decided.account["sent"] == stopped.account["failed"]


@pytest.mark.parametrize(
    ("limits", "own", "state"),
    [
        pytest.param({"rejected_share": 1, "changed_orders": 1}, 3, "success", id="at-it"),
        pytest.param({"rejected_share": 1, "changed_orders": 9}, 2, "failed", id="above-it"),
        pytest.param({"rejected_share": 1, "changed_orders": 9}, 0, "failed", id="nothing-may-change"),
        pytest.param({"rejected_share": 0, "changed_orders": 9}, 3, "failed", id="the-other-limits-stay"),
    ],
)
def test_a_run_may_have_a_limit_of_changed_orders_of_its_own(
    shop: ShopUnderTest, limits: dict[str, float], own: int, state: str
) -> None:
    shop.configure(limits=limits)
    shop.add_rows([("1", "new", IN_WINDOW), ("2", "paid", IN_WINDOW), ("3", "new", IN_WINDOW), ("4", None, IN_WINDOW)])

    run = run_dag(changed_orders=own)

    assert (run.state, len(shop.sandbox.state())) == (state, 3 if state == "success" else 0)


def test_of_few_rows_some_may_be_rejected_unless_the_limit_is_0(shop: ShopUnderTest) -> None:
    shop.configure(limits={"rejected_share": 0.05})
    shop.add_rows([(str(number), "on_hold", IN_WINDOW) for number in range(5)] + [("sent", "new", IN_WINDOW)])
    assert run_dag().account["sent"] == 1

    shop.configure(limits={"rejected_share": 0})
    assert run_dag().state == "success", "known rows do not count again, even for a limit of 0"
    shop.add_rows([("6", "on_hold", IN_WINDOW)])
    assert run_dag().state == "failed"


def test_rows_that_a_limit_stopped_stop_the_next_run_too_until_one_has_let_them_through(
    shop: ShopUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    shop.configure(limits={"rejected_share": 0.01})
    shop.add_rows([("1", "on_hold", IN_WINDOW), ("2", "on_hold", IN_WINDOW), ("3", "new", IN_WINDOW)])
    assert [run_dag().state, run_dag().state] == ["failed", "failed"]
    assert run_dag(ignore_limits=True).account["sent"] == 1

    shop.add_rows([("4", "on_hold", IN_WINDOW), ("5", "new", IN_WINDOW)])
    run = run_dag()

    assert (run.state, run.account["sent"], run.account["rejected"]) == ("success", 1, 3)
    assert "3 of 5 rows are rejected, 1 of them for the first time, a share of 0.0100 of" in caplog.text


def test_orders_newly_held_back_as_reopened_stop_the_run_until_one_has_let_them_through(
    shop: ShopUnderTest, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    orders = ["1", "2", "3"]
    shop.add_rows([(order_id, "delivered", IN_WINDOW) for order_id in orders])
    run_dag()
    shop.configure(limits={"rejected_share": 1, "reopened_orders": 2})
    shop.clear_rows()
    shop.add_rows([(order_id, "paid", IN_WINDOW) for order_id in orders] + [("4", "new", IN_WINDOW)])

    stopped = [run_dag(), run_dag()]

    assert [run.state for run in stopped] == ["failed", "failed"]
    assert stopped[1].account["reopened"] == 3
    log = capsys.readouterr().out
    assert "3 orders are held back as reopened, 3 of them for the first time (limit reopened_orders: 2)" in log
    assert "if the shop does reopen orders, set allow_reopen: true" in log
    dry_run = run_dag(dry_run=True)
    assert (dry_run.state, dry_run.account["reopened"]) == ("success", 3)
    assert "(limit reopened_orders: 2). Going on, because nothing is sent in a dry run" in caplog.text
    assert run_dag(ignore_limits=True).account["sent"] == 1

    shop.add_rows([("5", "new", IN_WINDOW)])
    run = run_dag()
    assert (run.state, run.account["sent"], run.account["reopened"]) == ("success", 1, 3)


def test_a_dry_run_goes_on_over_a_limit_because_it_is_the_way_to_look_first(shop: ShopUnderTest) -> None:
    shop.configure(limits={"changed_orders": 0, "rejected_share": 1})
    shop.add_rows([("1", "new", IN_WINDOW)])
    run = run_dag(dry_run=True)
    assert run.state == "success"
    assert run.account["would_send"] == 1


def test_results_of_an_earlier_version_are_not_approved_but_say_to_clear_the_run(shop: ShopUnderTest) -> None:
    with pytest.raises(RestartRunError, match=f"partition 0 {WRITTEN_BY_AN_EARLIER_VERSION}"):
        approve_changes(str(shop.shops / "test.yaml"), [OLD_PARTITION], [OLD_PARTITION], **task_context())


@pytest.mark.parametrize("of_last_version", ["newly_rejected", "newly_reopened"])
def test_results_of_the_last_version_beside_new_ones_say_to_clear_the_run(
    shop: ShopUnderTest, of_last_version: str
) -> None:
    """Workers are not upgraded at one moment."""
    whole = {"extraction": extraction()}
    both = [[validated(0, 10, 0) | whole, validated(1, 10, 0) | whole], [built(0, 1) | whole, built(1, 1) | whole]]
    del both[of_last_version == "newly_reopened"][1][of_last_version]

    with pytest.raises(RestartRunError, match=f"partition 1 {WRITTEN_BY_AN_EARLIER_VERSION}"):
        approve_changes(str(shop.shops / "test.yaml"), *both, **task_context())
