"""What the tests of the sandbox share: a running one, requests to it, and good bodies."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests

from rees46_sync.sandbox.faults import FaultPlan
from rees46_sync.sandbox.server import Sandbox, running

PATH = "/import/sync_orders"


PRESENT_DAY = "/sync/orders"


SECRET = "s3cret-of-the-tests"


JSON = {"Content-Type": "application/json"}


SUCCESS = {
    PATH: ("OK", "text/plain; charset=utf-8"),
    PRESENT_DAY: ('{"status":"success"}', "application/json"),
}
"""Body and content type of the answer to an accepted request."""


PATIENCE_S = 1
"""How long a test waits for a response that must not come."""


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with running("demo", SECRET) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.reset()
    return server


def body_of(orders: object, **others: object) -> bytes:
    return json.dumps({"shop_id": "demo", "shop_secret": SECRET, "orders": orders} | others).encode()


def order(order_id: object = "1", status: object = 1) -> dict[str, object]:
    return {"id": order_id, "status": status}


GOOD = body_of([order("1", 1), order("msk2", 2), order("007", 0)])


GOOD_STATE = {"1": 1, "msk2": 2, "007": 0}


GOOD_TEXT_STATE = {"1": "delivered", "msk2": "отменён", "007": " new "}


GOOD_TEXTS = body_of([order(*pair) for pair in GOOD_TEXT_STATE.items()])


OVER_BOTH = pytest.mark.parametrize(
    ("path", "good", "good_state"),
    [
        pytest.param(PATH, GOOD, GOOD_STATE, id="import_sync_orders"),
        pytest.param(PRESENT_DAY, GOOD_TEXTS, GOOD_TEXT_STATE, id="sync_orders"),
    ],
)


def post(sandbox: Sandbox, body: bytes = GOOD, timeout: float = 60, path: str = PATH) -> requests.Response:
    url = sandbox.url + path
    return requests.post(url, data=body, headers=JSON, timeout=timeout, allow_redirects=False)


def succeeded(path: str, answer: requests.Response) -> bool:
    """Whether an answer says that all is well, exactly as documented."""
    return (answer.status_code, (answer.text, answer.headers["Content-Type"])) == (200, SUCCESS[path])


@contextmanager
def raw_request(sandbox: Sandbox, body: bytes = GOOD) -> Iterator[socket.socket]:
    """Send a request that announces the length of GOOD; the caller reads the response."""
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection((sandbox.host, sandbox.port), timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: {len(GOOD)}\r\n\r\n".encode() + body)
        yield connection


def wait_for_requests(sandbox: Sandbox, count: int) -> None:
    deadline = time.monotonic() + 60
    while sandbox.stats()["requests"] != count:
        assert time.monotonic() < deadline, f"{sandbox.stats()['requests']} of {count} requests arrived"
        time.sleep(0.01)


def outcomes(sandbox: Sandbox) -> list[str]:
    return [row["outcome"] for row in sandbox.requests()]


def planned(plan: FaultPlan, count: int) -> list[str]:
    return [fault.kind if (fault := plan.draw(number)) else "accepted" for number in range(1, count + 1)]
