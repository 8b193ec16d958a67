"""The home of ``make up``: who holds it, and the keys of its Airflow."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from local.api import USER, passwords_file
from rees46_sync.doctor.environment import UP_FILE


class HomeTakenError(Exception):
    """Another ``make up`` runs in this home."""


class UnusableHomeError(Exception):
    """Nothing can run in this home."""


class HeldHome:
    """A home that this process holds."""

    def __init__(self, file: int) -> None:
        self._file = file

    def tell(self, **facts: Any) -> None:
        """Write down what others may want to know of this process."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps({"pid": os.getpid(), **facts}).encode(), 0)


def keep_private() -> None:
    """Let this process, and those that it starts, create files for their owner alone, whatever the shell's umask is."""
    os.umask(0o077)


def make_private(home: Path) -> None:
    """
    Create a home that only its owner may enter; close one that an earlier version left open.

    The PostgreSQL of root's ``make up`` is another user, but of root's group: it may pass through.
    """
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o710 if os.geteuid() == 0 else 0o700)
    for folder, folders, files in os.walk(home):
        for path in (Path(folder, name) for name in (*folders, *files)):
            found = path.lstat()
            if found.st_uid == os.geteuid() and not stat.S_ISLNK(found.st_mode) and found.st_mode & 0o077:
                path.chmod(found.st_mode & 0o700)


@contextmanager
def held(home: Path) -> Iterator[HeldHome]:
    """
    Hold a home, which is created if it does not exist.

    :raises HomeTakenError: another process holds it.
    """
    make_private(home)
    # Not inherited: what outlives this process does not hold the home.
    file = os.open(home / UP_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = json.loads(os.pread(file, 1_000_000, 0) or b"{}")
            raise HomeTakenError(
                f"Airflow runs already in {home}: process {holder.get('pid', '?')}, {holder.get('url', 'starting')}.\n"
                "Use it, or stop it (Ctrl-C in its terminal)."
            ) from None
        try:
            yield HeldHome(file)
        finally:
            os.ftruncate(file, 0)
    finally:
        os.close(file)


def keys(home: Path) -> Mapping[str, str]:
    """Return this Airflow's keys, generated at its first start; one of them encrypts its stored connections."""
    file = home / "secrets.json"
    if not file.exists():
        made = {
            "fernet_key": Fernet.generate_key().decode(),
            "api_secret": secrets.token_urlsafe(64),
            "jwt_secret": secrets.token_urlsafe(64),
        }
        passwords = passwords_file(home)
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({USER: secrets.token_urlsafe(9)}))
        file.touch(mode=0o600)
        file.write_text(json.dumps(made))  # last, so that the file is complete if it exists
    kept: dict[str, str] = json.loads(file.read_text())
    return kept
