"""The wheel in an environment of its own, with Airflow and nothing else, and a project that has only one shop."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from local import demo
from rees46_sync import VERSION
from rees46_sync.sandbox.server import Sandbox
from rees46_sync.shop.shop_file import load_shop
from tests.conftest import PROJECT
from tests.matrix.__main__ import lowest_versions
from tests.test_deploying import WHAT_AIRFLOW_FINDS, run
from tests.test_locks import PRODUCTION, applies, pins

pytestmark = pytest.mark.wheel

PYTHON = Path(sys.executable)
UV = PYTHON.with_name("uv")
FILES = ("Makefile", "pyproject.toml", "LICENSE")
TWO_LINES = "from rees46_sync.airflow_project import create_dags\ncreate_dags(__file__)\n"


def create_environment(folder: Path) -> Path:
    """Create an empty environment, and return its Python."""
    run(UV, "venv", "--quiet", "--python", PYTHON, folder)
    return folder / "bin" / "python"


def install(python: Path, *arguments: str | Path) -> None:
    run(UV, "pip", "install", "--quiet", "--python", python, *arguments)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make release` makes, in a copy of the project."""
    copy = tmp_path_factory.mktemp("copy")
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("plugins", "dags", "include", "docs"):
        shutil.copytree(PROJECT / name, copy / name, ignore=ignored)
    for file in (*PROJECT.glob("*.md"), *PROJECT.glob("requirements*.txt"), *map(PROJECT.joinpath, FILES)):
        shutil.copy(file, copy)
    (copy / ".venv").symlink_to(PYTHON.parents[1])
    run("make", "-C", copy, "--old-file=.venv/.installed", "release")
    return copy / "dist"


@pytest.fixture(scope="module")
def wheel(release: Path) -> Path:
    [file] = release.glob("*.whl")
    return file


@pytest.fixture(scope="module", params=["locked", "lowest"])
def python(request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The Python of an environment with the wheel, what it asks for, and SQLite, on which the demo runs.

    Once with the versions of the lock, after Airflow, and once with the lowest that the wheel allows.
    """
    folder = tmp_path_factory.mktemp("environment")
    python = create_environment(folder / "venv")
    if request.param == "lowest":
        install(python, "-r", lowest_versions(folder, python, ["sqlite"]))
        install(python, "--no-deps", wheel)
        return python
    locked = ("--constraint", PROJECT / "requirements-dev.txt")
    install(python, *locked, "apache-airflow")
    install(python, *locked, f"airflow-provider-rees46[sqlite] @ {wheel.as_uri()}")
    return python


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with demo.run_sandbox() as running:
        yield running


def test_the_wheel_has_every_file_of_the_package(wheel: Path) -> None:
    package = PROJECT / "plugins" / "rees46_sync"
    files = {
        file.relative_to(package.parent).as_posix()
        for file in package.rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    }

    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert "rees46_sync/py.typed" in files
    assert packed == files


def test_a_release_is_a_wheel_the_sources_an_sbom_the_licences_and_their_checksums(release: Path) -> None:
    sums = dict(line.split()[::-1] for line in (release / "SHA256SUMS").read_text().splitlines())

    name = f"airflow_provider_rees46-{VERSION}"
    assert set(sums) == {f"{name}-py3-none-any.whl", f"{name}.tar.gz", "licences.md", "sbom.cdx.json"}
    assert sums == {file: hashlib.sha256((release / file).read_bytes()).hexdigest() for file in sums}


def test_the_sbom_names_the_package_and_the_exact_packages_of_production(release: Path) -> None:
    sbom = json.loads((release / "sbom.cdx.json").read_text())

    root = sbom["metadata"]["component"]
    assert (sbom["bomFormat"], root["name"], root["version"]) == ("CycloneDX", "airflow-provider-rees46", VERSION)
    assert {(canonicalize_name(one["name"]), one["version"]) for one in sbom["components"]} == {
        (canonicalize_name(pin.name), next(iter(pin.specifier)).version) for pin in pins(PRODUCTION) if applies(pin)
    }


@pytest.mark.parametrize(
    ("licence", "code"),
    [
        pytest.param("License-Expression: MIT", 0, id="allowed"),
        pytest.param("License-Expression: GPL-3.0-only", 1, id="not-allowed"),
        pytest.param("License-Expression: GPL-3.0-only AND MIT", 1, id="not-allowed-in-part"),
        pytest.param("Summary: no licence is said", 1, id="unknown"),
        pytest.param(
            "Classifier: License :: OSI Approved :: GNU General Public License (GPL)\n"
            "Classifier: License :: OSI Approved :: Artistic License",
            0,
            id="a-choice-of-two",
        ),
    ],
)
def test_the_list_of_licences_stops_at_one_that_apache_2_0_cannot_ship_with(
    release: Path, tmp_path: Path, licence: str, code: int
) -> None:
    python = create_environment(tmp_path / "venv")
    [site] = python.parents[1].glob("lib/python*/site-packages")
    (site / "other-1.0.dist-info").mkdir()
    (site / "other-1.0.dist-info" / "METADATA").write_text(
        f"Metadata-Version: 2.4\nName: other\nVersion: 1.0\n{licence}\n"
    )

    command = [release.with_name("build") / "release-tools" / "bin" / "pip-licenses", "--python", python]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)

    assert (done.returncode, "other" in done.stdout + done.stderr) == (code, True)


def test_the_production_lock_has_all_that_the_wheel_asks_for(wheel: Path, tmp_path: Path) -> None:
    python = create_environment(tmp_path / "venv")

    install(python, "--require-hashes", "-r", PROJECT / "requirements.txt")
    install(python, "--no-index", wheel)

    run(UV, "pip", "check", "--python", python)


def test_an_empty_project_with_a_dag_file_of_two_lines_runs_the_demos_main_job(
    python: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "ours.py").write_text(TWO_LINES)
    for name in ("shops/demo.yaml", "sql/demo_orders.sql"):
        (tmp_path / "include" / name).parent.mkdir(parents=True)
        shutil.copy(PROJECT / "include" / name, tmp_path / "include" / name)
    until = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    orders = demo.make_orders(load_shop(PROJECT / "include" / "shops" / "demo.yaml"), until)
    demo.write_warehouse(orders, tmp_path / "warehouse.db")
    variables = demo.connection_variables(sandbox, tmp_path) | {
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    }

    found = json.loads(run(python, "-c", WHAT_AIRFLOW_FINDS, tmp_path / "dags", **variables).splitlines()[-1])
    window = {"window_start": (until - timedelta(days=demo.DAYS)).isoformat(), "window_end": until.isoformat()}
    run(python, "-m", "airflow", "dags", "test", demo.DAG_ID, "--conf", json.dumps(window), **variables)

    assert found["package"].startswith(str(python.parents[1]))
    assert found["dags"] == [
        "order_status_freshness",
        "order_status_history_demo",
        "order_status_reconcile",
        "order_status_sync_demo",
    ]
    assert (found["import errors"], found["plugin errors"]) == ({}, {})
    assert found["plugins"].count("rees46") == 1
    assert found["apps"] == ["rees46", "REES46 Data Docs"]
    assert found["connection type"] == "REES46"
    assert sandbox.state() == orders.final
    assert sandbox.stats()["violations"] == {}
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        [row] = ledger.execute("SELECT read, sent, rejected, failed, outcome FROM rees46_sync_runs")
    assert row == (len(orders.rows), len(orders.final), orders.broken, 0, "success")
