"""Runs that exceed a limit of a shop that asks: whole runs, decided by a person over Airflow's own API."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rees46_sync.exceptions import RestartRunError
from rees46_sync.ledger.approvals import Approvals
from rees46_sync.ledger.database import Ledger
from rees46_sync.ledger.runs import RunRef
from rees46_sync.pipeline.ask_approval import AskApprovalOperator
from tests.conftest import ShopUnderTest
from tests.pipeline.steps import task_context
from tests.receivers import webhook_server
from tests.whole_run import EIGHT, IN_WINDOW, Run, make_metadata_database, returned, run_dag

DAG_ID = "order_status_sync_test"
BEFORE_ASKING = ["extract_orders", "validate_statuses", "build_batches", "approve_changes"]
EXCEEDED = "2 orders would change (limit changed_orders: 1)"
FIRST_WAIT_S, WAIT_S = 150, 60
"""Ample: a process's first run imports Airflow's API and Great Expectations on its way to the request."""


class Person:
    """A person who is logged in to Airflow as ``jane``, and decides about the latest run of the shop under test."""

    def __init__(self, api: TestClient) -> None:
        self.api = api
        self.read: list[dict[str, Any]] = []

    def waits_for_a_request(self) -> dict[str, Any]:
        """Read the request that waits for a decision, as soon as there is one."""
        return self._wait(lambda: next(iter(self._waiting()), None), FIRST_WAIT_S)

    def decides(self, option: str) -> None:
        status, text = self.tries(option)
        assert status == 200, text

    def tries(self, option: str) -> tuple[int, str]:
        """Decide, and return Airflow's answer: its status and text."""
        request = self.waits_for_a_request()
        self.read.append(request)
        answer = self.api.patch(
            f"{self._task_of(request)}/-1/hitlDetails", json={"chosen_options": [option], "params_input": {}}
        )
        return answer.status_code, answer.text

    def clears(self, task_ids: list[str] | None, attempts: int, task_id: str) -> None:
        """Clear tasks, and wait until one of them has ended that many attempts."""
        run_id = self.waits_for_a_request()["task_instance"]["dag_run_id"]
        body = {"dag_run_id": run_id, "task_ids": task_ids, "only_failed": False, "dry_run": False}
        answer = self.api.post(f"/api/v2/dags/{DAG_ID}/clearTaskInstances", json=body)
        assert answer.status_code == 200, answer.text

        def ended() -> bool:
            task = self.api.get(f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task_id}").json()
            return task["try_number"] == attempts and task["state"] in ("success", "failed")

        self._wait(ended)

    def _waiting(self) -> list[dict[str, Any]]:
        found = self.api.get(f"/api/v2/dags/{DAG_ID}/dagRuns/~/hitlDetails", params={"response_received": False})
        assert found.status_code == 200, found.text
        return [one for one in found.json()["hitl_details"] if one["task_instance"]["state"] == "awaiting_input"]

    def _task_of(self, request: dict[str, Any]) -> str:
        task = request["task_instance"]
        return f"/api/v2/dags/{DAG_ID}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"

    def _wait(self, ready: Callable[[], Any], timeout_s: float = WAIT_S) -> Any:
        deadline = time.monotonic() + timeout_s
        while not (found := ready()):
            assert time.monotonic() < deadline, "Airflow did not do what the person waits for"
            time.sleep(0.2)
        return found


@pytest.fixture(scope="module")
def _api() -> Iterator[TestClient]:
    make_metadata_database()
    from airflow.api_fastapi.app import create_app, purge_cached_app

    purge_cached_app()
    with TestClient(create_app(apps="core")) as client:
        log_in(client, "jane")
        yield client


def log_in(client: TestClient, name: str) -> None:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    jwt = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role="admin"))
    client.headers["Authorization"] = f"Bearer {jwt}"


@pytest.fixture
def jane(_api: TestClient) -> Person:
    log_in(_api, "jane")
    return Person(_api)


@pytest.fixture
def asking(shop: ShopUnderTest) -> ShopUnderTest:
    """A shop that asks if a run would change more than one order."""
    shop.configure(on_limit="ask", limits={"rejected_share": 1, "changed_orders": 1})
    return shop


