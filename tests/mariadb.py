"""
A MariaDB for the tests, if its programs are installed: a server in a temporary folder, on 127.0.0.1 only.

Debian has the programs without a service in mariadb-server-core and mariadb-client-core. Another MariaDB of the machine
and its settings are not touched. The server's time zone is not UTC, and it knows no zone by name.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import sqlalchemy as sa

TIME_ZONE = "+09:00"
START_TIMEOUT_S = 180
MEMORY_BYTES = 4 * 2**30
_PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_SERVER, _INSTALL = (shutil.which(name, path=_PLACES) for name in ("mariadbd", "mariadb-install-db"))

missing = "" if _SERVER and _INSTALL else "no MariaDB here: apt-get install mariadb-server-core mariadb-client-core"
"""Why no server can be started; empty if one can."""


@dataclass(frozen=True)
class MariaDB:
    """A running server; its user root has no password."""

    port: int
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def create_database(self, charset: str = "utf8mb4") -> str:
        """Create an empty database; return its name, which is unique."""
        name = f"fresh_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET {charset}")
        return name

    def create_user(self, password: str, *grants: str) -> str:
        """Create a user with only these rights ("SELECT ON fresh_0.*"); return its name."""
        name = f"user_{next(self._numbers)}"
        self.execute(
            f"CREATE USER {name}@'%' IDENTIFIED BY '{password}'", *(f"GRANT {grant} TO {name}@'%'" for grant in grants)
        )
        return name

    def execute(self, *statements: str, database: str | None = None) -> Sequence[Sequence[Any]]:
        """Run statements as root, in a session whose time zone is UTC; return the rows of the last one."""
        with (
            pymysql.connect(
                host="127.0.0.1", port=self.port, user="root", database=database, autocommit=True,
                init_command="SET time_zone = '+00:00'",
            ) as connection,
            connection.cursor() as cursor,
        ):  # fmt: skip
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall()

    def connection(self, database: str, login: str = "root", password: str = "", **extra: object) -> str:
        """Return a database as an Airflow connection, in JSON."""
        return json.dumps(
            {
                "conn_type": "mysql",
                "host": "127.0.0.1",
                "port": self.port,
                "login": login,
                "password": password,
                "schema": database,
                "extra": extra,
            }
        )

    def engine(self, database: str) -> sa.Engine:
        """Return an engine for a database, as root; the caller disposes of it."""
        return sa.create_engine(f"mysql+pymysql://root@127.0.0.1:{self.port}/{database}")


def _memory() -> str | None:
    """Return a folder in memory, if it has room: creating tables is three times as fast there."""
    place = Path("/dev/shm")
    return str(place) if place.is_dir() and shutil.disk_usage(place).free > MEMORY_BYTES else None


@contextmanager
def running_mariadb(*options: str) -> Iterator[MariaDB]:
    """
    Run a server on an empty folder.

    :param options: of ``mariadbd``, such as ``--ssl-cert=…``.
    """
    assert not missing, missing
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    # A socket's path must be short, and those of pytest's own folders are long.
    with tempfile.TemporaryDirectory(prefix="rees46-mariadb-", dir=_memory(), ignore_cleanup_errors=True) as name:
        folder = Path(name)
        common = ["--no-defaults", *as_root, f"--datadir={folder / 'data'}"]
        # A starting server removes the temporary files of all other servers from its TMPDIR.
        environment = {**os.environ, "TMPDIR": name}
        made = subprocess.run(
            [str(_INSTALL), *common, "--auth-root-authentication-method=normal", "--skip-test-db"],
            env=environment, capture_output=True, text=True, timeout=START_TIMEOUT_S, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = int(probe.getsockname()[1])
        quick = ["--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite", "--innodb-buffer-pool-size=64M"]
        place = ["--bind-address=127.0.0.1", f"--port={port}", f"--socket={folder / 's'}", "--skip-name-resolve"]
        zone = f"--default-time-zone={TIME_ZONE}"
        with (folder / "log").open("wb") as log:
            command = [str(_SERVER), *common, *place, *quick, zone, *options]
            server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(server, port, folder / "log")
            yield MariaDB(port)
        finally:
            server.terminate()
            try:
                server.wait(START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def _wait_for(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            pymysql.connect(host="127.0.0.1", port=port, user="root").close()
        except pymysql.err.OperationalError:
            assert server.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.05)
        else:
            return
