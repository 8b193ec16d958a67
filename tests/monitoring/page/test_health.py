"""The health under load, and with a token."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import anyio.to_thread
import httpx
import pytest
from fastapi.testclient import TestClient

from rees46_sync.ledger.database import Ledger
from rees46_sync.monitoring.page.routes.health import TOKEN
from tests.conftest import ShopUnderTest
from tests.monitoring.builders import save_success

CLIENTS = 60


class SilentServer:
    """A database server that accepts connections and says nothing, until it hangs up."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections: list[socket.socket] = []

    def accept(self, timeout_s: float) -> bool:
        """Return whether a client has connected in this time."""
        self._listener.settimeout(timeout_s)
        with contextlib.suppress(TimeoutError):
            self.connections.append(self._listener.accept()[0])
            return True
        return False

    def hang_up(self) -> None:
        for one in (self._listener, *self.connections):
            one.close()


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    server = SilentServer()
    yield server
    server.hang_up()


def test_many_monitors_wait_for_one_look_at_a_silent_ledger_and_airflow_answers_meanwhile(
    airflow_app: Any, two_shops: ShopUnderTest, silent: SilentServer
) -> None:
    two_shops.connect("shop_ledger", f"postgres://x:y@127.0.0.1:{silent.port}/z")

    async def ask() -> tuple[int, list[int]]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = 2
        transport = httpx.ASGITransport(airflow_app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=60) as client:
            asked = [asyncio.create_task(client.get("/rees46/health")) for _ in range(CLIENTS)]
            assert await asyncio.to_thread(silent.accept, 60)
            airflow = await client.get("/api/v2/monitor/health")  # it needs one of the two threads
            assert not any(one.done() for one in asked)
            assert not await asyncio.to_thread(silent.accept, 0.2)
            silent.hang_up()
            return airflow.status_code, [response.status_code for response in await asyncio.gather(*asked)]

    assert asyncio.run(ask()) == (200, [503] * CLIENTS)


def test_a_shop_file_that_is_a_device_is_not_read_without_end(anonymous: TestClient, two_shops: ShopUnderTest) -> None:
    (two_shops.shops / "endless.yaml").symlink_to("/dev/zero")

    response = anonymous.get("/rees46/health")

    assert [shop["shop"] for shop in response.json()["shops"]] == ["secret", "test"]
    assert response.status_code == 503


@pytest.mark.clock
@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param(None, 401, id="none"),
        pytest.param("Bearer of-monitörs", 200, id="right"),
        pytest.param("Bearer of-monitör", 401, id="too-short"),
        pytest.param("Bearer of-monitörs ", 401, id="too-long"),
        pytest.param("of-monitörs", 401, id="without-its-kind"),
        pytest.param("Bearer", 401, id="empty"),
    ],
)
def test_if_a_token_is_set_only_who_sends_it_sees_the_health(
    anonymous: TestClient,
    ledger: Ledger,
    frozen_now: datetime,
    monkeypatch: pytest.MonkeyPatch,
    sent: str | None,
    status: int,
) -> None:
    for shop in ("test", "secret"):
        save_success(ledger, shop, frozen_now, shop=shop, dag_id=f"order_status_sync_{shop}")
    monkeypatch.setenv(TOKEN, "of-monitörs")

    response = anonymous.get("/rees46/health", headers={"Authorization": sent.encode()} if sent else {})

    assert response.status_code == status
    assert ("secret" in response.text) == (status == 200)
    assert response.headers.get("WWW-Authenticate") == (None if status == 200 else "Bearer")
