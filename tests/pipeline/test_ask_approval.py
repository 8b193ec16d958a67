"""A limit is reached, the shop file says to ask, and a person answers: whole runs, answered over Airflow's own API."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rees46_sync.ledger.database import Ledger, RunRef
from tests.conftest import ShopUnderTest
from tests.receivers import webhook_server
from tests.whole_run import EIGHT, Run, make_metadata_database, returned, run_dag

DAG_ID = "order_status_sync_test"
IN_WINDOW = EIGHT.replace(tzinfo=None) - timedelta(minutes=30)
BEFORE_ASKING = ["extract_orders", "validate_statuses", "build_batches", "approve_changes"]
FIGURES = "2 orders would change (limit changed_orders: 1)"
FIRST_WAIT_S, WAIT_S = 150, 60
"""Ample: a process's first run imports Airflow's API and Great Expectations on its way to the request."""


class Person:
    """Somebody who is logged in to Airflow as ``jane``, and looks after the latest run of the shop under test."""

    def __init__(self, api: TestClient) -> None:
        self.api = api
        self.read: list[dict[str, Any]] = []

    def waits_for_a_request(self) -> dict[str, Any]:
        """Read the request that waits for an answer, as soon as there is one."""
        return self._wait(lambda: next(iter(self._waiting()), None), FIRST_WAIT_S)

    def answers(self, option: str) -> None:
        request = self.waits_for_a_request()
        self.read.append(request)
        answer = self.api.patch(
            f"{self._task_of(request)}/-1/hitlDetails", json={"chosen_options": [option], "params_input": {}}
        )
        assert answer.status_code == 200, answer.text

    def clears(self, task_ids: list[str] | None, tries: int, task_id: str) -> None:
        """Have tasks run again, and wait until one of them has ended that many tries."""
        run_id = self.waits_for_a_request()["task_instance"]["dag_run_id"]
        body = {"dag_run_id": run_id, "task_ids": task_ids, "only_failed": False, "dry_run": False}
        answer = self.api.post(f"/api/v2/dags/{DAG_ID}/clearTaskInstances", json=body)
        assert answer.status_code == 200, answer.text

        def ended() -> bool:
            task = self.api.get(f"/api/v2/dags/{DAG_ID}/dagRuns/{run_id}/taskInstances/{task_id}").json()
            return task["try_number"] == tries and task["state"] in ("success", "failed")

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
    from airflow.api_fastapi.app import create_app, get_auth_manager, purge_cached_app
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    purge_cached_app()
    with TestClient(create_app(apps="core")) as client:
        jwt = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username="jane", role="admin"))
        client.headers["Authorization"] = f"Bearer {jwt}"
        yield client


@pytest.fixture
def jane(_api: TestClient) -> Person:
    return Person(_api)


@pytest.fixture
def asking(shop: ShopUnderTest) -> ShopUnderTest:
    """A shop that asks where a run would change more than one order."""
    shop.configure(on_limit="ask", limits={"rejected_share": 1, "changed_orders": 1})
    return shop


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """What the tasks said; Airflow decides at its first run in a process which of the two they write to."""
    with caplog.at_level(logging.INFO):
        yield lambda: capsys.readouterr().out + caplog.text


def run_while(*deeds: Callable[[], Any], **params: Any) -> Run:
    """Run the DAG, and do something meanwhile; where that fails, or does not end it, nothing waits any more."""
    over = Event()

    def do() -> None:
        try:
            for deed in deeds:
                deed()
            assert over.wait(FIRST_WAIT_S), "the run waits for something else"
        except BaseException:  # whatever it is: the run would wait for an answer for hours
            while not over.wait(0.5):
                end_runs()
            raise

    with ThreadPoolExecutor(1) as somebody:
        done = somebody.submit(do)
        try:
            run = run_dag(**params)
        finally:
            over.set()
        done.result()
    return run


def end_runs() -> None:
    """Fail whatever waits for an answer."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        waiting = session.query(TaskInstance).filter_by(dag_id=DAG_ID, state="awaiting_input")
        waiting.update({"state": "failed"})


