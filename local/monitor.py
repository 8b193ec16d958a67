"""
What a person sees of ``make up``: the state of each component, and the account of each run that ends.

On a terminal the states stay in sight below the lines. In a pipe a line is printed when one changes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local.api import USER, Api
from local.components import Components

STARTING, HEALTHY, HANGS, ENDED = "starting", "healthy", "hangs", "ended"
COLOURS = {STARTING: "yellow", HEALTHY: "green", HANGS: "bold red", ENDED: "bold red"}

HEARTBEATS = {"scheduler": "scheduler", "triggerer": "triggerer", "dag-processor": "dag_processor"}
"""The components with heartbeats, as Airflow's health names them. It calls one unhealthy after 30 s without."""

ANSWERING = ("sandbox", "api-server")
PATIENCE = timedelta(seconds=20)
"""How long these may be without an answer: a busy machine is slow."""

PARTS = ("sent", "unchanged", "superseded", "stale", "reopened", "rejected", "held", "failed")
PREFIXES = {"order_status_sync_": "", "order_status_history_": " (history)"}


@dataclass(frozen=True)
class State:
    """What is known of a component: one of the four states, and since when, or how it ended."""

    kind: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}" if self.kind == HANGS else self.detail or self.kind


class Monitor:
    """Asks for the states of the components, and for the runs that have ended."""

    def __init__(self, components: Components, api: Api, sandbox_port: int) -> None:
        self._components = components
        self._api = api
        self._sandbox_port = sandbox_port
        self._seen: dict[str, datetime] = {}
        self._without_heartbeat: dict[str, datetime] = {}
        self._ended_after = datetime.now(UTC)
        self._reported: set[tuple[str, str, str]] = set()

    def states(self) -> dict[str, State]:
        """Return the state of each component."""
        self._look()
        ended = self._components.ended()
        return {
            name: State(ENDED, ended[name]) if name in ended else self._state(name)
            for name in self._components.processes
        }

    def _look(self) -> None:
        """Note who gives a sign of life. If the API does not answer, the others keep their states."""
        if _accepts(self._sandbox_port):
            self._seen["sandbox"] = datetime.now(UTC)
        try:
            health = self._api.health()
        except requests.RequestException:
            return
        self._seen["api-server"] = datetime.now(UTC)
        for name, key in HEARTBEATS.items():
            if health[key]["status"] == "healthy":
                self._seen[name] = datetime.now(UTC)
                self._without_heartbeat.pop(name, None)
            elif name in self._seen:
                latest = health[key][f"latest_{key}_heartbeat"]
                self._without_heartbeat[name] = datetime.fromisoformat(latest) if latest else self._seen[name]

    def _state(self, name: str) -> State:
        if name not in (*ANSWERING, *HEARTBEATS):
            return State(HEALTHY, "running")
        if name not in self._seen:
            return State(STARTING)
        if name in self._without_heartbeat:
            return State(HANGS, f"no heartbeat since {_clock(self._without_heartbeat[name])}")
        if name in ANSWERING and datetime.now(UTC) - self._seen[name] > PATIENCE:
            return State(HANGS, f"no answer since {_clock(self._seen[name])}")
        return State(HEALTHY)

    def ended_runs(self) -> Iterator[str]:
        """
        Generate a line for each run of a shop that has ended since the last call.

        :raises requests.RequestException: Airflow does not answer.
        """
        runs = self._api.call(
            "GET",
            "dags/~/dagRuns",
            params={
                "state": ["success", "failed"],
                "end_date_gte": self._ended_after.isoformat(),
                "order_by": "end_date",
                "limit": 100,
            },
        )["dag_runs"]
        for run in runs:
            key = (run["dag_id"], run["dag_run_id"], run["end_date"])
            prefix = next((prefix for prefix in PREFIXES if run["dag_id"].startswith(prefix)), None)
            if prefix and key not in self._reported:
                name = run["dag_id"].removeprefix(prefix) + PREFIXES[prefix]
                yield f"{_clock(datetime.fromisoformat(run['end_date']))}  {name}: {self._account(run)}"
            self._reported.add(key)
            self._ended_after = max(self._ended_after, datetime.fromisoformat(run["end_date"]))

    def _account(self, run: Mapping[str, Any]) -> str:
        task = f"dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/account_for_rows"
        try:
            account = self._api.call("GET", f"{task}/xcomEntries/return_value")["value"]
        except requests.HTTPError:
            account = None  # the task did not get there
        return account_line(account, has_failed=run["state"] == "failed")


