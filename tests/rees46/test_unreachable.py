"""Why a request got no answer: the words for each way."""

from __future__ import annotations

import json

import pytest

from rees46_sync.exceptions import Rees46UnavailableError
from rees46_sync.rees46 import hook as hook_module
from rees46_sync.sandbox.server import Sandbox
from tests.conftest import rees46_connection
from tests.rees46.conftest import ORDERS, HookOf

BROKEN_OFF = "broke the connection off before it answered (ConnectionResetError); the batch may have arrived"


@pytest.mark.parametrize(
    ("fault", "port", "words"),
    [
        pytest.param("reset_after@1", None, BROKEN_OFF, id="reset-after-sending"),
        pytest.param("reset_before@1", None, BROKEN_OFF, id="reset-before-it-was-read"),
        pytest.param(
            "", 1, "cannot be reached (ConnectionRefusedError); check host, port and schema", id="closed-port"
        ),
    ],
)
def test_a_connection_that_broke_off_is_not_called_unreachable(
    sandbox: Sandbox, hook_of: HookOf, monkeypatch: pytest.MonkeyPatch, fault: str, port: int | None, words: str
) -> None:
    monkeypatch.setattr(hook_module, "ATTEMPTS", 1)
    sandbox.reset(fault=fault)
    connection = json.loads(rees46_connection(sandbox))
    connection["port"] = port or sandbox.port

    with pytest.raises(Rees46UnavailableError) as caught:
        hook_of(json.dumps(connection)).send(ORDERS)

    assert words in str(caught.value)
