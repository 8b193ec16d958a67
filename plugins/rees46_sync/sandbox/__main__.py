"""``python -m rees46_sync.sandbox``: run a sandbox as a process of its own; see :mod:`rees46_sync.sandbox.server`."""

from __future__ import annotations

import argparse
import signal
import socket
from collections.abc import Sequence

from rees46_sync.sandbox.server import App, Sandbox
from rees46_sync.sandbox.transport import SandboxServer


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a sandbox until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser("python -m rees46_sync.sandbox", description="A strict local REES46.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--shop-id", required=True)
    parser.add_argument("--shop-secret", required=True)
    parser.add_argument("--fault", default="", metavar="SPEC", help="such as 503@0.1,429:2@0.05,slow:2@x3")
    parser.add_argument("--seed", type=int, default=0, help="draws the faults")
    parser.add_argument("--latency-ms", type=int, default=0, help="added to each answer of the API")
    parser.add_argument("--lenient", action="store_true", help="only what REES46's documents demand")
    options = parser.parse_args(arguments)
    try:
        listener = socket.create_server((options.host, options.port))
        sandbox = Sandbox(options.host, listener.getsockname()[1], options.shop_id, options.shop_secret)
        sandbox.reset(options.fault, options.seed, options.latency_ms, lenient=options.lenient)
    except (OSError, OverflowError, ValueError) as error:
        parser.error(str(error))
    server = SandboxServer(App(sandbox))
    for number in (signal.SIGTERM, signal.SIGINT):
        # After a clean stop uvicorn raises the signal once more; with this handler the exit code is 0.
        signal.signal(number, server.handle_exit)
    print(f"sandbox: {sandbox.url}", flush=True)
    server.run([listener])


if __name__ == "__main__":
    main()
