"""What the Dockerfile does, without Docker: the package installed, and the folders somewhere else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT

WHAT_AIRFLOW_FINDS = """
import json, pathlib, sys
from airflow import plugins_manager
from airflow.dag_processing.dagbag import DagBag
from airflow.providers_manager import ProvidersManager
from airflow.utils import db
import rees46_sync
from rees46_sync.monitoring import page

db.initdb()
bag = DagBag(sys.argv[1])
plugins = plugins_manager._get_plugins()
print(json.dumps({
    "package": rees46_sync.__file__,
    "page": sorted(file.name for file in pathlib.Path(page.__file__).parent.glob("*/*")),
    "dags": sorted(bag.dags),
    "import errors": bag.import_errors,
    "plugins": [plugin.name for plugin in plugins[0]],
    "plugin errors": plugins[1],
    "apps": [app["name"] for plugin in plugins[0] if plugin.name == "rees46" for app in plugin.fastapi_apps],
    "connection type": ProvidersManager().hooks["rees46"].hook_name,
}))
"""


def run(*command: str | Path, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "REES46", "PY"))}
    done = subprocess.run(command, cwd="/", env=inherited | environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return done.stdout


def copies() -> list[tuple[list[str], str]]:
    """What the Dockerfile copies: from here, to there."""
    text = (PROJECT / "Dockerfile").read_text()
    [default] = re.findall(r"^ARG REQUIREMENTS=(.+)$", text, re.MULTILINE)
    text = text.replace("${REQUIREMENTS}", default)
    lines = [line.split()[2:] for line in text.splitlines() if line.startswith("COPY --chown=airflow:0 ")]
    return [(line[:-1], line[-1]) for line in lines]


def lay_out(sources: list[str], target: Path, folder: bool) -> None:
    """Copy as Docker does: of a folder what is in it."""
    for source in (PROJECT / name for name in sources):
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            place = target / source.name if folder else target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow finds of an installation that the Dockerfile's steps made, with the lock's packages beside it."""
    root = tmp_path_factory.mktemp("image")
    for sources, target in copies():
        lay_out(sources, root / target.lstrip("/"), target.endswith("/") or len(sources) > 1)
    uv, environment = Path(sysconfig.get_path("scripts")) / "uv", root / "venv"
    run(uv, "venv", "--quiet", "--python", sys.executable, environment)
    [site] = environment.glob("lib/python*/site-packages")
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not package.name.startswith(("airflow_provider_rees46", "_airflow_provider_rees46")):
            (site / package.name).symlink_to(package)
    python = environment / "bin" / "python"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--python", python]
    run(uv, "pip", "install", *options, root / "opt" / "rees46")
    airflow = root / "opt" / "airflow"
    said = run(
        python,
        "-c",
        WHAT_AIRFLOW_FINDS,
        airflow / "dags",
        AIRFLOW_HOME=str(airflow),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
    )
    return {"root": str(root), **json.loads(said.splitlines()[-1])}


def test_airflow_finds_the_dags_the_provider_and_the_plugin_of_an_installed_package(found: dict[str, Any]) -> None:
    assert found["package"].startswith(f"{found['root']}/venv/")
    assert found["import errors"] == {}
    assert found["dags"] == [
        "order_status_freshness",
        "order_status_history_demo",
        "order_status_reconcile",
        "order_status_sync_demo",
    ]
    assert found["connection type"] == "REES46"
    assert found["plugin errors"] == {}
    assert found["plugins"].count("rees46") == 1
    assert found["apps"] == ["rees46", "REES46 Data Docs"]


def test_the_page_brings_its_templates_and_styles(found: dict[str, Any]) -> None:
    assert {"base.html", "overview.html", "page.css", "page.js"} <= set(found["page"])


def test_the_image_is_that_of_the_airflow_in_the_lock() -> None:
    [version] = re.findall(
        r"^ARG AIRFLOW=apache/airflow:([\d.]+)-python3\.\d+$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE
    )
    assert f"\napache-airflow=={version} \\\n" in (PROJECT / "requirements.txt").read_text()


def test_everything_that_the_image_takes_is_there() -> None:
    assert [name for sources, _ in copies() for name in sources if not (PROJECT / name).exists()] == []