def outcomes(shop: ShopUnderTest) -> list[tuple[Any, ...]]:
    return shop.ledger_rows("SELECT outcome, decided_by FROM rees46_approvals ORDER BY id")


def test_what_a_person_approves_is_sent_and_the_account_says_who_did(
    asking: ShopUnderTest, jane: Person, said: Callable[[], str]
) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW), ("3", "on_hold", IN_WINDOW)])

    run = run_while(lambda: jane.answers("Approve"))

    assert run.state == "success"
    assert asking.sandbox.state() == {"1": 0, "2": 1}
    assert (run.account["sent"], run.account["rejected"]) == (2, 1)
    assert outcomes(asking) == [("asked", None), ("approved", "jane")]
    assert "Over a limit: 2 orders would change (limit changed_orders: 1): approved by jane, 20" in said()


def test_the_request_shows_the_figures(asking: ShopUnderTest, jane: Person) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("~~~~", "delivered", IN_WINDOW), ("3", "on_hold", IN_WINDOW)])

    run_while(lambda: jane.answers("Approve"))

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
    assert "within 12 hours" in request["body"]
    assert lines.count("~~~~") == 1
    assert any(
        line.split() == ["~~~~", "delivered", "completed", "nothing", "2026-03-01", "07:30:00"] for line in lines
    )


def test_what_a_person_rejects_is_not_sent_and_the_run_is_red(
    asking: ShopUnderTest, jane: Person, said: Callable[[], str]
) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])

    run = run_while(lambda: jane.answers("Reject"))

    assert run.state == "failed"
    assert run.task_states["ask_approval"] == {"failed"}
    assert asking.sandbox.stats()["requests"] == 0
    assert run.account["failed"] == 2
    assert outcomes(asking) == [("asked", None), ("rejected", "jane")]
    assert f"! ask_approval let nothing go: {FIGURES}: rejected by jane, 20" in said()

    asking.configure(on_limit="ask", limits={"rejected_share": 1, "changed_orders": 2})
    assert run_dag().account["sent"] == 2


def test_what_nobody_answers_in_time_is_not_sent_and_the_run_is_red(
    asking: ShopUnderTest, jane: Person, said: Callable[[], str]
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
    assert f"! ask_approval let nothing go: {FIGURES}: nobody answered in time, 20" in said()


@pytest.mark.parametrize(
    ("rows", "params"),
    [
        pytest.param(2, {"dry_run": True}, id="a-dry-run"),
        pytest.param(2, {"ignore_limits": True}, id="limits-are-ignored"),
        pytest.param(1, {}, id="no-limit-is-reached"),
        pytest.param(0, {}, id="nothing-to-send"),
    ],
)
def test_nobody_is_asked(asking: ShopUnderTest, rows: int, params: dict[str, bool]) -> None:
    asking.add_rows([(str(number), "new", IN_WINDOW) for number in range(rows)])

    run = run_dag(**params)

    assert run.state == "success"
    assert run.account["sent"] == (0 if params.get("dry_run") else rows)
    assert outcomes(asking) == []


@pytest.mark.parametrize("orders", [1, 2], ids=["no-limit-is-reached", "approved"])
def test_loads_are_handed_no_examples(asking: ShopUnderTest, jane: Person, orders: int) -> None:
    asking.add_rows([(str(number), "new", IN_WINDOW) for number in range(orders)])

    run = run_while(lambda: jane.answers("Approve")) if orders > 1 else run_dag()

    [built] = returned(run, "build_batches")
    assert built["preview"] is not None
    [handed_on] = returned(run, "ask_approval" if orders > 1 else "approve_changes")
    assert [batches["preview"] for batches in handed_on] == [None]


def test_an_answer_about_an_earlier_reading_sends_nothing(
    asking: ShopUnderTest, jane: Person, said: Callable[[], str]
) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])

    run = run_while(
        jane.waits_for_a_request,
        lambda: asking.add_rows([("3", "fraud", IN_WINDOW)]),
        lambda: jane.clears(BEFORE_ASKING, 2, "approve_changes"),
        lambda: jane.answers("Approve"),
    )

    assert run.state == "failed"
    assert "the answer is about an earlier reading" in said()
    assert asking.sandbox.stats()["requests"] == 0
    assert outcomes(asking) == [("asked", None)]


