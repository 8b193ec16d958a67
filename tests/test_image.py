"""
The image of the Dockerfile, built and run without Docker.

Its base is a Debian with Python and a user ``airflow``, because Airflow's own image is on a registry. Airflow itself
comes from the lock.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.test_deploying import WHAT_AIRFLOW_FINDS

pytestmark = [
    pytest.mark.image,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        os.geteuid() != 0 or not (shutil.which("buildah") and shutil.which("mmdebstrap")),
        reason="buildah and mmdebstrap are not installed, or the user is not root",
    ),
]

DEBIAN = "python3,python3-pip,python3-venv,curl,ca-certificates"
USER = """
useradd --uid 50000 --gid 0 --create-home airflow
mkdir /opt/airflow && chown airflow:0 /opt/airflow
ln --symbolic python3 /usr/bin/python
"""
ENVIRONMENT = {
    "AIRFLOW_HOME": "/opt/airflow",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "PATH": "/home/airflow/.local/bin:/usr/local/bin:/usr/bin:/bin",
    "PIP_USER": "true",
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
}
FROM_THE_HOST = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
"""Files that say how pip reaches the packages."""


class Buildah:
    """Its commands, with images and containers in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.options = ["--root", folder / "storage", "--runroot", folder / "run", "--storage-driver", "vfs"]

    def command(self, name: str, *arguments: str | Path) -> list[str | Path]:
        isolated = ["--isolation", "chroot"] if name in ("run", "build") else []
        return ["buildah", *self.options, name, *isolated, *arguments]

    def __call__(self, name: str, *arguments: str | Path) -> str:
        done = subprocess.run(self.command(name, *arguments), capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
        return done.stdout.strip()


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    with tempfile.TemporaryDirectory(prefix="rees46-image-", ignore_cleanup_errors=True) as folder:
        yield Buildah(Path(folder))


@pytest.fixture(scope="module")
def container(buildah: Buildah) -> str:
    """A container of the image."""
    root = buildah.folder / "debian.tar"
    [suite] = re.findall(r"^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text(), re.MULTILINE)
    making = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={DEBIAN}", suite, root]
    if subprocess.run(making, check=False, timeout=300).returncode:
        pytest.skip("no mirror of Debian is in reach")
    base = buildah("from", "scratch")
    buildah("add", base, root, "/")
    buildah("run", base, "--", "sh", "-ec", USER)
    variables = [argument for name, value in ENVIRONMENT.items() for argument in ("--env", f"{name}={value}")]
    buildah("config", *variables, "--user", "airflow", "--workingdir", "/opt/airflow", base)
    buildah("commit", "--rm", base, "airflow-base")
    volumes = [f"--volume={file}:{file}:ro" for file in FROM_THE_HOST if Path(file).exists()]
    buildah("build", "--build-arg", "AIRFLOW=localhost/airflow-base", *volumes, "--tag", "rees46", PROJECT)
    return buildah("from", "localhost/rees46")


@pytest.fixture(scope="module")
def found(buildah: Buildah, container: str) -> dict[str, Any]:
    """What Airflow finds in the image."""
    said = buildah("run", container, "--", "python", "-c", WHAT_AIRFLOW_FINDS, "/opt/airflow/dags")
    result: dict[str, Any] = json.loads(said.splitlines()[-1])
    return result


def test_airflow_finds_the_dags_the_provider_and_the_plugin_in_the_image(found: dict[str, Any]) -> None:
    assert found["package"].startswith("/home/airflow/.local/lib/")
    assert (found["import errors"], found["plugin errors"]) == ({}, {})
    assert "order_status_sync_demo" in found["dags"]
    assert found["connection type"] == "REES46"
    assert found["plugins"].count("rees46") == 1


def test_the_image_runs_as_a_user_without_rights(buildah: Buildah, container: str) -> None:
    assert buildah("run", container, "--", "id", "--user") == "50000"


def test_the_doctor_of_the_image_finds_the_shop_files(buildah: Buildah, container: str) -> None:
    said = subprocess.run(
        buildah.command("run", container, "--", "python", "-m", "rees46_sync.doctor", "demo"),
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert "/opt/airflow/include/shops/demo.yaml" in said.stdout
    assert "Connection demo_warehouse: does not exist" in said.stdout


@pytest.mark.usefixtures("found")  # it has made Airflow's database
def test_the_health_check_of_the_image_says_when_the_api_server_answers(buildah: Buildah, container: str) -> None:
    [check] = re.findall(r"^    CMD (\[.+\])$", (PROJECT / "Dockerfile").read_text(), re.MULTILINE)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    checking = [part.replace("8080", port) for part in json.loads(check)]

    def exit_code() -> int:
        return subprocess.run(buildah.command("run", container, "--", *checking), timeout=30, check=False).returncode

    assert exit_code() != 0
    starting = buildah.command("run", container, "--", "airflow", "api-server", "--host", "127.0.0.1", "--port", port)
    server = subprocess.Popen(starting, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(60):
            if exit_code() == 0 or server.poll() is not None:
                break
            time.sleep(1)
        assert exit_code() == 0
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