def run_while(*deeds: Callable[[], Any], **params: Any) -> Run:
    """Run the DAG, and do something meanwhile; if that fails, or does not end the run, fail what still waits."""
    over = Event()

    def do() -> None:
        try:
            for deed in deeds:
                deed()
            assert over.wait(FIRST_WAIT_S), "the run waits for something else"
        except BaseException:  # whatever it is: the run would wait for a decision for hours
            while not over.wait(0.5):
                end_runs()
            raise

    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(do)
        try:
            run = run_dag(**params)
        finally:
            over.set()
        done.result()
    return run


def end_runs() -> None:
    """Fail whatever waits for a decision."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        waiting = session.query(TaskInstance).filter_by(dag_id=DAG_ID, state="awaiting_input")
        waiting.update({"state": "failed"})


def outcomes(shop: ShopUnderTest) -> list[tuple[Any, ...]]:
    return shop.ledger_rows("SELECT outcome, decided_by FROM rees46_approvals ORDER BY id")


def test_what_a_person_approves_is_sent_and_the_account_says_who_did(
    asking: ShopUnderTest, jane: Person, logged: Callable[[], str]
) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW), ("3", "on_hold", IN_WINDOW)])

    run = run_while(lambda: jane.decides("Approve"))

    assert run.state == "success"
    assert asking.sandbox.state() == {"1": 0, "2": 1}
    assert (run.account["sent"], run.account["rejected"]) == (2, 1)
    assert outcomes(asking) == [("asked", None), ("approved", "jane")]
    assert "Over a limit: 2 orders would change (limit changed_orders: 1): approved by jane, 20" in logged()


def test_the_request_shows_the_numbers(asking: ShopUnderTest, jane: Person) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("~~~~", "delivered", IN_WINDOW), ("3", "on_hold", IN_WINDOW)])

    run_while(lambda: jane.decides("Approve"))

    [request] = jane.read
    assert request["subject"] == "Shop test: 2 orders would change (limit changed_orders: 1). Send all the same?"
    assert request["options"] == ["Approve", "Reject"]
    lines = request["body"].splitlines()
    for line in (
        "- changed_orders: **2**, allowed 1",
        "- created: 1",
        "- completed: 1",
        "- cancelled: 0",
        "- status_unmapped: 1",
    ):
        assert line in lines
    assert "[2026-02-28 07:00:00, 2026-03-01 08:00:00)" in request["body"]
    assert "within 12 h" in request["body"]
    assert lines.count("~~~~") == 1
    assert any(
        line.split() == ["~~~~", "delivered", "completed", "nothing", "2026-03-01", "07:30:00"] for line in lines
    )


def test_what_a_person_rejects_is_not_sent_and_the_run_is_red(
    asking: ShopUnderTest, jane: Person, logged: Callable[[], str]
) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])

    run = run_while(lambda: jane.decides("Reject"))

    assert run.state == "failed"
    assert run.task_states["ask_approval"] == {"failed"}
    assert asking.sandbox.stats()["requests"] == 0
    assert run.account["failed"] == 2
    assert outcomes(asking) == [("asked", None), ("rejected", "jane")]
    log = logged()
    stopped = "! ask_approval stopped the run before anything was sent: Shop test: "
    assert f"{stopped}{EXCEEDED}: rejected by jane, 20" in log

    asking.configure(on_limit="ask", limits={"rejected_share": 1, "changed_orders": 2})
    assert run_dag().account["sent"] == 2


def test_only_the_approvers_of_the_shop_file_may_decide(asking: ShopUnderTest, jane: Person) -> None:
    asking.configure(on_limit="ask", limits={"changed_orders": 1}, approvers=["john", "mary"])
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])
    refused: list[tuple[int, str]] = []

    run = run_while(
        lambda: refused.append(jane.tries("Approve")),
        lambda: log_in(jane.api, "john"),
        lambda: jane.decides("Approve"),
    )

    assert [status for status, _ in refused] == [403]
    assert run.account["sent"] == 2
    assert outcomes(asking) == [("asked", None), ("approved", "john")]
    assert "These users may decide: `john`, `mary`." in jane.read[0]["body"]


def test_without_a_decision_in_time_nothing_is_sent_and_the_run_is_red(
    asking: ShopUnderTest, jane: Person, logged: Callable[[], str]
) -> None:
    asking.configure(on_limit="ask", limits={"changed_orders": 1}, approval_timeout="1s")
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])

    def the_scheduler_looks() -> None:
        from airflow.jobs.job import Job
        from airflow.jobs.scheduler_job_runner import SchedulerJobRunner

        jane.waits_for_a_request()
        time.sleep(1.1)
        SchedulerJobRunner(Job()).check_awaiting_input_timeouts()

    run = run_while(the_scheduler_looks)

    assert run.state == "failed"
    assert asking.sandbox.stats()["requests"] == 0
    assert outcomes(asking) == [("asked", None), ("expired", None)]
    log = logged()
    stopped = "! ask_approval stopped the run before anything was sent: Shop test: "
    assert f"{stopped}{EXCEEDED}: no decision in time, 20" in log


@pytest.mark.parametrize(
    ("rows", "params"),
    [
        pytest.param(2, {"dry_run": True}, id="a-dry-run"),
        pytest.param(2, {"ignore_limits": True}, id="limits-are-ignored"),
        pytest.param(1, {}, id="no-limit-is-exceeded"),
        pytest.param(0, {}, id="nothing-to-send"),
    ],
)
def test_no_approval_is_requested(asking: ShopUnderTest, rows: int, params: dict[str, bool]) -> None:
    asking.add_rows([(str(number), "new", IN_WINDOW) for number in range(rows)])

    run = run_dag(**params)

    assert run.state == "success"
    assert run.account["sent"] == (0 if params.get("dry_run") else rows)
    assert outcomes(asking) == []


@pytest.mark.parametrize("orders", [1, 2], ids=["no-limit-is-exceeded", "approved"])
def test_loads_get_no_examples(asking: ShopUnderTest, jane: Person, orders: int) -> None:
    asking.add_rows([(str(number), "new", IN_WINDOW) for number in range(orders)])

    run = run_while(lambda: jane.decides("Approve")) if orders > 1 else run_dag()

    [built] = returned(run, "build_batches")
    assert built["preview"] is not None
    [passed_on] = returned(run, "ask_approval" if orders > 1 else "approve_changes")
    assert [batches["preview"] for batches in passed_on] == [None]


def test_a_decision_about_an_earlier_extraction_sends_nothing(
    asking: ShopUnderTest, jane: Person, logged: Callable[[], str]
) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])

    run = run_while(
        jane.waits_for_a_request,
        lambda: asking.add_rows([("3", "fraud", IN_WINDOW)]),
        lambda: jane.clears(BEFORE_ASKING, 2, "approve_changes"),
        lambda: jane.decides("Approve"),
    )

    assert run.state == "failed"
    assert "the decision is about an earlier extraction" in logged()
    assert asking.sandbox.stats()["requests"] == 0
    assert outcomes(asking) == [("asked", None)]


def test_numbers_of_an_earlier_extraction_are_not_shown_for_a_newer_one(
    asking: ShopUnderTest, jane: Person, logged: Callable[[], str]
) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])

    run = run_while(
        jane.waits_for_a_request,
        lambda: asking.add_rows([("3", "fraud", IN_WINDOW)]),
        lambda: jane.clears(None, 2, "ask_approval"),
    )

    assert run.state == "failed"
    assert "asked for approval of an earlier extraction" in logged()
    assert asking.sandbox.stats()["requests"] == 0

    again = run_while(lambda: jane.decides("Approve"), logical_date=EIGHT + timedelta(hours=1))
    assert "3 orders would change" in jane.read[0]["subject"]
    assert again.account["sent"] == 3


def test_the_same_extraction_is_asked_about_again_if_a_person_clears_the_request(
    asking: ShopUnderTest, jane: Person
) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])

    def clears_the_request() -> None:
        run_id = jane.waits_for_a_request()["task_instance"]["dag_run_id"]
        body = {"dag_run_id": run_id, "task_ids": ["ask_approval"], "only_failed": False, "dry_run": False}
        jane.api.post(f"/api/v2/dags/{DAG_ID}/clearTaskInstances", json=body).raise_for_status()

    run = run_while(clears_the_request, lambda: jane.decides("Approve"))

    assert run.account["sent"] == 2
    assert outcomes(asking) == [("asked", None), ("asked", None), ("approved", "jane")]


def test_an_approved_extraction_is_not_asked_about_again_if_the_task_is_lost_right_after(
    asking: ShopUnderTest, jane: Person
) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])

    def is_lost_right_after_the_decision() -> None:
        run_id = jane.waits_for_a_request()["task_instance"]["dag_run_id"]
        ledger = Ledger.from_conn_id("shop_ledger")
        asked = Approvals(ledger).latest(DAG_ID, run_id)
        assert asked
        Approvals(ledger).record(RunRef("test", DAG_ID, run_id, asked.extraction_id), "approved", EXCEEDED, "jane")
        jane.clears(["ask_approval"], 2, "ask_approval")

    run = run_while(is_lost_right_after_the_decision)

    assert run.account["sent"] == 2
    assert outcomes(asking) == [("asked", None), ("approved", "jane")]


def test_a_decision_of_which_airflow_names_no_user_counts_and_says_so(asking: ShopUnderTest) -> None:
    pushed = {
        ("approve_changes", "approval_request"): {"extraction_id": "one", "exceeded_text": "2 orders", "batches": [7]}
    }
    context = task_context(pushed=pushed)
    operator = AskApprovalOperator(task_id="ask_approval", shop="test", ledger_conn_id="shop_ledger", batches=[])
    Approvals(Ledger.open("shop_ledger")).record(
        RunRef("test", DAG_ID, context["ti"].run_id, "one"), "asked", "2 orders"
    )

    assert operator.execute_complete(context, {"chosen_options": ["Approve"], "responded_by_user": None}) == [7]
    assert outcomes(asking) == [("asked", None), ("approved", "an unnamed user")]


@pytest.mark.parametrize("step", ["execute", "execute_complete"])
def test_a_request_of_an_earlier_version_is_never_taken_for_no_request(step: str) -> None:
    context = task_context(pushed={("approve_changes", "question"): {"batches": []}})
    operator = AskApprovalOperator(task_id="ask_approval", shop="test", ledger_conn_id="shop_ledger", batches=[])
    event = [{"chosen_options": ["Approve"], "responded_by_user": None}] if step == "execute_complete" else []

    with pytest.raises(RestartRunError, match="approval was written by an earlier version of this project"):
        getattr(operator, step)(context, *event)


def test_a_limit_that_needs_approval_lets_nothing_through_if_the_run_has_no_task_that_asks(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a run that started before its shop file was changed."""
    from tests import whole_run

    shop.configure(limits={"changed_orders": 1})
    shop.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])
    dag = whole_run.dag_of()
    assert "ask_approval" not in dag.task_dict
    monkeypatch.setattr(whole_run, "dag_of", lambda *_: dag)
    shop.configure(on_limit="ask", limits={"changed_orders": 1})

    run = run_dag()

    assert run.state == "failed"
    assert run.account["failed"] == 2
    assert shop.sandbox.stats()["requests"] == 0


def test_the_alert_about_a_limit_is_sent_while_there_is_time_to_decide(asking: ShopUnderTest, jane: Person) -> None:
    with webhook_server() as webhook:
        asking.connect("http_default", webhook.connection)
        asking.configure(on_limit="ask", limits={"rejected_share": 1, "changed_orders": 1}, notify=[{"webhook": "/"}])
        asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])
        sent_in_time: list[str] = []

        def look() -> None:
            jane.waits_for_a_request()
            sent_in_time.extend(webhook.subjects)

        run_while(look, lambda: jane.decides("Approve"))

        assert sent_in_time == ["[fired] test: a limit stopped the run"]
        assert webhook.subjects[1:] == ["[recovered] test: a limit stopped the run"]
        assert "the run waits for an approval, for 12 h" in webhook.posts[0][1]["text"]
