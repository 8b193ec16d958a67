"""Fixtures: a partition's delivery, with its connection to REES46 and empty ledgers, and what whole runs log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from tenacity import wait_none

from rees46_sync.rees46 import hook as hook_module
from rees46_sync.rees46 import pace
from rees46_sync.sandbox.server import Sandbox
from tests.conftest import rees46_connection
from tests.pipeline.deliveries import Partition


@pytest.fixture
def extra() -> dict[str, object]:
    """The extra of the connection to REES46."""
    return {}


@pytest.fixture
def new_ledger(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, extra: dict[str, object]
) -> Callable[[], str]:
    """Make an empty ledger, and return its connection's id. REES46 is connected too, without waits between retries."""
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_REES46", rees46_connection(sandbox, timeout_s=20, **extra))
    monkeypatch.setattr(hook_module, "_backoff", wait_none())
    monkeypatch.setattr(hook_module, "_throttled_backoff", wait_none())
    monkeypatch.setattr(pace, "DOCUMENTED_INTERVAL_S", 0.0)
    numbers = count()

    def make() -> str:
        conn_id = f"ledger_{next(numbers)}"
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", f"sqlite:///{tmp_path}/{conn_id}.db")
        return conn_id

    return make


@pytest.fixture
def ledger_conn_id(new_ledger: Callable[[], str]) -> str:
    return new_ledger()


@pytest.fixture
def partition(ledger_conn_id: str) -> Partition:
    return Partition(ledger_conn_id)


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """What the tasks logged; Airflow decides at its first run in a process which of the two they write to."""
    with caplog.at_level(logging.INFO):
        yield lambda: capsys.readouterr().out + caplog.text