def account_line(account: Mapping[str, int] | None, *, has_failed: bool) -> str:
    """
    Return the account of a run in one line.

    :param account: of the task account_for_rows; None if it left none.
    """
    failed = "FAILED, " if has_failed else ""
    if account is None:
        return f"{failed}no account"
    parts = ", ".join(f"{account[part]:,} {part}" for part in PARTS if account.get(part))
    would_send = f" (dry run: {account['would_send']:,} would be sent)" if "would_send" in account else ""
    return f"{failed}{account['read']:,} read{f' = {parts}' if parts else ''}{would_send}"


class Screen:
    """
    Prints lines, and on a terminal keeps the address, the login and the states in sight.

    :param verbose: whether the components' own lines are shown as well.
    """

    def __init__(self, components: Components, api: Api, *, verbose: bool) -> None:
        self._components = components
        self._api = api
        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._states: dict[str, State] = {}
        self._offsets: dict[Path, int] | None = {} if verbose else None
        self._was_ready = False

    def __enter__(self) -> Screen:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def line(self, text: str) -> None:
        """Print a line above the states."""
        self._console.print(text)
        sys.stdout.flush()

    def show(self, states: Mapping[str, State]) -> None:
        """Show the states of the components, and say what has changed for the worse, or is well again."""
        self._stream()
        for name, state in states.items():
            before = self._states.get(name, State(STARTING)).kind
            if state.kind in (HANGS, ENDED) and state.kind != before:
                self.line(f"{name} {state}\n  its log: {self._components.log_of(name)}")
            elif state.kind == HEALTHY and before == HANGS:
                self.line(f"{name} is healthy again")
        self._states = dict(states)
        if not self._was_ready and all(state.kind == HEALTHY for state in states.values()):
            self._was_ready = True
            self.line(f"Airflow is ready: {self._api.url}\n  user {USER}  password {self._api.password}")
        if self._console.is_terminal:
            self._live.update(self._panel(), refresh=True)

    def _panel(self) -> Table:
        panel = Table.grid(padding=(0, 2))
        panel.add_row("Airflow", self._api.url)
        panel.add_row("login", f"{USER}  {self._api.password}")
        for name, state in self._states.items():
            panel.add_row(name, Text(str(state), style=COLOURS[state.kind]))
        panel.add_row("", Text("Ctrl-C ends all of it.", style="dim"))
        return panel

    def _stream(self) -> None:
        """Print what the components have written since the last time."""
        if self._offsets is None:
            return
        for name in self._components.processes:
            log = self._components.log_of(name)
            with log.open("rb") as file:
                file.seek(self._offsets.get(log, 0))
                text = file.read()
            whole = text.rpartition(b"\n")[0]
            self._offsets[log] = self._offsets.get(log, 0) + len(whole) + bool(whole)
            for line in whole.decode(errors="replace").splitlines():
                self.line(f"{name:<13} | {line}")


def _clock(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%H:%M:%S} UTC"


def _accepts(port: int) -> bool:
    """Return whether the sandbox answers on a port of this machine."""
    with requests.Session() as session:
        session.trust_env = False  # a proxy cannot reach this machine's loopback
        try:
            return session.get(f"http://127.0.0.1:{port}/_stats", timeout=5).ok
        except requests.RequestException:
            return False
