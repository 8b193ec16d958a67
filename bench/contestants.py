"""The commands of the others."""

from __future__ import annotations

import os
import subprocess
import time

import sqlalchemy as sa

from bench.data import Orders
from bench.ours import PROJECT, RunFailedError
from bench.receiver import Receiver

PYTHON_OF_PEERS = PROJECT / ".venv-peers" / "bin" / "python"


def run_peer(name: str, orders: Orders, receiver: Receiver) -> float:
    """
    Run a peer as its one command; return the seconds.

    :raises RunFailedError: it failed; the message has the end of its output.
    """
    began = time.perf_counter()
    done = subprocess.run(
        peer_command(name, orders, receiver),
        env=os.environ | {"NO_PROXY": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise RunFailedError(f"{name} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return seconds


def peer_command(name: str, orders: Orders, receiver: Receiver) -> list[str]:
    """Return the command of a peer."""
    script = PROJECT / "bench" / "peers" / f"{name}.py"
    return [str(PYTHON_OF_PEERS), str(script), "--warehouse", orders.uri, "--url", receiver.url]


def run_php(php: str, orders: Orders, receiver: Receiver) -> float:
    """
    Run the loop in real PHP; return the seconds.

    :raises RunFailedError: it failed, or it lacks an extension.
    """
    url = sa.make_url(orders.uri)
    script = str(PROJECT / "bench" / "peers" / "php_loop.php")
    began = time.perf_counter()
    done = subprocess.run(
        [php, script, str(url.query["host"]), str(url.database), receiver.url],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RunFailedError(f"php ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
    return time.perf_counter() - began
