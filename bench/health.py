"""
What sixty impatient monitors do to Airflow's UI: ``python -m bench --only health``.

They ask the health of the shops, which needs no login, as fast as it is answered; for comparison Airflow's own health,
which needs none either. Meanwhile a user's request is timed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import requests

from tests.e2e.airflow_stack import AirflowStack

CLIENTS = 60
SECONDS = 20
OF_A_USER = "/api/v2/dags?limit=50"
ROUTES = {"none": None, "airflow": "/api/v2/monitor/health", "ours": "/rees46/health"}


def measure(airflow: AirflowStack) -> dict[str, list[float]]:
    """Return the seconds of a user's requests while nobody asks a route, and while sixty clients ask it."""
    found = {}
    for name, route in ROUTES.items():
        with _asked(f"{airflow.url}{route}" if route else None):
            found[name] = _timed(airflow)
    return found


def _timed(airflow: AirflowStack) -> list[float]:
    seconds = []
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        began = time.perf_counter()
        airflow.session.get(f"{airflow.url}{OF_A_USER}", timeout=120).raise_for_status()
        seconds.append(time.perf_counter() - began)
        time.sleep(0.05)
    return seconds


@contextmanager
def _asked(url: str | None) -> Iterator[None]:
    ended = threading.Event()

    def ask() -> None:
        with requests.Session() as session:
            session.trust_env = False
            while url and not ended.is_set():
                session.get(url, timeout=120)

    with ThreadPoolExecutor(CLIENTS) as clients:
        asking = [clients.submit(ask) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            ended.set()
    for one in asking:
        one.result()