def test_figures_of_an_earlier_reading_are_not_shown_for_a_newer_one(
    asking: ShopUnderTest, jane: Person, said: Callable[[], str]
) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])

    run = run_while(
        jane.waits_for_a_request,
        lambda: asking.add_rows([("3", "fraud", IN_WINDOW)]),
        lambda: jane.clears(None, 2, "ask_approval"),
    )

    assert run.state == "failed"
    assert "asked for approval of an earlier reading" in said()
    assert asking.sandbox.stats()["requests"] == 0

    again = run_while(lambda: jane.answers("Approve"), logical_date=EIGHT + timedelta(hours=1))
    assert "3 orders would change" in jane.read[0]["subject"]
    assert again.account["sent"] == 3


def test_the_same_reading_is_asked_about_again_where_a_person_clears_the_request(
    asking: ShopUnderTest, jane: Person
) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])

    def clears_the_request() -> None:
        run_id = jane.waits_for_a_request()["task_instance"]["dag_run_id"]
        body = {"dag_run_id": run_id, "task_ids": ["ask_approval"], "only_failed": False, "dry_run": False}
        jane.api.post(f"/api/v2/dags/{DAG_ID}/clearTaskInstances", json=body).raise_for_status()

    run = run_while(clears_the_request, lambda: jane.answers("Approve"))

    assert run.account["sent"] == 2
    assert outcomes(asking) == [("asked", None), ("asked", None), ("approved", "jane")]


def test_an_approved_reading_is_not_asked_about_again_when_the_task_that_heard_it_was_lost(
    asking: ShopUnderTest, jane: Person
) -> None:
    asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])

    def is_lost_right_after_the_answer() -> None:
        run_id = jane.waits_for_a_request()["task_instance"]["dag_run_id"]
        ledger = Ledger.of_connection("shop_ledger")
        asked = ledger.latest_approval(DAG_ID, run_id)
        assert asked
        ledger.record_approval(RunRef("test", DAG_ID, run_id, asked.extraction_id), "approved", FIGURES, "jane")
        jane.clears(["ask_approval"], 2, "ask_approval")

    run = run_while(is_lost_right_after_the_answer)

    assert run.account["sent"] == 2
    assert outcomes(asking) == [("asked", None), ("approved", "jane")]


def test_a_limit_that_is_to_be_asked_about_lets_nothing_pass_where_the_run_has_no_task_that_asks(
    shop: ShopUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a run that began before its shop file was changed."""
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


def test_who_is_to_be_told_of_limits_is_told_while_there_is_time_to_answer(asking: ShopUnderTest, jane: Person) -> None:
    with webhook_server() as webhook:
        asking.connect("http_default", webhook.connection)
        asking.configure(on_limit="ask", limits={"rejected_share": 1, "changed_orders": 1}, notify=[{"webhook": "/"}])
        asking.add_rows([("1", "paid", IN_WINDOW), ("2", "delivered", IN_WINDOW)])
        told_in_time: list[str] = []

        def look() -> None:
            jane.waits_for_a_request()
            told_in_time.extend(webhook.subjects)

        run_while(look, lambda: jane.answers("Approve"))

        assert told_in_time == ["[fired] test: a limit stopped the run"]
        assert webhook.subjects[1:] == ["[recovered] test: a limit stopped the run"]
        assert "the run waits for an approval, for 12 h" in webhook.posts[0][1]["text"]
