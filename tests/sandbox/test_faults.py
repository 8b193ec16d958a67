"""The faults of the sandbox: what each does, and which requests get it."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import pytest
import requests

from rees46_sync.sandbox.faults import FaultPlan
from rees46_sync.sandbox.server import Sandbox
from tests.sandbox.conftest import (
    GOOD,
    GOOD_STATE,
    JSON,
    OVER_BOTH,
    PATH,
    PATIENCE_S,
    body_of,
    outcomes,
    planned,
    post,
    raw_request,
    succeeded,
    wait_for_requests,
)

ERROR = '"status":"error"'


FAULTS = [
    pytest.param("500", 500, ERROR, False, id="500"),
    pytest.param("502", 502, ERROR, False, id="502"),
    pytest.param("503", 503, ERROR, False, id="503"),
    pytest.param("504:7", 504, ERROR, False, id="504-with-retry-after"),
    pytest.param("521", 521, ERROR, False, id="unknown-to-http"),
    pytest.param("401", 401, ERROR, False, id="401"),
    pytest.param("403", 403, ERROR, False, id="403"),
    pytest.param("429:2", 429, ERROR, False, id="429"),
    pytest.param("429_date:2", 429, ERROR, False, id="429_date"),
    pytest.param("error_in_200", 200, '"status": "error"', False, id="error_in_200"),
    pytest.param("html_in_200", 200, "<!doctype html>", False, id="html_in_200"),
    pytest.param("redirect", 302, "", False, id="redirect"),
    pytest.param("reset_before", requests.ConnectionError, "", False, id="reset_before"),
    pytest.param("never", requests.ReadTimeout, "", False, id="never"),
    pytest.param("empty_200", 200, "", True, id="empty_200"),
    pytest.param("empty_204", 204, "", True, id="empty_204"),
    pytest.param("ok_200", 200, "OK", True, id="ok_200"),
    pytest.param("json_200", 200, '"status": "success"', True, id="json_200"),
    pytest.param("cut_json_200", 200, '{"status": "suc', True, id="cut_json_200"),
    pytest.param("reset_after", requests.ConnectionError, "", True, id="reset_after"),
    pytest.param("never_after", requests.ReadTimeout, "", True, id="never_after"),
]


@pytest.mark.parametrize(("spec", "answer", "text", "accepts"), FAULTS)
@OVER_BOTH
def test_a_fault_answers_as_its_name_says_and_is_then_over(
    sandbox: Sandbox,
    path: str,
    good: bytes,
    good_state: dict[str, object],
    spec: str,
    answer: int | type[Exception],
    text: str,
    accepts: bool,
) -> None:
    sandbox.reset(fault=f"{spec}@x1")

    if isinstance(answer, int):
        response = post(sandbox, good, path=path)
        assert response.status_code == answer
        assert text in response.text if text else not response.text
    else:
        with pytest.raises(answer):
            post(sandbox, good, timeout=PATIENCE_S if answer is requests.ReadTimeout else 60, path=path)
        wait_for_requests(sandbox, 1)

    kind = spec.partition(":")[0]
    assert sandbox.state() == (good_state if accepts else {})
    assert sandbox.stats() == {
        "requests": 1,
        "orders": 3 * accepts,
        "accepted": 1 * accepts,
        "violations": {},
        "faults": {kind: 1},
    }
    assert succeeded(path, post(sandbox, good, path=path))
    assert outcomes(sandbox) == [kind, "accepted"]


@pytest.mark.parametrize("spec", ["slow:0.2", "late:0", "drop"])
@OVER_BOTH
def test_a_fault_after_the_answer_answers_that_all_is_well(
    sandbox: Sandbox, path: str, good: bytes, good_state: dict[str, object], spec: str
) -> None:
    sandbox.reset(fault=f"{spec}@x1")

    assert succeeded(path, post(sandbox, good, path=path))

    kind = spec.partition(":")[0]
    assert sandbox.state() == ({} if kind == "drop" else good_state)
    assert sandbox.stats() == {"requests": 1, "orders": 3, "accepted": 1, "violations": {}, "faults": {kind: 1}}
    assert [(row["outcome"], row["orders"]) for row in sandbox.requests()] == [(kind, 3)]


@pytest.mark.parametrize(("spec", "http_status"), [("429:2", 429), ("503:30", 503), ("404:0", 404)])
def test_retry_after_comes_in_seconds(sandbox: Sandbox, spec: str, http_status: int) -> None:
    sandbox.reset(fault=f"{spec}@1")

    answer = post(sandbox)

    assert (answer.status_code, answer.headers["Retry-After"]) == (http_status, spec.partition(":")[2])


@pytest.mark.clock
def test_retry_after_as_a_date_is_never_too_early(sandbox: Sandbox) -> None:
    sandbox.reset(fault="429_date:5@1")
    sent_at = time.time()

    moment = parsedate_to_datetime(post(sandbox).headers["Retry-After"]).timestamp()

    assert sent_at + 5 <= moment <= time.time() + 6


def test_an_error_without_seconds_has_no_retry_after(sandbox: Sandbox) -> None:
    sandbox.reset(fault="503@1")

    assert "Retry-After" not in post(sandbox).headers


def test_a_reset_is_a_tcp_reset(sandbox: Sandbox) -> None:
    sandbox.reset(fault="reset_after@1")

    with raw_request(sandbox) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)

    assert sandbox.state() == GOOD_STATE


def test_a_connection_kept_alive_is_reset_in_its_second_request(sandbox: Sandbox) -> None:
    with requests.Session() as session:
        assert session.post(sandbox.url + PATH, data=GOOD, headers=JSON, timeout=60).ok
        sandbox.reset(fault="reset_before@x1")
        with pytest.raises(requests.ConnectionError):
            session.post(sandbox.url + PATH, data=GOOD, headers=JSON, timeout=60)


def test_a_slow_answer_takes_its_time_but_the_orders_count_at_once(sandbox: Sandbox) -> None:
    sandbox.reset(fault="slow:3@1", latency_ms=100)
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, sandbox)
        wait_for_requests(sandbox, 1)
        assert sandbox.state() == GOOD_STATE
        assert not answer.done()
        assert answer.result().elapsed.total_seconds() >= 3.1

    (row,) = sandbox.requests()
    assert row["seconds"] is not None
    assert row["seconds"] >= 3.1


def test_a_client_that_follows_the_redirect_breaks_the_contract(sandbox: Sandbox) -> None:
    sandbox.reset(fault="redirect@1")

    answer = requests.post(sandbox.url + PATH, data=GOOD, headers=JSON, timeout=60)

    assert answer.status_code == 404
    assert sandbox.stats()["violations"] == {"wrong_path": 1}


@pytest.mark.parametrize(
    "spec",
    [
        "empty_200",
        "empty_204",
        "ok_200",
        "json_200",
        "cut_json_200",
        "slow:0",
        "late:0",
        "drop",
        "reset_after",
        "never_after",
    ],
)
def test_a_violation_takes_precedence_over_a_fault_that_accepts(sandbox: Sandbox, spec: str) -> None:
    sandbox.reset(fault=f"{spec}@1")

    assert post(sandbox, body_of([])).status_code == 400
    assert sandbox.stats()["violations"] == {"empty_orders": 1}
    assert sandbox.stats()["faults"] == {}


def test_a_fault_that_refuses_does_not_check_the_request(sandbox: Sandbox) -> None:
    sandbox.reset(fault="503@1")

    assert post(sandbox, body_of([])).status_code == 503
    assert sandbox.stats()["violations"] == {}


MIX = "503@0.2,429:0@0.1,empty_200@0.15,reset_after@0.05"


def test_the_same_seed_gives_the_same_requests_a_fault(sandbox: Sandbox) -> None:
    runs = []
    for seed in (7, 7, 8):
        sandbox.reset(fault="503@0.3,ok_200@0.3", seed=seed)
        for _ in range(40):
            post(sandbox)
        runs.append(outcomes(sandbox))

    assert runs[0] == runs[1] == planned(FaultPlan.parse("503@0.3,ok_200@0.3", seed=7), 40)
    assert runs[0] != runs[2]


def test_concurrency_does_not_change_which_requests_get_a_fault(sandbox: Sandbox) -> None:
    sandbox.reset(fault=f"502@x5,{MIX}", seed=3)

    def attempt(_: int) -> str:
        try:
            return str(post(sandbox).status_code)
        except requests.ConnectionError:
            return "reset"

    with ThreadPoolExecutor(16) as pool:
        seen = Counter(pool.map(attempt, range(400)))

    expected = planned(FaultPlan.parse(f"502@x5,{MIX}", seed=3), 400)
    assert outcomes(sandbox) == expected
    by_kind = Counter(expected)
    assert seen == {
        "502": 5,
        "503": by_kind["503"],
        "429": by_kind["429"],
        "reset": by_kind["reset_after"],
        "200": by_kind["accepted"] + by_kind["empty_200"],
    }
    assert sandbox.stats()["faults"] == {kind: n for kind, n in by_kind.items() if kind != "accepted"}


def test_over_many_requests_each_fault_has_its_share() -> None:
    drawn = Counter(planned(FaultPlan.parse(MIX, seed=1), 10_000))

    shares = {kind: count / 10_000 for kind, count in drawn.items()}
    expected = {"503": 0.2, "429": 0.1, "empty_200": 0.15, "reset_after": 0.05, "accepted": 0.5}
    assert shares == pytest.approx(expected, abs=0.015)


def test_counted_faults_come_first_in_order_and_exactly_as_often_as_written(sandbox: Sandbox) -> None:
    sandbox.reset(fault="503@x3,ok_200@1,504@x2")

    for _ in range(8):
        post(sandbox)

    assert outcomes(sandbox) == ["503"] * 3 + ["504"] * 2 + ["ok_200"] * 3


@pytest.mark.parametrize(
    ("spec", "kinds"),
    [
        ("", {"accepted"}),
        (" ", {"accepted"}),
        ("503@0", {"accepted"}),
        ("503@1", {"503"}),
        ("503@1.0", {"503"}),
        ("503@.5, 502@0.50", {"503", "502"}),
        ("503@0.7,502@0.2,504@0.1", {"503", "502", "504"}),  # 0.7 + 0.2 + 0.1 is not 1 in floats
        ("500@x9,503@1", {"500", "503"}),
    ],
)
def test_a_plan_may_use_all_shares_up_to_one(spec: str, kinds: set[str]) -> None:
    assert set(planned(FaultPlan.parse(spec), 200)) == kinds


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("503", "'' is no share"),
        ("503@", "'' is no share"),
        ("503@x0", "'x0' is no share"),
        ("503@-0.1", "'-0.1' is no share"),
        ("503@10%", "'10%' is no share"),
        ("503@nan", "'nan' is no share"),
        ("503@0.1,", "'' is no kind"),
        ("503@1.5", "add up to 1.5"),
        ("503@0.6,502@0.5", "add up to 1.1"),
        ("200@1", "'200' is no kind"),
        ("nonsense@1", "'nonsense' is no kind"),
        ("slow@1", "'slow' is no kind"),
        ("slow:soon@1", "'slow:soon' is no kind"),
        ("late@1", "'late' is no kind"),
        ("drop:3@1", "'drop:3' is no kind"),
        ("429:1.5@1", "'429:1.5' is no kind"),
        ("429_date@1", "'429_date' is no kind"),
        ("never:3@1", "'never:3' is no kind"),
    ],
)
def test_a_bad_spec_is_explained(spec: str, complaint: str) -> None:
    with pytest.raises(ValueError, match="fault") as caught:
        FaultPlan.parse(spec)

    assert complaint in str(caught.value)
