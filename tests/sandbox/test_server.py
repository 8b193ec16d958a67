"""What the local REES46 promises to those who test against it, over real HTTP on loopback."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests

from rees46_sync.sandbox.server import Sandbox, running
from tests.sandbox.conftest import (
    GOOD,
    GOOD_STATE,
    OVER_BOTH,
    PRESENT_DAY,
    SECRET,
    body_of,
    order,
    outcomes,
    post,
    raw_request,
    succeeded,
    wait_for_requests,
)


@OVER_BOTH
def test_an_accepted_request_sets_the_status_of_each_order_as_it_was_sent(
    sandbox: Sandbox, path: str, good: bytes, good_state: dict[str, object]
) -> None:
    assert succeeded(path, post(sandbox, good, path=path))
    assert requests.get(sandbox.url + "/_state", timeout=60).json() == good_state == sandbox.state()


def test_both_dialects_set_the_same_orders(sandbox: Sandbox) -> None:
    assert post(sandbox).ok
    assert post(sandbox, body_of([order("1", "cancelled")]), path=PRESENT_DAY).ok

    assert sandbox.state() == GOOD_STATE | {"1": "cancelled"}


def test_the_last_arrival_wins(sandbox: Sandbox) -> None:
    for status in (0, 2, 1):
        assert post(sandbox, body_of([order("a", status)])).ok

    assert sandbox.state() == {"a": 1}
    assert sandbox.stats() == {"requests": 3, "orders": 3, "accepted": 3, "violations": {}, "faults": {}}


def test_half_a_request_is_no_request(sandbox: Sandbox) -> None:
    with raw_request(sandbox, GOOD[:20]):
        pass

    assert post(sandbox).ok
    assert outcomes(sandbox) == ["accepted"]


def test_requests_wait_for_their_latency_at_the_same_time(sandbox: Sandbox) -> None:
    sandbox.reset(latency_ms=400)
    started = time.perf_counter()

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: post(sandbox), range(40)))

    assert all(answer.elapsed.total_seconds() >= 0.4 for answer in answers)
    assert time.perf_counter() - started < 12  # one after the other they would take 16 s


@pytest.mark.parametrize("kind", ["never", "never_after", "slow:60"])
def test_requests_without_a_response_block_neither_others_nor_the_shutdown(kind: str) -> None:
    with ExitStack() as clients:
        with running("demo", SECRET, fault=f"{kind}@x50") as sandbox:
            hanging = [clients.enter_context(raw_request(sandbox)) for _ in range(50)]
            wait_for_requests(sandbox, 50)
            assert post(sandbox).elapsed.total_seconds() < 30
            assert [row["seconds"] for row in sandbox.requests()[:50]] == [None] * 50
            stopping = time.perf_counter()
        assert time.perf_counter() - stopping < 30
        for connection in hanging:
            assert connection.recv(1) == b""


def test_a_client_that_disconnects_ends_its_request(sandbox: Sandbox) -> None:
    sandbox.reset(fault="never@x1,slow:3@x1")
    for number in (1, 2):
        with raw_request(sandbox):
            wait_for_requests(sandbox, number)

    assert post(sandbox).ok
    time.sleep(3.3)
    assert [row["seconds"] is None for row in sandbox.requests()] == [True, True, False]


@pytest.mark.clock
def test_the_log_has_sizes_times_and_outcomes_but_no_secret_and_no_order(sandbox: Sandbox) -> None:
    sandbox.reset(fault="503@x1")
    before = time.time()
    answers = [post(sandbox), post(sandbox), post(sandbox, body_of([order("a-private-id", 9)]))]
    after = time.time()

    log = requests.get(sandbox.url + "/_requests", timeout=60)

    assert log.json() == sandbox.requests()
    assert [(row["outcome"], row["orders"]) for row in log.json()] == [
        ("503", None),
        ("accepted", 3),
        ("status_out_of_range", None),
    ]
    assert [row["bytes"] for row in log.json()[:2]] == [len(GOOD)] * 2
    assert all(before <= row["at"] <= after and 0 <= row["seconds"] <= after - before for row in log.json())
    shown = log.text + json.dumps(sandbox.stats()) + "".join(answer.text for answer in answers)
    assert not [word for word in (SECRET, "a-private-id", "msk2") if word in shown]


def test_statistics_over_http_are_those_of_the_object(sandbox: Sandbox) -> None:
    sandbox.reset(fault="503@x1")
    post(sandbox)
    post(sandbox)

    over_http = requests.get(sandbox.url + "/_stats", timeout=60).json()

    assert over_http == sandbox.stats()
    assert over_http == {"requests": 2, "orders": 3, "accepted": 1, "violations": {}, "faults": {"503": 1}}


def test_a_reset_clears_everything_and_sets_the_faults(sandbox: Sandbox) -> None:
    post(sandbox)
    settings = {"fault": "503@x1", "seed": 5, "latency_ms": 200}

    assert requests.post(sandbox.url + "/_reset", json=settings, timeout=60).json() == {"status": "success"}

    assert (sandbox.state(), sandbox.requests(), sandbox.stats()["requests"]) == ({}, [], 0)
    answer = post(sandbox)
    assert answer.status_code == 503
    assert answer.elapsed.total_seconds() >= 0.2


def test_a_reset_without_a_body_ends_all_faults(sandbox: Sandbox) -> None:
    sandbox.reset(fault="503@1", latency_ms=100)

    assert requests.post(sandbox.url + "/_reset", timeout=60).ok
    assert post(sandbox).ok


def test_a_reset_can_keep_the_state(sandbox: Sandbox) -> None:
    post(sandbox)

    assert requests.post(sandbox.url + "/_reset", json={"keep_state": True}, timeout=60).ok
    assert sandbox.state() == GOOD_STATE
    assert sandbox.stats()["accepted"] == 0


def test_a_reset_can_make_the_shop_inactive_and_the_next_one_active_again(sandbox: Sandbox) -> None:
    requests.post(sandbox.url + "/_reset", json={"inactive": True}, timeout=60)
    refused = post(sandbox)
    requests.post(sandbox.url + "/_reset", timeout=60)

    assert (refused.status_code, post(sandbox).status_code) == (403, 200)


def test_a_reset_can_make_the_sandbox_lenient_and_the_next_one_strict_again(sandbox: Sandbox) -> None:
    requests.post(sandbox.url + "/_reset", json={"lenient": True}, timeout=60)
    accepted = post(sandbox, body_of([order(1)]))
    requests.post(sandbox.url + "/_reset", timeout=60)

    assert (accepted.status_code, post(sandbox, body_of([order(1)])).status_code) == (200, 400)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"fault": "503"}',
        b'{"fault": 503}',
        b'{"seed": "x"}',
        b'{"latency_ms": -1}',
        b'{"inactive": 1}',
        b'{"lenient": "yes"}',
        b'{"faults": ""}',
    ],
)
def test_a_reset_that_cannot_be_used_changes_nothing(sandbox: Sandbox, body: bytes) -> None:
    post(sandbox)
    before = sandbox.stats()

    answer = requests.post(sandbox.url + "/_reset", data=body, timeout=60)

    assert (answer.status_code, answer.json()["status"]) == (400, "error")
    assert (sandbox.state(), sandbox.stats()) == (GOOD_STATE, before)


def test_a_port_can_be_chosen_and_is_free_again_afterwards() -> None:
    with running("demo", SECRET) as first:
        pass
    with running("other", SECRET, port=first.port, fault="503@1", seed=1) as second:
        assert second.url == f"http://127.0.0.1:{first.port}"
        assert post(second).status_code == 503


def test_a_sandbox_can_be_lenient_from_its_start() -> None:
    with running("demo", SECRET, lenient=True) as lenient:
        assert post(lenient, body_of([order(1)])).status_code == 200
