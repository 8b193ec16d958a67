"""The sandbox as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
import requests

from tests.conftest import PROJECT
from tests.sandbox.conftest import (
    GOOD,
    GOOD_STATE,
    JSON,
    PATH,
    PATIENCE_S,
    SECRET,
    body_of,
    order,
)


def start_process(*arguments: str) -> subprocess.Popen[str]:
    credentials = ["--port", "0", "--shop-id", "demo", "--shop-secret", SECRET]
    return subprocess.Popen(
        [sys.executable, "-m", "rees46_sync.sandbox", *credentials, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT / "plugins")},
    )


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_prints_its_address_and_stops_silently(number: signal.Signals) -> None:
    with start_process("--fault", "reset_after@x1,never@x1", "--seed", "1", "--latency-ms", "1") as process:
        try:
            assert process.stdout is not None
            name, url = process.stdout.readline().split()
            assert name == "sandbox:"
            for error, timeout in ((requests.ConnectionError, 60), (requests.ReadTimeout, PATIENCE_S)):
                with pytest.raises(error):
                    requests.post(url + PATH, data=GOOD, headers=JSON, timeout=timeout)
            assert requests.post(url + PATH, data=GOOD, headers=JSON, timeout=60).ok
            assert requests.get(url + "/_state", timeout=60).json() == GOOD_STATE

            process.send_signal(number)
            assert process.communicate(timeout=60) == ("", "")
            assert process.returncode == 0
        finally:
            process.kill()


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("arguments", "http_status"), [((), 400), (("--lenient",), 200)])
def test_the_process_can_be_lenient(arguments: tuple[str, ...], http_status: int) -> None:
    with start_process(*arguments) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().split()[1]
            answer = requests.post(url + PATH, data=body_of([order(1)]), headers=JSON, timeout=60)
            assert answer.status_code == http_status
        finally:
            process.kill()


@pytest.mark.timeout(120)
def test_the_process_explains_a_bad_spec() -> None:
    with start_process("--fault", "503") as process:
        _, complaint = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "write 503@0.1 or 503@x3" in complaint
    assert SECRET not in complaint
