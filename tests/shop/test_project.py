"""Where the shop files and .env of a project are."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from rees46_sync.shop import project
from tests.conftest import PROJECT


def test_in_a_checkout_it_is_the_checkout() -> None:
    assert project.find_project() == PROJECT


def test_of_an_installed_package_it_is_airflows_home(tmp_path: Path) -> None:
    file = tmp_path / "lib" / "site-packages" / "rees46_sync" / "shop" / "project.py"
    file.parent.mkdir(parents=True)
    shutil.copy(project.__file__, file)
    code = f"import runpy; print(runpy.run_path({str(file)!r})['find_project']())"

    for variables, expected in (
        ({"AIRFLOW_HOME": "/srv/airflow"}, "/srv/airflow"),
        ({"HOME": "/home/ann"}, "/home/ann/airflow"),
    ):
        done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == expected
