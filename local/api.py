"""Airflow's REST API on this machine, as the user of ``make up``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import requests

USER = "admin"
TIMEOUT_S = 10


def passwords_file(home: Path) -> Path:
    """Return the file from which Airflow reads the password of :data:`USER`."""
    return home / "passwords.json"


class Api:
    """
    The API of the Airflow that runs in a home; logs in by itself.

    :param url: of Airflow.
    :param home: its AIRFLOW_HOME, which has the password.
    """

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.password: str = json.loads(passwords_file(home).read_text())[USER]
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy cannot reach this machine's loopback

    def health(self) -> dict[str, dict[str, str | None]]:
        """
        Return what Airflow says about the heartbeats of its components.

        :raises requests.RequestException: it does not answer.
        """
        answer = self._session.get(f"{self.url}/api/v2/monitor/health", timeout=TIMEOUT_S)
        answer.raise_for_status()
        health: dict[str, dict[str, str | None]] = answer.json()
        return health

    def call(self, method: str, path: str, **options: Any) -> Any:
        """
        Return the response to a request.

        :param path: below ``/api/v2/``.
        :raises requests.RequestException: there is none, or it is an error.
        """
        if "Authorization" not in self._session.headers:
            self._log_in()
        answer = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=TIMEOUT_S, **options)
        if answer.status_code == requests.codes.unauthorized:  # a login ends after a day
            self._log_in()
            answer = self._session.request(method, f"{self.url}/api/v2/{path}", timeout=TIMEOUT_S, **options)
        answer.raise_for_status()
        return answer.json()

    def _log_in(self) -> None:
        login = {"username": USER, "password": self.password}
        answer = self._session.post(f"{self.url}/auth/token", json=login, timeout=TIMEOUT_S)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
