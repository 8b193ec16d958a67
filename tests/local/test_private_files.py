"""What `make` writes is for its owner alone, also if the shell's umask lets others read."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from local.servers import free_ports
from local.set_up import write_settings
from tests.conftest import PROJECT, postgres_folder

ROOT = os.geteuid() == 0


def open_to_others(folder: Path) -> list[str]:
    """What others may read, or enter: a folder that its group may only pass through is closed."""
    found = []
    for path in (folder, *folder.rglob("*")):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & (0o067 if path == folder and ROOT else 0o077):
            found.append(f"{path.relative_to(folder)} {stat.filemode(mode)}")
    return found


@contextmanager
def project_copy(folder: Path) -> Iterator[Path]:
    """A project in a folder of its own, with this project's packages."""
    project = folder / "project"
    for name in ("local", "plugins", "dags", "include"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("airflow.cfg.in", "pyproject.toml"):
        shutil.copy(PROJECT / name, project / name)
    yield project


def run(project: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "REES46"))}
    return subprocess.run(
        ["sh", "-c", 'umask 022 && exec "$@"', "sh", sys.executable, "-m", module, *arguments],
        cwd=project,
        env=variables | {"PYTHONPATH": str(project / "plugins")},
        capture_output=True,
        text=True,
        timeout=280,
    )


@pytest.mark.e2e
def test_setup_and_a_run_of_the_demo_leave_nothing_that_others_may_read(tmp_path: Path) -> None:
    with project_copy(tmp_path) as project:
        for module in ("local.set_up", "local.demo"):
            done = run(project, module)
            assert done.returncode == 0, done.stdout + done.stderr
        home = project / ".airflow"
        written = {path.relative_to(home).parts[0] for path in home.rglob("*")}
        assert {"airflow.cfg", "airflow.db", "demo", "logs", "rees46_staging", "secrets.json"} <= written
        assert open_to_others(home) == []
        key = next(line for line in (home / "airflow.cfg").read_text().splitlines() if line.startswith("fernet_key"))
        Fernet(key.split(" = ")[1])


def test_a_home_that_an_earlier_version_left_open_is_closed_and_keeps_its_key(tmp_path: Path) -> None:
    home = tmp_path / "home"
    template = "[core]\nfernet_key = @FERNET_KEY@\ndags_folder = @PROJECT@/dags\n"
    write_settings(home, template)
    before = (home / "airflow.cfg").read_text()
    (home / "logs").mkdir(mode=0o755)
    (home / "logs" / "task.log").touch(mode=0o664)
    (home / "link").symlink_to("/etc/passwd")
    home.chmod(0o755)
    assert len(open_to_others(home)) == 3

    write_settings(home, template)

    assert open_to_others(home) == []
    assert (home / "airflow.cfg").read_text() == before
    assert Path("/etc/passwd").stat().st_mode & 0o004


POSTGRES = """
import os, pathlib, sys
from local.home import keep_private, make_private
from local import postgres
home = pathlib.Path(sys.argv[1])
keep_private()
make_private(home)
with postgres.running(home) as sockets:
    print(sockets)
    for folder in (sockets, *sockets.parents):
        print(oct(folder.stat().st_mode & 0o777), folder)
"""


@pytest.mark.parametrize("name", ["home", "a" * 90])
def test_postgresql_listens_in_a_closed_folder_and_opens_none_above(name: str) -> None:
    with postgres_folder() as folder:
        folder.chmod(0o710 if ROOT else 0o700)
        home = folder / name
        opened = [folder, *folder.parents, *PROJECT.parents, Path(sys.prefix)]
        before = [path.stat().st_mode for path in opened]

        done = subprocess.run(
            [sys.executable, "-c", POSTGRES, str(home)], cwd=PROJECT, capture_output=True, text=True, timeout=120
        )

        assert done.returncode == 0, done.stderr
        sockets, first, *above = done.stdout.splitlines()
        assert first == f"0o700 {sockets}"
        assert Path(sockets).is_relative_to(home) == (name == "home")
        assert any(line.startswith("0o7") and line.split()[0][-1] == "0" for line in above)
        assert [path.stat().st_mode for path in opened] == before
        assert open_to_others(home) == []


@pytest.mark.skipif(not ROOT, reason="PostgreSQL runs as another user only if root starts it")
def test_root_is_told_which_folder_postgresql_may_not_enter_and_it_stays_closed() -> None:
    port, sandbox_port = map(str, free_ports(2))
    with tempfile.TemporaryDirectory() as closed:
        Path(closed).chmod(0o700)
        done = subprocess.run(
            [
                *(sys.executable, "-m", "local.up", "--home", f"{closed}/home"),
                *("--port", port, "--sandbox-port", sandbox_port),
            ],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 1, done.stderr
        assert f"its user pgserver may not enter {closed}.\nStart this as another user than root" in done.stdout
        assert Path(closed).stat().st_mode & 0o777 == 0o700
