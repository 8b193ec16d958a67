"""What happens after the answer: orders are processed at once, later or never, and REES46 mails."""

from __future__ import annotations

import time

import pytest
import requests

from rees46_sync.sandbox.contract import ContractViolationError
from rees46_sync.sandbox.processing import Processing
from rees46_sync.sandbox.server import Sandbox
from tests.sandbox.conftest import PATH, PRESENT_DAY, SECRET, body_of, order, post, succeeded


class Clock:
    """A clock that stands still until it is set."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.clock
@pytest.mark.parametrize(
    ("steps", "state"),
    [
        pytest.param([(0, 1, 0)], 1, id="at-once"),
        pytest.param([(0, 0, 0), (0, 2, 0), (0, 1, 0)], 1, id="in-order-of-arrival"),
        pytest.param([(0, 1, 5), (1, 2, 0), (4.9, None, 0)], 2, id="not-yet-due"),
        pytest.param([(0, 1, 5), (1, 2, 0), (5, None, 0)], 1, id="lands-after-a-newer-one"),
        pytest.param([(0, 1, 5), (6, 2, 0)], 2, id="due-before-a-newer-one-that-nobody-awaited"),
        pytest.param([(0, 1, 9), (1, 2, 5), (20, None, 0)], 1, id="two-late-ones-in-order-of-processing"),
        pytest.param([(0, 1, 5), (0, 2, 5), (20, None, 0)], 2, id="due-at-the-same-time-in-order-of-arrival"),
    ],
)
def test_orders_are_processed_in_the_order_of_their_times(
    steps: list[tuple[float, int | None, float]], state: int
) -> None:
    clock = Clock()
    processing = Processing(clock)

    for at, status, delay_s in steps:
        clock.now = 100 + at
        if status is not None:
            processing.process({"a": status}, delay_s)

    assert processing.state() == {"a": state}


@pytest.mark.clock
@pytest.mark.parametrize(("keep_state", "state"), [(False, {}), (True, {"late": 1, "now": 0})])
def test_a_clearing_removes_what_waits_too_unless_it_keeps_the_state(keep_state: bool, state: dict[str, int]) -> None:
    clock = Clock()
    processing = Processing(clock)
    processing.process({"now": 0})
    processing.process({"late": 1}, 5)
    processing.drop({"lost": 2})

    processing.clear(keep_state=keep_state)

    clock.now += 5
    assert (processing.state(), processing.mails()) == (state, [])


def text_of_drop(count: int) -> str:
    processing = Processing()
    processing.drop({f"order-{number}": 1 for number in range(count)})
    [mail] = processing.mails()
    return mail["text"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        pytest.param(1, 'Not processed (1): "order-0".', id="one"),
        pytest.param(5, 'Not processed (5): "order-0", "order-1", "order-2", "order-3", "order-4".', id="a-handful"),
        pytest.param(
            1000,
            'Not processed (1000): "order-0", "order-1", "order-2", "order-3", "order-4" and 995 more.',
            id="many",
        ),
    ],
)
def test_a_mail_about_dropped_orders_names_a_handful(count: int, text: str) -> None:
    assert text_of_drop(count) == text


@pytest.mark.parametrize("order_id", ["x" * 100_000, "a\nBcc: everyone"])
def test_an_odd_order_id_stays_on_one_short_line_of_a_mail(order_id: str) -> None:
    processing = Processing()
    processing.drop({order_id: 1})

    [mail] = processing.mails()
    assert len(mail["text"]) < 100
    assert mail["text"].isprintable()


def test_only_the_last_thousand_mails_are_kept() -> None:
    processing = Processing()
    for kind in ["empty_orders", *["not_json"] * 1000]:
        processing.report(ContractViolationError(kind))

    assert {mail["text"] for mail in processing.mails()} == {str(ContractViolationError("not_json"))}
    assert len(processing.mails()) == 1000


@pytest.mark.clock
def test_dropped_orders_and_bad_data_make_mails_without_secrets(sandbox: Sandbox) -> None:
    sandbox.reset(fault="drop@x1")
    before = time.time()
    answer = post(sandbox, body_of([order("17"), order("18")]))
    post(sandbox, body_of([]))
    post(sandbox, body_of([order("a-private-id", 9)]))
    post(sandbox, body_of([order("1")]))

    mails = requests.get(sandbox.url + "/_mails", timeout=60)

    assert succeeded(PATH, answer)
    assert mails.json() == sandbox.mails()
    assert [(mail["subject"], mail["text"]) for mail in mails.json()] == [
        ("Orders were not processed", 'Not processed (2): "17", "18".'),
        ("Order statuses could not be read", "orders is empty."),
        ("Order statuses could not be read", "orders[0]: status is none of 0, 1 and 2."),
    ]
    assert all(before <= mail["at"] <= time.time() for mail in mails.json())
    assert SECRET not in mails.text
    assert sandbox.state() == {"1": 1}


@pytest.mark.parametrize(("path", "older", "newer"), [(PATH, 1, 2), (PRESENT_DAY, "paid", "cancelled")])
def test_an_older_request_that_is_processed_late_replaces_a_newer_one(
    sandbox: Sandbox, path: str, older: object, newer: object
) -> None:
    sandbox.reset(fault="late:2@x1")

    assert succeeded(path, post(sandbox, body_of([order("a", older)]), path=path))
    assert requests.get(sandbox.url + "/_state", timeout=60).json() == {}
    assert succeeded(path, post(sandbox, body_of([order("a", newer)]), path=path))
    assert sandbox.state() == {"a": newer}

    deadline = time.monotonic() + 60
    while sandbox.state() != {"a": older}:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert sandbox.mails() == []


def test_a_reset_removes_orders_that_wait_and_mails(sandbox: Sandbox) -> None:
    sandbox.reset(fault="late:0.2@x1,drop@x1")
    post(sandbox)
    post(sandbox)
    assert len(sandbox.mails()) == 1

    sandbox.reset()

    time.sleep(0.3)
    assert (sandbox.state(), sandbox.mails()) == ({}, [])
