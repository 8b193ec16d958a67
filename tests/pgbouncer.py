"""
A PgBouncer for the tests, if it is installed: in transaction mode, on 127.0.0.1 only, in front of a test's PostgreSQL.

Debian has it in the package pgbouncer. Another PgBouncer of the machine and its settings are not touched.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_TIMEOUT_S = 60
SERVER_CONNECTIONS = 3
_PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")

missing = "" if _PROGRAM else "no PgBouncer here: apt-get install pgbouncer"
"""Why none can be started; empty if one can."""


@dataclass(frozen=True)
class PgBouncer:
    """A running PgBouncer; its clients share few connections to the server, each for one transaction at a time."""

    port: int

    def connection(self, database: str) -> str:
        """Return a database behind it as an Airflow connection, in JSON."""
        place = {"host": "127.0.0.1", "port": self.port, "schema": database}
        return json.dumps({"conn_type": "postgres", "login": "postgres", **place})


@contextmanager
def running_pgbouncer(socket_folder: Path) -> Iterator[PgBouncer]:
    """
    Run a PgBouncer in front of a PostgreSQL.

    :param socket_folder: where that one listens; its owner runs PgBouncer, which does not run as root.
    """
    assert not missing, missing
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        "default_pool_size": SERVER_CONNECTIONS,
    }
    lines = ["[databases]", f"* = host={socket_folder} port=5432 user=postgres", "[pgbouncer]"]
    lines += [f"{name} = {value}" for name, value in settings.items()]
    with tempfile.TemporaryDirectory(prefix="rees46-pgbouncer-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "pgbouncer.ini").write_text("\n".join(lines))
        owner = ["-u", pwd.getpwuid(socket_folder.stat().st_uid).pw_name] if os.geteuid() == 0 else []
        with (folder / "log").open("wb") as log:
            command = [str(_PROGRAM), *owner, str(folder / "pgbouncer.ini")]
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_for(process, port, folder / "log")
            yield PgBouncer(port)
        finally:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.05)
        else:
            return
